# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whatever stands in an option: a result or a clear error, nothing half done, no traceback, and never the value."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.wait import Clock
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.wait import wait as wait_function
from ansible_collections.keyturn.ecs.plugins.modules import (
    dotenv_value,
    ecs_env_access,
    ecs_env_info,
    ecs_env_preflight,
    ecs_env_rollback,
    ecs_env_rotate,
    ecs_log_scan,
    ecs_revision_purge,
    ecs_rollout_wait,
    ledger,
)
from fakes.network import OPTIONS
from fakes.wire import SECRET, Wire, identity

VALUE, OLD = "CANARY-new-1234567890", "CANARY-old-1234567890"
PLACE = {"cluster": "c", "service": "s"}
# What each does without fault; the fuzz changes one or two of its options.
GIVEN: dict[Any, dict[str, Any]] = {
    ecs_env_rotate: {**PLACE, "variable": "K", "value": VALUE},
    ecs_env_preflight: {**PLACE, "variable": "K", "value": VALUE},
    ecs_env_rollback: {**PLACE, "variable": "K", "task_definition": "f:1"},
    ecs_rollout_wait: PLACE,
    ecs_env_info: {"cluster": "c", "variable": "K"},
    ecs_log_scan: PLACE,
    ecs_revision_purge: {**PLACE, "variable": "K"},
    ecs_env_access: {"resources": ["arn:aws:secretsmanager:us-east-1:123456789012:secret:a-b12345"]},
}
ARNS = [
    "arn:", "arn:aws:ecs", "arn:aws:ecs:::", "arn:aws-cn:ecs:cn-north-1:123456789012:service/c/s",
    "arn:aws-us-gov:ecs:us-gov-west-1:1:task-definition/f:1", "arn:aws:ecs:us-east-1:1:cluster/", "arn:aws:iam::1:role",
    "arn:aws:secretsmanager:us-east-1:1:secret:", "arn:aws:secretsmanager:us-east-1:1:secret:a-b12345:k:s:v:more",
    "arn:aws:ssm:us-east-1:1:parameter", "arn:aws:ssm:us-east-1:1:parameter/", "f:-1", "f:", ":1", "f:1e9", "f:\u0663",
]  # fmt: skip
TEXTS = [
    "", " ", "\n", "x" * 300, "x" * 100_000, "a/b", "/", ":", "a\nb", "a\0b", "é", "😀", "\ud83d", "{{ x }}", "%s", "(",
    "[", "*", "\\", "(?P<", "a{99999999999}", "(" * 5000, "0", "-1", "1e400", "nan", "9" * 400, "2026-01-01",
    "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "99999999999999999999", "sha256:0", "s3://",
    "/dev/null", "None", "true", "\ufeff{}",
]  # fmt: skip
WRONG_CONFIGS = [
    {"retries": "x"},
    {"s3": "x"},
    {"signature_version": 5},
    {"user_agent": 5},
    {"no_such_option": 1},
    {1: 2},
]
CONFIGS = [
    *WRONG_CONFIGS, {"retries": {"max_attempts": -1}}, {"connect_timeout": "x"}, {"read_timeout": -1}, {"proxies": "x"},
    {"max_pool_connections": "x"}, {"region_name": 5}, {"user_agent_extra": []}, {"client_cert": 5},
]  # fmt: skip
NUMBERS = [0, -1, 1.5, 1e308, float("nan"), 10**400, True]
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(NUMBERS),
    st.integers(),
    st.text(max_size=8),
    st.sampled_from(TEXTS + ARNS),
)
ODD = st.one_of(
    PLAIN,
    st.sampled_from(CONFIGS),
    st.recursive(
        PLAIN,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.sampled_from(["cluster", "service", "name", "aws:x", "", "a"]), inner, max_size=3),
        ),
        max_leaves=5,
    ),
)
# Elsewhere nobody answers, and a profile stands in files that a test does not have.
NOT_ASKED = {"endpoint_url", "profile"}
FUZZ = settings(suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    server = Wire()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _seconds: None))
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "127.0.0.1")
        yield server
    server.close()


def capability_of(module: Any) -> Any:
    """A module's capability, on a clock that only sleeping moves."""
    if module is not ecs_rollout_wait:
        return module.CAPABILITY
    now = [0.0]

    def sleep(seconds: float) -> None:
        assert 0 < seconds < 1e9
        now[0] += seconds

    clock = Clock(now=lambda: now[0], sleep=sleep, jitter=lambda: 1.0)
    return dataclasses.replace(
        module.CAPABILITY, run=lambda aws, options, _check, say: wait_function(aws, options, clock=clock, say=say)
    )


def answered(module: Any, url: str, odd: dict[str, Any]) -> dict[str, Any]:
    """What the module says to these options."""
    connection = {name: OPTIONS[name] for name in ("region", "access_key", "secret_key")}
    capability = capability_of(module)
    validator = ArgumentSpecValidator(capability.argument_spec, **capability.rules)
    checked = validator.validate({**connection, "endpoint_url": url, **GIVEN[module], **odd})
    if checked.error_messages:
        return {"failed": True, "msg": checked.error_messages[0]}
    found: dict[str, Any] = capability.answer(checked.validated_parameters, check_mode=False, diff=True)
    return found


def falls_over(module: Any, odd: dict[str, Any]) -> bool:
    """Ansible's own validator does, at a bare number or boolean where a mapping with members should stand."""
    spec = module.CAPABILITY.argument_spec
    members = [given for name, given in odd.items() if "options" in spec[name]]
    return any(isinstance(one, (int, float)) for given in members for one in (given, *_elements(given)))


def _elements(given: Any) -> list[Any]:
    return given if isinstance(given, list) else []


def assert_clear(result: dict[str, Any]) -> None:
    shown = json.dumps(result, default=str)
    assert VALUE not in shown
    assert OLD not in shown
    if result.get("failed"):
        assert len(result["msg"]) > 10
        assert "Traceback" not in result["msg"]


def begin(wire: Wire) -> None:
    environment = [{"name": "K", "value": OLD}]
    wire.begin(json.dumps({"containerDefinitions": [{"name": "a", "environment": environment}], **identity(1)}), "[]")


@pytest.mark.parametrize("module", GIVEN, ids=lambda module: module.__name__.rpartition(".")[2])
def test_without_an_odd_option_there_is_an_answer(wire: Wire, module: Any) -> None:
    begin(wire)
    result = answered(module, wire.url, {})
    assert not result.get("failed") or "was denied" in result["msg"]


@FUZZ
@given(module=st.sampled_from(list(GIVEN)), data=st.data())
def test_an_odd_option_ends_in_a_result_or_a_clear_error(wire: Wire, module: Any, data: st.DataObject) -> None:
    names = sorted(set(module.CAPABILITY.argument_spec) - NOT_ASKED)
    odd = data.draw(st.dictionaries(st.sampled_from(names), ODD, min_size=1, max_size=2))
    assume(not falls_over(module, odd))
    begin(wire)
    result = answered(module, wire.url, odd)
    assert_clear(result)
    if result.get("failed"):
        assert [name for name, _body in wire.sent if name in ("RegisterTaskDefinition", "UpdateService")] == []


# Found by the fuzz, or by looking at what it had not reached.
@pytest.mark.parametrize(
    ("module", "odd", "said"),
    [
        (ecs_env_rotate, {"value": "sk-\udce9"}, "value holds a NUL or bytes that are no UTF-8"),
        (ecs_env_rotate, {"value": "sk-\0x"}, "value holds a NUL"),
        (ecs_env_rotate, {"value_pattern": "a{99999999999}"}, "value_pattern is not a regular expression"),
        (ecs_env_rotate, {"value_pattern": "(" * 5000}, "value_pattern is not a regular expression"),
        (ecs_log_scan, {"patterns": ["a{99999999999}"]}, "patterns: 'a{99999999999}' is no regular expression"),
        (ecs_log_scan, {"settle": 10**400}, "settle must be from 0 to 86400 seconds"),
        (ecs_log_scan, {"settle": -1}, "settle must be from 0 to 86400 seconds"),
        (ecs_rollout_wait, {"timeout": 10**400}, "timeout must be more than 0 and at most 31536000 seconds"),
        (ecs_rollout_wait, {"timeout": 0}, "timeout must be more than 0"),
        (ecs_rollout_wait, {"poll_interval": float("nan")}, "poll_interval must be more than 0"),
        (ecs_rollout_wait, {"poll_interval": 1e308}, "poll_interval must be more than 0"),
        (ecs_env_info, {"secret_key": "se\ncret-key"}, "secret_key holds a character that no credential has"),
        (ecs_env_info, {"session_token": "tok\udce9n"}, "session_token holds a character that no credential has"),
        (ecs_env_info, {"access_key": "AKIAÉ"}, "access_key holds a character that no credential has"),
        *((ecs_env_info, {"aws_config": config}, "aws_config") for config in WRONG_CONFIGS),
    ],
)  # fmt: skip
def test_the_option_is_named(wire: Wire, module: Any, odd: dict[str, Any], said: str) -> None:
    begin(wire)
    result = answered(module, wire.url, odd)
    assert result["failed"] is True
    assert said in result["msg"]
    assert_clear(result)
    assert wire.sent == []


def test_half_a_character_that_ecs_holds_is_carried_over(wire: Wire) -> None:
    environment = [{"name": "K", "value": "\ud83d"}, {"name": "N", "value": "\ud83d-neighbour"}]
    wire.begin(json.dumps({"containerDefinitions": [{"name": "a", "environment": environment}], **identity(1)}), "[]")
    assert answered(ecs_env_rotate, wire.url, {})["actions"] == ["register_task_definition", "update_service"]
    (sent,) = wire.bodies("RegisterTaskDefinition")
    assert json.loads(sent)["containerDefinitions"][0]["environment"] == [{"name": "K", "value": VALUE}, environment[1]]


# Modules without AWS


@FUZZ
@example(odd={"path": "a\0b"})
@example(odd={"path": "\ud83d"})
@example(odd={"entries": [{"id": float("inf")}]})
@given(odd=st.dictionaries(st.sampled_from(["path", "entries"]), ODD, min_size=1))
def test_odd_options_of_the_ledger(odd: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("ledger", numbered=True)
    given_options = {"path": "ledger.jsonl", "entries": [{"id": 1}], **odd}
    validator = ArgumentSpecValidator(ledger.CAPABILITY.argument_spec)
    checked = validator.validate(given_options)
    if not checked.error_messages:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            assert_clear(ledger.CAPABILITY.answer(checked.validated_parameters, check_mode=True, diff=True))


@FUZZ
@example(odd={"path": "a\0b"})
@example(odd={"path": "\ud83d"})
@given(odd=st.dictionaries(st.sampled_from(["path", "variable", "value"]), ODD, min_size=1, max_size=1))
def test_odd_options_of_a_dotenv_file(odd: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("dotenv", numbered=True) / ".env"
    path.write_text(f"K={OLD}\n")
    validator = ArgumentSpecValidator(dotenv_value.CAPABILITY.argument_spec)
    checked = validator.validate({"path": str(path), "variable": "K", "value": VALUE, **odd})
    if not checked.error_messages:
        assert_clear(dotenv_value.CAPABILITY.answer(checked.validated_parameters, check_mode=True, diff=True))


@pytest.mark.parametrize("count", [49, 50])
def test_more_tags_than_ecs_takes_are_refused_before_a_secret_is_written(wire: Wire, count: int) -> None:
    container = {"name": "a", "secrets": [{"name": "K", "valueFrom": f"{SECRET}:::"}]}
    tags = [{"key": f"k{number}", "value": ""} for number in range(count)] + [{"key": "aws:x", "value": "y"}]
    wire.begin(json.dumps({"containerDefinitions": [container], **identity(1)}), json.dumps(tags), OLD)
    result = answered(
        ecs_env_rotate, wire.url, {"tags": {"k0": "again", "another": "one"}, "pin_secret_version": "true"}
    )
    if count == 49:
        assert result["actions"] == ["put_secret_value", "register_task_definition", "update_service"]
        (sent,) = wire.bodies("RegisterTaskDefinition")
        assert len(json.loads(sent)["tags"]) == 50
    else:
        assert "would have 51 tags, 50 of them carried over" in result["msg"]
        assert wire.bodies("PutSecretValue") == []


@pytest.mark.parametrize("tags", [{"": "x"}, {"k" * 129: "x"}, {"k": "v" * 257}])
def test_tags_that_aws_does_not_take_are_named(wire: Wire, tags: dict[str, str]) -> None:
    begin(wire)
    assert "tags: AWS takes keys of 1 to 128 characters" in answered(ecs_env_rotate, wire.url, {"tags": tags})["msg"]
    assert wire.sent == []
