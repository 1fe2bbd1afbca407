# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Change one key of a JSON object as text, so that everything else stays byte for byte. Pure.

Follows https://www.rfc-editor.org/rfc/rfc8259
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


def keys(text: str) -> tuple[str, ...] | None:
    """The keys of a JSON object; None when the text is none."""
    try:
        return tuple(_object(text))
    except ValueError:
        return None


def get(text: str, key: str) -> str | None:
    """The value of a key, as ECS injects it: a string as it is, anything else as JSON; None when it is not there.

    Raises:
        ValueError: the text is no JSON object.
    """
    data = _object(text)
    if key not in data:
        return None
    return data[key] if isinstance(data[key], str) else json.dumps(data[key])


def _object(text: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(data, dict):
        raise ValueError("it is no JSON object")
    return data


def put(text: str, key: str, value: str) -> str:
    """Return the text with another value for a key, which is added at the end when it is not there.

    Raises:
        ValueError: the text is no JSON object.
    """
    json_keys = keys(text)
    if json_keys is None:
        raise ValueError("it is no JSON object")
    new = json.dumps(value, ensure_ascii=False)
    spans = [(start, end) for name, start, end in _members(text) if name == key]
    # A key may stand there more than once; readers differ in which one counts, so all of them change.
    for start, end in reversed(spans):
        text = text[:start] + new + text[end:]
    if spans:
        return text
    end = text.rindex("}")
    body = text[:end].rstrip(" \t\n\r")
    comma = ", " if json_keys else ""
    return f"{body}{comma}{json.dumps(key, ensure_ascii=False)}: {new}{text[len(body) : end]}" + text[end:]


def _members(text: str) -> Iterator[tuple[str, int, int]]:
    """Each member of the object: its key, and where its value begins and ends."""
    at = _skip(text, text.index("{") + 1)
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        start = _skip(text, _skip(text, at) + 1)
        _value, end = _DECODER.raw_decode(text, start)
        yield key, start, end
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    """The position after white space."""
    found = _SPACE.match(text, at)
    return found.end() if found else at
