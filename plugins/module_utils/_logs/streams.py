# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which log streams are a deployment's own: its tasks, times the awslogs options of its containers.

Follows https://docs.aws.amazon.com/AmazonECS/latest/developerguide/specify-log-config.html (a stream is called
``prefix/container/task-id``), API_DescribeServices, API_ListTasks, API_DescribeTasks and API_DescribeTaskDefinition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .._aws import Aws
from .._ecs import definition_in, describe_service, describe_tasks, epoch, last_part, list_tasks
from .._errors import KeyturnError
from .._rollout.snapshot import Target, Task
from .request import Request


@dataclass(frozen=True)
class Place:
    """Where the container of every task of one definition logs to."""

    container: str
    region: str
    group: str
    prefix: str


@dataclass(frozen=True)
class NotScannable:
    """A container whose log cannot be looked at, and why."""

    container: str
    reason: str


@dataclass(frozen=True)
class Stream:
    """A log stream of one container of one task; it need not exist."""

    region: str
    group: str
    name: str
    container: str
    task: str


@dataclass(frozen=True)
class Ran:
    """A task of the deployment, running or stopped within the last hour. Times are epoch seconds."""

    task: Task
    created_at: float | None
    started_at: float | None  # None: not running yet, or stopped before it ever was

    @property
    def may_log(self) -> bool:
        """It runs, did, or will."""
        return self.task.live or self.started_at is not None

    @property
    def in_doubt(self) -> bool:
        """Its startedBy names no deployment, so only its revision tells whose it is."""
        return not self.task.started_by.startswith("ecs-svc/")


@dataclass(frozen=True)
class Deployed:
    """The deployment whose logs are scanned."""

    target: Target
    created_at: float | None
    tasks: tuple[Ran, ...]


def find(aws: Aws, request: Request) -> Deployed:
    """Find the deployment and its tasks.

    One that the service lists no longer, such as one that was rolled back, is found while ECS describes its tasks.

    Raises:
        GoneError: there is no such service.
        KeyturnError: there is no such deployment, or ECS itself deploys nothing there.
        AccessDeniedError, AwsError: something may not or cannot be read.
    """
    service = describe_service(aws, request.cluster, request.service)
    if service.controller != "ECS":
        raise KeyturnError(
            f"Service {service.name} has the deploymentController {service.controller}: its tasks belong to task sets, "
            "not to deployments of ECS, so there is no deployment whose logs could be scanned."
        )
    primary = service.primary
    wanted = request.deployment_id or (primary.id if primary else "")
    if not wanted:
        raise KeyturnError(f"Service {service.name} has no deployment: deploy it, or give deployment_id.")
    listed = service.deployment(wanted)
    target = Target(
        service.cluster or last_part(request.cluster),
        service.name,
        wanted,
        listed.task_definition if listed else "",
    )
    tasks = own_tasks(aws, request.cluster, target)
    if listed is None:
        if not tasks:
            ids = ", ".join(deployment.id for deployment in service.deployments) or "none"
            raise KeyturnError(
                f"deployment_id {wanted} is unknown: service {service.name} lists {ids}, and no task that ECS still "
                "describes (for an hour after it stopped) was started by it. Leave it out for the running deployment."
            )
        target = replace(target, task_definition=tasks[0].task.task_definition)
    created = listed.created_at if listed else None
    if created is None:
        created = min((ran.created_at for ran in tasks if ran.created_at is not None), default=None)
    return Deployed(target, created, tasks)


def own_tasks(aws: Aws, cluster: str, target: Target) -> tuple[Ran, ...]:
    """Read the deployment's tasks, those that run first."""
    on = f"service {target.service} in cluster {target.cluster}"
    which = {"cluster": cluster, "serviceName": target.service}
    arns = [arn for status in ("RUNNING", "STOPPED") for arn in list_tasks(aws, on, desiredStatus=status, **which)]
    found = [
        Ran(Task.parse(entry), epoch(entry.get("createdAt")), epoch(entry.get("startedAt")))
        for entry in describe_tasks(aws, on, cluster, arns)
    ]
    return tuple(ran for ran in found if target.owns(ran.task))


def places(aws: Aws, task_definition: str, variable: str) -> tuple[tuple[Place, ...], tuple[NotScannable, ...]]:
    """Read where the containers of a revision log to, and make their values known to the scrubber.

    Args:
        variable: only containers that hold it in ``environment`` or ``secrets``; empty for all.

    Raises:
        KeyturnError: no container holds the variable.
    """
    on = f"task definition {last_part(task_definition)}"
    answer = definition_in(aws.call("ecs", "DescribeTaskDefinition", on, taskDefinition=task_definition), on)
    containers = answer.get("containerDefinitions") or ()
    found = [_place(container, aws.region) for container in containers if not variable or _holds(container, variable)]
    if variable and not found:
        raise KeyturnError(
            f"variable: no container of {on} holds {variable} in its environment or secrets: check the name, or leave "
            "variable out to scan all containers."
        )
    _learn_values(aws, containers, variable, [place for place in found if isinstance(place, Place)])
    return (
        tuple(place for place in found if isinstance(place, Place)),
        tuple(place for place in found if isinstance(place, NotScannable)),
    )


def _holds(container: Mapping[str, Any], variable: str) -> bool:
    return any(
        entry.get("name") == variable
        for entry in (*(container.get("environment") or ()), *(container.get("secrets") or ()))
    )


def _place(container: Mapping[str, Any], region: str) -> Place | NotScannable:
    """Where a container logs to, by its ``logConfiguration``."""
    name = container.get("name", "")
    log = container.get("logConfiguration") or {}
    options = log.get("options") or {}
    driver = log.get("logDriver")
    if driver is None:
        return NotScannable(name, "it has no logConfiguration, so its log stays on its host")
    if driver == "awsfirelens":
        return NotScannable(name, "its log driver is awsfirelens, whose router decides where the log goes")
    if driver != "awslogs":
        return NotScannable(name, f"its log driver is {driver}, not awslogs")
    if not options.get("awslogs-group"):
        return NotScannable(name, "its awslogs options name no awslogs-group")
    if not options.get("awslogs-stream-prefix"):
        return NotScannable(
            name, "its awslogs options have no awslogs-stream-prefix, so its streams are not named after tasks"
        )
    return Place(
        name, options.get("awslogs-region") or region, options["awslogs-group"], options["awslogs-stream-prefix"]
    )


def _learn_values(aws: Aws, containers: Sequence[Mapping[str, Any]], variable: str, scanned: Sequence[Place]) -> None:
    """Any value of the definition may stand in a log line; what names a log is no secret."""
    for place in scanned:
        aws.scrub.keep(place.group, place.prefix, place.container)
    for container in containers:
        for entry in container.get("environment") or ():
            value = entry.get("value") or ""
            if entry.get("name") == variable:
                aws.scrub.add(value)
            else:
                aws.scrub.add_neighbours([value])


def streams(places: Sequence[Place], tasks: Sequence[Ran]) -> tuple[Stream, ...]:
    """The streams of these tasks, in their order."""
    return tuple(
        Stream(
            place.region, place.group, f"{place.prefix}/{place.container}/{ran.task.id}", place.container, ran.task.id
        )
        for ran in tasks
        for place in places
    )
