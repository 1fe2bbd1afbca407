# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""API keys of a project: list, make, revoke.

OpenAI's description of 2026-08-21 documents all four operations. About DELETE it says that it answers with an error
"if the key belonged to a service account"; that error is told with what to do instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .._errors import KeyturnError
from .api import Answer, Api, OpenAiError
from .connection import check_id
from .redacted import looks_like
from .schema import Member

PAGE = 100  # the most that the API gives
MOST_PAGES = 1000


@dataclass(frozen=True)
class Owner:
    """``type`` is ``user`` or ``service_account``."""

    type: str
    id: str | None
    name: str | None


@dataclass(frozen=True)
class ApiKey:
    """A key as lists show it. Times are in ISO 8601, UTC.

    ``owner_project_access`` is ``active``, ``inactive``, or None from a provider that does not tell.
    """

    id: str
    name: str | None
    created_at: str
    last_used_at: str | None
    redacted_value: str
    owner: Owner
    owner_project_access: str | None

    @property
    def shown(self) -> dict[str, Any]:
        """As a module returns it."""
        return asdict(self)


def list_keys(api: Api, project_id: str) -> list[ApiKey]:
    """All keys of a project, as the provider orders them; raises :class:`OpenAiError`."""
    check_id("project_id", project_id)
    return [key for page in _pages(api, project_id) for key in page]


def id_of(value: str, keys: Iterable[ApiKey]) -> str | None:
    """Id of the one key that looks like a value; None where none does, or several do."""
    alike = [key.id for key in keys if looks_like(value, key.redacted_value)]
    return alike[0] if len(alike) == 1 else None


def _pages(api: Api, project_id: str) -> Iterator[list[ApiKey]]:
    """Page after page. ``owner_project_access=any``: without it keys whose owner lost access would be missing."""
    path = f"/organization/projects/{project_id}/api_keys"
    query: dict[str, str | int] = {"limit": PAGE, "owner_project_access": "any"}
    seen: set[str] = set()
    while True:
        answer = Member(api.admin("GET", path, query=query).data, f"GET {path}")
        page = [_key(one, api) for one in answer.members("data")]
        yield page
        if not answer.flag("has_more"):
            return
        cursor = answer.text_or_none("last_id") or (page[-1].id if page else "")
        if not cursor or cursor in seen or len(seen) >= MOST_PAGES:
            raise OpenAiError(
                f"The answer to GET {path} says that there is more (has_more), but its last_id leads nowhere new."
                " Check base_url.",
                cause="schema",
            )
        seen.add(cursor)
        query["after"] = cursor


def _key(member: Member, api: Api) -> ApiKey:
    """A key of a list. Should a provider fail to redact, ``redacted_value`` is censored here."""
    owner = member.member("owner")
    kind = owner.text("type")
    who = owner.member_or_none(kind)
    return ApiKey(
        id=member.text("id"),
        name=member.text_or_none("name"),
        created_at=member.time("created_at"),
        last_used_at=member.time_or_none("last_used_at"),
        redacted_value=api.scrub.foreign(member.text("redacted_value")),
        owner=Owner(
            type=kind,
            id=who.text_or_none("id") if who else None,
            name=who.text_or_none("name") if who else None,
        ),
        owner_project_access=member.text_or_none("owner_project_access"),
    )


@dataclass(frozen=True)
class Wanted:
    """A key that shall be there."""

    project_id: str
    service_account_id: str
    name: str

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Wanted:
        check_id("project_id", options["project_id"])
        check_id("service_account_id", options["service_account_id"])
        name: str = options["name"]
        if not name or name != " ".join(name.split()):
            raise KeyturnError(
                "name is empty, begins or ends with white space, or holds a run of it: the key could not be found by it"
                " again. Nothing was made."
            )
        return cls(options["project_id"], options["service_account_id"], name)

    @property
    def path(self) -> str:
        return f"/organization/projects/{self.project_id}/service_accounts/{self.service_account_id}/api_keys"

    def find(self, api: Api) -> list[ApiKey]:
        """Keys of that name and owner, newest first: names need not be unique."""
        found = [
            key
            for key in list_keys(api, self.project_id)
            if (key.owner.type, key.owner.id, key.name) == ("service_account", self.service_account_id, self.name)
        ]
        return sorted(found, key=lambda key: (key.created_at, key.id), reverse=True)

    def revoke(self, key_id: str) -> str:
        """How to revoke a key of this project, for messages."""
        return f"keyturn.ecs.openai_api_key with state=absent, project_id={self.project_id} and key_id={key_id}"


def present(api: Api, options: Mapping[str, Any], *, check_mode: bool) -> dict[str, Any]:
    """Make a key unless one of its name is there; the result of `openai_api_key`."""
    wanted = Wanted.of(options)
    there = wanted.find(api)
    if there:
        others = [key.id for key in there[1:]]
        return {
            "changed": False,
            "key_id": there[0].id,
            "name": wanted.name,
            "value": None,
            "created_at": there[0].created_at,
            "msg": (
                f"A key named {wanted.name!r} is there already: {there[0].id}"
                + (f" (and older ones: {', '.join(others)})" if others else "")
                + ". Its value was given when it was made and cannot be read again. Where it is lost, revoke the key"
                f" ({wanted.revoke(there[0].id)}) and run this again."
            ),
        }
    if check_mode:
        nothing_yet = {"key_id": None, "value": None, "created_at": None}
        return {"changed": True, "name": wanted.name, **nothing_yet, "msg": f"Would make a key named {wanted.name!r}."}
    return _make(api, wanted)


def _make(api: Api, wanted: Wanted) -> dict[str, Any]:
    """POST, once. Its answer is the only one that ever holds the value."""
    try:
        answer = api.admin("POST", wanted.path, body={"name": wanted.name}, once=True)
    except OpenAiError as error:
        if error.outcome_unknown:
            raise _perhaps_made(api, wanted, error) from None
        raise
    api.scrub.add(*_texts(answer.data, "value"))
    made = Member(answer.data, f"POST {wanted.path}")
    try:
        key_id, value, created_at = made.text("id"), made.text("value"), made.time("created_at")
        if not value:
            raise made.wrong("value", "a key")
    except OpenAiError as error:
        raise _made_in_vain(api, wanted, error, answer) from None
    return {
        "changed": True,
        "key_id": key_id,
        "name": wanted.name,
        "value": value,
        "created_at": created_at,
        "msg": f"Made key {key_id}, named {wanted.name!r}.",
    }


def _texts(data: Any, name: str) -> list[str]:
    """Every text under that name, at whatever depth a provider may have put it."""
    if isinstance(data, dict):
        here = [data[name]] if isinstance(data.get(name), str) and data[name] else []
        return here + [text for one in data.values() for text in _texts(one, name)]
    if isinstance(data, list):
        return [text for one in data for text in _texts(one, name)]
    return []


def _made_in_vain(api: Api, wanted: Wanted, error: OpenAiError, answer: Answer) -> KeyturnError:
    """The provider made a key, but its answer cannot be used."""
    ids = [api.scrub.foreign(text) for text in _texts(answer.data, "id")][:1]
    if not ids:
        return _perhaps_made(api, wanted, error)
    return OpenAiError(
        f"A key named {wanted.name!r} was made, {ids[0]}, but its value cannot be used. {error.msg} Revoke it:"
        f" {wanted.revoke(ids[0])}.",
        cause=error.cause,
        changed=True,
        key_id=ids[0],
        name=wanted.name,
    )


def _perhaps_made(api: Api, wanted: Wanted, error: OpenAiError) -> KeyturnError:
    """Nobody knows whether a key was made; look once."""
    try:
        there = wanted.find(api)
    except KeyturnError:
        there = []
    if there:
        return OpenAiError(
            f"A key named {wanted.name!r} was made, {there[0].id}, but the answer with its value is lost and cannot be"
            f" asked for again. {error.msg} Revoke it ({wanted.revoke(there[0].id)}), then run this again.",
            cause=error.cause,
            changed=True,
            key_id=there[0].id,
            name=wanted.name,
        )
    return OpenAiError(
        f"A key named {wanted.name!r} may have been made: the request was sent, its answer is lost. {error.msg} Look"
        f" for that name with keyturn.ecs.openai_api_key_info, project_id={wanted.project_id}. Running this again is"
        " safe: it makes a key only where none of that name is there; where one is, it names its id, to be revoked"
        " because its value is lost.",
        cause=error.cause,
        changed=False,
        key_id=None,
        name=wanted.name,
    )


def absent(api: Api, options: Mapping[str, Any], *, check_mode: bool) -> dict[str, Any]:
    """Revoke a key unless it is gone; the result of `openai_api_key`."""
    project_id, key_id = options["project_id"], options["key_id"]
    check_id("project_id", project_id)
    check_id("key_id", key_id)
    path = f"/organization/projects/{project_id}/api_keys/{key_id}"
    answer = api.admin("GET", path, expected=(404,))
    if answer.status == 404:
        _check_project(api, project_id)
        return _gone(key_id)
    key = _key(Member(answer.data, f"GET {path}"), api)
    changed = True
    if not check_mode:
        answer = api.admin("DELETE", path, expected=(400, 403, 404))
        changed = _deleted(answer, key, path)
    return {
        "changed": changed,
        "key_id": key_id,
        "name": key.name,
        "value": None,
        "created_at": key.created_at,
        "msg": f"{'Would revoke' if check_mode else 'Revoked'} key {key_id}, named {key.name!r}.",
    }


def _deleted(answer: Answer, key: ApiKey, path: str) -> bool:
    """Whether this run did it; raises where nobody did."""
    if answer.status == 404:
        return answer.perhaps_done  # an attempt whose answer was lost, or somebody else
    if answer.status >= 400:
        said = f" It says: {answer.message}" if answer.message else ""
        raise OpenAiError(
            f"Key {key.id} was not revoked ({answer.named}).{said} {_instead(key)}",
            cause="not_revocable",
            key_id=key.id,
            name=key.name,
        )
    if not Member(answer.data, f"DELETE {path}").flag("deleted"):
        raise OpenAiError(
            f"Key {key.id} was not revoked: the answer to DELETE {path} says deleted=false. Run again.", cause="refused"
        )
    return True


def _instead(key: ApiKey) -> str:
    """What to do about a key that the API does not delete."""
    by_hand = "Revoke it by hand at https://platform.openai.com/api-keys (choose the project)"
    if key.owner.type != "service_account":
        return f"{by_hand}, or give admin_key the permission to manage the project's API keys."
    account = f"{key.owner.name!r} ({key.owner.id})" if key.owner.id else "that owns it"
    return (
        f"It belongs to service account {account}, and OpenAI documents that such keys may not be deleted through the"
        f" API. {by_hand}, or delete the service account where nothing uses another of its keys."
    )


def _check_project(api: Api, project_id: str) -> None:
    """An id is unknown in a project that is unknown, too: that must not look like a revoked key."""
    next(_pages(api, project_id))


def _gone(key_id: str) -> dict[str, Any]:
    nothing = {"name": None, "value": None, "created_at": None}
    return {"changed": False, "key_id": key_id, **nothing, "msg": f"Key {key_id} is gone already."}
