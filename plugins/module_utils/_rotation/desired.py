# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fold the new value over a revision. Pure: it knows no AWS and changes none of its arguments."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._errors import KeyturnError
from .._fingerprint import fingerprint
from .._stores.held import Held
from .._stores.reference import ENVIRONMENT, Reference
from .current import Definition
from .notes import MOST_TAGS, tagged, without_notes
from .request import Request


@dataclass(frozen=True)
class Place:
    """A container that has, or shall get, the variable.

    Attributes:
        store: where the variable lives; empty when it is added.
        before: its value; None when it is added, or its reference reads nothing.
        reference: what its ``secrets`` entry names; None for an ``environment`` entry.
        held: what the reference leads to, once it was read.
    """

    container: str
    store: str
    before: str | None = field(default=None, repr=False)
    reference: Reference | None = None
    held: Held | None = None


@dataclass(frozen=True)
class Desired:
    """The revision as it shall be.

    Attributes:
        fields: what RegisterTaskDefinition shall be given, without tags.
        tags: the base's tags, the operator's over them, and what the rotation writes down.
        differs: the base is another.
    """

    fields: Mapping[str, Any] = field(repr=False)
    tags: Mapping[str, str]
    differs: bool


def find(base: Definition, request: Request) -> tuple[Place, ...]:
    """Return the containers concerned, in the definition's order.

    Raises:
        KeyturnError: a named container does not exist, or the variable is nowhere.
    """
    return tuple(place_of(container, request.variable) for container in _chosen(base, request))


def place_of(container: Mapping[str, Any], variable: str) -> Place:
    """Where a container has the variable from."""
    # With the same name twice the later entry is the one that counts.
    plain = [entry for entry in container.get("environment") or () if entry.get("name") == variable]
    secret = [entry for entry in container.get("secrets") or () if entry.get("name") == variable]
    if secret:
        reference = Reference.parse(secret[-1].get("valueFrom") or "")
        return Place(container.get("name", ""), reference.store, reference=reference)
    if plain:
        return Place(container.get("name", ""), ENVIRONMENT, plain[-1].get("value") or "")
    return Place(container.get("name", ""), "")


def fold(base: Definition, places: Sequence[Place], value_froms: Sequence[str | None], request: Request) -> Desired:
    """Return ``base`` with the request's value; everything else, the order of variables included, stays as it is.

    Args:
        value_froms: for each place, what its ``secrets`` entry shall name; None for an ``environment`` entry.

    Raises:
        KeyturnError: more tags than ECS takes; here, since a secret would be written before the revision is refused.
    """
    fields = copy.deepcopy(dict(base.fields))
    containers = {container.get("name", ""): container for container in fields.get("containerDefinitions") or ()}
    for place, value_from in zip(places, value_froms, strict=True):
        container = containers[place.container]
        if value_from is None:
            _put(container, "environment", {"name": request.variable, "value": request.value})
            _drop(container, "secrets", request.variable)
        else:
            _put(container, "secrets", {"name": request.variable, "valueFrom": value_from})
            _drop(container, "environment", request.variable)
    asked = {**without_notes(base.tags), **request.tags}
    if len(asked) > max(MOST_TAGS, len(base.tags)):
        raise KeyturnError(
            f"tags: the new revision would have {len(asked)} tags, {len(base.tags)} of them carried over; ECS takes "
            f"{MOST_TAGS}: give fewer, or take some from the task definition."
        )
    return Desired(fields, tagged(asked, request.notes), differs=fields != base.fields)


def _put(container: dict[str, Any], member: str, entry: dict[str, str]) -> None:
    """Give the variable's entries new content where they stand; append one when there is none."""
    entries = container.get(member) or []
    mine = [one for one in entries if one.get("name") == entry["name"]]
    for one in mine:
        one.update(entry)
    if not mine:
        container[member] = [*entries, entry]


def _drop(container: dict[str, Any], member: str, variable: str) -> None:
    if _names(container, member, variable):
        container[member] = [entry for entry in container[member] if entry.get("name") != variable]


def check_expected(places: tuple[Place, ...], request: Request) -> None:
    """Compare-and-swap: refuse when the current value is not the one that the operator expects.

    Raises:
        KeyturnError: names the fingerprints that are there instead.
    """
    if request.expected_fingerprint is None:
        return
    other = {
        place.container: fingerprint(request.variable, place.before) if place.before is not None else "not set"
        for place in places
    }
    if set(other.values()) != {request.expected_fingerprint}:
        there = ", ".join(f"{container}: {found}" for container, found in other.items())
        raise KeyturnError(
            f"expected_fingerprint is {request.expected_fingerprint}, but {request.variable} of service "
            f"{request.service} is "
            f"{there}: someone changed it since. Nothing was changed; look at who did, then run with the current "
            "fingerprint.",
            previous_fingerprint=next(iter(other.values())),
        )


def _chosen(base: Definition, request: Request) -> list[dict[str, Any]]:
    """Return the containers to change, in the definition's order."""
    containers: list[dict[str, Any]] = base.fields.get("containerDefinitions") or []
    names = [container.get("name", "") for container in containers]
    missing = [name for name in request.containers if name not in names]
    if missing:
        raise KeyturnError(
            f"containers: {', '.join(missing)} is not in task definition {base.family}:{base.revision}, "
            f"which has {', '.join(names)}."
        )
    limited = [
        container for container in containers if not request.containers or container["name"] in request.containers
    ]
    having = [
        container
        for container in limited
        if any(_names(container, member, request.variable) for member in ("environment", "secrets"))
    ]
    lacking = [container["name"] for container in limited if container not in having]
    if request.add_if_missing:
        return limited
    if (request.containers and lacking) or not having:
        raise KeyturnError(_not_found(base, request, lacking, containers))
    return having


def _not_found(base: Definition, request: Request, lacking: list[str], containers: list[dict[str, Any]]) -> str:
    files = [
        f"{container['name']} reads {entry.get('value')}"
        for container in containers
        for entry in container.get("environmentFiles") or ()
    ]
    hint = f" It may come from an environment file, which is not touched: {'; '.join(files)}." if files else ""
    return (
        f"{request.variable} is not in the environment or secrets of container {', '.join(lacking)} of task definition "
        f"{base.family}:{base.revision}.{hint} Check variable and containers, or set if_missing=add with containers "
        "to add it."
    )


def _names(container: Mapping[str, Any], member: str, variable: str) -> bool:
    return any(entry.get("name") == variable for entry in container.get(member) or ())
