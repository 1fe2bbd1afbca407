# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`ecs_env_info` against the simulator: in this process, and through both doors of real playbooks."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint
from ansible_collections.keyturn.ecs.plugins.module_utils._info.info import info as info_function
from ansible_collections.keyturn.ecs.plugins.modules import ecs_env_info
from integration.support import (
    ENVIRONMENT,
    NEIGHBOUR,
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

INFO = "keyturn.ecs.ecs_env_info"
ACCOUNT = "123456789012"
CLUSTER = f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/c"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/events"
WAS, IS, OTHER = (fingerprint(VARIABLE, value) for value in (OLD, NEW, THIRD))
DAY = 86400.0


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with standing_still() as sim:
        yield sim


class House(Lab):
    """A lab with secrets, parameters, rules and schedules."""

    def __init__(self, sim: Simulator) -> None:
        super().__init__(sim)
        self.secrets_manager, self.ssm = sim.client("secretsmanager"), sim.client("ssm")
        self.events, self.scheduler = sim.client("events"), sim.client("scheduler")

    def info(self, **options: Any) -> Json:
        capability = dataclasses.replace(
            ecs_env_info.CAPABILITY,
            run=lambda aws, given, _check, _say: info_function(aws, given, now=self.sim.now),
        )
        given = self.validated(capability, {"cluster": "c", "variable": VARIABLE, **options})
        writes = self.writes()
        result = capability.answer(given, check_mode=False, diff=False)
        assert_no_value(result)
        assert self.writes() == writes
        return result

    def holders(self, value: str = OLD, **options: Any) -> list[tuple[str, str]]:
        """Kind and id (of a task: its service) of all that holds a value, when nothing was unverified."""
        result = self.info(fingerprint=fingerprint(VARIABLE, value), **options)
        assert result["unverified"] == []
        assert result["clear"] is not bool(result["holders"])
        return [(one["kind"], one["service"] if one["kind"] == "task" else one["id"]) for one in result["holders"]]

    def secret(self, text: str = OLD, name: str = "prod/openai", **more: Any) -> str:
        arn: str = self.secrets_manager.create_secret(Name=name, SecretString=text, **more)["ARN"]
        self.sim.advance(60)
        return arn

    def put(self, text: str, name: str = "prod/openai", **more: Any) -> str:
        self.sim.advance(60)
        version: str = self.secrets_manager.put_secret_value(SecretId=name, SecretString=text, **more)["VersionId"]
        self.sim.advance(60)
        return version

    def parameter(self, value: str = OLD, name: str = "/prod/openai") -> str:
        self.sim.advance(60)
        self.ssm.put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)
        self.sim.advance(60)
        return f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/{name.lstrip('/')}"

    def reading(self, value_from: str, **wanted: Any) -> Json:
        """A service whose variable is a reference, and whose tasks started now."""
        return self.environment(
            environment={"LOG_LEVEL": "INFO"}, secrets={VARIABLE: value_from}, age_seconds=30, **wanted
        )

    def rotated(self, value: str = NEW) -> Json:
        """A service that was given another value, and its rollout is over."""
        made = self.environment()
        self.deploy(self.register(containerDefinitions=with_value(self.definition("s:1"), value)))
        self.sim.advance(900)
        return made

    def deploy(self, task_definition: str, service: str = "s") -> None:
        self.ecs("UpdateService", cluster="c", service=service, taskDefinition=task_definition)

    def start(self, task_definition: str = "s:1", **more: Any) -> str:
        """A standalone task that runs."""
        arn: str = self.ecs("RunTask", cluster="c", taskDefinition=task_definition, **more)["tasks"][0]["taskArn"]
        self.sim.advance(120)
        return arn

    def rule(self, name: str = "nightly", bus: str = "default", state: str = "ENABLED", **target: Any) -> None:
        """A rule with one ECS target; `family` is what its TaskDefinitionArn ends in."""
        family = target.pop("family", "s:1")
        # Only the default bus has rules with a schedule.
        when = {"ScheduleExpression": "rate(1 day)"} if bus == "default" else {"EventPattern": '{"source": ["shop"]}'}
        self.events.put_rule(Name=name, State=state, EventBusName=bus, **when)
        parameters = {"TaskDefinitionArn": f"arn:aws:ecs:us-east-1:{ACCOUNT}:task-definition/{family}", "TaskCount": 1}
        entry = {"Id": "t1", "Arn": CLUSTER, "RoleArn": ROLE, "EcsParameters": parameters, **target}
        self.events.put_targets(Rule=name, EventBusName=bus, Targets=[entry])

    def schedule(self, name: str = "weekly", group: str = "default", state: str = "ENABLED", **target: Any) -> None:
        family = target.pop("family", "s:1")
        if group != "default":
            self.scheduler.create_schedule_group(Name=group)
        entry = {"Arn": CLUSTER, "RoleArn": ROLE, **target}
        if ":cluster/" in entry["Arn"]:
            arn = f"arn:aws:ecs:us-east-1:{ACCOUNT}:task-definition/{family}"
            entry["EcsParameters"] = {"TaskDefinitionArn": arn, "TaskCount": 1}
        self.scheduler.create_schedule(
            Name=name,
            GroupName=group,
            State=state,
            ScheduleExpression="rate(7 days)",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target=entry,
        )


@pytest.fixture
def lab(simulator: Simulator) -> House:
    return House(simulator)


def overriding(value: str = OLD, name: str = VARIABLE, container: str = "app") -> str:
    one = {"name": container, "environment": [{"name": name, "value": value}]}
    return json.dumps({"containerOverrides": [one]})


# What holds which value


def test_a_plain_value(lab: House) -> None:
    made = lab.environment(age_seconds=40 * DAY)
    lab.environment(service="other", environment={"LOG_LEVEL": "INFO"})
    result = lab.info()
    assert result["variables"] == [
        {
            "service": "s",
            "container": "app",
            "store": "environment",
            "fingerprint": WAS,
            "key_id": None,
            "since": result["variables"][0]["since"],
            "age_days": 40.0,
            "task_definition": made["task_definition"],
            "plaintext": True,
            "value_from": None,
            "secret_arn": None,
        }
    ]
    assert {name: result[name] for name in ("holders", "plaintext_revisions", "unverified", "clear", "changed")} == {
        "holders": [],
        "plaintext_revisions": [],
        "unverified": [],
        "clear": None,
        "changed": False,
    }
    assert {call["operation"] for call in lab.calls()} == {"ListServices", "DescribeServices", "DescribeTaskDefinition"}


@pytest.mark.parametrize(("tagged_with", "age"), [(WAS, 10.0), (None, 10.0), (OTHER, 2.0)])
def test_the_tags_of_a_rotation_tell_since_when(lab: House, tagged_with: str | None, age: float) -> None:
    """Unless they tell of another value than the one that is there."""
    lab.sim.advance(12 * DAY)
    tags = [{"key": "keyturn:rotated-at", "value": _iso(lab.sim.now() - 10 * DAY)}]
    if tagged_with:
        tags.append({"key": "keyturn:fingerprint", "value": tagged_with})
    lab.environment(age_seconds=2 * DAY, tags=tags)
    assert lab.info()["variables"][0]["age_days"] == age


def _iso(at: float) -> str:

    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_every_store_and_container(lab: House) -> None:
    secret = lab.secret(json.dumps({"db": NEIGHBOUR, "openai": NEW}))
    parameter = lab.parameter(THIRD)
    containers: list[Json] = [
        {"name": "app", "environment": [{"name": VARIABLE, "value": OLD}, {"name": "DB", "value": NEIGHBOUR}]},
        {"name": "worker", "secrets": [{"name": VARIABLE, "valueFrom": f"{secret}:openai::"}]},
        {"name": "cron", "secrets": [{"name": VARIABLE, "valueFrom": "/prod/openai"}]},
        {"name": "proxy", "environment": [{"name": "LOG_LEVEL", "value": "INFO"}]},
    ]
    lab.environment(containers=containers)
    result = lab.info()
    told = [
        tuple(one[name] for name in ("container", "store", "fingerprint", "plaintext")) for one in result["variables"]
    ]
    assert told == [
        ("app", "environment", WAS, True),
        ("worker", "secretsmanager", IS, False),
        ("cron", "ssm", OTHER, False),
    ]
    assert [one["secret_arn"] for one in result["variables"]] == [None, secret, parameter]
    assert [one["value_from"] for one in result["variables"]] == [None, f"{secret}:openai::", "/prod/openai"]
    assert (result["unverified"], [one["age_days"] for one in result["variables"]]) == ([], [30.0, 0.0, 0.0])


def test_a_pinned_version_is_as_old_as_itself(lab: House) -> None:
    arn = lab.secret()
    version = lab.secrets_manager.get_secret_value(SecretId=arn)["VersionId"]
    lab.sim.advance(3 * DAY)
    lab.put(NEW)
    lab.reading(f"{arn}:::{version}")
    (found,) = lab.info()["variables"]
    assert (found["fingerprint"], found["age_days"]) == (WAS, 3.0)


def test_services_limit_the_variables_and_must_exist(lab: House) -> None:
    for name in ("s", "other", "third"):
        lab.environment(service=name)
    arn = lab.service("third")["serviceArn"]
    assert [one["service"] for one in lab.info(services=["s", arn])["variables"]] == ["s", "third"]
    assert (
        "services: there is no ACTIVE service nothing, nobody in cluster c"
        in lab.info(services=["nothing", "nobody"])["msg"]
    )


def test_other_accounts_parameters_are_asked_for_by_their_arn(lab: House) -> None:
    """The name alone would lead to a parameter of one's own."""
    lab.parameter(OLD)
    lab.reading("arn:aws:ssm:us-east-1:210987654321:parameter/prod/openai")
    result = lab.info()
    assert result["variables"][0]["fingerprint"] is None
    assert "210987654321" in result["unverified"][0]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"fingerprint": "sha256:1"}, "fingerprint is not a fingerprint"),
        ({"variable": ""}, "variable is empty"),
        ({"max_revisions": 0}, "max_revisions must be 1 or more"),
        ({"cluster": "nowhere"}, "ClusterNotFoundException"),
    ],
)
def test_refusals(lab: House, options: Json, says: str) -> None:
    assert says in lab.info(**options)["msg"]


# Who holds it


def test_nothing_holds_it_after_a_rotation(lab: House) -> None:
    lab.rotated()
    assert lab.holders(OLD) == []
    assert lab.holders(NEW) == [("service", "s"), ("task", "s"), ("task", "s")]


def test_a_rollout_that_goes_on(lab: House) -> None:
    """The old deployment may still start tasks, and its tasks run."""
    lab.environment()
    lab.deploy(lab.register(containerDefinitions=with_value(lab.definition("s:1"), NEW)))
    result = lab.info(fingerprint=WAS)
    (service, *tasks) = result["holders"]
    assert (service["kind"], service["task_definition"].rpartition("/")[2]) == ("service", "s:1")
    assert "(ACTIVE)" in service["evidence"]
    assert len(tasks) == 2
    assert (result["clear"], result["unverified"]) == (False, [])


def test_draining_and_protected_tasks(lab: House) -> None:
    made = lab.environment()
    lab.ecs("UpdateTaskProtection", cluster="c", tasks=made["tasks"][:1], protectionEnabled=True, expiresInMinutes=120)
    lab.deploy(lab.register(containerDefinitions=with_value(lab.definition("s:1"), NEW)))
    wanted, seen = {"draining", "protected from scale-in until"}, set[str]()
    for _look in range(40):
        lab.sim.advance(20)
        tasks = [one for one in lab.info(fingerprint=WAS)["holders"] if one["kind"] == "task"]
        seen |= {words for words in wanted for one in tasks if words in one["evidence"]}
        if seen == wanted:
            break
    assert seen == wanted


def test_a_service_at_desired_0(lab: House) -> None:
    lab.environment(desired=0)
    (holder,) = lab.info(fingerprint=WAS)["holders"]
    assert (holder["kind"], holder["id"], holder["cluster"]) == ("service", "s", "c")
    assert "desired 0, and more once it scales up" in holder["evidence"]
    assert "container app has it as OPENAI_API_KEY from the environment of s:1" in holder["evidence"]


def test_task_sets(lab: House) -> None:
    lab.environment(family="f", service="seed", desired=0)
    new = lab.register("f:1", containerDefinitions=with_value(lab.definition("f:1"), NEW))
    options = {"deploymentController": {"type": "EXTERNAL"}, "serviceName": "ext", "desiredCount": 1}
    lab.ecs("CreateService", cluster="c", **options)
    lab.ecs("CreateTaskSet", cluster="c", service="ext", taskDefinition=new)
    lab.ecs("CreateTaskSet", cluster="c", service="ext", taskDefinition="f:1")
    result = lab.info(fingerprint=WAS)
    assert [(one["service"], one["fingerprint"]) for one in result["variables"]] == [("seed", WAS), ("ext", IS)]
    (found,) = [one for one in result["holders"] if one["kind"] == "task_set"]
    assert (found["service"], "it is ACTIVE" in found["evidence"]) == ("ext", True)
    assert "/f:1" in found["task_definition"]


def test_standalone_tasks_and_their_overrides(lab: House) -> None:
    lab.rotated()
    lab.start("s:1")
    lab.start("s:2", overrides=json.loads(overriding()))
    lab.start("s:1", overrides=json.loads(overriding(THIRD)))
    result = lab.info(fingerprint=WAS)
    plain, override = result["holders"]
    assert (plain["kind"], plain["service"], result["unverified"]) == ("task", None, [])
    assert "standalone" in plain["evidence"]
    assert "from an override" in override["evidence"]
    assert lab.holders(THIRD) == [("task", None)]


def test_the_value_under_another_name(lab: House) -> None:
    lab.environment(environment={**ENVIRONMENT, VARIABLE: NEW, "OPENAI_KEY": OLD})
    service, *_tasks = lab.info(fingerprint=WAS)["holders"]
    assert "container app has it as OPENAI_KEY" in service["evidence"]


def test_other_clusters_do_not_matter(lab: House) -> None:
    lab.rotated()
    lab.environment(cluster="elsewhere", family="far")
    assert lab.holders(OLD) == []


@pytest.mark.parametrize("services", [["s"], None])
def test_holders_are_looked_for_in_the_whole_cluster(lab: House, services: list[str] | None) -> None:
    lab.rotated()
    lab.environment(service="other", desired=0)
    assert lab.holders(OLD, services=services) == [("service", "other")]


# What EventBridge starts


def test_a_rule_pinned_to_the_old_revision(lab: House) -> None:
    lab.rotated()
    lab.rule()
    (found,) = lab.info(fingerprint=WAS)["holders"]
    assert {name: found[name] for name in ("kind", "id", "cluster", "service", "group", "target_id")} == {
        "kind": "rule",
        "id": "default/nightly",
        "cluster": "c",
        "service": None,
        "group": "default",
        "target_id": "t1",
    }
    assert "pinned to s:1; container app has it" in found["evidence"]


def test_rules_of_every_bus_disabled_ones_too(lab: House) -> None:
    lab.rotated()
    lab.events.create_event_bus(Name="orders")
    lab.rule("a", bus="orders", state="DISABLED")
    lab.rule("b", family="s")
    lab.rule("c", family="s:2")
    (found,) = lab.info(fingerprint=WAS)["holders"]
    assert (found["id"], ", disabled" in found["evidence"]) == ("orders/a", True)
    # A family without revision means its latest ACTIVE one.
    assert [one for one in lab.holders(NEW) if one[0] == "rule"] == [("rule", "default/b"), ("rule", "default/c")]


@pytest.mark.parametrize(
    ("family", "given", "held"),
    [
        ("s:2", {"Input": overriding()}, True),
        ("s:1", {"Input": overriding(THIRD)}, False),
        ("s:1", {"Input": overriding(OLD, "OTHER_NAME")}, True),
        ("s:2", {"Input": '{"containerOverrides": []}'}, False),
    ],
)
def test_an_input_overrides_the_revision(lab: House, family: str, given: Json, held: bool) -> None:
    lab.rotated()
    lab.rule(family=family, **given)
    lab.schedule(family=family, **given)
    assert lab.holders(OLD) == [("rule", "default/nightly"), ("schedule", "default/weekly")] * held


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"InputPath": "$.detail"}, True),
        ({"Input": "no JSON"}, True),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {"v": "$.detail.v"},
                    "InputTemplate": overriding("<v>"),
                }
            },
            True,
        ),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {"v": "$.detail.v"},
                    "InputTemplate": overriding("x", "ORDER").replace('"x"', "<v>"),
                }
            },
            False,
        ),
    ],
)
def test_what_comes_from_the_event_is_not_known(lab: House, given: Json, told: bool) -> None:
    lab.rotated()
    lab.rule(family="s:2", **given)
    result = lab.info(fingerprint=WAS)
    assert (result["holders"], result["clear"]) == ([], not told)
    assert [line for line in result["unverified"] if "rule default/nightly" in line] == result["unverified"]


def test_a_schedule_that_is_gone_meanwhile_does_not_hide_the_others(lab: House) -> None:
    lab.rotated()
    lab.schedule("once")
    lab.schedule("weekly", group="g")
    lab.sim.fault("GetSchedule", "error", code="ResourceNotFoundException", status=404, service="scheduler")
    assert len(lab.holders(OLD)) == 1


def test_what_was_seen_before_a_refusal_counts(lab: House) -> None:
    lab.rotated()
    lab.rule("a")
    lab.rule("b")
    lab.sim.fault("ListTargetsByRule", "denied", times=None, after=1, service="events")
    result = lab.info(fingerprint=WAS)
    assert ([one["id"] for one in result["holders"]], len(result["unverified"])) == (["default/a"], 1)


def test_schedules_of_every_group(lab: House) -> None:
    lab.rotated()
    lab.schedule()
    lab.schedule("off", group="reports", state="DISABLED")
    lab.schedule("new", group="fresh", family="s:2")
    lab.schedule("queue", group="others", Arn=f"arn:aws:sqs:us-east-1:{ACCOUNT}:q")
    assert sorted(lab.holders(OLD)) == [("schedule", "default/weekly"), ("schedule", "reports/off")]
    names = [call["operation"] for call in lab.calls()]
    assert names.count("GetSchedule") == 3


@pytest.mark.parametrize(("revision", "value"), [("s:1", NEW), ("s:2", OLD)])
def test_the_universal_target_of_a_schedule(lab: House, revision: str, value: str) -> None:
    lab.rotated()
    override = {"Name": "app", "Environment": [{"Name": VARIABLE, "Value": value}]}
    body: Json = {"Cluster": "c", "TaskDefinition": revision}
    if value == OLD:
        body["Overrides"] = {"ContainerOverrides": [override]}
    lab.schedule(Arn="arn:aws:scheduler:::aws-sdk:ecs:runTask", Input=json.dumps(body))
    assert lab.holders(OLD) == [("schedule", "default/weekly")]


def test_what_nothing_can_start_any_more(lab: House) -> None:
    """A revision that was deregistered, or deleted."""
    lab.rotated()
    lab.rule()
    lab.rule("gone", family="s:7")
    lab.ecs("DeregisterTaskDefinition", taskDefinition="s:1")
    assert lab.holders(OLD) == [("rule", "default/nightly")]
    lab.sim.advance(600)
    assert lab.holders(OLD) == []


def test_a_target_in_another_cluster_counts_when_it_holds_the_value(lab: House) -> None:
    lab.rotated()
    lab.environment(cluster="elsewhere", service="far", family="far", environment={"LOG_LEVEL": "INFO"})
    there = CLUSTER.replace("/c", "/elsewhere")
    lab.rule("far", family="far:1", Arn=there, InputPath="$.detail")
    assert lab.holders(OLD) == []
    lab.rule("near", Arn=there)
    (found,) = lab.info(fingerprint=WAS)["holders"]
    assert (found["id"], found["cluster"]) == ("default/near", "elsewhere")


# Tasks read secrets when they start


def test_tasks_older_than_the_secrets_version(lab: House) -> None:
    """The service would start with the new one; its tasks still hold the old one."""
    lab.reading(lab.secret())
    assert lab.holders(OLD) == [("service", "s"), ("task", "s"), ("task", "s")]
    lab.put(NEW)
    assert lab.holders(OLD) == [("task", "s"), ("task", "s")]
    assert lab.holders(NEW) == [("service", "s")]
    lab.ecs("UpdateService", cluster="c", service="s", forceNewDeployment=True)
    lab.sim.advance(900)
    assert lab.holders(OLD) == []
    assert lab.holders(NEW) == [("service", "s"), ("task", "s"), ("task", "s")]


def test_parameters_and_their_history(lab: House) -> None:
    lab.reading(lab.parameter(OLD))
    lab.parameter(NEW)
    lab.parameter(THIRD)
    assert lab.holders(OLD) == [("task", "s"), ("task", "s")]
    assert (lab.holders(NEW), lab.holders(THIRD)) == ([], [("service", "s")])


def test_two_versions_ago(lab: House) -> None:
    lab.reading(f"{lab.secret(json.dumps({'k': OLD}))}:k::")
    lab.put(json.dumps({"k": NEW}))
    lab.put(json.dumps({"k": THIRD}))
    assert lab.holders(OLD) == [("task", "s"), ("task", "s")]
    assert lab.holders(NEW) == []


def test_a_stage_that_was_moved_back(lab: House) -> None:
    """Which of the two the tasks read that started between is not known for certain."""
    arn = lab.secret()
    first = lab.secrets_manager.get_secret_value(SecretId=arn)["VersionId"]
    second = lab.put(NEW)
    lab.reading(arn)
    lab.sim.advance(60)
    lab.secrets_manager.update_secret_version_stage(
        SecretId=arn, VersionStage="AWSCURRENT", MoveToVersionId=first, RemoveFromVersionId=second
    )
    for value in (NEW, OLD):
        result = lab.info(fingerprint=fingerprint(VARIABLE, value))
        assert result["clear"] is False
        assert "tasks of service s: container app may have read another value of" in " ".join(result["unverified"])
        assert [one["kind"] for one in result["holders"]] == ["service"] * (value == OLD)


def test_a_pinned_version_is_what_its_tasks_hold(lab: House) -> None:
    arn = lab.secret()
    version = lab.secrets_manager.get_secret_value(SecretId=arn)["VersionId"]
    lab.reading(f"{arn}:::{version}")
    lab.put(NEW)
    assert lab.holders(OLD) == [("service", "s"), ("task", "s"), ("task", "s")]
    assert lab.holders(NEW) == []


def test_a_stage_of_ones_own_has_no_history(lab: House) -> None:
    arn = lab.secret("of-no-interest")
    lab.put(OLD, VersionStages=["blue"])
    lab.reading(f"{arn}::blue:")
    lab.put(NEW, VersionStages=["blue"])
    result = lab.info(fingerprint=WAS)
    assert (result["holders"], result["clear"]) == ([], False)
    assert "may have read another value" in result["unverified"][0]


def test_a_secret_that_services_share_is_read_once(lab: House) -> None:
    arn = lab.secret(json.dumps({"a": OLD, "b": NEW}))
    for number in range(5):
        lab.reading(f"{arn}:{'ab'[number % 2]}::", service=f"s{number}")
    lab.sim.clear_calls()
    assert len(lab.info(fingerprint=WAS)["holders"]) == 9
    names = [call["operation"] for call in lab.calls()]
    assert (names.count("GetSecretValue"), names.count("DescribeSecret")) == (1, 1)
    assert "ListSecretVersionIds" not in names


# What may not be seen


DENIED = [
    ("ecs", "ListTasks", "ecs:ListTasks"),
    ("ecs", "DescribeTasks", "ecs:DescribeTasks"),
    ("ecs", "DescribeTaskDefinition", "ecs:DescribeTaskDefinition"),
    ("events", "ListEventBuses", "events:ListEventBuses"),
    ("events", "ListRules", "events:ListRules"),
    ("events", "ListTargetsByRule", "events:ListTargetsByRule"),
    ("scheduler", "ListSchedules", "scheduler:ListSchedules"),
    ("scheduler", "GetSchedule", "scheduler:GetSchedule"),
    ("secretsmanager", "GetSecretValue", "secretsmanager:GetSecretValue"),
    ("secretsmanager", "DescribeSecret", "secretsmanager:DescribeSecret"),
    ("secretsmanager", "ListSecretVersionIds", "secretsmanager:ListSecretVersionIds"),
    ("ssm", "GetParameter", "ssm:GetParameter"),
    ("ssm", "GetParameterHistory", "ssm:GetParameterHistory"),
]


@pytest.mark.parametrize(("service", "operation", "permission"), DENIED, ids=[one[1] for one in DENIED])
def test_what_is_denied_is_told_and_never_clear(lab: House, service: str, operation: str, permission: str) -> None:
    lab.reading(lab.secret(NEW))
    lab.put(THIRD)
    lab.reading(lab.parameter(NEW), service="p", family="p")
    lab.parameter(THIRD)
    lab.rule(family="s:1")
    lab.schedule(family="s:1")
    assert lab.info(fingerprint=WAS)["clear"] is True
    lab.sim.fault(operation, "denied", times=None, service=service)
    result = lab.info(fingerprint=WAS)
    assert (result["holders"], result["clear"], result.get("failed")) == ([], False, None)
    assert f"allow {permission} to the caller" in " ".join(result["unverified"])


def test_protection_that_may_not_be_seen_changes_nothing(lab: House) -> None:
    lab.environment()
    lab.sim.fault("GetTaskProtection", "denied", times=None)
    assert lab.holders(OLD) == [("service", "s"), ("task", "s"), ("task", "s")]


def test_list_services_is_needed_only_where_services_are_not_named(lab: House) -> None:
    lab.rotated()
    lab.sim.fault("ListServices", "denied", times=None)
    assert "allow ecs:ListServices" in lab.info()["msg"]
    assert lab.info(services=["s"])["unverified"] == []
    result = lab.info(services=["s"], fingerprint=WAS)
    assert (result["holders"], result["clear"], len(result["unverified"])) == ([], False, 1)


def test_a_secret_that_is_not_there(lab: House) -> None:
    lab.reading(f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:missing-aaaaaa")
    result = lab.info()
    assert (result["variables"][0]["fingerprint"], result["variables"][0]["since"]) == (None, None)
    assert "missing-aaaaaa" in result["unverified"][0]


def test_what_is_no_text_and_what_is_no_reference(lab: House) -> None:
    binary = lab.secrets_manager.create_secret(Name="binary", SecretBinary=b"x")["ARN"]
    lab.reading(binary)
    lab.reading("arn:aws:s3:::bucket/key", service="t", family="t")
    result = lab.info(fingerprint=WAS)
    assert [one["fingerprint"] for one in result["variables"]] == [None, None]
    assert (result["holders"], result["clear"]) == ([], False)
    assert "it holds binary data" in result["unverified"][0]
    assert "arn:aws:s3:::bucket/key is neither a secret's ARN" in result["unverified"][1]


def test_an_arn_does_not_tell_whether_a_parameters_name_begins_with_a_slash(lab: House) -> None:
    lab.parameter(OLD, "/openai")
    lab.reading(f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/openai")
    assert lab.info()["variables"][0]["fingerprint"] == WAS


@pytest.mark.parametrize("text", ["no JSON", '{"other": "x"}'])
def test_a_json_key_that_is_not_there(lab: House, text: str) -> None:
    lab.reading(f"{lab.secret(text)}:openai::")
    result = lab.info(fingerprint=WAS)
    assert result["variables"][0]["fingerprint"] is None
    assert "no JSON object with the key openai" in result["unverified"][0]


@pytest.mark.parametrize(("entries", "told"), [([], True), ([{"name": VARIABLE, "value": NEW}], False)])
def test_environment_files_may_set_it(lab: House, entries: list[Json], told: bool) -> None:
    """Unless the container has the variable itself, which wins over files."""
    files = [{"type": "s3", "value": "arn:aws:s3:::config/prod.env"}]
    lab.environment(containers=[{"name": "app", "environment": entries, "environmentFiles": files}])
    for result in (lab.info(), lab.info(fingerprint=WAS)):
        assert ["container app reads arn:aws:s3:::config/prod.env" in line for line in result["unverified"]] == [
            True
        ] * told


def test_an_error_that_repeats_a_value(lab: House) -> None:
    lab.environment()
    lab.reading(lab.secret(THIRD), service="s2")
    lab.sim.fault("ListTasks", "error", times=None, message=f"bad {OLD} {THIRD} {NEIGHBOUR}")
    result = lab.info(fingerprint=WAS)
    assert "bad ******** ******** ********" in result["unverified"][0]


# Old revisions


def test_plaintext_revisions(lab: House) -> None:
    lab.environment()
    for value in (NEW, THIRD):
        lab.register(containerDefinitions=with_value(lab.definition("s:1"), value))
    lab.register(containerDefinitions=[{**lab.definition("s:1")["containerDefinitions"][0], "environment": []}])
    lab.deploy("s:4")
    lab.ecs("DeregisterTaskDefinition", taskDefinition="s:2")
    assert lab.info()["plaintext_revisions"] == []
    result = lab.info(plaintext_revisions=True)
    found = [
        (one["task_definition"].rpartition("/")[2], one["status"], one["fingerprint"])
        for one in result["plaintext_revisions"]
    ]
    assert found == [("s:3", "ACTIVE", OTHER), ("s:2", "INACTIVE", IS), ("s:1", "ACTIVE", WAS)]
    assert result["unverified"] == []
    limited = lab.info(plaintext_revisions=True, max_revisions=2)
    assert len(limited["plaintext_revisions"]) == 1
    assert "only the newest 2 were read (max_revisions)" in limited["unverified"][0]


# A whole cluster


def test_a_hundred_services(lab: House) -> None:
    for number in range(100):
        lab.environment(service=f"s{number}", desired=1)
    lab.sim.clear_calls()
    assert len(lab.info()["variables"]) == 100
    assert len(lab.calls()) == 1 + 10 + 100
    lab.sim.clear_calls()
    assert len(lab.info(fingerprint=WAS)["holders"]) == 200
    names = [call["operation"] for call in lab.calls()]
    # Services, definitions; EventBridge's buses, rules and schedules; tasks, and which of them are protected.
    assert len(names) == 111 + 1 + 1 + 1 + 2 + 1 + 1


# Which key it is


def test_a_rotation_writes_down_which_key_it_is(lab: House) -> None:
    """The next one says which it replaced; a tag that tells of another value counts for nothing."""
    lab.environment()
    first = lab.rotate(record={"key_id": "key_2", "reason": "left", "by": "ann"})
    assert first["previous_key_id"] is None
    lab.sim.advance(900)
    assert [one["key_id"] for one in lab.info()["variables"]] == ["key_2"]
    tags = lab.tags("s:2")
    assert tags == {
        "keyturn:fingerprint": IS,
        "keyturn:rotated-at": tags["keyturn:rotated-at"],
        "keyturn:key-id": "key_2",
        "keyturn:reason": "left",
        "keyturn:by": "ann",
    }
    unchanged = lab.rotate(record={"key_id": "key_2", "reason": "again", "by": "bob"})
    assert (unchanged["changed"], unchanged["previous_key_id"]) == (False, "key_2")
    second = lab.rotate(value=THIRD, record={"key_id": "key_3"})
    assert second["previous_key_id"] == "key_2"
    lab.sim.advance(900)
    found = lab.info(fingerprint=IS, redacted_values=[])
    assert (found["key_id"], found["holders"]) == ("key_2", [])
    assert lab.info(fingerprint=IS)["key_id"] is None
    # A deployment by others carries the tags over to another value.
    definition = lab.definition("s:3")
    carried = [{"key": key, "value": value} for key, value in tags.items()]
    lab.deploy(lab.register(containerDefinitions=with_value(definition, OLD), tags=carried))
    assert [one["key_id"] for one in lab.info()["variables"]] == [None]
    assert lab.rotate(record={}, in_progress="supersede")["previous_key_id"] is None


REDACTED = [f"{OLD[:8]}...{OLD[-4:]}", f"{NEW[:8]}...{NEW[-4:]}"]


def test_the_old_key_is_known_by_what_its_provider_shows(lab: House) -> None:
    """In a revision that was replaced, in one that runs, and nowhere."""
    lab.environment()
    assert lab.info(fingerprint=WAS, redacted_values=REDACTED)["redacted_values"] == REDACTED[:1]
    lab.deploy(lab.register(containerDefinitions=with_value(lab.definition("s:1"), NEW)))
    lab.sim.advance(900)
    result = lab.info(fingerprint=WAS, redacted_values=REDACTED)
    assert (result["redacted_values"], result["holders"], result["clear"]) == (REDACTED[:1], [], True)
    assert lab.info(fingerprint=OTHER, redacted_values=REDACTED)["redacted_values"] == []


def test_the_old_key_is_known_by_an_earlier_version_of_a_secret(lab: House) -> None:
    lab.reading(lab.secret())
    lab.put(THIRD)
    lab.put(NEW)
    lab.ecs("UpdateService", cluster="c", service="s", forceNewDeployment=True)
    lab.sim.advance(900)
    result = lab.info(fingerprint=WAS, redacted_values=REDACTED)
    assert (result["redacted_values"], result["clear"]) == (REDACTED[:1], True)
    # Not being able to look for it is no doubt about holders.
    lab.sim.fault("ListSecretVersionIds", "denied", times=None, service="secretsmanager")
    result = lab.info(fingerprint=WAS, redacted_values=REDACTED)
    assert (result["redacted_values"], result["clear"]) == ([], True)


# Through both doors


CASES: dict[str, Json] = {
    "all": {},
    "holders": {"fingerprint": WAS},
    "limited": {"services": ["worker"], "plaintext_revisions": True},
    "missing argument": {"variable": None},
    "bad fingerprint": {"fingerprint": "abc"},
    "missing service": {"services": ["nobody"]},
    "check mode": {"fingerprint": IS},
    "calls": {"debug_botocore_endpoint_logs": True},
}


@contextlib.contextmanager
def running(folder: Path, collections_path: str, connection: str) -> Iterator[Any]:
    """The cases' playbook on its way, against a simulator of its own that stands still."""
    folder.mkdir()
    with Simulator.start(speed=0, seed=5, start_at=START_AT, throttling=False) as sim:
        arn = sim.client("secretsmanager").create_secret(Name="prod/openai", SecretString=NEW)["ARN"]
        sim.advance(60)
        sim.create_environment(environment=ENVIRONMENT)
        sim.create_environment(service="worker", secrets={VARIABLE: f"{arn[:-6]}"[:-1]}, age_seconds=0)
        tasks: list[Json] = []
        for name, given in CASES.items():
            options = {key: value for key, value in {"cluster": "c", "variable": VARIABLE, **given}.items() if value}
            task = {"name": name, INFO: options, "ignore_errors": True, "register": _variable(name)}
            tasks.append({**task, "check_mode": True} if name == "check mode" else task)
        names = ", ".join(f"'{name}': {_variable(name)}" for name in CASES)
        content = f"{{{{ {{ {names} }} | to_json }}}}"
        tasks.append(
            {"name": "record", "ansible.builtin.copy": {"dest": str(folder / "results.json"), "content": content}}
        )
        plays = [{"hosts": "h", "gather_facts": False, "tasks": tasks}]
        hosts = {"h": {"ansible_connection": connection}}
        environment = {**sim.environ(), "ANSIBLE_PIPELINING": "true", "PYTHONHASHSEED": "0"}
        with Playbook(folder, collections_path, plays, hosts, environment, ["-vvv"]) as process:
            yield process


def _variable(name: str) -> str:
    return "r_" + re.sub(r"\W+", "_", name)


def comparable(result: Json) -> Json:
    """Without ages, which are real time's, the end of a secret's ARN, and the module's account of its options."""
    shown = json.dumps({name: value for name, value in result.items() if name != "invocation"})
    shown = re.sub(r"(secret:prod/openai)-\w{6}", r"\1", re.sub(r'"age_days": [^,]+', '"age_days": 0', shown))
    equal: Json = json.loads(shown)
    return equal


def test_both_doors_answer_the_same(tmp_path: Path, collections_path: str) -> None:
    found = {}
    with (
        clean_environment(),
        running(tmp_path / "a", collections_path, "local") as a,
        running(tmp_path / "b", collections_path, "bastion") as b,
    ):
        for door, process in (("a", a), ("b", b)):
            assert process.finish() == 0, process.output
            found[door] = json.loads((tmp_path / door / "results.json").read_text())
            assert_no_value(process.output)
            assert "Traceback" not in process.output
    for name in CASES:
        assert comparable(found["a"][name]) == comparable(found["b"][name]), name
    one = found["a"]
    assert [it["kind"] for it in one["holders"]["holders"]] == ["service", "task", "task"]
    assert [it["service"] for it in one["limited"]["variables"]] == ["worker"]
    assert [one[name]["failed"] for name in CASES] == [False] * 3 + [True] * 3 + [False] * 2
    assert "ecs:ListServices" in one["calls"]["resource_actions"]
    assert "EXEC" not in a.output.partition("TASK [record]")[0]
