# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`ecs_rollout_wait` tells every ending of a rollout rightly, whatever evidence there is."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import field
from pathlib import Path
from typing import Any

import pytest

from fakes import model
from integration.support import (
    NEIGHBOUR,
    NEW,
    OLD,
    Json,
    Lab,
    Playbook,
    assert_no_value,
    standing_still,
    with_value,
)
from simulator import Simulator

CAUSES = ("image_pull", "secret_access", "out_of_memory", "container_exit", "health_check", "load_balancer_health")
STATUSES = {"completed", "rolled_back", "failed", "superseded", "stuck", "timed_out", "nothing_running"}


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with standing_still() as sim:
        yield sim


@pytest.fixture
def lab(simulator: Simulator) -> Lab:
    return Lab(simulator)


@dataclasses.dataclass(frozen=True)
class Case:
    """A rollout and how it ends.

    Attributes:
        ending: the simulator's script with its parameters; none for what needs no script.
        environment: of Simulator.create_environment.
        cause: of the first finding, where one is claimed.
        says: stands in `msg`.
        options: of the wait.
    """

    name: str
    status: str
    ending: Json = field(default_factory=dict)
    environment: Json = field(default_factory=dict)
    cause: str | None = None
    says: str = ""
    options: Json = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def percentages(desired: int, minimum: int, maximum: int) -> Json:
    configuration = {"minimumHealthyPercent": minimum, "maximumPercent": maximum}
    return {"desired": desired, "service_options": {"deploymentConfiguration": configuration}}


LOAD_BALANCED = {"service_options": {"loadBalancers": [{"loadBalancerName": "classic", "containerName": "app"}]}}
DAEMON = {"service_options": {"schedulingStrategy": "DAEMON"}}
NO_HEALTH_CHECK = {"health_check": False}

ENDINGS = [
    Case("completes", "completed"),
    Case("one task", "completed", environment={"desired": 1}),
    Case("stops an old task before it starts a new one", "completed", environment=percentages(2, 50, 100)),
    Case("no health check", "completed", environment=NO_HEALTH_CHECK),
    Case("daemon", "completed", environment=DAEMON),
    Case("classic load balancer", "completed", environment=LOAD_BALANCED),
    Case("desired count 0", "nothing_running", environment={"desired": 0}),
    *(
        Case(
            f"circuit breaker rolls back, {cause}",
            "rolled_back",
            {"ending": "circuit_breaker", "cause": cause},
            cause=cause,
            says="s:1",
        )
        for cause in CAUSES
    ),
    *(
        Case(
            f"circuit breaker without rollback, {cause}",
            "failed",
            {"ending": "circuit_breaker", "cause": cause, "rollback": False},
            cause=cause,
        )
        for cause in CAUSES
    ),
    *(
        Case(
            f"crash loop without circuit breaker, {cause}",
            "failed",
            {"ending": "crash_loop", "cause": cause},
            cause=cause,
            says="max_failed_tasks",
        )
        for cause in CAUSES
    ),
    Case(
        "crash loop, left to a circuit breaker that is off",
        "timed_out",
        {"ending": "crash_loop"},
        cause="container_exit",
        options={"max_failed_tasks": 0},
    ),
    Case("first starts fail, then all is well", "completed", {"ending": "crash_loop", "failing_tasks": 2}),
    Case("someone else deploys", "superseded", {"ending": "superseded"}, cause="superseded", says="took over"),
    Case("no capacity", "stuck", {"ending": "no_capacity"}, cause="no_capacity", says="unable to place a task"),
    Case("capacity comes in time", "completed", {"ending": "no_capacity", "capacity_after": 60}),
    *(
        Case(
            f"deadlock {desired} x {minimum}/{maximum}",
            "stuck",
            environment=percentages(desired, minimum, maximum),
            cause="percent_deadlock",
            says=f"maximumPercent to {mended}",
        )
        for desired, minimum, maximum, mended in ((1, 100, 100, 200), (1, 100, 150, 200), (3, 100, 125, 134))
    ),
    Case("alarm rolls back", "rolled_back", {"ending": "alarm"}, cause="alarm", says="simulated-alarm"),
    Case("alarm without rollback", "failed", {"ending": "alarm", "rollback": False}, cause="alarm"),
    Case("too little time", "timed_out", options={"timeout": 10}, says="not over after 10 s"),
    Case("blue/green", "completed", {"ending": "blue_green"}),
    Case("linear", "completed", {"ending": "blue_green", "strategy": "LINEAR"}),
    Case("canary", "completed", {"ending": "blue_green", "strategy": "CANARY"}),
    Case("paused at a hook", "timed_out", {"ending": "blue_green", "hook_stage": "POST_SCALE_UP"}, cause="paused_hook"),
    Case(
        "hook times out and rolls back",
        "rolled_back",
        {"ending": "blue_green", "hook_stage": "POST_SCALE_UP", "hook_timeout_minutes": 2},
        cause="paused_hook",
    ),
    Case("old tasks linger after success", "completed", {"ending": "deferred_cleanup"}),
    Case("protected tasks stay", "timed_out", {"ending": "task_protection"}, cause="task_protection"),
    Case("protection ends in time", "completed", {"ending": "task_protection", "protect_minutes": 5}),
]


def run(lab: Lab, case: Case) -> Json:
    """Make the service, rotate, wait."""
    lab.environment(**case.environment)
    if case.ending:
        lab.sim.script("c", "s", **case.ending)
    return lab.rotate_and_wait(**case.options)


def check(lab: Lab, case: Case, result: Json) -> None:
    """What holds of every result, and what the case claims."""
    assert result["status"] == case.status, result
    assert result["changed"] is False
    if case.status in ("completed", "nothing_running"):
        assert not result.get("failed")
        assert "msg" not in result
        assert result["diagnosis"] == []
        assert all(task["startedBy"] == result["deployment_id"] for task in lab.tasks())
        return
    assert result["failed"] is True
    assert result["status"] in result["msg"]
    assert case.says in result["msg"]
    first = result["diagnosis"][0]
    assert first["evidence"] and first["remedy"]
    assert first["remedy"] in result["msg"]
    if case.cause:
        assert first["cause"] == case.cause, result["diagnosis"]


def needed(case: Case) -> list[pytest.MarkDecorator]:
    """What the installed botocore must know to tell enough of an ending."""
    if case.cause == "paused_hook":
        return [model.HOOKS]
    return [model.RECORDS] if case.name == "classic load balancer" else []


@pytest.mark.parametrize("case", [pytest.param(case, marks=needed(case)) for case in ENDINGS], ids=str)
def test_every_ending_is_told_with_its_cause_and_what_to_do(lab: Lab, case: Case) -> None:
    result = run(lab, case)
    check(lab, case, result)
    assert model.unverified(result) == []


def test_the_table_of_endings_has_every_status() -> None:
    assert {case.status for case in ENDINGS} == STATUSES


def test_completed_means_healthy_tasks_of_this_deployment_and_no_others(lab: Lab) -> None:
    result = run(lab, Case("completes", "completed"))
    alive = lab.tasks()
    assert sorted(task["id"] for task in result["tasks"]) == sorted(task["taskArn"][-32:] for task in alive)
    assert result["old_tasks"] == []
    assert {(task["revision"], task["lastStatus"], task["healthStatus"]) for task in result["tasks"]} == {
        (2, "RUNNING", "HEALTHY")
    }
    assert [event["message"] for event in result["events"]][-1].endswith("deployment completed.")
    assert result["events"] == sorted(result["events"], key=lambda event: event["created_at"])


# How long a success takes, in the simulator's seconds: a status that comes too soon is wrong.


@pytest.mark.parametrize(
    ("ending", "seconds"),
    [
        ({"ending": "deferred_cleanup", "linger": 200}, 200),
        ({"ending": "blue_green", "bake_minutes": 5}, 300),
        ({"ending": "task_protection", "protect_minutes": 5}, 300),
        ({"ending": "blue_green", "strategy": "LINEAR", "bake_minutes": 1, "step_minutes": 1}, 240),
    ],
    ids=lambda value: value["ending"] + value.get("strategy", "") if isinstance(value, dict) else "",
)
def test_completed_is_not_said_while_old_tasks_live(lab: Lab, ending: Json, seconds: float) -> None:
    result = run(lab, Case("", "completed", ending))
    assert result["status"] == "completed"
    assert result["elapsed"] > seconds
    assert not [task for task in lab.tasks() if task["startedBy"] != result["deployment_id"]]


def test_a_deployment_that_succeeded_while_old_tasks_linger_is_not_completed(lab: Lab) -> None:
    result = run(lab, Case("", "timed_out", {"ending": "deferred_cleanup", "linger": 5000}))
    record = lab.ecs("ListServiceDeployments", cluster="c", service="s")["serviceDeployments"][0]
    assert record["status"] == "SUCCESSFUL"
    assert result["status"] == "timed_out"
    assert len(result["old_tasks"]) == 2
    assert "older deployment" in result["msg"]


def test_the_progress_tells_what_moves_and_never_the_same_twice(lab: Lab) -> None:
    run(lab, Case("", "completed"))
    assert lab.said[0].startswith("s: 0/2 tasks on revision 2, 2 old draining (0:00)")
    assert any("1/2 tasks on revision 2" in line or "2/2 tasks on revision 2" in line for line in lab.said)
    assert any("old draining" in line for line in lab.said)
    assert lab.said[-1].startswith("s: 2/2 tasks on revision 2 (")
    texts = [line.rpartition(" (")[0] for line in lab.said]
    assert all(one != other for one, other in itertools.pairwise(texts))


def test_no_progress_is_told_when_none_is_wanted(lab: Lab) -> None:
    run(lab, Case("", "completed", options={"progress": False}))
    assert lab.said == []


# The same endings with less evidence

RECORDS = ("ListServiceDeployments", "DescribeServiceDeployments", "DescribeServiceRevisions")
TASKS = ("ListTasks", "DescribeTasks")
OTHERS = (*RECORDS, *TASKS, "DescribeTaskDefinition")


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What of the evidence is missing.

    Attributes:
        denied: operations, from the wait on.
        quirks: of the simulator, as emulators have them.
    """

    name: str
    denied: tuple[str, ...] = ()
    quirks: Json = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


LESS_EVIDENCE = [
    Evidence("only DescribeServices", denied=OTHERS),
    Evidence("no records", denied=RECORDS),
    Evidence("no tasks", denied=TASKS),
    Evidence("ListTasks without DescribeTasks", denied=("DescribeTasks",)),
    Evidence("emulator lists no records", quirks={"service_deployments": "empty"}),
    Evidence("emulator knows no records", quirks={"service_deployments": "missing"}),
    Evidence("emulator names the service", quirks={"started_by": "service_name"}),
    Evidence("emulator does both", quirks={"started_by": "service_name", "service_deployments": "empty"}),
]
WITH_LESS_EVIDENCE = [
    Case("completes", "completed"),
    Case("daemon", "completed", environment=DAEMON),
    Case("desired count 0", "nothing_running", environment={"desired": 0}),
    Case("rolls back", "rolled_back", {"ending": "circuit_breaker"}),
    Case("fails", "failed", {"ending": "circuit_breaker", "rollback": False}),
    Case("crash loop", "failed", {"ending": "crash_loop"}),
    Case("superseded", "superseded", {"ending": "superseded"}),
    Case("no capacity", "stuck", {"ending": "no_capacity"}, cause="no_capacity"),
    Case("deadlock", "stuck", environment=percentages(1, 100, 100), cause="percent_deadlock"),
    Case("too little time", "timed_out", options={"timeout": 10}),
]


def doubts(lab: Lab, evidence: Evidence) -> list[str]:
    """What must be said to be open: of what was asked in vain. A wait that ends soon need not have asked."""
    found = [f"ecs:{call['operation']}" for call in lab.calls() if call["operation"] in evidence.denied]
    if evidence.quirks.get("service_deployments") and lab.calls("ListServiceDeployments"):
        found.append("service deployment: ")
    if evidence.quirks.get("started_by") and lab.tasks() and lab.calls("DescribeTasks"):
        found.append("startedBy")
    return found


@pytest.mark.parametrize("evidence", LESS_EVIDENCE, ids=str)
@pytest.mark.parametrize("case", WITH_LESS_EVIDENCE, ids=str)
def test_the_status_is_right_with_less_evidence_and_what_is_missing_is_said(
    lab: Lab, case: Case, evidence: Evidence
) -> None:
    lab.quirks(**evidence.quirks)
    lab.environment(**case.environment)
    if case.ending:
        lab.sim.script("c", "s", **case.ending)
    rotation = lab.rotate()
    for operation in evidence.denied:
        lab.sim.fault(operation, "denied", times=None)
    lab.sim.clear_calls()
    result = lab.wait(
        deployment_id=rotation["deployment_id"], task_definition=rotation["task_definition"], **case.options
    )
    assert result["status"] == case.status, result
    assert bool(result.get("failed")) is (case.status not in ("completed", "nothing_running"))
    said = " ".join(result["unverified"])
    for text in doubts(lab, evidence):
        assert text in said
    if case.cause:
        assert result["diagnosis"][0]["cause"] == case.cause


EARLY = [case for case in WITH_LESS_EVIDENCE if case.name in ("deadlock", "too little time", "no capacity")]


@pytest.mark.parametrize("case", EARLY, ids=str)
def test_a_wait_that_gives_up_tells_the_tasks_that_are_there(lab: Lab, case: Case) -> None:
    result = run(lab, case)
    alive = lab.tasks()
    mine = [task for task in alive if task["startedBy"] == result["deployment_id"]]
    assert (len(result["tasks"]), len(result["old_tasks"])) == (len(mine), len(alive) - len(mine))
    assert model.unverified(result) == []


@pytest.mark.parametrize("controller", ["CODE_DEPLOY", "EXTERNAL"])
def test_there_is_no_rollout_of_ecs_under_other_controllers(lab: Lab, controller: str) -> None:
    lab.environment(service_options={"deploymentController": {"type": controller}})
    result = lab.wait()
    assert result["failed"] is True
    assert controller in result["msg"]


def test_what_is_denied_is_asked_once(lab: Lab) -> None:
    lab.environment()
    rotation = lab.rotate()
    for operation in OTHERS:
        lab.sim.fault(operation, "denied", times=None)
    lab.sim.clear_calls()
    lab.wait(deployment_id=rotation["deployment_id"], task_definition=rotation["task_definition"])
    assert len(lab.calls("DescribeServices")) > 3
    assert max(len(lab.calls(operation)) for operation in OTHERS) == 1


def test_without_describe_services_there_is_no_wait(lab: Lab) -> None:
    lab.environment()
    lab.sim.fault("DescribeServices", "denied", times=None)
    result = lab.wait()
    assert result["failed"] is True
    assert "allow ecs:DescribeServices" in result["msg"]


def test_a_classic_load_balancer_without_records_is_judged_by_counts(lab: Lab) -> None:
    lab.quirks(service_deployments="empty")
    lab.environment(**LOAD_BALANCED)
    result = lab.rotate_and_wait()
    assert result["status"] == "completed"
    assert any(line.startswith("rolloutState") for line in result["unverified"])
    assert all(task["startedBy"] == result["deployment_id"] for task in lab.tasks())


# What is followed


def test_a_forced_deployment_of_the_same_revision_is_told_by_its_id(lab: Lab) -> None:
    made = lab.environment()
    rotation = lab.rotate(value=lab_value(lab), force_new_deployment=True)
    assert rotation["actions"] == ["update_service"]
    assert rotation["task_definition"] == made["task_definition"]
    assert rotation["deployment_id"] != made["deployment_id"]
    result = lab.wait(deployment_id=rotation["deployment_id"], task_definition=rotation["task_definition"])
    assert result["status"] == "completed"
    assert result["elapsed"] > 30
    assert not {task["id"] for task in result["tasks"]} & {arn[-32:] for arn in made["tasks"]}


def test_a_forced_deployment_that_rolls_back_to_the_same_revision_is_no_success(lab: Lab) -> None:
    lab.environment()
    lab.sim.script("c", "s", ending="circuit_breaker")
    rotation = lab.rotate(value=lab_value(lab), force_new_deployment=True)
    result = lab.wait(deployment_id=rotation["deployment_id"], task_definition=rotation["task_definition"])
    assert result["status"] == "rolled_back"


def lab_value(lab: Lab) -> str:
    """The value that the service runs."""
    entries = lab.definition("s:1")["containerDefinitions"][0]["environment"]
    return next(entry["value"] for entry in entries if entry["name"] == "OPENAI_API_KEY")


def test_without_ids_the_primary_deployment_is_followed(lab: Lab) -> None:
    lab.environment()
    rotation = lab.rotate()
    result = lab.wait()
    assert result["status"] == "completed"
    assert {name: result[name] for name in ("deployment_id", "task_definition")} == {
        name: rotation[name] for name in ("deployment_id", "task_definition")
    }


def test_a_steady_service_is_completed_at_once(lab: Lab) -> None:
    made = lab.environment()
    result = lab.wait()
    assert (result["status"], result["elapsed"]) == ("completed", 0.0)
    assert result["deployment_id"] == made["deployment_id"]


def rolled_back_service(lab: Lab) -> Json:
    """A rotation whose rollback is over when the wait begins."""
    lab.environment()
    lab.sim.script("c", "s", ending="circuit_breaker")
    rotation = lab.rotate()
    lab.sim.advance(1200)
    assert lab.service()["taskDefinition"].endswith(":1")
    assert len(lab.service()["deployments"]) == 1
    return rotation


FOLLOWED = [("deployment_id", "task_definition"), ("deployment_id",), ("task_definition",)]


@model.RECORDS
@pytest.mark.parametrize("names", FOLLOWED, ids="+".join)
def test_a_rollback_that_is_over_is_no_success(lab: Lab, names: tuple[str, ...]) -> None:
    rotation = rolled_back_service(lab)
    result = lab.wait(**{name: rotation[name] for name in names})
    assert result["status"] == "rolled_back"
    assert result["deployment_id"] == rotation["deployment_id"]
    assert result["task_definition"] == rotation["task_definition"]


@pytest.mark.parametrize("names", FOLLOWED, ids="+".join)
def test_a_rollback_that_is_over_is_no_success_without_records(lab: Lab, names: tuple[str, ...]) -> None:
    rotation = rolled_back_service(lab)
    for operation in RECORDS:
        lab.sim.fault(operation, "denied", times=None)
    result = lab.wait(**{name: rotation[name] for name in names})
    # By the revision alone nobody can tell a rollback from somebody else's deployment.
    assert result["status"] in (("rolled_back",) if "deployment_id" in names else ("rolled_back", "superseded"))
    assert result["failed"] is True


def test_an_old_deployment_id_is_superseded(lab: Lab) -> None:
    lab.environment()
    first = lab.rotate()
    lab.sim.advance(600)
    lab.rotate(value="sk-proj-third5555555555555555555555")
    lab.sim.advance(600)
    result = lab.wait(deployment_id=first["deployment_id"], task_definition=first["task_definition"])
    assert result["status"] == "superseded"


@model.RECORDS
def test_a_rollback_that_someone_asks_for_is_told(lab: Lab) -> None:
    lab.environment()
    rotation = lab.rotate()

    done: list[float] = []

    def stop(at: float) -> None:
        if not done:
            done.append(at)
            lab.ecs("StopServiceDeployment", serviceDeploymentArn=rotation["service_deployment_arn"])

    result = lab.wait(deployment_id=rotation["deployment_id"], before_poll=stop)
    assert result["status"] == "rolled_back"
    assert "user request" in result["msg"]


def test_a_service_that_is_deleted_meanwhile_ends_the_wait(lab: Lab) -> None:
    lab.environment()
    lab.rotate()

    def delete(at: float) -> None:
        if lab.service()["status"] == "ACTIVE":
            lab.ecs("DeleteService", cluster="c", service="s", force=True)

    result = lab.wait(before_poll=delete)
    assert result["failed"] is True
    assert "deleted" in result["msg"] or "gone" in result["msg"]


def test_scaling_in_meanwhile_is_no_failure(lab: Lab) -> None:
    lab.environment(desired=4)
    rotation = lab.rotate()
    lab.sim.advance(45)
    lab.sim.set_service("c", "s", desiredCount=2)
    result = lab.wait(deployment_id=rotation["deployment_id"])
    assert result["status"] == "completed"
    assert [task["lastStatus"] for task in result["tasks"]].count("RUNNING") == 2


def test_scaling_out_meanwhile_is_waited_for(lab: Lab) -> None:
    lab.environment(desired=2)
    rotation = lab.rotate()

    def scale(at: float) -> None:
        lab.sim.set_service("c", "s", desiredCount=5 if at > 20 else 2)

    result = lab.wait(deployment_id=rotation["deployment_id"], before_poll=scale)
    assert result["status"] == "completed"
    assert [task["lastStatus"] for task in result["tasks"]] == ["RUNNING"] * 5


# Answers that come late, in pages, or not at once


@pytest.mark.parametrize("operation", ["DescribeServices", "ListServiceDeployments", "ListTasks"])
@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("case", [WITH_LESS_EVIDENCE[0], WITH_LESS_EVIDENCE[3]], ids=str)
def test_an_id_that_appears_late_is_waited_for(lab: Lab, case: Case, operation: str, times: int) -> None:
    lab.environment()
    if case.ending:
        lab.sim.script("c", "s", **case.ending)
    rotation = lab.rotate()
    lab.sim.fault(operation, "stale", times=times)
    result = lab.wait(deployment_id=rotation["deployment_id"], task_definition=rotation["task_definition"])
    assert result["status"] == case.status, result


@model.RECORDS
def test_a_late_record_does_not_leave_a_lasting_doubt(lab: Lab) -> None:
    lab.environment()
    rotation = lab.rotate()
    lab.sim.fault("DescribeServices", "stale", times=2)
    lab.sim.fault("DescribeServiceDeployments", "stale", times=2)
    result = lab.wait(deployment_id=rotation["deployment_id"], task_definition=rotation["task_definition"])
    assert (result["status"], result["unverified"]) == ("completed", [])


def test_more_than_a_hundred_tasks_are_all_looked_at(lab: Lab) -> None:
    lab.environment(desired=120)
    result = lab.rotate_and_wait()
    assert (result["status"], len(result["tasks"])) == ("completed", 120)
    assert {task["revision"] for task in result["tasks"]} == {2}


@pytest.mark.parametrize("kind", ["throttle", "internal", "reset"])
def test_a_call_that_fails_for_a_while_does_not_end_the_wait(lab: Lab, kind: str) -> None:
    lab.environment()
    rotation = lab.rotate()
    with lab.quick_retries() as waited:
        lab.sim.fault("*", kind, times=5, after=3)
        result = lab.wait(deployment_id=rotation["deployment_id"])
    assert result["status"] == "completed"
    assert len(waited) == 5


@pytest.mark.parametrize("kind", ["denied", "expired"])
def test_a_permission_that_is_lost_meanwhile_leaves_a_whole_result(lab: Lab, kind: str) -> None:
    lab.environment()
    rotation = lab.rotate()
    lab.sim.fault("DescribeServices", kind, times=None, after=2)
    result = lab.wait(deployment_id=rotation["deployment_id"])
    assert (result["failed"], result["status"]) == (True, "failed")
    assert result["deployment_id"] == rotation["deployment_id"]
    assert "it cannot be watched: ecs:DescribeServices on service s in cluster c" in result["msg"]
    assert any(line.startswith("service: ecs:DescribeServices") for line in result["unverified"])
    assert [one["cause"] for one in result["diagnosis"]] == ["other"]
    assert "the rollout goes on meanwhile" in result["msg"]
    lab.sim.clear_faults()
    assert lab.wait(deployment_id=rotation["deployment_id"])["status"] == "completed"


def test_a_cluster_that_is_gone_meanwhile_leaves_a_whole_result(lab: Lab) -> None:
    lab.environment()
    lab.rotate()
    lab.sim.fault("DescribeServices", "error", times=None, after=2, code="ClusterNotFoundException", message="Gone.")
    result = lab.wait()
    assert (result["status"], "ClusterNotFoundException" in result["msg"]) == ("failed", True)


def test_scaling_to_nothing_meanwhile_is_told(lab: Lab) -> None:
    lab.environment()
    rotation = lab.rotate()
    lab.sim.advance(45)
    lab.sim.set_service("c", "s", desiredCount=0)
    result = lab.wait(deployment_id=rotation["deployment_id"])
    assert (result["status"], result["tasks"]) == ("nothing_running", [])


def test_throttling_does_not_outlast_the_timeout_for_minutes(lab: Lab) -> None:
    lab.environment()
    rotation = lab.rotate()
    started = lab.sim.now()
    lab.sim.fault("DescribeServices", "throttle", times=None, after=2)
    with lab.quick_retries():
        result = lab.wait(deployment_id=rotation["deployment_id"], timeout=60)
    assert result["status"] == "timed_out"
    assert "cannot be read: ecs:DescribeServices on service s in cluster c failed: ThrottlingException" in result["msg"]
    # One pause of 20 s at most may have begun before, and botocore's own seven attempts of 71 s at most come after.
    assert 60 <= result["elapsed"] <= round(lab.sim.now() - started, 1) < 60 + 20 + 71


# Health


def test_health_is_demanded_as_asked(lab: Lab) -> None:
    for require, status in (("auto", "completed"), ("false", "completed"), ("true", "timed_out")):
        lab = Lab(lab.sim)
        lab.environment(**NO_HEALTH_CHECK)
        result = lab.rotate_and_wait(require_healthy=require)
        assert (require, result["status"]) == (require, status)
    assert "not healthy" in result["msg"]


# The log of a failed task


@pytest.fixture
def logging_lab() -> Iterator[Lab]:
    """A lab whose clock begins now: CloudWatch Logs takes no lines of the future."""
    with standing_still(start_at=None) as sim:
        yield Lab(sim)


OTHER_KEY = "AKIAIOSFODNN7EXAMPLE"
LINES = (
    "starting",
    f"old {OLD} new {NEW}",
    f"connecting to {NEIGHBOUR}",
    "password authentication failed for hunter2hunter2",
    f"key {OTHER_KEY}, token=abcdef123456, sk-ant-0123456789abcdefghij",
    "openai.AuthenticationError: 401",
)
LOG = {"logDriver": "awslogs", "options": {"awslogs-group": "/ecs/s", "awslogs-region": "us-east-1"}}


def failing(lab: Lab, lines: tuple[str, ...] = LINES, log: Json | None = None) -> Json:
    """A rotation whose tasks write lines, run for a while, and end; three have failed when this returns."""
    lab.environment()
    if log is not None:
        lab.sim.patch_task_definition("s:1", ["containerDefinitions", 0, "logConfiguration"], log)
    lab.sim.script("c", "s", ending="crash_loop", cause="container_exit", run_seconds=40)
    rotation = lab.rotate()
    for _unused in range(12):
        lab.sim.advance(20)
        if lines:
            lab.sim.log("c", "s", *lines, deployment_id=rotation["deployment_id"])
    return {name: rotation[name] for name in ("deployment_id", "task_definition")}


def first_finding(lab: Lab, followed: Json) -> Json:
    result = lab.wait(**followed)
    assert result["status"] == "failed"
    found: Json = result["diagnosis"][0]
    assert found["cause"] == "container_exit"
    return found


def assert_lines_are_clean(text: str) -> None:
    assert "openai.AuthenticationError: 401" in text
    for secret in (OTHER_KEY, "hunter2hunter2", "abcdef123456", "sk-ant-0123456789abcdefghij"):
        assert secret not in text
    assert_no_value(text)


def test_the_last_log_lines_of_a_failed_task_are_evidence_without_any_value(logging_lab: Lab) -> None:
    found = first_finding(logging_lab, failing(logging_lab))
    assert "last log lines of app: " in found["evidence"]
    assert_lines_are_clean(found["evidence"])


def test_the_log_lines_do_not_swell_the_message(logging_lab: Lab) -> None:
    result = logging_lab.wait(**failing(logging_lab))
    assert "last log lines" not in result["msg"]
    assert "exited with 1" in result["msg"]


def test_the_action_plugin_shows_the_log_lines_too(logging_lab: Lab, tmp_path: Path, collections_path: str) -> None:
    followed = failing(logging_lab)
    wait = {"keyturn.ecs.ecs_rollout_wait": {"cluster": "c", "service": "s", **followed}}
    plays = [{"hosts": "environments", "gather_facts": False, "tasks": [wait]}]
    hosts = {"production": {"ansible_connection": "local"}}
    with Playbook(tmp_path, collections_path, plays, hosts, logging_lab.sim.environ(), ["-vvv"]) as process:
        assert process.finish() == 2, process.output
    assert "last log lines of app: " in process.output
    assert_lines_are_clean(process.output)


def test_a_log_without_lines_leaves_the_diagnosis_standing(logging_lab: Lab) -> None:
    followed = failing(logging_lab, ())
    assert "exited with 1" in first_finding(logging_lab, followed)["evidence"]


@pytest.mark.parametrize("kind", ["denied", "internal", "reset"])
def test_a_log_that_may_not_be_read_leaves_the_diagnosis_standing(logging_lab: Lab, kind: str) -> None:
    followed = failing(logging_lab)
    logging_lab.sim.fault("GetLogEvents", kind, times=None, service="logs")
    found = first_finding(logging_lab, followed)
    assert "exited with 1" in found["evidence"]
    assert "its log was not read: stream ecs/app/" in found["evidence"]
    assert "of log group /ecs/s" in found["evidence"]


def test_a_log_in_another_region_is_named(logging_lab: Lab) -> None:
    options = {**LOG["options"], "awslogs-region": "eu-central-1", "awslogs-stream-prefix": "ecs"}
    followed = failing(logging_lab, (), {**LOG, "options": options})
    assert "of log group /ecs/s in Region eu-central-1" in first_finding(logging_lab, followed)["evidence"]
    assert not [call for call in logging_lab.sim.calls() if call["service"] == "logs"]


def test_a_log_without_a_prefix_is_found_by_the_containers_id(logging_lab: Lab) -> None:
    followed = failing(logging_lab, (), LOG)
    arns = logging_lab.ecs("ListTasks", cluster="c", serviceName="s", desiredStatus="STOPPED")["taskArns"]
    tasks = logging_lab.ecs("DescribeTasks", cluster="c", tasks=arns)["tasks"]
    logs = logging_lab.sim.client("logs")
    logs.create_log_group(logGroupName="/ecs/s")
    for stream in {
        task["containers"][0]["runtimeId"] for task in tasks if task["startedBy"] == followed["deployment_id"]
    }:
        logs.create_log_stream(logGroupName="/ecs/s", logStreamName=stream)
        event = {"timestamp": round(logging_lab.sim.now() * 1000), "message": "refused"}
        logs.put_log_events(logGroupName="/ecs/s", logStreamName=stream, logEvents=[event])
    assert "last log lines of app: refused" in first_finding(logging_lab, followed)["evidence"]


# Several services


def two_services(lab: Lab, **script: Any) -> list[Json]:
    """`api` and `worker`, both being rotated; the script is the worker's."""
    for name in ("api", "worker"):
        lab.environment(service=name)
    if script:
        lab.sim.script("c", "worker", **script)
    names = ("cluster", "service", "deployment_id", "task_definition")
    rotations = [lab.rotate(service=name) for name in ("api", "worker")]
    return [{name: rotation[name] for name in names} for rotation in rotations]


def test_several_services_are_watched_at_once(lab: Lab) -> None:
    services = two_services(lab)
    result = lab.wait(services=services)
    assert not result.get("failed")
    assert [(one["service"], one["status"]) for one in result["results"]] == [
        ("api", "completed"),
        ("worker", "completed"),
    ]
    assert {line.partition(":")[0] for line in lab.said} == {"api", "worker"}
    # Both roll at the same time, so waiting for both takes little longer than for one.
    assert max(one["elapsed"] for one in result["results"]) < 200


def test_one_of_several_that_fails_is_named_and_the_other_is_waited_for(lab: Lab) -> None:
    result = lab.wait(services=two_services(lab, ending="circuit_breaker", cause="image_pull"))
    assert result["failed"] is True
    assert [one["status"] for one in result["results"]] == ["completed", "rolled_back"]
    assert "worker" in result["msg"] and "rolled_back" in result["msg"]
    assert "api" not in result["msg"]
    assert result["results"][1]["diagnosis"][0]["cause"] == "image_pull"


def test_one_of_several_that_is_not_there_hides_no_other(lab: Lab) -> None:
    services = [{"cluster": "c", "service": "misnamed"}, *two_services(lab)]
    result = lab.wait(services=services)
    assert result["failed"] is True
    assert [(one["service"], one["status"]) for one in result["results"]] == [
        ("misnamed", "failed"),
        ("api", "completed"),
        ("worker", "completed"),
    ]
    assert "There is no service misnamed in cluster c" in result["msg"]
    assert result["results"][0]["diagnosis"][0]["remedy"]


def test_two_that_fail_are_both_named(lab: Lab) -> None:
    services = two_services(lab, ending="superseded")
    lab.sim.advance(1)
    lab.ecs("UpdateService", cluster="c", service="api", forceNewDeployment=True)
    result = lab.wait(services=services)
    assert [one["status"] for one in result["results"]] == ["superseded", "superseded"]
    assert "api: " in result["msg"] and "worker: " in result["msg"]


# What makes no sense is refused before anything is called


REFUSED = [
    ({"timeout": 0}, "timeout"),
    ({"poll_interval": 0}, "poll_interval"),
    ({"max_failed_tasks": -1}, "max_failed_tasks"),
    ({"cluster": ""}, "cluster"),
]


@pytest.mark.parametrize(("options", "named"), REFUSED, ids=str)
def test_options_that_make_no_sense_are_refused(lab: Lab, options: Json, named: str) -> None:
    result = lab.wait(**options)
    assert result["failed"] is True
    assert named in result["msg"]
    assert lab.calls() == []


def test_services_and_the_single_options_exclude_each_other(lab: Lab) -> None:
    result = lab.wait(services=[{"cluster": "c", "service": "s"}], deployment_id="ecs-svc/1")
    assert "deployment_id" in result["msg"]


@pytest.mark.parametrize(
    ("options", "says"),
    [({"service": "other"}, "There is no service other in cluster c"), ({"cluster": "other"}, "ClusterNotFound")],
    ids=["service", "cluster"],
)
def test_what_does_not_exist_is_named(lab: Lab, options: Json, says: str) -> None:
    lab.environment()
    result = lab.wait(**options)
    assert result["failed"] is True
    assert says in result["msg"]


def test_waiting_changes_nothing(lab: Lab) -> None:
    lab.environment()
    rotation = lab.rotate()
    lab.sim.clear_calls()
    lab.wait(deployment_id=rotation["deployment_id"])
    assert lab.writes() == []
    assert with_value(lab.definition("s:1"), NEW) == lab.definition("s:2")["containerDefinitions"]
