# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decide where each container's variable shall come from, and what has to be written there. Pure."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from .._errors import KeyturnError
from .._stores import json_text
from .._stores.held import Held, Write, Written
from .._stores.reference import CURRENT, ENVIRONMENT, PREVIOUS, SECRETS_MANAGER, SSM, Reference
from .desired import Place
from .request import KEEP, Request

CREATE_SECRET, PUT_SECRET_VALUE, PUT_PARAMETER = "create_secret", "put_secret_value", "put_parameter"


@dataclass(frozen=True)
class Destination:
    """Where one container's variable shall come from.

    Attributes:
        held: the secret or parameter; None for a plain ``environment`` entry.
        source: which part of it, whatever its version; None for a plain ``environment`` entry.
        version: version id that is pinned; empty for none.
        settled: it comes from there already, with the right value.
    """

    place: Place
    held: Held | None = None
    source: Reference | None = None
    version: str = ""
    settled: bool = False

    @property
    def store(self) -> str:
        """The contract's name of the store."""
        return self.source.store if self.source else ENVIRONMENT

    @property
    def reference(self) -> Reference | None:
        """What the ``secrets`` entry shall name; None for a plain ``environment`` entry."""
        if self.settled or self.source is None:
            return self.place.reference if self.settled else None
        return self.source.pin(self.version) if self.version else self.source

    @property
    def migrates(self) -> bool:
        """The container has not read this secret or parameter before."""
        return self.held is not None and (self.place.held is None or self.place.held.arn != self.held.arn)


@dataclass(frozen=True)
class Target:
    """Where the value shall live, for every container; and what has to be written for that, in order."""

    destinations: tuple[Destination, ...]
    writes: tuple[Write, ...] = field(repr=False)

    @property
    def places(self) -> tuple[Place, ...]:
        """The containers concerned, in the definition's order."""
        return tuple(one.place for one in self.destinations)

    @property
    def value_froms(self) -> tuple[str | None, ...]:
        """The ``valueFrom`` of each destination; None for a plain ``environment`` entry."""
        return tuple(one.reference.text if one.reference else None for one in self.destinations)

    @property
    def unpinned(self) -> tuple[Held, ...]:
        """What tasks read at their start, whatever it is by then."""
        return tuple(one.held for one in self.destinations if one.held and one.reference and not one.reference.pinned)

    def after(self, written: Mapping[str, Written]) -> Target:
        """Name what AWS made of the writes, by ARN of what was written."""
        return replace(self, destinations=tuple(_arrived(one, written) for one in self.destinations))


def _arrived(one: Destination, written: Mapping[str, Written]) -> Destination:
    made = written.get(one.held.arn) if one.held else None
    if made is None or one.held is None or one.source is None or one.settled:
        return one
    name = made.arn if one.source.name == one.held.arn else one.source.name
    return replace(one, source=replace(one.source, name=name), version=made.version if one.version else "")


def wanted_reference(places: Sequence[Place], request: Request) -> Reference | None:
    """The secret or parameter that the operator names; None where each container keeps its own.

    Raises:
        KeyturnError: a store is asked for, and nothing tells which secret or parameter of it.
    """
    if request.store not in (SECRETS_MANAGER, SSM):
        return None
    if request.secret_id is None:
        own = next((place.reference for place in places if place.reference and place.store == request.store), None)
        lacking = [place.container for place in places if place.store != request.store]
        if own is None and lacking:
            raise KeyturnError(
                f"store={request.store} needs secret_id, the name or ARN of the secret or parameter: "
                f"{request.variable} "
                f"of container {', '.join(lacking)} comes from {places[0].store or 'nowhere'} so far."
            )
        return replace(own, stage="", version="") if own and lacking else None
    named = Reference.parse(request.secret_id) if request.secret_id.startswith("arn:") else None
    if named is not None and named.store != request.store:
        raise KeyturnError(f"secret_id {request.secret_id} is not in the store that store={request.store} names.")
    key = request.secret_json_key or ""
    if named is None:
        return Reference(request.store, request.secret_id, json_key=key)
    return replace(named, json_key=key or named.json_key)


def decide(places: Sequence[Place], wanted: Held | None, request: Request) -> Target:
    """Return where each container's variable shall come from, and the writes for that.

    Args:
        wanted: what :func:`wanted_reference` leads to; None where each container keeps its own.

    Raises:
        KeyturnError: options contradict what is there.
    """
    destinations = [_destination(place, wanted, request) for place in places]
    writes: dict[tuple[str, str], Write] = {}
    for one in destinations:
        if one.held is not None and one.source is not None and not one.settled:
            spot = (one.held.arn, one.source.written_stage)
            before = writes[spot].text if spot in writes else one.held.text
            writes[spot] = _write(one.held, one.source, before, request)
    needed = {spot: write for spot, write in writes.items() if write.text != write.held.text or not write.held.exists}
    return Target(tuple(_pinned(one, needed) for one in destinations), tuple(needed.values()))


def _destination(place: Place, wanted: Held | None, request: Request) -> Destination:
    store = (place.store or ENVIRONMENT) if request.store == KEEP else request.store
    if store == ENVIRONMENT:
        return Destination(place, settled=place.store == ENVIRONMENT and place.before == request.value)
    held, own = place.held, place.reference
    key = request.secret_json_key
    if wanted is not None and (held is None or own is None or held.arn != wanted.arn):
        held, source = wanted, replace(wanted.reference, name=wanted.arn)
    elif held is not None and own is not None:
        source = replace(own, version="", json_key=own.json_key if key is None else key)
    else:
        raise KeyturnError(f"store={store} needs secret_id: container {place.container} reads no secret so far.")
    pin = (own is not None and own.store == store and own.pinned) if request.pin is None else request.pin
    if pin and store == SSM:
        raise KeyturnError(
            "pin_secret_version: ECS has no way to name a parameter's version in valueFrom; set store=secretsmanager, "
            "or "
            "pin_secret_version=keep."
        )
    if not held.exists and (held is not wanted or (store == SECRETS_MANAGER and held.reference.name == held.arn)):
        raise KeyturnError(
            f"There is no {_noun(store)} {held.reference.name}, which the variable of container {place.container} "
            "shall "
            f"come from: create it, or set store={store} and secret_id to the name of one that shall be created."
        )
    if source.stage == PREVIOUS:
        raise KeyturnError(
            f"Container {place.container} reads version stage {PREVIOUS} of {held.arn}, which Secrets Manager moves by "
            f"itself: refer to {CURRENT} or to a stage of your own."
        )
    settled = own is not None and own.pinned == pin and replace(own, version="") == source
    return Destination(place, held, source, "?" if pin else "", settled and place.before == request.value)


def _write(held: Held, reference: Reference, before: str, request: Request) -> Write:
    action = PUT_PARAMETER if reference.store == SSM else PUT_SECRET_VALUE if held.exists else CREATE_SECRET
    text = _content(held, reference, before, request)
    seed = (held.arn, held.version, str(held.since), reference.written_stage, request.fingerprint, reference.json_key)
    return Write(
        action=action,
        held=held,
        text=text,
        stage=reference.written_stage,
        # Says no more of the value than its fingerprint does, and is another one after every change of the secret.
        version=str(uuid.UUID(hashlib.sha256("\n".join(seed).encode()).hexdigest()[:32])),
        kms_key=request.secret_kms_key_id or "",
        tags=request.secret_tags,
    )


def _content(held: Held, reference: Reference, before: str, request: Request) -> str:
    """The whole content with the new value in it."""
    if reference.json_key:
        try:
            return json_text.put(before or "{}", reference.json_key, request.value)
        except ValueError:
            raise KeyturnError(
                f"The secret {held.arn} is no JSON object, so it can have no key {reference.json_key}: check "
                "secret_json_key."
            ) from None
    keys = json_text.keys(before) if reference.store == SECRETS_MANAGER else None
    if keys is not None and json_text.keys(request.value) is None:
        raise KeyturnError(
            f"The secret {held.arn} is a JSON object with the keys {', '.join(keys)}, which the value would replace "
            "as a "
            "whole: set store=secretsmanager and secret_json_key to the key that shall change."
        )
    return request.value


def _pinned(one: Destination, writes: Mapping[tuple[str, str], Write]) -> Destination:
    """Name the version that a pinned reference shall have."""
    if one.held is None or one.source is None or not one.version:
        return one
    write = writes.get((one.held.arn, one.source.written_stage))
    return replace(one, version=write.version if write else one.held.version)


def _noun(store: str) -> str:
    return "parameter" if store == SSM else "secret"
