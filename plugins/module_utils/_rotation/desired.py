# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fold the new value over a revision. Pure: it knows no AWS and changes none of its arguments."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._errors import KeyturnError
from .._fingerprint import fingerprint
from .current import Definition
from .request import Request


@dataclass(frozen=True)
class Place:
    """A container that has, or shall get, the variable in its ``environment``."""

    container: str
    before: str | None = field(repr=False)  # None: the variable is added


@dataclass(frozen=True)
class Desired:
    """The revision as it shall be.

    Attributes:
        fields: what RegisterTaskDefinition shall be given, without tags.
        tags: the base's tags and the operator's over them.
        places: the containers concerned, in the definition's order.
        differs: the base does not hold the value already.
    """

    fields: Mapping[str, Any] = field(repr=False)
    tags: Mapping[str, str]
    places: tuple[Place, ...]
    differs: bool


def fold(base: Definition, request: Request) -> Desired:
    """Return ``base`` with the request's value; everything else, the order of variables included, stays as it is.

    Raises:
        KeyturnError: a named container does not exist, the variable is nowhere, or it is not a plain ``environment``
        entry.
    """
    fields = copy.deepcopy(dict(base.fields))
    places = []
    for container in _chosen(fields, base, request):
        entries = (
            container.setdefault("environment", []) if request.add_if_missing else container.get("environment") or []
        )
        mine = [entry for entry in entries if entry.get("name") == request.variable]
        # With the same name twice the later entry is the one that counts.
        places.append(Place(container["name"], (mine[-1].get("value") or "") if mine else None))
        for entry in mine:
            entry["value"] = request.value
        if not mine:
            entries.append({"name": request.variable, "value": request.value})
    return Desired(
        fields=fields,
        tags={**base.tags, **request.tags},
        places=tuple(places),
        differs=any(place.before != request.value for place in places),
    )


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


def _chosen(fields: dict[str, Any], base: Definition, request: Request) -> list[dict[str, Any]]:
    """Return the containers to change, in the definition's order."""
    containers: list[dict[str, Any]] = fields.get("containerDefinitions") or []
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
    as_secret = [container["name"] for container in limited if _names(container, "secrets", request.variable)]
    if as_secret:
        raise KeyturnError(
            f"{request.variable} is a secrets reference (valueFrom) in container {', '.join(as_secret)} of task "
            "definition "
            f"{base.family}:{base.revision}: this release rotates values in environment only. Limit containers to "
            "others, "
            "or put the new value into the secret and set force_new_deployment."
        )
    having = [container for container in limited if _names(container, "environment", request.variable)]
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
        f"{request.variable} is not in the environment of container {', '.join(lacking)} of task definition "
        f"{base.family}:{base.revision}.{hint} Check variable and containers, or set if_missing=add with containers "
        "to add it."
    )


def _names(container: Mapping[str, Any], member: str, variable: str) -> bool:
    return any(entry.get("name") == variable for entry in container.get(member) or ())
