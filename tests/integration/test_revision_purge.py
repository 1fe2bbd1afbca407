# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`ecs_revision_purge` against the simulator: in this process, and through both doors of real playbooks."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint
from ansible_collections.keyturn.ecs.plugins.module_utils._purge import purge as purge_function
from ansible_collections.keyturn.ecs.plugins.modules import ecs_revision_purge
from integration.support import (
    ENVIRONMENT,
    NEW,
    OLD,
    START_AT,
    THIRD,
    VARIABLE,
    Json,
    Lab,
    Playbook,
    assert_no_value,
    clean_environment,
    standing_still,
    with_value,
)
from simulator import Simulator

PURGE = "keyturn.ecs.ecs_revision_purge"
BOTH = ["deregister_task_definition", "delete_task_definitions"]
ACCOUNT = "123456789012"
FAMILY = f"arn:aws:ecs:us-east-1:{ACCOUNT}:task-definition"


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with standing_still() as sim:
        yield sim


class Shed(Lab):
    """A lab whose service has old revisions."""

    def purge(self, *, check_mode: bool = False, **options: Any) -> Json:
        capability = dataclasses.replace(
            ecs_revision_purge.CAPABILITY,
            run=lambda aws, given, check, _say: purge_function(aws, given, check, pause=self._pause),
        )
        self.paused = []
        given = self.validated(capability, {"cluster": "c", "service": "s", "variable": VARIABLE, **options})
        result = capability.answer(given, check_mode=check_mode, diff=True)
        assert_no_value(result)
        return result

    def old(self, count: int, running: str | None = None) -> None:
        """So many revisions with alternating values; the last of them runs, or another one."""
        self.environment()
        for number in range(1, count):
            self.register(containerDefinitions=with_value(self.definition("s:1"), (OLD, NEW)[number % 2]))
        self.deploy(running or f"s:{count}")
        self.sim.advance(900)
        self.sim.clear_calls()

    def without(self) -> str:
        """A revision that does not have the variable."""
        container = self.definition("s:1")["containerDefinitions"][0]
        rest = [entry for entry in container["environment"] if entry["name"] != VARIABLE]
        return self.register(containerDefinitions=[{**container, "environment": rest}])

    def deploy(self, task_definition: str) -> None:
        self.ecs("UpdateService", cluster="c", service="s", taskDefinition=task_definition)

    def left(self) -> list[int]:
        """Revisions that can still be described as ACTIVE or INACTIVE."""
        found = []
        for status in ("ACTIVE", "INACTIVE"):
            listed = self.ecs("ListTaskDefinitions", familyPrefix="s", status=status)["taskDefinitionArns"]
            found += [int(arn.rpartition(":")[2]) for arn in listed]
        return sorted(found)


@pytest.fixture
def lab(simulator: Simulator) -> Shed:
    return Shed(simulator)


def names(entries: list[Json]) -> list[str]:
    return [one["task_definition"].rpartition("/")[2] for one in entries]


def reasons(result: Json) -> dict[str, str]:
    return dict(zip(names(result["kept"]), (one["reason"] for one in result["kept"]), strict=True))


def test_old_revisions_are_deleted_and_those_that_are_needed_kept(lab: Shed) -> None:
    lab.old(5)
    predicted = lab.purge(check_mode=True)
    assert (lab.writes(), lab.left()) == ([], [1, 2, 3, 4, 5])
    result = lab.purge()
    assert result == predicted
    assert names(result["purged"]) == ["s:3", "s:2", "s:1"]
    assert [one["fingerprint"] for one in result["purged"]] == [
        fingerprint(VARIABLE, value) for value in (OLD, NEW, OLD)
    ]
    assert list(reasons(result)) == ["s:5", "s:4"]
    assert (result["changed"], result["actions"], result["remaining"]) == (True, BOTH, 0)
    assert lab.writes() == ["DeregisterTaskDefinition"] * 3 + ["DeleteTaskDefinitions"]
    assert lab.left() == [4, 5]
    lab.sim.clear_calls()
    again = lab.purge()
    assert (again["changed"], again["purged"], again["actions"], lab.writes()) == (False, [], [], [])
    assert set(again) == set(result)


def test_diff_tells_fingerprints(lab: Shed) -> None:
    lab.old(3)
    diff = lab.purge()["diff"]
    was, now = fingerprint(VARIABLE, OLD), fingerprint(VARIABLE, NEW)
    assert diff == {"before": {"s:1": was, "s:2": now, "s:3": was}, "after": {"s:2": now, "s:3": was}}


def test_the_one_before_goes_too_when_asked(lab: Shed) -> None:
    lab.old(3)
    assert names(lab.purge(keep_previous=False)["purged"]) == ["s:2", "s:1"]
    assert lab.left() == [3]


def test_only_what_holds_a_plain_value(lab: Shed) -> None:
    lab.environment()
    for _number in range(3):
        lab.without()
    lab.register(containerDefinitions=with_value(lab.definition("s:1"), NEW))
    lab.deploy(lab.without())
    lab.sim.advance(900)
    result = lab.purge()
    assert (names(result["purged"]), reasons(result)) == (
        ["s:1"],
        {"s:5": "it is the one before, to which a rollback returns (keep_previous)"},
    )
    assert lab.left() == [2, 3, 4, 5, 6]


def test_nothing_before_the_running_one_is_lost_that_a_rollout_needs(lab: Shed) -> None:
    """While a deployment goes on, the revision before is named by another one; so are those of other services."""
    lab.old(6, running="s:3")
    lab.ecs("CreateService", cluster="c", serviceName="worker", taskDefinition="s:1", desiredCount=0)
    lab.deploy("s:5")
    result = lab.purge(keep=[f"{FAMILY}/s:2"], keep_previous=False)
    kept = reasons(result)
    assert names(result["purged"]) == ["s:4"]
    assert (kept["s:5"], kept["s:2"], kept["s:6"]) == (
        "it runs",
        "keep names it",
        "it is newer than the one that runs",
    )
    assert "of service s names it" in kept["s:3"]
    assert "of service worker names it" in kept["s:1"]


def test_what_a_rule_or_schedule_starts_is_kept(lab: Shed) -> None:
    lab.old(5)
    cluster, role = f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/c", f"arn:aws:iam::{ACCOUNT}:role/events"
    events, scheduler = lab.sim.client("events"), lab.sim.client("scheduler")
    events.put_rule(Name="nightly", ScheduleExpression="rate(1 day)")
    target = {"Arn": cluster, "RoleArn": role, "EcsParameters": {"TaskDefinitionArn": f"{FAMILY}/s:1"}}
    events.put_targets(Rule="nightly", Targets=[{"Id": "t", **target}])
    target["EcsParameters"] = {"TaskDefinitionArn": f"{FAMILY}/s:2"}
    window = {"Mode": "OFF"}
    scheduler.create_schedule(
        Name="weekly", ScheduleExpression="rate(7 days)", FlexibleTimeWindow=window, Target=target
    )
    result = lab.purge()
    assert names(result["purged"]) == ["s:3"]
    assert reasons(result)["s:1"] == "rule default/nightly starts tasks from it"
    assert reasons(result)["s:2"] == "schedule default/weekly starts tasks from it"
    lab.sim.fault("ListSchedules", "denied", times=None, service="scheduler")
    denied = lab.purge()
    assert names(denied["purged"]) == ["s:2"]
    assert "allow scheduler:ListSchedules to the caller" in denied["warnings"][0]


def test_so_many_a_run_and_slowly(lab: Shed) -> None:
    lab.old(16)
    predicted, first = lab.purge(max_revisions=12, check_mode=True), lab.purge(max_revisions=12)
    assert first == predicted
    assert (len(first["purged"]), first["remaining"]) == (12, 2)
    assert names(first["purged"])[0] == "s:14"
    # Ten are deregistered, then deleted, and then two; a second lies before each call but the first.
    assert lab.writes() == [
        *["DeregisterTaskDefinition"] * 10,
        "DeleteTaskDefinitions",
        *["DeregisterTaskDefinition"] * 2,
        "DeleteTaskDefinitions",
    ]
    assert lab.paused == [1.0] * 13
    assert (len(lab.purge(max_revisions=12)["purged"]), lab.left()) == (2, [15, 16])
    assert lab.purge(max_revisions=0)["remaining"] == 0


def test_inactive_ones_are_deleted_without_a_pause_before(lab: Shed) -> None:
    lab.old(4)
    for name in ("s:1", "s:2"):
        lab.ecs("DeregisterTaskDefinition", taskDefinition=name)
    result = lab.purge()
    assert (names(result["purged"]), result["actions"]) == (["s:2", "s:1"], ["delete_task_definitions"])
    assert lab.paused == []


def test_what_is_being_deleted_counts_as_deleted(lab: Shed) -> None:
    """A task still runs from it, so ECS has not deleted it yet."""
    lab.old(4)
    lab.ecs("RunTask", cluster="c", taskDefinition="s:1")
    lab.sim.advance(120)
    assert names(lab.purge()["purged"]) == ["s:2", "s:1"]
    assert lab.definition("s:1")["status"] == "DELETE_IN_PROGRESS"
    again = lab.purge()
    assert (again["changed"], again["purged"], names(again["kept"]), again["remaining"]) == (
        False,
        [],
        ["s:4", "s:3"],
        0,
    )


def test_a_running_revision_with_a_plain_value_is_no_obstacle(lab: Shed) -> None:
    lab.environment()
    result = lab.purge()
    assert (result["changed"], reasons(result)) == (False, {"s:1": "it runs"})


def test_an_interrupted_run_goes_on(lab: Shed) -> None:
    lab.old(5)
    lab.sim.fault("DeregisterTaskDefinition", "denied", after=1)
    failed = lab.purge()
    assert "allow ecs:DeregisterTaskDefinition to the caller" in failed["msg"]
    assert (failed["changed"], failed["purged"], failed["actions"], failed["remaining"]) == (True, [], BOTH[:1], 3)
    assert names(lab.purge()["purged"]) == ["s:3", "s:2", "s:1"]


def test_somebody_rolls_back_meanwhile(lab: Shed) -> None:
    """The services are looked at again before each batch; check mode cannot know."""
    lab.old(14)
    wrote = lab._pause

    def roll_back(seconds: float) -> None:
        if len(lab.paused) == 9:
            lab.deploy("s:2")
        wrote(seconds)

    lab._pause = roll_back  # type: ignore[method-assign]
    result = lab.purge()
    assert names(result["purged"]) == [f"s:{number}" for number in (12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 1)]
    assert "names it" in reasons(result)["s:2"]
    assert result["remaining"] == 0


def test_deletion_that_fails(lab: Shed) -> None:
    """What was deregistered is deleted by the next run."""
    lab.old(4)
    lab.sim.fault("DeleteTaskDefinitions", "error", code="ServerException", message=f"busy {OLD}", times=None)
    with lab.quick_retries():
        failed = lab.purge()
    assert "busy ********" in failed["msg"]
    assert (failed["changed"], failed["purged"], failed["remaining"]) == (True, [], 2)
    assert lab.left() == [1, 2, 3, 4]
    lab.sim.clear_faults()
    assert lab.purge()["actions"] == ["delete_task_definitions"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"keep": ["s"]}, "keep: 's' names no revision"),
        ({"max_revisions": -1}, "max_revisions is negative"),
        ({"variable": ""}, "variable is empty"),
        ({"service": "other"}, "There is no service other"),
    ],
)
def test_refusals_write_nothing(lab: Shed, options: Json, says: str) -> None:
    lab.old(3)
    assert says in lab.purge(**options)["msg"]
    assert lab.writes() == []


@pytest.mark.parametrize(
    "operation", ["ListServices", "DescribeServices", "ListTaskDefinitions", "DescribeTaskDefinition"]
)
def test_what_may_not_be_read_is_not_deleted(lab: Shed, operation: str) -> None:
    """Whatever a revision is needed for must be seen."""
    lab.old(3)
    lab.sim.fault(operation, "denied", times=None)
    assert f"allow ecs:{operation} to the caller" in lab.purge()["msg"]
    assert lab.writes() == []


def test_keep_of_another_family_is_told(lab: Shed) -> None:
    lab.old(2)
    assert lab.purge(keep=["api:1"])["warnings"] == ["keep: api:1 is of another family than s"]


def test_a_service_that_an_external_controller_deploys(lab: Shed) -> None:
    lab.environment(service="seed", family="s", desired=0)
    for value in (NEW, THIRD):
        lab.register(containerDefinitions=with_value(lab.definition("s:1"), value))
    lab.ecs("UpdateService", cluster="c", service="seed", taskDefinition="s:3")
    options = {"deploymentController": {"type": "EXTERNAL"}, "serviceName": "s", "desiredCount": 1}
    lab.ecs("CreateService", cluster="c", **options)
    assert "names no task definition" in lab.purge()["msg"]
    lab.ecs("CreateTaskSet", cluster="c", service="s", taskDefinition="s:3")
    lab.ecs("CreateTaskSet", cluster="c", service="s", taskDefinition="s:1")
    lab.sim.advance(900)
    result = lab.purge(keep_previous=False)
    assert names(result["purged"]) == ["s:2"]
    assert "task set" in reasons(result)["s:1"]


# Through both doors


CASES: dict[str, Json] = {
    "predicted": {"check_mode": True},
    "purged": {"diff": True},
    "unchanged": {},
    "missing": {"service": "nobody"},
    "bad": {"max_revisions": "many"},
}


def _play(sim: Simulator, folder: Path) -> list[Json]:
    sim.create_environment(environment=ENVIRONMENT)
    ecs = sim.client("ecs")
    base = ecs.describe_task_definition(taskDefinition="s:1")["taskDefinition"]
    body = {name: base[name] for name in ("family", "networkMode", "cpu", "memory", "executionRoleArn")}
    for _number in range(3):
        ecs.register_task_definition(**body, containerDefinitions=with_value(base, NEW))
    ecs.update_service(cluster="c", service="s", taskDefinition="s:4")
    sim.advance(900)
    tasks: list[Json] = []
    for name, given in CASES.items():
        keywords = {key: given[key] for key in ("check_mode", "diff") if key in given}
        options = {"cluster": "c", "service": "s", "variable": VARIABLE, **given}
        options = {key: value for key, value in options.items() if key not in keywords}
        tasks.append({"name": name, PURGE: options, "ignore_errors": True, "register": f"r_{name}", **keywords})
    listed = ", ".join(f"'{name}': r_{name}" for name in CASES)
    content = f"{{{{ {{ {listed} }} | to_json }}}}"
    tasks.append({"name": "record", "ansible.builtin.copy": {"dest": str(folder / "results.json"), "content": content}})
    return [{"hosts": "h", "gather_facts": False, "tasks": tasks}]


def test_both_doors_answer_the_same(tmp_path: Path, collections_path: str) -> None:
    found = {}
    for connection in ("local", "bastion"):
        folder = tmp_path / connection
        folder.mkdir()
        with clean_environment(), Simulator.start(speed=0, seed=5, start_at=START_AT, throttling=False) as sim:
            hosts = {"h": {"ansible_connection": connection}}
            environment = {**sim.environ(), "ANSIBLE_PIPELINING": "true"}
            plays = _play(sim, folder)
            with Playbook(folder, collections_path, plays, hosts, environment, ["-vvv"]) as process:
                assert process.finish() == 0, process.output
            assert_no_value(process.output)
        results = json.loads((folder / "results.json").read_text())
        found[connection] = {
            name: {member: value for member, value in result.items() if member != "invocation"}
            for name, result in results.items()
        }
    assert found["local"] == found["bastion"]
    results = found["local"]
    assert results["predicted"]["purged"] == results["purged"]["purged"] != results["unchanged"]["purged"] == []
    assert [results[name]["failed"] for name in CASES] == [False, False, False, True, True]
    assert [results[name]["changed"] for name in CASES] == [True, True, False, False, False]
