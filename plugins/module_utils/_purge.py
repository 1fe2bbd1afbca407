# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Delete old revisions that hold a plain value of a variable: read, choose (pure), and carry out slowly.

ECS deletes a revision in two steps, and never one that something still uses: DeregisterTaskDefinition makes it
INACTIVE, DeleteTaskDefinitions DELETE_IN_PROGRESS. Follows
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deregister-task-definition-v2.html and
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteTaskDefinitions.html
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ._aws import Aws
from ._ecs import describe_service, family_of, last_part, revision_number
from ._errors import AwsError, KeyturnError, unsure
from ._info.revisions import ACTIVE, INACTIVE, Revision, Wanted, list_revisions, read_revision
from ._info.services import Placed, describe_services, list_services
from ._info.targets import Target, rules, schedules
from ._info.unverified import Unverified

Pause = Callable[[float], None]

DEREGISTER, DELETE = "deregister_task_definition", "delete_task_definitions"
DELETE_BATCH = 10
# RegisterTaskDefinition and DeregisterTaskDefinition share a bucket of one a second: others want to register, too.
PAUSE_SECONDS = 1.0
# ECS may answer for some seconds that a revision is still ACTIVE.
DELETE_ATTEMPTS = 4
_GONE = "MISSING"


@dataclass(frozen=True)
class Request:
    """The options of ``ecs_revision_purge``, as documented there; ``keep`` holds ``family:revision``."""

    cluster: str
    service: str
    variable: str
    keep: tuple[str, ...]
    keep_previous: bool
    max_revisions: int

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> Request:
        """Check the module's options and make a request of them.

        Raises:
            KeyturnError: names the option and what to do.
        """
        for name in ("cluster", "service", "variable"):
            if not options[name]:
                raise KeyturnError(f"{name} is empty: it must be given.")
        keep = tuple(last_part(name) for name in options["keep"] or ())
        for name in keep:
            if not re.fullmatch(r"[\w-]+:\d+", name):
                raise KeyturnError(f"keep: {name!r} names no revision: give ARNs, or family:revision.")
        if options["max_revisions"] < 0:
            raise KeyturnError("max_revisions is negative: give how many revisions to delete at most.")
        return cls(
            cluster=options["cluster"],
            service=options["service"],
            variable=options["variable"],
            keep=keep,
            keep_previous=bool(options["keep_previous"]),
            max_revisions=options["max_revisions"],
        )


@dataclass(frozen=True)
class Found:
    """What there is before.

    Attributes:
        running: the revision that the service runs or moves to.
        named: why services of the cluster, rules and schedules need a revision, by ``family:revision``.
        revisions: of the family, newest first.
        sharing: ARNs of the services that use the family.
    """

    cluster: str
    service: str
    running: str
    named: Mapping[str, str]
    revisions: tuple[Revision, ...]
    sharing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What is deleted, newest first; what is not, and why; and how many more there are."""

    purge: tuple[Revision, ...]
    kept: tuple[tuple[Revision, str], ...]
    remaining: int


@dataclass
class Done:
    """What was carried out so far."""

    purged: list[Revision] = field(default_factory=list)
    kept: list[tuple[Revision, str]] = field(default_factory=list)
    failures: list[tuple[Revision, str]] = field(default_factory=list)
    actions: dict[str, None] = field(default_factory=dict)


def purge(aws: Aws, options: Mapping[str, Any], check_mode: bool, pause: Pause = time.sleep) -> dict[str, Any]:
    """Delete old revisions that hold a plain value.

    Args:
        options: the validated options of ``ecs_revision_purge``.
        pause: sleeps for so many seconds.

    Returns:
        The result as the module's RETURN documents it.

    Raises:
        KeyturnError: with the result's fields, when ECS did not delete everything.
    """
    request = Request.parse(options)
    found = read(aws, request)
    plan = decide(found, request)
    done = _predicted(plan)
    if not check_mode:
        done = Done()
        try:
            _apply(aws, found, plan, done, pause)
        except KeyturnError as error:
            left = "Run again: what is done stays done." if done.actions else ""
            error.msg = " ".join(filter(None, [f"{error.msg.rstrip('.')}.", unsure(error), left]))
            raise error.with_result(**_result(request, found, plan, done)) from None
    result = _result(request, found, plan, done)
    if done.failures:
        reasons = "; ".join(f"{last_part(one.arn)}: {reason}" for one, reason in done.failures)
        raise KeyturnError(f"ECS did not delete {reasons}. Run again later; what was deleted stays deleted.", **result)
    return result


def read(aws: Aws, request: Request) -> Found:
    """Read the cluster's services, what EventBridge starts, and every revision of the service's family.

    Raises:
        KeyturnError: there is no such service, or not everything that a revision may be needed for can be seen.
    """
    service = describe_service(aws, request.cluster, request.service)
    placed = describe_services(aws, request.cluster, list_services(aws, request.cluster))
    own = next((one for one in placed if one.service.arn == service.arn), Placed(service))
    if not own.running:
        raise KeyturnError(f"Service {service.name} names no task definition, so it has no old revisions.")
    family = family_of(own.running)
    unverified = Unverified()
    wanted = Wanted(request.variable)
    arns, _more = list_revisions(aws, family)
    revisions = (_read_if_there(aws, arn, wanted) for arn in arns)
    targets = unverified.gather("EventBridge rules, which may start tasks", rules(aws, wanted))
    targets += unverified.gather("EventBridge schedules, which may start tasks", schedules(aws, wanted))
    using = [one for one in (own, *placed) if family in map(family_of, one.named())]
    others = [f"keep: {name} is of another family than {family}" for name in request.keep if family_of(name) != family]
    return Found(
        cluster=service.cluster,
        service=service.name,
        running=own.running,
        named={**_started(targets), **_named(using)},
        revisions=tuple(one for one in revisions if one is not None),
        sharing=tuple(dict.fromkeys(one.service.arn for one in using)),
        warnings=(*unverified.lines, *others),
    )


def _read_if_there(aws: Aws, arn: str, wanted: Wanted) -> Revision | None:
    try:
        return read_revision(aws, arn, wanted)
    except AwsError as error:
        if error.code == "ClientException":
            return None
        raise


def _named(placed: Iterable[Placed]) -> dict[str, str]:
    return {
        last_part(name): f"{by} of service {one.service.name} names it"
        if by != "the service"
        else f"service {one.service.name} names it"
        for one in placed
        for name, by in one.named().items()
    }


def _started(targets: Iterable[Target]) -> dict[str, str]:
    return {
        last_part(one.task_definition): f"{one.kind} {one.group}/{one.name} starts tasks from it" for one in targets
    }


def decide(found: Found, request: Request) -> Plan:
    """Choose what is deleted: what holds a plain value, is older than what runs, and is needed by nothing. Pure."""
    running = revision_number(found.running)
    older = (one for one in found.revisions if one.status == ACTIVE and revision_number(one.arn) < running)
    previous = next(older, None) if request.keep_previous else None
    purged: list[Revision] = []
    kept: list[tuple[Revision, str]] = []
    for one in found.revisions:
        # What is being deleted already counts as deleted.
        if one.status not in (ACTIVE, INACTIVE) or not one.plain(request.variable):
            continue
        name = last_part(one.arn)
        if name == last_part(found.running):
            kept.append((one, "it runs"))
        elif name in found.named:
            kept.append((one, found.named[name]))
        elif name in request.keep:
            kept.append((one, "keep names it"))
        elif revision_number(name) > running:
            kept.append((one, "it is newer than the one that runs"))
        elif one is previous:
            kept.append((one, "it is the one before, to which a rollback returns (keep_previous)"))
        else:
            purged.append(one)
    chosen = purged[: request.max_revisions]
    return Plan(tuple(chosen), tuple(kept), len(purged) - len(chosen))


def _predicted(plan: Plan) -> Done:
    """What :func:`_apply` would come to."""
    done = Done(purged=list(plan.purge))
    if any(one.status == ACTIVE for one in plan.purge):
        done.actions[DEREGISTER] = None
    if plan.purge:
        done.actions[DELETE] = None
    return done


def _apply(aws: Aws, found: Found, plan: Plan, done: Done, pause: Pause) -> None:
    """Deregister and delete, ten at a time, so that a run that is interrupted leaves little half done."""
    wrote = False
    for start in range(0, len(plan.purge), DELETE_BATCH):
        batch = plan.purge[start : start + DELETE_BATCH]
        # All this takes a while, and somebody may have rolled back meanwhile.
        named = _named(describe_services(aws, found.cluster, found.sharing))
        done.kept.extend((one, named[last_part(one.arn)]) for one in batch if last_part(one.arn) in named)
        batch = tuple(one for one in batch if last_part(one.arn) not in named)
        for one in batch:
            if one.status == ACTIVE:
                if wrote:
                    pause(PAUSE_SECONDS)
                wrote = True
                on = f"task definition {last_part(one.arn)}"
                aws.call("ecs", "DeregisterTaskDefinition", on, taskDefinition=one.arn)
                done.actions[DEREGISTER] = None
        if batch:
            if wrote:
                pause(PAUSE_SECONDS)
            wrote = True
            _delete(aws, batch, done, pause)


def _delete(aws: Aws, batch: Sequence[Revision], done: Done, pause: Pause) -> None:
    """Delete INACTIVE revisions; what ECS refuses is tried again a few times."""
    left, reasons = list(batch), dict[str, str]()
    for attempt in range(DELETE_ATTEMPTS):
        if attempt:
            pause(PAUSE_SECONDS * 2)
        on = f"task definitions {', '.join(last_part(one.arn) for one in left)}"
        answer = aws.call("ecs", "DeleteTaskDefinitions", on, taskDefinitions=[one.arn for one in left])
        done.actions[DELETE] = None
        failures = {
            last_part(failure.get("arn") or ""): " ".join(
                str(failure[member]) for member in ("reason", "detail") if failure.get(member)
            )
            for failure in answer.get("failures") or ()
        }
        reasons = {name: aws.scrub.text(reason) for name, reason in failures.items() if reason != _GONE}
        done.purged.extend(one for one in left if last_part(one.arn) not in reasons)
        left = [one for one in left if last_part(one.arn) in reasons]
        if not left:
            return
    done.failures.extend((one, reasons[last_part(one.arn)]) for one in left)


def _result(request: Request, found: Found, plan: Plan, done: Done) -> dict[str, Any]:
    variable = request.variable
    purged = {one.arn for one in done.purged}
    kept = [*plan.kept, *done.kept]
    still = [one for one in plan.purge if one.arn not in purged and one.arn not in {it.arn for it, _why in done.kept}]
    return {
        "changed": bool(done.actions),
        "cluster": found.cluster,
        "service": found.service,
        "variable": variable,
        "task_definition": found.running,
        "purged": [_shown(one, variable) for one in done.purged],
        "kept": [{**_shown(one, variable), "reason": why} for one, why in kept],
        "remaining": plan.remaining + len(still),
        "actions": list(done.actions),
        "warnings": list(found.warnings),
        "diff": {
            "before": _side((*plan.purge, *(one for one, _why in plan.kept)), variable),
            "after": _side((*still, *(one for one, _why in kept)), variable),
        },
    }


def _shown(one: Revision, variable: str) -> dict[str, Any]:
    return {"task_definition": one.arn, "fingerprint": one.plain(variable)[0]}


def _side(revisions: Iterable[Revision], variable: str) -> dict[str, Any]:
    """Names and fingerprints, for a diff."""
    listed = sorted(revisions, key=lambda one: revision_number(one.arn))
    return {last_part(one.arn): ", ".join(one.plain(variable)) for one in listed}
