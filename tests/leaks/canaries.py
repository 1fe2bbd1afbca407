# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values that are told from everything else, and a search that finds them in every notation.

Nothing here comes from the collection: its own list of notations is what is tested.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

# Between a head and a tail of letters and digits, what every notation writes in a way of its own.
ODD = "/+%&<\"'\\=~"


def canary(head: str, tail: str) -> str:
    return f"{head}{ODD}{tail}"


NEW = canary("sk-newHD7qWxZ", "newTL4vKmTyB")
OLD = canary("sk-oldHD8rVyQ", "oldTL5wLnUzC")
NEIGHBOUR = canary("nbrHD3sUzPö", "nbrTL6xMoVaD")
ADMIN_KEY = canary("sk-admHD2tTaN", "admTL7yNpWbE")
PROVIDER_KEY = "sk-proj-prvHD5kJcL0uSd4fGh3prvTL2nBvCxZ9"  # one that OpenAI could have made
SECRET_KEY = canary("awsHD4uSbM", "awsTL8zOqXcF")
SESSION_TOKEN = canary("tokHD5vRcL", "tokTL9aPrYdG")
PROXY_PASSWORD = "prxHD6wQdK~prxTL0bQsZeH"
SHORT = "k7x4-Q"  # too short a neighbour to be told from a word

VALUES = {
    "new": NEW,
    "old": OLD,
    "neighbour": NEIGHBOUR,
    "provider key": PROVIDER_KEY,
    "admin key": ADMIN_KEY,
    "AWS secret key": SECRET_KEY,
    "AWS session token": SESSION_TOKEN,
    "proxy password": PROXY_PASSWORD,
}


def notations(value: str) -> dict[str, str]:
    """A value as text may hold it, by the notation's name."""
    raw = value.encode()
    inner = json.dumps(value)[1:-1]
    found = {
        "as it is": value,
        "URL": quote(value, safe=""),
        "URL path": quote(value),
        "URL, small letters": re.sub("%..", lambda found: found[0].lower(), quote(value, safe="")),
        "form": quote_plus(value),
        "JSON": inner,
        "JSON in JSON": json.dumps(inner)[1:-1],
        "JSON in Unicode": json.dumps(value, ensure_ascii=False)[1:-1],
        "repr": repr(value)[1:-1],
        "repr of bytes": repr(raw)[2:-1],
        "YAML": value.replace("'", "''"),
        "shell": value.replace("'", "'\"'\"'"),
        "HTML": html.escape(value),
    }
    for before in range(3):
        coded = base64.b64encode(b"user: "[: 3 + before] + raw + b" and more").decode()
        # Without the characters that also hold bits of what stands around.
        core = coded[-(-8 * (3 + before) // 6) : 8 * (3 + before + len(raw)) // 6]
        found[f"base64, shifted by {before}"] = core
        found[f"base64 for URLs, shifted by {before}"] = core.translate(str.maketrans("+/", "-_"))
    return found


def echoes(*values: str) -> str:
    """A text that holds values in every notation, as a service, a log or a page of a proxy might."""
    return "; ".join(f"{name}: {form}" for value in values for name, form in notations(value).items())


def traces(value: str) -> dict[str, str]:
    """What betrays a value: each notation, hexadecimal digits, and each half of it, however cut off."""
    head, _odd, tail = value.partition(ODD)
    parts = {"head": head, "tail": tail} if tail else {}
    return {**notations(value), **parts, "hexadecimal": value.encode().hex()}


class Search:
    """Finds values in bytes; capital letters count as small ones."""

    def __init__(self, values: dict[str, str]) -> None:
        self._traces = {
            name: {form.encode().lower() for form in traces(value).values()} for name, value in values.items()
        }

    def find(self, data: bytes) -> set[str]:
        """Names of the values in it."""
        low = data.lower()
        return {name for name, forms in self._traces.items() if any(form in low for form in forms)}

    def places(self, data: bytes) -> Iterator[tuple[int, str]]:
        """Where values begin, and which."""
        low = data.lower()
        for name, forms in self._traces.items():
            for form in forms:
                at = low.find(form)
                while at >= 0:
                    yield at, name
                    at = low.find(form, at + 1)

    def files(self, folders: Iterable[Path]) -> dict[Path, set[str]]:
        """Files below folders that hold values, or are named after one."""
        found = {}
        for folder in folders:
            for file in sorted(folder.rglob("*")):
                data = str(file).encode() + (file.read_bytes() if file.is_file() else b"")
                if hits := self.find(data):
                    found[file] = hits
        return found
