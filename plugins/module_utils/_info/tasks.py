# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read every task of a cluster that has not stopped, standalone ones included.

Follows API_ListTasks and API_DescribeTasks of https://docs.aws.amazon.com/AmazonECS/latest/APIReference/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .._aws import Aws
from .._ecs import TASKS_BATCH, describe_tasks, epoch, last_part, list_tasks
from .revisions import Settings, Wanted, settings_of
from .unverified import Unverified

_SERVICE = "service:"


@dataclass(frozen=True)
class Task:
    """A task that has not stopped. Times are epoch seconds."""

    arn: str
    task_definition: str
    group: str
    last_status: str
    desired_status: str
    created_at: float | None
    started_at: float | None
    overrides: Settings

    @property
    def id(self) -> str:
        return last_part(self.arn)

    @property
    def service(self) -> str | None:
        """Name of its service; None for a standalone task."""
        return self.group[len(_SERVICE) :] if self.group.startswith(_SERVICE) else None

    @property
    def draining(self) -> bool:
        """It was told to stop and has not yet."""
        return self.desired_status == "STOPPED"

    @classmethod
    def parse(cls, aws: Aws, answer: Mapping[str, Any], wanted: Wanted) -> Task:
        overrides = (answer.get("overrides") or {}).get("containerOverrides") or ()
        return cls(
            arn=answer.get("taskArn", ""),
            task_definition=answer.get("taskDefinitionArn", ""),
            group=answer.get("group") or "",
            last_status=answer.get("lastStatus", ""),
            desired_status=answer.get("desiredStatus", ""),
            created_at=epoch(answer.get("createdAt")),
            started_at=epoch(answer.get("startedAt")),
            overrides=settings_of(aws, overrides, wanted),
        )


def live_tasks(aws: Aws, cluster: str, wanted: Wanted, unverified: Unverified) -> tuple[Task, ...]:
    """Read the tasks, a hundred a call. One that ECS lists and does not describe is told as unverified."""
    on = f"cluster {last_part(cluster)}"
    running = list_tasks(aws, on, cluster=cluster, desiredStatus="RUNNING")
    # A task that is told to stop stands among the STOPPED while it still runs, and in both lists in between.
    arns = list(dict.fromkeys([*running, *list_tasks(aws, on, cluster=cluster, desiredStatus="STOPPED")]))
    described = describe_tasks(aws, f"tasks of {on}", cluster, arns)
    found = {entry.get("taskArn", ""): Task.parse(aws, entry, wanted) for entry in described}
    for arn in running:
        if arn not in found:
            unverified.add(f"task {last_part(arn)}: ECS lists it as running and does not describe it")
    return tuple(task for task in found.values() if task.last_status not in ("STOPPED", "DELETED"))


def protected_until(aws: Aws, cluster: str, tasks: Iterable[Task]) -> dict[str, float | None]:
    """Tasks that are protected from scale-in, by ARN, with when that ends. Good to know and no more."""
    arns = [task.arn for task in tasks if task.service]
    found: dict[str, float | None] = {}
    for start in range(0, len(arns), TASKS_BATCH):
        batch = arns[start : start + TASKS_BATCH]
        answer = aws.call_optional("ecs", "GetTaskProtection", "tasks", cluster=cluster, tasks=batch)
        for entry in (answer or {}).get("protectedTasks") or ():
            if entry.get("protectionEnabled"):
                found[entry.get("taskArn", "")] = epoch(entry.get("expirationDate"))
    return found
