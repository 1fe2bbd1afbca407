# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options to a checked connection. Knows no network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

# The one Ansible function here: it reads an option's environment variable. The border is said in CONTRIBUTING.md.
from ansible.module_utils.common.parameters import env_fallback

from .._errors import KeyturnError
from .._http.connection import HTTP_SPEC, Way, check_secret, check_url
from .._scrub import LOOKS_LIKE_A_KEY

DEFAULT_BASE_URL = "https://api.openai.com/v1"

CONNECTION_SPEC: dict[str, dict[str, Any]] = {
    "admin_key": {"type": "str", "no_log": True, "fallback": (env_fallback, ["OPENAI_ADMIN_KEY"])},
    "base_url": {"type": "str", "default": DEFAULT_BASE_URL, "fallback": (env_fallback, ["OPENAI_BASE_URL"])},
    "organization": {"type": "str"},
    **HTTP_SPEC,
}

_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True)
class Connection(Way):
    """Where the provider is, and how to get there.

    Attributes:
        base_url: without a closing slash.
        admin_key: an Admin API key; None where only a value is checked.
    """

    base_url: str = DEFAULT_BASE_URL
    admin_key: str | None = field(default=None, repr=False)
    organization: str | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Connection:
        """Read a module's options; raises :class:`KeyturnError` that names the option. Empty strings are not given."""
        connection = cls(
            base_url=_base_url(options.get("base_url") or DEFAULT_BASE_URL, options["validate_certs"]),
            admin_key=options.get("admin_key") or None,
            organization=options.get("organization") or None,
            **asdict(Way.of(options)),
        )
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


def check_id(option: str, value: str) -> None:
    """Refuse what cannot be an id: it becomes a part of a path."""
    if LOOKS_LIKE_A_KEY.search(value):
        raise KeyturnError(f"{option} looks like a key itself. Give the id, which is no secret; nothing was sent.")
    if not _ID.fullmatch(value):
        raise KeyturnError(f"{option} is no id: letters, digits, dots, dashes and underscores only. Nothing was sent.")


def _base_url(url: str, validate_certs: bool) -> str:
    """The URL without a closing slash."""
    return check_url("base_url", url, DEFAULT_BASE_URL, validate_certs=validate_certs).rstrip("/")
