# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Projects, service accounts and keys, and the operations on them."""

from __future__ import annotations

import itertools
import random
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

# What GET /models says to a key: status -> HTTP status, code, type, message. {masked} is the key as OpenAI masks it.
STATUSES: dict[str, tuple[int, str | None, str, str]] = {
    "accepted": (200, None, "", ""),
    "revoked": (
        401,
        "invalid_api_key",
        "invalid_request_error",
        "Incorrect API key provided: {masked}. You can find your API key at https://platform.openai.com/account/api-keys.",
    ),
    "restricted": (
        403,
        None,
        "invalid_request_error",
        "You have insufficient permissions for this operation. Missing scopes: api.model.read.",
    ),
    "wrong_organization": (
        401,
        "mismatched_organization",
        "invalid_request_error",
        "OpenAI-Organization header should match organization for API key",
    ),
    "address": (401, "ip_not_authorized", "invalid_request_error", "Your IP is not authorized."),
    "region": (
        403,
        "unsupported_country_region_territory",
        "request_forbidden",
        "Country, region, or territory not supported",
    ),
    "no_quota": (
        429,
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "rate_limited": (429, "rate_limit_exceeded", "requests", "Rate limit reached for requests."),
}


@dataclass
class StoredKey:
    """A key of a project. ``status`` is a name of STATUSES."""

    id: str
    name: str
    value: str
    project_id: str
    created_at: int
    service_account_id: str | None = None
    last_used_at: int | None = None
    status: str = "accepted"
    access: str = "active"

    @property
    def masked(self) -> str:
        return masked(self.value)

    def shown(self) -> Json:
        who: Json = {"id": self.service_account_id or "user_abc", "name": "elevareai", "created_at": 1711471533}
        kind = "service_account" if self.service_account_id else "user"
        extra = {"role": "member"} if self.service_account_id else {"role": "owner", "email": "user@example.com"}
        return {
            "object": "organization.project.api_key",
            "redacted_value": self.masked,
            "name": self.name,
            "created_at": self.created_at,
            "last_used_at": self.last_used_at,
            "id": self.id,
            "owner_project_access": self.access,
            "owner": {"type": kind, kind: {**who, **extra}},
        }


def masked(value: str) -> str:
    """As the description's examples show a key: ``sk-abc...def``."""
    return f"{value[:6]}...{value[-4:]}"


class Refused(Exception):
    """An answer with OpenAI's error object."""

    def __init__(self, status: int, message: str, *, code: str | None = None, kind: str = "invalid_request_error"):
        super().__init__(message)
        self.status = status
        self.body: Json = {"error": {"code": code, "message": message, "param": None, "type": kind}}


@dataclass
class State:
    """Everything that the provider knows.

    ``service_account_keys`` says what DELETE does to a key of a service account: ``deleted``, or ``kept`` with an
    error, as OpenAI's description has it.
    """

    admin_key: str
    now: Callable[[], float]
    service_account_keys: str = "deleted"
    projects: dict[str, list[str]] = field(default_factory=dict)
    keys: dict[str, StoredKey] = field(default_factory=dict)
    outside: dict[str, str] = field(default_factory=dict)  # value -> status, of keys that are in no project
    _random: random.Random = field(default_factory=lambda: random.Random(1))
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def add_key(self, project_id: str, name: str, **members: Any) -> StoredKey:
        """A new key, with a value that looks like OpenAI's."""
        letters = "".join(self._random.choices(string.ascii_letters + string.digits, k=40))
        prefix = "sk-svcacct-" if members.get("service_account_id") else "sk-proj-"
        made = {"id": f"key_{next(self._numbers):06d}", "value": prefix + letters, "created_at": int(self.now())}
        key = StoredKey(name=name, project_id=project_id, **{**made, **members})
        self.keys[key.id] = key
        return key

    def models(self, value: str) -> Json:
        """GET /models: what the key is worth."""
        key = next((key for key in self.keys.values() if key.value == value), None)
        status = key.status if key else self.outside.get(value, "revoked")
        if key and status != "revoked":
            key.last_used_at = int(self.now())
        http, code, kind, message = STATUSES[status]
        if http != 200:
            raise Refused(http, message.format(masked=masked(value)), code=code, kind=kind)
        model = {"id": "gpt-5", "object": "model", "created": 1686935002, "owned_by": "openai", "shutdown_date": None}
        return {"object": "list", "data": [model]}

    def admin(self, value: str) -> None:
        """Only the admin key may go on."""
        if value != self.admin_key:
            raise Refused(401, f"Incorrect API key provided: {masked(value)}.", code="invalid_api_key")

    def list_keys(self, project_id: str, limit: int, after: str | None, access: str | None) -> Json:
        self._project(project_id)
        if not 1 <= limit <= 100:
            raise Refused(400, f"Invalid limit {limit}: 1 to 100.", code="invalid_value")
        keys = [
            key
            for key in self.keys.values()
            if key.project_id == project_id
            and key.access in ((access,) if access in ("active", "inactive") else _seen(access))
        ]
        keys.sort(key=lambda key: (key.created_at, key.id), reverse=True)
        if after is not None:
            ids = [key.id for key in keys]
            if after not in ids:
                raise Refused(400, "Unknown cursor.", code="invalid_value")
            keys = keys[ids.index(after) + 1 :]
        page = keys[:limit]
        return {
            "object": "list",
            "data": [key.shown() for key in page],
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
            "has_more": len(keys) > limit,
        }

    def get_key(self, project_id: str, key_id: str) -> StoredKey:
        self._project(project_id)
        key = self.keys.get(key_id)
        if key is None or key.project_id != project_id:
            raise Refused(404, f"No API key with id {key_id} in project {project_id}.", code="not_found")
        return key

    def delete_key(self, project_id: str, key_id: str) -> Json:
        key = self.get_key(project_id, key_id)
        if key.service_account_id and self.service_account_keys == "kept":
            raise Refused(400, "The API key belongs to a service account and cannot be deleted.")
        del self.keys[key_id]
        return {"object": "organization.project.api_key.deleted", "id": key_id, "deleted": True}

    def make_key(self, project_id: str, service_account_id: str, name: str | None) -> Json:
        if service_account_id not in self._project(project_id):
            raise Refused(404, f"No service account {service_account_id}.", code="not_found")
        key = self.add_key(project_id, name or "Secret Key", service_account_id=service_account_id)
        return {
            "object": "organization.project.service_account.api_key",
            "value": key.value,
            "name": key.name,
            "created_at": key.created_at,
            "id": key.id,
        }

    def _project(self, project_id: str) -> list[str]:
        if project_id not in self.projects:
            raise Refused(404, f"Project with ID '{project_id}' not found.", code="not_found")
        return self.projects[project_id]


def _seen(access: str | None) -> tuple[str, ...]:
    """Without the parameter keys whose owner lost access are left out, as the description warns."""
    return ("active", "inactive") if access == "any" else ("active",)
