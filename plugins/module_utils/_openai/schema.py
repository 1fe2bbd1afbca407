# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read answers member by member; what does not follow the API's description is told by its place."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from .api import OpenAiError


class Member:
    """A place in an answer, such as ``data[3].owner``.

    Args:
        data: what stands there.
        about: the call, for messages: ``GET /models``.
    """

    def __init__(self, data: Any, about: str, place: str = "") -> None:
        self._data, self._about, self._place = data, about, place

    def text(self, name: str) -> str:
        return str(self._get(name, str, "text"))

    def text_or_none(self, name: str) -> str | None:
        return None if self._value(name) is None else self.text(name)

    def flag(self, name: str) -> bool:
        return bool(self._get(name, bool, "true or false"))

    def time(self, name: str) -> str:
        """Seconds since 1970 as ISO 8601, UTC."""
        try:
            return datetime.fromtimestamp(self._get(name, (int, float), "a time in seconds"), timezone.utc).isoformat()
        except (ValueError, OverflowError, OSError):
            raise self.wrong(name, "a time in seconds") from None

    def time_or_none(self, name: str) -> str | None:
        return None if self._value(name) is None else self.time(name)

    def member(self, name: str) -> Member:
        return Member(self._get(name, dict, "an object"), self._about, self._path(name))

    def member_or_none(self, name: str) -> Member | None:
        return None if self._value(name) is None else self.member(name)

    def members(self, name: str) -> list[Member]:
        found = self._get(name, list, "a list")
        return [Member(one, self._about, f"{self._path(name)}[{number}]") for number, one in enumerate(found)]

    def _path(self, name: str) -> str:
        return f"{self._place}.{name}" if self._place else name

    def _value(self, name: str) -> Any:
        if not isinstance(self._data, dict):
            raise self.wrong("", "an object")
        return self._data.get(name)

    def _get(self, name: str, kind: type | tuple[type, ...], said: str) -> Any:
        value = self._value(name)
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise self.wrong(name, said)
        return value

    def wrong(self, name: str, said: str) -> OpenAiError:
        """The error that a member is not what it should be; what it is instead is not shown."""
        place = self._path(name) if name else self._place or "the whole"
        return OpenAiError(
            f"The answer to {self._about} does not follow OpenAI's API description: {place} is not {said}. Check"
            " base_url; if it is right, the provider's API differs from what this collection knows.",
            cause="schema",
        )
