# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read only once a rollout has failed, to say why: log lines, task protection, and the definition's details."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .._aws import Aws
from .._errors import AccessDeniedError, AwsError
from .._scrub import CENSORED
from .snapshot import Snapshot, Target, Task

LOG_LINES = 10
LOG_TASKS = 3
LINE_LENGTH = 500
PROTECTION_BATCH = 100

_PASSWORD = re.compile(r"://[^/@\s:]*:([^/@\s]+)@")
# Credentials that nobody told us of, in the lines of a log: AWS's, GitHub's, Slack's and Google's keys, JSON web
# tokens, and whatever is called a key, token, secret or password.
_CREDENTIAL = re.compile(
    r"(?P<name>\bBearer\s+|\bBasic\s+"
    r"|[\w-]{0,40}(?:api[_-]?key|access[_-]?key|token|secret|passw(?:or)?d|credential)[\w-]{0,40}[\"']?\s*[:=]\s*[\"']?)"
    r"[^\s\"',;&|}\]]{6,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{12,}|\bgh[pousr]_\w{16,}|\bgithub_pat_\w{16,}|\bxox[a-z]-[\w-]{10,}|\bAIza[\w-]{20,}"
    r"|\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ContainerSpec:
    """What a container of the deployed revision is made of, as far as a diagnosis names it."""

    name: str
    image: str
    essential: bool
    health_check: str  # its command; empty without one
    secrets: tuple[str, ...]  # what its secrets name as valueFrom
    log_group: str  # empty where the log does not go to CloudWatch Logs
    log_region: str
    log_prefix: str

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> ContainerSpec:
        log = answer.get("logConfiguration") or {}
        options = log.get("options") or {}
        return cls(
            name=answer.get("name", ""),
            image=answer.get("image", ""),
            essential=answer.get("essential", True),
            health_check=" ".join((answer.get("healthCheck") or {}).get("command") or ()),
            secrets=tuple(entry.get("valueFrom", "") for entry in answer.get("secrets") or ()),
            log_group=options.get("awslogs-group", "") if log.get("logDriver") == "awslogs" else "",
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
    """What a diagnosis may name beside the snapshot. Log lines are scrubbed already."""

    definition: Deployed | None = None
    protected: tuple[str, ...] = ()  # ids of old tasks that ECS may not stop
    unread: tuple[str, ...] = ()  # what could not be looked at, and why
    log_of: str = ""  # container whose last log lines follow
    log_lines: tuple[str, ...] = ()
    log_elsewhere: str = ""  # where the log is that was not read

    @property
    def log_words(self) -> str:
        """The log lines, or where to find them, as evidence goes on; empty for none."""
        if self.log_lines:
            return f"; last log lines of {self.log_of}: {' | '.join(self.log_lines)}"
        return f"; its log was not read: {self.log_elsewhere}" if self.log_elsewhere else ""


def gather(aws: Aws, target: Target, snapshot: Snapshot, definition: Deployed | None) -> Evidence:
    """Read what explains a failure. What may not be read is told: the ending is known without it."""
    _know_old_values(aws, target, snapshot)
    old = [task.id for task in snapshot.old_tasks(target)]
    protected, why = _protected(aws, target, old)
    evidence = Evidence(definition, protected, (f"task protection: {why}",) * bool(why))
    return _with_log(aws, target, snapshot, evidence)


def _allowed(aws: Aws, service: str, operation: str, on: str, **params: Any) -> tuple[dict[str, Any] | None, str]:
    """An answer, if there is one; and what permission lacks where that is why there is none."""
    try:
        return aws.call_briefly(service, operation, on, **params), ""
    except AccessDeniedError as error:
        return None, error.msg
    except AwsError:
        return None, ""


def _protected(aws: Aws, target: Target, ids: list[str]) -> tuple[tuple[str, ...], str]:
    """Ids of the tasks that are protected, as far as it may be read; and why not all of it could be."""
    found: list[str] = []
    on = f"tasks of service {target.service}"
    for start in range(0, len(ids), PROTECTION_BATCH):
        batch = ids[start : start + PROTECTION_BATCH]
        answer, why = _allowed(aws, "ecs", "GetTaskProtection", on, cluster=target.cluster, tasks=batch)
        if answer is None:
            return tuple(found), why
        found += [
            str(entry["taskArn"]).rpartition("/")[2]
            for entry in answer.get("protectedTasks") or ()
            if entry.get("protectionEnabled") and entry.get("taskArn")
        ]
    return tuple(found), ""


def _with_log(aws: Aws, target: Target, snapshot: Snapshot, evidence: Evidence) -> Evidence:
    """Add the last lines of the container that made a task fail: of the first task that has any."""
    specs = [spec for spec in (evidence.definition.containers if evidence.definition else ()) if spec.log_group]
    failed = snapshot.failed_tasks(target)
    ran = [task for task in failed if any(container.exit_code is not None for container in task.containers)]
    for task in ran[:LOG_TASKS]:
        ended = {container.name for container in task.containers if container.exit_code}
        spec = next((spec for spec in specs if spec.name in ended), specs[0] if specs else None)
        stream = _stream(spec, task) if spec else ""
        if spec is None or not stream:
            continue
        if spec.log_region not in ("", aws.region):
            where = f"stream {stream} of log group {spec.log_group} in Region {spec.log_region}"
            return replace(evidence, log_elsewhere=where)
        answer, why = _allowed(
            aws,
            "logs",
            "GetLogEvents",
            f"log group {spec.log_group}",
            logGroupName=spec.log_group,
            logStreamName=stream,
            limit=LOG_LINES,
            startFromHead=False,
        )
        if answer is None:
            where = f"stream {stream} of log group {spec.log_group}"
            unread = (*evidence.unread, f"log: {why}") if why else evidence.unread
            return replace(evidence, log_elsewhere=where, unread=unread)
        lines = [str(event.get("message", "")).rstrip() for event in answer.get("events") or ()]
        if lines:
            return replace(evidence, log_of=spec.name, log_lines=tuple(_shown(aws, line) for line in lines))
    return evidence


def _stream(spec: ContainerSpec, task: Task) -> str:
    """Name of a container's log stream; without a prefix it is the container's id. Empty where that is not known.

    Follows https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_awslogs.html
    """
    if spec.log_prefix:
        return f"{spec.log_prefix}/{spec.name}/{task.id}"
    return next((container.runtime_id for container in task.containers if container.name == spec.name), "")


def _know_old_values(aws: Aws, target: Target, snapshot: Snapshot) -> None:
    """Let the scrubber know the values of the revisions that the service ran before: events and logs may hold them."""
    service = snapshot.service
    names = [service.task_definition, *(entry.task_definition for entry in service.deployments)] if service else []
    for name in dict.fromkeys(names):
        if name and name != target.task_definition:
            answer = aws.call_optional("ecs", "DescribeTaskDefinition", "an older revision", taskDefinition=name) or {}
            learn_values(aws, (answer.get("taskDefinition") or {}).get("containerDefinitions") or ())


def learn_values(aws: Aws, containers: Iterable[Mapping[str, Any]]) -> None:
    """Let the scrubber know the values of containers' variables, and the passwords of URLs among them."""
    values = [entry.get("value") or "" for each in containers for entry in each.get("environment") or ()]
    aws.scrub.add_neighbours([*values, *(found for value in values for found in _PASSWORD.findall(value))])


def _shown(aws: Aws, line: str) -> str:
    """A log line without values, and without what looks like one; shortened only then, lest half a value stay."""
    start = aws.scrub.foreign(line)[: 4 * LINE_LENGTH]  # a line may have a million characters
    clean = _CREDENTIAL.sub(lambda found: f"{found['name'] or ''}{CENSORED}", start)
    return clean if len(clean) <= LINE_LENGTH else f"{clean[:LINE_LENGTH]} ..."
