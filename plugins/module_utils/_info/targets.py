# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What EventBridge starts: the ECS targets of rules and of schedules.

Follows API_ListRules, API_ListTargetsByRule and API_EcsParameters of
https://docs.aws.amazon.com/eventbridge/latest/APIReference/, and
https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-templated.html and -universal.html
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .._aws import Aws
from .._ecs import last_part
from .._errors import AwsError
from .revisions import NOTHING, Settings, Wanted, settings_of

RULE, SCHEDULE = "rule", "schedule"
# A placeholder of an input transformer, which stands for something of the event.
_PLACEHOLDER = re.compile(r"<[\w.-]+>")
_BARE_PLACEHOLDER = re.compile(r'(?<![\w"<])(<[\w.-]+>)(?!")')


@dataclass(frozen=True)
class Target:
    """Something that starts tasks at times or events.

    Attributes:
        group: the rule's event bus, or the schedule's group.
        target_id: of a rule's target.
        cluster: name or ARN; empty where it is not told.
        task_definition: ARN, ``family:revision``, or ``family`` for its latest ACTIVE revision.
        unknown: why its overrides are not known; empty where they are.
    """

    kind: str
    name: str
    group: str
    arn: str
    target_id: str | None
    enabled: bool
    cluster: str
    task_definition: str
    overrides: Settings = NOTHING
    unknown: str = ""


def rules(aws: Aws, wanted: Wanted) -> Iterator[Target]:
    """The ECS targets of every rule of every event bus."""
    for bus in _pages(aws, "events", "ListEventBuses", "EventBuses"):
        for rule in _pages(aws, "events", "ListRules", "Rules", EventBusName=bus["Name"]):
            named = {"Rule": rule["Name"], "EventBusName": bus["Name"]}
            for entry in _pages(aws, "events", "ListTargetsByRule", "Targets", **named):
                if entry.get("EcsParameters"):
                    target = Target(
                        kind=RULE,
                        name=rule["Name"],
                        group=bus["Name"],
                        arn=rule.get("Arn", ""),
                        target_id=entry.get("Id"),
                        enabled=rule.get("State") != "DISABLED",
                        cluster=entry.get("Arn", ""),
                        task_definition=_named(entry["EcsParameters"]),
                    )
                    yield _overridden(aws, target, _rule_input(entry), wanted)


def schedules(aws: Aws, wanted: Wanted) -> Iterator[Target]:
    """The schedules of every group that start tasks, by ECS's own target or by the universal one."""
    for summary in _pages(aws, "scheduler", "ListSchedules", "Schedules"):
        arn = (summary.get("Target") or {}).get("Arn", "")
        if ":cluster/" not in arn and ":aws-sdk:ecs:" not in arn:
            continue
        name, group = summary["Name"], summary.get("GroupName") or "default"
        schedule = _there(aws, "scheduler", "GetSchedule", f"schedule {group}/{name}", Name=name, GroupName=group)
        call = _call(schedule.get("Target") or {})
        if call.task_definition:
            target = Target(
                kind=SCHEDULE,
                name=name,
                group=group,
                arn=schedule.get("Arn", ""),
                target_id=None,
                enabled=schedule.get("State") != "DISABLED",
                cluster=call.cluster,
                task_definition=call.task_definition,
            )
            yield _overridden(aws, target, call.overrides, wanted)


@dataclass(frozen=True)
class _Call:
    """What a schedule asks of ECS; ``overrides`` is JSON."""

    cluster: str
    task_definition: str
    overrides: str | None


def _call(entry: Mapping[str, Any]) -> _Call:
    parameters = entry.get("EcsParameters")
    if parameters:
        return _Call(entry.get("Arn", ""), _named(parameters), entry.get("Input"))
    # The universal target: the input is the request of an API call.
    body = _parsed(entry.get("Input") or "")
    request = _lower(body) if isinstance(body, dict) else {}
    overrides = json.dumps(request.get("overrides") or {})
    return _Call(str(request.get("cluster") or "default"), str(request.get("taskDefinition") or ""), overrides)


def _named(parameters: Mapping[str, Any]) -> str:
    """The revision's ARN; the family alone where it is not pinned to one."""
    arn: str = parameters.get("TaskDefinitionArn", "")
    name = last_part(arn)
    return arn if ":" in name else name


def _rule_input(entry: Mapping[str, Any]) -> str | None:
    """The overrides as text; with an input transformer they hold placeholders. None for no overrides."""
    transformer = entry.get("InputTransformer")
    if transformer:
        return str(transformer.get("InputTemplate") or "")
    # A path takes the overrides out of the event, where anything may stand.
    return "<event>" if entry.get("InputPath") else entry.get("Input")


def _overridden(aws: Aws, target: Target, text: str | None, wanted: Wanted) -> Target:
    """Fill in the overrides that a target's input holds."""
    if not text:
        return target
    body = _parsed(text)
    containers = _lower(body).get("containerOverrides") or [] if isinstance(body, dict) else None
    if not isinstance(containers, list) or any(_PLACEHOLDER.search(name) for name in _names(containers)):
        return replace(target, unknown="what it overrides comes from the event, or is not to be read as JSON")
    settings = settings_of(aws, containers, wanted)
    filled = {
        (one.get("name"), entry.get("name"))
        for one in containers
        for entry in one.get("environment") or ()
        if _PLACEHOLDER.search(entry.get("value") or "")
    }
    entries = (
        replace(one, fingerprint=None) if (one.container, one.name) in filled else one for one in settings.entries
    )
    return replace(target, overrides=Settings(tuple(entries), settings.files))


def _names(containers: list[Any]) -> Iterator[str]:
    for one in containers:
        yield one.get("name") or ""
        yield from (entry.get("name") or "" for entry in one.get("environment") or ())


def _parsed(text: str) -> Any:
    """JSON, also of a template whose placeholders stand outside of strings; None for anything else."""
    with contextlib.suppress(ValueError):
        return json.loads(text)
    with contextlib.suppress(ValueError):
        return json.loads(_BARE_PLACEHOLDER.sub(r'"\1"', text))
    return None


def _lower(data: Any) -> Any:
    """The same with member names as ECS's API has them: the universal target writes them with a capital."""
    if isinstance(data, dict):
        return {name[:1].lower() + name[1:]: _lower(value) for name, value in data.items()}
    if isinstance(data, list):
        return [_lower(value) for value in data]
    return data


def _there(aws: Aws, service: str, operation: str, on: str, **params: Any) -> dict[str, Any]:
    """An answer; an empty one for what was deleted meanwhile, as a schedule that runs once may be."""
    try:
        return aws.call(service, operation, on, **params)
    except AwsError as error:
        if error.code == "ResourceNotFoundException":
            return {}
        raise


def _pages(aws: Aws, service: str, operation: str, member: str, **params: Any) -> Iterator[dict[str, Any]]:
    on = "/".join(str(value) for value in params.values()) or f"Region {aws.region}"
    more: dict[str, str] = {}
    while True:
        answer = _there(aws, service, operation, on, **params, **more)
        yield from answer.get(member) or ()
        if not answer.get("NextToken"):
            return
        more = {"NextToken": answer["NextToken"]}
