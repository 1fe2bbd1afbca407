# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare what is with what shall be and decide what has to be done. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._ecs import Service, last_part
from .._errors import KeyturnError
from .._fingerprint import fingerprint
from .._stores.held import Write
from .current import Current, Definition
from .desired import Desired
from .notes import lasting
from .request import Request
from .target import Target

REGISTER = "register_task_definition"
UPDATE = "update_service"


@dataclass(frozen=True)
class Plan:
    """What has to be done, in this order: write the secret; register, unless a revision is there already; update the
    service.

    Attributes:
        writes: new versions of secrets and parameters.
        register: a new revision is needed.
        revision: what shall run, when it exists already.
        deploy: the service has to be updated.
        force: with forceNewDeployment, since the revision does not change or the operator wants it.
        resumed: part of the work was found done.
        warnings: what the operator should know; names and fingerprints only.
    """

    writes: tuple[Write, ...]
    register: bool
    revision: Definition | None
    deploy: bool
    force: bool
    resumed: bool
    warnings: tuple[str, ...]

    @property
    def actions(self) -> list[str]:
        """The contract's names for what is done."""
        return [write.action for write in self.writes] + [REGISTER] * self.register + [UPDATE] * self.deploy


def make_plan(
    current: Current,
    target: Target,
    desired: Desired,
    request: Request,
    *,
    newer: tuple[Definition, ...] = (),
    outdated: bool = False,
) -> Plan:
    """Decide what has to be done.

    Args:
        newer: revisions of the family after the base, newest first; needed only when ``desired`` differs from the base.
        outdated: tasks run that started before the secret got its value.

    Raises:
        KeyturnError: something must be deployed while another deployment runs, and ``in_progress`` is ``fail``.
    """
    service, base = current.service, current.base
    found = next((revision for revision in newer if holds(revision, desired)), None)
    revision = found if desired.differs else base
    register = revision is None
    moves = revision is None or revision.arn != service.task_definition
    # A deployment that ECS gave up (circuit breaker without rollback) stays PRIMARY: its value is right, and does not
    # run.
    failed = service.primary is not None and service.primary.rollout_state == "FAILED"
    # Tasks read a secret when they start.
    again = failed or outdated or bool(target.writes)
    forced = request.force_new_deployment and not (service.deploying and not moves)
    deploy = moves or again or forced
    if deploy and service.deploying and not request.supersede:
        raise KeyturnError(_busy(service))
    found_done = failed or outdated or (_holds_it(target, request) if register else moves)
    return Plan(
        writes=target.writes,
        register=register,
        revision=revision,
        deploy=deploy,
        force=forced or (again and not moves),
        resumed=deploy and (found is not None or (found_done and not target.writes)),
        warnings=(
            *_of_secrets(target),
            *_unknown_fields(base, register),
            *_newer_base(current, newer, revision),
            *_several_values(target, request),
            *_left_out(desired, register, request),
        ),
    )


def _holds_it(target: Target, request: Request) -> bool:
    """Tell whether a secret has the value that a container does not read from it yet."""
    return any(one.held and (one.migrates or one.place.before != request.value) for one in target.destinations)


def holds(revision: Definition, desired: Desired) -> bool:
    """Tell whether a revision is what shall be: the same fields, and at least the tags that tell revisions apart."""
    tags = lasting(desired.tags)
    return normal(revision.fields) == normal(desired.fields) and tags.items() <= revision.tags.items()


def normal(data: Any) -> Any:
    """Return JSON in a form in which what ECS may answer otherwise than it was sent is the same.

    Empty members may come and go, and ECS promises no order for lists of named entries such as ``environment``.
    """
    if isinstance(data, Mapping):
        return {name: normal(value) for name, value in data.items() if value not in (None, [], {})}
    if isinstance(data, list):
        entries = [normal(entry) for entry in data]
        if all(isinstance(entry, dict) and set(entry) <= {"name", "value", "valueFrom"} for entry in entries):
            return sorted(entries, key=lambda entry: str(entry.get("name")))
        return entries
    return data


def _busy(service: Service) -> str:
    primary = service.primary
    what = f"{primary.id} to {last_part(primary.task_definition)}" if primary else "unknown"
    return (
        f"Another deployment of service {service.name} is running ({what}), which does not bring the value: nothing "
        "was "
        "changed. "
        "Wait for it (ecs_rollout_wait) and run again, or set in_progress=supersede to deploy over it."
    )


def _unknown_fields(base: Definition, register: bool) -> list[str]:
    if not register or not base.unknown:
        return []
    text = (
        f"Task definition {base.family}:{base.revision} has fields that the installed botocore does not know: "
        f"{', '.join(base.unknown)}. They are carried over as they are; upgrade boto3 to have them checked."
    )
    return [text]


def _newer_base(current: Current, newer: tuple[Definition, ...], chosen: Definition | None) -> list[str]:
    others = [revision for revision in newer if chosen is None or revision.arn != chosen.arn]
    if not others:
        return []
    base, newest = current.base, others[0]
    text = (
        f"The latest revision of family {base.family} is {newest.revision}, but service {current.service.name} runs "
        f"{base.revision}. The rotation is based on {base.revision}, so what {newest.revision} changes is not "
        "deployed; "
        "set base_revision=latest to start from it."
    )
    return [text]


def _of_secrets(target: Target) -> list[str]:
    texts = [text for one in target.destinations if one.held for text in one.held.warnings]
    return list(dict.fromkeys(texts))


def _left_out(desired: Desired, register: bool, request: Request) -> list[str]:
    missing = [name for name in request.notes if name not in desired.tags]
    if not register or not missing:
        return []
    return [f"The revision has {len(desired.tags)} tags, and ECS takes no more: {', '.join(missing)} are left out."]


def _several_values(target: Target, request: Request) -> list[str]:
    values = {place.container: place.before for place in target.places if place.before is not None}
    if len(set(values.values())) < 2:
        return []
    listed = ", ".join(f"{container} {fingerprint(request.variable, value)}" for container, value in values.items())
    return [f"The containers held different values of {request.variable}: {listed}."]
