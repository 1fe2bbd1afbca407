# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What both doors share: nothing leaves unscrubbed, an unforeseen error has no text, complaints repeat nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.keyturn.ecs.plugins.module_utils._capability import Capability, WithoutAws, complaint
from ansible_collections.keyturn.ecs.plugins.module_utils._errors import KeyturnError
from ansible_collections.keyturn.ecs.plugins.module_utils._module import Module
from ansible_collections.keyturn.ecs.plugins.module_utils._scrub import Scrubber

VALUE = "sk-canary/+%0123456789"
SPEC: dict[str, Any] = {
    "value": {"type": "str", "no_log": True},
    "name": {"type": "str"},
    "mode": {"type": "str", "choices": ["one", "two"]},
    "modes": {"type": "list", "elements": "str", "choices": ["one", "two"]},
    "flag": {"type": "bool"},
    "number": {"type": "int"},
    "numbers": {"type": "list", "elements": "int"},
    "tags": {"type": "dict"},
}


def answered(run: Any, **options: Any) -> dict[str, Any]:
    capability = WithoutAws(spec=SPEC, run=run)
    given = {name: options.get(name) for name in SPEC}
    return capability.answer(given, check_mode=False, diff=True)


def failing(scrub: Scrubber, _options: Mapping[str, Any], _check: bool, _say: Any) -> dict[str, Any]:
    scrub.add("the-old-secret")
    raise KeyturnError(f"It says: {VALUE}", cause=["and the-old-secret"])


def test_failures_are_scrubbed_with_all_that_became_known() -> None:
    result = answered(failing, value=VALUE)
    assert (result["msg"], result["cause"], result["failed"]) == ("It says: ********", ["and ********"], True)


def test_results_and_warnings_are_scrubbed() -> None:
    result = answered(lambda *_: {"warnings": [f"no {VALUE}"], "diff": {"after": f"+ {VALUE}"}}, value=VALUE)
    assert result == {"warnings": ["no ********"], "diff": {"after": "+ ********"}}


def test_an_emulators_credentials_stay_in_names() -> None:
    """`test` is what people give LocalStack and its like; results without it would name a cluster that there is not."""

    @dataclasses.dataclass(frozen=True)
    class WithCredentials(WithoutAws):
        connection: ClassVar[Any] = {"secret_key": {"type": "str", "no_log": True}}

    def answer(**given: str) -> dict[str, Any]:
        capability = WithCredentials(spec=SPEC, run=lambda *_: {"cluster": "test-cluster", "warnings": ["the latest"]})
        return capability.answer({**dict.fromkeys(SPEC), **given}, check_mode=False, diff=False)

    assert answer(secret_key="test") == {"cluster": "test-cluster", "warnings": ["the latest"]}
    assert answer(secret_key="test", value="test")["warnings"] == ["the la********"]
    assert answer(secret_key="test-cluster")["cluster"] == "********"


def test_an_emulators_credentials_stay_in_names_through_the_other_door(monkeypatch: pytest.MonkeyPatch) -> None:
    """AnsibleModule takes what stands in `no_log_values` out of every result."""
    given = {"secret_key": "test", "session_token": "a-whole-session-token", "value": "short"}

    def begin(module: Module, **_spec: Any) -> None:
        module.params, module.no_log_values = given, set(given.values())

    monkeypatch.setattr(AnsibleModule, "__init__", begin)
    module = Module(Capability(spec=SPEC, run=lambda *_: {}))
    assert module.no_log_values == {"a-whole-session-token", "short"}


def test_progress_is_scrubbed() -> None:
    said: list[str] = []
    capability = WithoutAws(spec=SPEC, run=lambda _scrub, _options, _check, say: say(f"is {VALUE}") or {})
    capability.answer({**dict.fromkeys(SPEC), "value": VALUE}, check_mode=False, diff=False, say=said.append)
    assert said == ["is ********"]


def test_an_unforeseen_error_is_told_without_its_text() -> None:
    def broken(*_: Any) -> dict[str, Any]:
        raise ValueError("invalid literal: unknown-secret-text") from KeyError("unknown-secret-text")

    result = answered(broken)
    assert result["failed"] is True
    assert result["msg"].startswith("Unexpected ValueError in perform (_capability.py, line ")
    assert "unknown-secret-text" not in str(result)


def test_the_value_in_another_option_is_refused_before_anything_is_done() -> None:
    result = answered(lambda *_: {"done": True}, value=VALUE, tags={"note": f"is {VALUE}"})
    assert result["msg"] == "tags holds the value itself, that of value: correct tags. Nothing was done."
    assert answered(lambda *_: {"done": True}, value="production", name="production-cluster") == {"done": True}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"mode": VALUE}, "value of mode must be one of: one, two"),
        ({"modes": ["one", VALUE]}, "value of modes must be one or more of: one, two"),
        ({"flag": VALUE}, "value of flag must be of type bool, and what was given cannot be taken for one"),
        ({"number": VALUE}, "value of number must be of type int, and what was given cannot be taken for one"),
        ({"numbers": [VALUE]}, "value of numbers must be of type int, and what was given cannot be taken for one"),
        ({"tags": "sk-canary"}, "value of tags must be of type dict, and what was given cannot be taken for one"),
        ({VALUE: "x", "colour": "red"}, "Unsupported parameters for (it) module: colour, ********. Supported"),
    ],
    ids=lambda given: str(next(iter(given))) if isinstance(given, dict) else "",
)
def test_complaints_do_not_repeat_what_was_given(given: dict[str, Any], says: str) -> None:
    checked = ArgumentSpecValidator(SPEC).validate(given)
    told = complaint(checked.errors[0], "it")
    assert told.startswith(says)
    assert "canary" not in told


def test_a_complaint_of_an_unknown_form_is_told_in_general() -> None:
    assert complaint(TypeError(f"strange {VALUE}"), "it") == "an option has a value that it cannot have"
