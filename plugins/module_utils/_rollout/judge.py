# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decide from a snapshot whether the rollout is over, and how it ended. Pure.

A judgement is a row of :data:`RULES`: the first rule that has an opinion decides. The record of the service
deployment is
the best evidence; where it is missing, DescribeServices' rolloutState and the task counts stand in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from .._ecs import Deployment, Service, last_part, revision_number
from .snapshot import History, Snapshot, Target

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
# Nothing has moved for so long, and a reason is known: waiting on is of no use. Capacity may still come; percents do
# not change.
NO_CAPACITY_SECONDS = 120.0
DEADLOCK_SECONDS = 10.0

_UNDER_WAY = ("PENDING", "IN_PROGRESS", "STOP_REQUESTED")
_ROLLING_BACK = ("ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS")


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


def judge(snapshot: Snapshot, history: History, target: Target, limits: Limits) -> Verdict:
    """Return the verdict on one snapshot, by the first of :data:`RULES` that has one."""
    if snapshot.service is None:
        return Verdict(FAILED, "the service is gone")
    case = Case(snapshot, snapshot.service, history, target, limits)
    verdict = next((verdict for rule in RULES if (verdict := rule(case)) is not None), MOVING)
    if verdict.over or snapshot.at < limits.timeout:
        return verdict
    return Verdict(TIMED_OUT, f"not over after {limits.timeout:g} s: {verdict.reason or progress(snapshot, target)}")


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
    return len(snapshot.service.deployments) == 1 and mine.running == mine.desired and mine.pending == 0


def near_the_end(snapshot: Snapshot, target: Target) -> tuple[bool, ...]:
    """What brings the end near: ECS calls it a success, rolls it back, or tasks fail."""
    service = snapshot.service
    mine = service.deployment(target.deployment_id) if service else None
    return (
        succeeded(snapshot, target),
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


def unplaced(history: History) -> str:
    """The newest event that says a task cannot be placed, unless a task was started after it; empty for none."""
    for event in reversed(history.events):
        if "unable to place a task" in event.message or "was unable to start" in event.message:
            return event.message
        if "has started" in event.message:
            return ""
    return ""


# The rules, in the order in which they are asked


def _rollback_ended(case: Case) -> Verdict | None:
    record = case.snapshot.record
    if record is None or record.status not in ("ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"):
        return None
    why = record.rollback_reason or record.reason
    if record.status == "ROLLBACK_FAILED":
        return Verdict(FAILED, f"ECS tried to roll it back and failed: {why}")
    return Verdict(ROLLED_BACK, f"ECS rolled it back to {_runs(case.service)}: {why}")


def _rolling_back(case: Case) -> Verdict | None:
    return ROLLING_BACK if case.record_status in _ROLLING_BACK else None


def _not_this_revision(case: Case) -> Verdict | None:
    if case.target.deployment_id:
        return None
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
    return Verdict(FAILED, f"the service deployment was stopped{': ' + reason if reason else ''}")


def _gave_up(case: Case) -> Verdict | None:
    mine = case.mine
    if mine is None or mine.rollout_state != "FAILED":
        return None
    other = case.taken_over_by
    if other is not None and other.rollout_state == "COMPLETED":
        return Verdict(ROLLED_BACK, f"ECS rolled it back: {_runs(case.service)} is PRIMARY again")
    if other is not None or case.service.breaker_rollback or "rolling back" in mine.reason:
        return ROLLING_BACK
    return Verdict(FAILED, mine.reason or "the deployment failed")


def _vanished(case: Case) -> Verdict | None:
    """The id is gone and no record tells why: an older deployment is PRIMARY again, so ECS rolled back."""
    if case.mine is not None or case.record_status or not _visible(case):
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
    if case.service.breaker and threshold <= failed <= threshold + most:
        # The circuit breaker trips at this count: its ending, and its rollback, are what has to be told.
        return None
    return Verdict(FAILED, f"{failed} of its tasks failed to start or to stay up (max_failed_tasks is {most})")


def _stuck(case: Case) -> Verdict | None:
    idle = case.snapshot.at - case.history.moved_at
    mine = case.mine
    if percent_deadlock(case.service) and mine is not None and not mine.running and idle >= DEADLOCK_SECONDS:
        return Verdict(STUCK, "minimumHealthyPercent and maximumPercent let ECS neither start a task nor stop one")
    place = unplaced(case.history)
    if place and idle >= min(NO_CAPACITY_SECONDS, case.limits.timeout / 2):
        return Verdict(STUCK, place)
    return None


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
    if snapshot.tasks is None:
        return _remaining_by_counts(service, target)
    old, new = snapshot.old_tasks(target), snapshot.new_tasks(target)
    if old:
        draining = sum(task.draining for task in old)
        return f"{len(old)} task(s) of an older deployment are left, {draining} of them draining"
    if _empty(service, target):
        return ""
    up = [task for task in new if task.last_status == "RUNNING" and not task.draining]
    if not up or (service.scheduling == "REPLICA" and len(up) < service.desired):
        return f"{len(up)} of {service.desired} tasks are running"
    unhealthy = [task.id for task in up if not _healthy(task.health, snapshot.health_checked, limits.require_healthy)]
    return f"{len(unhealthy)} task(s) are not healthy: {', '.join(unhealthy[:5])}" if unhealthy else ""


def _remaining_by_counts(service: Service, target: Target) -> str:
    others = sum(entry.running for entry in service.deployments if entry.id != target.deployment_id)
    mine = service.deployment(target.deployment_id)
    if others:
        return f"{others} task(s) of an older deployment are left"
    if mine is not None and (mine.pending or mine.running < mine.desired):
        return f"{mine.running} of {mine.desired} tasks are running"
    return ""


def _healthy(health: str, checked: tuple[str, ...] | None, require: str) -> bool:
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
    """Failures at which the circuit breaker trips: the record's figure, else ECS's rule (half of desired, 3 to 200)."""
    record = case.snapshot.record
    if record is not None and record.breaker_threshold:
        return record.breaker_threshold
    return min(200, max(3, math.ceil(case.service.desired / 2)))


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
    others = [entry for entry in service.deployments if entry.id != target.deployment_id]
    old = sum(entry.running for entry in others) or len(snapshot.old_tasks(target))
    if old or others:
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
    return ", ".join(parts)
