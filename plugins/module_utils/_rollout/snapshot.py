# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one poll saw, as immutable data, and what the polls before it saw. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .._ecs import Event, Service, epoch, last_part, revision_number, same_task_definition


@dataclass(frozen=True)
class Container:
    """A container of a task, as DescribeTasks answers it."""

    name: str
    health: str
    exit_code: int | None
    reason: str


@dataclass(frozen=True)
class Task:
    """A task of the service, as DescribeTasks answers it."""

    id: str
    task_definition: str
    started_by: str
    last_status: str
    desired_status: str
    health: str
    stop_code: str
    stopped_reason: str
    containers: tuple[Container, ...]

    @property
    def live(self) -> bool:
        """Something of it still runs, or may."""
        return self.last_status != "STOPPED"

    @property
    def draining(self) -> bool:
        """It was told to stop and has not yet."""
        return self.live and self.desired_status == "STOPPED"

    @property
    def failed(self) -> bool:
        """It stopped by itself, never started, or failed a health check (for which the scheduler stops it)."""
        return (
            self.stop_code in ("TaskFailedToStart", "EssentialContainerExited") or "health check" in self.stopped_reason
        )

    def result(self) -> dict[str, Any]:
        """The form in which results show it."""
        return {
            "id": self.id,
            "revision": revision_number(self.task_definition),
            "lastStatus": self.last_status,
            "healthStatus": self.health,
        }

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> Task:
        return cls(
            id=last_part(answer.get("taskArn", "")),
            task_definition=answer.get("taskDefinitionArn", ""),
            started_by=answer.get("startedBy") or "",
            last_status=answer.get("lastStatus", ""),
            desired_status=answer.get("desiredStatus", ""),
            health=answer.get("healthStatus") or "UNKNOWN",
            stop_code=answer.get("stopCode") or "",
            stopped_reason=answer.get("stoppedReason") or "",
            containers=tuple(
                Container(
                    name=entry.get("name", ""),
                    health=entry.get("healthStatus") or "UNKNOWN",
                    exit_code=entry.get("exitCode"),
                    reason=entry.get("reason") or "",
                )
                for entry in answer.get("containers") or ()
            ),
        )


@dataclass(frozen=True)
class Record:
    """The service deployment: ECS's own account of one deployment, and the best evidence there is.

    Follows https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ServiceDeployment.html
    """

    arn: str
    status: str
    reason: str
    rollback_reason: str
    target: str  # ARN of the service revision that it deploys
    created_at: float | None
    lifecycle_stage: str
    hooks: tuple[tuple[str, str], ...]  # status and words of each lifecycle hook: AWAITING_ACTION, TIMED_OUT, FAILED …
    breaker_failures: int | None
    breaker_threshold: int | None
    triggered_alarms: tuple[str, ...]

    def hook(self, status: str) -> str:
        """The first lifecycle hook with this status, in words; empty for none."""
        return next((words for found, words in self.hooks if found == status), "")

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> Record:
        breaker = answer.get("deploymentCircuitBreaker") or {}
        return cls(
            arn=answer.get("serviceDeploymentArn", ""),
            status=answer.get("status", ""),
            reason=answer.get("statusReason") or "",
            rollback_reason=(answer.get("rollback") or {}).get("reason") or "",
            target=(answer.get("targetServiceRevision") or {}).get("arn", ""),
            created_at=epoch(answer.get("createdAt")),
            lifecycle_stage=answer.get("lifecycleStage") or "",
            hooks=tuple((hook.get("status", ""), _hook(hook)) for hook in answer.get("lifecycleHookDetails") or ()),
            breaker_failures=breaker.get("failureCount"),
            breaker_threshold=breaker.get("threshold"),
            triggered_alarms=tuple((answer.get("alarms") or {}).get("triggeredAlarmNames") or ()),
        )


def _hook(answer: Mapping[str, Any]) -> str:
    expires = answer.get("expiresAt")
    return f"{answer.get('hookId', '')}" + (f", which expires at {expires.isoformat()}" if expires else "")


@dataclass(frozen=True)
class Target:
    """What is waited for. ``deployment_id`` and ``task_definition`` may be filled in by the first poll."""

    cluster: str
    service: str
    deployment_id: str
    task_definition: str

    def owns(self, task: Task) -> bool:
        """Tell whether a task belongs to the deployment: by ``startedBy``, where that names deployments."""
        if task.started_by.startswith("ecs-svc/"):
            return task.started_by == self.deployment_id
        return same_task_definition(task.task_definition, self.task_definition)


@dataclass(frozen=True)
class Snapshot:
    """One poll.

    Attributes:
        at: seconds since the wait began.
        service: None when the service is gone.
        record: the deployment's own record; None where there is none, or it may not be read.
        tasks: every task of the service that ECS still describes; None when they may not be read.
        health_checked: containers of the definition with a health check; None when it may not be read.
        unverified: what could not be looked at, and why.
    """

    at: float
    service: Service | None
    record: Record | None
    tasks: tuple[Task, ...] | None
    health_checked: tuple[str, ...] | None
    unverified: tuple[str, ...] = ()

    def new_tasks(self, target: Target) -> tuple[Task, ...]:
        """Live tasks of the deployment."""
        return tuple(task for task in self.tasks or () if task.live and target.owns(task))

    def old_tasks(self, target: Target) -> tuple[Task, ...]:
        """Live tasks of other deployments."""
        return tuple(task for task in self.tasks or () if task.live and not target.owns(task))

    def failed_tasks(self, target: Target) -> tuple[Task, ...]:
        """Tasks of the deployment that stopped by themselves or failed a health check; not those that ECS scaled in.

        Only where ``startedBy`` proves it: the same revision may have failed in an earlier deployment.
        """
        return tuple(
            task
            for task in self.tasks or ()
            if task.failed and not task.live and task.started_by == target.deployment_id
        )

    def counts(self, target: Target) -> tuple[object, ...]:
        """What moves while a rollout moves: counts of every deployment, failures left out, and the stage."""
        deployments = self.service.deployments if self.service else ()
        return (
            tuple((entry.id, entry.status, entry.desired, entry.running, entry.rollout_state) for entry in deployments),
            (self.record.status, self.record.lifecycle_stage) if self.record else None,
            len(self.new_tasks(target)),
            len(self.old_tasks(target)),
        )


@dataclass(frozen=True)
class History:
    """What the polls so far add up to.

    Attributes:
        seen: the deployment was in the service's list once.
        created_at: when the deployment was made, epoch seconds, once known.
        moved_at: when counts last changed, seconds since the wait began.
        counts: the last counts.
        events: events since the deployment began, oldest first.
        failed: the most failures that the deployment was seen with.
    """

    seen: bool = False
    created_at: float | None = None
    moved_at: float = 0.0
    counts: tuple[object, ...] = ()
    events: tuple[Event, ...] = ()
    failed: int = 0

    def add(self, snapshot: Snapshot, target: Target) -> History:
        """Return the history with one more poll."""
        counts = snapshot.counts(target)
        moved = self if counts == self.counts else replace(self, counts=counts, moved_at=snapshot.at)
        if snapshot.service is None:
            return moved
        mine = snapshot.service.deployment(target.deployment_id)
        created = mine.created_at if mine else snapshot.record.created_at if snapshot.record else None
        return replace(
            moved,
            seen=self.seen or mine is not None,
            created_at=self.created_at or created,
            failed=max(self.failed, mine.failed if mine else 0, len(snapshot.failed_tasks(target))),
            events=_later(snapshot.service.events, self.created_at or created, self.events),
        )


def _later(listed: tuple[Event, ...], since: float | None, known: tuple[Event, ...]) -> tuple[Event, ...]:
    """Known events, and those listed since the deployment began, oldest first."""
    ids = {event.id for event in known}
    new = [
        event
        for event in reversed(listed)
        if event.id not in ids and (since is None or event.created_at is None or event.created_at >= since - 1.0)
    ]
    return (*known, *new)
