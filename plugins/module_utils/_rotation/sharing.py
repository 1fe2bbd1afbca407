# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which other services read the same secret: their next tasks start with the new value, too."""

from __future__ import annotations

from collections.abc import Collection

from .._aws import Aws
from .._ecs import Service, last_part

# Each service may have a definition of its own, and a fleet that rotates at once would ask for each of them again and
# again. Above this, ecs_env_info is the tool.
SERVICES_READ = 50
DESCRIBE_SERVICES_BATCH = 10


def shared_with(aws: Aws, service: Service, arns: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Look for other services of the cluster whose task definitions refer to one of these secrets.

    Returns:
        Names of the services; and what was not looked at.
    """
    on = f"cluster {service.cluster}"
    listed, why = aws.call_or_why("ecs", "ListServices", on, cluster=service.cluster, maxResults=SERVICES_READ + 1)
    others = [arn for arn in (listed or {}).get("serviceArns") or () if last_part(arn) != service.name]
    if listed is None or listed.get("nextToken") or len(others) > SERVICES_READ:
        why = why or f"it has more than {SERVICES_READ} services."
        return (), (f"Which other services of {on} read the same secret was not looked at: {why}",)
    definitions: dict[str, list[str]] = {}
    unseen: list[str] = []
    reasons: dict[str, None] = {}
    for start in range(0, len(others), DESCRIBE_SERVICES_BATCH):
        batch = others[start : start + DESCRIBE_SERVICES_BATCH]
        answer, why = aws.call_or_why("ecs", "DescribeServices", on, cluster=service.cluster, services=batch)
        reasons |= {why: None} if why else {}
        described = (answer or {}).get("services") or ()
        unseen += [last_part(arn) for arn in batch if arn not in {entry.get("serviceArn") for entry in described}]
        for entry in described:
            definitions.setdefault(entry.get("taskDefinition", ""), []).append(entry.get("serviceName", ""))
    names, found = {_bare(arn) for arn in arns}, []
    for definition, services in definitions.items():
        referred = _referred(aws, definition)
        if referred is None:
            unseen += services
        elif referred & names:
            found += services
    text = " ".join([f"Whether {', '.join(sorted(unseen))} read the same secret could not be looked at.", *reasons])
    return tuple(sorted(found)), (text,) * bool(unseen)


def _referred(aws: Aws, definition: str) -> set[str] | None:
    """The secrets and parameters that a revision refers to; None where it could not be read."""
    if not definition:
        return set()
    on = f"task definition {last_part(definition)}"
    answer = aws.call_optional("ecs", "DescribeTaskDefinition", on, taskDefinition=definition)
    if answer is None:
        return None
    containers = (answer.get("taskDefinition") or {}).get("containerDefinitions") or ()
    return {_bare(entry.get("valueFrom") or "") for box in containers for entry in box.get("secrets") or ()}


def _bare(value_from: str) -> str:
    """What of a ``valueFrom`` is the same for all who refer to the same secret or parameter."""
    return ":".join(value_from.split(":")[:7]).rpartition(":parameter")[2].strip("/")
