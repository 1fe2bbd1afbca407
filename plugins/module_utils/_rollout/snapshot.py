# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one poll saw, as immutable data, and what the polls before it saw. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from .._ecs import Event, Service, epoch, last_part, revision_number, same_task_definition

# DescribeTasks may not know a task that ListTasks names. Whose it is, and whether it runs, is open then.
NOT_DESCRIBED = "not described"
# Two of ECS's times of the same moment may differ by so much.
CLOCK_SECONDS = 5.0
# Where no stopCode tells, the reason does.
_FAILED = re.compile(r"Essential container|failed to start|[A-Z][A-Za-z]+Error\b", re.IGNORECASE)


@dataclass(frozen=True)
class Container:
    """A container of a task, as DescribeTasks answers it."""

    name: str
    health: str
    exit_code: int | None
    reason: str
    runtime_id: str = ""


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
    created_at: float | None = None
    arn: str = ""

    @property
    def live(self) -> bool:
        """Something of it still runs, or may."""
        return self.last_status not in ("STOPPED", "DELETED")

    @property
    def names_deployment(self) -> bool:
        """``startedBy`` is a deployment's id, as ECS has it; some emulators name the service."""
        return self.started_by.startswith("ecs-svc/")

    @property
    def draining(self) -> bool:
        """It was told to stop and has not yet."""
        return self.live and self.desired_status == "STOPPED"

    @property
    def failed(self) -> bool:
        """It stopped by itself, never started, or failed a health check (for which the scheduler stops it)."""
        if self.stop_code in ("TaskFailedToStart", "EssentialContainerExited"):
            return True
        said = "" if self.stop_code else self.stopped_reason
        return "health check" in self.stopped_reason or _FAILED.search(said) is not None

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
                    runtime_id=entry.get("runtimeId") or "",
                )
                for entry in answer.get("containers") or ()
            ),
            created_at=epoch(answer.get("createdAt")),
            arn=answer.get("taskArn", ""),
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
    words = f"{answer.get('hookId', '')}"
    if answer.get("targetArn"):
        words += f" ({answer['targetArn']})"
    expires = epoch(answer.get("expiresAt"))
    if expires is None:
        return words
    then = {"ROLLBACK": " and then rolls back", "CONTINUE": " and then lets it go on"}
    at = datetime.fromtimestamp(expires, timezone.utc).isoformat(timespec="seconds")
    return f"{words}, which expires at {at}{then.get(answer.get('timeoutAction', ''), '')}"


@dataclass(frozen=True)
class Target:
    """What is waited for. ``deployment_id`` and ``task_definition`` may be filled in by the first poll."""

    cluster: str
    service: str
    deployment_id: str
    task_definition: str

    def owns(self, task: Task, made: float | None = None) -> bool:
        """Tell whether a task belongs to the deployment, which was made at ``made``, epoch seconds.

        ``startedBy`` tells, where it names deployments; else the revision does, and that no task is older than its
        deployment: the same revision may have run before.
        """
        if task.names_deployment:
            return task.started_by == self.deployment_id
        older = made is not None and task.created_at is not None and task.created_at < made - CLOCK_SECONDS
        return not older and same_task_definition(task.task_definition, self.task_definition)


@dataclass(frozen=True)
class Snapshot:
    """One poll.

    Attributes:
        at: seconds since the wait began.
        service: None when the service is gone.
        record: the deployment's own record; None where there is none, or it may not be read.
        tasks: every task of the service that ECS still describes; None when they may not be read, or were not yet.
        health_checked: containers of the definition with a health check; None when it may not be read.
        unverified: what could not be looked at, and why.
        fresh: the tasks are those of this poll; otherwise of an earlier one.
    """

    at: float
    service: Service | None
    record: Record | None
    tasks: tuple[Task, ...] | None
    health_checked: tuple[str, ...] | None
    unverified: tuple[str, ...] = ()
    fresh: bool = True

    def made_at(self, target: Target) -> float | None:
        """When the deployment was made, epoch seconds; None where neither service nor record tells."""
        mine = self.service.deployment(target.deployment_id) if self.service else None
        return mine.created_at if mine else self.record.created_at if self.record else None

    def new_tasks(self, target: Target) -> tuple[Task, ...]:
        """Live tasks of the deployment."""
        made = self.made_at(target)
        return tuple(task for task in self.tasks or () if task.live and target.owns(task, made))

    def old_tasks(self, target: Target) -> tuple[Task, ...]:
        """Live tasks of other deployments."""
        made = self.made_at(target)
        return tuple(task for task in self.tasks or () if task.live and not target.owns(task, made))

    def failed_tasks(self, target: Target) -> tuple[Task, ...]:
        """Tasks of the deployment that stopped by themselves or failed a health check; not those that ECS scaled in.

        Only where ``startedBy`` proves it, or, where that names no deployment, the task's age: the same revision may
        have failed in an earlier deployment.
        """
        made = self.made_at(target)
        return tuple(
            task
            for task in self.tasks or ()
            if task.failed
            and not task.live
            and target.owns(task, made)
            and (task.names_deployment or None not in (made, task.created_at))
        )

    @property
    def counts(self) -> tuple[object, ...]:
        """What moves while a rollout moves: the counts of every deployment, failures left out.

        Only what every poll reads: what is looked at now and then would seem to move when it is.
        """
        return tuple(
            (entry.id, entry.status, entry.desired, entry.running, entry.pending, entry.rollout_state)
            for entry in (self.service.deployments if self.service else ())
        )

    @property
    def stage(self) -> tuple[str, str]:
        """Status and lifecycle stage by the record; empty without one."""
        return (self.record.status, self.record.lifecycle_stage) if self.record else ("", "")


@dataclass(frozen=True)
class History:
    """What the polls so far add up to.

    Attributes:
        seen: the deployment was in the service's list once.
        gone_at: when it was first missing from the list again, seconds since the wait began; None while it is there.
        created_at: when the deployment was made, epoch seconds, once known.
        moved_at: when counts or the stage last changed, seconds since the wait began.
        counts: the last counts.
        stage: the last status and stage that a record told.
        events: events since the deployment began, oldest first.
        failed: the most failures that the deployment was seen with.
    """

    seen: bool = False
    created_at: float | None = None
    moved_at: float = 0.0
    counts: tuple[object, ...] = ()
    events: tuple[Event, ...] = ()
    failed: int = 0
    gone_at: float | None = None
    stage: tuple[str, str] = ("", "")

    def add(self, snapshot: Snapshot, target: Target) -> History:
        """Return the history with one more poll."""
        stage = snapshot.stage if snapshot.record else self.stage
        # The first look at a record tells no move.
        moved = snapshot.counts != self.counts or self.stage not in (stage, ("", ""))
        known = replace(self, counts=snapshot.counts, stage=stage, moved_at=snapshot.at if moved else self.moved_at)
        if snapshot.service is None:
            return known
        mine = snapshot.service.deployment(target.deployment_id)
        created = self.created_at or snapshot.made_at(target)
        seen = self.seen or mine is not None
        gone = None if mine or not seen else snapshot.at if self.gone_at is None else self.gone_at
        return replace(
            known,
            seen=seen,
            gone_at=gone,
            created_at=created,
            failed=max(self.failed, mine.failed if mine else 0, len(snapshot.failed_tasks(target))),
            events=_later(snapshot.service.events, created, self.events),
        )


def _later(listed: tuple[Event, ...], since: float | None, known: tuple[Event, ...]) -> tuple[Event, ...]:
    """Known events, and those listed, as far as they are not older than the deployment, oldest first."""
    ids = {_identity(event) for event in known}
    new = [event for event in reversed(listed) if _identity(event) not in ids]
    return tuple(
        event
        for event in (*known, *new)
        if since is None or event.created_at is None or event.created_at >= since - 1.0
    )


def _identity(event: Event) -> tuple[object, ...]:
    """What tells an event from others, also where it has no id."""
    return (event.id,) if event.id else (event.created_at, event.message)
