# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read what runs: the service, the revision it is based on, and revisions that were registered after that.

Follows https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTaskDefinition.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._aws import Aws
from .._ecs import Service, definition_in, describe_service, family_of, last_part, same_task_definition
from .._errors import AwsError, KeyturnError
from .request import Request

# Answered by DescribeTaskDefinition, not taken by RegisterTaskDefinition. The installed botocore's model may know more.
READ_ONLY = frozenset(
    {
        "compatibilities",
        "deleteRequestedAt",
        "deregisteredAt",
        "registeredAt",
        "registeredBy",
        "requiresAttributes",
        "revision",
        "status",
        "taskDefinitionArn",
    }
)

# A run that was killed leaves its revision as the newest. Others may have registered a few since; a family can hold a
# million revisions, so the search ends here.
NEWER_REVISIONS_READ = 5


@dataclass(frozen=True)
class Definition:
    """One revision.

    Attributes:
        fields: what RegisterTaskDefinition takes to make the same again, as raw JSON.
        tags: the revision's own tags, without those that AWS itself sets.
        unknown: paths in ``fields`` that the installed botocore does not know.
    """

    arn: str
    family: str
    revision: int
    active: bool
    fields: Mapping[str, Any]
    tags: Mapping[str, str]
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class Current:
    """What there is before the rotation; ``latest`` is the family's latest ACTIVE revision, where it was read."""

    service: Service
    base: Definition
    latest: Definition | None = None


def read_current(aws: Aws, request: Request) -> Current:
    """Read the service and the revision that the rotation starts from.

    Raises:
        KeyturnError: there is no such service, or its deployment controller takes no task definition from us.
    """
    service = describe_service(aws, request.cluster, request.service)
    if service.controller == "CODE_DEPLOY":
        raise KeyturnError(
            f"Service {service.name} is deployed by CodeDeploy (deploymentController CODE_DEPLOY), and ECS refuses a "
            "new task "
            "definition from anyone else: nothing was changed. Start a CodeDeploy deployment whose AppSpec names a "
            "revision "
            "with the new value, or move the service to the ECS controller."
        )
    if service.controller != "ECS":
        raise KeyturnError(
            f"Service {service.name} has the deploymentController {service.controller}: its task sets are made by "
            "another tool, "
            "and nothing was changed. Let that tool create a task set with the new value."
        )
    if not service.task_definition:
        raise KeyturnError(f"Service {service.name} names no task definition, so there is nothing to start from.")
    # Mostly the service runs the latest, so that this one answer tells of both.
    latest = _read_if_there(aws, family_of(service.task_definition))
    if latest and (request.base_latest or same_task_definition(latest.arn, service.task_definition)):
        return Current(service, latest, latest)
    name = family_of(service.task_definition) if request.base_latest else service.task_definition
    return Current(service, read_definition(aws, name), latest)


def read_definition(aws: Aws, name: str) -> Definition:
    """Read one revision, by ARN, ``family:revision``, or ``family`` for its latest ACTIVE one.

    Every value in its containers' environment is made known to the scrubber.
    """
    answer = aws.call_raw(
        "ecs", "DescribeTaskDefinition", f"task definition {last_part(name)}", taskDefinition=name, include=["TAGS"]
    )
    return parse_definition(aws, answer)


def parse_definition(aws: Aws, answer: Mapping[str, Any]) -> Definition:
    """Make a :class:`Definition` of the raw answer of DescribeTaskDefinition or RegisterTaskDefinition."""
    raw = definition_in(answer, "the service's revision")
    taken, _unknown = aws.split_known("ecs", "RegisterTaskDefinition", raw)
    answered = aws.output_members("ecs", "DescribeTaskDefinition", "taskDefinition")
    read_only = READ_ONLY | (answered - set(taken))
    fields = {name: value for name, value in raw.items() if value is not None and name not in read_only}
    for container in fields.get("containerDefinitions") or ():
        aws.scrub.add_neighbours(entry.get("value") or "" for entry in container.get("environment") or ())
    _known, unknown = aws.split_known("ecs", "RegisterTaskDefinition", fields)
    return Definition(
        arn=raw.get("taskDefinitionArn") or "",
        family=raw.get("family") or "",
        revision=int(raw.get("revision") or 0),
        active=raw.get("status", "ACTIVE") == "ACTIVE",
        fields=fields,
        tags={
            tag["key"]: tag.get("value") or ""
            for tag in answer.get("tags") or ()
            if not tag["key"].lower().startswith("aws:")
        },
        unknown=unknown,
    )


def read_newer(aws: Aws, base: Definition, latest: Definition | None = None) -> tuple[Definition, ...]:
    """Read the family's revisions after ``base``, newest first, at most :data:`NEWER_REVISIONS_READ`.

    Args:
        latest: the family's latest ACTIVE revision, where it was read already.
    """
    newest = latest or _read_if_there(aws, base.family)
    if newest is None or newest.revision <= base.revision:
        return ()
    before = range(newest.revision - 1, max(base.revision, newest.revision - NEWER_REVISIONS_READ), -1)
    older = (_read_if_there(aws, f"{base.family}:{revision}") for revision in before)
    return (newest, *(definition for definition in older if definition is not None and definition.active))


def _read_if_there(aws: Aws, name: str) -> Definition | None:
    try:
        return read_definition(aws, name)
    except AwsError as error:
        # ECS's answer for a deleted revision, and for a family without an ACTIVE one.
        if error.code == "ClientException":
            return None
        raise
