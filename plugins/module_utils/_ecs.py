# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What both sides, the rotation and the rollout, read of ECS: names, services, deployments.

Follows https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServices.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ._aws import Aws
from ._errors import GoneError, KeyturnError

SERVICES_BATCH = 10
TASKS_BATCH = 100


def last_part(name_or_arn: str) -> str:
    """Return what stands after an ARN's last slash: the name of a service, ``family:revision`` of a task definition."""
    return name_or_arn.rsplit("/", 1)[-1]


def without_nulls(data: Any) -> Any:
    """JSON without the members that are null, as botocore leaves them out of what it parses."""
    if isinstance(data, dict):
        return {name: without_nulls(value) for name, value in data.items() if value is not None}
    return [without_nulls(value) for value in data if value is not None] if isinstance(data, list) else data


def definition_in(answer: Mapping[str, Any], on: str) -> Mapping[str, Any]:
    """The task definition that an answer describes; raises KeyturnError where an endpoint answers without one."""
    found: Mapping[str, Any] | None = answer.get("taskDefinition")
    if not found:
        raise KeyturnError(f"ecs:DescribeTaskDefinition on {on} was answered without a task definition: run again.")
    return found


def revision_number(task_definition: str) -> int:
    """Return 42 for ``arn:aws:ecs:…:task-definition/api:42`` or ``api:42``; 0 where no number stands."""
    tail = last_part(task_definition).rpartition(":")[2]
    return int(tail) if tail.isdigit() else 0


def family_of(task_definition: str) -> str:
    """Return ``api`` for ``arn:aws:ecs:…:task-definition/api:42``, ``api:42`` or ``api``."""
    return last_part(task_definition).partition(":")[0]


def same_task_definition(one: str, other: str) -> bool:
    """Tell whether two names, each an ARN or ``family:revision``, mean the same revision."""
    return one == other or (
        last_part(one) == last_part(other) and not (one.startswith("arn:") and other.startswith("arn:"))
    )


@dataclass(frozen=True)
class Deployment:
    """One entry of ``service.deployments``. Counts are tasks; ``created_at`` is epoch seconds."""

    id: str
    status: str  # PRIMARY, ACTIVE, INACTIVE
    task_definition: str
    desired: int
    pending: int
    running: int
    failed: int
    rollout_state: str | None  # None: CODE_DEPLOY, EXTERNAL, or behind a Classic Load Balancer
    reason: str
    created_at: float | None
    updated_at: float | None = None

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> Deployment:
        return cls(
            id=answer.get("id", ""),
            status=answer.get("status", ""),
            task_definition=answer.get("taskDefinition", ""),
            desired=answer.get("desiredCount", 0),
            pending=answer.get("pendingCount", 0),
            running=answer.get("runningCount", 0),
            failed=answer.get("failedTasks", 0),
            rollout_state=answer.get("rolloutState") or None,
            reason=answer.get("rolloutStateReason") or "",
            created_at=epoch(answer.get("createdAt")),
            updated_at=epoch(answer.get("updatedAt")),
        )


@dataclass(frozen=True)
class Event:
    """One entry of ``service.events``."""

    id: str
    created_at: float | None
    message: str


@dataclass(frozen=True)
class Service:
    """What DescribeServices says of one service, as far as a rotation needs it."""

    arn: str
    name: str
    cluster: str
    status: str
    task_definition: str
    controller: str  # ECS, CODE_DEPLOY, EXTERNAL
    scheduling: str  # REPLICA, DAEMON
    strategy: str  # ROLLING, BLUE_GREEN, LINEAR, CANARY
    desired: int
    running: int
    pending: int
    minimum_percent: int
    maximum_percent: int
    breaker: bool
    breaker_rollback: bool
    current_service_deployment: str | None
    deployments: tuple[Deployment, ...]
    events: tuple[Event, ...]
    breaker_limit: tuple[str, int] = ("BOUNDED_PERCENT", 50)  # type and value of its thresholdConfiguration
    alarms: tuple[str, ...] = ()  # CloudWatch alarms that end a deployment
    alarm_rollback: bool = False
    early_success: bool = False  # a deployment may succeed before all of its tasks are healthy
    deferred_cleanup: bool = False  # old tasks are stopped only after the deployment succeeded
    target_groups: tuple[str, ...] = ()  # ARNs, or names of Classic Load Balancers
    pause_stages: tuple[str, ...] = ()  # lifecycle stages at which a PAUSE hook waits for somebody

    @property
    def primary(self) -> Deployment | None:
        """The deployment that ECS moves towards."""
        return next((deployment for deployment in self.deployments if deployment.status == "PRIMARY"), None)

    def deployment(self, deployment_id: str) -> Deployment | None:
        """The deployment with this id, while the service still lists it."""
        return next((deployment for deployment in self.deployments if deployment.id == deployment_id), None)

    @property
    def deploying(self) -> bool:
        """True while ECS is still moving towards the PRIMARY deployment.

        Without a rolloutState (Classic Load Balancer) the counts say so, as the ``services-stable`` waiter does.
        """
        primary = self.primary
        if primary is None:
            return False
        if primary.rollout_state is not None:
            return primary.rollout_state == "IN_PROGRESS"
        return len(self.deployments) > 1 or primary.running != primary.desired

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> Service:
        config = answer.get("deploymentConfiguration") or {}
        breaker = config.get("deploymentCircuitBreaker") or {}
        limit = breaker.get("thresholdConfiguration") or {}
        alarms, early = config.get("alarms") or {}, config.get("earlySuccessCriteria") or {}
        daemon = answer.get("schedulingStrategy") == "DAEMON"
        return cls(
            arn=answer.get("serviceArn", ""),
            name=answer.get("serviceName") or last_part(answer.get("serviceArn", "")),
            cluster=last_part(answer.get("clusterArn", "")),
            status=answer.get("status", ""),
            task_definition=answer.get("taskDefinition") or "",
            controller=(answer.get("deploymentController") or {}).get("type", "ECS"),
            scheduling=answer.get("schedulingStrategy") or "REPLICA",
            strategy=config.get("strategy") or "ROLLING",
            desired=answer.get("desiredCount", 0),
            running=answer.get("runningCount", 0),
            pending=answer.get("pendingCount", 0),
            minimum_percent=config.get("minimumHealthyPercent", 0 if daemon else 100),
            maximum_percent=config.get("maximumPercent", 100 if daemon else 200),
            breaker=bool(breaker.get("enable")),
            breaker_rollback=bool(breaker.get("enable") and breaker.get("rollback")),
            current_service_deployment=answer.get("currentServiceDeployment") or None,
            deployments=tuple(Deployment.parse(entry) for entry in answer.get("deployments") or ()),
            events=tuple(
                Event(entry.get("id", ""), epoch(entry.get("createdAt")), entry.get("message", ""))
                for entry in answer.get("events") or ()
            ),
            breaker_limit=(limit.get("type") or "BOUNDED_PERCENT", limit.get("value") or 50),
            alarms=tuple(alarms.get("alarmNames") or ()) if alarms.get("enable") else (),
            alarm_rollback=bool(alarms.get("enable") and alarms.get("rollback")),
            early_success=bool(early.get("enable")),
            deferred_cleanup=bool(early.get("enable")) and early.get("sourceServiceRevisionCleanup") == "DEFERRED",
            target_groups=tuple(
                entry.get("targetGroupArn") or entry.get("loadBalancerName") or ""
                for entry in answer.get("loadBalancers") or ()
            ),
            pause_stages=tuple(
                stage
                for hook in config.get("lifecycleHooks") or ()
                if hook.get("targetType") == "PAUSE"
                for stage in hook.get("lifecycleStages") or ()
            ),
        )


def epoch(time: datetime | float | None) -> float | None:
    """Return a timestamp, as botocore parses it or as it stands in raw JSON, as epoch seconds."""
    return time.timestamp() if isinstance(time, datetime) else time


def list_tasks(aws: Aws, on: str, **which: str) -> list[str]:
    """ARNs of tasks, all pages.

    Args:
        on: what the call is about, for the message of an error.
        which: the request: ``cluster``, ``serviceName``, ``desiredStatus``. A task that is told to stop has the desired
            status STOPPED while it still runs.

    Raises:
        AwsError: the call failed.
    """
    arns: list[str] = []
    more: dict[str, str] = {}
    while True:
        answer = aws.call("ecs", "ListTasks", on, **which, **more)
        arns.extend(answer.get("taskArns") or ())
        if not answer.get("nextToken"):
            return arns
        more = {"nextToken": answer["nextToken"]}


def describe_tasks(aws: Aws, on: str, cluster: str, arns: Sequence[str]) -> list[dict[str, Any]]:
    """Tasks as DescribeTasks answers them, a hundred a call; those that ECS does not know are left out.

    Raises:
        AwsError: the call failed.
    """
    found: list[dict[str, Any]] = []
    for start in range(0, len(arns), TASKS_BATCH):
        batch = list(arns[start : start + TASKS_BATCH])
        found.extend(aws.call("ecs", "DescribeTasks", on, cluster=cluster, tasks=batch).get("tasks") or ())
    return found


def describe_service(aws: Aws, cluster: str, service: str) -> Service:
    """Read one service.

    Raises:
        GoneError: there is no such service, or it is being deleted.
        AwsError: the call failed; ClusterNotFoundException among the codes.
    """
    on = service_in_words(cluster, service)
    answer = aws.call("ecs", "DescribeServices", on, cluster=cluster, services=[service])
    return told_service(aws, cluster, service, answer)


def service_in_words(cluster: str, service: str) -> str:
    """What a call is about, for the message of an error."""
    return f"service {last_part(service)} in cluster {last_part(cluster)}"


def told_service(aws: Aws, cluster: str, service: str, answer: Mapping[str, Any]) -> Service:
    """The service in an answer of DescribeServices about this one.

    Raises:
        GoneError: there is no such service, or it is being deleted.
    """
    on = service_in_words(cluster, service)
    if not answer.get("services"):
        reasons = ", ".join(str(failure.get("reason", "")) for failure in answer.get("failures") or ()) or "MISSING"
        raise GoneError(
            f"There is no {on} in Region {aws.region} (ECS says {reasons}): check cluster, service, region and the "
            "account."
        )
    found = Service.parse({"clusterArn": cluster, **answer["services"][0]})
    aws.scrub.keep(found.arn, found.task_definition)
    if found.status and found.status != "ACTIVE":
        raise GoneError(
            f"The {on} is {found.status}: it is deleted or being deleted, and nothing can be deployed to it."
        )
    return found
