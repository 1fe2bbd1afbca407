"""The whole wait against the simulator's engine, in virtual time: what must hold for any rollout, and what it costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ansible_collections.keyturn.ecs.plugins.module_utils._aws import Aws
from ansible_collections.keyturn.ecs.plugins.module_utils._errors import KeyturnError
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.wait import wait
from fakes.engine import Engine
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
        expected = {result["status"], "rolled_back"} if result["status"] == "failed" else {result["status"]}
        assert later["status"] in expected


SECONDS = [5, 60, 300]


@pytest.mark.parametrize("seconds", SECONDS)
def test_the_end_is_told_soon_and_with_few_calls(seconds: int, record_property: Callable[[str, object], None]) -> None:
    share = (seconds - 2) / 2
    ECS.begin(
        provisioning=share / 2, pending=0, activating=0, healthy=share / 2, queue=0, complete=0, jitter=0, drain=share
    )
    ECS.environment(desired=2)
    made = deploy()
    result = waited(**made)
    finished = max(task["stoppedAt"] for task in tasks("STOPPED"))
    took = finished - record(made["deployment_id"])["createdAt"]
    lag = ECS.now - finished
    calls = Counter(ECS.operations)
    assert result["status"] == "completed"
    assert lag <= 2 + min(15, took), (took, lag)
    assert sum(calls.values()) < 30, calls
    record_property("calls", dict(calls))
    record_property("lag", lag)


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
