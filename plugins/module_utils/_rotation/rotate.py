# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole of ``ecs_env_rotate``: read, fold, compare, carry out, tell."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from .._aws import Aws
from .._ecs import last_part
from .._errors import KeyturnError
from .._fingerprint import fingerprint
from .apply import Outcome, apply, running
from .current import Current, read_current, read_newer
from .desired import Desired, check_expected, fold
from .plan import Plan, make_plan
from .request import Request


def rotate(
    aws: Aws, options: Mapping[str, Any], check_mode: bool, pause: Callable[[float], None] = time.sleep
) -> dict[str, Any]:
    """Give a service a new value for one environment variable.

    Args:
        options: the validated options of ``ecs_env_rotate``.
        check_mode: plan only; the result has the same keys.
        pause: waits so many seconds.

    Returns:
        The result as the module's RETURN documents it.

    Raises:
        KeyturnError: with ``changed`` and ``actions`` as far as the work went.
    """
    aws.scrub.add(options["value"])
    request = Request.parse(options)
    current = read_current(aws, request)
    desired = fold(current.base, request)
    aws.scrub.add(*(place.before for place in desired.places))
    check_expected(desired.places, request)
    newer = read_newer(aws, current.base) if desired.differs else ()
    plan = make_plan(current, desired, newer, request)
    try:
        outcome = _predict(current, plan) if check_mode else apply(aws, current, desired, plan, pause)
    except KeyturnError as error:
        raise error.with_result(**_result(current, desired, plan, _predict(current, plan), request)) from None
    return _result(current, desired, plan, outcome, request)


def _predict(current: Current, plan: Plan) -> Outcome:
    """What :func:`apply` would come to; None where only AWS can tell (a revision's number, a deployment's id)."""
    if not plan.deploy:
        return running(current.service)
    return Outcome(plan.target.arn if plan.target else None, None, None)


def _result(current: Current, desired: Desired, plan: Plan, outcome: Outcome, request: Request) -> dict[str, Any]:
    service = current.service
    return {
        "changed": bool(plan.actions),
        "cluster": service.cluster or last_part(request.cluster),
        "service": service.name,
        "variable": request.variable,
        "store": "environment",
        "containers": [place.container for place in desired.places],
        "previous_task_definition": service.task_definition,
        "task_definition": outcome.task_definition,
        "deployment_id": outcome.deployment_id,
        "service_deployment_arn": outcome.service_deployment_arn,
        "fingerprint": request.fingerprint,
        "previous_fingerprint": _previous_fingerprint(desired, request),
        "actions": plan.actions,
        "resumed": plan.resumed,
        "warnings": list(plan.warnings),
        "diff": _diff(current, desired, plan, request),
    }


def _previous_fingerprint(desired: Desired, request: Request) -> str | None:
    """Fingerprint of the value that is replaced; where nothing is, of the value that is there."""
    values = [place.before for place in desired.places if place.before is not None]
    replaced = [value for value in values if value != request.value]
    return next((fingerprint(request.variable, value) for value in [*replaced, *values]), None)


def _diff(current: Current, desired: Desired, plan: Plan, request: Request) -> dict[str, Any]:
    """Names and fingerprints before and after."""

    def side(revision: str, values: list[str | None]) -> dict[str, Any]:
        return {
            "task_definition": revision,
            "environment": {
                f"{place.container}/{request.variable}": fingerprint(request.variable, value)
                if value is not None
                else None
                for place, value in zip(desired.places, values, strict=True)
            },
        }

    base, before = current.base, last_part(current.service.task_definition)
    after = f"{base.family} (new revision)" if plan.register else last_part(plan.target.arn if plan.target else before)
    return {
        "before": side(before, [place.before for place in desired.places]),
        "after": side(after, [request.value for _place in desired.places]),
    }
