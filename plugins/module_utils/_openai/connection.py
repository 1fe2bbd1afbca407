# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options to a checked connection. Knows no network."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

# The one Ansible function here: it reads an option's environment variable. The border is said in CONTRIBUTING.md.
from ansible.module_utils.common.parameters import env_fallback

from .._errors import KeyturnError
from .._scrub import LOOKS_LIKE_A_KEY

DEFAULT_BASE_URL = "https://api.openai.com/v1"

CONNECTION_SPEC: dict[str, dict[str, Any]] = {
    "admin_key": {"type": "str", "no_log": True, "fallback": (env_fallback, ["OPENAI_ADMIN_KEY"])},
    "base_url": {"type": "str", "default": DEFAULT_BASE_URL, "fallback": (env_fallback, ["OPENAI_BASE_URL"])},
    "organization": {"type": "str"},
    "timeout": {"type": "int", "default": 30},
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": {"type": "path"},
    "use_proxy": {"type": "bool", "default": True},
}

_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
_SECRET = re.compile(r"[!-~]+")  # printable ASCII without a blank: what an HTTP header can carry


@dataclass(frozen=True)
class Connection:
    """Where the provider is, and how to get there.

    Attributes:
        base_url: without a closing slash.
        admin_key: an Admin API key; None where only a value is checked.
        timeout: seconds for each wait: for the connection, and for each part of the answer.
    """

    base_url: str = DEFAULT_BASE_URL
    admin_key: str | None = field(default=None, repr=False)
    organization: str | None = None
    timeout: int = 30
    validate_certs: bool = True
    ca_path: str | None = None
    use_proxy: bool = True

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Connection:
        """Read a module's options; raises :class:`KeyturnError` that names the option. Empty strings are not given."""
        connection = cls(
            base_url=_base_url(options.get("base_url") or DEFAULT_BASE_URL, options["validate_certs"]),
            admin_key=options.get("admin_key") or None,
            organization=options.get("organization") or None,
            timeout=options["timeout"],
            validate_certs=options["validate_certs"],
            ca_path=options.get("ca_path") or None,
            use_proxy=options["use_proxy"],
        )
        if connection.timeout < 1:
            raise KeyturnError(f"timeout is {connection.timeout}; give a number of seconds, 1 or more.")
        if connection.ca_path:
            _check_ca(connection.ca_path)
        if connection.admin_key:
            check_secret("admin_key", connection.admin_key)
        if connection.organization:
            check_id("organization", connection.organization)
        return connection

    def needs_admin_key(self) -> str:
        """The admin key, or an error that says where one comes from."""
        if not self.admin_key:
            raise KeyturnError(
                "admin_key is missing: give it, or set the environment variable OPENAI_ADMIN_KEY. Owners of the"
                " organization make one at https://platform.openai.com/settings/organization/admin-keys."
            )
        return self.admin_key


def check_secret(option: str, value: str) -> None:
    """Refuse a key that cannot be one, without showing it: it would be sent cut off, or shown in an error."""
    if value != value.strip():
        raise KeyturnError(f"{option} begins or ends with white space or a newline. Remove it; nothing was sent.")
    if not _SECRET.fullmatch(value):
        raise KeyturnError(
            f"{option} is empty or holds a character that no key has (a blank, a control or a non-ASCII character)."
            " Copy the key again; nothing was sent."
        )


def check_id(option: str, value: str) -> None:
    """Refuse what cannot be an id: it becomes a part of a path."""
    if LOOKS_LIKE_A_KEY.search(value):
        raise KeyturnError(f"{option} looks like a key itself. Give the id, which is no secret; nothing was sent.")
    if not _ID.fullmatch(value):
        raise KeyturnError(f"{option} is no id: letters, digits, dots, dashes and underscores only. Nothing was sent.")


def _check_ca(path: str) -> None:
    """Refuse a file that holds no certificates: found later, it would look like a lost connection."""
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        why = (
            "holds no certificates in PEM" if isinstance(error, ssl.SSLError) else f"is not readable: {error.strerror}"
        )
        raise KeyturnError(f"ca_path: {path} {why}. Name a file with CA certificates in PEM.") from None


def _base_url(url: str, validate_certs: bool) -> str:
    """The URL without a closing slash. It is never shown where it may hold a password."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise KeyturnError("base_url is no URL.") from None
    if parts.scheme not in ("http", "https") or not host or re.search(r"[^!-~]", url):
        raise KeyturnError(f"base_url must be a whole URL such as {DEFAULT_BASE_URL}.")
    if "@" in parts.netloc or "?" in url or "#" in url:
        raise KeyturnError("base_url must hold no user, password, query or fragment: keys go into a header.")
    if parts.scheme == "http" and validate_certs and not _LOOPBACK.fullmatch(host):
        raise KeyturnError(
            f"base_url begins with http://, so keys would cross the network to {host} unencrypted. Use https://, or"
            " accept it with validate_certs=false."
        )
    return url.rstrip("/")
