# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Explain why a rollout did not complete: cause, evidence, remedy. Pure.

What ECS writes is looked up in :data:`.texts.TEXTS`; what it shows without words is a row of :data:`SIGNS`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .._ecs import Event, last_part
from .evidence import Evidence
from .judge import (
    FAILED,
    ROLLED_BACK,
    STUCK,
    SUPERSEDED,
    TIMED_OUT,
    Limits,
    Verdict,
    deadlocked,
    healthy,
    held_up,
    others,
    still_counted,
    succeeded,
)
from .snapshot import History, Snapshot, Target, Task
from .texts import ALARM, TROUBLE, text_for

_SECRET = re.compile(r"arn:[\w-]+:(?:secretsmanager|ssm):[\w-]*:\d*:[^\s,;'\"]+")
_ROLE = re.compile(r"arn:[\w-]+:iam::\d*:role/[^\s,;'\")]+")
# How ECS names the stores in its reasons.
_STORES = {"from asm": "secretsmanager:GetSecretValue", "from ssm": "ssm:GetParameters"}
_PERMISSION = re.compile(r"\b(?:secretsmanager:GetSecretValue|ssm:GetParameters|kms:Decrypt)\b")
# A service's name says nothing of what happened to it.
_OF_SERVICE = re.compile(r"^\(service [^)]*\)\s*")
# Containers that ECS ends since another one did.
_ENDED_BY_ECS = (0, 137, 143)
_BY_USER = re.compile(r"user request|by (?:a |the )?user|user[- ]initiated|StopServiceDeployment", re.IGNORECASE)
_DEREGISTRATION = "deregistration_delay.timeout_seconds (300 by default)"


# What a remedy names where the evidence does not.
IN_GENERAL = {
    "role": "the task's execution role",
    "permission": "secretsmanager:GetSecretValue or ssm:GetParameters",
    "secret": "the secret",
    "images": "the image",
    "checks": "the container's healthCheck command",
    "logs": "the container",
    "balancers": "the target group",
}


@dataclass(frozen=True)
class Finding:
    """One cause, what shows it, and what to do. ``details`` go on from the evidence, and are too long for one line."""

    cause: str
    evidence: str
    remedy: str
    details: str = ""

    @property
    def kind(self) -> tuple[str, str]:
        """What one finding is enough of: a cause; of those without a name in the contract, a remedy."""
        return self.cause, self.remedy if self.cause == "other" else ""


@dataclass(frozen=True)
class Facts:
    """All that a sign may look at."""

    snapshot: Snapshot
    history: History
    target: Target
    verdict: Verdict
    evidence: Evidence
    limits: Limits

    @property
    def gave_up(self) -> bool:
        """The wait ended, the rollout did not."""
        return self.verdict.status in (STUCK, TIMED_OUT)


Sign = Callable[[Facts], Iterator[Finding]]


def diagnose(
    snapshot: Snapshot,
    history: History,
    target: Target,
    verdict: Verdict,
    evidence: Evidence | None = None,
    *,
    limits: Limits | None = None,
) -> list[Finding]:
    """Return the causes that the evidence shows, most telling first; never empty for a failed rollout."""
    facts = Facts(snapshot, history, target, verdict, evidence or Evidence(), limits or Limits(0.0, 0, "auto"))
    found = [finding for sign in SIGNS for finding in sign(facts)]
    # The first finding of each kind is its best.
    distinct: dict[tuple[str, str], Finding] = {}
    for finding in found:
        distinct.setdefault(finding.kind, finding)
    return list(distinct.values()) or [_plain(facts)]


# The signs, most telling first


def _superseded(facts: Facts) -> Iterator[Finding]:
    if facts.verdict.status == SUPERSEDED:
        remedy = "Find out who deployed, then run the rotation again: it starts from what runs."
        yield Finding("superseded", facts.verdict.reason, remedy)


def _failed_tasks(facts: Facts) -> Iterator[Finding]:
    for task in facts.snapshot.failed_tasks(facts.target):
        yield _of_task(task, facts)


def _deadlock(facts: Facts) -> Iterator[Finding]:
    service = facts.snapshot.service
    if service is None or not facts.gave_up or not deadlocked(service, facts.target):
        return
    desired, low, high = service.desired, service.minimum_percent, service.maximum_percent
    raised, lowered = math.ceil(100 * (desired + 1) / desired), math.floor(100 * (desired - 1) / desired)
    yield Finding(
        "percent_deadlock",
        f"desiredCount {desired} with minimumHealthyPercent {low} and maximumPercent {high}: ECS may not run "
        f"{desired + 1} tasks, nor fewer than {math.ceil(desired * low / 100)}",
        f"Set maximumPercent to {raised} or more, or minimumHealthyPercent to {lowered}{' or less' * bool(lowered)}.",
    )


def _alarms(facts: Facts) -> Iterator[Finding]:
    """CloudWatch alarms that went off, by the record or by what ECS wrote."""
    record, service = facts.snapshot.record, facts.snapshot.service
    names = ", ".join(record.triggered_alarms if record else ())
    texts = [_OF_SERVICE.sub("", event.message) for event in _trouble(facts.history)]
    if facts.verdict.status in (FAILED, ROLLED_BACK):
        texts = _reasons(facts.snapshot) + texts
    said = next((text for text in texts if ALARM.pattern.search(text)), "")
    if names or said:
        named = names or ", ".join(service.alarms if service else ()) or "the deployment's CloudWatch alarms"
        evidence = f"CloudWatch alarm {names} went off" if names else said
        yield Finding("alarm", evidence, ALARM.remedy.format(alarms=named))


def _hooks(facts: Facts) -> Iterator[Finding]:
    """Lifecycle hooks that wait for somebody, or refused."""
    record, service = facts.snapshot.record, facts.snapshot.service
    statuses = ("AWAITING_ACTION", "TIMED_OUT", "FAILED", "IN_PROGRESS")
    waiting, expired, failed, busy = (record.hook(status) if record else "" for status in statuses)
    if waiting and facts.gave_up:
        remedy = "Continue it with ecs:ContinueServiceDeployment, or roll it back, then wait again."
        yield Finding("paused_hook", f"the deployment is paused by lifecycle hook {waiting}", remedy)
    if expired:
        remedy = "Run again, and continue the deployment in time, or give the hook a longer timeoutConfiguration."
        yield Finding("paused_hook", f"nobody continued lifecycle hook {expired}", remedy)
    if failed:
        remedy = "Read the log of the hook's function: it refused this deployment."
        yield Finding("other", f"lifecycle hook {failed} failed", remedy)
    if busy and facts.gave_up:
        remedy = "Read the log of the hook's function: the deployment goes on when it answers. Then wait again."
        yield Finding("other", f"lifecycle hook {busy} is not done", remedy)
    unread = record is None and service is not None and service.strategy != "ROLLING"
    if unread and service is not None and service.pause_stages and facts.verdict.status in (TIMED_OUT, ROLLED_BACK):
        stages = ", ".join(service.pause_stages)
        yield Finding(
            "paused_hook",
            f"the service has a PAUSE lifecycle hook at {stages}; the deployment probably waited there, but its record "
            "could not be read, so this is not certain",
            "If it is paused, continue it with ecs:ContinueServiceDeployment, then wait again. Allow "
            "ecs:ListServiceDeployments and ecs:DescribeServiceDeployments to the caller to be told for certain.",
        )


def _protection(facts: Facts) -> Iterator[Finding]:
    if facts.evidence.protected:
        yield Finding(
            "task_protection",
            f"old tasks are protected from being stopped: {', '.join(facts.evidence.protected)}",
            "Let their protection end (48 hours at most), or end it with ecs:UpdateTaskProtection; then wait again.",
        )


def _events(facts: Facts) -> Iterator[Finding]:
    """Trouble that the service's events tell of, newest first; no lack of room once a task was started after all.

    That the circuit breaker tripped comes last: other events tell why.
    """
    held, found = held_up(facts.history), []
    for event in reversed(_trouble(facts.history)):
        said = _OF_SERVICE.sub("", event.message)
        text = None if ALARM.pattern.search(said) else text_for(said)
        if text is not None and (text.cause != "no_capacity" or held):
            found.append(Finding(text.cause, event.message, _fill(text.remedy, said, facts)))
    yield from sorted(found, key=lambda finding: finding.cause == "circuit_breaker")


def _breaker(facts: Facts) -> Iterator[Finding]:
    tripped = "; ".join(text for text in _reasons(facts.snapshot) if "circuit breaker" in text.lower())
    if tripped and facts.verdict.status != SUPERSEDED:
        remedy = "ECS gave up after too many failed tasks: mend what made them fail and run again."
        if _unread_failures(facts):
            remedy += f" {_SEE_TASKS}"
        yield Finding("circuit_breaker", tripped, remedy)


def _not_healthy(facts: Facts) -> Iterator[Finding]:
    """Tasks of the deployment that run and are not healthy when the wait ends."""
    checked, require = facts.snapshot.health_checked, facts.limits.require_healthy
    bad = [
        task
        for task in facts.snapshot.new_tasks(facts.target)
        if task.last_status == "RUNNING" and not task.draining and not healthy(task.health, checked, require)
    ]
    if not bad or facts.verdict.status not in (STUCK, TIMED_OUT, FAILED):
        return
    shown = ", ".join(f"{task.id} is {task.health}" for task in bad[:5])
    if checked == () and all(task.health == "UNKNOWN" for task in bad):
        remedy = "No essential container has a health check, so no task turns HEALTHY: use require_healthy=auto."
    else:
        remedy = _fill("Run the health check in the image: {checks}. Check interval, timeout, startPeriod.", "", facts)
    yield Finding("health_check", f"{len(bad)} running task(s) are not healthy: {shown}", remedy)


def _no_place(facts: Facts) -> Iterator[Finding]:
    """Tasks that wait for a place: ECS starts them as PROVISIONING until a capacity provider has one."""
    tasks = [task.id for task in facts.snapshot.new_tasks(facts.target) if task.last_status == "PROVISIONING"]
    if tasks and facts.gave_up and facts.snapshot.at - facts.history.moved_at >= 60.0:
        yield Finding(
            "no_capacity",
            f"{len(tasks)} task(s) stay in PROVISIONING: {', '.join(tasks[:5])}",
            "Check that the capacity provider's Auto Scaling group can add instances, and that the subnets have free "
            "addresses; then wait again.",
        )


def _old_tasks(facts: Facts) -> Iterator[Finding]:
    """ECS calls it a success, and tasks of older deployments outlive it."""
    service = facts.snapshot.service
    if service is None or facts.verdict.status != TIMED_OUT or not succeeded(facts.snapshot, facts.target):
        return
    old = facts.snapshot.old_tasks(facts.target)
    count = len(old) or still_counted(service, facts.target)
    if not count and not others(service, facts.target):
        return
    named = f" ({', '.join(task.id for task in old[:5])})" if old else ""
    draining = f", {sum(task.draining for task in old)} of them draining" if old else ""
    said = f"ECS calls the deployment a success, but {count or 'some'} old task(s){named} are left{draining}"
    remedy = "Give the wait a larger timeout and run it again"
    if service.deferred_cleanup:
        said += "; earlySuccessCriteria with sourceServiceRevisionCleanup DEFERRED leaves them running after success"
        remedy += ", or set sourceServiceRevisionCleanup to BLOCKING"
    elif service.early_success:
        said += "; earlySuccessCriteria lets the deployment succeed before they are gone"
    if service.target_groups:
        said += f"; a load balancer may keep them for its deregistration delay ({', '.join(service.target_groups)})"
        remedy += f"; see {_DEREGISTRATION} of the target group"
    stays = " If they stay, look at the containers' stopTimeout and at task protection (ecs:GetTaskProtection)."
    yield Finding("other", said, f"{remedy}.{stays}")


def _lost_tasks(facts: Facts) -> Iterator[Finding]:
    """Tasks of the deployment that others ended: AWS took the host, or somebody stopped them."""
    for task in facts.snapshot.tasks or ():
        if task.live or task.failed or task.started_by != facts.target.deployment_id:
            continue
        said = f"task {task.id}: {task.stopped_reason or task.stop_code}"
        if task.stop_code in ("SpotInterruption", "TerminationNotice", "InfrastructureHealth"):
            text = text_for(f"{said} {task.stop_code}")
            if text is not None:
                yield Finding(text.cause, said, _fill(text.remedy, said, facts))
        elif task.stop_code == "UserInitiated":
            yield Finding("other", said, "Find out who stopped it; ECS starts another. Then wait again.")


_SEE_TASKS = "Allow ecs:ListTasks and ecs:DescribeTasks to the caller to be told why tasks fail."


def _unread_failures(facts: Facts) -> int:
    """How many tasks failed of which none can be looked at."""
    return 0 if facts.snapshot.failed_tasks(facts.target) else facts.history.failed


def _counted_failures(facts: Facts) -> Iterator[Finding]:
    failed = _unread_failures(facts)
    if not failed or facts.verdict.status == SUPERSEDED:
        return
    if facts.snapshot.tasks is None:
        yield Finding("other", f"ECS counts {failed} failed task(s), which may not be looked at", _SEE_TASKS)
    else:
        remedy = "ECS describes stopped tasks for an hour: look at them sooner, or at the log of the containers."
        yield Finding("other", f"ECS counts {failed} failed task(s), and describes none of them any more", remedy)


def _stopped(facts: Facts) -> Iterator[Finding]:
    """Somebody, or ECS without a cause that is known by now, stopped the deployment or had it rolled back."""
    record = facts.snapshot.record
    if facts.snapshot.service is None:
        yield Finding("other", facts.verdict.reason, "Find out who deleted the service; nothing of it runs any more.")
    elif record is not None and facts.verdict.status in (FAILED, ROLLED_BACK):
        if _BY_USER.search(" ".join(_reasons(facts.snapshot))):
            remedy = "Find out who called ecs:StopServiceDeployment, and why; then run the rotation again."
            yield Finding("other", facts.verdict.reason, remedy)
        elif record.status == "STOPPED":
            remedy = "Tasks of both revisions may run now: look at the service's events, then run the rotation again."
            yield Finding("other", facts.verdict.reason, remedy)


SIGNS: tuple[Sign, ...] = (
    _superseded,
    _failed_tasks,
    _deadlock,
    _alarms,
    _hooks,
    _protection,
    _events,
    _not_healthy,
    _no_place,
    _breaker,
    _old_tasks,
    _lost_tasks,
    _counted_failures,
    _stopped,
)


def _plain(facts: Facts) -> Finding:
    """What is left to say when there is no sign of anything."""
    if facts.verdict.status == TIMED_OUT:
        remedy = "ECS goes on with the deployment: give the wait a larger timeout and run it again"
        return Finding("other", facts.verdict.reason, f"{remedy}, or look at the service's events.")
    remedy = "Look at the service's events, and at its stopped tasks, which ECS keeps for an hour"
    return Finding("other", facts.verdict.reason, f"{remedy}: {last_part(facts.target.task_definition)}.")


def _of_task(task: Task, facts: Facts) -> Finding:
    """What one failed task says of itself and its containers."""
    ended = [container for container in task.containers if container.exit_code is not None]
    first = [container for container in ended if container.exit_code not in _ENDED_BY_ECS or container.reason]
    other = [container.reason for container in task.containers if container.exit_code is None and container.reason]
    words = {
        container.name: f"container {container.name} exited with {container.exit_code} {container.reason}".rstrip()
        for container in ended
    }
    why = task.stopped_reason or task.stop_code
    said = f"task {task.id}: {'; '.join(dict.fromkeys([why, *words.values(), *other]))}"
    telling = "; ".join([why, *(f"exited with {one.exit_code} {one.reason}" for one in first or ended), *other])
    text = text_for(telling)
    if text is None:
        return Finding("other", said, "Look the reason up in ECS's stopped task error codes.")
    ran = text.cause in ("container_exit", "out_of_memory", "health_check", "load_balancer_health")
    return Finding(text.cause, said, _fill(text.remedy, said, facts), facts.evidence.log_words if ran else "")


def _fill(remedy: str, said: str, facts: Facts) -> str:
    """Name in a remedy what the evidence names; in general words where it does not."""
    definition, service = facts.evidence.definition, facts.snapshot.service
    specs = definition.containers if definition else ()
    secret, permission, role = _SECRET.search(said), _PERMISSION.search(said), _ROLE.search(said)
    referenced = list(dict.fromkeys(name for spec in specs for name in spec.secrets))
    by_store = next((action for store, action in _STORES.items() if store in said), "")
    execution = role.group() if role else definition.execution_role if definition else ""
    named = {
        "role": f"the execution role {execution}" if execution and not role else execution,
        "permission": permission.group() if permission else by_store,
        "secret": secret.group().rstrip(".:)") if secret else ", ".join(referenced),
        "images": ", ".join(spec.image for spec in specs if spec.image and spec.image in said)
        or ", ".join(spec.image for spec in specs),
        "checks": "; ".join(f"{spec.name}: {spec.health_check}" for spec in specs if spec.health_check),
        "logs": ", ".join(dict.fromkeys(spec.log_group for spec in specs if spec.log_group)),
        "balancers": ", ".join(service.target_groups) if service else "",
    }
    return remedy.format_map({name: found or IN_GENERAL[name] for name, found in named.items()})


def _trouble(history: History) -> list[Event]:
    """Events that tell of trouble, oldest first."""
    return [event for event in history.events if TROUBLE.search(_OF_SERVICE.sub("", event.message))]


def _reasons(snapshot: Snapshot) -> list[str]:
    """What ECS wrote in the reasons of the record and of the deployments, each once."""
    record, service = snapshot.record, snapshot.service
    texts = [record.reason, record.rollback_reason] if record else []
    texts += [entry.reason for entry in service.deployments] if service else []
    return list(dict.fromkeys(filter(None, texts)))
