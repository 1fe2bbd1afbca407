# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read only once a rollout has failed, to say why: log lines, task protection, and the definition's details."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._aws import Aws
from .snapshot import Snapshot, Target, Task

LOG_LINES = 10
PROTECTION_BATCH = 100


@dataclass(frozen=True)
class ContainerSpec:
    """What a container of the deployed revision is made of, as far as a diagnosis names it."""

    name: str
    image: str
    essential: bool
    health_check: str  # its command; empty without one
    secrets: tuple[str, ...]  # what its secrets name as valueFrom
    log_group: str  # empty where the log does not go to CloudWatch Logs, or has no stream prefix
    log_region: str
    log_prefix: str

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> ContainerSpec:
        log = answer.get("logConfiguration") or {}
        options = log.get("options") or {}
        readable = log.get("logDriver") == "awslogs" and options.get("awslogs-stream-prefix")
        return cls(
            name=answer.get("name", ""),
            image=answer.get("image", ""),
            essential=answer.get("essential", True),
            health_check=" ".join((answer.get("healthCheck") or {}).get("command") or ()),
            secrets=tuple(entry.get("valueFrom", "") for entry in answer.get("secrets") or ()),
            log_group=options.get("awslogs-group", "") if readable else "",
            log_region=options.get("awslogs-region", ""),
            log_prefix=options.get("awslogs-stream-prefix", ""),
        )


@dataclass(frozen=True)
class Deployed:
    """The deployed revision, as far as a wait needs it."""

    execution_role: str
    containers: tuple[ContainerSpec, ...]

    @property
    def health_checked(self) -> tuple[str, ...]:
        """Essential containers with a health check: they make a task HEALTHY or UNHEALTHY."""
        return tuple(spec.name for spec in self.containers if spec.health_check and spec.essential)


@dataclass(frozen=True)
class Evidence:
    """What a diagnosis may name beside the snapshot."""

    definition: Deployed | None = None
    protected: tuple[str, ...] = ()  # ids of old tasks that ECS may not stop
    log_of: str = ""  # container whose last log lines follow
    log_lines: tuple[str, ...] = ()


def gather(aws: Aws, target: Target, snapshot: Snapshot, definition: Deployed | None) -> Evidence:
    """Read what explains a failure. What may not be read is left out: the ending is known without it."""
    old = [task.id for task in snapshot.old_tasks(target)]
    failed = snapshot.failed_tasks(target)
    log_of, lines = _log_lines(aws, failed[0], definition) if failed and definition else ("", ())
    return Evidence(definition, _protected(aws, target, old), log_of, lines)


def _protected(aws: Aws, target: Target, ids: list[str]) -> tuple[str, ...]:
    if not ids:
        return ()
    on = f"tasks of service {target.service}"
    answer = aws.call_optional("ecs", "GetTaskProtection", on, cluster=target.cluster, tasks=ids[:PROTECTION_BATCH])
    return tuple(
        str(entry["taskArn"]).rpartition("/")[2]
        for entry in (answer or {}).get("protectedTasks") or ()
        if entry.get("protectionEnabled")
    )


def _log_lines(aws: Aws, task: Task, definition: Deployed) -> tuple[str, tuple[str, ...]]:
    """The last lines of the container that made a task fail."""
    ended = {container.name for container in task.containers if container.exit_code}
    specs = [spec for spec in definition.containers if spec.log_group and spec.log_region in ("", aws.region)]
    spec = next((spec for spec in specs if spec.name in ended), specs[0] if specs else None)
    if spec is None:
        return "", ()
    answer = aws.call_optional(
        "logs",
        "GetLogEvents",
        f"log group {spec.log_group}",
        logGroupName=spec.log_group,
        logStreamName=f"{spec.log_prefix}/{spec.name}/{task.id}",
        limit=LOG_LINES,
        startFromHead=False,
    )
    events = (answer or {}).get("events") or ()
    return spec.name, tuple(str(event.get("message", "")).rstrip() for event in events)
