# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Move what EventBridge starts from one revision to another: read the whole target, change the revision, write it back.

Both writes replace everything that they do not name, so what was read goes back as it came. Follows API_PutTargets of
https://docs.aws.amazon.com/eventbridge/latest/APIReference/ and
https://docs.aws.amazon.com/scheduler/latest/APIReference/API_UpdateSchedule.html
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ._aws import Aws
from ._ecs import family_of, last_part
from ._errors import AwsError, KeyturnError
from ._info.targets import RULE, SCHEDULE
from ._stores import json_text

ACTIONS = {RULE: "put_targets", SCHEDULE: "update_schedule"}
# Answered by GetSchedule, not taken by UpdateSchedule.
_READ_ONLY = frozenset({"Arn", "CreationDate", "LastModificationDate"})
# EventBridge Scheduler refuses a StartDate that is earlier than so many seconds ago.
START_DATE_SECONDS = 300.0


@dataclass(frozen=True)
class Place:
    """Which target: a rule's, by its id, or a schedule's.

    Attributes:
        arn: of the rule or schedule, where it was given.
        group: the rule's event bus, or the schedule's group.
        overridden: an override of the target holds the value, so that no revision takes it away.
    """

    kind: str
    arn: str | None
    name: str
    group: str
    target_id: str
    overridden: bool

    @classmethod
    def parse(cls, entry: Mapping[str, Any]) -> Place:
        """Read an entry of ``holders`` of ``ecs_env_info``.

        Raises:
            KeyturnError: names what it lacks.
        """
        needed = ["id", "group", *(["target_id"] if entry["kind"] == RULE else [])]
        missing = [name for name in needed if not entry.get(name)]
        if missing:
            raise KeyturnError(
                f"targets: a {entry['kind']} has no {', '.join(missing)}: give entries of holders as ecs_env_info "
                "returns them."
            )
        group = str(entry["group"])
        return cls(
            kind=entry["kind"],
            arn=entry.get("arn") or None,
            name=str(entry["id"]).removeprefix(f"{group}/"),
            group=group,
            target_id=str(entry.get("target_id") or ""),
            overridden=bool(entry.get("override")),
        )

    @property
    def shown(self) -> str:
        """What messages call it."""
        return f"{self.kind} {self.group}/{self.name}" + (f" (target {self.target_id})" if self.target_id else "")


@dataclass(frozen=True)
class Move:
    """A target, and the request that moves it; or why it is left alone."""

    place: Place
    before: str | None
    after: str | None = None
    request: Mapping[str, Any] | None = None
    reason: str = ""
    warning: str = ""


def move(
    aws: Aws, options: Mapping[str, Any], check_mode: bool, now: Callable[[], float] = time.time
) -> dict[str, Any]:
    """Point targets at other revisions of their families.

    Args:
        options: the validated options of ``ecs_target_update``.
        now: epoch seconds.

    Returns:
        The result as the module's RETURN documents it.

    Raises:
        KeyturnError: with ``changed``, ``actions`` and ``targets`` as far as the work went.
    """
    revisions = _by_family(options["task_definitions"])
    entries = [entry for entry in options["targets"] if entry.get("kind") in ACTIONS]
    moves = [_plan(aws, Place.parse(entry), revisions, now()) for entry in entries]
    planned = [one for one in moves if one.request is not None]
    done: list[Move] = []
    try:
        for one in planned:
            if not check_mode:
                _carry_out(aws, one)
            done.append(one)
    except KeyturnError as error:
        raise error.with_result(**_result(moves, done)) from None
    return _result(moves, planned)


def _by_family(names: Iterable[str]) -> dict[str, str]:
    """``family:revision`` by family; an ARN or ``family:revision`` each."""
    found: dict[str, str] = {}
    for name in dict.fromkeys(last_part(name) for name in names):
        family, _colon, number = name.partition(":")
        if not family or not number.isdigit():
            raise KeyturnError(
                f"task_definitions: {name!r} names no revision: give ARNs, or family:revision. Nothing was changed."
            )
        if family in found:
            raise KeyturnError(
                f"task_definitions names two revisions of family {family}, {found[family]} and {name}: give the one to "
                "move to. Nothing was changed."
            )
        found[family] = name
    return found


def _plan(aws: Aws, place: Place, revisions: Mapping[str, str], now: float) -> Move:
    try:
        return _of_rule(aws, place, revisions) if place.kind == RULE else _of_schedule(aws, place, revisions, now)
    except AwsError as error:
        if error.code != "ResourceNotFoundException":
            raise
    return Move(place, None, reason="it is not there any more")


def _of_rule(aws: Aws, place: Place, revisions: Mapping[str, str]) -> Move:
    rule = {"Rule": place.name, "EventBusName": place.group}
    target = _rule_target(aws, place, rule)
    if target is None or not target.get("EcsParameters"):
        return Move(place, None, reason="the rule has no such ECS target any more")
    changed = copy.deepcopy(target)
    parameters = changed["EcsParameters"]
    before = str(parameters.get("TaskDefinitionArn") or "")
    after, reason = _other(before, place, revisions)
    if reason:
        return Move(place, before, reason=reason)
    parameters["TaskDefinitionArn"] = after
    return Move(place, before, after, {**rule, "Targets": [changed]})


def _rule_target(aws: Aws, place: Place, rule: Mapping[str, str]) -> dict[str, Any] | None:
    """The target as raw JSON."""
    more: dict[str, str] = {}
    while True:
        answer = aws.call_raw("events", "ListTargetsByRule", place.shown, **rule, **more)
        for target in answer.get("Targets") or ():
            if target.get("Id") == place.target_id:
                found: dict[str, Any] = target
                return found
        if not answer.get("NextToken"):
            return None
        more = {"NextToken": answer["NextToken"]}


def _of_schedule(aws: Aws, place: Place, revisions: Mapping[str, str], now: float) -> Move:
    answer = aws.call_raw("scheduler", "GetSchedule", place.shown, Name=place.name, GroupName=place.group)
    request = {name: value for name, value in answer.items() if name not in _READ_ONLY and value is not None}
    target = copy.deepcopy(request.get("Target") or {})
    before = _named(target)
    if before is None:
        return Move(place, None, reason="it starts no task of ECS any more")
    after, reason = _other(before, place, revisions)
    if reason:
        return Move(place, before, reason=reason)
    _rename(target, after)
    request["Target"] = target
    warning = ""
    if float(request.get("StartDate") or now) < now - START_DATE_SECONDS:
        del request["StartDate"]
        warning = (
            f"The StartDate of {place.shown} lies in the past, which EventBridge Scheduler refuses in an update: it is "
            "left out. A rate() expression counts from the update on."
        )
    return Move(place, before, after, request, warning=warning)


def _named(target: Mapping[str, Any]) -> str | None:
    """What a schedule's target names; None where it starts no task. The universal target's input is a request."""
    if target.get("EcsParameters"):
        return str(target["EcsParameters"].get("TaskDefinitionArn") or "")
    key = _key(target)
    return json_text.get(target["Input"], key) if key else None


def _rename(target: dict[str, Any], after: str) -> None:
    if target.get("EcsParameters"):
        target["EcsParameters"]["TaskDefinitionArn"] = after
    else:
        target["Input"] = json_text.put(target["Input"], _key(target), after)


def _key(target: Mapping[str, Any]) -> str:
    """The member of a universal target's input that names the task definition; empty for none."""
    text = str(target.get("Input") or "")
    names = json_text.keys(text) or () if ":aws-sdk:ecs:" in str(target.get("Arn")) else ()
    return next((name for name in names if name.lower() == "taskdefinition"), "")


def _other(before: str, place: Place, revisions: Mapping[str, str]) -> tuple[str, str]:
    """The name to put in place of ``before``, in the same form; or why there is nothing to do."""
    name = last_part(before)
    wanted = revisions.get(family_of(name))
    if ":" not in name:
        return "", f"it names the family {name}, and starts its latest ACTIVE revision"
    if wanted is None:
        return "", f"task_definitions has no revision of family {family_of(name)}"
    if wanted == name:
        return "", f"it names {name} already"
    if place.overridden:
        return "", "the value stands in its override, which another revision does not change: edit the override"
    return before.removesuffix(name) + wanted, ""


def _carry_out(aws: Aws, one: Move) -> None:
    place, request = one.place, dict(one.request or {})
    if place.kind == RULE:
        answer = _send(aws, "events", "PutTargets", place, request)
        if answer.get("FailedEntryCount"):
            said = [f"{failed.get('ErrorCode')}: {failed.get('ErrorMessage')}" for failed in answer["FailedEntries"]]
            raise KeyturnError(
                f"events:PutTargets on {place.shown} failed, it is unchanged. {aws.scrub.text('; '.join(said))}"
            )
    else:
        _send(aws, "scheduler", "UpdateSchedule", place, request)


def _send(aws: Aws, service: str, operation: str, place: Place, request: dict[str, Any]) -> dict[str, Any]:
    """Send the request as it was read, with what the installed botocore does not know."""
    known, unknown = aws.split_known(service, operation, request)
    named = {"Name": place.name} if operation == "UpdateSchedule" else {}
    # The name of a schedule is in the path of the request, not in its body.
    body = {name: value for name, value in request.items() if name != "Name"} if unknown else None
    return aws.call_once(service, operation, place.shown, body, **{**known, **named})


def _result(moves: Iterable[Move], done: list[Move]) -> dict[str, Any]:
    moves = list(moves)
    lines = [f"{one.place.shown}: %s\n" for one in done]
    return {
        "changed": bool(done),
        "targets": [
            {
                "kind": one.place.kind,
                "id": f"{one.place.group}/{one.place.name}",
                "arn": one.place.arn,
                "group": one.place.group,
                "target_id": one.place.target_id or None,
                "previous_task_definition": one.before,
                "task_definition": one.after if one in done else one.before,
                "changed": one in done,
                "reason": one.reason or None,
            }
            for one in moves
        ],
        "actions": [ACTIONS[one.place.kind] for one in done],
        "warnings": [one.warning for one in done if one.warning],
        "diff": {
            "before": "".join(line % one.before for line, one in zip(lines, done, strict=True)),
            "after": "".join(line % one.after for line, one in zip(lines, done, strict=True)),
        },
    }
