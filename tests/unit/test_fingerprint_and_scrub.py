"""What stands for a value, and what takes values out of text."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint
from ansible_collections.keyturn.ecs.plugins.module_utils._scrub import Scrubber, map_strings, secret_by_looks

VALUE = 'sk-proj-"Zoë"\\ñ/+=%'


def test_fingerprint_is_the_contracts() -> None:
    whole = hmac.new(b"OPENAI_API_KEY", b"sk-test", hashlib.sha256).hexdigest()
    assert fingerprint("OPENAI_API_KEY", "sk-test") == "sha256:" + whole[:12]


def test_fingerprint_tells_values_and_names_apart() -> None:
    seen = {fingerprint(name, value) for name in ("A", "B") for value in ("x", "y", "")}
    assert len(seen) == 6


@pytest.mark.parametrize(
    "form",
    [
        VALUE,
        quote(VALUE, safe=""),
        json.dumps(VALUE),
        json.dumps(VALUE, ensure_ascii=False),
        repr(VALUE),
        base64.b64encode(VALUE.encode()).decode(),
    ],
)
def test_no_form_of_a_value_survives(form: str) -> None:
    text = Scrubber([VALUE]).text(f"before {form} after")
    assert VALUE not in text
    assert "Zo" not in text
    assert text.startswith("before ")
    assert text.endswith(" after")


@given(st.text(min_size=4).filter(lambda value: value.strip("*")), st.text())
def test_a_known_value_is_never_left(value: str, around: str) -> None:
    assert value not in Scrubber([value]).text(around + value + around).replace("********", "")


@pytest.mark.parametrize("before", range(3))
def test_base64_of_a_text_with_the_value_in_it(before: int) -> None:
    whole = base64.b64encode(b"abc"[:before] + VALUE.encode() + b":rest").decode()
    left = Scrubber([VALUE]).text(whole).replace("********", "")
    assert len(left) <= len(whole) - len(VALUE) * 8 // 6 + 2


@pytest.mark.parametrize("dots", ["", "...", "…"])
def test_a_value_that_the_end_cuts_off(dots: str) -> None:
    assert Scrubber([VALUE]).text(f"reason: {VALUE[:12]}{dots}") == "reason: ********"
    assert Scrubber([VALUE]).text(f"reason: {VALUE[:12]} and more") == f"reason: {VALUE[:12]} and more"


def test_a_value_that_is_no_text() -> None:
    assert Scrubber(["sk-\udcff-0123456789"]).text("is sk-\udcff-0123456789") == "is ********"


def test_values_that_overlap_leave_nothing() -> None:
    assert Scrubber(["abcdefghij", "efghijklmn"]).text("-abcdefghijklmn-") == "-********-"


def test_users_and_passwords_in_urls() -> None:
    assert Scrubber().text("proxy http://me:secret@proxy:3128/x") == "proxy http://********@proxy:3128/x"


def test_a_result_keeps_its_names() -> None:
    scrub = Scrubber(["sk-the-secret-one"])
    scrub.keep("arn:aws:ecs:us-east-1:1:service/c/web-service")
    scrub.add("web-service")
    scrub.add_neighbours(["prod/openai", "a-long-password"])
    result = {
        "arn": "arn:aws:secretsmanager:us-east-1:1:secret:prod/openai-a1B2c3",
        "service": "web-service",
        "made": "sk-the-secret-one",
        "seen": {"sk-the-secret-one": ["sk-the-secret-one", "has a-long-password", 3]},
    }
    assert scrub.result(result, shown={"made"}) == {
        **result,
        "seen": {"********": ["********", "has ********", 3]},
    }


def test_what_is_secret_by_its_looks() -> None:
    key = "sk-proj-Ab3Cd4Ef5Gh6Ij7Kl8"
    given = {
        "service": key,
        "config": {"proxies": ["http://u:pass-word@proxy"]},
        "cluster": "sk-production-cluster-east",
    }
    assert secret_by_looks(given) == {key, "pass-word"}


def test_longer_values_go_first() -> None:
    assert Scrubber(["abcd", "abcdefgh"]).text("abcdefgh") == "********"


def test_short_neighbours_and_empty_values_stay() -> None:
    scrub = Scrubber([None, ""])
    scrub.add_neighbours(["1", "INFO", "a-long-password"])
    assert scrub.text("INFO 1 a-long-password") == "INFO 1 ********"


def test_neighbours_that_stand_in_public_names_stay() -> None:
    scrub = Scrubber()
    scrub.add_neighbours(["us-east-1", "elevareai", "a-long-password"])
    scrub.keep("arn:aws:ecs:us-east-1:123456789012:service/elevareai-cluster/elevareai-api")
    assert scrub.text("us-east-1 elevareai-api a-long-password") == "us-east-1 elevareai-api ********"


def test_foreign_text_loses_keys_that_nobody_told_us_of() -> None:
    text = "Incorrect API key provided: sk-proj-AbCdEf0123456789. (task 0f) in web-production-backend-service"
    assert Scrubber().foreign(text) == (
        "Incorrect API key provided: ********. (task 0f) in web-production-backend-service"
    )


def test_nested_data() -> None:
    assert map_strings({"a": ["x", {"b": ("y", 3)}]}, str.upper) == {"a": ["X", {"b": ["Y", 3]}]}
