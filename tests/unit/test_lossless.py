# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A rotation changes one value and loses nothing: over definitions made from botocore's own model of ECS.

Judged on the wire: the JSON text that DescribeTaskDefinition answers, and the bytes of RegisterTaskDefinition's body.
Between them lie real HTTP, botocore's parser and serializer, and all of the rotation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import botocore.session
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ansible_collections.keyturn.ecs.plugins.module_utils._aws import Aws
from ansible_collections.keyturn.ecs.plugins.module_utils._rotation.rotate import rotate
from ansible_collections.keyturn.ecs.plugins.module_utils._scrub import Scrubber
from fakes.network import OPTIONS, ROTATE_OPTIONS
from fakes.wire import SECRET, Wire, identity

KEY, NEW = "OPENAI_API_KEY", 'sk-new-{{ x }}-é-\\"-😀'
MODEL = botocore.session.get_session().get_service_model("ecs")
TAKEN = MODEL.operation_model("RegisterTaskDefinition").input_shape
ANSWERED = MODEL.operation_model("DescribeTaskDefinition").output_shape.members["taskDefinition"]

# What something between the two ends could take for its own syntax, or not carry.
AWKWARD = [
    "", " x ", "\t", "a\nb", "a\r\nb", "{{ 7*7 }}", "{% raw %}", "{# c #}", "!unsafe", "!vault |", "${X}", "$$", "%s",
    "%(x)s", "$(x)", "\\", "\\u0041", '"', "'", "</a>", "\u2028", "\u0085", "\ufeff", "ü", "u\u0308", "😀",
    "\U0010ffff", "\u0001\u001f\u007f", "\ufffe", "null", "true", "1.0", "1e5", "0x1", "[]", "{}",
    "['a']", '{"a": 1}', "~", "@x",
]  # fmt: skip
# Long ones, up to what all of a definition may have (64 KB).
LONG = st.builds(
    lambda unit, bytes_: unit * (bytes_ // len(unit.encode())),
    st.sampled_from(["x", '"', "😀", "{{ a }}"]),
    st.sampled_from([1_000, 20_000, 64_000]),
)
TEXT = st.one_of(st.text(max_size=6), st.sampled_from(AWKWARD))
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXT,
    "integer": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "boolean": st.booleans(),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "float": st.floats(allow_nan=False, allow_infinity=False, width=32),
    "timestamp": st.floats(0, 4e9),
}
# The model says integer; a newer one may say double, and 1 is not 1.0 for everyone who reads it.
NUMBERS = st.one_of(
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, 0.0, -0.0, 1.0, 1e5, 1e22, 1e-7, 10**30]),
)
INVENTED = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXT),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["p", "q", "", "name"]), inner, max_size=2)
    ),
    max_leaves=4,
)


def of_shape(shape: Any, invent: bool) -> st.SearchStrategy[Any]:
    """Values of a botocore shape; with ``invent``, with members that the model does not know."""
    if shape.type_name == "structure":
        members = {
            name: st.deferred(lambda member=member: of_shape(member, invent)) for name, member in shape.members.items()
        }
        if shape.is_tagged_union:
            return st.one_of(*(st.fixed_dictionaries({name: member}) for name, member in members.items()))
        needed = {name: members.pop(name) for name in shape.required_members}
        known = st.fixed_dictionaries(needed, optional=members)
        if not invent:
            return known
        extra = st.dictionaries(st.sampled_from(["inventedOne", "inventedTwo"]), INVENTED.filter(bool), max_size=1)
        return st.builds(lambda one, other: {**one, **other}, known, extra)
    if shape.type_name == "list":
        return st.lists(of_shape(shape.member, invent), max_size=2)
    if shape.type_name == "map":
        return st.dictionaries(TEXT, of_shape(shape.value, invent), max_size=2)
    if getattr(shape, "enum", None):
        return st.sampled_from(shape.enum)
    return SCALARS[shape.type_name]


def entries_of_the_key(secret: bool) -> st.SearchStrategy[dict[str, str]]:
    if secret:
        return st.just({"name": KEY, "valueFrom": "arn:aws:ssm:us-east-1:123456789012:parameter/old"})
    return st.fixed_dictionaries({"name": st.just(KEY), "value": st.one_of(TEXT, LONG)})


@st.composite
def definitions(draw: st.DrawFn, invent: bool) -> dict[str, Any]:
    """What DescribeTaskDefinition answers: every member that its model knows may be there.

    One container has the variable, the others (sidecars) may have it; it may stand there twice.
    """
    members = {name: of_shape(shape, invent) for name, shape in ANSWERED.members.items()}
    fields: dict[str, Any] = draw(st.fixed_dictionaries({}, optional=members))
    containers = fields.setdefault("containerDefinitions", []) or [{}]
    for number, container in enumerate(containers):
        container["name"] = f"c{number}"
        for entry in container.get("secrets", []):
            entry["name"] += "-other"
    place = draw(st.integers(0, len(containers) - 1))
    for _each in range(draw(st.integers(1, 2))):
        environment = containers[place].setdefault("environment", [])
        environment.insert(draw(st.integers(0, len(environment))), draw(entries_of_the_key(secret=False)))
    if invent:
        fields.update(draw(st.dictionaries(st.sampled_from(["inventedTop"]), INVENTED.filter(bool))))
    return {**fields, "containerDefinitions": containers, **identity(1)}


TAGS = st.dictionaries(
    st.one_of(TEXT, st.sampled_from(["aws:cloudformation:stack-name", "AWS:x", "awsome", "Ключ", "a:b/c=d+e-@"])),
    TEXT,
    max_size=60,
)


class Object(tuple[tuple[str, Any], ...]):
    """A JSON object with the order of its members, and with what stands there twice."""


class Number(str):
    """A JSON number as it is written."""


def exact(text: str | bytes) -> Any:
    """JSON with all that is lost otherwise; floats in Python's way of writing them."""
    return json.loads(
        text, object_pairs_hook=Object, parse_int=Number, parse_float=lambda written: Number(repr(float(written)))
    )


def changed(data: Any, change: Callable[[str, Any], Any]) -> Object:
    """The object with other members; `change` answers None for one that goes."""
    pairs = ((name, change(name, value)) for name, value in data)
    return Object((name, value) for name, value in pairs if value is not None)


def expected_after(definition: str, tags: str) -> Object:
    """What has to be sent: what was answered, with the variable replaced wherever it stands, and no more."""

    def entry(one: Object) -> Object:
        return (
            changed(one, lambda name, value: NEW if name == "value" else value) if dict(one).get("name") == KEY else one
        )

    def container(one: Object) -> Object:
        return changed(one, lambda name, value: [entry(each) for each in value] if name == "environment" else value)

    def member(name: str, value: Any) -> Any:
        if name == "containerDefinitions":
            return [container(one) for one in value]
        return None if name in ANSWERED.members and name not in TAKEN.members else value

    after = changed(exact(definition), member)
    kept = [tag for tag in exact(tags) if not dict(tag)["key"].lower().startswith("aws:")]
    return Object([*after, ("tags", kept)]) if kept else after


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    server = Wire()
    yield server
    server.close()


@pytest.fixture(scope="module")
def aws(wire: Wire) -> Aws:
    return Aws({**OPTIONS, "endpoint_url": wire.url, "aws_config": {"proxies": {}}})


def turn(aws: Aws) -> dict[str, Any]:
    aws.scrub = Scrubber()
    return rotate(aws, {**ROTATE_OPTIONS, "variable": KEY, "value": NEW}, check_mode=False, pause=lambda _seconds: None)


# Without shrinking: it takes minutes on examples of this size, and the first one found tells enough.
SLOW = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
# The ways to write the same JSON.
WRITTEN = st.fixed_dictionaries(
    {"ensure_ascii": st.booleans(), "separators": st.sampled_from([(",", ":"), (" , ", " : ")])}
)


def check(wire: Wire, aws: Aws, fields: dict[str, Any], tags: dict[str, str], written: dict[str, Any]) -> None:
    definition = json.dumps(fields, **written)
    listed = json.dumps([{"key": key, "value": value} for key, value in tags.items()], **written)
    wire.begin(definition, listed)
    result = turn(aws)
    assert result["actions"] == ["register_task_definition", "update_service"]
    (sent,) = wire.bodies("RegisterTaskDefinition")
    assert exact(sent) == expected_after(definition, listed)
    # What was registered is known again, so nothing is left to do.
    assert turn(aws)["changed"] is False
    assert len(wire.bodies("RegisterTaskDefinition")) == 1


@SLOW
@given(fields=definitions(invent=False), tags=TAGS, written=WRITTEN)
def test_everything_that_the_model_knows_survives(wire: Wire, aws: Aws, fields: Any, tags: Any, written: Any) -> None:
    check(wire, aws, fields, tags, written)


@SLOW
@given(fields=definitions(invent=True), tags=TAGS, written=WRITTEN)
def test_everything_that_it_does_not_know_survives_too(
    wire: Wire, aws: Aws, fields: Any, tags: Any, written: Any
) -> None:
    check(wire, aws, fields, tags, written)


# JSON secrets, one key of which is the variable

SPACES = st.sampled_from(["", " ", "\n", "\r\n\t", "   "])
NAMES = st.sampled_from(['"a"', '"é"', '"\\u00e9"', '"\\""', '""', '"key "', '"Key"', '"\\ud83d"', '"__proto__"'])
KEY_WRITTEN = st.sampled_from(['"key"', '"\\u006bey"', '"k\\u0065y"'])
MEMBERS = st.sampled_from(
    [
        "1.0", "1e5", "1E+2", "-0", "-0.0", "1.50", "0.1e-7", "9" * 40, "1e999", "null", "true",
        '""', '"\\/"', '"\\u00e9"',
        '"é"', '"\\ud83d\\ude00"', '"😀"', '"\\ud83d"', '"\\u0000"', '"{{ a }}"',
        '"\u2028"', "[1 , 2.50,{}]", "[ ]", "{ }",
        '{"key": "inner", "key" :1.0}', '"key"', '"\\"key\\": 1"', '"}"', '"x"',
    ]
)  # fmt: skip
BEFORE = st.sampled_from(['"old"', '""', '"\\u006fld"', "1.0", "null", '{"a": [1]}', '"sk-😀"'])


@st.composite
def json_secrets(draw: st.DrawFn) -> tuple[str, str]:
    """A JSON object as text, and the same with the new value at its key, which may stand there twice."""
    new = json.dumps(NEW, ensure_ascii=False)
    members = [(draw(NAMES), value, value) for value in draw(st.lists(MEMBERS, max_size=5))]
    for before in draw(st.lists(BEFORE, min_size=1, max_size=2)):
        members.insert(draw(st.integers(0, len(members))), (draw(KEY_WRITTEN), before, new))
    before, after = [], []
    for name, old, then in members:
        lead, mid, behind, end = (draw(SPACES) for _each in range(4))
        before.append(f"{lead}{name}{mid}:{behind}{old}{end}")
        after.append(f"{lead}{name}{mid}:{behind}{then}{end}")
    lead, end = draw(SPACES), draw(SPACES)
    return f"{lead}{{{','.join(before)}}}{end}", f"{lead}{{{','.join(after)}}}{end}"


@given(secret=json_secrets())
def test_a_json_secret_keeps_every_other_byte(wire: Wire, aws: Aws, secret: tuple[str, str]) -> None:
    before, after = secret
    container = {"name": "c0", "secrets": [{"name": KEY, "valueFrom": f"{SECRET}:key::"}]}
    wire.begin(json.dumps({"containerDefinitions": [container], **identity(1)}), "[]", before)
    result = turn(aws)
    assert result["actions"] == ["put_secret_value", "update_service"]
    (sent,) = wire.bodies("PutSecretValue")
    assert json.loads(sent)["SecretString"] == after
