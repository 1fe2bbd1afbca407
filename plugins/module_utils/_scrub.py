# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one place where values are taken out of text that leaves the collection."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote, quote_plus

CENSORED = "********"

# OpenAI's keys, and others made alike. A log may hold one that nobody told us of.
LOOKS_LIKE_A_KEY = re.compile(r"\b[spr]k[-_][A-Za-z0-9_-]{16,}")

# Shorter neighbours ("1", "true", "INFO") are no secrets, and taking them out would make messages unreadable.
MIN_NEIGHBOUR = 8


def _forms(value: str) -> set[str]:
    """The ways a value is commonly written into text: as it is, quoted for a URL, inside JSON, repr or base64."""
    return {
        value,
        # Half a character, of bytes that are no UTF-8, must not make an error of its own.
        quote(value, safe="", errors="surrogatepass"),
        quote_plus(value, errors="surrogatepass"),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
        base64.b64encode(value.encode("utf-8", "surrogatepass")).decode("ascii"),
    }


class Scrubber:
    """Replaces every known value, in each of its common forms, by ``********``.

    Values are added while they become known (the new one first of all), so one scrubber serves a whole run.
    """

    def __init__(self, values: Iterable[str | None] = ()) -> None:
        self._forms: set[str] = set()
        self._public: list[str] = []
        self.add(*values)

    def add(self, *values: str | None) -> None:
        """Make values known; empty ones are passed over."""
        for value in values:
            if value:
                self._forms |= _forms(value)

    def add_neighbours(self, values: Iterable[str]) -> None:
        """Make values known that may be secrets too, such as a container's other variables.

        Short ones are none, nor is what stands in a name that is shown anyway: a Region, a project, a service.
        """
        long = [value for value in values if len(value) >= MIN_NEIGHBOUR]
        self.add(*(value for value in long if not any(value in public for public in self._public)))

    def keep(self, *public: str) -> None:
        """Name what is no secret, such as the ARNs of what a message is about."""
        self._public.extend(public)

    def text(self, text: str) -> str:
        """Return ``text`` without any known value."""
        for form in sorted(self._forms, key=len, reverse=True):
            text = text.replace(form, CENSORED)
        return text

    def foreign(self, text: str) -> str:
        """Return text that others wrote (events, log lines) without known values or what looks like a key."""
        return LOOKS_LIKE_A_KEY.sub(CENSORED, self.text(text))


def map_strings(data: Any, change: Callable[[str], str]) -> Any:
    """Return a copy of nested dicts, lists and tuples with ``change`` applied to every string value."""
    if isinstance(data, str):
        return change(data)
    if isinstance(data, dict):
        return {key: map_strings(value, change) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [map_strings(value, change) for value in data]
    return data
