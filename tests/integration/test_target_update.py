# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`ecs_target_update` against the simulator: rules and schedules move to another revision, and nothing else changes."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from ansible_collections.keyturn.ecs.plugins.module_utils._aws import Aws
from ansible_collections.keyturn.ecs.plugins.module_utils._targets import move
from ansible_collections.keyturn.ecs.plugins.modules import ecs_target_update
from integration.support import START_AT, Json, Playbook, assert_no_value, clean_environment, standing_still
from integration.test_env_info import ACCOUNT, CLUSTER, ROLE, WAS, House, overriding
from simulator import Simulator

FAMILY = f"arn:aws:ecs:us-east-1:{ACCOUNT}:task-definition"
WINDOW = {"FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}}


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with standing_still() as sim:
        yield sim


class Yard(House):
    """A house whose rules and schedules can be moved."""

    def move(self, targets: list[Json] | None = None, *, check_mode: bool = False, **options: Any) -> Json:
        """What holds the old value moves to what the services run."""
        found = self.info(fingerprint=WAS) if targets is None else {"holders": targets}
        capability = dataclasses.replace(
            ecs_target_update.CAPABILITY,
            run=lambda aws, given, check, _say: move(aws, given, check, now=self.sim.now),
        )
        given = self.validated(
            capability, {"targets": found["holders"], "task_definitions": [f"{FAMILY}/s:2"], **options}
        )
        result = capability.answer(given, check_mode=check_mode, diff=True)
        assert_no_value(result)
        return result

    def of_rule(self, name: str = "nightly", bus: str = "default") -> list[Json]:
        found: list[Json] = self.events.list_targets_by_rule(Rule=name, EventBusName=bus)["Targets"]
        return found

    def of_schedule(self, name: str = "weekly", group: str = "default") -> Json:
        found: Json = self.scheduler.get_schedule(Name=name, GroupName=group)
        return {key: found[key] for key in found if key not in ("ResponseMetadata", "LastModificationDate")}


@pytest.fixture
def lab(simulator: Simulator) -> Yard:
    return Yard(simulator)


def test_only_the_revision_changes(lab: Yard) -> None:
    """Both calls replace the whole target, so all of it must come back."""
    lab.rotated()
    lab.rule(
        DeadLetterConfig={"Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:dead"},
        RetryPolicy={"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 120},
        InputTransformer={"InputPathsMap": {"id": "$.id"}, "InputTemplate": '{"containerOverrides": []}'},
    )
    lab.events.put_targets(
        Rule="nightly", Targets=[{"Id": "other", "Arn": f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"}]
    )
    parameters = {
        "TaskDefinitionArn": f"{FAMILY}/s:1",
        "TaskCount": 2,
        "LaunchType": "FARGATE",
        "NetworkConfiguration": {"awsvpcConfiguration": {"Subnets": ["subnet-1"], "AssignPublicIp": "DISABLED"}},
        "Tags": [{"key": "team", "value": "shop"}],
    }
    lab.scheduler.create_schedule(
        Name="weekly",
        ScheduleExpression="cron(0 3 * * ? *)",
        ScheduleExpressionTimezone="Europe/Berlin",
        Description="the report",
        State="DISABLED",
        EndDate=datetime.fromtimestamp(START_AT + 10**8, timezone.utc),
        **WINDOW,
        Target={
            "Arn": CLUSTER,
            "RoleArn": ROLE,
            "EcsParameters": parameters,
            "RetryPolicy": {"MaximumRetryAttempts": 1, "MaximumEventAgeInSeconds": 60},
        },
    )
    rule, schedule = copy.deepcopy(lab.of_rule()), copy.deepcopy(lab.of_schedule())
    predicted = lab.move(check_mode=True)
    assert (lab.of_rule(), lab.of_schedule()) == (rule, schedule)
    done = lab.move()
    assert done == predicted
    assert (done["changed"], done["actions"]) == (True, ["put_targets", "update_schedule"])
    assert "warnings" not in done
    assert done["targets"] == [
        {
            "kind": kind,
            "id": name,
            "arn": f"arn:aws:{arn}",
            "group": "default",
            "target_id": target,
            "previous_task_definition": f"{FAMILY}/s:1",
            "task_definition": f"{FAMILY}/s:2",
            "changed": True,
            "reason": None,
        }
        for kind, name, target, arn in [
            ("rule", "default/nightly", "t1", f"events:us-east-1:{ACCOUNT}:rule/nightly"),
            ("schedule", "default/weekly", None, f"scheduler:us-east-1:{ACCOUNT}:schedule/default/weekly"),
        ]
    ]
    assert done["diff"]["after"].splitlines()[0] == f"rule default/nightly (target t1): {FAMILY}/s:2"
    next(one for one in rule if one["Id"] == "t1")["EcsParameters"]["TaskDefinitionArn"] = f"{FAMILY}/s:2"
    schedule["Target"]["EcsParameters"]["TaskDefinitionArn"] = f"{FAMILY}/s:2"
    assert sorted(lab.of_rule(), key=lambda one: one["Id"]) == sorted(rule, key=lambda one: one["Id"])
    assert lab.of_schedule() == schedule
    assert lab.holders() == []

    again = lab.move(predicted["targets"])
    assert (again["changed"], again["actions"]) == (False, [])
    assert [one["reason"] for one in again["targets"]] == ["it names s:2 already"] * 2


@pytest.mark.parametrize("named", [f"{FAMILY}/s:1", "s:1"])
def test_a_universal_target_keeps_its_input(lab: Yard, named: str) -> None:
    lab.rotated()
    text = '{"Cluster": "c",  "TaskDefinition": "%s", "Count": 1.0, "Group": "<aws.scheduler.execution-id>"}'
    lab.schedule(Arn="arn:aws:scheduler:::aws-sdk:ecs:runTask", Input=text % named)
    assert lab.move()["actions"] == ["update_schedule"]
    assert lab.of_schedule()["Target"]["Input"] == text % named.replace("s:1", "s:2")


def test_what_another_revision_does_not_help_is_left_alone(lab: Yard) -> None:
    lab.rotated()
    lab.rule(name="overridden", Input=overriding())
    lab.rule(name="family", family="s")
    lab.ecs("RegisterTaskDefinition", family="job", containerDefinitions=lab.definition("s:1")["containerDefinitions"])
    lab.rule(name="job", family="job:1")
    lab.schedule(name="gone")
    found = lab.info(fingerprint=WAS)["holders"]
    lab.scheduler.delete_schedule(Name="gone")
    family = {"kind": "rule", "id": "default/family", "group": "default", "target_id": "t1"}
    tasks = [{"kind": "task", "id": "abc"}]
    result = lab.move([*found, family, *tasks])
    assert (result["changed"], lab.writes()) == (False, [])
    assert {one["id"]: one["reason"] for one in result["targets"]} == {
        "default/overridden": "the value stands in its override, which another revision does not change: edit the "
        "override",
        "default/family": "it names the family s, and starts its latest ACTIVE revision",
        "default/job": "task_definitions has no revision of family job",
        "default/gone": "it is not there any more",
    }


def test_a_start_in_the_past_is_left_out(lab: Yard) -> None:
    """EventBridge Scheduler answers with it, and refuses it in an update."""
    lab.rotated()
    for name, later in (("begun", 2 * 86400), ("coming", 0)):
        lab.scheduler.create_schedule(
            Name=name,
            ScheduleExpression="rate(7 days)",
            StartDate=datetime.fromtimestamp(lab.sim.now() + 86400, timezone.utc),
            **WINDOW,
            Target={"Arn": CLUSTER, "RoleArn": ROLE, "EcsParameters": {"TaskDefinitionArn": f"{FAMILY}/s:1"}},
        )
        lab.sim.advance(later)
    result = lab.move()
    assert result["actions"] == ["update_schedule"] * 2
    assert len(result["warnings"]) == 1
    assert "StartDate of schedule default/begun lies in the past" in result["warnings"][0]
    assert "StartDate" not in lab.of_schedule("begun")
    assert "StartDate" in lab.of_schedule("coming")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"task_definitions": ["s"]}, "task_definitions: 's' names no revision"),
        ({"task_definitions": ["s:2", f"{FAMILY}/s:3"]}, "names two revisions of family s, s:2 and s:3"),
        ({"targets": [{"kind": "rule", "id": "default/x", "group": "default"}]}, "a rule has no target_id"),
        ({"targets": [{"kind": "schedule"}]}, "a schedule has no id, group"),
    ],
)
def test_bad_options_are_named(lab: Yard, options: Json, complaint: str) -> None:
    lab.rotated()
    result = lab.move(**{"targets": [], **options})
    assert (result["failed"], result["changed"]) == (True, False)
    assert complaint in result["msg"]


def test_what_was_done_is_told_when_it_fails(lab: Yard) -> None:
    lab.rotated()
    lab.rule()
    lab.schedule()
    lab.sim.fault("UpdateSchedule", "denied", times=None, service="scheduler")
    result = lab.move()
    assert (result["failed"], result["changed"], result["actions"]) == (True, True, ["put_targets"])
    assert [one["changed"] for one in result["targets"]] == [True, False]
    assert "allow scheduler:UpdateSchedule to the caller" in result["msg"]
    lab.sim.clear_faults()
    assert lab.move()["actions"] == ["update_schedule"]


def test_what_botocore_does_not_know_is_sent_back(lab: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members that AWS added later go back as they came; the entries that AWS refuses are told."""
    sent: dict[str, Json] = {}

    def answer(request: Any, **_more: Any) -> AWSResponse | None:
        body = json.loads(request.body or b"{}")
        target = request.headers.get("X-Amz-Target", b"")
        operation = (target.decode() if isinstance(target, bytes) else target).rpartition(".")[2] or request.method
        text: Json = {}
        if operation == "ListTargetsByRule":
            ecs = {"TaskDefinitionArn": f"{FAMILY}/s:1", "NewOption": {"x": 1}}
            text = {"Targets": [{"Id": "t1", "Arn": CLUSTER, "EcsParameters": ecs, "Newer": True}]}
        elif operation == "GET":
            ecs = {"TaskDefinitionArn": f"{FAMILY}/s:1"}
            text = {
                "Arn": "a",
                "Name": "weekly",
                "GroupName": "default",
                "ScheduleExpression": "rate(1 day)",
                "EndDate": START_AT + 10**8,
                "FlexibleTimeWindow": {"Mode": "OFF"},
                "Target": {"Arn": CLUSTER, "RoleArn": ROLE, "EcsParameters": ecs},
                "Jitter": "PT5M",
            }
        elif operation == "PutTargets":
            sent["rule"] = body
            text = {
                "FailedEntryCount": 1,
                "FailedEntries": [{"ErrorCode": "ManagedRuleException", "ErrorMessage": "no"}],
            }
        else:
            sent["schedule"] = body
            text = {"ScheduleArn": "a"}
        response = AWSResponse(request.url, 200, {"Content-Type": "application/json"}, None)
        response._content = json.dumps(text).encode()
        return response

    def answered(self: Aws, *arguments: Any, **credentials: Any) -> Any:
        client = made(self, *arguments, **credentials)
        client.meta.events.register("before-send", answer)
        return client

    made = Aws._new_client
    monkeypatch.setattr(Aws, "_new_client", answered)
    places = [
        {"kind": "schedule", "id": "default/weekly", "group": "default"},
        {"kind": "rule", "id": "default/nightly", "group": "default", "target_id": "t1"},
    ]
    result = lab.move(places)
    assert result["failed"]
    assert "events:PutTargets on rule default/nightly (target t1) failed" in result["msg"]
    assert "ManagedRuleException: no" in result["msg"]
    assert result["actions"] == ["update_schedule"]
    assert sent["rule"]["Targets"] == [
        {
            "Id": "t1",
            "Arn": CLUSTER,
            "EcsParameters": {"TaskDefinitionArn": f"{FAMILY}/s:2", "NewOption": {"x": 1}},
            "Newer": True,
        }
    ]
    assert sent["schedule"]["Jitter"] == "PT5M"
    assert sent["schedule"]["EndDate"] == START_AT + 10**8
    assert "Name" not in sent["schedule"]


CASES: dict[str, Json] = {
    "predicted": {"check_mode": True},
    "moved": {"diff": True},
    "unchanged": {},
    "bad": {"task_definitions": ["s"]},
    "missing": {"task_definitions": None},
}


def test_both_doors_answer_the_same(tmp_path: Path, collections_path: str) -> None:
    found: dict[str, Json] = {}
    for connection in ("local", "bastion"):
        folder = tmp_path / connection
        folder.mkdir()
        with clean_environment(), Simulator.start(speed=0, seed=5, start_at=START_AT, throttling=False) as sim:
            yard = Yard(sim)
            yard.rotated()
            yard.schedule()
            tasks: list[Json] = []
            for name, given in CASES.items():
                keywords = {key: given[key] for key in ("check_mode", "diff") if key in given}
                place = {"kind": "schedule", "id": "default/weekly", "group": "default"}
                options = {"targets": [place], "task_definitions": [f"{FAMILY}/s:2"], **given}
                options = {key: value for key, value in options.items() if key not in keywords and value is not None}
                task = {"keyturn.ecs.ecs_target_update": options, "ignore_errors": True, "register": f"r_{name}"}
                tasks.append({"name": name, **task, **keywords})
            listed = ", ".join(f"'{name}': r_{name}" for name in CASES)
            copied = {"dest": str(folder / "results.json"), "content": f"{{{{ {{ {listed} }} | to_json }}}}"}
            tasks.append({"name": "record", "ansible.builtin.copy": copied})
            plays = [{"hosts": "h", "gather_facts": False, "tasks": tasks}]
            environment = {**sim.environ(), "ANSIBLE_PIPELINING": "true"}
            hosts = {"h": {"ansible_connection": connection}}
            with Playbook(folder, collections_path, plays, hosts, environment) as process:
                assert process.finish() == 0, process.output
        results = json.loads((folder / "results.json").read_text())
        found[connection] = {
            name: {member: value for member, value in result.items() if member != "invocation"}
            for name, result in results.items()
        }
    assert found["local"] == found["bastion"]
    results = found["local"]
    assert [results[name]["failed"] for name in CASES] == [False, False, False, True, True]
    assert [results[name]["changed"] for name in CASES] == [True, True, False, False, False]
    assert results["predicted"]["targets"] == results["moved"]["targets"] != results["unchanged"]["targets"]
