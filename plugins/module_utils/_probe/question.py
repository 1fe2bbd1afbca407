# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to ask a provider about a key: one request, and what its answers mean. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from .._errors import KeyturnError
from .._http.connection import check_url

PLACEHOLDER = "{value}"
METHODS = ("GET", "HEAD")
MEMBERS = ("url", "method", "headers", "accepted", "refused", "restricted")
DEFAULTS: dict[str, Any] = {"method": "GET", "accepted": [200], "refused": [401], "restricted": []}

_EXAMPLE = "https://api.example.com/v1/account"
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, 5.6.2
_TEXT = re.compile(r"[ -~]*")
# Of a proxy, of waiting too long or asking too often: never of a key.
_OF_NO_KEY = {407, 408, 425, 429}


@dataclass(frozen=True)
class Question:
    """A request without a body, and the statuses that tell of the key; all others say nothing about it.

    Attributes:
        headers: name to text, in which ``{value}`` stands for the key.
        restricted: statuses of a key that is known and may not do this.
    """

    url: str
    method: str
    headers: Mapping[str, str]
    accepted: frozenset[int]
    refused: frozenset[int]
    restricted: frozenset[int]

    @classmethod
    def of(cls, given: Mapping[str, Any], *, validate_certs: bool = True) -> Question:
        """Check what somebody wrote; raises :class:`KeyturnError` that names the member."""
        unknown = [str(name) for name in given if name not in MEMBERS]
        if unknown:
            raise KeyturnError(f"{', '.join(unknown)} is none of {', '.join(MEMBERS)}.")
        asked = {**DEFAULTS, **{name: one for name, one in given.items() if one is not None}}
        if asked["method"] not in METHODS:
            raise KeyturnError(f"method must be {' or '.join(METHODS)}: asking must change nothing.")
        url = asked.get("url") or ""
        if not isinstance(url, str) or PLACEHOLDER in url:
            raise KeyturnError(f"url must be text without {PLACEHOLDER}: a key in it would be logged by the server.")
        found = cls(
            url=check_url("url", url, _EXAMPLE, validate_certs=validate_certs, query=True),
            method=asked["method"],
            headers=_headers(asked.get("headers")),
            **{name: _statuses(name, asked[name]) for name in ("accepted", "refused", "restricted")},
        )
        if not found.accepted or not found.refused:
            raise KeyturnError("accepted and refused must each hold a status: else every answer would mean the same.")
        if len(found.accepted | found.refused | found.restricted) < sum(
            map(len, (found.accepted, found.refused, found.restricted))
        ):
            raise KeyturnError("accepted, refused and restricted must have no status in common.")
        return found

    @property
    def where(self) -> str:
        """The URL as it may be shown."""
        return urlunsplit(urlsplit(self.url)._replace(query=""))

    def filled(self, value: str) -> dict[str, str]:
        """The headers with the key in them."""
        return {name: text.replace(PLACEHOLDER, value) for name, text in self.headers.items()}

    @property
    def secret(self) -> list[str]:
        """Names of the headers that hold the key."""
        return [name for name, text in self.headers.items() if PLACEHOLDER in text]


def _headers(given: Any) -> dict[str, str]:
    if not isinstance(given, Mapping):
        raise KeyturnError(f"headers must be a mapping, with {PLACEHOLDER} where the key stands.")
    found = {}
    for name, text in given.items():
        if isinstance(text, (Mapping, list, tuple)) or text is None:
            raise KeyturnError("headers: each must be one text.")
        if not _NAME.fullmatch(str(name)) or not _TEXT.fullmatch(str(text)):
            raise KeyturnError("headers: a name or a text holds a character that no header has.")
        found[str(name)] = str(text)
    if not any(PLACEHOLDER in text for text in found.values()):
        raise KeyturnError(f"headers: none holds {PLACEHOLDER}, so the key would not be asked about.")
    return found


def _statuses(name: str, given: Any) -> frozenset[int]:
    listed = given if isinstance(given, Iterable) and not isinstance(given, (str, Mapping)) else [given]
    found = set()
    for one in listed:
        if isinstance(one, bool) or not re.fullmatch("[24][0-9][0-9]", str(one)) or int(one) in _OF_NO_KEY:
            raise KeyturnError(
                f"{name} must be a list of HTTP statuses that tell of a key: of 2xx and 4xx, but not"
                f" {', '.join(map(str, sorted(_OF_NO_KEY)))}."
            )
        found.add(int(one))
    return frozenset(found)
