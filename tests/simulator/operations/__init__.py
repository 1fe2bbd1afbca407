# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""ECS's operations by name: request JSON in, answer JSON out, `ApiError` raised."""

from __future__ import annotations

from collections.abc import Callable

from .. import errors
from ..engine import advance_region
from ..state import Json
from ..world import Call
from . import clusters, deployments, services, tags, task_definitions, task_sets, tasks

Operation = Callable[[Call, Json], Json]

OPERATIONS: dict[str, Operation] = {
    **clusters.OPERATIONS,
    **task_definitions.OPERATIONS,
    **services.OPERATIONS,
    **tasks.OPERATIONS,
    **deployments.OPERATIONS,
    **task_sets.OPERATIONS,
    **tags.OPERATIONS,
}


def call(context: Call, operation: str, body: Json) -> Json:
    """Bring the Region up to now, then carry out the operation."""
    handler = OPERATIONS.get(operation)
    if handler is None:
        raise errors.unknown_operation(operation)
    advance_region(context.region, context.now)
    task_definitions.sweep(context.region)
    return handler(context, body)
