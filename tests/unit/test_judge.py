"""The verdict on a rollout: a table of what ECS may show, and what it means."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.keyturn.ecs.plugins.module_utils._ecs import Service
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.diagnose import diagnose
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.judge import (
    Limits,
    Verdict,
    judge,
    percent_deadlock,
    progress,
)
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.snapshot import (
    History,
    Record,
    Snapshot,
    Target,
    Task,
)

MINE, OLD, NEXT = "ecs-svc/2", "ecs-svc/1", "ecs-svc/3"
ARN = "arn:aws:ecs:us-east-1:123456789012:task-definition/api:"
TARGET = Target("c", "api", MINE, ARN + "43")
LIMITS = Limits(timeout=900, max_failed_tasks=3, require_healthy="auto")
MADE = {OLD: 100.0, MINE: 200.0, NEXT: 300.0}


def deployment(which: str, status: str = "PRIMARY", state: str | None = "IN_PROGRESS", **more: Any) -> dict[str, Any]:
    revision = {OLD: "42", MINE: "43", NEXT: "44"}[which]
    return {
        "id": which,
        "status": status,
        "taskDefinition": ARN + revision,
        "rolloutState": state,
        "desiredCount": 2,
        "runningCount": 2,
        **more,
    }


def service(*deployments: dict[str, Any], **more: Any) -> Service:
    parsed = Service.parse(
        {"clusterArn": "x/c", "serviceName": "api", "desiredCount": 2, "deployments": list(deployments), **more}
    )
    return with_times(parsed)


def with_times(parsed: Service) -> Service:
    import dataclasses

    timed = (dataclasses.replace(entry, created_at=MADE[entry.id]) for entry in parsed.deployments)
    return dataclasses.replace(parsed, deployments=tuple(timed))


def task(
    which: str = MINE, last: str = "RUNNING", health: str = "HEALTHY", desired: str = "RUNNING", **more: Any
) -> Task:
    revision = {OLD: "42", MINE: "43"}.get(which, "43")
    return Task.parse(
        {
            "taskArn": f"x/{which[-1]}{last}",
            "taskDefinitionArn": ARN + revision,
            "startedBy": which,
            "lastStatus": last,
            "desiredStatus": desired,
            "healthStatus": health,
            **more,
        }
    )


def record(status: str, **more: Any) -> Record:
    return Record.parse({"serviceDeploymentArn": "r", "status": status, **more})


TWO_NEW = (task(), task())
DONE = service(deployment(MINE, state="COMPLETED"))
MOVING = service(deployment(MINE, runningCount=1), deployment(OLD, "ACTIVE", "COMPLETED"))
BACK = service(deployment(OLD, state="COMPLETED"))
TAKEN = service(deployment(NEXT), deployment(MINE, "ACTIVE", "IN_PROGRESS"))
BREAKER = {"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}}
NO_ROLLBACK = {"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": True, "rollback": False}}}
DEADLOCK = {"deploymentConfiguration": {"minimumHealthyPercent": 100, "maximumPercent": 100}}

CASES: dict[str, tuple[dict[str, Any], str]] = {
    "succeeded, all tasks new and healthy": (
        {"service": DONE, "record": record("SUCCESSFUL"), "tasks": TWO_NEW},
        "completed",
    ),
    "without a record, by rolloutState": ({"service": DONE, "tasks": TWO_NEW}, "completed"),
    "rolloutState is ahead of the record": ({"service": DONE, "record": record("IN_PROGRESS"), "tasks": TWO_NEW}, ""),
    "an old task drains": (
        {
            "service": DONE,
            "record": record("SUCCESSFUL"),
            "tasks": (*TWO_NEW, task(OLD, "DEACTIVATING", desired="STOPPED")),
        },
        "",
    ),
    "an old task stopped": (
        {"service": DONE, "record": record("SUCCESSFUL"), "tasks": (*TWO_NEW, task(OLD, "STOPPED", desired="STOPPED"))},
        "completed",
    ),
    "one task is not healthy yet": (
        {
            "service": DONE,
            "record": record("SUCCESSFUL"),
            "tasks": (task(), task(health="UNKNOWN")),
            "checked": ("app",),
        },
        "",
    ),
    "unknown health without a health check": (
        {"service": DONE, "record": record("SUCCESSFUL"), "tasks": (task(health="UNKNOWN"),) * 2, "checked": ()},
        "completed",
    ),
    "unhealthy without knowing the checks": (
        {"service": DONE, "record": record("SUCCESSFUL"), "tasks": (task(), task(health="UNHEALTHY")), "checked": None},
        "",
    ),
    "fewer tasks than desired": ({"service": DONE, "record": record("SUCCESSFUL"), "tasks": (task(),)}, ""),
    "same revision, another deployment's task": (
        {"service": DONE, "record": record("SUCCESSFUL"), "tasks": (*TWO_NEW, task("ecs-svc/9"))},
        "",
    ),
    "tasks denied, counts right": ({"service": DONE, "tasks": None}, "completed"),
    "tasks denied, an old one counted": (
        {
            "service": service(deployment(MINE, state="COMPLETED"), deployment(OLD, "ACTIVE", "COMPLETED")),
            "tasks": None,
        },
        "",
    ),
    "desired 0": (
        {
            "service": service(deployment(MINE, state="COMPLETED", desiredCount=0, runningCount=0), desiredCount=0),
            "record": record("SUCCESSFUL"),
            "tasks": (),
        },
        "nothing_running",
    ),
    "moving": ({"service": MOVING, "record": record("IN_PROGRESS"), "tasks": (task(), task(OLD))}, ""),
    "rolled back by the record": ({"service": BACK, "record": record("ROLLBACK_SUCCESSFUL")}, "rolled_back"),
    "rolling back": ({"service": BACK, "record": record("ROLLBACK_IN_PROGRESS")}, ""),
    "rollback failed": ({"service": BACK, "record": record("ROLLBACK_FAILED")}, "failed"),
    "stopped": ({"service": service(deployment(MINE)), "record": record("STOPPED")}, "failed"),
    "stopped, since another took over": ({"service": TAKEN, "record": record("STOPPED")}, "superseded"),
    "another took over in the same instant": (
        {"service": TAKEN, "history": History(seen=True, created_at=MADE[NEXT])},
        "superseded",
    ),
    "another took over, no record": ({"service": TAKEN}, "superseded"),
    "another took over after success": ({"service": TAKEN, "record": record("SUCCESSFUL")}, "superseded"),
    "the older one is PRIMARY again, no record": ({"service": BACK}, "rolled_back"),
    "FAILED without rollback": ({"service": service(deployment(MINE, state="FAILED"), **NO_ROLLBACK)}, "failed"),
    "FAILED for an alarm, the older one is PRIMARY and moves": (
        {"service": service(deployment(OLD), deployment(MINE, "ACTIVE", "FAILED"))},
        "",
    ),
    "FAILED, the older one is PRIMARY and completed": (
        {"service": service(deployment(OLD, state="COMPLETED"), deployment(MINE, "ACTIVE", "FAILED"))},
        "rolled_back",
    ),
    "FAILED with rollback": ({"service": service(deployment(MINE, state="FAILED"), **BREAKER)}, ""),
    "the id is not there yet": ({"service": BACK, "history": History(), "at": 3.0}, ""),
    "a newer one is PRIMARY, mine was never seen": (
        {"service": service(deployment(NEXT)), "history": History(), "at": 60.0},
        "superseded",
    ),
    "crash loop": ({"service": service(deployment(MINE, failedTasks=3)), "failed": 3}, "failed"),
    "two failures": ({"service": service(deployment(MINE, failedTasks=2)), "failed": 2}, ""),
    "the breaker is about to trip": ({"service": service(deployment(MINE, failedTasks=3), **BREAKER), "failed": 3}, ""),
    "the breaker does not trip": (
        {"service": service(deployment(MINE, failedTasks=9), **BREAKER), "failed": 9},
        "failed",
    ),
    "percent deadlock": (
        {"service": service(deployment(MINE, runningCount=0), deployment(OLD, "ACTIVE"), **DEADLOCK), "at": 30.0},
        "stuck",
    ),
    "time is up": ({"service": MOVING, "record": record("IN_PROGRESS"), "at": 900.0}, "timed_out"),
    "time is up while old tasks drain": (
        {"service": DONE, "record": record("SUCCESSFUL"), "tasks": (*TWO_NEW, task(OLD)), "at": 900.0},
        "timed_out",
    ),
    "Classic Load Balancer, settled": (
        {"service": service(deployment(MINE, state=None)), "tasks": TWO_NEW},
        "completed",
    ),
    "Classic Load Balancer, moving": (
        {"service": service(deployment(MINE, state=None, runningCount=1)), "tasks": (task(),)},
        "",
    ),
}


def verdict_of(case: dict[str, Any], limits: Limits = LIMITS) -> tuple[Verdict, Snapshot, History]:
    at = case.get("at", 5.0)
    snapshot = Snapshot(at, case["service"], case.get("record"), case.get("tasks", ()), case.get("checked", ()))
    history = case.get("history", History(seen=True, created_at=MADE[MINE], failed=case.get("failed", 0)))
    return judge(snapshot, history, TARGET, limits), snapshot, history


@pytest.mark.parametrize("name", CASES)
def test_verdict(name: str) -> None:
    case, status = CASES[name]
    verdict, _snapshot, _history = verdict_of(case)
    assert verdict.status == status, verdict.reason


@pytest.mark.parametrize("name", [name for name, (_case, status) in CASES.items() if status not in ("", "completed")])
def test_every_ending_has_a_reason_and_a_remedy(name: str) -> None:
    verdict, snapshot, history = verdict_of(CASES[name][0])
    assert verdict.reason
    findings = diagnose(snapshot, history, TARGET, verdict)
    assert findings
    assert all(finding.evidence and finding.remedy for finding in findings)


def test_zero_leaves_crash_loops_to_the_breaker() -> None:
    case = {"service": service(deployment(MINE, failedTasks=50)), "failed": 50}
    assert verdict_of(case, Limits(900, 0, "auto"))[0].status == ""


@pytest.mark.parametrize(("require", "health", "done"), [("true", "UNKNOWN", False), ("false", "UNHEALTHY", True)])
def test_require_healthy(require: str, health: str, done: bool) -> None:
    case = {"service": DONE, "record": record("SUCCESSFUL"), "tasks": (task(health=health),) * 2}
    assert (verdict_of(case, Limits(900, 3, require))[0].status == "completed") is done


@pytest.mark.parametrize(
    ("desired", "low", "high", "dead"),
    [(1, 100, 100, True), (1, 100, 150, True), (3, 100, 125, True), (5, 90, 110, True), (1, 100, 200, False),
     (2, 50, 100, False), (4, 100, 125, False), (0, 100, 100, False)],
)  # fmt: skip
def test_percent_deadlock(desired: int, low: int, high: int, dead: bool) -> None:
    config = {"minimumHealthyPercent": low, "maximumPercent": high}
    assert percent_deadlock(Service.parse({"desiredCount": desired, "deploymentConfiguration": config})) is dead


def test_deadlock_names_the_percents_to_set() -> None:
    verdict, snapshot, history = verdict_of(CASES["percent deadlock"][0])
    finding = diagnose(snapshot, history, TARGET, verdict)[0]
    assert finding.cause == "percent_deadlock"
    assert "maximumPercent to 150" in finding.remedy
    assert "minimumHealthyPercent to 50" in finding.remedy


REASONS = {
    "CannotPullContainerError: pull image manifest has been retried 5 time(s): not found": "image_pull",
    "ResourceInitializationError: unable to pull secrets or registry auth: AccessDeniedException": "secret_access",
    "OutOfMemoryError: Container killed due to memory usage": "out_of_memory",
    "Essential container in task exited": "container_exit",
    "Task failed container health checks": "health_check",
    "Task failed ELB health checks in (target-group arn:aws:x)": "load_balancer_health",
    "Something that nobody knows": "other",
}


@pytest.mark.parametrize("reason", REASONS)
def test_a_failed_task_tells_the_cause(reason: str) -> None:
    failed = task(last="STOPPED", stopCode="TaskFailedToStart", stoppedReason=reason)
    case = {"service": service(deployment(MINE, failedTasks=3)), "failed": 3, "tasks": (failed,)}
    verdict, snapshot, history = verdict_of(case)
    assert [finding.cause for finding in diagnose(snapshot, history, TARGET, verdict)] == [REASONS[reason]]


def test_progress_line() -> None:
    tasks = (task(), task(OLD, "DEACTIVATING", desired="STOPPED"), task(OLD, "DEACTIVATING", desired="STOPPED"))
    drained = service(deployment(MINE, runningCount=1), deployment(OLD, "ACTIVE", "COMPLETED", runningCount=0))
    assert progress(Snapshot(1.0, drained, None, tasks, ()), TARGET) == "1/2 tasks on revision 43, 2 old draining"
    assert progress(Snapshot(1.0, MOVING, None, None, ()), TARGET) == "1/2 tasks on revision 43, 2 old draining"
