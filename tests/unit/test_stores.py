# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""References, JSON as text, and the decision where a value shall live. Pure."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.keyturn.ecs.plugins.module_utils._errors import KeyturnError
from ansible_collections.keyturn.ecs.plugins.module_utils._rotation.desired import Place
from ansible_collections.keyturn.ecs.plugins.module_utils._rotation.request import Request
from ansible_collections.keyturn.ecs.plugins.module_utils._rotation.secrets import over_at
from ansible_collections.keyturn.ecs.plugins.module_utils._rotation.target import Target, decide, wanted_reference
from ansible_collections.keyturn.ecs.plugins.module_utils._stores import json_text
from ansible_collections.keyturn.ecs.plugins.module_utils._stores.held import Held, Written
from ansible_collections.keyturn.ecs.plugins.module_utils._stores.reference import Reference, parameter_names
from fakes.network import ROTATE_OPTIONS

OLD, NEW, KEY = "sk-old-00000000", "sk-new-11111111", "OPENAI_API_KEY"
ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/openai-a1B2c3"
OTHER = "arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:other-x1Y2z3"
PARAMETER = "arn:aws:ssm:eu-west-1:123456789012:parameter/prod/openai"


# valueFrom


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        (ARN, Reference("secretsmanager", ARN, "us-east-1")),
        (f"{ARN}:key::", Reference("secretsmanager", ARN, "us-east-1", "key")),
        (f"{ARN}::AWSPENDING:", Reference("secretsmanager", ARN, "us-east-1", "", "AWSPENDING")),
        (f"{ARN}:key:prod:v-1", Reference("secretsmanager", ARN, "us-east-1", "key", "prod", "v-1")),
        (f"{OTHER}:::v-1", Reference("secretsmanager", OTHER, "us-gov-west-1", version="v-1")),
        (PARAMETER, Reference("ssm", PARAMETER, "eu-west-1")),
        ("/prod/openai", Reference("ssm", "/prod/openai")),
        ("openai", Reference("ssm", "openai")),
    ],
)
def test_a_value_from_is_read_and_written(text: str, reference: Reference) -> None:
    assert Reference.parse(text) == reference
    assert reference.text == text


@pytest.mark.parametrize("text", ["arn:aws:s3:::bucket/x", f"{ARN}:a:b:c:d", "/aws/reference/secretsmanager/x", "arn:"])
def test_what_is_no_reference_is_named(text: str) -> None:
    with pytest.raises(KeyturnError) as caught:
        Reference.parse(text)
    assert text in caught.value.msg


def test_a_pinned_reference_names_no_stage() -> None:
    """ECS would ask for both, and the stage moves on."""
    assert Reference.parse(f"{ARN}:key:prod:").pin("v-2").text == f"{ARN}:key::v-2"


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("openai", ("openai",)),
        ("/a/b", ("/a/b",)),
        (PARAMETER, ("/prod/openai",)),
        ("arn:aws:ssm:us-east-1:1:parameter/openai", ("openai", "/openai")),
    ],
)
def test_names_that_a_parameter_may_have(name: str, names: tuple[str, ...]) -> None:
    assert parameter_names(Reference("ssm", name)) == names


# JSON as text

KEYS = st.text(max_size=4)
OBJECTS = st.dictionaries(
    KEYS, st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=4)
)


@given(OBJECTS, KEYS, st.text(), st.sampled_from([None, 1, "\t"]), st.booleans(), st.sampled_from(["", " ", "\n\t"]))
def test_one_key_changes_and_nothing_else(
    data: dict[str, Any], key: str, value: str, indent: int | str | None, ascii_only: bool, space: str
) -> None:
    text = space + json.dumps(data, indent=indent, ensure_ascii=ascii_only) + space
    changed = json_text.put(text, key, value)
    assert json.loads(changed) == {**data, key: value}
    assert list(json.loads(changed)) == list({**data, key: value})
    assert json_text.get(changed, key) == value
    assert json_text.put(changed, key, "x") == json_text.put(text, key, "x")
    if isinstance(data.get(key), str) and not ascii_only:
        assert json_text.put(changed, key, data[key]) == text


def test_the_rest_stays_byte_for_byte() -> None:
    text = '{\n  "a" :1.50e3,\r\n\t"k":  "old" , "é":"\\u00e9",  "n": {"k": "inner"} }\n'
    assert json_text.put(text, "k", 'n"ew') == text.replace('"old"', '"n\\"ew"')
    assert json_text.put("{ }", "k", "v") == '{"k": "v" }'
    assert json_text.put('{"a": 1}\n', "k", "v") == '{"a": 1, "k": "v"}\n'
    assert json_text.put('{"k": "a", "k": "b"}', "k", "c") == '{"k": "c", "k": "c"}'


@pytest.mark.parametrize("text", ["", "sk-x", "[1]", '"x"', "{"])
def test_what_is_no_object_has_no_keys(text: str) -> None:
    assert json_text.keys(text) is None
    with pytest.raises(ValueError, match=r"JSON|Expecting"):
        json_text.put(text, "k", "v")


# Where it shall live


def request(**changes: Any) -> Request:
    return Request.parse({**ROTATE_OPTIONS, "variable": KEY, "value": NEW, **changes}, 0.0)


def held(text: str = OLD, value_from: str = ARN, value: str | None = None, **more: Any) -> Held:
    reference = Reference.parse(value_from)
    shown = value if value is not None else (json_text.get(text, reference.json_key) if reference.json_key else text)
    name = (
        reference.name if reference.name.startswith("arn:") else f"arn:aws:ssm:us-east-1:1:parameter/{reference.name}"
    )
    return Held(
        **{"reference": reference, "arn": name, "value": shown, "text": text, "version": "v1", "since": 1.5, **more}
    )


def place(found: Held | None = None, container: str = "app") -> Place:
    if found is None:
        return Place(container, "environment", OLD)
    return Place(container, found.reference.store, found.value, found.reference, found)


def actions(target: Target) -> list[str]:
    return [write.action for write in target.writes]


def test_a_secret_keeps_its_reference_and_gets_a_version() -> None:
    target = decide([place(held())], None, request())
    (write,) = target.writes
    assert (write.action, write.text, write.stage) == ("put_secret_value", NEW, "AWSCURRENT")
    assert target.value_froms == (ARN,)
    assert 32 <= len(write.version) <= 64


def test_the_version_id_is_the_same_for_the_same_start_and_another_after_any_change() -> None:
    def version(**changes: Any) -> str:
        return decide([place(held(**changes))], None, request()).writes[0].version

    assert version() == version()
    assert len({version(), version(version="v2"), version(since=2.5)}) == 3
    other = decide([place(held())], None, request(value="sk-other-22222222")).writes[0].version
    assert other != version()
    assert NEW not in version()


def test_only_its_key_of_a_json_secret_changes() -> None:
    found = held('{"db":"x", "openai" : "sk-old-00000000"}', f"{ARN}:openai::")
    target = decide([place(found)], None, request())
    assert target.writes[0].text == '{"db":"x", "openai" : "sk-new-11111111"}'
    assert target.value_froms == (f"{ARN}:openai::",)


def test_two_keys_of_one_secret_are_one_write() -> None:
    text = '{"a": "1", "b": "2"}'
    target = decide([place(held(text, f"{ARN}:a::")), place(held(text, f"{ARN}:b::"), "two")], None, request())
    assert [json.loads(write.text) for write in target.writes] == [{"a": NEW, "b": NEW}]


def test_a_whole_json_secret_is_not_replaced_by_a_bare_key() -> None:
    with pytest.raises(KeyturnError, match="JSON object with the keys db, openai"):
        decide([place(held('{"db": "x", "openai": "y"}'))], None, request())


def test_a_stage_of_ones_own_is_what_moves() -> None:
    target = decide([place(held(value_from=f"{ARN}::blue:"))], None, request())
    assert (target.writes[0].stage, target.value_froms) == ("blue", (f"{ARN}::blue:",))
    with pytest.raises(KeyturnError, match="AWSPREVIOUS"):
        decide([place(held(value_from=f"{ARN}::AWSPREVIOUS:"))], None, request())


def test_a_pinned_reference_names_the_new_version() -> None:
    target = decide([place(held(value_from=f"{ARN}:::v1"))], None, request())
    assert target.value_froms == (f"{ARN}:::{target.writes[0].version}",)
    made = target.after({ARN: Written(ARN, "what-aws-said")})
    assert made.value_froms == (f"{ARN}:::what-aws-said",)
    assert made.unpinned == ()


def test_a_pinned_reference_to_the_value_needs_nothing() -> None:
    """What is current may be another's business."""
    target = decide([place(held("sk-other-22222222", f"{ARN}:::v0", value=NEW))], None, request())
    assert (actions(target), target.value_froms) == ([], (f"{ARN}:::v0",))


def test_a_pinned_reference_moves_to_a_version_that_has_the_value() -> None:
    target = decide([place(held(NEW, f"{ARN}:::v0", value=OLD, version="v1"))], None, request())
    assert (actions(target), target.value_froms) == ([], (f"{ARN}:::v1",))


@pytest.mark.parametrize(
    ("value_from", "pin", "expected"),
    [
        (ARN, "true", f"{ARN}:::v1"),
        (ARN, "keep", ARN),
        (ARN, "false", ARN),
        (f"{ARN}:::v1", "false", ARN),
        (f"{ARN}:::v1", "keep", f"{ARN}:::v1"),
        (f"{ARN}::blue:", "true", f"{ARN}:::v1"),
    ],
)
def test_the_habit_may_change_without_a_write(value_from: str, pin: str, expected: str) -> None:
    target = decide([place(held(NEW, value_from))], None, request(pin_secret_version=pin))
    assert (actions(target), target.value_froms) == ([], (expected,))


def test_migration_of_every_container() -> None:
    wanted = Held(Reference("secretsmanager", "prod/openai", json_key="key"), f"{ARN[:-6]}??????", exists=False)
    asked = request(store="secretsmanager", secret_id="prod/openai", secret_json_key="key", secret_tags={"a": 1})
    target = decide([place(), place(container="two")], wanted, asked)
    (write,) = target.writes
    assert (write.action, write.text, dict(write.tags)) == ("create_secret", '{"key": "sk-new-11111111"}', {"a": "1"})
    made = target.after({wanted.arn: Written(ARN, write.version)})
    assert made.value_froms == (f"{ARN}:key::",) * 2


def test_back_to_the_environment() -> None:
    target = decide([place(held())], None, request(store="environment"))
    assert (actions(target), target.value_froms) == ([], (None,))


def test_the_other_containers_secret_is_taken_when_none_is_named() -> None:
    places = [place(), place(held(), "two")]
    asked = request(store="secretsmanager")
    found = wanted_reference(places, asked)
    assert found == Reference.parse(ARN)
    target = decide(places, held(), asked)
    assert (actions(target), target.value_froms) == (["put_secret_value"], (ARN, ARN))


def test_a_store_without_a_name_is_refused() -> None:
    with pytest.raises(KeyturnError, match="needs secret_id"):
        wanted_reference([place()], request(store="secretsmanager"))
    with pytest.raises(KeyturnError, match="not in the store"):
        wanted_reference([place()], request(store="ssm", secret_id=ARN))


def test_a_missing_secret_is_created_only_by_name() -> None:
    missing = held(exists=False)
    with pytest.raises(KeyturnError, match="There is no secret"):
        decide([place(missing)], None, request())
    with pytest.raises(KeyturnError, match="There is no secret"):
        decide([place()], missing, request(store="secretsmanager", secret_id=ARN))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"secret_id": "x"}, "secret_id: only for store"),
        ({"store": "environment", "secret_json_key": "x"}, "secret_json_key: only for store"),
        ({"store": "ssm", "secret_id": "x", "secret_json_key": "k"}, "no JSON keys"),
        ({"store": "ssm", "secret_id": "x", "pin_secret_version": "true"}, "pin_secret_version=true"),
        ({"store": "environment", "pin_secret_version": "true"}, "pin_secret_version=true"),
    ],
)
def test_options_that_contradict_each_other(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(KeyturnError, match=named):
        request(**changes)


def test_a_parameter_cannot_be_pinned() -> None:
    with pytest.raises(KeyturnError, match="pin_secret_version"):
        decide([place(held(value_from="/prod/openai"))], None, request(pin_secret_version="true"))


def test_a_time_in_whole_seconds_may_have_been_cut_off() -> None:
    assert (over_at(5.0), over_at(5.25)) == (6.0, 5.25)
