# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whose key it is: the role's table of providers, what an operator adds to it, and what is refused of that."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from ansible_collections.keyturn.ecs.plugins.action.validate_rotation import PROVIDERS
from ansible_collections.keyturn.ecs.plugins.module_utils._logs.match import DEFAULT_PATTERNS
from ansible_collections.keyturn.ecs.plugins.module_utils._role.providers import chosen, mismatch, problems, unasked
from ansible_collections.keyturn.ecs.plugins.module_utils._role.types import wrong_types
from ansible_collections.keyturn.ecs.plugins.module_utils._scrub import Scrubber

Json = dict[str, Any]

# provider -> values that are its, and that are not.
VALUES = {
    "openai": (["sk-proj-x", "sk-svcacct-x"], ["pk-x", "xsk-x"]),
    "anthropic": (["sk-ant-api03-x"], ["sk-proj-x", "sk_ant-x"]),
    "stripe": (["sk_live_x", "sk_test_x", "rk_live_x", "rk_test_x"], ["pk_live_x", "sk-live-x", "whsec_x"]),
    "github": (["ghp_x", "gho_x", "ghu_x", "ghs_x", "github_pat_x"], ["ghr_x", "glpat-x", "0123456789abcdef"]),
}
# What applications log when the key is refused, by the providers' own libraries.
LOGGED = {
    "anthropic": [
        "anthropic.AuthenticationError: Error code: 401 - {'type': 'error', 'error': {'type': 'authentication_error'}}",
        "request failed: invalid x-api-key",
    ],
    "stripe": [
        "stripe._error.AuthenticationError: Invalid API Key provided: sk_live_****1234",
        "Expired API key provided: sk_live_****1234",
        "You did not provide an API key. You need to provide your API key in the Authorization header",
        "type: 'StripeAuthenticationError',",
    ],
    "github": [
        'github.GithubException.BadCredentialsException: 401 {"message": "Bad credentials"}',
        "HttpError: Bad credentials - https://docs.github.com/rest",
    ],
}
FINE = ["GET /v1/models 200", "the API key is fine", "credentials loaded", "invalid x-request-id", "rate limit: 5000"]


def pick(variable: str, **given: Any) -> Json:
    variables = {f"rotate_{name}": one for name, one in given.items()}
    assert [*wrong_types(variables), *problems(variables, PROVIDERS)] == []
    return chosen(variables, PROVIDERS, variable)


@pytest.mark.parametrize("name", VALUES)
def test_a_value_is_told_by_its_form(name: str) -> None:
    its, others = VALUES[name]
    provider = chosen({"rotate_provider": name}, PROVIDERS, "X")
    assert [said for value in its for said in mismatch(provider, {}, value)] == []
    for value in others:
        (said,) = mismatch(provider, {}, value)
        assert f"does not match value_pattern {provider['value_pattern']} of provider {name}: check" in said
        assert value not in said
        assert [*mismatch(provider, {"rotate_value_pattern": "."}, value)] == []
        (own,) = mismatch(provider, {"rotate_value_pattern": "^own-"}, value)
        assert "rotate_value_pattern ^own-: " in own and value not in own
    assert [*mismatch(provider, {}, f" {its[0]}")] == []


@pytest.mark.parametrize("name", LOGGED)
def test_refusals_are_found_in_logs_and_nothing_else(name: str) -> None:
    patterns = [*DEFAULT_PATTERNS, *PROVIDERS[name]["log_patterns"]]
    assert [line for line in LOGGED[name] if not any(re.search(one, line) for one in patterns)] == []
    assert [line for line in FINE if any(re.search(one, line) for one in patterns)] == []
    # Each pattern finds what the default ones do not.
    for pattern in PROVIDERS[name]["log_patterns"]:
        assert any(re.search(pattern, line) for line in LOGGED[name])
        assert any(
            re.search(pattern, line) and not any(re.search(one, line) for one in DEFAULT_PATTERNS)
            for line in LOGGED[name]
        )


@pytest.mark.parametrize("key", ["sk-ant-api03-", "sk_live_", "rk_test_", "ghp_", "github_pat_11A_"])
def test_a_key_in_a_log_that_nobody_told_of_is_taken_out(key: str) -> None:
    assert Scrubber().foreign(f"refused: {key}0aB1cD2eF3gH4iJ5kL6 (401)") == "refused: ******** (401)"


def test_the_variable_chooses_and_a_name_chooses_otherwise() -> None:
    found = {name: pick(name)["name"] for entry in PROVIDERS.values() for name in entry["variables"]}
    assert found == {
        "OPENAI_API_KEY": "openai",
        "ANTHROPIC_API_KEY": "anthropic",
        "STRIPE_SECRET_KEY": "stripe",
        "STRIPE_API_KEY": "stripe",
        "GITHUB_TOKEN": "github",
        "GH_TOKEN": "github",
    }
    assert pick("DATABASE_PASSWORD") == {
        "name": "generic",
        "variables": [],
        "value_pattern": "",
        "probe": None,
        "log_patterns": [],
        "keys_at": "",
    }
    assert pick("BILLING_KEY", provider="stripe")["name"] == "stripe"
    assert pick("OPENAI_API_KEY", provider="generic")["value_pattern"] == ""


def test_what_is_said_otherwise_is_merged_member_by_member() -> None:
    preset = pick("ANTHROPIC_API_KEY")
    gateway = pick("ANTHROPIC_API_KEY", providers={"anthropic": {"probe": {"url": "https://gateway/v1/models"}}})
    assert gateway == {**preset, "probe": {**preset["probe"], "url": "https://gateway/v1/models"}}
    assert preset["probe"] == {
        "url": "https://api.anthropic.com/v1/models?limit=1",
        "method": "GET",
        "headers": {"x-api-key": "{value}", "anthropic-version": "2023-06-01"},
        "accepted": [200],
        "refused": [401],
        "restricted": [],
    }
    for empty in ({}, "", None):
        assert pick("ANTHROPIC_API_KEY", providers={"anthropic": {"probe": empty}}) == {**preset, "probe": None}
    assert pick("CLAUDE", providers={"anthropic": {"variables": ["CLAUDE"]}})["name"] == "anthropic"
    # What names the variable itself comes first.
    both = {"github": {"keys_at": "https://x"}, "mine": {"variables": ["GH_TOKEN"]}}
    assert [pick(name, providers=both)["name"] for name in ("GH_TOKEN", "GITHUB_TOKEN")] == ["mine", "github"]


def test_an_answer_cannot_be_demanded_of_nobody() -> None:
    generic = pick("DATABASE_PASSWORD")
    (said,) = unasked(generic, {"rotate_verify_key": True})
    assert said.startswith("rotate_verify_key is true, and how to ask provider generic is not known")
    assert [*unasked(generic, {"rotate_verify_key": "auto"})] == [
        *unasked(pick("GH_TOKEN"), {"rotate_verify_key": True})
    ]


PROBE: Json = {"url": "https://x", "headers": {"A": "{value}"}}
WRONG: list[tuple[Any, str]] = [
    ({"mine": "x"}, "rotate_providers must be a mapping of names to mappings."),
    ({5: {}}, "rotate_providers must be a mapping of names to mappings."),
    ({"mine": {"colour": "red"}}, "rotate_providers: mine: colour is none of variables, value_pattern, probe,"),
    ({"mine": {"variables": "TOKEN"}}, "rotate_providers: mine: variables must be a list of texts."),
    ({"mine": {"variables": [5]}}, "rotate_providers: mine: variables must be a list of texts."),
    ({"mine": {"value_pattern": "("}}, "rotate_providers: mine: value_pattern is no regular expression."),
    ({"mine": {"value_pattern": 5}}, "rotate_providers: mine: value_pattern must be text"),
    ({"mine": {"keys_at": ["x"]}}, "rotate_providers: mine: keys_at must be text"),
    ({"mine": {"log_patterns": ["("]}}, "rotate_providers: mine: log_patterns: '(' is no regular expression"),
    ({"mine": {"log_patterns": [".*"]}}, "matches an empty line, and so every line"),
    ({"mine": {"log_patterns": "401"}}, "rotate_providers: mine: log_patterns must be a list of texts."),
    ({"mine": {"probe": "curl"}}, "rotate_providers: mine: probe must be a mapping, or openai_api_key_info."),
    ({"mine": {"probe": {"url": "https://x"}}}, "rotate_providers: mine: probe: headers must be a mapping"),
    ({"mine": {"probe": {**PROBE, "body": "x"}}}, "rotate_providers: mine: probe: body is none of url, method,"),
    (
        {"mine": {"probe": {**PROBE, "method": "POST"}}},
        "probe: method must be GET or HEAD: asking must change nothing.",
    ),
    ({"mine": {"probe": {**PROBE, "refused": [500]}}}, "probe: refused must be a list of HTTP statuses"),
    ({"stripe": {"probe": {"url": "http://example.com"}}}, "rotate_providers: stripe: probe: url begins with http://"),
    ({"a": {"variables": ["X"]}, "b": {"variables": ["X"]}}, "several of them have X in variables: choose one."),
]


@pytest.mark.parametrize(("own", "says"), WRONG, ids=[says[-40:] for _own, says in WRONG])
def test_what_cannot_work_is_named(own: Any, says: str) -> None:
    assert says in " ".join(problems({"rotate_providers": own}, PROVIDERS))


def test_a_provider_that_is_not_known_is_named_with_those_that_are() -> None:
    (said,) = problems({"rotate_provider": "Stripe", "rotate_providers": {"mine": {}}}, PROVIDERS)
    assert said == "rotate_provider: Stripe is none of anthropic, generic, github, mine, openai, stripe."
    assert [*wrong_types({"rotate_providers": ["x"]})] == ["rotate_providers must be a mapping."]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.sampled_from(["{value}", "https://x", "("]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["url", "headers", "accepted", "A"]), inner, max_size=3)
    ),
    max_leaves=5,
)
MEMBERS = st.sampled_from(["variables", "value_pattern", "probe", "log_patterns", "keys_at", "x"])


@drawn(
    st.dictionaries(
        st.sampled_from(["mine", "anthropic", "openai"]) | st.integers(), JSON | st.dictionaries(MEMBERS, JSON)
    )
)
@settings(max_examples=50)
def test_nothing_odd_is_a_traceback_and_what_passes_can_be_used(own: Any) -> None:
    given = {"rotate_providers": own, "rotate_provider": "anthropic"}
    if not [*problems(given, PROVIDERS)]:
        provider = chosen(given, PROVIDERS, "X")
        assert set(provider) == {"name", *PROVIDERS["generic"]}
        assert len([*mismatch(provider, {}, "x" * 20)]) <= 1
