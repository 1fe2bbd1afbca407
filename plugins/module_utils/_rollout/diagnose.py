# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Explain why a rollout did not complete: cause, evidence, remedy. Pure.

A pattern of what ECS writes is a row of :data:`TEXTS`. Texts are those of
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html and
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .._ecs import Service, last_part
from .evidence import Evidence
from .judge import STUCK, SUPERSEDED, TIMED_OUT, Verdict, percent_deadlock
from .snapshot import History, Snapshot, Target, Task


@dataclass(frozen=True)
class Finding:
    """One cause, what shows it, and what to do."""

    cause: str
    evidence: str
    remedy: str


@dataclass(frozen=True)
class Text:
    """A pattern of what ECS writes, the cause it stands for, and the remedy.

    The remedy may name ``{role}``, ``{permission}``, ``{secret}``, ``{images}`` and ``{checks}``; see :func:`_details`.
    """

    cause: str
    pattern: re.Pattern[str]
    remedy: str


def _text(cause: str, pattern: str, remedy: str) -> Text:
    return Text(cause, re.compile(pattern, re.IGNORECASE), remedy)


# The first that matches counts: what names a thing exactly stands before what is general.
TEXTS = (
    _text(
        "secret_access",
        r"unable to (?:pull|retrieve) secrets?|secretsmanager:GetSecretValue|ssm:GetParameters|failed to fetch secret",
        "Allow {permission} on {secret} to {role} (and kms:Decrypt, where it has a key of its own), and check that it "
        "exists and that the task's subnets reach its endpoint.",
    ),
    _text(
        "image_pull",
        r"CannotPullContainer|CannotPullImageManifest|pull image manifest|ImageNotFound|failed to resolve ref",
        "Check that {images} exists with that tag, that {role} may pull it, and that the task's subnets reach the "
        "registry.",
    ),
    _text(
        "out_of_memory",
        r"OutOfMemory|out of memory|\boom\b",
        "Give the container more memory in the task definition, or find what uses it at start.",
    ),
    _text(
        "load_balancer_health",
        r"failed ELB health checks|is unhealthy in (?:\(?target-group|load ?balancer|\(?elb)|Health checks failed with",
        "Call the target group's health check path on a task; check its port, path and expected codes, the security "
        "groups, and healthCheckGracePeriodSeconds.",
    ),
    _text(
        "health_check",
        r"failed container health checks",
        "Run the health check in the image: {checks}. Check its interval, timeout, retries and startPeriod.",
    ),
    _text(
        "no_capacity",
        r"unable to place a task|RESOURCE:|Capacity is unavailable|no container instances?|InsufficientCapacity",
        "Add container instances, ask for less CPU and memory, or lower minimumHealthyPercent so that an old task may "
        "stop before a new one starts.",
    ),
    _text(
        "container_exit",
        r"essential container in task exited|exited with|CannotStartContainer"
        r"|CannotCreateContainer|Task failed to start",
        "The container ends by itself: read its log, and check whether the application refuses the new value.",
    ),
)

_ALARM = _text(
    "alarm", r"alarm detected", "Look at what the deployment's CloudWatch alarms measure; ECS ended it for one of them."
)

# What a service's events, rather than its tasks, tell of.
_OF_EVENTS = (
    _ALARM,
    *(text for text in TEXTS if text.cause in ("no_capacity", "load_balancer_health", "health_check")),
)

_SECRET = re.compile(r"arn:[\w-]+:(?:secretsmanager|ssm):[\w-]*:\d*:[^\s,;'\"]+")
# How ECS names the stores in its reasons.
_STORES = {"from asm": "secretsmanager:GetSecretValue", "from ssm": "ssm:GetParameters"}
_PERMISSION = re.compile(r"\b(?:secretsmanager:GetSecretValue|ssm:GetParameters|kms:Decrypt)\b")


def diagnose(
    snapshot: Snapshot, history: History, target: Target, verdict: Verdict, evidence: Evidence | None = None
) -> list[Finding]:
    """Return the causes that the evidence shows, most telling first; never empty for a failed rollout."""
    found = list(_findings(snapshot, history, target, verdict, evidence or Evidence()))
    # The first finding of each cause is its best.
    distinct = {finding.cause: finding for finding in reversed(found)}
    causes = dict.fromkeys(finding.cause for finding in found)
    if causes:
        return [distinct[cause] for cause in causes]
    remedy = "Look at the service's events, and at its stopped tasks, which ECS keeps for an hour"
    return [Finding("other", verdict.reason, f"{remedy}: {last_part(target.task_definition)}.")]


def _findings(
    snapshot: Snapshot, history: History, target: Target, verdict: Verdict, evidence: Evidence
) -> Iterator[Finding]:
    """Every finding, by kind of evidence: takeover, failed tasks, limits, the record, events, the breaker."""
    if verdict.status == SUPERSEDED:
        remedy = "Find out who deployed, then run the rotation again: it starts from what runs."
        yield Finding("superseded", verdict.reason, remedy)
    for task in snapshot.failed_tasks(target):
        yield _of_task(task, evidence)
    if snapshot.service is not None and verdict.status in (STUCK, TIMED_OUT) and percent_deadlock(snapshot.service):
        yield _deadlock(snapshot.service)
    yield from _of_record(snapshot, verdict)
    if evidence.protected:
        yield Finding(
            "task_protection",
            f"old tasks are protected from being stopped: {', '.join(evidence.protected)}",
            "Let their protection end (48 hours at most), or end it with ecs:UpdateTaskProtection; then wait again.",
        )
    for event in reversed(history.events):
        for text in _OF_EVENTS:
            if text.pattern.search(event.message):
                yield Finding(text.cause, event.message, _fill(text.remedy, event.message, evidence))
    tripped = _of_breaker(snapshot)
    if tripped and verdict.status != SUPERSEDED:
        remedy = "ECS gave up after too many failed tasks: mend what made them fail and run again."
        yield Finding("circuit_breaker", tripped, remedy)


def _of_record(snapshot: Snapshot, verdict: Verdict) -> Iterator[Finding]:
    """What ECS's own record of the deployment names: alarms, and hooks that wait for somebody."""
    record = snapshot.record
    if record is None:
        return
    if record.triggered_alarms:
        alarms = ", ".join(record.triggered_alarms)
        remedy = f"Look at what {alarms} measures since the deployment began; ECS ended the deployment for it."
        yield Finding("alarm", f"CloudWatch alarm {alarms} went off", remedy)
    waiting, expired, failed = (record.hook(status) for status in ("AWAITING_ACTION", "TIMED_OUT", "FAILED"))
    if waiting and verdict.status in (STUCK, TIMED_OUT):
        remedy = "Continue it with ecs:ContinueServiceDeployment, or roll it back, then wait again."
        yield Finding("paused_hook", f"the deployment is paused by lifecycle hook {waiting}", remedy)
    if expired:
        remedy = "Run again, and continue the deployment in time, or give the hook a longer timeoutConfiguration."
        yield Finding("paused_hook", f"nobody continued lifecycle hook {expired}", remedy)
    if failed:
        remedy = "Read the log of the hook's function: it refused this deployment."
        yield Finding("other", f"lifecycle hook {failed} failed", remedy)


def _of_task(task: Task, evidence: Evidence) -> Finding:
    """What one failed task says of itself and its containers."""
    ended = [
        f"container {container.name} exited with {container.exit_code} {container.reason}".rstrip()
        for container in task.containers
        if container.exit_code is not None
    ]
    other = [container.reason for container in task.containers if container.exit_code is None and container.reason]
    said = f"task {task.id}: {'; '.join(dict.fromkeys([task.stopped_reason or task.stop_code, *ended, *other]))}"
    text = next((text for text in TEXTS if text.pattern.search(said)), None)
    if text is None:
        return Finding("other", said, "Look the reason up in ECS's stopped task error codes.")
    if evidence.log_lines and text.cause in ("container_exit", "out_of_memory", "health_check", "load_balancer_health"):
        said += f"; last log lines of {evidence.log_of}: {' | '.join(evidence.log_lines)}"
    return Finding(text.cause, said, _fill(text.remedy, said, evidence))


def _fill(remedy: str, said: str, evidence: Evidence) -> str:
    """Name in a remedy what the evidence names; in general words where it does not."""
    definition = evidence.definition
    specs = definition.containers if definition else ()
    secret, permission = _SECRET.search(said), _PERMISSION.search(said)
    referenced = list(dict.fromkeys(name for spec in specs for name in spec.secrets))
    by_store = next((action for store, action in _STORES.items() if store in said), "")
    named = {
        "role": f"the execution role {definition.execution_role}" if definition and definition.execution_role else "",
        "permission": permission.group() if permission else by_store,
        "secret": secret.group().rstrip(".:)") if secret else ", ".join(referenced),
        "images": ", ".join(spec.image for spec in specs if spec.image and spec.image in said)
        or ", ".join(spec.image for spec in specs),
        "checks": "; ".join(f"{spec.name}: {spec.health_check}" for spec in specs if spec.health_check),
    }
    general = {
        "role": "the task's execution role",
        "permission": "secretsmanager:GetSecretValue or ssm:GetParameters",
        "secret": "the secret",
        "images": "the image",
        "checks": "the container's healthCheck command",
    }
    return remedy.format_map({name: found or general[name] for name, found in named.items()})


def _deadlock(service: Service) -> Finding:
    desired, low, high = service.desired, service.minimum_percent, service.maximum_percent
    raised, lowered = math.ceil(100 * (desired + 1) / desired), math.floor(100 * (desired - 1) / desired)
    return Finding(
        "percent_deadlock",
        f"desiredCount {desired} with minimumHealthyPercent {low} and maximumPercent {high}: ECS may not run "
        f"{desired + 1} tasks, nor fewer than {math.ceil(desired * low / 100)}",
        f"Set maximumPercent to {raised} or more, or minimumHealthyPercent to {lowered}{' or less' * bool(lowered)}.",
    )


def _of_breaker(snapshot: Snapshot) -> str:
    """What ECS wrote of its circuit breaker in the reasons of the record and of the deployments; empty for nothing."""
    record, service = snapshot.record, snapshot.service
    texts = [record.reason, record.rollback_reason] if record else []
    texts += [entry.reason for entry in service.deployments] if service else []
    return "; ".join(dict.fromkeys(text for text in texts if "circuit breaker" in text))
