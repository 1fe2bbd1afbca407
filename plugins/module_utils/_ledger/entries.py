# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A ledger's lines: JSON objects, one a line, append-only, no value ever. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._errors import KeyturnError
from .._scrub import CENSORED, LOOKS_LIKE_A_KEY, strings


@dataclass(frozen=True)
class Line:
    """An entry as it stands in the ledger.

    Attributes:
        text: the entry's JSON, without a newline.
        id: JSON of its ``id`` member; None when it has none.
    """

    text: str
    id: str | None


@dataclass(frozen=True)
class Addition:
    """What an append adds.

    Attributes:
        lines: JSON texts, in order.
        already_there: how many entries were left out, since an entry of the same ``id`` is there.
    """

    lines: tuple[str, ...]
    already_there: int

    @property
    def text(self) -> str:
        """The lines, each with its newline."""
        return "".join(f"{line}\n" for line in self.lines)

    def after(self, last: bytes) -> bytes:
        """What is written behind a ledger that ends with ``last``: a line that was cut off there stays by itself."""
        return (b"\n" if last[-1:] not in (b"", b"\n") else b"") + self.text.encode("ascii")


def lines(entries: Sequence[Mapping[str, Any]]) -> tuple[Line, ...]:
    """The entries as lines. ASCII, since some programs end a line at more characters than JSON does.

    Raises:
        KeyturnError: a member looks like a key or is no JSON; the message names it, not what it holds.
    """
    for index, entry in enumerate(entries):
        for place, text in _strings(entry, f"entries[{index}]"):
            if LOOKS_LIKE_A_KEY.search(text):
                raise KeyturnError(
                    f"{place} holds what looks like an API key, and a ledger holds no value ever. Nothing was "
                    "appended. Give the key's fingerprint or id instead."
                )
    try:
        return tuple(Line(json.dumps(entry, allow_nan=False), _id(entry)) for entry in entries)
    except (TypeError, ValueError):
        raise KeyturnError("entries holds what JSON has no form for, such as NaN. Nothing was appended.") from None


def addition(wanted: Sequence[Line], ledger: bytes) -> Addition:
    """The lines that the ledger lacks. Lines without an id are never taken for one another.

    Args:
        ledger: its content; empty is enough when no line has an id (see :func:`needs_content`).
    """
    there = set(_ids(ledger)) if needs_content(wanted) else set()
    missing = []
    for line in wanted:
        if line.id is None or line.id not in there:
            missing.append(line.text)
        if line.id is not None:
            there.add(line.id)
    return Addition(tuple(missing), len(wanted) - len(missing))


def needs_content(wanted: Sequence[Line]) -> bool:
    """Whether the ledger's lines have to be known."""
    return any(line.id is not None for line in wanted)


def read(ledger: bytes, where: Mapping[str, Any]) -> tuple[list[dict[str, Any]], int]:
    """The entries whose members are as ``where`` says, and how many lines are no JSON, such as one cut off."""
    found: list[dict[str, Any]] = []
    broken = 0
    for line in ledger.split(b"\n"):
        if not line.strip():
            continue
        try:
            entry = json.loads(line.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            broken += 1
            continue
        if isinstance(entry, dict) and all(name in entry and entry[name] == wanted for name, wanted in where.items()):
            found.append(entry)
    return found, broken


def result(path: str, added: Addition) -> dict[str, Any]:
    """The module's result."""
    return {
        "changed": bool(added.lines),
        "path": path,
        "appended": len(added.lines),
        "already_there": added.already_there,
        "diff": {"before_header": path, "after_header": f"{path} (lines appended)", "before": "", "after": added.text},
    }


def looking_like_keys(entries: Any) -> set[str]:
    """Texts that must not be shown by anybody."""
    return {text for text in strings(entries) if LOOKS_LIKE_A_KEY.search(text)}


def _strings(data: Any, place: str) -> Iterator[tuple[str, str]]:
    """Every text in nested data, members' names too, and where it stands."""
    if isinstance(data, str):
        yield place, data
    elif isinstance(data, Mapping):
        for name, value in data.items():
            yield f"the name of a member of {place}", str(name)
            yield from _strings(value, f"{place}.{LOOKS_LIKE_A_KEY.sub(CENSORED, str(name))}")
    elif isinstance(data, (list, tuple)):
        for index, item in enumerate(data):
            yield from _strings(item, f"{place}[{index}]")


def _ids(ledger: bytes) -> Iterator[str]:
    """The ids in a ledger; what is no JSON object has none."""
    for line in ledger.split(b"\n"):
        if b'"id"' not in line:
            continue
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        found = _id(entry) if isinstance(entry, dict) else None
        if found is not None:
            yield found


def _id(entry: Mapping[str, Any]) -> str | None:
    """The id in one form, whatever the order of members; a text "1" and a number 1 are two."""
    given = entry.get("id")
    return None if given is None else json.dumps(given, sort_keys=True, allow_nan=False)
