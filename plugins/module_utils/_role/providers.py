# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose key it is: what is known of the provider, as the role has it and as the operator says otherwise."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .._errors import KeyturnError
from .._logs.request import compiled
from .._probe.question import Question

GENERIC = "generic"
# The module that knows more about OpenAI's answers than a status.
OPENAI_MODULE = "openai_api_key_info"
MEMBERS = ("variables", "value_pattern", "probe", "log_patterns", "keys_at")

Provider = Mapping[str, Any]
Providers = Mapping[str, Provider]


def problems(given: Mapping[str, Any], presets: Providers) -> Iterator[str]:
    """What is wrong with rotate_providers and rotate_provider, while nothing depends on it. Names, and no values."""
    own = given.get("rotate_providers") or {}
    for name, entry in own.items():
        if not isinstance(name, str) or not isinstance(entry, Mapping):
            yield "rotate_providers must be a mapping of names to mappings."
            return
        yield from (f"rotate_providers: {name}: {wrong}" for wrong in _wrong(entry, presets.get(name, {})))
    listed = [variable for entry in own.values() for variable in _list(entry.get("variables"))]
    for variable in sorted({str(one) for one in listed if listed.count(one) > 1}):
        yield f"rotate_providers: several of them have {variable} in variables: choose one."
    chosen = given.get("rotate_provider") or GENERIC
    if chosen not in {*presets, *own}:
        yield f"rotate_provider: {chosen} is none of {', '.join(sorted({*presets, *map(str, own)}))}."


def _wrong(entry: Provider, preset: Provider) -> Iterator[str]:
    unknown = [str(name) for name in entry if name not in MEMBERS]
    if unknown:
        yield f"{', '.join(unknown)} is none of {', '.join(MEMBERS)}."
    for name in ("variables", "log_patterns"):
        if not isinstance(entry.get(name) or [], list) or not all(
            isinstance(one, str) for one in _list(entry.get(name))
        ):
            yield f"{name} must be a list of texts."
            return
    for name in ("value_pattern", "keys_at"):
        if not isinstance(entry.get(name) or "", str):
            yield f"{name} must be text: put quotes around it."
            return
    if not _is_pattern(entry.get("value_pattern") or ""):
        yield "value_pattern is no regular expression."
    yield from _said(lambda: compiled(entry.get("log_patterns") or ["x"], "log_patterns"))
    probe = _probe(entry, preset)
    if isinstance(probe, Mapping):
        yield from _said(lambda: Question.of(probe), "probe: ")
    elif probe not in (None, OPENAI_MODULE):
        yield f"probe must be a mapping, or {OPENAI_MODULE}."


def chosen(given: Mapping[str, Any], presets: Providers, variable: str) -> dict[str, Any]:
    """The provider of a variable's value, with its ``name``: the one that is named, else the one that has the variable.

    Args:
        given: the role's variables, of which :func:`problems` finds nothing wrong.
    """
    own: Providers = given.get("rotate_providers") or {}
    every = {**own, **presets}
    merged = {name: _merged(own.get(name, {}), presets.get(name, {})) for name in every}
    listing = (name for source in (own, merged) for name in source if variable in _list(source[name].get("variables")))
    name = str(given.get("rotate_provider") or next(listing, GENERIC))
    return {"name": name, **merged[name]}


def mismatch(provider: Provider, given: Mapping[str, Any], value: str) -> Iterator[str]:
    """A value that is none of the provider's, so that it is told to nobody."""
    own = given.get("rotate_value_pattern") or ""
    pattern = own or provider["value_pattern"]
    whole = value and value == value.strip()  # the modules say what is around it
    if not pattern or not whole or re.search(pattern, value):
        return
    shown = f" {pattern}" if pattern.startswith("^") else ""  # else it may be a key that got there by mistake
    of, change = (
        (f"rotate_value_pattern{shown}", "change rotate_value_pattern")
        if own
        else (f"value_pattern{shown} of provider {provider['name']}", "set rotate_provider, or rotate_value_pattern")
    )
    yield (
        f"The new value does not match {of}: check that the whole key was copied, and that it is the right one. If it"
        f" is, {change}."
    )


def unasked(provider: Provider, given: Mapping[str, Any]) -> Iterator[str]:
    """An answer is demanded of a provider that cannot be asked. Asking another one would tell it the key."""
    if str(given.get("rotate_verify_key", "")).lower() == "true" and provider["probe"] is None:
        yield (
            f"rotate_verify_key is true, and how to ask provider {provider['name']} is not known: set rotate_provider,"
            " or give it a probe in rotate_providers."
        )


def _said(check: Callable[[], object], member: str = "") -> Iterator[str]:
    """The complaint of a check, where it has one."""
    try:
        check()
    except KeyturnError as error:
        yield f"{member}{error.msg}"


def _merged(own: Provider, preset: Provider) -> dict[str, Any]:
    found = {
        "value_pattern": own.get("value_pattern", preset.get("value_pattern")) or "",
        "log_patterns": _list(own.get("log_patterns", preset.get("log_patterns"))),
        "keys_at": own.get("keys_at", preset.get("keys_at")) or "",
        "variables": _list(own.get("variables", preset.get("variables"))),
    }
    probe = _probe(own, preset)
    if isinstance(probe, Mapping):
        question = Question.of(probe)
        probe = {
            "url": question.url,
            "method": question.method,
            "headers": dict(question.headers),
            **{name: sorted(getattr(question, name)) for name in ("accepted", "refused", "restricted")},
        }
    return {**found, "probe": probe}


def _probe(own: Provider, preset: Provider) -> Any:
    """Of a preset's probe, single members can be said otherwise; an empty one asks nobody."""
    before = preset.get("probe")
    if "probe" not in own:
        return before
    said = own["probe"]
    if isinstance(said, Mapping) and said and isinstance(before, Mapping):
        return {**before, **said}
    return said or None


def _list(data: Any) -> list[Any]:
    return list(data) if isinstance(data, (list, tuple)) else []


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError):
        return False
    return True
