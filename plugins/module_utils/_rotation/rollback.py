# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole of ``ecs_env_rollback``: a service back on an earlier revision, with the value that it had then.

A rollback by ECS restores the revision and not the secret: tasks that start afterwards read the newest version. So the
secret goes back first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .._aws import Aws
from .._ecs import Service, describe_service, last_part, same_task_definition
from .._errors import KeyturnError, unsure
from .._fingerprint import fingerprint
from .._stores import store
from .._stores.earlier import RESTORE, Earlier, look, restore
from .._stores.reference import SSM
from .apply import Running, check_rivals, running, update_service
from .current import Definition, read_definition
from .desired import Place, place_of
from .plan import UPDATE
from .secrets import WHOLE_SECOND, outdated, read_held


@dataclass(frozen=True)
class Way:
    """The way back.

    Attributes:
        service: as it is.
        earlier: the revision to go back to.
        versions: of secrets and parameters, that go back too.
        now: where the running revision has the variable from.
        then: where the earlier one has it from.
        moves: the service runs another revision.
        again: tasks read a secret when they start, and it changes or has changed.
        warnings: what the operator should know.
    """

    service: Service
    earlier: Definition
    versions: tuple[Earlier, ...]
    now: tuple[Place, ...]
    then: tuple[Place, ...]
    moves: bool
    again: bool
    warnings: tuple[str, ...]

    @property
    def restores(self) -> tuple[Earlier, ...]:
        """What is not current again yet."""
        return tuple(version for version in self.versions if not version.restored)

    @property
    def deploys(self) -> bool:
        """The service has to be updated."""
        return self.moves or self.again

    @property
    def actions(self) -> list[str]:
        """What is done, in order."""
        return [_action(version) for version in self.restores] + [UPDATE] * self.deploys


def rollback(
    aws: Aws, options: Mapping[str, Any], check_mode: bool, pause: Callable[[float], None] = time.sleep
) -> dict[str, Any]:
    """Bring a service and its secrets back to what they were before a rotation.

    Args:
        options: the validated options of ``ecs_env_rollback``.
        check_mode: plan only; the result has the same keys.
        pause: waits so many seconds.

    Returns:
        The result as the module's RETURN documents it.

    Raises:
        KeyturnError: with ``changed`` and ``actions`` as far as the work went.
    """
    way = _way(aws, options)
    done: list[str] = []
    runs = running(way.service) if not way.deploys else Running(way.earlier.arn, None, None)
    if check_mode:
        return _result(way, runs, way.actions, options["variable"])
    try:
        for version in way.restores:
            restore(aws, version, pause)
            done.append(_action(version))
            if version.held.since is None or version.held.since.is_integer():
                pause(WHOLE_SECOND)
        if way.deploys:
            runs = update_service(aws, way.service, way.earlier.arn, not way.moves, pause)
            done.append(UPDATE)
            check_rivals(way.service, runs)
    except KeyturnError as error:
        left = "The secret is back, the service is not: run it again." if done and UPDATE not in done else ""
        error.msg = " ".join(filter(None, [f"{error.msg.rstrip('.')}.", unsure(error), left]))
        raise error.with_result(**_result(way, runs, done, options["variable"])) from None
    return _result(way, runs, done, options["variable"])


def _way(aws: Aws, options: Mapping[str, Any]) -> Way:
    variable, force = options["variable"], options["force"]
    entries = [entry for entry in options["secrets"] or () if _went_on(entry)]
    service = describe_service(aws, options["cluster"], options["service"])
    if service.controller != "ECS":
        raise KeyturnError(
            f"Service {service.name} has the deploymentController {service.controller}: roll it back with the tool "
            "that "
            "deploys it."
        )
    earlier = read_definition(aws, options["task_definition"])
    if not earlier.active:
        raise KeyturnError(
            f"task_definition: {earlier.family}:{earlier.revision} is not ACTIVE any more, and ECS starts no task of "
            "it: "
            "name another revision, or rotate again."
        )
    moves = service.task_definition != earlier.arn
    expected = options["expected_task_definition"]
    if moves and expected and not same_task_definition(service.task_definition, expected) and not force:
        raise KeyturnError(
            f"Service {service.name} runs {last_part(service.task_definition)}, neither {last_part(expected)}, which "
            f"shall be rolled back, nor {earlier.family}:{earlier.revision}: somebody deployed in between. Nothing was "
            "changed; look at who did, or set force=true."
        )
    versions = tuple(look(aws, entry, service.arn, force) for entry in entries)
    runs = read_definition(aws, service.task_definition) if moves else earlier
    now, then = _places(aws, service, runs, variable), _places(aws, service, earlier, variable)
    then = tuple(_as_it_was(aws, service, place, versions) for place in then)
    aws.scrub.add(*(place.before for place in (*now, *then)))
    unpinned = [place.held for place in then if place.held and place.reference and not place.reference.pinned]
    concerned = any(held.arn == version.held.arn for held in unpinned for version in versions if not version.restored)
    old, unseen = (False, ()) if moves or concerned else outdated(aws, service, unpinned)
    failed = service.primary is not None and service.primary.rollout_state == "FAILED"
    return Way(service, earlier, versions, now, then, moves, concerned or old or failed, unseen)


def _went_on(entry: Mapping[str, Any]) -> bool:
    """A rotation wrote a version over an earlier one."""
    missing = [name for name in ("arn", "version_id") if not entry.get(name)]
    if missing:
        raise KeyturnError(
            f"secrets: an entry has no {', '.join(missing)}: give the list that ecs_env_rotate returned as secrets."
        )
    previous = entry.get("previous_version_id")
    return bool(previous) and previous != entry["version_id"]


def _places(aws: Aws, service: Service, definition: Definition, variable: str) -> tuple[Place, ...]:
    containers = definition.fields.get("containerDefinitions") or ()
    places = [place for container in containers if (place := place_of(container, variable)).store]
    return read_held(aws, service, places)


def _as_it_was(aws: Aws, service: Service, place: Place, versions: Sequence[Earlier]) -> Place:
    """The place with the value that it will read once the versions are current again."""
    if place.held is None or place.reference is None or place.reference.pinned:
        return place
    for version in versions:
        if version.held.arn == place.held.arn and not version.restored:
            if place.reference.store == SSM:
                return replace(place, before=version.value)
            pinned = replace(place.reference, stage="", version=version.version)
            return replace(place, before=store.read(aws, pinned, service.arn).value)
    return place


def _action(version: Earlier) -> str:
    return "put_parameter" if version.held.reference.store == SSM else RESTORE


def _result(way: Way, runs: Running, actions: Sequence[str], variable: str) -> dict[str, Any]:
    service = way.service
    before, after = _fingerprints(way.now, variable), _fingerprints(way.then, variable)
    return {
        "changed": bool(actions),
        "cluster": service.cluster,
        "service": service.name,
        "variable": variable,
        "containers": [place.container for place in way.then],
        "previous_task_definition": service.task_definition,
        "task_definition": runs.task_definition,
        "deployment_id": runs.deployment_id,
        "service_deployment_arn": runs.service_deployment_arn,
        "fingerprint": next(iter(after.values()), None),
        "previous_fingerprint": next(iter(before.values()), None),
        "actions": list(actions),
        "warnings": [*way.warnings, *filter(None, [runs.unseen])],
        "diff": {
            "before": {"task_definition": last_part(service.task_definition), "environment": before},
            "after": {"task_definition": f"{way.earlier.family}:{way.earlier.revision}", "environment": after},
        },
    }


def _fingerprints(places: Sequence[Place], variable: str) -> dict[str, str | None]:
    return {
        f"{place.container}/{variable}": fingerprint(variable, place.before) if place.before is not None else None
        for place in places
    }
