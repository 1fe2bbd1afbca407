# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every connection to a provider shares: options, and the checks of a URL and of a key. Knows no network."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .._errors import KeyturnError

HTTP_SPEC: dict[str, dict[str, Any]] = {
    "timeout": {"type": "int", "default": 30},
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": {"type": "path"},
    "use_proxy": {"type": "bool", "default": True},
}

_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")
_SECRET = re.compile(r"[!-~]+")  # printable ASCII without a blank: what an HTTP header can carry


@dataclass(frozen=True)
class Way:
    """How to get there.

    Attributes:
        timeout: seconds for each wait: for the connection, and for each part of the answer.
    """

    timeout: int = 30
    validate_certs: bool = True
    ca_path: str | None = None
    use_proxy: bool = True

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Way:
        """Read a module's options; raises :class:`KeyturnError` that names the option. Empty strings are not given."""
        way = cls(
            timeout=options["timeout"],
            validate_certs=options["validate_certs"],
            ca_path=options.get("ca_path") or None,
            use_proxy=options["use_proxy"],
        )
        if way.timeout < 1:
            raise KeyturnError(f"timeout is {way.timeout}; give a number of seconds, 1 or more.")
        if way.ca_path:
            _check_ca(way.ca_path)
        return way


def check_secret(option: str, value: str) -> None:
    """Refuse a key that cannot be one, without showing it: it would be sent cut off, or shown in an error."""
    if value != value.strip():
        raise KeyturnError(f"{option} begins or ends with white space or a newline. Remove it; nothing was sent.")
    if not _SECRET.fullmatch(value):
        raise KeyturnError(
            f"{option} is empty or holds a character that no key has (a blank, a control or a non-ASCII character)."
            " Copy the key again; nothing was sent."
        )


def check_url(option: str, url: str, example: str, *, validate_certs: bool, query: bool = False) -> str:
    """The URL, if a key may be sent there. It is never shown where it may hold a password.

    Args:
        query: it may have one.
    """
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise KeyturnError(f"{option} is no URL.") from None
    if parts.scheme not in ("http", "https") or not host or re.search(r"[^!-~]", url):
        raise KeyturnError(f"{option} must be a whole URL such as {example}.")
    if "@" in parts.netloc or "#" in url or ("?" in url and not query):
        named = "user, password or fragment" if query else "user, password, query or fragment"
        raise KeyturnError(f"{option} must hold no {named}: keys go into a header.")
    if parts.scheme == "http" and validate_certs and not _LOOPBACK.fullmatch(host):
        raise KeyturnError(
            f"{option} begins with http://, so keys would cross the network to {host} unencrypted. Use https://, or"
            " accept it with validate_certs=false."
        )
    return url


def _check_ca(path: str) -> None:
    """Refuse a file that holds no certificates: found later, it would look like a lost connection."""
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        why = (
            "holds no certificates in PEM" if isinstance(error, ssl.SSLError) else f"is not readable: {error.strerror}"
        )
        raise KeyturnError(f"ca_path: {path} {why}. Name a file with CA certificates in PEM.") from None
