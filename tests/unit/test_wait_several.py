# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Several rollouts in one wait: each is told as if it were waited for alone, and ECS is asked for ten at once."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ansible_collections.keyturn.ecs.plugins.module_utils._aws import Aws
from ansible_collections.keyturn.ecs.plugins.module_utils._errors import AwsError, KeyturnError
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.judge import Limits
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.together import Reads, Together
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.wait import Clock, Watch, _groups, wait
from fakes.engine import START, Engine
from fakes.model import CURRENT, RECORDS
from fakes.network import OPTIONS, Answer

AWS = Aws(OPTIONS)
ECS = Engine(AWS)
ASKED: dict[str, Any] = {
    **dict.fromkeys(("cluster", "service", "deployment_id", "task_definition")),
    "timeout": 900,
    "poll_interval": 15.0,
    "max_failed_tasks": 3,
    "require_healthy": "auto",
    "progress": True,
}


@dataclass(frozen=True)
class Story:
    """A service and how its rollout ends."""

    ending: str = "completes"
    parameters: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)


DEADLOCK = {"deploymentConfiguration": {"minimumHealthyPercent": 100, "maximumPercent": 100}}
STORIES = {
    "completes": Story(),
    "one of six": Story(environment={"desired": 6, "health_check": False}),
    "nothing to run": Story(environment={"desired": 0}),
    "rolled back": Story("circuit_breaker", {"cause": "image_pull"}),
    "not rolled back": Story("circuit_breaker", {"cause": "health_check", "rollback": False}),
    "crash loop": Story("crash_loop", {"cause": "out_of_memory"}),
    "no capacity": Story("no_capacity"),
    "superseded": Story("superseded"),
    "blue/green": Story("blue_green", {"bake_minutes": 1.0}),
    "deferred clean-up": Story("deferred_cleanup", {"linger": 100.0}),
    "alarm": Story("alarm"),
    "protected": Story("task_protection"),
    "deadlock": Story(environment={"desired": 1, "service_options": DEADLOCK}),
}


def deploy(names: Sequence[tuple[str, str]], stories: Sequence[str] = ()) -> list[dict[str, str | None]]:
    """Services by cluster and name, each deployed; entries for ``services``."""
    ECS.begin(jitter=0)
    entries: list[dict[str, str | None]] = []
    for (cluster, name), story in zip(names, stories or ["completes"] * len(names), strict=True):
        told = STORIES[story]
        ECS.environment(cluster=cluster, service=name, **told.environment)
        ECS.script(told.ending, cluster, name, **told.parameters)
    for cluster, name in names:
        made = ECS.call("UpdateService", cluster=cluster, service=name, forceNewDeployment=True)["service"]
        ids = {"deployment_id": made["deployments"][0]["id"], "task_definition": made["taskDefinition"]}
        entries.append({"cluster": cluster, "service": name, **ids})
    return entries


def waited(entries: Sequence[dict[str, Any]], clock: Clock | None = None, **options: Any) -> dict[str, Any]:
    """Wait, and return the result of a success or a failure alike."""
    ECS.sent.clear()
    try:
        return wait(AWS, {**ASKED, "services": list(entries), **options}, clock or ECS.clock)
    except KeyturnError as error:
        return {**error.result, "msg": error.msg}


def named(count: int, cluster: str = "c") -> list[tuple[str, str]]:
    return [(cluster, f"s{number}") for number in range(count)]


def statuses(result: dict[str, Any]) -> list[str]:
    return [one["status"] for one in result["results"]]


def bodies(operation: str) -> list[dict[str, Any]]:
    """What was sent with the calls of an operation."""
    sent = zip(ECS.operations, ECS.sent, strict=True)
    return [json.loads(request.body) for name, request in sent if name == operation]


# How many calls


@CURRENT
@pytest.mark.parametrize(("count", "calls"), [(1, 1), (3, 1), (10, 1), (25, 3)])
def test_one_call_asks_for_ten_services(count: int, calls: int) -> None:
    alone = waited(deploy(named(1)))
    polls, lag = len(bodies("DescribeServices")), alone["results"][0]["elapsed"]
    result = waited(deploy(named(count)))
    assert statuses(result) == ["completed"] * count
    asked = bodies("DescribeServices")
    assert len(asked) == calls * polls
    assert max(len(body["services"]) for body in asked) == min(count, 10)
    # All end at the same moment here, and so are read together at the end as well.
    assert len(bodies("DescribeServiceDeployments")) == calls
    assert {one["elapsed"] for one in result["results"]} == {lag}


def test_what_is_due_soon_is_looked_at_along_and_none_is_told_later() -> None:
    chance = iter([1.15, 0.85, 1.0, 0.9, 1.1] * 1000)
    clock = Clock(now=lambda: ECS.now, sleep=ECS.after, jitter=lambda: next(chance), epoch=lambda: ECS.now)
    alone = waited(deploy(named(1)))["results"][0]["elapsed"]
    polls = len(bodies("DescribeServices"))
    result = waited(deploy(named(10)), clock)
    assert statuses(result) == ["completed"] * 10
    assert len(bodies("DescribeServices")) <= polls + 4
    assert max(one["elapsed"] for one in result["results"]) <= alone + 1


def test_services_of_two_clusters_are_not_mixed() -> None:
    entries = deploy([*named(4, "c"), *named(4, "d")])
    result = waited([entry for pair in zip(entries[:4], entries[4:], strict=True) for entry in pair])
    assert [(one["cluster"], one["service"], one["status"]) for one in result["results"]] == [
        (cluster, f"s{number}", "completed") for number in range(4) for cluster in ("c", "d")
    ]
    assert {body["cluster"]: len(body["services"]) for body in bodies("DescribeServices")} == {"c": 4, "d": 4}


def test_names_and_arns_may_be_mixed_and_one_service_be_asked_for_twice() -> None:
    entries = deploy(named(3))
    arn = "arn:aws:ecs:us-east-1:123456789012:service/c/s1"
    result = waited([entries[0], {**entries[1], "service": arn}, entries[2], {**entries[1]}, {**entries[1]}])
    assert [(one["service"], one["status"]) for one in result["results"]] == [
        (name, "completed") for name in ("s0", "s1", "s2", "s1", "s1")
    ]
    assert len(bodies("DescribeServices")[0]["services"]) == 4
    assert bodies("DescribeServices")[1]["services"] == ["s1"]  # the second who asks for it


@CURRENT
def test_a_record_is_read_along_by_the_name_that_was_found() -> None:
    def without_current(operation: str, body: dict[str, Any]) -> Answer | None:
        answer = ECS._operate(operation, body)
        for service in answer[1].get("services", ()) if isinstance(answer, tuple) else ():
            service.pop("currentServiceDeployment", None)
        return answer

    with Through(without_current):
        result = waited(deploy(named(2), ["blue/green"] * 2))
    assert statuses(result) == ["completed"] * 2
    asked = [body["serviceDeploymentArns"] for body in bodies("DescribeServiceDeployments")]
    assert [{arn.split("/")[2] for arn in arns} for arns in asked] == [{"s0"}, {"s1"}, {"s0", "s1"}]


@CURRENT
def test_who_waits_for_one_service_asks_for_nothing_else() -> None:
    result = waited(deploy(named(1), ["superseded"]))
    assert statuses(result) == ["superseded"]
    assert all(body["services"] == ["s0"] for body in bodies("DescribeServices"))
    # Another deployment is the current one by now; not until its record is seen are all of them looked at.
    assert len(bodies("DescribeServiceDeployments")[0]["serviceDeploymentArns"]) == 1


def watch(service: str, cluster: str = "c", looked_at: float = 0.0, due: float = 0.0) -> Watch:
    made = Watch(
        AWS, Reads(AWS), {"cluster": cluster, "service": service}, Limits(900.0, 3, "auto"), print, clock=ECS.clock
    )
    made._looked_at, made.due = looked_at, due
    return made


def test_those_are_looked_at_together_that_are_due_or_soon_are() -> None:
    waiting = [
        watch("half", looked_at=0, due=20),
        watch("over", looked_at=0, due=10),
        watch("recent", looked_at=8, due=18),
        watch("elsewhere", "d", looked_at=0, due=10),
        watch("not due", "e", looked_at=0, due=11),
        *(watch(f"soon {number}", looked_at=0, due=11 + number / 100) for number in range(9)),
    ]
    groups = [[one.service for one in group] for group in _groups(waiting, 10)]
    assert groups == [["over", *(f"soon {number}" for number in range(9))], ["elsewhere"]]
    assert [[one.service for one in group] for group in _groups(waiting[:3], 10)] == [["over", "half"]]


@pytest.mark.parametrize(("polls", "due"), [((0.0, 2.5), 8.75), ((0.0, 1.25), 5.625), ((0.0, 1.25, 2.5), 8.75)])
def test_a_look_before_its_time_does_not_put_the_next_one_off(polls: tuple[float, ...], due: float) -> None:
    """The pause grows with the time that nothing happened, however often somebody looked."""
    (entry,) = deploy(named(1))
    one = Watch(AWS, Reads(AWS), entry, Limits(900.0, 3, "auto"), lambda _line: None, clock=ECS.clock)
    for at in polls:
        one.poll(at, ECS.clock, 15.0)
    assert one.due == pytest.approx(due)


def test_old_tasks_that_drain_are_looked_at_together() -> None:
    entries = deploy(named(10), ["deferred clean-up"] * 10)
    result = waited(entries)
    assert statuses(result) == ["completed"] * 10
    drained = [body["tasks"] for body in bodies("DescribeTasks") if len(body["tasks"]) > 4]
    assert drained and all(len(tasks) == 40 for tasks in drained)  # two old ones and two new ones of each


# One that fails spoils nothing for the others


class Through:
    """Lets a function answer before ECS does; None leaves it to ECS."""

    def __init__(self, answer: Callable[[str, dict[str, Any]], Answer | None]) -> None:
        self._first = answer

    def __enter__(self) -> None:
        ECS._answer = self._answer

    def __exit__(self, *_: object) -> None:
        ECS._answer = ECS._operate

    def _answer(self, operation: str, body: dict[str, Any]) -> Answer:
        return self._first(operation, body) or ECS._operate(operation, body)


def denied(*wanted: str) -> Callable[[str, dict[str, Any]], Answer | None]:
    """A policy that names resources: a call about several is refused when one of them is not allowed."""

    def answer(operation: str, body: dict[str, Any]) -> Answer | None:
        asked = {"DescribeServices": "services", "DescribeServiceDeployments": "serviceDeploymentArns"}.get(operation)
        parts = {part for name in body.get(asked or "", ()) for part in name.split("/")}
        if not parts & set(wanted):
            return None
        message = f"User: arn:aws:iam::1:user/x is not authorized to perform: ecs:{operation} on resource: y"
        return 400, {"__type": "AccessDeniedException", "message": message}

    return answer


def test_each_of_ten_has_an_ending_of_its_own() -> None:
    stories = ["completes", "superseded", "rolled back", *["completes"] * 7]
    entries = deploy(named(10), stories)
    ECS.call("UpdateService", cluster="c", service="s7", desiredCount=0)
    ECS.call("DeleteService", cluster="c", service="s7", force=True)
    with Through(denied("s8")):
        result = waited([*entries, {"cluster": "c", "service": "misnamed"}])
    expected = ["completed", "superseded", "rolled_back", *["completed"] * 4, "failed", "failed", "completed", "failed"]
    assert statuses(result) == expected
    messages = {one["service"]: one.get("msg", "") for one in result["results"]}
    assert "There is no service misnamed in cluster c" in messages["misnamed"]
    assert "s7 in cluster c is" in messages["s7"] or "no service s7" in messages["s7"]
    assert "ecs:DescribeServices on service s8 in cluster c was denied" in messages["s8"]
    assert all(one["elapsed"] > 30 for one in result["results"] if one["status"] == "completed")
    # The first ten are asked for one by one once; from then on without those that are not to be had.
    asked = [len(body["services"]) for body in bodies("DescribeServices")]
    assert asked[:11] == [10, *[1] * 10]
    assert 8 in asked[11:]


def test_a_service_that_is_deleted_meanwhile_is_given_up_alone() -> None:
    entries = deploy(named(5))

    def delete_then_sleep(seconds: float) -> None:
        if ECS.world.region("123456789012", "us-east-1").clusters["c"].services["s2"].status == "ACTIVE":
            ECS.call("UpdateService", cluster="c", service="s2", desiredCount=0)
            ECS.call("DeleteService", cluster="c", service="s2", force=True)
        ECS.after(seconds)

    result = waited(entries, Clock(now=lambda: ECS.now, sleep=delete_then_sleep, jitter=lambda: 1.0))
    assert statuses(result) == ["completed", "completed", "failed", "completed", "completed"]
    assert "the service is gone" in result["msg"]


@CURRENT
def test_a_record_that_may_not_be_read_is_missed_by_its_service_alone() -> None:
    entries = deploy(named(4), ["blue/green"] * 4)
    listed = ECS.call("ListServiceDeployments", cluster="c", service="s1")["serviceDeployments"]
    with Through(denied(*(entry["serviceDeploymentArn"].rpartition("/")[2] for entry in listed))):
        result = waited(entries)
    assert statuses(result) == ["completed"] * 4
    missed = [any("DescribeServiceDeployments" in line for line in one["unverified"]) for one in result["results"]]
    assert missed == [False, True, False, False]
    asked = [len(body["serviceDeploymentArns"]) for body in bodies("DescribeServiceDeployments")]
    assert asked == [4, 1, 1, 1, 1, *[3] * (len(asked) - 5)]
    assert len(asked) > 5


@RECORDS
def test_a_bad_ending_is_told_from_what_was_read_after_it_showed() -> None:
    entries = deploy(named(3))
    result = waited(entries, timeout=10)
    assert statuses(result) == ["timed_out"] * 3
    sent = [request.body.decode() for request in ECS.sent]
    for name in ("s0", "s1", "s2"):
        service = max(place for place, body in enumerate(sent) if f'"{name}"' in body and '"services"' in body)
        read = [place for place, body in enumerate(sent) if f"/{name}/" in body and "serviceDeploymentArns" in body]
        assert max(read) > service


@RECORDS
@pytest.mark.parametrize("code", ["ThrottlingException", "ServerException", "InvalidParameterException"])
def test_where_a_call_about_several_always_fails_each_is_asked_alone(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _seconds: None)
    status = 500 if code == "ServerException" else 400

    def several(operation: str, body: dict[str, Any]) -> Answer | None:
        many = any(isinstance(member, list) and len(member) > 1 for member in body.values())
        return (status, {"__type": code, "message": "no"}) if many and operation == "DescribeServices" else None

    with Through(several):
        result = waited(deploy(named(2)))
    assert statuses(result) == ["completed"] * 2
    assert all(one["unverified"] == [] for one in result["results"])


def test_where_aws_does_not_answer_any_more_not_everyone_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _seconds: None)
    entries = deploy(named(10))
    asked: list[int] = []

    def gone(_operation: str, body: dict[str, Any]) -> Answer | None:
        asked.append(len(body.get("services", ())))
        return (500, {"__type": "ServerException", "message": "no"}) if ECS.now > START + 20 else None

    with Through(gone):
        result = waited(entries, timeout=100)
    assert statuses(result) == ["timed_out"] * 10
    assert "on service s0 in cluster c failed: ServerException" in result["results"][0]["msg"]
    assert all("and 9 more failed: ServerException" in one["msg"] for one in result["results"][1:])
    assert asked.count(1) == asked[-asked.count(1) * 2 :].count(10)


def test_a_failure_of_the_first_call_is_nobody_else_s_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was never seen is given up when it cannot be read; so each is asked for alone before that."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _seconds: None)
    entries = deploy(named(3))

    def troubled(_operation: str, body: dict[str, Any]) -> Answer | None:
        failing = "s0" in body.get("services", ()) and ECS.now == START
        return (500, {"__type": "ServerException", "message": "no"}) if failing else None

    with Through(troubled):
        result = waited(entries)
    assert statuses(result) == ["failed", "completed", "completed"]


# As if it were waited for alone


@functools.cache
def alone(story: str, interval: float) -> tuple[Any, ...]:
    entry = deploy([("c", "s")], [story])
    return told(waited(entry, poll_interval=interval)["results"][0])


def told(one: dict[str, Any]) -> tuple[Any, ...]:
    """What is not a matter of the moment of the last look."""
    causes = [finding["cause"] for finding in one["diagnosis"]]
    tasks = () if causes else (len(one["tasks"]), len(one["old_tasks"]))
    return one["status"], causes, one["unverified"], tasks


# How many is the profile's to say, a tenth of it: each example is a dozen waits.
FEW = settings(max_examples=max(settings.default.max_examples // 10, 1), phases=[Phase.explicit, Phase.generate])


@FEW
@given(
    stories=st.lists(st.sampled_from(sorted(STORIES)), min_size=2, max_size=14),
    clusters=st.lists(st.sampled_from("cd"), min_size=14, max_size=14),
    interval=st.sampled_from([5.0, 15.0, 40.0]),
    chance=st.randoms(use_true_random=False),
)
def test_each_is_told_as_if_it_were_waited_for_alone(
    stories: list[str], clusters: list[str], interval: float, chance: Any
) -> None:
    expected = [alone(story, interval) for story in stories]
    entries = deploy([(clusters[place], f"s{place}") for place in range(len(stories))], stories)
    clock = Clock(now=lambda: ECS.now, sleep=ECS.after, jitter=lambda: chance.uniform(0.85, 1.15))
    result = waited(entries, clock, poll_interval=interval)
    for story, one, wanted in zip(stories, result["results"], expected, strict=True):
        assert (story, told(one)) == (story, wanted)
    assert max(len(body["services"]) for body in bodies("DescribeServices")) <= 10


# What reads ahead


class Asked:
    """Tells of each name the name itself, but for those that are missing; fails where one is bad."""

    def __init__(self, missing: str = "", bad: str = "", transient: bool = False) -> None:
        self.calls: list[str] = []
        self.missing, self.bad, self.transient = missing, bad, transient

    def __call__(self, on: str, cluster: str, names: list[str]) -> dict[str, dict[str, Any]]:
        self.calls.append(f"{cluster}:{''.join(names)}")
        if set(self.bad) & set(names):
            raise AwsError("no", operation="ecs:X", code="X", transient=self.transient)
        return {name: {"call": len(self.calls)} for name in names if name not in self.missing}


def together(asked: Asked, patient: bool = False) -> Together:
    found = Together(3, asked)
    found.begin((("x", name) for name in "abcde"), patient)
    return found


def test_what_was_told_is_used_once() -> None:
    asked = Asked()
    kept = together(asked)
    for name in "abcda":
        assert set(kept.read("", "x", [name])) == {name}
    assert asked.calls == ["x:abc", "x:de", "x:a"]


def test_what_was_told_before_this_look_is_forgotten() -> None:
    asked = Asked()
    kept = together(asked)
    kept.read("", "x", ["a"])
    kept.begin([], patient=False)
    kept.read("", "x", ["b"])
    assert asked.calls == ["x:abc", "x:b"]


def test_names_of_another_cluster_are_not_read_along() -> None:
    asked = Asked()
    together(asked).read("", "y", ["a"])
    assert asked.calls == ["y:a"]


def test_what_was_told_before_is_asked_again_when_all_is_wanted_anew() -> None:
    asked = Asked()
    kept = together(asked)
    kept.read("", "x", ["a"])
    kept.anew()
    assert kept.read("", "x", ["b"]) == {"b": {"call": 2}}
    assert asked.calls == ["x:abc", "x:bcd"]


def test_what_is_missing_is_asked_for_alone() -> None:
    asked = Asked(missing="b")
    kept = together(asked)
    assert set(kept.read("", "x", ["a"])) == {"a"}
    assert kept.read("", "x", ["b"]) == {}
    assert asked.calls == ["x:abc", "x:bde", "x:b"]


def test_after_a_call_that_failed_each_is_asked_alone() -> None:
    asked = Asked(bad="b")
    kept = together(asked)
    assert set(kept.read("", "x", ["a"])) == {"a"}
    with pytest.raises(AwsError):
        kept.read("", "x", ["b"])
    kept.read("", "x", ["c"])
    kept.read("", "x", ["d"])
    assert asked.calls == ["x:abc", "x:a", "x:b", "x:c", "x:d"]


def test_a_failure_that_is_nobody_s_is_told_to_each_once() -> None:
    asked = Asked(bad="abc", transient=True)
    kept = together(asked, patient=True)
    for name in "abc":
        with pytest.raises(AwsError):
            kept.read("", "x", [name])
    assert asked.calls == ["x:abc", "x:a"]
    with pytest.raises(AwsError):
        kept.read("", "x", ["b"])
    assert asked.calls == ["x:abc", "x:a", "x:b"]


def test_a_failure_of_a_call_for_several_alone_is_told_to_nobody() -> None:
    asked = Asked(bad="c", transient=True)
    kept = together(asked, patient=True)
    for name in "ab":
        assert set(kept.read("", "x", [name])) == {name}
    assert asked.calls == ["x:abc", "x:a", "x:b"]


def test_who_is_refused_is_refused_alone() -> None:
    asked = Asked(bad="a")
    kept = together(asked, patient=True)
    with pytest.raises(AwsError):
        kept.read("", "x", ["a"])
    assert set(kept.read("", "x", ["b"])) == {"b"}
    assert asked.calls == ["x:abc", "x:a", "x:b"]


def test_a_failure_is_forgotten_at_the_next_look() -> None:
    asked = Asked(bad="a", transient=True)
    kept = together(asked, patient=True)
    with pytest.raises(AwsError):
        kept.read("", "x", ["a"])
    kept.begin([], patient=True)
    assert set(kept.read("", "x", ["b"])) == {"b"}
