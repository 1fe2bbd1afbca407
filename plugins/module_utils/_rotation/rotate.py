# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole of ``ecs_env_rotate``: read, fold, compare, carry out, tell."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from .._aws import Aws
from .._ecs import last_part
from .._errors import KeyturnError
from .._fingerprint import fingerprint
from .._stores import parameter_store, permission, store
from .._stores.held import Held
from .._stores.reference import SSM
from .apply import Outcome, Running, apply, running
from .current import Current, read_current, read_newer
from .desired import check_expected, find, fold
from .notes import key_id_of
from .plan import Plan, make_plan
from .request import Request
from .secrets import outdated, read_held
from .sharing import shared_with
from .target import Target, decide, wanted_reference


def rotate(
    aws: Aws,
    options: Mapping[str, Any],
    check_mode: bool,
    pause: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.time,
) -> dict[str, Any]:
    """Give a service a new value for one environment variable.

    Args:
        options: the validated options of ``ecs_env_rotate``.
        check_mode: plan only; the result has the same keys.
        pause: waits so many seconds.
        now: epoch seconds.

    Returns:
        The result as the module's RETURN documents it.

    Raises:
        KeyturnError: with ``changed`` and ``actions`` as far as the work went.
    """
    aws.scrub.add(options["value"])
    request = Request.parse(options, now())
    current = read_current(aws, request)
    target = aim(aws, current, request)
    desired = fold(current.base, target.places, target.value_froms, request)
    newer = read_newer(aws, current.base, current.latest) if desired.differs else ()
    old, unseen = (False, ()) if target.writes or desired.differs else outdated(aws, current.service, target.unpinned)
    plan = make_plan(current, target, desired, request, newer=newer, outdated=old)
    notes, shared = check_target(aws, current, target, request)
    plan = replace(
        plan,
        writes=tuple(store.prepare(aws, write) for write in plan.writes),
        warnings=(*plan.warnings, *unseen, *notes),
    )
    outcome = _predict(current, target, plan)
    if not check_mode:
        try:
            outcome = apply(aws, current, target, desired, plan, request=request, pause=pause)
        except KeyturnError as error:
            raise error.with_result(**_result(current, plan, outcome, request, shared)) from None
        plan = replace(plan, warnings=(*plan.warnings, *filter(None, [outcome.runs.unseen])))
    return _result(current, plan, outcome, request, shared)


def aim(aws: Aws, current: Current, request: Request) -> Target:
    """Read what the variable comes from, and decide where it shall come from."""
    places = find(current.base, request)
    aws.scrub.add(*(place.before for place in places))
    wanted = wanted_reference(places, request)
    places = read_held(aws, current.service, places)
    check_expected(places, request)
    held = store.read(aws, wanted, current.service.arn) if wanted else None
    return decide(places, held, request)


def check_target(
    aws: Aws, current: Current, target: Target, request: Request
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Refuse a secret that tasks could not read; find the services that read a changed one, too.

    Returns:
        Warnings, and names of the services.
    """
    role = str(current.base.fields.get("executionRoleArn") or "")
    new = {one.held.arn: _with_key(aws, one.held, request) for one in target.destinations if one.held and one.migrates}
    warnings = permission.check(aws, role, current.service.arn, tuple(new.values()))
    changed = {name for write in target.writes for name in (write.held.arn, write.held.reference.name)}
    if not any(write.held.exists for write in target.writes):
        return warnings, ()
    shared, unseen = shared_with(aws, current.service, changed)
    if shared:
        text = f"The same secret is read by {', '.join(shared)}: tasks that start there get the new value, too."
        warnings = (*warnings, text)
    return (*warnings, *unseen), shared


def _with_key(aws: Aws, held: Held, request: Request) -> Held:
    """The KMS key with which a secret or parameter is, or will be, encrypted."""
    if not held.exists:
        return replace(held, kms_key=request.secret_kms_key_id or "")
    if held.reference.store == SSM:
        return replace(held, kms_key=parameter_store.kept_settings(aws, held).get("KeyId", ""))
    return held


def _predict(current: Current, target: Target, plan: Plan) -> Outcome:
    """What :func:`apply` would come to; None where only AWS can tell (a revision's number, a deployment's id)."""
    if not plan.deploy:
        return Outcome(running(current.service), target)
    return Outcome(Running(plan.revision.arn if plan.revision else None, None, None), target)


def _result(
    current: Current, plan: Plan, outcome: Outcome, request: Request, shared: tuple[str, ...]
) -> dict[str, Any]:
    service, destinations = current.service, outcome.target.destinations
    previous = _previous_fingerprint(outcome.target, request)
    return {
        "changed": bool(plan.actions),
        "cluster": service.cluster or last_part(request.cluster),
        "service": service.name,
        "variable": request.variable,
        "store": ", ".join(dict.fromkeys(one.store for one in destinations)),
        "containers": [one.place.container for one in destinations],
        "previous_task_definition": service.task_definition,
        "task_definition": outcome.runs.task_definition,
        "deployment_id": outcome.runs.deployment_id,
        "service_deployment_arn": outcome.runs.service_deployment_arn,
        "fingerprint": request.fingerprint,
        "previous_fingerprint": previous,
        "previous_key_id": key_id_of(current.base.tags, previous),
        "secrets": _secrets(plan, outcome),
        "shared_with": list(shared),
        "actions": plan.actions,
        "resumed": plan.resumed,
        "warnings": list(plan.warnings),
        "diff": _diff(current, plan, outcome, request),
    }


def _previous_fingerprint(target: Target, request: Request) -> str | None:
    """Fingerprint of the value that is replaced; where nothing is, of the value that is there."""
    values = [place.before for place in target.places if place.before is not None]
    replaced = [value for value in values if value != request.value]
    return next((fingerprint(request.variable, value) for value in [*replaced, *values]), None)


def _secrets(plan: Plan, outcome: Outcome) -> list[dict[str, Any]]:
    """Each secret and parameter that the value lives in, with its version before and after."""
    writes = {write.held.arn: write for write in plan.writes}
    listed: dict[str, dict[str, Any]] = {}
    for one in outcome.target.destinations:
        if one.held is None:
            continue
        write, made = writes.get(one.held.arn), outcome.written.get(one.held.arn)
        version = made.version if made else write.version if write else one.held.version
        listed[one.held.arn] = {
            "store": one.store,
            "arn": made.arn if made else one.held.arn,
            "version_id": version or None,
            "previous_version_id": one.held.version or None,
            "stage": one.source.written_stage if one.source and one.store != SSM else None,
        }
    return list(listed.values())


def _diff(current: Current, plan: Plan, outcome: Outcome, request: Request) -> dict[str, Any]:
    """Names and fingerprints before and after."""

    def side(revision: str, values: list[str | None], value_froms: list[str | None]) -> dict[str, Any]:
        shown = {}
        for place, value, value_from in zip(outcome.target.places, values, value_froms, strict=True):
            printed = fingerprint(request.variable, value) if value is not None else None
            shown[f"{place.container}/{request.variable}"] = f"{printed} in {value_from}" if value_from else printed
        return {"task_definition": revision, "environment": shown}

    base, before, places = current.base, last_part(current.service.task_definition), outcome.target.places
    after = f"{base.family} (new revision)" if plan.register else last_part(plan.revision.arn if plan.revision else "")
    return {
        "before": side(
            before,
            [place.before for place in places],
            [place.reference.text if place.reference else None for place in places],
        ),
        "after": side(after, [request.value for _place in places], list(outcome.target.value_froms)),
    }
