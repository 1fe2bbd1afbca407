"""The pure half of a rotation: request, fold, plan."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.keyturn.ecs.plugins.module_utils._aws import Aws
from ansible_collections.keyturn.ecs.plugins.module_utils._ecs import Service
from ansible_collections.keyturn.ecs.plugins.module_utils._errors import KeyturnError
from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint
from ansible_collections.keyturn.ecs.plugins.module_utils._rotation.apply import _stopped_rivals
from ansible_collections.keyturn.ecs.plugins.module_utils._rotation.current import Current, Definition
from ansible_collections.keyturn.ecs.plugins.module_utils._rotation.desired import (
    Desired,
    Place,
    check_expected,
    find,
)
from ansible_collections.keyturn.ecs.plugins.module_utils._rotation.desired import fold as fold_over
from ansible_collections.keyturn.ecs.plugins.module_utils._rotation.plan import Plan, holds, make_plan, normal
from ansible_collections.keyturn.ecs.plugins.module_utils._rotation.request import Request
from ansible_collections.keyturn.ecs.plugins.module_utils._rotation.target import Target, decide
from fakes.model import RECORDS
from fakes.network import OPTIONS, ROTATE_OPTIONS, InTurn

OLD, NEW, KEY = "sk-old-00000000", "sk-new-11111111", "OPENAI_API_KEY"
NOW = 1_800_000_000.0
NOTED = {"keyturn:fingerprint": fingerprint(KEY, NEW), "keyturn:rotated-at": "2027-01-15T08:00:00Z"}


def request(**changes: Any) -> Request:
    return Request.parse({**ROTATE_OPTIONS, "variable": KEY, "value": NEW, **changes}, NOW)


def container(name: str, value: str | None = OLD, **more: Any) -> dict[str, Any]:
    environment = [{"name": "Z", "value": "1"}, {"name": "A", "value": "2"}]
    if value is not None:
        environment.insert(1, {"name": KEY, "value": value})
    return {"name": name, "image": "i", "environment": environment, **more}


def definition(*containers: dict[str, Any], revision: int = 42, **fields: Any) -> Definition:
    return Definition(
        arn=f"arn:aws:ecs:us-east-1:123456789012:task-definition/s:{revision}",
        family="s",
        revision=revision,
        active=True,
        fields={"family": "s", "containerDefinitions": list(containers), **fields},
        tags={"team": "core"},
        unknown=(),
    )


def service(revision: int = 42, rollout_state: str | None = "COMPLETED") -> Service:
    return Service.parse(
        {
            "serviceArn": "arn:aws:ecs:us-east-1:123456789012:service/c/s",
            "clusterArn": "arn:aws:ecs:us-east-1:123456789012:cluster/c",
            "status": "ACTIVE",
            "taskDefinition": f"arn:aws:ecs:us-east-1:123456789012:task-definition/s:{revision}",
            "desiredCount": 2,
            "deployments": [
                {
                    "id": "ecs-svc/1",
                    "status": "PRIMARY",
                    "taskDefinition": f"arn:aws:ecs:us-east-1:123456789012:task-definition/s:{revision}",
                    "rolloutState": rollout_state,
                    "runningCount": 2,
                    "desiredCount": 2,
                }
            ],
        }
    )


def target_of(base: Definition, asked: Request) -> Target:
    return decide(find(base, asked), None, asked)


def fold(base: Definition, asked: Request) -> Desired:
    """The desired revision where the value lives in the environment."""
    target = target_of(base, asked)
    return fold_over(base, target.places, target.value_froms, asked)


def plan(base: Definition, asked: Request, running: Service | None = None, newer: tuple[Definition, ...] = ()) -> Plan:
    current = Current(running or service(base.revision), base)
    return make_plan(current, target_of(base, asked), fold(base, asked), asked, newer=newer)


def as_registered(base: Definition, asked: Request, revision: int) -> Definition:
    """The revision that a run for ``asked`` registers."""
    desired = fold(base, asked)
    arn = base.arn.replace(f":{base.revision}", f":{revision}")
    return dataclasses.replace(base, arn=arn, revision=revision, fields=desired.fields, tags=desired.tags)


# The request


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("value", "", "value is empty"),
        ("value", NEW + "\n", "white space"),
        ("value", " " + NEW, "white space"),
        ("value_pattern", "^pk-", "value_pattern"),
        ("value_pattern", "(", "regular expression"),
        ("expected_fingerprint", "sha256:XYZ", "expected_fingerprint"),
        ("tags", {"aws:x": "1"}, "aws:x"),
        ("if_missing", "add", "containers"),
        ("variable", "", "variable"),
    ],
)
def test_bad_options_are_named_and_show_no_value(option: str, value: Any, named: str) -> None:
    with pytest.raises(KeyturnError) as caught:
        request(**{option: value})
    assert named in caught.value.msg
    assert NEW not in caught.value.msg


def test_a_request_does_not_show_its_value() -> None:
    assert NEW not in repr(request())


def test_pattern_is_searched() -> None:
    assert request(value_pattern="^sk-").value == NEW


# The fold


def test_only_the_variable_changes_and_its_place_stays() -> None:
    base = definition(container("app"), container("sidecar", None), cpu="256")
    desired = fold(base, request())
    expected = copy.deepcopy(dict(base.fields))
    expected["containerDefinitions"][0]["environment"][1]["value"] = NEW
    assert desired.fields == expected
    assert find(base, request()) == (Place("app", "environment", OLD),)
    assert base.fields["containerDefinitions"][0]["environment"][1]["value"] == OLD


def test_every_container_that_has_it_is_changed() -> None:
    places = find(definition(container("a"), container("b", None), container("c", "sk-other-000000")), request())
    assert [(place.container, place.before) for place in places] == [("a", OLD), ("c", "sk-other-000000")]


def test_limited_to_containers() -> None:
    desired = fold(definition(container("a"), container("b")), request(containers=["b"]))
    assert [entry["environment"][1]["value"] for entry in desired.fields["containerDefinitions"]] == [OLD, NEW]


def test_add_where_missing() -> None:
    base = definition({"name": "a", "image": "i"}, container("b"))
    asked = request(if_missing="add", containers=["a", "b"])
    assert fold(base, asked).fields["containerDefinitions"][0]["environment"] == [{"name": KEY, "value": NEW}]
    assert [place.before for place in find(base, asked)] == [None, OLD]


@pytest.mark.parametrize(
    ("containers", "asked", "named"),
    [
        ([container("a", None)], {}, "is not in the environment or secrets of container a"),
        ([container("a"), container("b", None)], {"containers": ["a", "b"]}, "container b"),
        ([container("a")], {"containers": ["x"]}, "x is not in task definition s:42, which has a"),
        ([container("a", None, secrets=[{"name": KEY, "valueFrom": "arn:aws:s3:::b"}])], {}, "neither a secret's ARN"),
        ([container("a", None, environmentFiles=[{"value": "arn:aws:s3:::b/x.env"}])], {}, "arn:aws:s3:::b/x.env"),
    ],
)
def test_what_cannot_be_rotated_is_named(containers: list[dict[str, Any]], asked: dict[str, Any], named: str) -> None:
    with pytest.raises(KeyturnError, match=named):
        fold(definition(*containers), request(**asked))


def test_tags_are_laid_over_those_there() -> None:
    assert fold(definition(container("a")), request(tags={"x": "1"})).tags == {"team": "core", "x": "1"}


NAMES = st.text("ABCDEFGH_", min_size=1, max_size=4)
ENTRIES = st.lists(st.fixed_dictionaries({"name": NAMES, "value": st.text(max_size=6)}), max_size=6)


@given(st.lists(ENTRIES, min_size=1, max_size=3), NAMES, st.text(min_size=1).filter(lambda v: v == v.strip() and v))
def test_fold_touches_nothing_else(environments: list[list[dict[str, str]]], name: str, value: str) -> None:
    base = definition(*({"name": f"c{n}", "environment": entries} for n, entries in enumerate(environments)))
    before = copy.deepcopy(base)
    try:
        desired = fold(base, request(variable=name, value=value))
    except KeyturnError:
        assert all(entry["name"] != name for entries in environments for entry in entries)
        return
    assert base == before
    for old, new in zip(environments, desired.fields["containerDefinitions"], strict=True):
        assert new["environment"] == [{**entry, "value": value} if entry["name"] == name else entry for entry in old]
    again = fold(dataclasses.replace(base, fields=desired.fields), request(variable=name, value=value))
    assert not again.differs
    assert again.fields == desired.fields


def test_expected_fingerprint() -> None:
    places = find(definition(container("a")), request())
    check_expected(places, request(expected_fingerprint=fingerprint(KEY, OLD)))
    with pytest.raises(KeyturnError, match=fingerprint(KEY, OLD)):
        check_expected(places, request(expected_fingerprint=fingerprint(KEY, NEW)))


# The plan

BASE = definition(container("app"))


def test_another_value_is_registered_and_deployed() -> None:
    made = plan(BASE, request())
    assert (made.actions, made.resumed, made.force) == (["register_task_definition", "update_service"], False, False)


def test_the_same_value_is_nothing_to_do() -> None:
    assert plan(BASE, request(value=OLD)).actions == []


def test_a_running_deployment_of_the_value_is_no_obstacle() -> None:
    assert plan(BASE, request(value=OLD), service(42, "IN_PROGRESS")).actions == []
    assert plan(BASE, request(value=OLD, force_new_deployment=True), service(42, "IN_PROGRESS")).actions == []


def test_another_running_deployment_is_an_obstacle_unless_superseded() -> None:
    with pytest.raises(KeyturnError, match="in_progress=supersede"):
        plan(BASE, request(), service(42, "IN_PROGRESS"))
    assert plan(BASE, request(in_progress="supersede"), service(42, "IN_PROGRESS")).deploy


def test_force_deploys_the_same_revision() -> None:
    made = plan(BASE, request(value=OLD, force_new_deployment=True))
    assert (made.actions, made.force, made.resumed) == (["update_service"], True, False)


def test_a_deployment_that_ecs_gave_up_is_started_again() -> None:
    made = plan(BASE, request(value=OLD), service(42, "FAILED"))
    assert (made.actions, made.force, made.resumed) == (["update_service"], True, True)


def test_a_registered_revision_is_used_behind_a_foreign_one() -> None:
    mine = as_registered(BASE, request(), 43)
    foreign = definition(container("app", "sk-foreign-0000"), revision=44)
    made = plan(BASE, request(), newer=(foreign, mine))
    assert made.revision == mine
    assert (made.actions, made.resumed) == (["update_service"], True)
    assert "base_revision=latest" in made.warnings[0]


def test_a_registered_revision_with_other_content_is_not_used() -> None:
    other = dataclasses.replace(as_registered(BASE, request(), 43), tags={})
    assert plan(BASE, request(), newer=(other,)).register


def test_latest_as_base_is_deployed() -> None:
    latest = definition(container("app", NEW), revision=44)
    made = plan(latest, request(base_revision="latest"), service(42))
    assert (made.actions, made.resumed, made.revision) == (["update_service"], True, latest)


def test_different_values_are_told_by_fingerprint() -> None:
    made = plan(definition(container("a"), container("b", "sk-other-000000")), request())
    assert fingerprint(KEY, OLD) in made.warnings[0]
    assert OLD not in made.warnings[0]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1, "b": []}, {"a": 1}, True),
        ({"a": None, "b": {}}, {}, True),
        ({"a": 0}, {}, False),
        ({"a": ""}, {}, False),
        ({"a": False}, {}, False),
        (
            {"e": [{"name": "x", "value": "1"}, {"name": "y"}]},
            {"e": [{"name": "y"}, {"name": "x", "value": "1"}]},
            True,
        ),
        ({"command": ["a", "b"]}, {"command": ["b", "a"]}, False),
        (
            {"m": [{"containerPort": 1}, {"containerPort": 2}]},
            {"m": [{"containerPort": 2}, {"containerPort": 1}]},
            False,
        ),
    ],
)
def test_what_counts_as_the_same_definition(one: Any, other: Any, same: bool) -> None:
    assert (normal(one) == normal(other)) is same


def test_holds_asks_for_the_tags_too() -> None:
    desired = Desired(fields=BASE.fields, tags={"team": "core", "x": "1"}, differs=True)
    assert not holds(BASE, desired)
    assert holds(dataclasses.replace(BASE, tags={"team": "core", "x": "1", "y": "2"}), desired)


# What is written down


def test_what_is_written_down_in_tags() -> None:
    """It replaces what an earlier rotation wrote down, and nothing else."""
    stale = {"keyturn:key-id": "key_old", "keyturn:reason": "old", "keyturn:by": "x", "keyturn:other": "kept"}
    base = dataclasses.replace(definition(container("a")), tags={"team": "core", **stale})
    record = {"reason": "left: {ann} & co, quarterly", "key_id": "key_new", "by": ""}
    kept = {"team": "core", "keyturn:other": "kept"}
    assert fold(base, request(record=record)).tags == {
        **kept,
        **NOTED,
        "keyturn:key-id": "key_new",
        "keyturn:reason": "left: _ann_ _ co_ quarterly",
    }
    assert fold(base, request(record={})).tags == {**kept, **NOTED}
    assert fold(base, request()).tags == kept
    assert len(fold(base, request(record={"reason": "x" * 300})).tags["keyturn:reason"]) == 256


def test_a_record_is_no_reason_to_fail() -> None:
    """A revision takes 50 tags: what there is no room for is left out, the last first, and told."""
    many = {f"t{number}": "x" for number in range(47)}
    base = dataclasses.replace(definition(container("a")), tags=many)
    asked = request(record={"reason": "r", "key_id": "k", "by": "b"})
    assert fold(base, asked).tags == {**many, **NOTED, "keyturn:key-id": "k"}
    assert plan(base, asked).warnings == (
        "The revision has 50 tags, and ECS takes no more: keyturn:reason, keyturn:by are left out.",
    )


def test_a_revision_of_an_interrupted_run_is_found_by_another_person_at_another_time() -> None:
    base = definition(container("a"))
    left = fold(base, request(record={"reason": "r", "key_id": "k", "by": "ann"}))
    tags = {**left.tags, "keyturn:rotated-at": "2026-01-01T00:00:00Z"}
    newer = dataclasses.replace(definition(revision=43), fields=left.fields, tags=tags)
    assert holds(newer, fold(base, request(record={"reason": "r", "key_id": "k", "by": "bob"})))
    assert not holds(newer, fold(base, request(record={"reason": "r", "key_id": "other"})))


# Somebody else at the same time


@pytest.mark.parametrize(
    ("number", "rivals"), [("1", ()), pytest.param("3", ("ecs-svc/3 of s:43",), marks=RECORDS), ("2", ())]
)
def test_a_deployment_that_was_known_is_no_rival(number: str, rivals: tuple[str, ...]) -> None:
    """One that is superseded stops, too, and ECS's record of it is a moment younger than the deployment."""

    def deployments(*numbers: str) -> list[dict[str, Any]]:
        return [
            {
                "id": f"ecs-svc/{one}",
                "status": "PRIMARY",
                "taskDefinition": f"s:{40 + int(one)}",
                "createdAt": 10.0 * int(one),
            }
            for one in numbers
        ]

    named = {"serviceArn": "arn:aws:ecs:us-east-1:123456789012:service/c/s", "clusterArn": "c", "status": "ACTIVE"}
    before = Service.parse({**named, "deployments": deployments("1")})
    own = Service.parse({**named, "deployments": deployments("2")}).deployments[0]
    revision = f"arn:aws:ecs:us-east-1:123456789012:service-revision/c/s/{number}"
    record = {"targetServiceRevisionArn": revision, "status": "STOPPED", "createdAt": 10.5}
    network = InTurn(
        aws := Aws(OPTIONS),
        (200, {"serviceRevisions": [{"serviceRevisionArn": revision, "taskDefinition": "s:43"}]}),
    )
    assert _stopped_rivals(aws, before, own, [record]) == rivals
    assert len(network.sent) == len(rivals)
