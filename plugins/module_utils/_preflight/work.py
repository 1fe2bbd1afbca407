# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a rotation would do, in terms of ARNs: from what was seen and planned, as far as that went."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from .._aws import Aws
from .._ecs import family_of, last_part
from .._errors import KeyturnError
from .._rotation.current import Current
from .._rotation.desired import find
from .._rotation.request import Request
from .._rotation.target import Target, wanted_reference
from .._stores.held import Write
from .._stores.permission import kms_key
from .._stores.reference import ENVIRONMENT, SSM, Reference
from .look import Seen
from .needs import Stored, Work
from .principal import Principal


def work_of(aws: Aws, seen: Seen, principal: Principal | None, options: Mapping[str, Any]) -> Work | None:
    """What would be done; None where not even the service's ARN is known.

    Args:
        options: the validated options of ``ecs_env_preflight``.
    """
    request, service = seen.request, seen.service
    if request is None or (service is None and principal is None):
        return None
    scope, cluster = _scope(aws, seen, principal), last_part(request.cluster)
    arn = service.arn if service else f"{scope}:service/{cluster}/{last_part(request.service)}"
    work = Work(
        scope=scope,
        cluster=cluster,
        service_arn=arn,
        registers=seen.registers,
        deploys=seen.deploys,
        new_secret_tagged=bool(request.secret_tags),
        rollback=options["rollback"],
        log_scan=options["log_scan"],
        log_groups=tuple(_log_groups(aws, seen, scope)),
        family=family_of(service.task_definition) if service else "",
        seen=seen.current is not None,
    )
    return replace(work, **_of_revision(aws, seen, seen.current, request, scope)) if seen.current else work


def _scope(aws: Aws, seen: Seen, principal: Principal | None) -> str:
    if seen.service and seen.service.arn:
        return ":".join(seen.service.arn.split(":")[:5])
    return f"arn:{principal.partition}:ecs:{aws.region}:{principal.account}" if principal else ""


def _of_revision(aws: Aws, seen: Seen, current: Current, request: Request, scope: str) -> dict[str, Any]:
    base = current.base
    known = {
        "family": base.family,
        "roles": tuple(_roles(base.fields, scope)),
        "tagged": bool(base.tags or request.tags or request.notes),
    }
    if seen.target:
        return {**known, "stored": tuple(_stored(aws, seen, seen.target))}
    return {**known, **_named(current, request, scope)}


def _roles(fields: Mapping[str, Any], scope: str) -> Iterator[str]:
    _arn, partition, _ecs, _region, account = scope.split(":") if scope else [""] * 5
    named = [str(fields.get(name) or "") for name in ("executionRoleArn", "taskRoleArn")]
    for role in dict.fromkeys(filter(None, named)):
        if scope or role.startswith("arn:"):
            yield role if role.startswith("arn:") else f"arn:{partition}:iam::{account}:role/{role}"


def _stored(aws: Aws, seen: Seen, target: Target) -> Iterator[Stored]:
    """The secrets and parameters of a plan: what is read, and what is written."""
    writes = {write.held.arn: write for write in (seen.plan.writes if seen.plan else target.writes)}
    held = {one.held.arn: one.held for one in target.destinations if one.held}
    held |= {place.held.arn: place.held for place in target.places if place.held}
    for arn, one in held.items():
        write = writes.get(arn)
        key = _key_name(write) if write else one.kms_key
        yield Stored(
            store=one.reference.store,
            arn=arn,
            exists=one.exists,
            written=write is not None,
            read=one.exists,
            key=kms_key(aws, replace(one, kms_key=key))[0],
            direct=write is not None and write.settings.get("Tier", "Standard") == "Standard",
        )


def _key_name(write: Write) -> str:
    if not write.held.exists:
        return write.kms_key
    return str(write.settings.get("KeyId", "")) if write.held.reference.store == SSM else write.held.kms_key


def _named(current: Current, request: Request, scope: str) -> dict[str, Any]:
    """What the definition and the options name, where it could not be read: taken for something that gets written."""
    try:
        places = find(current.base, request)
        wanted = wanted_reference(places, request)
    except KeyturnError:
        return {}
    references = [place.reference for place in places if place.reference]
    stays = len(references) == len(places) and request.store != ENVIRONMENT and not wanted and not request.pin
    named = [*references, *([wanted] if wanted else [])]
    return {
        "registers": not stays or any(reference.pinned for reference in references),
        "stored": tuple(dict.fromkeys(Stored(one.store, _arn(one, scope)) for one in named)),
    }


def _arn(reference: Reference, scope: str) -> str:
    if reference.name.startswith("arn:"):
        return reference.name
    here = scope.replace(":ecs:", f":{reference.store}:", 1)
    if reference.store == SSM:
        return f"{here}:parameter/{reference.name.lstrip('/')}"
    return f"{here}:secret:{reference.name}-??????"


def _log_groups(aws: Aws, seen: Seen, scope: str) -> Iterator[str]:
    account = scope.rpartition(":")[2]
    partition = scope.split(":")[1] if scope else ""
    for region, group in dict.fromkeys((place.region, place.group) for place in seen.logs):
        yield f"arn:{partition}:logs:{region or aws.region}:{account}:log-group:{group}:*"
