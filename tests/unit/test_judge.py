"""The verdict on a rollout: a table of what ECS may show, and what it means."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.keyturn.ecs.plugins.module_utils._ecs import Event, Service
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.diagnose import Finding, diagnose
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.evidence import ContainerSpec, Deployed, Evidence
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.judge import (
    FINAL,
    Limits,
    Verdict,
    judge,
    next_by_time,
    percent_deadlock,
    progress,
)
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.snapshot import (
    NOT_DESCRIBED,
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

PERCENTS = {"minimumHealthyPercent": 100, "maximumPercent": 100}
NO_ROOM = "(service api) was unable to place a task because no container instance met all of its requirements."
PERCENTS_SAID = (
    "(service api) was unable to stop or start tasks during a deployment because of the service deployment "
    "configuration. Update the minimumHealthyPercent or maximumPercent value and try again."
)
DEAD = {"service": service(deployment(MINE, runningCount=0), deployment(OLD, "ACTIVE"), **DEADLOCK)}
HELD_UP = {"service": service(deployment(MINE, runningCount=0), deployment(OLD, "ACTIVE"))}


def blue_green(**more: Any) -> dict[str, Any]:
    return {"deploymentConfiguration": {"strategy": "BLUE_GREEN", **more}}


def breaker_of(kind: str, value: int) -> dict[str, Any]:
    breaker = {"enable": True, "rollback": True, "thresholdConfiguration": {"type": kind, "value": value}}
    return {"deploymentConfiguration": {"deploymentCircuitBreaker": breaker}}


def event(message: str, at: float = 210.0) -> Event:
    return Event(message, at, message)


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
    "percent deadlock, the third poll": (
        {"service": service(deployment(MINE, runningCount=0), deployment(OLD, "ACTIVE"), **DEADLOCK), "at": 3.5},
        "stuck",
    ),
    "percent deadlock, the first polls": (
        {"service": service(deployment(MINE, runningCount=0), deployment(OLD, "ACTIVE"), **DEADLOCK), "at": 1.0},
        "",
    ),
    "percents leave no room, but a new task starts": (
        {"service": service(deployment(MINE, runningCount=0, pendingCount=1), deployment(OLD, "ACTIVE"), **DEADLOCK)},
        "",
    ),
    "percents leave no room, but a new task runs": (
        {"service": service(deployment(MINE, runningCount=1), deployment(OLD, "ACTIVE"), **DEADLOCK)},
        "",
    ),
    "an old task that is to be replaced leaves room": (
        {**DEAD, "at": 30.0, "tasks": (task(OLD), task(OLD, health="UNHEALTHY"))},
        "",
    ),
    "fewer old tasks than desired leave room": (
        {"service": service(deployment(MINE, runningCount=0), deployment(OLD, "ACTIVE", runningCount=1), **DEADLOCK)},
        "",
    ),
    "a deadlocked deployment that is PRIMARY no more": (
        {"service": service(deployment(OLD), deployment(MINE, "ACTIVE", runningCount=0), **DEADLOCK)},
        "",
    ),
    "blue/green has room beside the percents": (
        {"service": service(deployment(MINE, runningCount=0), deployment(OLD, "ACTIVE"), **blue_green(**PERCENTS))},
        "",
    ),
    "no capacity for the stated time": (
        {**HELD_UP, "history": History(True, MADE[MINE], events=(event(NO_ROOM),)), "at": 120.0},
        "stuck",
    ),
    "no capacity, less than the stated time": (
        {**HELD_UP, "history": History(True, MADE[MINE], events=(event(NO_ROOM),)), "at": 119.0},
        "",
    ),
    "no capacity, but a task was started after all": (
        {
            **HELD_UP,
            "history": History(True, MADE[MINE], events=(event(NO_ROOM), event("(service api) has started 1 tasks"))),
            "at": 300.0,
        },
        "",
    ),
    "ECS says itself that the percents hold it up": (
        {**HELD_UP, "history": History(True, MADE[MINE], events=(event(PERCENTS_SAID),)), "at": 130.0},
        "stuck",
    ),
    "a task that ECS lists and does not describe": (
        {"service": DONE, "record": record("SUCCESSFUL"), "tasks": (*TWO_NEW, task("?", NOT_DESCRIBED))},
        "",
    ),
    "an old task in a state of the future": (
        {"service": DONE, "record": record("SUCCESSFUL"), "tasks": (*TWO_NEW, task(OLD, "HIBERNATING"))},
        "",
    ),
    "an old task that is DELETED": (
        {"service": DONE, "record": record("SUCCESSFUL"), "tasks": (*TWO_NEW, task(OLD, "DELETED", desired="STOPPED"))},
        "completed",
    ),
    "tasks of an earlier poll while old ones are counted": (
        {
            "service": service(deployment(MINE, state="COMPLETED"), deployment(OLD, "ACTIVE", "COMPLETED")),
            "record": record("SUCCESSFUL"),
            "tasks": TWO_NEW,
            "fresh": False,
        },
        "",
    ),
    "tasks denied, an old deployment drains": (
        {
            "service": service(
                deployment(MINE, state="COMPLETED"), deployment(OLD, "ACTIVE", "COMPLETED", runningCount=0)
            ),
            "tasks": None,
        },
        "",
    ),
    "tasks denied, a replaced deployment is still listed": (
        {
            "service": service(
                deployment(MINE, state="COMPLETED"), deployment(OLD, "INACTIVE", "COMPLETED", runningCount=0)
            ),
            "tasks": None,
        },
        "completed",
    ),
    "tasks denied, the service counts more than its deployments": (
        {"service": service(deployment(MINE, state="COMPLETED"), runningCount=3), "tasks": None},
        "",
    ),
    "desired 0, its own tasks still stop": (
        {
            "service": service(deployment(MINE, state="COMPLETED", desiredCount=0, runningCount=0), desiredCount=0),
            "record": record("SUCCESSFUL"),
            "tasks": (task(last="DEACTIVATING", desired="STOPPED"),),
        },
        "",
    ),
    "scaled out after success": (
        {"service": service(deployment(MINE, state="COMPLETED"), desiredCount=4), "tasks": TWO_NEW},
        "",
    ),
    "scaled in: an own task drains": (
        {
            "service": service(deployment(MINE, state="COMPLETED", runningCount=1), desiredCount=1),
            "record": record("SUCCESSFUL"),
            "tasks": (task(), task(last="DEACTIVATING", desired="STOPPED")),
        },
        "completed",
    ),
    "a record of the future is no success": (
        {"service": DONE, "record": record("PAUSED_FOR_REVIEW"), "tasks": TWO_NEW},
        "",
    ),
    "stop requested": ({"service": service(deployment(MINE)), "record": record("STOP_REQUESTED")}, ""),
    "rollback requested": ({"service": service(deployment(MINE)), "record": record("ROLLBACK_REQUESTED")}, ""),
    "an alarm that rolls back has not done so yet": (
        {
            "service": service(
                deployment(MINE, state="FAILED", rolloutStateReason="ECS deployment ecs-svc/2: alarm detected."),
                deploymentConfiguration={"alarms": {"alarmNames": ["a"], "enable": True, "rollback": True}},
            )
        },
        "",
    ),
    "the breaker has nothing to roll back to": (
        {
            "service": service(deployment(MINE, state="FAILED"), **BREAKER),
            "history": History(True, MADE[MINE], events=(event("No rollback candidate was found."),)),
        },
        "failed",
    ),
    "gone from the list once": ({"service": BACK, "history": History(True, MADE[MINE], gone_at=3.0), "at": 4.0}, ""),
    "gone from the list for good": (
        {"service": BACK, "history": History(True, MADE[MINE], gone_at=3.0), "at": 8.0},
        "rolled_back",
    ),
    "a breaker that trips at the first failure": (
        {"service": service(deployment(MINE, failedTasks=3), **breaker_of("COUNT", 1)), "failed": 3},
        "",
    ),
    "a breaker far away": (
        {"service": service(deployment(MINE, failedTasks=3), **breaker_of("COUNT", 50)), "failed": 3},
        "failed",
    ),
    "the service is gone": ({"service": None}, "failed"),
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
    snapshot = Snapshot(
        at,
        case["service"],
        case.get("record"),
        case.get("tasks", ()),
        case.get("checked", ()),
        fresh=case.get("fresh", True),
    )
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
    verdict, snapshot, history = verdict_of(CASES["percent deadlock, the third poll"][0])
    finding = diagnose(snapshot, history, TARGET, verdict)[0]
    assert finding.cause == "percent_deadlock"
    assert "maximumPercent to 150" in finding.remedy
    assert "minimumHealthyPercent to 50" in finding.remedy


# Every text that AWS documents for stopped tasks: the cause, and what the remedy must name.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html and the pages below it
PULL = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
ASM = f"{PULL}unable to retrieve secret from asm: service call has been retried 1 time(s): "
ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com/api:2"
REASONS: dict[str, tuple[str, str]] = {
    f"{ASM}failed to fetch secret {{secret}} from secrets manager: AccessDeniedException": (
        "secret_access", "Allow secretsmanager:GetSecretValue on {secret} to the execution role {role}"),
    f"{ASM}failed to fetch secret arn:aws:secretsmanager:us-east-1:1:secret:EFS/awslogs/kms-a1B2c3 from secrets "
    "manager: AccessDeniedException": (
        "secret_access", "Allow secretsmanager:GetSecretValue on arn:aws:secretsmanager:us-east-1:1"),
    f"{ASM}retrieved secret from Secrets Manager did not contain json key OPENAI": ("secret_access", "that key"),
    f"{ASM}failed to fetch secret {{secret}} from secrets manager: ResourceNotFoundException: Secrets Manager can't "
    "find the specified secret.": ("secret_access", "Make {secret}"),
    f"{ASM}failed to fetch secret {{secret}} from secrets manager: AccessDeniedException: Access to KMS is not allowed":
        ("secret_access", "kms:Decrypt"),
    f"{ASM}failed to fetch secret {{secret}} from secrets manager: RequestCanceled: request context canceled caused "
    "by: context deadline exceeded": ("secret_access", "VPC endpoint"),
    f"{PULL}unable to retrieve secrets from ssm: AccessDeniedException": ("secret_access", "Allow ssm:GetParameters"),
    f"{PULL}unable to retrieve secrets from ssm: invalid ssm parameters: /api/key": ("secret_access", "valueFrom"),
    f"{PULL}unable to get registry auth from asm: AccessDeniedException": ("secret_access", "GetSecretValue"),
    f"{PULL}unable to retrieve ecr registry auth: service call has been retried 3 time(s): RequestError: send request "
    'failed caused by: Post "https://api.ecr.us-east-1.amazonaws.com/": dial tcp: i/o timeout': (
        "image_pull", "ecr.api"),
    "ResourceInitializationError: unable to pull secrets or registry auth: The task cannot pull registry auth from "
    "Amazon ECR: There is a connection issue between the task and Amazon ECR.": ("image_pull", "Amazon ECR"),
    f"CannotPullContainerError: pull image manifest has been retried 5 time(s): {ECR}: not found": ("image_pull", ECR),
    "CannotPullContainerError: image Manifest does not contain descriptor matching platform 'linux/amd64'": (
        "image_pull", "cpuArchitecture"),
    "CannotPullContainerError: ref pull has been retried 5 time(s): toomanyrequests: You have reached your pull rate "
    "limit.": ("image_pull", "limits pulls"),
    "CannotPullContainerError: write /var/lib/docker/tmp/x: no space left on device": ("image_pull", "disk"),
    'CannotPullContainerError: Error response from daemon: Get "https://registry-1.docker.io/v2/": net/http: request '
    "canceled while waiting for connection (Client.Timeout exceeded)": ("image_pull", "NAT gateway"),
    "CannotPullContainerError: AccessDeniedException: User: arn:aws:sts::1:assumed-role/r is not authorized to "
    "perform: ecr:GetAuthorizationToken": ("image_pull", "ecr:BatchGetImage"),
    "CannotPullECRContainerError: AccessDeniedException": ("image_pull", "may pull it"),
    "CannotPullImageManifestError: Error response from daemon": ("image_pull", "tag"),
    "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed to "
    "create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist. : exit": (
        "other", "Make the log group of /ecs/api"),
    "CannotStartContainerError: Error response from daemon: failed to initialize logging driver: failed to create "
    "Cloudwatch log stream: AccessDeniedException": ("other", "logs:CreateLogStream"),
    "ResourceInitializationError: failed to download env files: file download command: non empty error stream": (
        "other", "s3:GetObject"),
    "ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes: stderr: b'mount.nfs4: "
    "Connection reset by peer'": ("other", "2049"),
    "CannotCreateVolumeError: VolumeDriver.Mount: mounting volume failed": ("other", "volumes"),
    "ResourceInitializationError: failed to configure ENI: failed to setup regular eni": ("other", "network interface"),
    "ECS was unable to assume the role 'arn:aws:iam::123456789012:role/gone' that was provided for this task. Please "
    "verify that the role being passed has the proper trust relationship and permissions": (
        "other", "role/gone: check that"),
    "Fargate requires task definition to have execution role ARN to support ECR images.": ("other", "executionRoleArn"),
    "Unexpected EC2 error while attempting to Create Network Interface in subnet 'subnet-1': "
    "InsufficientFreeAddressesInSubnet": ("no_capacity", "no free IP"),
    "You've reached the limit on the number of vCPUs you can run concurrently": ("no_capacity", "Service Quotas"),
    "Capacity is unavailable at this time. Please try again later or in a different availability zone": (
        "no_capacity", "Availability Zones"),
    **{f"RESOURCE:{what}": ("no_capacity", words) for what, words in (
        ("MEMORY", "less CPU and memory"), ("CPU", "less CPU and memory"), ("ENI", "awsvpcTrunking"),
        ("PORTS", "port is taken"), ("GPU", "GPUs"))},
    "AGENT": ("no_capacity", "agent"),
    "ATTRIBUTE": ("no_capacity", "placementConstraints"),
    "MemberOf placement constraint unsatisfied.": ("no_capacity", "placementConstraints"),
    "EMPTY CAPACITY PROVIDER": ("no_capacity", "Auto Scaling group"),
    "No Container Instances were found in your cluster.": ("no_capacity", "Auto Scaling group"),
    "OutOfMemoryError: Container killed due to memory usage": ("out_of_memory", "more memory"),
    "Task failed container health checks": ("health_check", "app: CMD-SHELL curl"),
    "Task failed ELB health checks in (target-group arn:aws:x)": ("load_balancer_health", "target group"),
    "Task failed ELB health checks in (elb classic)": ("load_balancer_health", "path"),
    "Task failed VPC Lattice health checks": ("load_balancer_health", "path"),
    'CannotStartContainerError: OCI runtime create failed: exec: "/app/run": stat /app/run: no such file': (
        "container_exit", "entryPoint"),
    "CannotStartContainerError: exec /app/run: exec format error": ("container_exit", "architecture"),
    "Essential container in task exited": ("container_exit", "log"),
    "ContainerRuntimeTimeoutError: Could not transition to running; timed out after waiting 1m": ("other", "runtime"),
    "DockerTimeoutError: Could not transition to created; timed out after waiting 4m0s": ("other", "runtime"),
    "InternalError: failed": ("other", "ECS itself"),
    "Something that nobody knows": ("other", "stopped task error codes"),
}  # fmt: skip
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/openai-a1B2c3"
ROLE = "arn:aws:iam::123456789012:role/api-execution"
API = ContainerSpec("app", ECR, True, "CMD-SHELL curl -f localhost", (SECRET,), "/ecs/api", "us-east-1", "ecs")
KNOWN = Evidence(Deployed(ROLE, (API,)))


def findings_of(case: dict[str, Any], evidence: Evidence = KNOWN) -> list[Finding]:
    verdict, snapshot, history = verdict_of(case)
    return diagnose(snapshot, history, TARGET, verdict, evidence, limits=LIMITS)


def stopped(reason: str, code: str = "TaskFailedToStart", *exits: tuple[str, int, str]) -> Task:
    containers = [{"name": name, "exitCode": exit_code, "reason": why} for name, exit_code, why in exits]
    return task(last="STOPPED", desired="STOPPED", stopCode=code, stoppedReason=reason, containers=containers)


@pytest.mark.parametrize("reason", REASONS)
def test_a_failed_task_tells_the_cause_and_what_to_do(reason: str) -> None:
    cause, names = REASONS[reason]
    failed = stopped(reason.replace("{secret}", SECRET))
    case = {"service": service(deployment(MINE, failedTasks=3)), "failed": 3, "tasks": (failed,)}
    findings = findings_of(case)
    assert [finding.cause for finding in findings] == [cause], findings
    assert names.replace("{secret}", SECRET).replace("{role}", ROLE) in findings[0].remedy
    assert reason.replace("{secret}", SECRET) in findings[0].evidence


ESSENTIAL = "Essential container in task exited"
EXITS = [
    ((("app", 1, ""),), "container_exit", "refuses the new value"),
    ((("app", 137, "OutOfMemoryError: Container killed due to memory usage"),), "out_of_memory", "more memory"),
    ((("app", 137, ""),), "container_exit", "SIGKILL"),
    ((("app", 139, ""),), "container_exit", "segmentation"),
    ((("app", 143, ""),), "container_exit", "SIGTERM"),
    ((("app", 127, ""),), "container_exit", "entryPoint"),
    ((("app", 0, ""),), "container_exit", "ends by itself"),
    ((("efs-alarm", 1, ""),), "container_exit", "refuses the new value"),
    # The sidecar is ended by ECS, since the other container did.
    ((("sidecar", 137, ""), ("app", 1, "")), "container_exit", "refuses the new value"),
]


@pytest.mark.parametrize(("exits", "cause", "names"), EXITS, ids=str)
def test_exit_codes_tell_what_to_do(exits: tuple[tuple[str, int, str], ...], cause: str, names: str) -> None:
    failed = stopped(ESSENTIAL, "EssentialContainerExited", *exits)
    case = {"service": service(deployment(MINE, failedTasks=3)), "failed": 3, "tasks": (failed,)}
    (finding,) = findings_of(case)
    assert finding.cause == cause
    assert names in finding.remedy
    assert all(f"{name} exited with {code}" in finding.evidence for name, code, _why in exits)


# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
EVENTS: dict[str, tuple[str, str]] = {
    NO_ROOM: ("no_capacity", "Add container instances"),
    f"{NO_ROOM} The closest matching (container-instance 1) has insufficient CPU units available.": (
        "no_capacity", "less CPU"),
    f"{NO_ROOM} The closest matching (container-instance 1) is already using a port required by your task.": (
        "no_capacity", "port"),
    f'{NO_ROOM} The closest matching container-instance 1 encountered error "AGENT".': ("no_capacity", "agent"),
    f"{NO_ROOM} The closest matching (container-instance 1) is missing an attribute required by your task.": (
        "no_capacity", "attributes"),
    f"{NO_ROOM} Reason: No Container Instances were found in your cluster.": ("no_capacity", "Auto Scaling"),
    "(service api) was unable to place a task. Reason: You've reached the limit on the number of tasks you can run "
    "concurrently": ("no_capacity", "Service Quotas"),
    "(service api) was unable to place a task. Reason: The requested CPU configuration is above your limit": (
        "no_capacity", "Service Quotas"),
    "(service api) was unable to place a task. Reason: Capacity is unavailable at this time. Please try again later or "
    "in a different availability zone.": ("no_capacity", "Availability Zones"),
    f"(service api) was unable to place a task. Reason: {ASM}retrieved secret from Secrets Manager did not contain "
    "json key OPENAI.": ("secret_access", "that key"),
    "(service api) was unable to place a task. Reason: Internal error.": ("other", "ECS itself"),
    PERCENTS_SAID: ("percent_deadlock", "maximumPercent"),
    "(service api) (instance i-1) (port 80) is unhealthy in (target-group arn:aws:x) due to (reason Health checks "
    "failed with these codes: [502])": ("load_balancer_health", "path"),
    "(service api) (instance i-1) is unhealthy in (elb classic) due to (reason Instance has failed at least the "
    "UnhealthyThreshold number of health checks consecutively.)": ("load_balancer_health", "path"),
    "(service api) failed to register targets in (target-group arn:aws:x) with (error TargetGroupNotFound)": (
        "load_balancer_health", "path"),
    "(service api) (task 1) failed container health checks.": ("health_check", "curl"),
    "(service api) was unable to scale in due to (reason 2 tasks under protection: the number of protected tasks "
    "exceeds the desired number of tasks)": ("task_protection", "UpdateTaskProtection"),
    "(service api) failed to launch a task with (error ECS was unable to assume the role 'arn:aws:iam::1:role/gone' "
    "that was provided for this task.)": ("other", "arn:aws:iam::1:role/gone"),
    "(service api) (deployment ecs-svc/2) deployment failed: alarm detected.": ("alarm", "api-5xx"),
    "(service api) (deployment ecs-svc/2) deployment failed: tasks failed to start.": (
        "circuit_breaker", "stopped tasks"),
    "(service api) is unable to consistently start tasks successfully. For more information, see the Troubleshooting "
    "section.": ("other", "stopped tasks"),
    "(service api) operations are being throttled. Will try again later.": ("other", "throttled"),
}  # fmt: skip
SILENT = [
    "(service api) has started 2 tasks: (task 1) (task 2).",
    "(service api) has reached a steady state.",
    "(service api) registered 1 targets in (target-group arn:aws:x)",
    "(service api) has begun draining connections on 1 tasks.",
    "(service alarm-unable-oom) has stopped 1 running tasks: (task 1).",
    "(service api) (deployment ecs-svc/2) deployment in progress.",
]


def with_event(message: str) -> dict[str, Any]:
    config = {"deploymentConfiguration": {"alarms": {"alarmNames": ["api-5xx"], "enable": True, "rollback": False}}}
    listed = service(deployment(MINE, runningCount=1), deployment(OLD, "ACTIVE", runningCount=1), **config)
    return {"service": listed, "history": History(True, MADE[MINE], events=(event(message),)), "at": 900.0}


@pytest.mark.parametrize("message", EVENTS)
def test_an_event_tells_the_cause_and_what_to_do(message: str) -> None:
    cause, names = EVENTS[message]
    finding = findings_of(with_event(message))[0]
    assert (finding.cause, finding.evidence.endswith(message[14:])) == (cause, True)
    assert names in finding.remedy


def test_what_made_tasks_fail_comes_before_that_the_breaker_tripped() -> None:
    tripped = event("(service api) (deployment ecs-svc/2) deployment failed: tasks failed to start.", 240.0)
    case = {**with_event(UNHEALTHY), "history": History(True, MADE[MINE], events=(event(UNHEALTHY), tripped))}
    assert [finding.cause for finding in findings_of(case)] == ["health_check", "circuit_breaker"]


@pytest.mark.parametrize("message", SILENT)
def test_an_event_of_success_tells_no_cause(message: str) -> None:
    (finding,) = findings_of(with_event(message))
    assert finding.cause == "other"
    assert "larger timeout" in finding.remedy


def test_every_cause_of_the_contract_can_be_told() -> None:
    told = {cause for cause, _names in (*REASONS.values(), *EVENTS.values())}
    told |= {finding.cause for case, _status in SHOWN.values() for finding in findings_of(case)}
    assert told == CONTRACT


def hooked(status: str, **more: Any) -> Record:
    return record("IN_PROGRESS", lifecycleHookDetails=[{"hookId": "h1", "status": status, **more}])


EARLY = {"earlySuccessCriteria": {"enable": True, "healthyPercent": 100, "sourceServiceRevisionCleanup": "DEFERRED"}}
GROUP = "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/api/1"
PAUSE = blue_green(lifecycleHooks=[{"targetType": "PAUSE", "lifecycleStages": ["POST_SCALE_UP"]}])
UNHEALTHY = "(service api) (task 1) failed container health checks."
LATE: dict[str, Any] = {"at": 900.0}
TRIPPED = "ECS deployment circuit breaker: tasks failed to start."
FAILING = service(deployment(MINE, failedTasks=3, runningCount=0), deployment(OLD, "ACTIVE"))
LINGERING = (*TWO_NEW, task(OLD, "DEACTIVATING", desired="STOPPED"), task(OLD))

# What is shown without a text of AWS's: the cause of the first finding, and words of evidence and remedy.
SHOWN: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "old tasks outlive the success": (
        {"service": DONE, "record": record("SUCCESSFUL"), "tasks": LINGERING, **LATE},
        ("other", "2 old task(s)", "1 of them draining", "larger timeout", "ecs:GetTaskProtection"),
    ),
    "old tasks outlive an early success": (
        {
            "service": service(deployment(MINE, state="COMPLETED"), deploymentConfiguration=EARLY),
            "record": record("SUCCESSFUL"), "tasks": LINGERING, **LATE,
        },
        ("other", "2 old task(s)", "sourceServiceRevisionCleanup DEFERRED", "BLOCKING"),
    ),
    "old tasks behind a load balancer": (
        {
            "service": service(deployment(MINE, state="COMPLETED"), loadBalancers=[{"targetGroupArn": GROUP}]),
            "record": record("SUCCESSFUL"), "tasks": LINGERING, **LATE,
        },
        ("other", GROUP, "deregistration_delay.timeout_seconds"),
    ),
    "old tasks are counted only": (
        {
            "service": service(deployment(MINE, state="COMPLETED"), deployment(OLD, "ACTIVE", "COMPLETED")),
            "tasks": None, **LATE,
        },
        ("other", "2 old task(s)", "larger timeout"),
    ),
    "paused": (
        {"service": service(deployment(MINE), **PAUSE), "record": hooked("AWAITING_ACTION"), **LATE},
        ("paused_hook", "h1", "ecs:ContinueServiceDeployment"),
    ),
    "paused, without a record": (
        {"service": service(deployment(MINE), deployment(OLD, "ACTIVE"), **PAUSE), **LATE},
        ("paused_hook", "probably", "POST_SCALE_UP", "ecs:ContinueServiceDeployment", "ecs:DescribeServiceDeployments"),
    ),
    "a function that does not answer": (
        {"service": service(deployment(MINE), **PAUSE), "record": hooked("IN_PROGRESS", targetArn="arn:aws:lambda:x"),
         **LATE},
        ("other", "arn:aws:lambda:x", "not done", "log of the hook's function"),
    ),
    "a function that refused": (
        {"service": BACK, "record": record("ROLLBACK_SUCCESSFUL", lifecycleHookDetails=[
            {"hookId": "h1", "status": "FAILED", "targetArn": "arn:aws:lambda:x"}])},
        ("other", "arn:aws:lambda:x", "failed", "log of the hook's function"),
    ),
    "failures that may not be looked at": (
        {"service": FAILING, "failed": 3, "tasks": None},
        ("other", "3 failed task(s)", "ecs:ListTasks", "ecs:DescribeTasks"),
    ),
    "failures that may not be looked at, and an event": (
        {
            "service": FAILING, "tasks": None,
            "history": History(True, MADE[MINE], failed=3, events=(event("(service api) (task 1) failed container "
                                                                         "health checks."),)),
        },
        ("health_check", "failed container health checks", "curl"),
    ),
    "failures that are forgotten": (
        {"service": FAILING, "failed": 3, "tasks": ()}, ("other", "3 failed task(s)", "for an hour"),
    ),
    "the breaker, without tasks": (
        {"service": service(deployment(MINE, state="FAILED", rolloutStateReason=TRIPPED), **NO_ROLLBACK), "failed": 3,
         "tasks": None},
        ("circuit_breaker", TRIPPED, "ecs:ListTasks"),
    ),
    "the breaker, by the record": (
        {"service": BACK, "record": record("ROLLBACK_SUCCESSFUL", rollback={
            "reason": "Service deployment rolled back because the circuit breaker threshold was exceeded."})},
        ("circuit_breaker", "threshold was exceeded"),
    ),
    "an alarm, by the record": (
        {"service": BACK, "record": record("ROLLBACK_SUCCESSFUL", alarms={"triggeredAlarmNames": ["api-5xx"]})},
        ("alarm", "api-5xx went off"),
    ),
    "an alarm, by a reason": (
        {"service": BACK, "record": record("ROLLBACK_SUCCESSFUL", rollback={
            "reason": "Service deployment rolled back because a CloudWatch alarm was triggered."})},
        ("alarm", "alarm was triggered"),
    ),
    "a user's rollback": (
        {"service": BACK, "record": record("ROLLBACK_SUCCESSFUL", rollback={
            "reason": "Service deployment rolled back due to user request."})},
        ("other", "user request", "ecs:StopServiceDeployment"),
    ),
    "a user's stop": (
        {"service": service(deployment(MINE)), "record": record("STOPPED", statusReason="Stopped by user request.")},
        ("other", "user request", "ecs:StopServiceDeployment"),
    ),
    "a stop without a reason": (
        {"service": service(deployment(MINE)), "record": record("STOPPED")}, ("other", "stopped", "both revisions"),
    ),
    "a rollback that failed": (
        {"service": service(deployment(MINE)), "record": record(
            "ROLLBACK_FAILED", statusReason="No rollback candidate was found to run the rollback.")},
        ("other", "No rollback candidate"),
    ),
    "not healthy": (
        {"service": service(deployment(MINE, state="COMPLETED")), "record": record("SUCCESSFUL"), "checked": ("app",),
         "tasks": (task(), task(health="UNHEALTHY")), **LATE},
        ("health_check", "is UNHEALTHY", "curl"),
    ),
    "waits for a place": (
        {"service": service(deployment(MINE, runningCount=0, pendingCount=2), deployment(OLD, "ACTIVE")), **LATE,
         "tasks": (task(last="PROVISIONING"), task(OLD))},
        ("no_capacity", "PROVISIONING", "Auto Scaling group"),
    ),
    "Spot": (
        {"service": MOVING, **LATE, "tasks": (stopped("Your Spot Task was interrupted.", "SpotInterruption"),)},
        ("no_capacity", "interrupted", "Spot"),
    ),
    "the host was lost": (
        {"service": MOVING, **LATE, "tasks": (stopped("Host EC2 (instance i-1) terminated.", "TerminationNotice"),)},
        ("other", "terminated", "host was lost"),
    ),
    "somebody stops tasks": (
        {"service": MOVING, **LATE, "tasks": (stopped("Task stopped by user", "UserInitiated"),)},
        ("other", "stopped by user", "who stopped it"),
    ),
    "ECS scales in": (
        {"service": MOVING, **LATE,
         "tasks": (stopped("Scaling activity initiated by (deployment ecs-svc/2)", "ServiceSchedulerInitiated"),)},
        ("other", "not over after 900 s", "larger timeout"),
    ),
    "taken over": ({"service": TAKEN}, ("superseded", "took over", "who deployed")),
    "deleted": ({"service": None}, ("other", "the service is gone", "who deleted")),
}  # fmt: skip


@pytest.mark.parametrize("name", SHOWN)
def test_what_is_shown_without_words_is_told_specifically(name: str) -> None:
    case, (cause, *words) = SHOWN[name]
    finding = findings_of(case)[0]
    assert finding.cause == cause, finding
    said = f"{finding.evidence} {finding.remedy}"
    assert [word for word in words if word not in said] == [], said


def test_protected_old_tasks_are_named_first() -> None:
    case = {"service": DONE, "record": record("SUCCESSFUL"), "tasks": LINGERING, **LATE}
    findings = findings_of(case, Evidence(KNOWN.definition, ("1DEACTIVATING",)))
    assert [finding.cause for finding in findings] == ["task_protection", "other"]


def test_a_task_without_a_stop_code_fails_by_its_reason() -> None:
    assert stopped("CannotPullContainerError: not found", "").failed
    assert not stopped("Scaling activity initiated by (deployment ecs-svc/2)", "").failed


@pytest.mark.parametrize(("created", "counted"), [(250.0, 1), (150.0, 0)])
def test_where_tasks_name_no_deployment_their_age_tells_whose_failure(created: float, counted: int) -> None:
    failed = task(last="STOPPED", stopCode="TaskFailedToStart", createdAt=created)
    anonymous = dataclasses.replace(failed, started_by="api")
    snapshot = Snapshot(1.0, service(deployment(MINE)), None, (anonymous,), ())
    assert len(snapshot.failed_tasks(TARGET)) == counted


def test_where_tasks_name_no_deployment_an_older_task_of_the_same_revision_is_an_old_one() -> None:
    older, younger = (dataclasses.replace(task(createdAt=at), started_by="api") for at in (150.0, 250.0))
    snapshot = Snapshot(1.0, DONE, None, (older, younger), ())
    assert (snapshot.old_tasks(TARGET), snapshot.new_tasks(TARGET)) == ((older,), (younger,))


def test_reading_more_is_no_move() -> None:
    counted = service(deployment(MINE, runningCount=0), deployment(OLD, "ACTIVE"))
    history = History().add(Snapshot(0.0, counted, None, None, ()), TARGET)
    history = history.add(Snapshot(100.0, counted, record("IN_PROGRESS"), TWO_NEW, ()), TARGET)
    assert history.moved_at == 0.0
    staged = record("IN_PROGRESS", lifecycleStage="BAKE_TIME")
    assert history.add(Snapshot(110.0, counted, staged, TWO_NEW, ()), TARGET).moved_at == 110.0


def test_events_before_the_deployment_are_left_out_once_its_age_is_known() -> None:
    old = {"id": "1", "createdAt": 100.0, "message": NO_ROOM}
    history = History().add(Snapshot(0.0, service(events=[old]), None, None, ()), TARGET)
    assert [one.message for one in history.events] == [NO_ROOM]
    assert History.add(history, Snapshot(1.0, service(deployment(MINE)), None, None, ()), TARGET).events == ()


@pytest.mark.parametrize(
    ("case", "at"),
    [
        ("percent deadlock, the first polls", 2.0),
        ("no capacity, less than the stated time", 120.0),
        ("gone from the list once", 8.0),
        ("the id is not there yet", 30.0),
        ("moving", 900.0),
    ],
)
def test_the_next_poll_comes_when_time_alone_decides(case: str, at: float) -> None:
    _verdict, snapshot, history = verdict_of(CASES[case][0])
    assert next_by_time(snapshot.at, snapshot, history, TARGET, LIMITS) == at


# Whatever ECS answers

CONTRACT = {
    "image_pull", "secret_access", "out_of_memory", "container_exit", "health_check", "load_balancer_health",
    "no_capacity", "percent_deadlock", "circuit_breaker", "alarm", "superseded", "paused_hook", "task_protection",
    "other",
}  # fmt: skip
STATUSES = {"", "completed", "rolled_back", "failed", "superseded", "stuck", "timed_out", "nothing_running"}
ANY_TASK = st.builds(
    task,
    st.sampled_from([MINE, OLD, NEXT, "api"]),
    st.sampled_from(["PROVISIONING", "PENDING", "RUNNING", "DEACTIVATING", "STOPPED", "DELETED", NOT_DESCRIBED, "NEW"]),
    st.sampled_from(["HEALTHY", "UNHEALTHY", "UNKNOWN", "NEW"]),
    st.sampled_from(["RUNNING", "STOPPED"]),
    stopCode=st.sampled_from(["", "TaskFailedToStart", "EssentialContainerExited", "SpotInterruption", "NEW"]),
    stoppedReason=st.sampled_from(["", *REASONS]),
)
ANY_DEPLOYMENT = st.builds(
    deployment,
    st.sampled_from([MINE, OLD, NEXT]),
    st.sampled_from(["PRIMARY", "ACTIVE", "INACTIVE", "NEW"]),
    st.sampled_from(["IN_PROGRESS", "COMPLETED", "FAILED", None, "NEW"]),
    desiredCount=st.integers(0, 3),
    runningCount=st.integers(0, 3),
    pendingCount=st.integers(0, 2),
    failedTasks=st.integers(0, 4),
)
ANY_RECORD = st.none() | st.builds(
    record,
    st.sampled_from([*FINAL, "PENDING", "IN_PROGRESS", "STOP_REQUESTED", "ROLLBACK_REQUESTED", "NEW"]),
    statusReason=st.sampled_from(["", "user request", TRIPPED]),
    lifecycleHookDetails=st.lists(
        st.builds(
            lambda status: {"hookId": "h", "status": status},
            st.sampled_from(["AWAITING_ACTION", "TIMED_OUT", "FAILED", "IN_PROGRESS", "NEW"]),
        ),
        max_size=2,
    ),
)
ANY_CONFIGURATION = st.sampled_from([{}, BREAKER, NO_ROLLBACK, DEADLOCK, PAUSE, breaker_of("COUNT", 1)])


# Found by a search: what is listed as INACTIVE may still count tasks.
@example(
    listed=[deployment(OLD, "INACTIVE", desiredCount=0, runningCount=1)],
    desired=1,
    configuration={},
    told=record("SUCCESSFUL"),
    tasks=None,
    message=next(iter(EVENTS)),
    at=0.0,
)
@given(
    listed=st.lists(ANY_DEPLOYMENT, max_size=3, unique_by=lambda entry: entry["id"]),
    desired=st.integers(0, 3),
    configuration=ANY_CONFIGURATION,
    told=ANY_RECORD,
    tasks=st.none() | st.lists(ANY_TASK, max_size=5).map(tuple),
    message=st.sampled_from([*EVENTS, *SILENT]),
    at=st.sampled_from([0.0, 5.0, 130.0, 900.0]),
)
def test_whatever_ecs_answers_there_is_a_verdict_of_the_contract(
    listed: list[dict[str, Any]],
    desired: int,
    configuration: dict[str, Any],
    told: Record | None,
    tasks: tuple[Task, ...] | None,
    message: str,
    at: float,
) -> None:
    shown = service(*listed, desiredCount=desired, **configuration)
    snapshot = Snapshot(at, shown, told, tasks, ("app",))
    history = History().add(dataclasses.replace(snapshot, at=0.0), TARGET)
    history = dataclasses.replace(history, events=(event(message),))
    verdict = judge(snapshot, history, TARGET, LIMITS)
    assert verdict.status in STATUSES
    assert verdict.over or at < LIMITS.timeout
    assert next_by_time(at, snapshot, history, TARGET, LIMITS) > at
    if verdict.status == "completed":
        assert told is None or told.status == "SUCCESSFUL"
        assert not snapshot.old_tasks(TARGET)
        assert all(one.health == "HEALTHY" for one in snapshot.new_tasks(TARGET) if one.last_status == "RUNNING"
                   and not one.draining)  # fmt: skip
        assert tasks is not None or not [one for one in shown.deployments if one.id != MINE and one.running]
    findings = diagnose(snapshot, history, TARGET, verdict, KNOWN, limits=LIMITS)
    assert findings
    assert {finding.cause for finding in findings} <= CONTRACT
    assert all(finding.evidence and "{" not in finding.remedy for finding in findings if verdict.over)


def test_progress_line() -> None:
    tasks = (task(), task(OLD, "DEACTIVATING", desired="STOPPED"), task(OLD, "DEACTIVATING", desired="STOPPED"))
    drained = service(deployment(MINE, runningCount=1), deployment(OLD, "ACTIVE", "COMPLETED", runningCount=0))
    assert progress(Snapshot(1.0, drained, None, tasks, ()), TARGET) == "1/2 tasks on revision 43, 2 old draining"
    assert progress(Snapshot(1.0, MOVING, None, None, ()), TARGET) == "1/2 tasks on revision 43, 2 old draining"
