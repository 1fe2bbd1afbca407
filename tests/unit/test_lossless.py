"""A rotation changes one value and loses nothing: over definitions made from botocore's own model of ECS."""

from __future__ import annotations

import copy
from typing import Any

import botocore.session
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ansible_collections.keyturn.ecs.plugins.module_utils._aws import Aws
from ansible_collections.keyturn.ecs.plugins.module_utils._rotation.rotate import rotate
from fakes.network import OPTIONS, ROTATE_OPTIONS, OneService

KEY, NEW = "OPENAI_API_KEY", "sk-new-{{ x }}-é"
ASKED = {**ROTATE_OPTIONS, "variable": KEY, "value": NEW}
AWS = Aws(OPTIONS)
ECS = OneService(AWS, {})
MODEL = botocore.session.get_session().get_service_model("ecs").operation_model("RegisterTaskDefinition").input_shape
TEXT = st.one_of(
    st.text(max_size=6), st.sampled_from(["", " x ", "{{ a }}", "{% raw %}", "${X}", "\u2028", "ü\u0000", "😀"])
)
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXT,
    "integer": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "boolean": st.booleans(),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "float": st.floats(allow_nan=False, allow_infinity=False, width=32),
}
INVENTED = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), TEXT),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["p", "q"]), inner, max_size=2)
    ),
    max_leaves=4,
)


def later(shape: Any, invent: bool) -> st.SearchStrategy[Any]:
    return st.deferred(lambda: of_shape(shape, invent))


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


@st.composite
def definitions(draw: st.DrawFn, invent: bool) -> dict[str, Any]:
    members = {name: of_shape(shape, invent) for name, shape in MODEL.members.items() if name not in ("family", "tags")}
    fields: dict[str, Any] = draw(st.fixed_dictionaries({}, optional=members))
    containers = fields.setdefault("containerDefinitions", []) or [{}]
    for number, container in enumerate(containers):
        container["name"] = f"c{number}"
        container.pop("secrets", None)
    place = draw(st.integers(0, len(containers) - 1))
    environment = containers[place].setdefault("environment", [])
    environment.insert(draw(st.integers(0, len(environment))), {"name": KEY, "value": draw(TEXT)})
    if invent:
        fields.update(draw(st.dictionaries(st.sampled_from(["inventedTop"]), INVENTED.filter(bool))))
    tags = draw(st.lists(st.fixed_dictionaries({"key": st.text("abc", min_size=1), "value": TEXT}), max_size=2))
    return {"family": "f", **fields, "containerDefinitions": containers, "tags": tags}


def expected_after(fields: dict[str, Any]) -> dict[str, Any]:
    """The definition with the variable replaced wherever it stands, and nothing else touched."""
    after = copy.deepcopy({name: value for name, value in fields.items() if name != "tags"})
    for container in after["containerDefinitions"]:
        for entry in container.get("environment", []):
            if entry.get("name") == KEY:
                entry["value"] = NEW
    return after


def check(ecs: OneService, fields: dict[str, Any]) -> None:
    ecs.reset(copy.deepcopy(fields))
    result = rotate(AWS, ASKED, check_mode=False, pause=lambda seconds: None)
    assert result["actions"] == ["register_task_definition", "update_service"]
    assert ecs.revisions[1] == expected_after(fields)
    assert {tag["key"]: tag["value"] for tag in ecs.tags[1]} == {tag["key"]: tag["value"] for tag in fields["tags"]}
    again = rotate(AWS, ASKED, check_mode=False, pause=lambda seconds: None)
    assert again["changed"] is False
    assert len(ecs.revisions) == 2


# Without shrinking: it takes minutes on examples of this size, and the first one found tells enough.
SLOW = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


@SLOW
@given(definitions(invent=False))
def test_everything_that_the_model_knows_survives(fields: dict[str, Any]) -> None:
    check(ECS, fields)


@SLOW
@given(definitions(invent=True))
def test_everything_that_it_does_not_know_survives_too(fields: dict[str, Any]) -> None:
    check(ECS, fields)
