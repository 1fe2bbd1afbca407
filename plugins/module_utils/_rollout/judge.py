# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decide from a snapshot whether the rollout is over, and how it ended. Pure.

A judgement is a row of :data:`RULES`: the first rule that has an opinion decides. The record of the service
deployment is the best evidence; where it is missing, DescribeServices' rolloutState and the task counts stand in.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from .._ecs import Deployment, Service, last_part, revision_number
from .snapshot import NOT_DESCRIBED, History, Snapshot, Target, Task

COMPLETED = "completed"
ROLLED_BACK = "rolled_back"
FAILED = "failed"
SUPERSEDED = "superseded"
STUCK = "stuck"
TIMED_OUT = "timed_out"
NOTHING_RUNNING = "nothing_running"
SUCCEEDED = (COMPLETED, NOTHING_RUNNING)

# A deployment that UpdateService just made may be missing from the next answers for so many seconds.
LATE_ID_SECONDS = 30.0
# A deployment that was listed and is no longer: one answer of an eventually consistent API does not prove it.
GONE_SECONDS = 5.0
# Nothing has moved for so long, and a reason is known: waiting on is of no use. Capacity may still come; percents do
# not change, so two answers that agree suffice.
NO_CAPACITY_SECONDS = 120.0
DEADLOCK_SECONDS = 2.0

# Events of a service that cannot go on by itself, unless it starts a task after all. Texts are those of
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
_HELD_UP = re.compile(
    r"unable to (?:place|start) a task|unable to stop or start tasks|failed to launch a task|unable to assume"
    r"|failed to register targets|capacity is unavailable",
    re.IGNORECASE,
)

_UNDER_WAY = ("PENDING", "IN_PROGRESS", "STOP_REQUESTED")
_ROLLING_BACK = ("ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS")
# ECS's own last word on a deployment: its record changes no more.
FINAL = ("SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED")


@dataclass(frozen=True)
class Limits:
    """The operator's options that bear on the verdict."""

    timeout: float
    max_failed_tasks: int  # 0: leave it to the circuit breaker
    require_healthy: str  # auto, true, false


@dataclass(frozen=True)
class Verdict:
    """How a rollout stands: ``status`` is empty while it moves, ``reason`` says it in words."""

    status: str
    reason: str

    @property
    def over(self) -> bool:
        """The wait ends here."""
        return bool(self.status)


@dataclass(frozen=True)
class Case:
    """All that a rule may look at."""

    snapshot: Snapshot
    service: Service
    history: History
    target: Target
    limits: Limits

    @property
    def mine(self) -> Deployment | None:
        """The deployment, while the service lists it."""
        return self.service.deployment(self.target.deployment_id)

    @property
    def record_status(self) -> str:
        """Status of the record, empty without one."""
        return self.snapshot.record.status if self.snapshot.record else ""

    @property
    def taken_over_by(self) -> Deployment | None:
        """Another deployment that is PRIMARY."""
        primary = self.service.primary
        return primary if primary is not None and primary.id != self.target.deployment_id else None

    @property
    def newer(self) -> bool:
        """The deployment that took over was made after this one; unknown counts as newer."""
        other = self.taken_over_by
        if other is None:
            return False
        if other.created_at is None or self.history.created_at is None:
            return True
        return other.created_at >= self.history.created_at


Rule = Callable[[Case], "Verdict | None"]
MOVING = Verdict("", "")
ROLLING_BACK = Verdict("", "ECS is rolling it back")
WAITING_FOR_IT = Verdict("", "ECS does not list the deployment yet")


def judge(snapshot: Snapshot, history: History, target: Target, limits: Limits) -> Verdict:
    """Return the verdict on one snapshot, by the first of :data:`RULES` that has one."""
    if snapshot.service is None:
        return Verdict(FAILED, "the service is gone")
    case = Case(snapshot, snapshot.service, history, target, limits)
    verdict = next((verdict for rule in RULES if (verdict := rule(case)) is not None), MOVING)
    if verdict.over or snapshot.at < limits.timeout:
        return verdict
    return Verdict(TIMED_OUT, f"not over after {limits.timeout:g} s: {verdict.reason or progress(snapshot, target)}")


def next_by_time(at: float, snapshot: Snapshot, history: History, target: Target, limits: Limits) -> float:
    """When after ``at`` the verdict may change by time alone, seconds since the wait began: no later the next poll."""
    times = [limits.timeout]
    if snapshot.service is not None:
        if deadlocked(snapshot.service, target):
            times.append(history.moved_at + DEADLOCK_SECONDS)
        if held_up(history):
            times.append(history.moved_at + _patience(limits))
        if history.gone_at is not None:
            times.append(history.gone_at + GONE_SECONDS)
        if not history.seen:
            times.append(LATE_ID_SECONDS)
    return min(time for time in (*times, math.inf) if time > at)


def _patience(limits: Limits) -> float:
    return min(NO_CAPACITY_SECONDS, limits.timeout / 2)


def succeeded(snapshot: Snapshot, target: Target) -> bool:
    """Tell whether ECS calls the deployment a success; what its tasks do is looked at apart."""
    if snapshot.service is None:
        return False
    if snapshot.record is not None:
        return snapshot.record.status == "SUCCESSFUL"
    mine = snapshot.service.deployment(target.deployment_id)
    if mine is None or mine.status != "PRIMARY":
        return False
    if mine.rollout_state is not None:
        return mine.rollout_state == "COMPLETED"
    return not others(snapshot.service, target) and mine.running == mine.desired and mine.pending == 0


def others(service: Service, target: Target) -> tuple[Deployment, ...]:
    """Deployments beside this one that ECS has not replaced completely."""
    return tuple(
        entry
        for entry in service.deployments
        if entry.id != target.deployment_id and (entry.status != "INACTIVE" or entry.running or entry.pending)
    )


def still_counted(service: Service, target: Target) -> int:
    """Tasks of other deployments that run or start, as DescribeServices counts them."""
    return sum(entry.running + entry.pending for entry in others(service, target))


def near_the_end(snapshot: Snapshot, target: Target) -> tuple[bool, ...]:
    """What brings the end near: it succeeded and no old task runs, it is gone or rolled back, or tasks fail."""
    service = snapshot.service
    mine = service.deployment(target.deployment_id) if service else None
    return (
        mine is None,
        service is not None and succeeded(snapshot, target) and not still_counted(service, target),
        snapshot.record is not None and snapshot.record.status in _ROLLING_BACK,
        mine is not None and mine.failed > 0,
    )


def percent_deadlock(service: Service) -> bool:
    """Tell whether minimum and maximum percent let a rolling deployment neither start a task nor stop one."""
    if service.scheduling != "REPLICA" or service.strategy != "ROLLING" or service.desired == 0:
        return False
    ceiling = math.floor(service.desired * service.maximum_percent / 100)
    floor = math.ceil(service.desired * service.minimum_percent / 100)
    return ceiling <= service.desired <= floor


def deadlocked(service: Service, target: Target) -> bool:
    """Tell whether the percents hold this deployment up: old tasks fill desiredCount, and none of its own came to be.

    Fewer old tasks than desired leave room for a new one.
    """
    mine = service.deployment(target.deployment_id)
    if mine is None or mine.status != "PRIMARY" or mine.rollout_state not in ("IN_PROGRESS", None):
        return False
    old = sum(entry.running for entry in others(service, target))
    return percent_deadlock(service) and not mine.running and not mine.pending and old >= service.desired


def held_up(history: History) -> str:
    """The newest event that says why ECS cannot go on, unless a task was started after it; empty for none."""
    for event in reversed(history.events):
        if _HELD_UP.search(event.message):
            return event.message
        if "has started" in event.message:
            return ""
    return ""


# The rules, in the order in which they are asked


def _rollback_ended(case: Case) -> Verdict | None:
    record = case.snapshot.record
    if record is None or record.status not in ("ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"):
        return None
    if record.status == "ROLLBACK_FAILED":
        return Verdict(FAILED, _because("ECS tried to roll it back and failed", record.reason, record.rollback_reason))
    back = f"ECS rolled it back to {_runs(case.service)}"
    return Verdict(ROLLED_BACK, _because(back, record.rollback_reason or record.reason))


def _because(what: str, *reasons: str) -> str:
    """``what: reason; reason``, without those that ECS left empty."""
    return ": ".join([what, *filter(None, ["; ".join(dict.fromkeys(filter(None, reasons)))])])


def _rolling_back(case: Case) -> Verdict | None:
    return ROLLING_BACK if case.record_status in _ROLLING_BACK else None


def _not_this_revision(case: Case) -> Verdict | None:
    if case.target.deployment_id:
        return None
    if case.snapshot.at < LATE_ID_SECONDS:
        return WAITING_FOR_IT
    return Verdict(
        SUPERSEDED, f"no deployment of {last_part(case.target.task_definition)} is there: {_runs(case.service)} runs"
    )


def _superseded(case: Case) -> Verdict | None:
    other = case.taken_over_by
    if other is None or not case.newer or not _visible(case):
        return None
    if case.record_status != "SUCCESSFUL" and _rollback_in_words(case):
        return ROLLING_BACK if other.rollout_state == "IN_PROGRESS" or case.record_status in _UNDER_WAY else None
    return Verdict(SUPERSEDED, f"deployment {other.id} of {last_part(other.task_definition)} took over")


def _stopped(case: Case) -> Verdict | None:
    if case.record_status != "STOPPED":
        return None
    reason = case.snapshot.record.reason if case.snapshot.record else ""
    return Verdict(FAILED, _because("the service deployment was stopped", reason))


def _gave_up(case: Case) -> Verdict | None:
    mine = case.mine
    if mine is None or mine.rollout_state != "FAILED":
        return None
    other = case.taken_over_by
    if other is not None and other.rollout_state == "COMPLETED":
        return Verdict(ROLLED_BACK, f"ECS rolled it back: {_runs(case.service)} is PRIMARY again")
    if other is not None or ("ollback candidate" not in _said(case) and _will_roll_back(case.service, mine.reason)):
        return ROLLING_BACK
    return Verdict(FAILED, mine.reason or "the deployment failed")


def _will_roll_back(service: Service, reason: str) -> bool:
    """What made it fail, circuit breaker or alarm, was set up to roll back."""
    by_alarm, by_breaker = "alarm" in reason.lower(), "circuit breaker" in reason.lower()
    return (
        "rolling back" in reason
        or (service.breaker_rollback and not by_alarm)
        or (service.alarm_rollback and not by_breaker)
    )


def _said(case: Case) -> str:
    """All that ECS wrote of this deployment and its service since it began."""
    reasons = [entry.reason for entry in case.service.deployments if entry.id == case.target.deployment_id]
    return "\n".join([*reasons, *(event.message for event in case.history.events)])


def _vanished(case: Case) -> Verdict | None:
    """The id is gone and no record tells why: an older deployment is PRIMARY again, so ECS rolled back."""
    gone_at = case.history.gone_at
    if case.mine is not None or case.record_status or not _visible(case):
        return None
    if gone_at is not None and case.snapshot.at - gone_at < GONE_SECONDS:
        return None
    other = case.taken_over_by
    if other is None:
        return Verdict(FAILED, "the deployment is gone, and no other is PRIMARY")
    if other.rollout_state == "IN_PROGRESS":
        return ROLLING_BACK
    return Verdict(
        ROLLED_BACK, f"ECS rolled it back: {_runs(case.service)} is PRIMARY again, and the deployment is gone"
    )


def _done(case: Case) -> Verdict | None:
    if not succeeded(case.snapshot, case.target):
        return None
    waiting = remaining(case.snapshot, case.target, case.limits)
    if waiting:
        return Verdict("", waiting)
    if _empty(case.service, case.target):
        return Verdict(NOTHING_RUNNING, "no task is wanted (desiredCount 0): nothing runs, so nothing is proved")
    return Verdict(COMPLETED, f"every task runs {last_part(case.target.task_definition)}")


def _too_many_failures(case: Case) -> Verdict | None:
    most, failed = case.limits.max_failed_tasks, case.history.failed
    if not most or failed < most:
        return None
    threshold = breaker_threshold(case)
    if case.service.breaker and threshold <= failed <= threshold + max(most, case.service.desired):
        # The circuit breaker trips at this count: its ending, and its rollback, are what has to be told. Between two
        # polls as many tasks may fail as are wanted.
        return None
    return Verdict(FAILED, f"{failed} of its tasks failed to start or to stay up (max_failed_tasks is {most})")


def _stuck(case: Case) -> Verdict | None:
    idle = case.snapshot.at - case.history.moved_at
    # Where an old task stops or is to be replaced, there will be room.
    leaving = any(task.draining or task.health == "UNHEALTHY" for task in case.snapshot.old_tasks(case.target))
    if deadlocked(case.service, case.target) and idle >= DEADLOCK_SECONDS and not leaving:
        return Verdict(STUCK, "minimumHealthyPercent and maximumPercent let ECS neither start a task nor stop one")
    why = held_up(case.history)
    return Verdict(STUCK, why) if why and idle >= _patience(case.limits) else None


# What ended comes before what moves; a rule that returns ROLLING_BACK keeps the later ones from judging half a
# rollback.
RULES: tuple[Rule, ...] = (
    _rollback_ended,
    _rolling_back,
    _not_this_revision,
    _superseded,
    _stopped,
    _gave_up,
    _vanished,
    _done,
    _too_many_failures,
    _stuck,
)


def remaining(snapshot: Snapshot, target: Target, limits: Limits) -> str:
    """Say what a successful deployment still lacks to be completed; empty when nothing."""
    service = snapshot.service
    if service is None:
        return ""
    counted = still_counted(service, target)
    if snapshot.tasks is None or (counted and not snapshot.fresh):
        return _remaining_by_counts(service, target)
    old = _old_ones(snapshot, target)
    if old:
        return old
    new = snapshot.new_tasks(target)
    if _empty(service, target):
        return f"{len(new)} task(s) are left, though none is wanted" if new else ""
    return _not_up(snapshot, service, new, limits)


def _old_ones(snapshot: Snapshot, target: Target) -> str:
    unknown = [task.id for task in snapshot.tasks or () if task.last_status == NOT_DESCRIBED]
    if unknown:
        return f"ECS lists {len(unknown)} task(s) that it does not describe: {', '.join(unknown[:5])}"
    old = snapshot.old_tasks(target)
    draining = sum(task.draining for task in old)
    return f"{len(old)} task(s) of an older deployment are left, {draining} of them draining" if old else ""


def _not_up(snapshot: Snapshot, service: Service, new: tuple[Task, ...], limits: Limits) -> str:
    up = [task for task in new if task.last_status == "RUNNING" and not task.draining]
    if not up or (service.scheduling == "REPLICA" and len(up) < service.desired):
        return f"{len(up)} of {service.desired} tasks are running"
    unhealthy = [task.id for task in up if not healthy(task.health, snapshot.health_checked, limits.require_healthy)]
    return f"{len(unhealthy)} task(s) are not healthy: {', '.join(unhealthy[:5])}" if unhealthy else ""


def _remaining_by_counts(service: Service, target: Target) -> str:
    """The same without the tasks. A deployment is ACTIVE as long as it has tasks, says API_Deployment."""
    mine, listed = service.deployment(target.deployment_id), others(service, target)
    unlisted = service.running - sum(entry.running for entry in (*listed, *([mine] if mine else [])))
    left = still_counted(service, target) + max(unlisted, 0)
    if left:
        return f"{left} task(s) of an older deployment are left"
    if listed:
        return "an older deployment is listed still, so its last tasks drain"
    if mine is not None and (mine.pending or mine.running < mine.desired):
        return f"{mine.running} of {mine.desired} tasks are running"
    return ""


def healthy(health: str, checked: tuple[str, ...] | None, require: str) -> bool:
    """Tell whether a task's healthStatus suffices, by ``require_healthy`` and the containers with a health check."""
    if require == "false":
        return True
    if require == "true" or checked:
        return health == "HEALTHY"
    return health != "UNHEALTHY"


def _empty(service: Service, target: Target) -> bool:
    """Nothing shall run: no task is wanted, or a DAEMON service finds no instance."""
    if service.scheduling == "REPLICA":
        return service.desired == 0
    mine = service.deployment(target.deployment_id)
    return mine is not None and mine.desired == 0


def _visible(case: Case) -> bool:
    """The deployment was seen, or has had the time to appear."""
    return case.history.seen or bool(case.record_status) or case.snapshot.at >= LATE_ID_SECONDS


def _rollback_in_words(case: Case) -> bool:
    """ECS wrote of a rollback of this deployment, in a reason or an event."""
    other, deployment_id = case.taken_over_by, case.target.deployment_id
    if other is not None and ("rolling back" in other.reason or "rolled back" in other.reason):
        return True
    texts = [event.message for event in case.history.events]
    if any(f"{deployment_id}) deployment failed" in text for text in texts):
        return True
    # Events older than the deployment are left out once its age is known; before, they may tell of another's rollback.
    return case.history.created_at is not None and any("rolling back" in text for text in texts)


def breaker_threshold(case: Case) -> int:
    """Failures at which the circuit breaker trips: the record's figure, else ECS's rule for its configuration.

    Without one that is half of desired, at least 3 and at most 200; see API_ThresholdConfiguration.
    """
    record = case.snapshot.record
    if record is not None and record.breaker_threshold:
        return record.breaker_threshold
    kind, value = case.service.breaker_limit
    if kind == "COUNT":
        return value
    share = math.ceil(case.service.desired * value / 100)
    return max(1, share) if kind == "UNBOUNDED_PERCENT" else min(200, max(3, share))


def _runs(service: Service) -> str:
    primary = service.primary
    return last_part(primary.task_definition if primary else service.task_definition)


def progress(snapshot: Snapshot, target: Target) -> str:
    """Say in one line how far it is: ``1/2 tasks on revision 43, 2 old draining``."""
    service = snapshot.service
    if service is None:
        return "the service is gone"
    mine = service.deployment(target.deployment_id)
    desired = mine.desired if mine and service.scheduling == "DAEMON" else service.desired
    running = mine.running if mine else len(snapshot.new_tasks(target))
    parts = [f"{running}/{desired} tasks on revision {revision_number(target.task_definition)}"]
    # Counts hold tasks that run. How many were told to stop is known from the tasks themselves, once they were read.
    listed = [entry for entry in service.deployments if entry.id != target.deployment_id]
    old = sum(entry.running for entry in listed) or len(snapshot.old_tasks(target))
    if old or listed:
        parts.append(f"{old} old draining" if old else "old tasks draining")
    failed = mine.failed if mine else 0
    parts += [f"{failed} failed to start"] * bool(failed)
    if snapshot.record is not None:
        if snapshot.record.lifecycle_stage and service.strategy != "ROLLING":
            parts.append(f"stage {snapshot.record.lifecycle_stage}")
        if snapshot.record.hook("AWAITING_ACTION"):
            parts.append("paused by a lifecycle hook")
        if snapshot.record.status in _ROLLING_BACK:
            parts.append("rolling back")
        if snapshot.record.status == "STOP_REQUESTED":
            parts.append("being stopped")
    return ", ".join(parts)
