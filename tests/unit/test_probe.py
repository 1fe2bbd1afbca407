# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A key, asked about: what each answer means, what is never shown, and what is refused before anything is sent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from email.message import Message
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.keyturn.ecs.plugins.module_utils._errors import KeyturnError
from ansible_collections.keyturn.ecs.plugins.module_utils._http.exchange import NoReply, Reply
from ansible_collections.keyturn.ecs.plugins.module_utils._http.patience import ATTEMPTS, Clock
from ansible_collections.keyturn.ecs.plugins.module_utils._probe.ask import MESSAGES, SPEC, VERDICTS, ask, judge
from ansible_collections.keyturn.ecs.plugins.module_utils._probe.question import Question
from ansible_collections.keyturn.ecs.plugins.module_utils._scrub import Scrubber
from ansible_collections.keyturn.ecs.plugins.modules import api_key_probe
from fakes.providers import Providers, serving

VALUE = "sk-ant-canaryCANARY0123456789abcdefghij"
Json = dict[str, Any]


@pytest.fixture(scope="module")
def _server() -> Iterator[Providers]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            patch.delenv(name, raising=False)
        with serving() as providers:
            yield providers


@pytest.fixture
def providers(_server: Providers) -> Providers:
    _server.keys = {VALUE: "full"}
    _server.faults.clear()
    _server.requests.clear()
    return _server


def asked(providers: Providers, waited: list[float] | None = None, **options: Any) -> Json:
    """The result; of a failure with ``msg``."""
    wanted = {"url": f"{providers.url}/own?page=1", "headers": {"X-Token": "{value}"}, "value": VALUE}
    wanted |= {"accepted": [204], "refused": [404], "restricted": [403], **options}
    checked = ArgumentSpecValidator(SPEC).validate(wanted)
    assert checked.error_messages == []
    sleep = ([] if waited is None else waited).append
    clock = Clock(now=lambda: 0.0, sleep=sleep, jitter=lambda: 1.0)
    try:
        result = ask(Scrubber(), checked.validated_parameters, clock)
    except KeyturnError as error:
        result = {**error.result, "msg": error.msg}
    assert VALUE not in str(result)
    return result


def test_accepted_refused_and_restricted(providers: Providers) -> None:
    url = f"{providers.url}/own"
    assert asked(providers) == {
        "changed": False,
        "valid": True,
        "verdict": "accepted",
        "reason": f"{url} accepts the key (HTTP 204).",
        "status": 204,
    }
    providers.keys.clear()
    refused = asked(providers, method="HEAD")
    assert (refused["valid"], refused["verdict"], refused["status"]) == (False, "refused", 404)
    assert refused["reason"].startswith(
        f"{url} refuses the key (HTTP 404): it is mistyped, cut off, revoked or expired"
    )
    providers.faults.append({"status": 403})
    restricted = asked(providers)
    assert (restricted["valid"], restricted["verdict"]) == (True, "restricted")
    assert [(method, path) for method, path, _headers in providers.requests] == [
        ("GET", "/own?page=1"),
        ("HEAD", "/own?page=1"),
        ("GET", "/own?page=1"),
    ]
    assert {headers["X-Token"] for _method, _path, headers in providers.requests} == {VALUE}


@pytest.mark.parametrize(
    ("fault", "cause", "says", "attempts"),
    [
        ({"status": 429, "headers": {"Retry-After": "2"}}, "rate_limited", "takes no more requests at the moment", 4),
        ({"status": 529}, "server_error", "failed with HTTP 529 (4 attempts): the trouble is the provider's", 4),
        ({"status": 302, "headers": {"Location": "http://127.0.0.1:9/"}}, "redirect", "which is not followed", 1),
        ({"status": 204, "type": "text/html; charset=utf-8"}, "web_page", "a proxy or a login page does", 1),
        ({"status": 404, "type": "Text/HTML"}, "web_page", "answered with a web page (HTTP 404)", 1),
        ({"status": 200}, "unexpected", "answered with HTTP 200, which is none of the statuses", 1),
        ({"status": 407}, "unexpected", "answered with HTTP 407", 1),
    ],
    ids=lambda part: str(part.get("status")) if isinstance(part, dict) else "",
)
def test_what_says_nothing_about_the_key(
    providers: Providers, fault: Json, cause: str, says: str, attempts: int
) -> None:
    providers.faults += [fault] * attempts
    waited: list[float] = []
    result = asked(providers, waited)
    assert (result["cause"], result["status"], "valid" in result) == (cause, fault["status"], False)
    assert says in result["msg"]
    assert result["msg"].endswith("Whether the key is accepted is not known.")
    assert (len(providers.requests), len(waited)) == (attempts, attempts - 1)
    assert all(seconds == 2 for seconds in waited) or "headers" not in fault


def test_what_passes_is_waited_for(providers: Providers) -> None:
    providers.faults += [{"status": 503}, {"status": 429}]
    assert asked(providers)["verdict"] == "accepted"
    # As long as this is not waited.
    providers.faults.append({"status": 429, "headers": {"Retry-After": "600"}})
    waited: list[float] = []
    assert (asked(providers, waited)["cause"], waited) == ("rate_limited", [])


def test_nobody_answers(providers: Providers) -> None:
    result = asked(providers, url="http://127.0.0.1:9/own")
    assert (result["cause"], "status" in result) == ("no_connection", False)
    assert result["msg"].startswith(
        "http://127.0.0.1:9/own cannot be reached (3 attempts): connection refused. Check url"
    )


HEADERS = {"X-Token": "{value}"}
WRONG: list[tuple[Json, str]] = [
    ({"url": "http://example.com/x"}, "url begins with http://, so keys would cross the network to example.com"),
    (
        {"url": "https://ops:hunter2@example.com/x"},
        "url must hold no user, password or fragment: keys go into a header.",
    ),
    ({"url": "https://example.com/{value}"}, "url must be text without {value}: a key in it would be logged"),
    ({"url": ""}, "url must be a whole URL such as https://"),
    ({"url": "https://[::1"}, "url is no URL."),
    ({"headers": {"A": "b"}}, "headers: none holds {value}, so the key would not be asked about."),
    ({"headers": {**HEADERS, "A b": "c"}}, "holds a character that no header has"),
    ({"headers": {**HEADERS, "A": "c\r\nHost: x"}}, "holds a character that no header has"),
    ({"headers": {**HEADERS, "A": ["c"]}}, "headers: each must be one text."),
    ({"headers": {"X-Token": None}}, "headers: each must be one text."),
    (
        {"accepted": [200, 301]},
        "accepted must be a list of HTTP statuses that tell of a key: of 2xx and 4xx, but not 407",
    ),
    ({"refused": [429]}, "refused must be a list of HTTP statuses"),
    ({"restricted": [500]}, "restricted must be a list of HTTP statuses"),
    ({"accepted": []}, "accepted and refused must each hold a status"),
    ({"restricted": [404]}, "must have no status in common."),
    ({"value": f"{VALUE}\n"}, "value begins or ends with white space or a newline."),
    ({"value": "sk-\u00e9"}, "value is empty or holds a character that no key has"),
    ({"timeout": 0}, "timeout is 0; give a number of seconds, 1 or more."),
    ({"ca_path": "/none"}, "ca_path: /none is not readable"),
]


@pytest.mark.parametrize(("options", "says"), WRONG, ids=[says[:40] for _options, says in WRONG])
def test_what_makes_no_sense_is_refused_and_nothing_is_sent(providers: Providers, options: Json, says: str) -> None:
    result = asked(providers, **options)
    assert says in result["msg"]
    assert "hunter2" not in result["msg"]
    assert providers.requests == []


def test_a_key_is_sent_on_by_nobody(providers: Providers) -> None:
    """A redirect to the same server would be answered."""
    providers.faults.append({"status": 307, "headers": {"Location": f"{providers.url}/own"}})
    assert asked(providers)["cause"] == "redirect"
    assert len(providers.requests) == 1


def test_tables_are_whole() -> None:
    """Each meaning has its text, and what is tried again is a meaning."""
    causes = {"timeout", "no_connection", "lost_answer", "certificate"}  # of NoReply
    assert causes < set(MESSAGES)
    assert set(ATTEMPTS) < set(MESSAGES)
    assert not set(MESSAGES) & set(VERDICTS)
    question = Question.of({"url": "https://x", "headers": HEADERS})
    for cause in causes:
        assert judge(question, NoReply(cause, "", never_sent=False)) == cause
    for status in range(100, 600):
        assert judge(question, Reply(status, Message(), b"")) in {*MESSAGES, *VERDICTS}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["{value}", "https://x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["url", "method", "headers", "accepted", "refused", "restricted", "x"]), JSON))
def test_nothing_odd_is_a_traceback(odd: Json) -> None:
    """What an operator writes into rotate_providers comes here unchecked."""
    with contextlib.suppress(KeyturnError):
        Question.of({"url": "https://x", "headers": HEADERS, **odd})


def test_results_hold_what_is_documented() -> None:
    for name in (*VERDICTS, *MESSAGES):
        assert f"V({name})" in api_key_probe.RETURN
