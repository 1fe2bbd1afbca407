# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one place where values are taken out of text that leaves the collection."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

CENSORED = "********"

# OpenAI's keys, and others made alike; GitHub's. A log may hold one that nobody told us of.
LOOKS_LIKE_A_KEY = re.compile(r"\b(?:[spr]k[-_]|gh[opsu]_|github_pat_)[A-Za-z0-9_-]{16,}")

# Shorter neighbours ("1", "true", "INFO") are no secrets, and taking them out would make messages unreadable.
MIN_NEIGHBOUR = 8

_PLAIN = re.compile(r"[A-Za-z0-9_-]*")  # the same in every notation
_PERCENT = re.compile(r"%[0-9A-F]{2}")
_USER_IN_URL = re.compile(r"(?<=://)[^/\s@]+(?=@)")
_DOTS = " .…"  # what stands where a text was cut off
_PASSWORD_IN_URL = re.compile(r"://[^/\s@:]*:([^/\s@]+)@")


def _forms(value: str) -> set[str]:
    """The ways a value is commonly written into text: as it is, quoted for a URL, inside JSON, repr, HTML or base64."""
    raw = value.encode("utf-8", "surrogatepass")
    if _PLAIN.fullmatch(value):
        return {value, *_base64_forms(raw)}
    urls = {quote(raw, safe=""), quote(raw), quote_plus(raw)}
    in_json = json.dumps(value)[1:-1]
    backslashes = value.replace("\\", "\\\\")
    return {
        value,
        *urls,
        *(_PERCENT.sub(lambda found: found[0].lower(), url) for url in urls),
        in_json,
        json.dumps(in_json)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
        repr(raw)[2:-1],
        backslashes,
        backslashes.replace("'", "\\'"),  # repr of a text with both kinds of quotes
        value.replace("'", "''"),  # YAML
        value.replace("'", "'\"'\"'"),  # a shell
        html.escape(value),
        html.escape(value, quote=False),
        *_base64_forms(raw),
    }


def _base64_forms(raw: bytes) -> Iterator[str]:
    """What base64 makes of a value alone, and of one within other text, where it can begin at three places."""
    yield base64.b64encode(raw).decode("ascii")
    for before in range(3):
        start, end = -(-8 * before // 6), 8 * (before + len(raw)) // 6
        core = base64.b64encode(bytes(before) + raw).decode("ascii")[start:end]
        if len(core) >= MIN_NEIGHBOUR:
            yield core
            yield core.translate(str.maketrans("+/", "-_"))


class _Index:
    """Forms by their first characters, so that a text is walked once, however many values are known."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._by_start: dict[str, set[str]] = {}
        self._short: set[str] = set()

    def add(self, value: str) -> None:
        if value in self._values:
            return
        self._values.add(value)
        for form in _forms(value):
            if len(form) < MIN_NEIGHBOUR:
                self._short.add(form)
            else:
                self._by_start.setdefault(form[:MIN_NEIGHBOUR], set()).add(form)

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where a form begins and ends. One that the end of the text cuts off counts: ECS shortens reasons."""
        if self._by_start:
            for at in range(len(text) - MIN_NEIGHBOUR + 1):
                for form in self._by_start.get(text[at : at + MIN_NEIGHBOUR], ()):
                    if text.startswith(form, at):
                        yield at, at + len(form)
                    elif len(text) - at < len(form) + len(_DOTS) and form.startswith(text[at:].rstrip(_DOTS)):
                        yield at, len(text)
        for form in self._short:
            at = text.find(form)
            while at >= 0:
                yield at, at + len(form)
                at = text.find(form, at + 1)


class Scrubber:
    """Replaces every known value, in each of its common forms, by ``********``.

    Values are added while they become known (the new one first of all), so one scrubber serves a whole run.
    """

    def __init__(self, values: Iterable[str | None] = ()) -> None:
        self._secrets, self._neighbours = _Index(), _Index()
        self._waiting: set[str] = set()
        self._public = ""
        self.add(*values)

    def add(self, *values: str | None) -> None:
        """Make values known; empty ones are passed over."""
        for value in values:
            if value:
                self._secrets.add(value)

    def add_neighbours(self, values: Iterable[str]) -> None:
        """Make values known that may be secrets too, such as a container's other variables.

        Short ones are none, nor is what stands in a name that is shown anyway: a Region, a project, a service.
        """
        self._waiting.update(value for value in values if len(value) >= MIN_NEIGHBOUR)

    def keep(self, *public: str) -> None:
        """Name what is no secret, such as the ARNs of what a message is about."""
        self._public += "".join(f"{text}\n" for text in public)

    def text(self, text: str) -> str:
        """Return ``text`` without any known value, and without users and passwords in URLs."""
        for value in self._waiting:
            if value not in self._public:
                self._neighbours.add(value)
        self._waiting.clear()
        found = [*self._secrets.spans(text), *self._neighbours.spans(text)]
        return _USER_IN_URL.sub(CENSORED, _without(text, found))

    def foreign(self, text: str) -> str:
        """Return text that others wrote (events, log lines) without known values or what looks like a key."""
        return LOOKS_LIKE_A_KEY.sub(CENSORED, self.text(text))

    def result(self, result: Mapping[str, Any], shown: Collection[str] = ()) -> dict[str, Any]:
        """Return a module's result without any known value: the last thing that happens to it.

        Args:
            shown: members that are there to hold a value.
        """
        return {
            self._told(name): value if name in shown else map_strings(value, self._told, self._told)
            for name, value in result.items()
        }

    def _told(self, text: str) -> str:
        """A sentence without any value. A name without the secrets only: the next task needs names as they are."""
        if re.search(r"\s", text):
            return self.text(text)
        found = (span for span in self._secrets.spans(text) if span[1] - span[0] >= MIN_NEIGHBOUR)
        return _without(text, [span for span in found if text[slice(*span)] not in self._public])


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    """Replace what lies in the spans; those that overlap count as one."""
    parts, done = [], 0
    covered: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if covered and start < covered[-1][1]:
            covered[-1] = (covered[-1][0], max(end, covered[-1][1]))
        else:
            covered.append((start, end))
    for start, end in covered:
        parts += [text[done:start], CENSORED]
        done = end
    return "".join(parts) + text[done:]


def strings(data: Any) -> Iterator[str]:
    """Every text in nested data, the names of members too."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, Mapping):
        for name, value in data.items():
            yield str(name)
            yield from strings(value)
    elif isinstance(data, (list, tuple)):
        for item in data:
            yield from strings(item)


def secret_by_looks(data: Any) -> set[str]:
    """What must not be shown wherever an operator typed it: a whole API key, and the password of a URL.

    A name of a cluster may begin with ``sk-``, too, so a key is what also mixes digits, small and capital letters.
    """
    found = set()
    for text in strings(data):
        mixed = all(re.search(kind, text) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
        if mixed and LOOKS_LIKE_A_KEY.fullmatch(text):
            found.add(text)
        found.update(_PASSWORD_IN_URL.findall(text))
    return found


def map_strings(data: Any, change: Callable[[str], str], change_names: Callable[[str], str] = str) -> Any:
    """Return a copy of nested dicts, lists and tuples with ``change`` applied to every string value."""
    if isinstance(data, str):
        return change(data)
    if isinstance(data, dict):
        return {
            change_names(name) if isinstance(name, str) else name: map_strings(value, change, change_names)
            for name, value in data.items()
        }
    if isinstance(data, (list, tuple)):
        return [map_strings(value, change, change_names) for value in data]
    return data
