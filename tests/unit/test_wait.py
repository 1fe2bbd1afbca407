"""The whole wait against the simulator's engine, in virtual time: what must hold for any rollout, and what it costs."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import botocore
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from ansible_collections.keyturn.ecs.plugins.module_utils._aws import REPEAT, Aws
from ansible_collections.keyturn.ecs.plugins.module_utils._errors import KeyturnError
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout import observe
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.judge import FINAL
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.wait import wait
from fakes.engine import Engine
from fakes.model import LEFT_RUNNING, RECORDS
from fakes.network import OPTIONS
from simulator.endings import CAUSES, ENDINGS

AWS = Aws(OPTIONS)
ECS = Engine(AWS)
ASKED: dict[str, Any] = {
    "cluster": "c",
    "service": "s",
    "deployment_id": None,
    "task_definition": None,
    "services": None,
    "timeout": 900,
    "poll_interval": 15.0,
    "max_failed_tasks": 3,
    "require_healthy": "auto",
    "progress": True,
}


def deploy() -> dict[str, str]:
    """Deploy another revision as ``ecs_env_rotate`` does, and return what it would return."""
    container = ECS.call("DescribeTaskDefinition", taskDefinition="s")["taskDefinition"]["containerDefinitions"][0]
    container["environment"] = [{"name": "OPENAI_API_KEY", "value": "sk-new"}]
    made = ECS.call("RegisterTaskDefinition", family="s", containerDefinitions=[container])["taskDefinition"]
    service = ECS.call("UpdateService", cluster="c", service="s", taskDefinition=made["taskDefinitionArn"])["service"]
    return {"deployment_id": service["deployments"][0]["id"], "task_definition": made["taskDefinitionArn"]}


def waited(lines: list[str] | None = None, **options: Any) -> dict[str, Any]:
    """Wait, and return the result of a success or a failure alike."""
    ECS.sent.clear()
    try:
        return wait(AWS, {**ASKED, **options}, ECS.clock, lines.append if lines is not None else None)
    except KeyturnError as error:
        return {**error.result, "msg": error.msg}


def tasks(status: str = "RUNNING") -> list[dict[str, Any]]:
    """The service's tasks by desired status, as ECS itself knows them."""
    arns = ECS.call("ListTasks", cluster="c", serviceName="s", desiredStatus=status)["taskArns"]
    return ECS.call("DescribeTasks", cluster="c", tasks=arns)["tasks"] if arns else []


def record(deployment_id: str) -> dict[str, Any]:
    arns = [
        entry["serviceDeploymentArn"]
        for entry in ECS.call("ListServiceDeployments", cluster="c", service="s")["serviceDeployments"]
        if entry["targetServiceRevisionArn"].endswith(deployment_id.partition("/")[2])
    ]
    found: dict[str, Any] = ECS.call("DescribeServiceDeployments", serviceDeploymentArns=arns)["serviceDeployments"][0]
    return found


TASK_CALLS = frozenset({"ListTasks", "DescribeTasks"})
RECORD_CALLS = frozenset({"ListServiceDeployments", "DescribeServiceDeployments", "DescribeServiceRevisions"})
DENIALS = [frozenset(), TASK_CALLS, RECORD_CALLS, TASK_CALLS | RECORD_CALLS | {"DescribeTaskDefinition"}]

HISTORIES = {
    "desired": st.integers(0, 6),
    "percents": st.tuples(st.integers(0, 100), st.integers(100, 200)),
    "ending": st.sampled_from(ENDINGS),
    "cause": st.sampled_from(sorted(CAUSES)),
    "breaker": st.booleans(),
    "health_check": st.booleans(),
    "denied": st.sampled_from(DENIALS),
    "drain": st.floats(0, 400),
    "interval": st.floats(0.5, 60),
    "timeout": st.integers(30, 2400),
    "failures": st.integers(0, 5),
}
# How many is the profile's to say: 100 in CI, 2,000 with HYPOTHESIS_PROFILE=search.
MANY = settings(suppress_health_check=[HealthCheck.too_slow], phases=[Phase.explicit, Phase.reuse, Phase.generate])


# Found by a search: the circuit breaker was still rolling back when the second wait's time was up.
@example(
    desired=5,
    percents=(35, 120),
    ending="crash_loop",
    cause="image_pull",
    breaker=True,
    health_check=False,
    denied=DENIALS[3],
    drain=252.0,
    interval=39.0,
    timeout=30,
    failures=1,
)
@MANY
@given(**HISTORIES)
def test_what_holds_for_every_rollout(
    desired: int,
    percents: tuple[int, int],
    ending: str,
    cause: str,
    breaker: bool,
    health_check: bool,
    denied: frozenset[str],
    drain: float,
    interval: float,
    timeout: int,
    failures: int,
) -> None:
    ECS.begin(denied, drain=drain)
    configuration = {
        "minimumHealthyPercent": percents[0],
        "maximumPercent": percents[1],
        "deploymentCircuitBreaker": {"enable": breaker, "rollback": breaker},
    }
    ECS.environment(
        desired=desired, health_check=health_check, service_options={"deploymentConfiguration": configuration}
    )
    ECS.script(ending, cause=cause, bake_minutes=1.0)
    made = deploy()
    began = ECS.now
    result = waited(**made, poll_interval=interval, timeout=timeout, max_failed_tasks=failures)

    assert result["status"]
    assert ECS.now - began <= timeout + 0.2
    assert (result["status"] in ("completed", "nothing_running")) is ("msg" not in result)
    if "msg" in result:
        assert result["status"] in result["msg"]
        assert result["diagnosis"]
    truth = record(made["deployment_id"])["status"]
    live = [task for status in ("RUNNING", "STOPPED") for task in tasks(status) if task["lastStatus"] != "STOPPED"]
    if result["status"] == "completed":
        assert truth == "SUCCESSFUL"
        if not denied:
            assert {task["startedBy"] for task in live} == {made["deployment_id"]}
            assert all(task["healthStatus"] == "HEALTHY" for task in live) or not health_check
    if result["status"] == "nothing_running":
        assert desired == 0
    if result["status"] == "rolled_back":
        assert truth in ("ROLLBACK_SUCCESSFUL", "ROLLBACK_IN_PROGRESS")
    if truth == "SUCCESSFUL" and not live and desired == 0:
        assert result["status"] == "nothing_running"

    if result["status"] not in ("timed_out", "stuck"):
        # Nothing happens to the service any more: who asks later is told the same.
        ECS.after(60)
        later = waited(**made, poll_interval=interval, timeout=timeout, max_failed_tasks=failures)
        expected = {result["status"]}
        if result["status"] == "failed":
            # A crash loop is told before ECS has given up: its circuit breaker may roll back, and may still be at it.
            over = record(made["deployment_id"])["status"] in FINAL
            expected |= {"rolled_back"} if over else {"rolled_back", "timed_out"}
        assert later["status"] in expected


def spread(seconds: int) -> dict[str, float]:
    """Timing of a rollout that takes so long: starting, turning healthy and draining take a third each."""
    share = (seconds - 2) / 2
    return {"provisioning": share / 2, "pending": 0, "activating": 0, "healthy": share / 2, "queue": 0, "complete": 0,
            "drain": share}  # fmt: skip


# Script, timing, and how many calls it may take. About 300 s are 20 polls of 15 s; what comes before and after is rest.
ENDS: dict[str, tuple[dict[str, Any], dict[str, float], int]] = {
    "rolling, 5 s": ({"ending": "completes"}, spread(5), 30),
    "rolling, 60 s": ({"ending": "completes"}, spread(60), 30),
    "rolling, 300 s": ({"ending": "completes"}, spread(300), 30),
    "blue/green, 280 s": ({"ending": "blue_green", "bake_minutes": 3}, {}, 30),
    "deferred clean-up, 300 s": ({"ending": "deferred_cleanup", "linger": 230}, {}, 38),
    "old tasks drain for 300 s": ({"ending": "completes"}, {"drain": 300}, 38),
}


@pytest.mark.parametrize("name", ENDS)
def test_the_end_is_told_soon_and_with_few_calls(name: str, record_property: Callable[[str, object], None]) -> None:
    script, timing, most = ENDS[name]
    ECS.begin(jitter=0, **timing)
    ECS.environment(desired=2)
    ECS.script(**script)
    made = deploy()
    result = waited(**made)
    told = record(made["deployment_id"])
    finished = max(told["finishedAt"], *(task["stoppedAt"] for task in tasks("STOPPED")))
    took = finished - told["createdAt"]
    lag = ECS.now - finished
    calls = Counter(ECS.operations)
    assert result["status"] == "completed"
    assert lag <= 2 + min(15, took), (took, lag)
    assert sum(calls.values()) < most, calls
    record_property("calls", dict(calls))
    record_property("lag", lag)


def test_no_way_out_is_told_at_the_second_or_third_poll() -> None:
    ECS.begin(jitter=0)
    percents = {"minimumHealthyPercent": 100, "maximumPercent": 100}
    ECS.environment(desired=1, service_options={"deploymentConfiguration": percents})
    result = waited(**deploy())
    assert (result["status"], result["diagnosis"][0]["cause"]) == ("stuck", "percent_deadlock")
    assert result["elapsed"] <= 3.5


def test_no_capacity_is_told_when_nothing_moved_for_the_stated_time() -> None:
    ECS.begin(jitter=0)
    ECS.environment(desired=2)
    ECS.script("no_capacity")
    result = waited(**deploy())
    assert (result["status"], result["diagnosis"][0]["cause"]) == ("stuck", "no_capacity")
    assert 120 <= result["elapsed"] < 121


def test_progress_is_told_only_when_something_changed() -> None:
    ECS.begin(jitter=0)
    ECS.environment(desired=2)
    lines: list[str] = []
    waited(lines, **deploy())
    without_time = [line.rpartition(" (")[0] for line in lines]
    assert without_time == list(dict.fromkeys(without_time))
    assert without_time[0] == "s: 0/2 tasks on revision 2, 2 old draining"
    assert without_time[-1] == "s: 2/2 tasks on revision 2"


def test_250_tasks_are_all_looked_at() -> None:
    ECS.begin()
    ECS.environment(desired=250)
    result = waited(**deploy())
    assert result["status"] == "completed"
    assert len(result["tasks"]) == 250
    assert Counter(ECS.operations)["DescribeTasks"] >= 3


def test_a_service_that_is_deleted_meanwhile_has_failed() -> None:
    ECS.begin()
    ECS.environment(desired=1)
    made = deploy()
    sleep = ECS.clock.sleep

    def delete_then_sleep(seconds: float) -> None:
        ECS.call("UpdateService", cluster="c", service="s", desiredCount=0)
        ECS.call("DeleteService", cluster="c", service="s", force=True)
        sleep(seconds)

    clock = ECS.clock.__class__(now=ECS.clock.now, sleep=delete_then_sleep, jitter=lambda: 1.0)
    with pytest.raises(KeyturnError, match="the service is gone") as caught:
        wait(AWS, {**ASKED, **made}, clock)
    assert caught.value.result["status"] == "failed"


# Answers that ECS gives and the simulator does not


class Changed:
    """Lets a test change ECS's answers on the way."""

    def __init__(self, change: Callable[[str, dict[str, Any], int], dict[str, Any]]) -> None:
        self.asked: Counter[str] = Counter()
        self._operate, self._change = ECS._operate, change

    def __enter__(self) -> None:
        ECS._answer = self._answer

    def __exit__(self, *_: object) -> None:
        ECS._answer = self._operate

    def _answer(self, operation: str, body: dict[str, Any]) -> Any:
        status, answer = self._operate(operation, body)
        self.asked[operation] += 1
        return status, self._change(operation, answer, self.asked[operation]) if status == 200 else answer


def rolled(
    change: Callable[[str, dict[str, Any], int], dict[str, Any]], *denied: str, linger: int = 0, **options: Any
) -> dict[str, Any]:
    """The result of a wait for a rollout of two tasks whose answers are changed."""
    ECS.begin(frozenset(denied), jitter=0)
    ECS.environment(desired=2)
    if linger:
        ECS.script("deferred_cleanup", linger=linger)
    made = deploy()
    with Changed(change):
        return waited(**{**made, **options})


def lost_task(operation: str, answer: dict[str, Any], count: int) -> dict[str, Any]:
    """DescribeTasks does not know one of the running tasks, at first."""
    if operation != "DescribeTasks" or count > 2:
        return answer
    running = [task for task in answer["tasks"] if task["desiredStatus"] == "RUNNING"]
    kept = [task for task in answer["tasks"] if task["taskArn"] != running[0]["taskArn"]]
    return {"tasks": kept, "failures": [{"arn": running[0]["taskArn"], "reason": "MISSING"}]}


def test_a_task_that_is_listed_and_not_described_is_waited_for() -> None:
    result = rolled(lost_task)
    assert result["status"] == "completed"
    assert len(result["tasks"]) == 2
    assert Counter(ECS.operations)["DescribeTasks"] == 3


def no_records(operation: str, answer: dict[str, Any], _count: int) -> dict[str, Any]:
    if operation != "DescribeServiceDeployments":
        return answer
    arns = [entry["serviceDeploymentArn"] for entry in answer["serviceDeployments"]]
    return {"serviceDeployments": [], "failures": [{"arn": arn, "reason": "MISSING"} for arn in arns]}


@RECORDS
def test_records_that_are_missing_leave_the_rest_of_the_evidence() -> None:
    result = rolled(no_records)
    assert result["status"] == "completed"
    assert any("ECS lists none" in line for line in result["unverified"])


def flapping(operation: str, answer: dict[str, Any], count: int) -> dict[str, Any]:
    """Now and then DescribeServices answers as if the deployment were not made yet."""
    if operation == "DescribeServices" and count in (3, 6):
        old = answer["services"][0]["deployments"][1:]
        if old:
            answer["services"][0]["deployments"] = [{**old[0], "status": "PRIMARY"}]
    return answer


def test_one_stale_answer_proves_no_rollback() -> None:
    assert rolled(flapping, *RECORD_CALLS)["status"] == "completed"


def late(operation: str, answer: dict[str, Any], count: int) -> dict[str, Any]:
    if operation == "DescribeServices" and count < 4:
        answer["services"][0]["deployments"] = [{**answer["services"][0]["deployments"][-1], "status": "PRIMARY"}]
    return answer


@pytest.mark.parametrize("given", ["deployment_id", "task_definition"])
@pytest.mark.parametrize("denied", [(), tuple(RECORD_CALLS)], ids=["records", "no records"])
def test_what_is_listed_late_is_found_by_either_name(given: str, denied: tuple[str, ...]) -> None:
    other = {"deployment_id": "task_definition", "task_definition": "deployment_id"}[given]
    result = rolled(late, *denied, **{other: None})
    assert result["status"] == "completed"
    assert result["deployment_id"] and result["task_definition"].endswith(":2")


def without_rollout_state(operation: str, answer: dict[str, Any], _count: int) -> dict[str, Any]:
    for service in answer.get("services", ()) if operation == "DescribeServices" else ():
        for deployment in service["deployments"]:
            deployment.pop("rolloutState", None)
    return answer


@pytest.mark.parametrize("denied", [(), tuple(RECORD_CALLS)], ids=["records", "no records"])
def test_a_rollout_without_a_rollout_state_completes(denied: tuple[str, ...]) -> None:
    result = rolled(without_rollout_state, *denied)
    assert result["status"] == "completed"
    assert len(ECS.operations) < 30


def without_counts_of_failures(operation: str, answer: dict[str, Any], _count: int) -> dict[str, Any]:
    for service in answer.get("services", ()) if operation == "DescribeServices" else ():
        service["events"] = []
        for deployment in service["deployments"]:
            deployment.pop("failedTasks", None)
    return answer


def test_a_crash_loop_is_told_where_ecs_counts_no_failures() -> None:
    ECS.begin(jitter=0)
    ECS.environment(desired=2)
    ECS.script("crash_loop", cause="container_exit")
    made = deploy()
    with Changed(without_counts_of_failures):
        result = waited(**made)
    assert (result["status"], result["diagnosis"][0]["cause"]) == ("failed", "container_exit")


def revisions_of_their_own(operation: str, answer: dict[str, Any], _count: int) -> dict[str, Any]:
    """ARNs of service revisions do not end in the deployment's number."""
    text = json.dumps(answer, default=str)
    return json.loads(re.sub(r"(service-revision/[\w/-]+/)(\d+)", r"\1r\2", text))


def test_the_record_of_an_earlier_deployment_of_the_same_revision_is_not_this_ones() -> None:
    ECS.begin(jitter=0)
    ECS.environment(desired=2)
    waited(**deploy())
    ECS.after(60)
    ECS.script("circuit_breaker")
    again = ECS.call("UpdateService", cluster="c", service="s", forceNewDeployment=True)["service"]["deployments"][0]

    def change(operation: str, answer: dict[str, Any], count: int) -> dict[str, Any]:
        if operation == "ListServiceDeployments" and count == 1:
            answer["serviceDeployments"] = [
                entry for entry in answer["serviceDeployments"] if entry["createdAt"] < again["createdAt"]
            ]
        answer.get("services", [{}])[0].pop("currentServiceDeployment", None)
        return revisions_of_their_own(operation, answer, count)

    with Changed(change):
        result = waited(deployment_id=again["id"], task_definition=again["taskDefinition"])
    assert result["status"] == "rolled_back"


def unreachable(after: int) -> Callable[[str, dict[str, Any]], Any]:
    asked = Counter[str]()

    def answer(operation: str, body: dict[str, Any]) -> Any:
        asked[operation] += 1
        gone = asked[operation] > after
        return (500, {"__type": "ServerException", "message": "no"}) if gone else ECS._operate(operation, body)

    return answer


def test_a_wait_that_cannot_read_any_more_ends_by_its_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    ECS.begin(jitter=0)
    ECS.environment(desired=2)
    made = deploy()
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _seconds: None)
    monkeypatch.setattr(ECS, "_answer", unreachable(2))
    result = waited(**made, timeout=100)
    assert result["status"] == "timed_out"
    assert result["elapsed"] >= 100
    assert "cannot be read" in result["msg"]


def test_one_of_several_that_is_not_there_hides_no_other() -> None:
    ECS.begin(jitter=0)
    ECS.environment(desired=2)
    made = {"cluster": "c", "service": "s", **deploy()}
    missing = {"cluster": "c", "service": "misnamed", "deployment_id": None, "task_definition": None}
    result = waited(cluster=None, service=None, services=[missing, made])
    assert [one["status"] for one in result["results"]] == ["failed", "completed"]
    assert [one["service"] for one in result["results"]] == ["misnamed", "s"]
    assert "There is no service misnamed in cluster c" in result["msg"]
    assert "s: " not in result["msg"].replace("misnamed: ", "")
    assert result["results"][1]["elapsed"] > 30


@pytest.mark.parametrize(("batch", "lists"), [(100, ["STOPPED"]), (2, ["STOPPED", "STOPPED"])])
def test_old_tasks_that_all_drained_are_not_looked_for_again(
    monkeypatch: pytest.MonkeyPatch, batch: int, lists: list[str]
) -> None:
    """Only when a call could ask for every one of them: of others nothing is known."""
    monkeypatch.setattr(observe, "TASKS_BATCH", batch)
    ECS.begin(jitter=0)
    ECS.environment(desired=3)
    ECS.script("deferred_cleanup", linger=60)
    assert waited(**deploy())["status"] == "completed"
    listed = [json.loads(request.body) for name, request in zip(ECS.operations, ECS.sent, strict=True)
              if name == "ListTasks"]  # fmt: skip
    assert [body["desiredStatus"] for body in listed if body["desiredStatus"] != "RUNNING"] == lists
    assert all(task["lastStatus"] == "STOPPED" for task in tasks("STOPPED"))


def test_the_last_old_task_gone_the_service_is_all_that_is_left_to_ask() -> None:
    result = rolled(lambda _operation, answer, _count: answer, linger=60)
    assert (result["status"], len(result["tasks"]), result["old_tasks"]) == ("completed", 2, [])
    assert ECS.operations.count("ListTasks") == 2
    assert ECS.operations[-2:] == ["DescribeTasks", "DescribeServices"]
    assert all(task["lastStatus"] == "STOPPED" for task in tasks("STOPPED"))


@pytest.mark.parametrize(
    ("changed", "running"),
    [
        ({"lastStatus": "STOPPED", "desiredStatus": "STOPPED"}, 2),  # another may run in its place
        ({"desiredStatus": "STOPPED"}, 2),
        ({"lastStatus": "PENDING"}, 2),
        ({}, 3),  # one more runs than was asked for
    ],
)
def test_tasks_that_are_not_those_that_ecs_counts_are_listed_again(changed: dict[str, str], running: int) -> None:
    odd: list[str] = []

    def change(operation: str, answer: dict[str, Any], _count: int) -> dict[str, Any]:
        told = answer.get("tasks", [])
        if operation == "DescribeTasks" and not odd and {task["lastStatus"] for task in told} == {"STOPPED", "RUNNING"}:
            new = next(task for task in told if task["lastStatus"] == "RUNNING")
            new.update(changed)
            odd.append(new["taskArn"])
        if operation == "DescribeServices" and odd and ECS.operations.count("ListTasks") == 2:
            answer["services"][0]["deployments"][0].update(runningCount=running, desiredCount=running)
        return answer

    result = rolled(change, linger=60)
    assert odd
    assert (result["status"], len(result["tasks"])) == ("completed", 2)
    assert ECS.operations.count("ListTasks") > 2


SETTLED_CALLS = ["DescribeServices", "ListTasks", "DescribeTasks"]


def settled(**wanted: Any) -> dict[str, Any]:
    """What a wait for the deployment of a month ago says, and its calls."""
    made = ECS.environment(**wanted)
    return waited(deployment_id=made["deployment_id"], task_definition=made["task_definition"])


def test_what_ended_long_ago_takes_three_calls() -> None:
    ECS.begin()
    result = settled(desired=2)
    assert (result["status"], len(result["tasks"]), result["unverified"]) == ("completed", 2, [])
    assert ECS.operations == SETTLED_CALLS


@RECORDS
@pytest.mark.parametrize(
    "wanted",
    [
        {"age_seconds": 3600},  # tasks may drain still
        {"health_check": False},  # what healthStatus UNKNOWN means hangs on the definition
        pytest.param({"service_options": {"deploymentConfiguration": {"earlySuccessCriteria": {
            "enable": True, "healthyPercent": 100, "sourceServiceRevisionCleanup": "DEFERRED"}}}}, marks=LEFT_RUNNING),
    ],
)  # fmt: skip
def test_what_may_have_left_something_is_looked_at_whole(wanted: dict[str, Any]) -> None:
    ECS.begin()
    assert settled(**wanted)["status"] == "completed"
    assert {"DescribeServiceDeployments", "DescribeTaskDefinition"} <= set(ECS.operations)
    assert ECS.operations.count("ListTasks") >= 2


@RECORDS
@pytest.mark.parametrize(
    ("member", "value"),
    [("health", "UNHEALTHY"), ("last_status", "PENDING"), ("started_by", "ecs-svc/0000000000000000001")],
)
def test_a_task_that_is_not_as_it_should_be_is_looked_at_whole(member: str, value: str) -> None:
    ECS.begin()
    made = ECS.environment()
    service = ECS.world.region("123456789012", "us-east-1").clusters["c"].services["s"]
    task = next(iter(service.tasks.values()))
    answers = ECS._operate

    def odd(operation: str, body: dict[str, Any]) -> Any:
        status, answer = answers(operation, body)
        for entry in answer.get("tasks", []) if operation == "DescribeTasks" else []:
            if entry["taskArn"] == task.arn:
                entry[{"health": "healthStatus", "last_status": "lastStatus", "started_by": "startedBy"}[member]] = (
                    value
                )
        return status, answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ECS, "_answer", odd)
        result = waited(deployment_id=made["deployment_id"], task_definition=made["task_definition"], timeout=20)
    assert result["status"] == "timed_out"
    assert "DescribeServiceDeployments" in ECS.operations


def test_without_the_list_of_tasks_what_ended_long_ago_is_judged_by_the_rest() -> None:
    ECS.begin(TASK_CALLS)
    result = settled()
    assert (result["status"], result["unverified"][0][:5]) == ("completed", "tasks")


@pytest.mark.parametrize(
    ("ending", "status"), [("completes", "completed"), ("circuit_breaker", "rolled_back"), ("crash_loop", "failed")]
)
def test_a_botocore_without_service_deployments_is_named_and_the_rest_judged(
    monkeypatch: pytest.MonkeyPatch, ending: str, status: str
) -> None:
    """botocore knows them since 1.35.52. What it does not know, its clients have no method for."""
    client = type(AWS._client("ecs", REPEAT))
    for method in ("list_service_deployments", "describe_service_deployments", "describe_service_revisions"):
        monkeypatch.delattr(client, method, raising=False)
    ECS.begin()
    ECS.environment()
    ECS.script(ending)
    result = waited(**deploy())
    assert result["status"] == status
    (said,) = result["unverified"]
    assert said.startswith(f"service deployment: The installed botocore {botocore.__version__} does not know ecs:")
    assert said.endswith("ServiceDeployments; upgrade boto3.")
    assert not RECORD_CALLS & set(ECS.operations)
