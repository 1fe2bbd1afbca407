# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The action plugin and the module of the same name answer the same.

One table of cases, two real ``ansible-playbook`` runs against two simulators with the same seed. Through door A, on a
local connection, the action plugin works in Ansible's own process; through door B, on any other, the module does. Both
playbooks are the same but for the host's connection.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import field
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint
from fakes.model import RECORDS
from integration.support import (
    ENVIRONMENT,
    NEW,
    OLD,
    START_AT,
    THIRD,
    VARIABLE,
    Json,
    Playbook,
    assert_no_value,
    clean_environment,
)
from simulator import Simulator

HOST = "production"
ROTATE, ROLLBACK, WAIT = (f"keyturn.ecs.{name}" for name in ("ecs_env_rotate", "ecs_env_rollback", "ecs_rollout_wait"))

# Values reach the play as an operator's do: from the controller's environment.
KEYS = {"NEW_KEY": NEW, "OLD_KEY": OLD, "THIRD_KEY": THIRD}
NEW_KEY, OLD_KEY, THIRD_KEY = (f"{{{{ lookup('ansible.builtin.env', '{name}') }}}}" for name in KEYS)

# The only member that may differ: real seconds, which no two runs share.
UNEQUAL = {"elapsed"}
# Chosen by chance: the suffix of a secret's ARN, and the version ids that follow from it.
BY_CHANCE = re.compile(r"(:secret:[\w/]+(?:-[\w/]+)*)-\w{6}\b|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
# `invocation` is the module's own account of its options, shown from -vvv on; an action plugin has none.
NOT_A_RESULT = {"invocation"}


class Place:
    """Where a case has its own cluster, service `s` and family in a simulator."""

    def __init__(self, sim: Simulator, name: str) -> None:
        self.sim = sim
        self.cluster = re.sub(r"\W+", "-", name)

    def environment(self, **wanted: Any) -> Json:
        if "containers" not in wanted:
            wanted.setdefault("environment", ENVIRONMENT)
        return self.sim.create_environment(cluster=self.cluster, family=self.cluster, **wanted)

    def rotate(self, value: str = NEW, service: str = "s", **script: Any) -> Json:
        """Somebody gives the service another value; what a wait follows."""
        ecs = self.sim.client("ecs")
        if script:
            self.sim.script(self.cluster, service, **script)
        arn = self.register(value)
        answer = ecs.update_service(cluster=self.cluster, service=service, taskDefinition=arn)
        return {"task_definition": arn, "deployment_id": answer["service"]["deployments"][0]["id"]}

    def register(self, value: str = NEW, **changes: Any) -> str:
        ecs = self.sim.client("ecs")
        base = ecs.describe_task_definition(taskDefinition=self.cluster)["taskDefinition"]
        for container in base["containerDefinitions"]:
            for entry in container["environment"]:
                entry["value"] = value if entry["name"] == VARIABLE else entry["value"]
        taken = ("family", "networkMode", "requiresCompatibilities", "cpu", "memory", "executionRoleArn")
        body = {name: base[name] for name in (*taken, "containerDefinitions")}
        arn: str = ecs.register_task_definition(**{**body, **changes})["taskDefinition"]["taskDefinitionArn"]
        return arn


Prepare = Callable[[Place], "Json | None"]


@dataclasses.dataclass(frozen=True)
class Case:
    """A task that both doors run.

    Attributes:
        module: which.
        options: of the module; `cluster`, `service` and, for the rotation, `variable` and `value` are given. None
            takes one away.
        prepare: makes what the case finds, and answers further options.
        late: what `prepare` starts has only just begun; otherwise it is over.
        task: keywords of the task, such as ``check_mode``.
        block: keywords of a block around it, such as ``module_defaults``.
        expected: what the result must hold, so that the case is what its name says.
        says: stands in `msg`; the task fails.
        warns: stands in a warning.
    """

    name: str
    options: Json = field(default_factory=dict)
    prepare: Prepare = lambda place: place.environment() and None
    module: str = ROTATE
    late: bool = False
    task: Json = field(default_factory=dict)
    block: Json = field(default_factory=dict)
    expected: Json = field(default_factory=dict)
    says: str = ""
    warns: str = ""

    def __str__(self) -> str:
        return self.name


def made(**wanted: Any) -> Prepare:
    return lambda place: place.environment(**wanted) and None


def rotated(wanted: Json | None = None, **how: Any) -> Prepare:
    """A service that somebody rotated; the case follows that rollout."""

    def prepare(place: Place) -> Json:
        place.environment(**(wanted or {}))
        return place.rotate(**how)

    return prepare


def alone(prepare: Prepare) -> Prepare:
    """The same, and the case knows nothing of it."""
    return lambda place: prepare(place) and None


def faulty(region: str, operation: str, **fault: Any) -> Prepare:
    """A Region of its own where one operation always fails."""

    def prepare(place: Place) -> Json:
        place.environment(region=region)
        place.sim.fault(operation, times=None, region=region, **fault)
        return {"region": region}

    return prepare


def two_services(**script: Any) -> Prepare:
    """`s`, which completes, and `worker`."""

    def prepare(place: Place) -> Json:
        place.environment()
        place.environment(service="worker")
        followed = [
            {"service": "s", **place.rotate()},
            {"service": "worker", **place.rotate(service="worker", **script)},
        ]
        return {"services": [{"cluster": place.cluster, **one} for one in followed], "cluster": None, "service": None}

    return prepare


def registered(place: Place) -> None:
    place.environment()
    place.register()


def newer(place: Place) -> None:
    place.environment()
    place.register(OLD, cpu="1024", memory="2048")


def unknown_field(place: Place) -> None:
    definition = place.environment()["task_definition"]
    place.sim.patch_task_definition(definition, ["containerDefinitions", 0, "invented"], {"x": [1]})


def secret(pinned: bool = False) -> Prepare:
    """The variable comes from a secret of the case's own."""

    def prepare(place: Place) -> None:
        made = place.sim.client("secretsmanager").create_secret(Name=place.cluster, SecretString=OLD)
        value_from = f"{made['ARN']}:::{made['VersionId']}" if pinned else made["ARN"]
        place.environment(environment={}, secrets={VARIABLE: value_from})

    return prepare


BOTH = ["register_task_definition", "update_service"]
CONTAINERS = [
    {"name": name, "environment": [{"name": VARIABLE, "value": value}] if value else []}
    for name, value in (("app", OLD), ("worker", THIRD), ("proxy", ""))
]
FINGERPRINT = fingerprint(VARIABLE, OLD)

ROTATIONS = [
    Case("change", expected={"changed": True, "actions": BOTH, "resumed": False, "containers": ["app"]}),
    Case("unchanged", {"value": OLD_KEY}, expected={"changed": False, "actions": []}),
    Case("check mode", task={"check_mode": True}, expected={"changed": True, "actions": BOTH, "deployment_id": None}),
    Case("diff", task={"diff": True}, expected={"changed": True}),
    Case("check mode and diff", task={"check_mode": True, "diff": True}, expected={"changed": True}),
    Case("unknown variable", {"variable": "OTHER_KEY"}, says="OTHER_KEY is not in the environment"),
    Case("missing argument", {"value": None}, says="missing required arguments: value"),
    Case("two missing arguments", {"value": None, "variable": None}, says="missing required arguments: "),
    Case("unsupported argument", {"colour": "red"}, says="Unsupported parameters for (keyturn.ecs.ecs_env_rotate)"),
    Case("bad choice", {"in_progress": "maybe"}, says="value of in_progress must be one of: fail, supersede"),
    Case("bad boolean", {"force_new_deployment": "perhaps"}, says="force_new_deployment"),
    Case("bad dictionary", {"tags": "nonsense"}, says="tags"),
    Case("white space around the value", {"value": f" {NEW_KEY}"}, says="white space or a newline"),
    Case("empty value", {"value": ""}, says="value is empty"),
    Case("value that does not match", {"value_pattern": "^pk-"}, says="value does not match value_pattern"),
    Case("value that matches", {"value_pattern": "^sk-"}, expected={"changed": True}),
    Case("different values", prepare=made(containers=CONTAINERS), warns="held different values"),
    Case(
        "containers limited",
        {"containers": ["worker"]},
        made(containers=CONTAINERS),
        expected={"containers": ["worker"], "changed": True},
    ),
    Case("containers as text", {"containers": "app"}, made(containers=CONTAINERS), expected={"changed": True}),
    Case("container that does not exist", {"containers": ["web"]}, says="web is not in task definition"),
    Case(
        "variable added",
        {"containers": ["proxy"], "if_missing": "add"},
        made(containers=CONTAINERS),
        expected={"previous_fingerprint": None, "actions": BOTH},
    ),
    Case("added nowhere", {"if_missing": "add"}, says="if_missing is add but all of the following are missing"),
    Case("expected fingerprint is right", {"expected_fingerprint": FINGERPRINT}, expected={"changed": True}),
    Case("expected fingerprint is wrong", {"expected_fingerprint": "sha256:0123456789ab"}, says=FINGERPRINT),
    Case("in progress", prepare=alone(rotated(value=THIRD)), late=True, says="Another deployment"),
    Case(
        "in progress, superseded",
        {"in_progress": "supersede"},
        alone(rotated(value=THIRD)),
        late=True,
        expected={"actions": BOTH},
    ),
    Case(
        "forced",
        {"value": OLD_KEY, "force_new_deployment": True},
        expected={"changed": True, "actions": ["update_service"]},
    ),
    Case("resumed", prepare=registered, expected={"resumed": True, "actions": ["update_service"]}),
    Case("newer revision", prepare=newer, warns="base_revision=latest"),
    Case("newer revision as base", {"base_revision": "latest"}, newer, expected={"actions": BOTH}),
    Case("field unknown to botocore", prepare=unknown_field, warns="containerDefinitions[0].invented"),
    Case("secret", prepare=secret(), expected={"actions": ["put_secret_value", "update_service"]}),
    Case("secret, pinned", prepare=secret(pinned=True), expected={"actions": ["put_secret_value", *BOTH]}),
    Case("secret, check mode", prepare=secret(), task={"check_mode": True, "diff": True}, expected={"changed": True}),
    Case(
        "migration",
        {"store": "secretsmanager", "secret_id": "doors/openai", "pin_secret_version": True},
        expected={"actions": ["create_secret", *BOTH], "store": "secretsmanager"},
        warns="may read the secret could not be checked",
    ),
    Case(
        "migration to SSM",
        {"store": "ssm", "secret_id": "/doors/openai"},
        expected={"actions": ["put_parameter", *BOTH], "store": "ssm"},
        warns="may read the secret could not be checked",
    ),
    Case("migration to nowhere", {"store": "ssm"}, says="store=ssm needs secret_id"),
    Case("secret_id without a store", {"secret_id": "x"}, says="secret_id: only for store"),
    Case("bad pin", {"pin_secret_version": "sometimes"}, says="value of pin_secret_version must be one of"),
    Case("tags", {"tags": {"ticket": "OPS-1", "count": 3}}, expected={"actions": BOTH}),
    Case(
        "CodeDeploy",
        prepare=made(service_options={"deploymentController": {"type": "CODE_DEPLOY"}}),
        says="CODE_DEPLOY",
    ),
    Case("service missing", {"service": "other"}, says="There is no service other"),
    Case("cluster missing", {"cluster": "nowhere"}, says="ClusterNotFoundException"),
    Case(
        "access denied",
        prepare=faulty("eu-west-3", "UpdateService", kind="denied"),
        says="allow ecs:UpdateService to the caller",
    ),
    Case(
        "AWS repeats the value",
        prepare=faulty("eu-west-2", "RegisterTaskDefinition", kind="error", message=f"bad value {NEW} or {OLD}"),
        says="bad value ********",
    ),
    Case(
        "module_defaults of the group",
        prepare=made(region="eu-north-1"),
        block={"module_defaults": {"group/keyturn.ecs.aws": {"region": "eu-north-1"}}},
        expected={"changed": True},
    ),
    Case(
        "environment of the task",
        prepare=made(region="eu-south-1"),
        task={"environment": {"AWS_REGION": "eu-south-1"}},
        expected={"changed": True},
    ),
    # The first warns as well: AWS_REGION, which both plays run with, counts as the option.
    Case("alias", {"aws_region": "eu-west-1"}, made(region="eu-west-1"), warns="region and its alias aws_region"),
    Case("option and alias", {"aws_region": "us-east-1", "region": "us-east-1"}, warns="and its alias aws_region"),
    Case("empty options", {"region": "", "profile": "", "assume_role_arn": ""}, expected={"changed": True}),
    Case("contradicting credentials", {"profile": "ops"}, says="mutually exclusive"),
    Case("bad aws_config", {"aws_config": {"colour": "red"}}, says="aws_config"),
    Case(
        "calls are listed",
        {"debug_botocore_endpoint_logs": True},
        expected={
            "resource_actions": [
                "ecs:DescribeServices",
                "ecs:DescribeTaskDefinition",
                "ecs:ListServiceDeployments",
                "ecs:RegisterTaskDefinition",
                "ecs:UpdateService",
            ]
        },
    ),
]
WAITS = [
    Case("wait, completed", prepare=rotated(), expected={"status": "completed", "changed": False}),
    Case(
        "wait, rolled back",
        prepare=rotated(ending="circuit_breaker", cause="image_pull"),
        expected={"status": "rolled_back"},
        says="image_pull",
    ),
    Case(
        "wait, failed",
        prepare=rotated(ending="circuit_breaker", rollback=False),
        expected={"status": "failed"},
        says="container_exit",
    ),
    Case("wait, superseded", prepare=rotated(ending="superseded"), expected={"status": "superseded"}, says="took over"),
    Case("wait, desired 0", prepare=rotated({"desired": 0}), expected={"status": "nothing_running"}),
    Case(
        "wait, timed out",
        {"timeout": 1, "poll_interval": 0.3},
        rotated(),
        late=True,
        expected={"status": "timed_out"},
        says="not over after 1 s",
    ),
    Case("wait, check mode", prepare=rotated(), task={"check_mode": True}, expected={"status": "completed"}),
    Case("wait, several", prepare=two_services(), expected={"changed": False}),
    Case("wait, one of several fails", prepare=two_services(ending="circuit_breaker"), says="worker"),
    Case(
        "wait, denied",
        prepare=faulty("ap-south-1", "ListTasks", kind="denied"),
        expected={"status": "completed"},
    ),
    Case("wait, service missing", {"service": "other"}, says="There is no service other"),
    Case("wait, no service", {"cluster": None, "service": None}, says="one of the following is required"),
    Case("wait, bad suboption", {"services": [{"cluster": "c"}]}, says="service found in services"),
    Case("wait, bad number", {"timeout": "soon"}, says="timeout"),
]
ROLLBACKS = [
    Case(
        "back, environment",
        {"task_definition": "back-environment:1"},
        alone(rotated()),
        expected={"actions": ["update_service"], "fingerprint": FINGERPRINT},
    ),
    Case("back, unchanged", {"task_definition": "back-unchanged:1"}, expected={"changed": False}),
    Case(
        "back, check mode",
        {"task_definition": "back-check-mode:1"},
        alone(rotated()),
        task={"check_mode": True, "diff": True},
        expected={"changed": True, "deployment_id": None},
    ),
    Case(
        "back, somebody deployed",
        {"task_definition": "back-somebody-deployed:1", "expected_task_definition": "other:1"},
        alone(rotated()),
        says="somebody deployed in between",
    ),
    Case("back, to nothing", {"task_definition": "nothing:1"}, says="nothing:1"),
    Case("back, bad secrets", {"task_definition": "x:1", "secrets": [{}]}, says="arn, version_id found in"),
]
CASES = [
    *ROTATIONS,
    *(dataclasses.replace(case, module=ROLLBACK) for case in ROLLBACKS),
    *(dataclasses.replace(case, module=WAIT) for case in WAITS),
]


def tasks(sim: Simulator, cases: list[Case], **keywords: Any) -> list[Json]:
    """The cases as tasks, the simulator prepared for all of them."""
    found = {}
    for late in (False, True):
        chosen = [case for case in cases if case.late is late]
        found |= {case.name: case.prepare(Place(sim, case.name)) or {} for case in chosen}
        if not late:
            sim.advance(1200)
    return [task(case, {"cluster": Place(sim, case.name).cluster, **found[case.name]}, keywords) for case in cases]


def task(case: Case, found: Json, keywords: Json) -> Json:
    """The case as a task."""
    own: dict[str, Json] = {ROTATE: {"variable": VARIABLE, "value": NEW_KEY}, ROLLBACK: {"variable": VARIABLE}}
    given: Json = {"service": "s", **own.get(case.module, {})}
    options = {name: value for name, value in {**given, **found, **case.options}.items() if value is not None}
    one = {"name": case.name, case.module: options, "ignore_errors": True, "register": variable(case)}
    one |= {**case.task, **keywords}
    return {"block": [one], **case.block} if case.block else one


def variable(case: Case) -> str:
    return "r_" + re.sub(r"\W+", "_", case.name)


@contextlib.contextmanager
def running(folder: Path, collections_path: str, cases: list[Case], connection: str, **keywords: Any) -> Iterator[Any]:
    """The cases' playbook on its way, against a simulator of its own that stands still."""
    folder.mkdir()
    with Simulator.start(speed=0, seed=5, start_at=START_AT, throttling=False) as sim:
        names = ", ".join(f"'{case.name}': {variable(case)}" for case in cases)
        written = {"dest": str(folder / "results.json"), "content": f"{{{{ {{ {names} }} | to_json }}}}"}
        record = {"name": "record", "ansible.builtin.copy": written, "no_log": True}
        plays = [{"hosts": HOST, "gather_facts": False, "tasks": [*tasks(sim, cases, **keywords), record]}]
        hosts = {HOST: {"ansible_connection": connection}, "bastion": {"ansible_connection": "bastion"}}
        # A message of Ansible's own prints a set: with one hash seed every process prints it in the same order.
        environment = {**sim.environ(), **KEYS, "ANSIBLE_PIPELINING": "true", "PYTHONHASHSEED": "0"}
        with Playbook(folder, collections_path, plays, hosts, environment, ["-vvv"]) as process:
            yield process


@dataclasses.dataclass(frozen=True)
class Door:
    """What came out of one door."""

    results: dict[str, Json]
    output: str

    @property
    def of_cases(self) -> str:
        """What was shown while the cases ran."""
        return self.output.partition("TASK [record]")[0]


def finished(process: Playbook, folder: Path) -> Door:
    assert process.finish() == 0, process.output
    return Door(json.loads((folder / "results.json").read_text()), process.output)


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory, collections_path: str) -> tuple[Door, Door]:
    """All cases through both, at the same time."""
    folder = tmp_path_factory.mktemp("doors")
    with (
        clean_environment(),
        running(folder / "a", collections_path, CASES, "local") as a,
        running(folder / "b", collections_path, CASES, "bastion") as b,
    ):
        return finished(a, folder / "a"), finished(b, folder / "b")


def comparable(result: Json) -> Json:
    """A result without what cannot be equal; `results` of several services, too."""
    kept = {
        name: [comparable(one) for one in value] if name == "results" else value
        for name, value in result.items()
        if name not in UNEQUAL | NOT_A_RESULT
    }
    found: Json = json.loads(BY_CHANCE.sub(lambda match: match[1] or "UUID", json.dumps(kept)))
    return found


@pytest.mark.parametrize("case", CASES, ids=str)
def test_both_doors_answer_the_same(doors: tuple[Door, Door], case: Case) -> None:
    action, module = (door.results[case.name] for door in doors)
    assert comparable(action) == comparable(module)
    assert {name for name in UNEQUAL if name in action} == {name for name in UNEQUAL if name in module}


RESULTS = [pytest.param(case, marks=[RECORDS] if case.name == "calls are listed" else ()) for case in CASES]


@pytest.mark.parametrize("case", RESULTS, ids=str)
def test_a_case_is_what_its_name_says(doors: tuple[Door, Door], case: Case) -> None:
    result = doors[0].results[case.name]
    assert result["failed"] is bool(case.says), result
    assert {name: result[name] for name in case.expected} == case.expected
    assert case.says in result.get("msg", "")
    assert case.warns in " ".join(result.get("warnings", []))
    assert bool(result.get("warnings")) is bool(case.warns)
    assert ("diff" in result) is bool(case.task.get("diff"))


def test_the_table_is_long_enough_and_has_no_name_twice(record_property: Callable[[str, object], None]) -> None:
    record_property("two-doors cases", len(CASES))
    assert len({variable(case) for case in CASES}) == len(CASES) >= 20


def test_each_door_is_the_one_that_it_is_taken_for(doors: tuple[Door, Door]) -> None:
    """A module is executed; an action plugin executes nothing."""
    action, module = doors
    assert "EXEC" not in action.of_cases
    assert module.of_cases.count("EXEC") >= len(CASES)


def test_neither_door_shows_a_value_at_vvv(doors: tuple[Door, Door]) -> None:
    for door in doors:
        assert_no_value(door.output)
        assert_no_value(door.results)


def test_neither_door_leaves_a_traceback(doors: tuple[Door, Door]) -> None:
    for door in doors:
        assert "Traceback (most recent call last)" not in door.output


def test_progress_is_shown_through_the_action_plugin_only(doors: tuple[Door, Door]) -> None:
    action, module = doors
    line = f"[{HOST}] s: 2/2 tasks on revision 2 (0:00)"
    assert line in action.output
    assert line not in module.output


ELSEWHERE = {
    "delegated to a bastion": {"delegate_to": "bastion"},
    "asynchronous": {"async": 60, "poll": 1},
}
SOME = [case for case in CASES if case.name in ("change", "wait, rolled back")]


@pytest.mark.parametrize("keywords", ELSEWHERE.values(), ids=ELSEWHERE)
def test_where_the_action_plugin_cannot_work_the_module_answers_the_same(
    doors: tuple[Door, Door], tmp_path: Path, collections_path: str, keywords: Json
) -> None:
    folder = tmp_path / "elsewhere"
    with clean_environment(), running(folder, collections_path, SOME, "local", **keywords) as process:
        door = finished(process, folder)
    assert door.of_cases.count("EXEC") >= len(SOME)
    assert f"[{HOST}] s: " not in door.output
    assert_no_value(door.output)
    for case in SOME:
        wanted = comparable(doors[0].results[case.name])
        # An asynchronous task's result has members of its own, about its job.
        assert {name: door.results[case.name].get(name) for name in wanted} == wanted


# Progress


def test_progress_is_shown_while_the_wait_lasts(tmp_path: Path, collections_path: str) -> None:
    """The simulator's clock goes on only after the line was read, so the line came before the end."""
    with clean_environment(), Simulator.start(speed=0, seed=5, start_at=START_AT, throttling=False) as sim:
        sim.create_environment(environment=ENVIRONMENT)
        sim.client("ecs").update_service(cluster="c", service="s", forceNewDeployment=True)
        wait = {WAIT: {"cluster": "c", "service": "s", "poll_interval": 0.2}}
        plays = [{"hosts": HOST, "gather_facts": False, "tasks": [wait]}]
        hosts = {HOST: {"ansible_connection": "local"}}
        with Playbook(tmp_path, collections_path, plays, hosts, sim.environ()) as process:
            process.read_until(f"[{HOST}] s: 0/2 tasks on revision 1, 2 old draining (0:0")
            sim.advance(50)
            process.read_until(f"[{HOST}] s: 2/2 tasks on revision 1, old tasks draining (0:0")
            sim.advance(300)
            assert process.finish() == 0, process.output
    assert f"ok: [{HOST}]" in process.output.partition("old tasks draining")[2]
