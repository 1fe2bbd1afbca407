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
    """A pattern of what ECS writes, the cause it stands for, and the remedy."""

    cause: str
    pattern: re.Pattern[str]
    remedy: str


def _text(cause: str, pattern: str, remedy: str) -> Text:
    return Text(cause, re.compile(pattern, re.IGNORECASE), remedy)


# The first that matches counts: what names a thing exactly stands before what is general.
TEXTS = (
    _text(
        "secret_access",
        r"ResourceInitializationError: unable to (?:pull|retrieve) secrets?|secretsmanager:GetSecretValue"
        r"|ssm:GetParameters"
        r"|failed to fetch secret|unable to retrieve secret",
        "Let the task's executionRoleArn read the secret (secretsmanager:GetSecretValue or ssm:GetParameters, and "
        "kms:Decrypt "
        "where it has a key of its own), and let the task's subnets reach the secrets' endpoint.",
    ),
    _text(
        "image_pull",
        r"CannotPullContainer|CannotPullImageManifest|pull image manifest|ImageNotFound|PullImage"
        r"|failed to resolve ref",
        "Check that the image and its tag exist, that the executionRoleArn may pull it, and that the subnets reach "
        "the registry.",
    ),
    _text(
        "out_of_memory",
        r"OutOfMemory|\boom\b",
        "Give the container more memory in the task definition, or look for what uses it at start.",
    ),
    _text(
        "load_balancer_health",
        r"failed ELB health checks|is unhealthy in (?:\(?target-group|load ?balancer)"
        r"|Target\.(?:ResponseCodeMismatch|Timeout|FailedHealthChecks)",
        "Call the target group's health check path on a task, and check port, path, expected codes, security groups "
        "and "
        "healthCheckGracePeriodSeconds.",
    ),
    _text(
        "health_check",
        r"failed container health checks",
        "Run the container's healthCheck command in the image, and check interval, timeout, retries and startPeriod.",
    ),
    _text(
        "no_capacity",
        r"unable to place a task|RESOURCE:|Capacity is unavailable|no container instances? (?:were found|met)"
        r"|InsufficientCapacity"
        r"|unable to (?:start|launch) .*capacity",
        "Add container instances or capacity, ask for less CPU and memory, or lower minimumHealthyPercent so that an "
        "old task may "
        "stop before a new one starts.",
    ),
    _text(
        "container_exit",
        r"essential container in task exited|exited with|Task failed to start|CannotStartContainer"
        r"|CannotCreateContainer",
        "Read the container's log: it starts and ends by itself. Check whether the application refuses the new value.",
    ),
)

_EVENT_TEXTS = tuple(text for text in TEXTS if text.cause in ("no_capacity", "load_balancer_health", "health_check"))


def diagnose(snapshot: Snapshot, history: History, target: Target, verdict: Verdict) -> list[Finding]:
    """Return the causes that the evidence shows, most telling first; never empty for a failed rollout."""
    found = list(_findings(snapshot, history, target, verdict))
    distinct = list({finding.cause: finding for finding in reversed(found)}.values())[::-1]
    if distinct:
        return distinct
    return [
        Finding(
            "other",
            verdict.reason,
            f"Look at the service's events and at stopped tasks of {last_part(target.task_definition)} in ECS; they "
            "are kept "
            "for an hour.",
        )
    ]


def _findings(snapshot: Snapshot, history: History, target: Target, verdict: Verdict) -> Iterator[Finding]:
    service, record = snapshot.service, snapshot.record
    if verdict.status == SUPERSEDED:
        yield Finding(
            "superseded",
            verdict.reason,
            "Find out who deployed, then run the rotation again: it starts from what runs.",
        )
    for task in snapshot.failed_tasks(target):
        yield from _of_task(task)
    if service is not None and verdict.status in (STUCK, TIMED_OUT) and percent_deadlock(service):
        yield _deadlock(service)
    if record is not None and record.triggered_alarms:
        alarms = ", ".join(record.triggered_alarms)
        yield Finding(
            "alarm", f"CloudWatch alarm {alarms} went off", "Look at what the alarm measures; ECS stopped for it."
        )
    if record is not None and verdict.status == TIMED_OUT and "hook" in record.reason.lower():
        yield Finding(
            "paused_hook", record.reason, "Continue the deployment (ContinueServiceDeployment), or let the hook answer."
        )
    for event in reversed(history.events):
        for text in _EVENT_TEXTS:
            if text.pattern.search(event.message):
                yield Finding(text.cause, event.message, text.remedy)
    tripped = _of_breaker(snapshot)
    if tripped and verdict.status != SUPERSEDED:
        yield Finding(
            "circuit_breaker",
            tripped,
            "ECS gave up after too many failed tasks: mend what made them fail and run again.",
        )


def _of_task(task: Task) -> Iterator[Finding]:
    """What one failed task says of itself and its containers."""
    ended = [
        f"container {container.name} exited with {container.exit_code} {container.reason}".rstrip()
        for container in task.containers
        if container.exit_code is not None or container.reason
    ]
    evidence = f"task {task.id}: {'; '.join([task.stopped_reason or task.stop_code, *ended])}"
    for text in TEXTS:
        if text.pattern.search(evidence):
            yield Finding(text.cause, evidence, text.remedy)
            return
    yield Finding("other", evidence, "Look the reason up in ECS's stopped task error codes.")


def _deadlock(service: Service) -> Finding:
    desired, low, high = service.desired, service.minimum_percent, service.maximum_percent
    raised, lowered = math.ceil(100 * (desired + 1) / desired), math.floor(100 * (desired - 1) / desired)
    return Finding(
        "percent_deadlock",
        f"desiredCount {desired} with minimumHealthyPercent {low} and maximumPercent {high}: ECS may not run "
        f"{desired + 1} tasks, nor fewer than {math.ceil(desired * low / 100)}",
        f"Set maximumPercent to {raised} or more, or minimumHealthyPercent to {lowered} or less.",
    )


def _of_breaker(snapshot: Snapshot) -> str:
    """What ECS wrote of its circuit breaker in the reasons of the record and of the deployments; empty for nothing."""
    record, service = snapshot.record, snapshot.service
    texts = [record.reason, record.rollback_reason] if record else []
    texts += [entry.reason for entry in service.deployments] if service else []
    return "; ".join(dict.fromkeys(text for text in texts if "circuit breaker" in text))
