# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read what the variable's references lead to, and when the running tasks read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .._aws import Aws
from .._ecs import Service, describe_tasks, epoch, list_tasks
from .._errors import AccessDeniedError
from .._stores import store
from .._stores.held import Held
from .._stores.reference import Reference
from .desired import Place

# AWS gives milliseconds; what emulates it may give seconds.
WHOLE_SECOND = 1.0


def read_held(aws: Aws, service: Service, places: Sequence[Place]) -> tuple[Place, ...]:
    """Fill in what each place's reference leads to, and the value that it reads."""
    found: dict[Reference, Held] = {}
    filled = []
    for place in places:
        if place.reference is None:
            filled.append(place)
            continue
        if place.reference not in found:
            found[place.reference] = store.read(aws, place.reference, service.arn)
        held = found[place.reference]
        filled.append(replace(place, held=held, before=held.value))
    return tuple(filled)


def outdated(aws: Aws, service: Service, unpinned: Sequence[Held]) -> tuple[bool, tuple[str, ...]]:
    """Tell whether tasks run that may have read another version than the one that is current now.

    ECS injects a secret when a container first starts, and no API tells which version a task read. So a task that was
    made before the secret's last change counts as outdated, and so does one that may not be looked at.

    Returns:
        The answer, and what could not be looked at.
    """
    changed = max((over_at(held.since) for held in unpinned if held.since is not None), default=None)
    primary = service.primary
    if changed is None or primary is None or service.desired == 0 == service.running:
        return False, ()
    if primary.created_at is not None and primary.created_at >= changed:
        return False, ()
    try:
        made = _made_at(aws, service)
    except AccessDeniedError as error:
        return True, (f"When the running tasks started cannot be seen, so they are replaced: {error.msg}",)
    return any(at is None or at < changed for at in made), ()


def over_at(since: float) -> float:
    """When a change was over for certain: a time in whole seconds may have been cut off."""
    return since + WHOLE_SECOND if since.is_integer() else since


def _made_at(aws: Aws, service: Service) -> list[float | None]:
    """When each task that shall go on running was made; None where ECS does not tell."""
    on = f"service {service.name} in cluster {service.cluster}"
    arns = list_tasks(aws, on, cluster=service.cluster, serviceName=service.name)
    described = {task.get("taskArn"): task for task in describe_tasks(aws, on, service.cluster, arns)}
    # What ECS lists and does not describe is not known to be young.
    found = [described.get(arn, {}) for arn in arns]
    return [epoch(task.get("createdAt") or task.get("startedAt")) for task in found]
