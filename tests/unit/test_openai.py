# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keys at OpenAI, on loopback and without waits: messages, retries, lost answers, and that no key is ever told."""

from __future__ import annotations

import dataclasses
import datetime
import email.utils
import ipaddress
import json
import ssl
import time
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.keyturn.ecs.plugins.module_utils._errors import KeyturnError
from ansible_collections.keyturn.ecs.plugins.module_utils._http.exchange import NoReply, Reply
from ansible_collections.keyturn.ecs.plugins.module_utils._http.patience import Clock, retry_after
from ansible_collections.keyturn.ecs.plugins.module_utils._openai.api import Api, OpenAiError
from ansible_collections.keyturn.ecs.plugins.module_utils._openai.connection import Connection
from ansible_collections.keyturn.ecs.plugins.module_utils._openai.keys import absent, list_keys, present
from ansible_collections.keyturn.ecs.plugins.module_utils._openai.transport import Transport
from ansible_collections.keyturn.ecs.plugins.module_utils._openai.verdict import check
from ansible_collections.keyturn.ecs.plugins.module_utils._scrub import CENSORED, Scrubber
from openai import ADMIN_KEY, Provider

NOW = 1_800_000_000.0
VALUE = "sk-proj-canaryCANARY0123456789abcdefghij"
OPTIONS = {"timeout": 30, "validate_certs": True, "use_proxy": True}
MAKE = {"project_id": "proj_abc", "service_account_id": "svc_acct_abc", "name": "elevareai-2026-11"}

Json = dict[str, Any]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def _server() -> Iterator[Provider]:
    with Provider.start(now=lambda: NOW) as provider:
        yield provider


@pytest.fixture
def provider(_server: Provider) -> Provider:
    _server.reset()
    _server.add_project()
    return _server


@dataclasses.dataclass
class Caller:
    """The functions behind the modules; pauses are only written down."""

    url: str
    admin_key: str = ADMIN_KEY
    slept: list[float] = dataclasses.field(default_factory=list)
    scrub: Scrubber = dataclasses.field(default_factory=Scrubber)

    def api(self, **changes: Any) -> Api:
        clock = Clock(now=lambda: NOW, sleep=self.slept.append, jitter=lambda: 1.0)
        given = Connection(**{"base_url": self.url, "admin_key": self.admin_key, **changes})
        self.scrub.add(given.admin_key)
        return Api(Transport(given), self.scrub, clock, given.admin_key)

    def check(self, value: str = VALUE, **changes: Any) -> Json:
        return check(self.api(**changes), value)

    def present(self, *, check_mode: bool = False, timeout: float = 5, **options: Any) -> Json:
        wanted = {**MAKE, **options}
        return present(self.api(timeout=timeout), wanted, check_mode=check_mode)

    def absent(self, key_id: str, project_id: str = "proj_abc", *, check_mode: bool = False) -> Json:
        options = {"project_id": project_id, "key_id": key_id}
        return absent(self.api(), options, check_mode=check_mode)


@pytest.fixture
def caller(provider: Provider) -> Caller:
    return Caller(provider.base_url)


def failure(call: Callable[[], object]) -> OpenAiError:
    """The error that a call ends in; no key is in it, nor behind it."""
    with pytest.raises(OpenAiError) as caught:
        call()
    assert caught.value.__cause__ is None
    shown = f"{caught.value} {caught.value.msg} {json.dumps(caught.value.result)}"
    assert [key for key in (VALUE, ADMIN_KEY) if key in shown] == []
    return caught.value


# Is the key accepted


@pytest.mark.parametrize(
    ("status", "valid", "verdict", "reason"),
    [
        ("accepted", True, "accepted", "URL accepts the key."),
        (
            "revoked",
            False,
            "refused",
            (
                "URL refuses the key (HTTP 401, invalid_api_key): it is mistyped, cut off, revoked or expired. Copy the"
                " whole key again, or make a new one."
            ),
        ),
        (
            "rate_limited",
            True,
            "rate_limited",
            (
                "URL knows the key, and limits the rate of its requests at the moment (HTTP 429, rate_limit_exceeded,"
                " 4 attempts)."
            ),
        ),
        (
            "no_quota",
            True,
            "no_quota",
            (
                "URL knows the key, but its organization has no quota left (HTTP 429, insufficient_quota): the"
                " application's requests will fail until it is paid for, see"
                " https://platform.openai.com/settings/organization/billing."
            ),
        ),
        (
            "restricted",
            True,
            "restricted",
            (
                "URL knows the key, which may not list models (HTTP 403, invalid_request_error): it is a restricted"
                " key. Whether it may do what the application asks for is not known."
            ),
        ),
    ],
)
def test_what_the_provider_says_to_a_key(
    provider: Provider, caller: Caller, status: str, valid: bool, verdict: str, reason: str
) -> None:
    provider.key(VALUE, status)
    result = caller.check()
    result["reason"] = result["reason"].replace(provider.base_url, "URL")
    assert result == {"valid": valid, "verdict": verdict, "reason": reason}
    assert {request.key for request in provider.requests} == {VALUE}


@pytest.mark.parametrize(
    ("status", "cause", "named"),
    [
        ("address", "address_refused", "refuses requests from this machine's address (HTTP 401, ip_not_authorized)"),
        ("region", "region_refused", "does not serve the country"),
        ("wrong_organization", "wrong_organization", "Correct the option organization"),
    ],
)
def test_refusals_that_say_nothing_about_the_key(
    provider: Provider, caller: Caller, status: str, cause: str, named: str
) -> None:
    provider.key(VALUE, status)
    error = failure(caller.check)
    assert error.cause == cause
    assert named in error.msg
    assert error.msg.endswith("Whether the key is accepted is not known.")


FAULTS: list[tuple[Json, str, int, str]] = [
    (
        {"kind": "status", "status": 500, "message": "Whose key is {key}?"},
        "server_error",
        4,
        (
            "URL failed with HTTP 500 (4 attempts): the trouble is the provider's. Run again later;"
            " https://status.openai.com tells about disturbances. Whether the key is accepted is not known."
        ),
    ),
    (
        {"kind": "text", "status": 502, "body": "<html>Bad Gateway</html>", "content_type": "text/html"},
        "server_error",
        4,
        (
            "URL failed with HTTP 502 (4 attempts): the trouble is the provider's. Run again later;"
            " https://status.openai.com tells about disturbances. Whether the key is accepted is not known."
        ),
    ),
    (
        {"kind": "hang"},
        "timeout",
        2,
        (
            "No answer from URL within 0.2 seconds (2 attempts). Check the network and the proxy, or raise timeout."
            " Whether the key is accepted is not known."
        ),
    ),
    (
        {"kind": "text", "status": 200, "body": "<html>{key}, please log in</html>", "content_type": "text/html"},
        "not_json",
        1,
        (
            "The answer from URL (HTTP 200, text/html) is no JSON, so it does not come from the API: a proxy or a login"
            " page answered, or base_url is wrong. Whether the key is accepted is not known."
        ),
    ),
    (
        {"kind": "text", "status": 401, "body": "Log in", "content_type": "text/plain"},
        "not_json",
        1,
        (
            "The answer from URL (HTTP 401, text/plain) is no JSON, so it does not come from the API: a proxy or a"
            " login page answered, or base_url is wrong. Whether the key is accepted is not known."
        ),
    ),
    (
        {"kind": "drop"},
        "lost_answer",
        3,
        (
            "The connection to URL broke before the whole answer was there (3 attempts): it was closed too early."
            " Whether the key is accepted is not known."
        ),
    ),
    (
        {"kind": "status", "status": 429, "code": "slow_down"},
        "rate_limited",
        4,
        (
            "URL takes no more requests at the moment (HTTP 429, slow_down, 4 attempts), without saying that it is"
            " for the key. Run again in a minute. Whether the key is accepted is not known."
        ),
    ),
    (
        {"kind": "text", "status": 302, "headers": {"Location": "/v1/elsewhere"}},
        "redirect",
        1,
        (
            "URL answered with a redirect (HTTP 302), which no API does. Correct base_url. Whether the key is"
            " accepted is not known."
        ),
    ),
    (
        {"kind": "status", "status": 403, "message": "No, {key}"},
        "forbidden",
        1,
        (
            "URL forbids the request (HTTP 403, invalid_request_error), without saying that it is for the key. Look"
            " at the project's and the organization's limits, and at what stands between here and there. Whether the"
            " key is accepted is not known."
        ),
    ),
    (
        {"kind": "status", "status": 404, "code": "sk-proj-abcdefghijklmnopqrstuvwxyz"},
        "unexpected",
        1,
        "URL answered GET /models with HTTP 404, ********. Check base_url. Whether the key is accepted is not known.",
    ),
    (
        {"kind": "text", "status": 401, "body": {"detail": "{key}"}},
        "unexpected",
        1,
        "URL answered GET /models with HTTP 401. Check base_url. Whether the key is accepted is not known.",
    ),
    (
        {"kind": "text", "status": 200, "body": {"data": "{key}"}},
        "schema",
        1,
        (
            "The answer to GET /models does not follow OpenAI's API description: data is not a list. Check base_url;"
            " if it is right, the provider's API differs from what this collection knows."
        ),
    ),
]


@pytest.mark.parametrize(("fault", "cause", "attempts", "message"), FAULTS)
def test_answers_that_say_nothing_about_the_key(
    provider: Provider, caller: Caller, fault: Json, cause: str, attempts: int, message: str
) -> None:
    provider.fault(match="GET /models", times=None, **fault)
    error = failure(lambda: caller.check(timeout=0.2 if cause == "timeout" else 10.0))
    assert (error.cause, error.result["cause"], len(provider.requests)) == (cause, cause, attempts)
    assert error.msg.replace(provider.base_url, "URL") == message


def test_nobody_there(caller: Caller) -> None:
    caller.url = "http://127.0.0.1:9/v1"
    assert failure(caller.check).msg == (
        "http://127.0.0.1:9/v1 cannot be reached (3 attempts): connection refused. Check base_url, the network, and the"
        " proxy variables (use_proxy). Whether the key is accepted is not known."
    )


@pytest.mark.parametrize("value", ["", " sk-proj-abc", "sk-proj-abc\n", "sk-proj abc", "sk-próject", "sk-\x00"])
def test_a_value_that_is_no_key_is_never_sent(provider: Provider, caller: Caller, value: str) -> None:
    with pytest.raises(KeyturnError, match=r"^value .*othing was sent|^value .*nothing was sent") as caught:
        caller.check(value)
    assert value.strip() == "" or value.strip() not in caught.value.msg
    assert provider.requests == []


# Trying again


def test_a_pause_is_as_long_as_the_server_asks(provider: Provider, caller: Caller) -> None:
    provider.key(VALUE)
    date = email.utils.formatdate(NOW + 7, usegmt=True)
    for headers in ({"Retry-After": "3"}, {"Retry-After": date}, {}):
        provider.fault("status", status=429, code="rate_limit_exceeded", headers=headers)
    assert caller.check()["valid"] is True
    assert caller.slept == [3.0, 7.0, 4.0]


def test_a_server_that_asks_for_an_hour_is_not_waited_for(provider: Provider, caller: Caller) -> None:
    provider.fault("status", status=503, headers={"Retry-After": "3600"})
    assert failure(caller.check).cause == "server_error"
    assert caller.slept == []


def test_a_quota_that_is_used_up_is_not_waited_for(provider: Provider, caller: Caller) -> None:
    provider.key(VALUE, "no_quota")
    caller.check()
    assert (len(provider.requests), caller.slept) == (1, [])


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("0", 0.0),
        (" 1.5 ", 1.5),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        (email.utils.formatdate(NOW + 90), 90.0),
        ("Fri, 99 Foo 9999 99:99:99 GMT", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


# Making a key


def test_a_key_is_made_once_and_its_value_told_once(provider: Provider, caller: Caller) -> None:
    predicted = caller.present(check_mode=True)
    assert (predicted["changed"], predicted["key_id"], predicted["value"], provider.stored()) == (True, None, None, [])
    made = caller.present()
    (stored,) = provider.stored()
    assert (made["changed"], made["key_id"], made["value"]) == (True, stored.id, stored.value)
    assert (made["created_at"], made["name"]) == ("2027-01-15T08:00:00+00:00", MAKE["name"])
    assert caller.scrub.text(stored.value) == CENSORED
    assert provider.requests[-1].body == {"name": MAKE["name"]}
    for check_mode in (False, True):
        again = caller.present(check_mode=check_mode)
        assert (again["changed"], again["key_id"], again["value"]) == (False, stored.id, None)
        assert f"state=absent, project_id=proj_abc and key_id={stored.id}" in again["msg"]
        assert set(again) == set(made) == set(predicted)
    assert provider.calls().count("POST /organization/projects/proj_abc/service_accounts/svc_acct_abc/api_keys") == 1


def test_keys_of_that_name_that_are_somebody_elses_do_not_count(provider: Provider, caller: Caller) -> None:
    provider.add_project("proj_abc", "svc_acct_abc", "svc_acct_other")
    provider.add_project("proj_other")
    provider.add_key("proj_abc", MAKE["name"])
    provider.add_key("proj_abc", MAKE["name"], service_account_id="svc_acct_other")
    provider.add_key("proj_other", MAKE["name"], service_account_id="svc_acct_abc")
    assert caller.present()["changed"] is True


def test_of_two_keys_of_one_name_the_newest_is_told_and_the_other_named(provider: Provider, caller: Caller) -> None:
    kept = {"service_account_id": "svc_acct_abc", "access": "inactive"}
    newest = provider.add_key("proj_abc", MAKE["name"], created_at=20, **kept)
    older = provider.add_key("proj_abc", MAKE["name"], created_at=10, **kept)
    result = caller.present()
    assert (result["changed"], result["key_id"]) == (False, newest.id)
    assert f"(and older ones: {older.id})" in result["msg"]


POST = "POST /organization/projects/proj_abc/service_accounts/svc_acct_abc/api_keys"


def test_a_lost_answer_names_the_key_that_was_made(provider: Provider, caller: Caller) -> None:
    provider.fault("lost_answer", "POST", times=None)
    error = failure(caller.present)
    (stored,) = provider.stored()
    assert (error.result["changed"], error.result["key_id"], error.cause) == (True, stored.id, "lost_answer")
    assert error.msg.startswith(f"A key named 'elevareai-2026-11' was made, {stored.id}, but the answer with its value")
    assert stored.value not in error.msg
    assert provider.calls().count(POST) == 1
    again = caller.present()
    assert (again["changed"], again["key_id"], again["value"]) == (False, stored.id, None)
    assert caller.absent(stored.id)["changed"] is True
    provider.reset()
    provider.add_project()
    assert caller.present()["changed"] is True


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "drop"},
        {"kind": "hang"},
        {"kind": "status", "status": 500},
        {"kind": "text", "status": 200, "body": "<html/>"},
    ],
)
def test_making_a_key_is_never_repeated_when_nobody_knows(provider: Provider, caller: Caller, fault: Json) -> None:
    provider.fault(match="POST", times=None, **fault)
    error = failure(lambda: caller.present(timeout=0.3))
    assert provider.calls().count(POST) == 1
    assert (error.result["changed"], error.result["key_id"]) == (False, None)
    assert error.msg.startswith("A key named 'elevareai-2026-11' may have been made: the request was sent, its answer")
    assert "Look for that name with keyturn.ecs.openai_api_key_info, project_id=proj_abc." in error.msg


def test_nor_when_looking_for_it_fails(provider: Provider, caller: Caller) -> None:
    provider.fault("lost_answer", "POST")
    provider.fault("status", "GET", after=1, times=None, status=401)
    assert "may have been made" in failure(caller.present).msg


def test_making_a_key_is_repeated_when_it_was_refused_for_its_rate(provider: Provider, caller: Caller) -> None:
    provider.fault("status", "POST", times=2, status=429, code="rate_limit_exceeded", headers={"Retry-After": "2"})
    assert caller.present()["changed"] is True
    assert (provider.calls().count(POST), caller.slept) == (3, [2.0, 2.0])


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"id": "key_9", "value": VALUE}, "created_at is not a time in seconds"),
        ({"id": "key_9", "created_at": 1}, "value is not text"),
        ({"id": "key_9", "created_at": 1, "value": ""}, "value is not a key"),
        ({"api_key": {"id": "key_9", "value": VALUE}}, "id is not text"),
    ],
)
def test_a_key_that_was_made_in_vain_is_named_and_its_value_kept_back(
    provider: Provider, caller: Caller, body: Json, place: str
) -> None:
    provider.fault("text", "POST", status=200, body=body)
    error = failure(caller.present)
    assert (error.result["changed"], error.result["key_id"], error.cause) == (True, "key_9", "schema")
    assert place in error.msg
    assert "Revoke it: keyturn.ecs.openai_api_key with state=absent, project_id=proj_abc and key_id=key_9." in error.msg
    assert (caller.scrub.text(VALUE) == CENSORED) == (VALUE in json.dumps(body))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"project_id": "../models"}, "project_id is no id"),
        ({"service_account_id": ""}, "service_account_id is no id"),
        ({"project_id": VALUE}, "project_id looks like a key itself"),
        ({"name": " padded"}, "name is empty, begins or ends with white space"),
        ({"name": ""}, "name is empty"),
    ],
)
def test_options_that_cannot_be_are_refused_before_any_request(
    provider: Provider, caller: Caller, changes: Json, named: str
) -> None:
    with pytest.raises(KeyturnError, match=named) as caught:
        caller.present(**changes)
    assert VALUE not in caught.value.msg
    assert provider.requests == []


@pytest.mark.parametrize(
    ("setting", "cause", "named"),
    [
        ({"admin_key": "sk-proj-notAnAdminKey000000000"}, "admin_key_refused", "refuses admin_key (HTTP 401, invalid_"),
        ({"project_id": "proj_typo"}, "not_found", "Project with ID 'proj_typo' not found."),
        ({"service_account_id": "svc_acct_typo"}, "not_found", "No service account svc_acct_typo."),
    ],
)
def test_refusals_name_the_option(provider: Provider, caller: Caller, setting: Json, cause: str, named: str) -> None:
    caller.admin_key = setting.pop("admin_key", ADMIN_KEY)
    error = failure(lambda: caller.present(**setting))
    assert error.cause == cause
    assert named in error.msg
    assert "sk-pro" not in error.msg


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 429, 500])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_provider_that_quotes_keys_is_not_quoted(
    provider: Provider, caller: Caller, method: str, status: int
) -> None:
    echo = "Your key is {key}; others are " + VALUE + " and sk-abcdefghijklmnopqrstuvwxyz0 and sk-proj-****wxyz."
    provider.fault("status", method, times=None, status=status, message=echo)
    error = failure(caller.present)
    assert "sk-abc" not in error.msg
    assert "wxyz" not in error.msg


# Revoking a key


def test_a_key_is_revoked_once(provider: Provider, caller: Caller) -> None:
    key = provider.add_key(name="old", service_account_id="svc_acct_abc")
    predicted = caller.absent(key.id, check_mode=True)
    assert provider.stored() == [key]
    done = caller.absent(key.id)
    assert provider.stored() == []
    gone = caller.absent(key.id)
    assert [one["changed"] for one in (predicted, done, gone)] == [True, True, False]
    assert [one["name"] for one in (predicted, done, gone)] == ["old", "old", None]
    assert set(predicted) == set(done) == set(gone)
    assert gone["msg"] == f"Key {key.id} is gone already."


def test_a_mistyped_project_does_not_look_like_a_revoked_key(provider: Provider, caller: Caller) -> None:
    key = provider.add_key()
    error = failure(lambda: caller.absent(key.id, "proj_typo"))
    assert error.cause == "not_found"
    assert provider.stored() == [key]


def test_a_revocation_whose_answer_was_lost_is_known_as_ours(provider: Provider, caller: Caller) -> None:
    key = provider.add_key()
    provider.fault("lost_answer", "DELETE")
    assert caller.absent(key.id)["changed"] is True
    assert provider.calls().count(f"DELETE /organization/projects/proj_abc/api_keys/{key.id}") == 2


def test_a_key_that_the_api_does_not_delete() -> None:
    with Provider.start(service_account_keys="kept") as provider:
        provider.add_project()
        key = provider.add_key(service_account_id="svc_acct_abc")
        error = failure(lambda: Caller(provider.base_url).absent(key.id))
    assert error.cause == "not_revocable"
    assert error.msg == (
        f"Key {key.id} was not revoked (HTTP 400, invalid_request_error). It says: The API key belongs to a service"
        " account and cannot be deleted. It belongs to service account 'elevareai' (svc_acct_abc), and OpenAI documents"
        " that such keys may not be deleted through the API. Revoke it by hand at"
        " https://platform.openai.com/api-keys (choose the project), or delete the service account where nothing uses"
        " another of its keys."
    )


def test_a_key_id_that_is_a_key_is_not_told(caller: Caller) -> None:
    with pytest.raises(KeyturnError, match="key_id looks like a key itself") as caught:
        caller.absent(VALUE)
    assert VALUE not in caught.value.msg


# Listing


def test_all_pages_are_listed(provider: Provider, caller: Caller) -> None:
    made = [provider.add_key(name=f"key {number}", created_at=number, last_used_at=NOW) for number in range(230)]
    provider.add_key(name="hidden", created_at=5000, service_account_id="svc_acct_abc", access="inactive")
    keys = list_keys(caller.api(), "proj_abc")
    assert [key.name for key in keys] == ["hidden", *(key.name for key in reversed(made))]
    assert [request.query.get("after") for request in provider.requests] == [None, keys[99].id, keys[199].id]
    assert keys[0].shown == {
        "id": "key_000231",
        "name": "hidden",
        "created_at": "1970-01-01T01:23:20+00:00",
        "last_used_at": None,
        "redacted_value": keys[0].redacted_value,
        "owner": {"type": "service_account", "id": "svc_acct_abc", "name": "elevareai"},
        "owner_project_access": "inactive",
    }


def listed(*keys: Json, **members: Any) -> Json:
    return {"object": "list", "data": list(keys), "has_more": False, **members}


def test_a_provider_that_does_not_redact_is_redacted(provider: Provider, caller: Caller) -> None:
    key = {**provider.add_key().shown(), "redacted_value": VALUE}
    del key["owner_project_access"]
    provider.fault("text", "GET", status=200, body=listed(key))
    (shown,) = list_keys(caller.api(), "proj_abc")
    assert (shown.redacted_value, shown.owner_project_access) == ("********", None)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ([], "the whole is not an object"),
        ({"data": [], "has_more": "no"}, "has_more is not true or false"),
        (listed({}), "data[0].owner is not an object"),
        (listed({"owner": {"type": "user", "user": 1}}), "data[0].owner.user is not an object"),
        (listed({"id": 7, "owner": {"type": "user"}}), "data[0].id is not text"),
        (listed({"id": "k", "created_at": True, "owner": {"type": "user"}}), "data[0].created_at is not a time"),
        (listed({"id": "k", "created_at": 10**30, "owner": {"type": "user"}}), "data[0].created_at is not a time"),
        (listed(has_more=True), "says that there is more (has_more), but its last_id leads nowhere new"),
        (listed(has_more=True, last_id="key_1"), "says that there is more (has_more), but its last_id leads nowhere"),
    ],
)
def test_what_does_not_follow_the_description_is_told_by_its_place(
    provider: Provider, caller: Caller, body: Any, named: str
) -> None:
    provider.fault("text", "GET", times=None, status=200, body=body)
    error = failure(lambda: list_keys(caller.api(), "proj_abc"))
    assert error.cause == "schema"
    assert named in error.msg


MEMBERS = [
    "error",
    "code",
    "type",
    "message",
    "data",
    "has_more",
    "last_id",
    "id",
    "value",
    "name",
    "owner",
    "user",
    "created_at",
    "deleted",
]
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.just(VALUE) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(MEMBERS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


class Dreamt:
    """A transport that answers with whatever it is given."""

    base_url, timeout = "http://127.0.0.1/v1", 30

    def __init__(self, status: int, data: Any) -> None:
        self.reply = Reply(status, Message(), json.dumps(data).encode())

    def send(self, *_arguments: Any, **_more: Any) -> Reply:
        return self.reply


def ended(call: Callable[[], object]) -> KeyturnError | None:
    try:
        call()
    except KeyturnError as error:
        return error
    return None


class InTurn(Dreamt):
    """A transport that does one thing after the other."""

    def __init__(self, *turns: Reply | NoReply) -> None:
        self.turns, self.sent = list(turns), 0

    def send(self, *_arguments: Any, **_more: Any) -> Reply:
        self.sent += 1
        turn = self.turns.pop(0)
        if isinstance(turn, NoReply):
            raise turn
        return turn


@pytest.mark.parametrize(
    ("turn", "sent"),
    [
        (NoReply("no_connection", "connection refused", never_sent=True), 2),
        (NoReply("no_connection", "broken pipe", never_sent=False), 1),
        (NoReply("certificate", "expired", never_sent=True), 1),
        (NoReply("timeout", "", never_sent=False), 1),
        (Reply(429, Message(), b"{}"), 2),
        (Reply(503, Message(), b"{}"), 1),
        (Reply(201, Message(), b"<html/>"), 1),
    ],
)
def test_what_is_sent_once_is_repeated_only_when_nobody_saw_it(turn: Reply | NoReply, sent: int) -> None:
    transport = InTurn(turn, Reply(200, Message(), b"{}"))
    clock = Clock(now=lambda: NOW, sleep=lambda _seconds: None, jitter=lambda: 1.0)
    api = Api(transport, Scrubber(), clock)  # type: ignore[arg-type]
    error = ended(lambda: api.call("POST", "/x", key="k", once=True))
    assert transport.sent == sent
    assert (error is None) == (sent == 2)
    if isinstance(error, OpenAiError):
        assert error.outcome_unknown == (error.cause != "certificate")


@given(status=st.sampled_from([200, 201, 204, 301, 400, 401, 403, 404, 409, 429, 500, 503]), data=ANY_JSON)
def test_whatever_a_provider_answers_ends_in_a_result_or_an_error_of_ours(status: int, data: Any) -> None:
    clock = Clock(now=lambda: NOW, sleep=lambda _seconds: None, jitter=lambda: 1.0)
    api = Api(Dreamt(status, data), Scrubber([ADMIN_KEY, VALUE]), clock, ADMIN_KEY)  # type: ignore[arg-type]
    calls: list[Callable[[], object]] = [
        lambda: check(api, VALUE),
        lambda: present(api, MAKE, check_mode=False),
        lambda: absent(api, {"project_id": "proj_abc", "key_id": "key_abc"}, check_mode=False),
    ]
    for call in calls:
        error = ended(call)
        assert error is None or VALUE not in f"{error.msg} {error.result}"


# The connection


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"base_url": "ftp://x/v1"}, "base_url must be a whole URL"),
        ({"base_url": "api.openai.com"}, "base_url must be a whole URL"),
        ({"base_url": "https://x:99999/v1"}, "base_url is no URL"),
        ({"base_url": f"https://me:{VALUE}@x/v1"}, "base_url must hold no user"),
        ({"base_url": f"https://x/v1?key={VALUE}"}, "base_url must hold no user"),
        ({"base_url": "http://api.openai.com/v1"}, "unencrypted. Use https://"),
        ({"ca_path": "/nowhere"}, "ca_path: /nowhere is not readable: No such file"),
        ({"ca_path": __file__}, "holds no certificates in PEM"),
        ({"timeout": 0}, "timeout is 0"),
        ({"admin_key": f"{VALUE}\n"}, "admin_key begins or ends with white space"),
        ({"organization": "a b"}, "organization is no id"),
    ],
)
def test_options_are_checked_before_any_request(options: Json, named: str) -> None:
    with pytest.raises(KeyturnError, match=named) as caught:
        Connection.of({**OPTIONS, **options})
    assert VALUE not in caught.value.msg


def test_empty_strings_are_not_given() -> None:
    empty = {"base_url": "", "admin_key": "", "organization": "", "ca_path": ""}
    assert Connection.of({**OPTIONS, **empty}) == Connection()
    with pytest.raises(KeyturnError, match=r"admin_key is missing.*OPENAI_ADMIN_KEY"):
        Api.of({**OPTIONS, **empty}, Scrubber(), admin=True)


def test_a_key_is_not_shown_by_the_connection_that_holds_it() -> None:
    assert ADMIN_KEY not in repr(Connection(admin_key=ADMIN_KEY))


def test_no_key_follows_a_redirect(provider: Provider, caller: Caller) -> None:
    with Provider.start() as other:
        provider.fault("text", status=307, headers={"Location": f"{other.base_url}/models"})
        assert failure(caller.check).cause == "redirect"
        assert other.requests == []


def test_netrc_does_not_replace_the_key(
    provider: Provider, caller: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    provider.key(VALUE)
    assert caller.check(organization="org-abc")["valid"] is True
    assert provider.requests[0].headers["Openai-Organization"] == "org-abc"


def test_proxies_of_the_environment(provider: Provider, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    provider.key(VALUE)
    monkeypatch.setenv("http_proxy", "http://me:hunter2@127.0.0.1:9")
    error = failure(caller.check)
    assert error.cause == "no_connection"
    assert "hunter2" not in error.msg
    assert caller.check(use_proxy=False)["valid"] is True
    monkeypatch.setenv("http_proxy", provider.base_url.removesuffix("/v1"))
    assert caller.check(base_url="http://openai.invalid/v1")["valid"] is True
    monkeypatch.setenv("http_proxy", "nonsense://:::")
    assert failure(caller.check).cause == "no_connection"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody knows, with its key, in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "keyturn test")])
    today = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(key.private_bytes(*form) + made.public_bytes(serialization.Encoding.PEM))
    return file


def test_certificates(certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Provider.start(context=context) as provider:
        provider.key(VALUE)
        caller = Caller(provider.base_url)
        error = failure(caller.check)
        assert error.cause == "certificate"
        assert "Name the CA of its certificate, or of your proxy's, in ca_path." in error.msg
        assert provider.requests == []
        given = Connection.of({**OPTIONS, "ca_path": str(certificate)})
        assert caller.check(ca_path=given.ca_path)["valid"] is True
        assert caller.check(validate_certs=False)["valid"] is True


def test_time_is_the_only_default_that_waits() -> None:
    assert Clock().sleep is time.sleep
    assert 0.5 <= Clock().jitter() <= 1.5
