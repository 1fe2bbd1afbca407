# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which version of a secret a task read, what an override changes, what a target's input says, and since when."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.keyturn.ecs.plugins.module_utils._aws import Aws
from ansible_collections.keyturn.ecs.plugins.module_utils._ecs import Service
from ansible_collections.keyturn.ecs.plugins.module_utils._errors import AccessDeniedError, AwsError
from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint
from ansible_collections.keyturn.ecs.plugins.module_utils._info.info import info
from ansible_collections.keyturn.ecs.plugins.module_utils._info.revisions import (
    Entry,
    Revision,
    Revisions,
    Settings,
    Wanted,
    list_revisions,
)
from ansible_collections.keyturn.ecs.plugins.module_utils._info.secrets import (
    ALWAYS,
    History,
    Readings,
    Version,
    readings,
)
from ansible_collections.keyturn.ecs.plugins.module_utils._info.services import Placed, describe_services, list_services
from ansible_collections.keyturn.ecs.plugins.module_utils._info.targets import RULE, Target, _overridden
from ansible_collections.keyturn.ecs.plugins.module_utils._info.tasks import live_tasks
from ansible_collections.keyturn.ecs.plugins.module_utils._info.times import days, from_iso, iso
from ansible_collections.keyturn.ecs.plugins.module_utils._info.unverified import Unverified
from ansible_collections.keyturn.ecs.plugins.module_utils._openai.redacted import looks_like
from ansible_collections.keyturn.ecs.plugins.module_utils._rotation.notes import FINGERPRINT, ROTATED_AT
from fakes.network import OPTIONS, InTurn, Network, error

Json = dict[str, Any]
VARIABLE, OLD, NEW = "OPENAI_API_KEY", "sk-old-0123456789", "sk-new-0123456789"
WAS, IS = fingerprint(VARIABLE, OLD), fingerprint(VARIABLE, NEW)


# Which version a task read

ONE = (Version("a", 10.0),)
TWO = (*ONE, Version("b", 20.0))
THREE = (*TWO, Version("c", 30.0))
LATER = 1000.0


@pytest.mark.parametrize(
    ("history", "begun", "ended", "expected"),
    [
        pytest.param(History("b", 20.0), 20.0, 25.0, Readings(("b",)), id="made after the change"),
        pytest.param(History("b", 20.0), 15.0, 18.0, Readings(("b",), others=True), id="no versions known"),
        pytest.param(History("b", 20.0, TWO), 15.0, 18.0, Readings(("a",)), id="made and started before"),
        pytest.param(History("b", 20.0, TWO), 15.0, 25.0, Readings(("a", "b")), id="made before, started after"),
        pytest.param(History("c", 30.0, THREE), 12.0, 15.0, Readings(("a",)), id="two versions ago"),
        pytest.param(History("c", 30.0, THREE), 12.0, LATER, Readings(("a", "b", "c")), id="not started yet"),
        pytest.param(History("b", 20.0, TWO), 5.0, 8.0, Readings((), others=True), id="older than all"),
        pytest.param(History("b", 20.0, TWO), 5.0, 15.0, Readings(("a",), others=True), id="made before the oldest"),
        pytest.param(History("b", 90.0, TWO), 50.0, 55.0, Readings(("b", "a")), id="it may have been pending"),
        pytest.param(History("b", 90.0, TWO), 15.0, 18.0, Readings(("a",)), id="before the pending one was made"),
        pytest.param(History("a", 90.0, ONE), 50.0, 55.0, Readings(("a",)), id="only the tags changed"),
        pytest.param(History("a", 90.0, TWO), 50.0, 55.0, Readings(("b", "a")), id="moved back, when is not known"),
        pytest.param(History("a", 90.0, TWO), 95.0, 99.0, Readings(("a",)), id="after it was moved back"),
        pytest.param(History("a", 90.0, TWO), 12.0, 15.0, Readings(("a",)), id="before it was moved on"),
        pytest.param(
            History("x", 90.0, TWO), 50.0, 55.0, Readings(("b", "x"), others=True), id="one that is not listed"
        ),
        pytest.param(
            History("b", 20.0, TWO), None, LATER, Readings(("b",), others=True), id="when it was made is unknown"
        ),
        pytest.param(
            History("b", None, TWO), 50.0, 55.0, Readings(("b",), others=True), id="when it changed is unknown"
        ),
        pytest.param(History("a", ALWAYS), None, LATER, Readings(("a",)), id="pinned"),
    ],
)
def test_readings(history: History, begun: float | None, ended: float, expected: Readings) -> None:
    assert readings(history, begun, ended) == expected
    assert expected.certain is (len(expected.ids) == 1 and not expected.others)


@given(
    made=st.lists(st.integers(0, 50), min_size=1, max_size=6, unique=True),
    current=st.integers(0, 5),
    moved=st.integers(0, 20),
    read=st.integers(0, 90),
    before=st.integers(0, 30),
    after=st.integers(0, 30),
    waits=st.booleans(),
)
def test_what_a_task_really_read_is_among_its_readings(
    made: list[int], current: int, moved: int, read: int, before: int, after: int, waits: bool
) -> None:
    """Versions become current as they are made; the newest may wait for that; an old one may follow it."""
    times = sorted(made)
    versions = tuple(Version(str(at), float(at)) for at in times)
    last = versions[current % len(versions)]
    changed = float(times[-1] + moved)
    known = versions[:-1] if waits and last is versions[-1] else versions
    in_force = [version for version in known if version.since <= read]
    really = last.id if read >= changed else in_force[-1].id if in_force else None
    found = readings(History(last.id, changed, versions), float(read - before), float(read + after))
    assert (really in found.ids) or (really is None and found.others)


# Settings


def test_an_override_wins_over_a_plain_value_and_not_over_a_secret() -> None:
    own = Settings((Entry("app", VARIABLE, WAS), Entry("job", VARIABLE, value_from="arn:x")), (("app", "s3://a"),))
    over = Settings((Entry("app", VARIABLE, IS), Entry("job", VARIABLE, IS)), (("job", "s3://b"),))
    assert own.under(over) == Settings(
        (Entry("job", VARIABLE, value_from="arn:x"), Entry("app", VARIABLE, IS), Entry("job", VARIABLE, IS)),
        (("app", "s3://a"), ("job", "s3://b")),
    )
    assert own.under(Settings()) == own


@pytest.mark.parametrize(
    ("tagged", "to", "printed", "since"),
    [
        ("1970-01-01T00:00:05Z", WAS, WAS, 5.0),
        ("1970-01-01T00:00:05Z", "", WAS, 5.0),
        ("1970-01-01T00:00:05Z", IS, WAS, 9.0),
        (None, WAS, WAS, 9.0),
        ("yesterday", WAS, WAS, 9.0),
    ],
)
def test_since(tagged: str | None, to: str, printed: str, since: float) -> None:
    tags = {name: text for name, text in ((ROTATED_AT, tagged), (FINGERPRINT, to)) if text}
    assert Revision("r", "ACTIVE", Settings(), 9.0, None, tags).since(printed) == since


@pytest.mark.parametrize(
    ("status", "deregistered", "now", "startable"),
    [
        ("ACTIVE", None, 0.0, True),
        ("", None, 0.0, True),
        ("INACTIVE", 100.0, 150.0, True),
        ("INACTIVE", 100.0, 700.0, False),
        ("INACTIVE", None, 700.0, True),
        ("DELETE_IN_PROGRESS", 100.0, 150.0, False),
    ],
)
def test_startable(status: str, deregistered: float | None, now: float, startable: bool) -> None:
    assert Revision("r", status, Settings(), 0.0, deregistered).startable(now) is startable


# Times


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-01T00:01:00Z", 60.0),
        ("1970-01-01T01:01:00+01:00", 60.0),
        ("1970-01-01T00:01:00.500000+00:00", 60.5),
        ("1970-01-01T00:01:00", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_times_of_tags(text: str, at: float | None) -> None:
    assert from_iso(text) == at


def test_times_of_results() -> None:
    assert (iso(60.0), iso(None)) == ("1970-01-01T00:01:00+00:00", None)
    assert (days(0.0, 86400.0), days(10.0, 0.0)) == (1.0, 0.0)


# What a target's input says


def target_of(text: str | None, fingerprinted: str | None = WAS) -> Target:
    bare = Target(RULE, "r", "default", "arn", "t", True, "c", "s:1")
    return _overridden(Aws(OPTIONS), bare, text, Wanted(VARIABLE, fingerprinted))


def overriding(value: str, name: str = VARIABLE) -> str:
    return json.dumps({"containerOverrides": [{"name": "app", "environment": [{"name": name, "value": value}]}]})


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        (None, ()),
        ("", ()),
        ("{}", ()),
        (overriding(OLD), (Entry("app", VARIABLE, WAS),)),
        (overriding(NEW), (Entry("app", VARIABLE, IS),)),
        (overriding(OLD, "KEY"), (Entry("app", "KEY", WAS),)),
        (overriding(NEW, "KEY"), ()),
        (overriding("<key>"), (Entry("app", VARIABLE, None),)),
        (overriding("a-<key>-b"), (Entry("app", VARIABLE, None),)),
        (overriding("@@").replace('"@@"', "<key>"), (Entry("app", VARIABLE, None),)),
        (overriding("<order>", "ORDER"), ()),
        ('{"count": <n>, "list": [<a>, <b>], "containerOverrides": []}', ()),
    ],
)
def test_inputs_that_are_known(text: str | None, entries: tuple[Entry, ...]) -> None:
    found = target_of(text)
    assert (found.overrides.entries, found.unknown) == (entries, "")


@pytest.mark.parametrize(
    "text", ["<event>", "no JSON", "[]", '{"containerOverrides": "<all>"}', overriding("x", "<name>")]
)
def test_inputs_that_are_not_known(text: str) -> None:
    found = target_of(text)
    assert found.unknown
    assert found.overrides == Settings()


def test_values_of_inputs_go_to_the_scrubber() -> None:
    aws = Aws(OPTIONS)
    bare = Target(RULE, "r", "default", "arn", "t", True, "c", "s:1")
    _overridden(aws, bare, overriding("another-secret-value", "DB"), Wanted(VARIABLE))
    assert aws.scrub.text("it is another-secret-value") == "it is ********"


# What may not be seen


def test_a_refused_source_is_asked_once_and_told_once() -> None:
    unverified, asked = Unverified(), []

    def denied() -> int:
        asked.append(1)
        raise AccessDeniedError("denied", permission="x:Y", operation="x:Y", code="AccessDenied")

    def failing() -> int:
        asked.append(2)
        raise AwsError("broken", operation="x:Y", code="ServerException")

    assert [unverified.ask("one", denied, 7), unverified.ask("one", denied, 8)] == [7, 8]
    assert [unverified.ask("two", failing, 7), unverified.ask("two", failing, 8)] == [7, 8]
    assert (asked, unverified.lines) == ([1, 2, 2], ["one: denied", "two: broken"])


def test_what_came_before_a_failure_is_kept() -> None:
    unverified = Unverified()

    def items() -> Iterator[int]:
        yield 1
        raise AwsError("broken", operation="x:Y", code="ServerException")

    assert unverified.gather("items", items()) == [1]
    assert unverified.lines == ["items: broken"]


def test_what_a_deployment_that_was_replaced_names_starts_nothing() -> None:
    def deployment(status: str, number: int) -> Json:
        return {"id": f"ecs-svc/{number}", "status": status, "taskDefinition": f"s:{number}"}

    deployments = [deployment("PRIMARY", 3), deployment("ACTIVE", 2), deployment("INACTIVE", 1)]
    placed = Placed(Service.parse({"serviceName": "s", "taskDefinition": "s:3", "deployments": deployments}))
    assert list(placed.named()) == ["s:3", "s:2", "s:1"]
    assert list(placed.named(starting=True)) == ["s:3", "s:2"]


def test_a_revision_that_is_gone() -> None:
    """Nothing starts from it; for what runs it is told."""
    aws, unverified = Aws(OPTIONS), Unverified()
    network = InTurn(aws, error("ClientException", "Unable to describe task definition."))
    revisions = Revisions(aws, Wanted(VARIABLE), unverified)
    assert (revisions.get("s:1"), unverified.lines) == (None, [])
    assert revisions.in_use("s:1") is None
    assert "s:1: ECS does not know it" in unverified.lines[0]
    assert len(network.sent) == 1


def test_tasks_that_are_listed_and_not_described() -> None:
    """A stopped one that is gone meanwhile is no matter; a running one may hold anything."""
    aws, unverified = Aws(OPTIONS), Unverified()
    arns = [f"arn:aws:ecs:us-east-1:1:task/c/{name}" for name in "abcd"]
    described = [
        {"taskArn": arns[0], "lastStatus": "RUNNING", "desiredStatus": "RUNNING", "group": "service:s"},
        {"taskArn": arns[2], "lastStatus": "STOPPED", "desiredStatus": "STOPPED"},
    ]
    InTurn(
        aws,
        (200, {"taskArns": arns[:1], "nextToken": "more"}),
        (200, {"taskArns": arns[1:2]}),
        (200, {"taskArns": [arns[0], *arns[2:]]}),
        (200, {"tasks": described, "failures": [{"arn": arns[1], "reason": "MISSING"}]}),
    )
    tasks = live_tasks(aws, "c", Wanted(VARIABLE), unverified)
    assert [(task.id, task.service) for task in tasks] == [("a", "s")]
    assert unverified.lines == ["task b: ECS lists it as running and does not describe it"]


# Few calls


def test_pages_and_batches() -> None:
    """A hundred services a page, ten descriptions a call."""
    aws = Aws(OPTIONS)
    asked: list[Json] = []

    def answer(operation: str, body: Json) -> tuple[int, Json]:
        asked.append({"operation": operation, **body})
        services = [{"serviceName": name, "status": "ACTIVE"} for name in body["services"]]
        return 200, {"services": services[:-1], "failures": [{"arn": "x", "reason": "MISSING"}]}

    Network(aws, answer)
    placed = describe_services(aws, "c", [f"s{number}" for number in range(25)])
    assert [len(one["services"]) for one in asked] == [10, 10, 5]
    assert len(placed) == 22


def test_services_by_pages() -> None:
    aws = Aws(OPTIONS)
    network = InTurn(aws, (200, {"serviceArns": ["a"], "nextToken": "more"}), (200, {"serviceArns": ["b"]}))
    assert list_services(aws, "c") == ["a", "b"]
    assert [json.loads(one.body).get("nextToken") for one in network.sent] == [None, "more"]


def test_revisions_are_listed_newest_first_and_no_further_than_asked() -> None:
    aws = Aws(OPTIONS)
    arn = "arn:aws:ecs:us-east-1:1:task-definition"
    network = InTurn(
        aws,
        (200, {"taskDefinitionArns": [f"{arn}/s:9", f"{arn}/s:7", f"{arn}/s-other:1"], "nextToken": "more"}),
        (200, {"taskDefinitionArns": [f"{arn}/s:3"], "nextToken": "more"}),
        (200, {"taskDefinitionArns": [f"{arn}/s:10", f"{arn}/s:8"]}),
    )
    assert list_revisions(aws, "s", 2) == ((f"{arn}/s:10", f"{arn}/s:9"), True)
    assert len(network.sent) == 3


def test_a_service_without_a_revision_has_no_variables() -> None:
    """An EXTERNAL one before its first task set."""
    aws = Aws(OPTIONS)
    service = {"serviceName": "s", "serviceArn": "arn:aws:ecs:us-east-1:1:service/c/s", "status": "ACTIVE"}
    InTurn(aws, (200, {"services": [{**service, "taskSets": []}]}))
    asked = {"cluster": "c", "services": ["s"], "variable": VARIABLE, "fingerprint": None}
    result = info(aws, {**asked, "plaintext_revisions": True, "max_revisions": 10, "redacted_values": None})
    assert (result["variables"], result["plaintext_revisions"], result["unverified"]) == ([], [], [])


# Which key it is


@pytest.mark.parametrize(
    ("value", "redacted", "alike"),
    [
        ("sk-svcacct-abc-9xQA", "sk-svc...9xQA", True),
        ("sk-svcacct-abc-9xQA", "sk-svcacct-**********9xQA", True),
        ("sk-svcacct-abc-9xQA", "\u2022\u2022\u2022\u20229xQA", True),
        ("sk-svcacct-abc-9xQA", "sk-svc\u20269xQA", True),
        ("sk-svcacct-abc-9xQA", "sk-svc...9xQB", False),
        ("sk-svcacct-abc-9xQA", "sk-proj...9xQA", False),
        ("sk-svcacct-abc-9xQA", "sk-svc...QA", False),
        ("sk-svcacct-abc-9xQA", "sk-svc...", False),
        ("sk-svcacct-abc-9xQA", "********", False),
        ("sk-svcacct-abc-9xQA", "sk-svcacct-abc-9xQA", False),
        ("sk-9xQA", "sk-9...9xQA", False),
        ("a...b...9xQA", "a...b...9xQA", False),
    ],
)
def test_whether_a_value_is_what_is_shown_redacted(value: str, redacted: str, alike: bool) -> None:
    assert looks_like(value, redacted) is alike
