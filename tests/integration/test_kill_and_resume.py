# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A run that is killed at the worst moment leaves nothing that the next run does not put right.

Here whole playbooks are killed, at some moments; the process of the function alone is killed at every call in
fault_table.py. With the environment variable KILLS=N playbooks are killed before and after each of their calls, through
both doors, and N times, instead of once, at a random moment.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.model import RECORDS
from integration.support import (
    ENVIRONMENT,
    NEW,
    OLD,
    VARIABLE,
    Json,
    Lab,
    Playbook,
    assert_no_value,
    environment_of,
    standing_still,
)

HOST = "production"
DOORS = pytest.mark.parametrize("connection", ["local", "bastion"], ids=["action plugin", "module"])
KILLS = int(os.environ.get("KILLS", "0"))
# One is enough where both take the same way through Ansible's own code.
A_DOOR = DOORS if KILLS else pytest.mark.parametrize("connection", ["local"], ids=["action plugin"])

TARGET = {"cluster": "c", "service": "s"}
ROTATE = {
    "name": "rotate",
    "keyturn.ecs.ecs_env_rotate": {
        **TARGET,
        "variable": VARIABLE,
        "value": "{{ lookup('ansible.builtin.env', 'NEW_KEY') }}",
    },
    "register": "rotation",
}
SHOW = {
    "name": "show",
    "ansible.builtin.debug": {
        "msg": "changed={{ rotation.changed }} resumed={{ rotation.resumed }} did={{ rotation.actions | join('+') }}"
    },
}
WAIT = {
    "name": "wait",
    "keyturn.ecs.ecs_rollout_wait": {
        **TARGET,
        "deployment_id": "{{ rotation.deployment_id }}",
        "task_definition": "{{ rotation.task_definition }}",
        "poll_interval": 0.2,
    },
}


@pytest.fixture
def lab() -> Iterator[Lab]:
    with standing_still() as sim:
        lab = Lab(sim)
        lab.environment()
        yield lab


def playbook(lab: Lab, folder: Path, collections_path: str, connection: str, *tasks: Json) -> Playbook:
    plays = [{"hosts": HOST, "gather_facts": False, "tasks": list(tasks)}]
    hosts = {HOST: {"ansible_connection": connection}}
    return Playbook(folder, collections_path, plays, hosts, {**lab.sim.environ(), "NEW_KEY": NEW})


def until_called(lab: Lab, operation: str, process: Playbook, times: int = 1) -> None:
    """Wait for so many calls to be answered, while the process lives."""
    while len(lab.calls(operation)) < times:
        assert process.process.poll() is None, process.process.communicate()[0]
        time.sleep(0.02)


def run_again(lab: Lab, *where: Any) -> str:
    """The whole playbook, time passing; its output."""
    lab.sim.set_speed(200)
    with playbook(lab, *where, ROTATE, SHOW, WAIT) as process:
        assert process.finish() == 0, process.output
    assert_no_value(process.output)
    return process.output


def is_rotated(lab: Lab) -> None:
    """One new revision in all; every task runs it; nothing of the old is left."""
    assert lab.revisions() == [1, 2]
    service = lab.service()
    assert service["taskDefinition"].endswith(":2")
    assert [one["rolloutState"] for one in service["deployments"]] == ["COMPLETED"]
    assert {task["taskDefinitionArn"] for task in lab.tasks()} == {service["taskDefinition"]}
    assert environment_of(lab.definition("s:2")) == {**ENVIRONMENT, VARIABLE: NEW}
    records = lab.ecs("ListServiceDeployments", **TARGET)["serviceDeployments"]
    assert [record["status"] for record in records] == ["SUCCESSFUL", "SUCCESSFUL"]


@DOORS
def test_killed_between_registering_and_deploying(
    lab: Lab, tmp_path: Path, collections_path: str, connection: str
) -> None:
    lab.sim.fault("UpdateService", "timeout", seconds=3600, times=None)
    with playbook(lab, tmp_path, collections_path, connection, ROTATE) as process:
        until_called(lab, "RegisterTaskDefinition", process)
        process.kill()
    assert lab.revisions() == [1, 2]
    assert lab.service()["taskDefinition"].endswith(":1")
    assert environment_of(lab.definition("s:1"))[VARIABLE] == OLD

    lab.sim.clear_faults()
    output = run_again(lab, tmp_path, collections_path, connection)
    assert "changed=True resumed=True did=update_service" in output
    assert len(lab.calls("RegisterTaskDefinition")) == 1
    is_rotated(lab)


@A_DOOR
def test_killed_before_registering(lab: Lab, tmp_path: Path, collections_path: str, connection: str) -> None:
    lab.sim.fault("RegisterTaskDefinition", "timeout", seconds=3600, times=None)
    with playbook(lab, tmp_path, collections_path, connection, ROTATE) as process:
        until_called(lab, "DescribeTaskDefinition", process)
        process.kill()
    assert lab.revisions() == [1]

    lab.sim.clear_faults()
    output = run_again(lab, tmp_path, collections_path, connection)
    assert "changed=True resumed=False did=register_task_definition+update_service" in output
    is_rotated(lab)


@A_DOOR
def test_killed_while_it_waits(lab: Lab, tmp_path: Path, collections_path: str, connection: str) -> None:
    with playbook(lab, tmp_path, collections_path, connection, ROTATE, SHOW, WAIT) as process:
        # The first is the rotation's.
        until_called(lab, "DescribeServices", process, times=3)
        process.kill()
    deployment = lab.service()["deployments"][0]
    assert deployment["taskDefinition"].endswith(":2")

    output = run_again(lab, tmp_path, collections_path, connection)
    assert "changed=False resumed=False did=" in output
    assert len(lab.calls("UpdateService")) == 1
    assert lab.service()["deployments"][0]["id"] == deployment["id"]
    is_rotated(lab)


def test_the_kill_reaches_the_worker(lab: Lab, tmp_path: Path, collections_path: str) -> None:
    """What the other tests stand on: the process that would call UpdateService again does not live on."""
    lab.sim.fault("UpdateService", "timeout", seconds=3600, times=None)
    with playbook(lab, tmp_path, collections_path, "local", ROTATE) as process:
        until_called(lab, "RegisterTaskDefinition", process)
        assert len(process.kill()) >= 2


# At each call, before it is carried out and after

HANGS = {"before": "timeout", "after": "no_answer"}
WORST = [("bastion", "RegisterTaskDefinition", 1, "after"), ("local", "UpdateService", 1, "after")]
# Those of a rotation and of the first looks of a wait; test_the_calls_are_these holds it to what is really called.
CALLS = [
    ("DescribeServices", 1),
    ("DescribeTaskDefinition", 1),
    ("RegisterTaskDefinition", 1),
    ("DescribeServices", 2),
    ("UpdateService", 1),
    ("ListServiceDeployments", 1),
    ("DescribeServices", 3),
    ("DescribeTaskDefinition", 2),
]
ALL = [(connection, *call, when) for connection in ("local", "bastion") for call in CALLS for when in HANGS]


def until_hanging(lab: Lab, process: Playbook) -> None:
    """Wait for a call to hang, while the process lives."""
    while not lab.sim.hanging():
        assert process.process.poll() is None, process.process.communicate()[0]
        time.sleep(0.02)


def hang(lab: Lab, operation: str, nth: int = 1, when: str = "before") -> None:
    lab.sim.fault(operation, HANGS[when], seconds=3600, after=nth - 1, agent="keyturn.ecs/")


@RECORDS
def test_the_calls_are_these(lab: Lab) -> None:
    rotation = lab.rotate()
    lab.wait(deployment_id=rotation["deployment_id"], task_definition=rotation["task_definition"])
    called = [call["operation"] for call in lab.calls()][: len(CALLS)]
    assert called == [operation for operation, _nth in CALLS]


@pytest.mark.parametrize(("connection", "operation", "nth", "when"), ALL if KILLS else WORST)
def test_killed_at_a_call(
    lab: Lab, tmp_path: Path, collections_path: str, connection: str, operation: str, nth: int, when: str
) -> None:
    hang(lab, operation, nth, when)
    with playbook(lab, tmp_path, collections_path, connection, ROTATE, SHOW, WAIT) as process:
        until_hanging(lab, process)
        process.kill()
    lab.sim.clear_faults()
    registered = lab.revisions() == [1, 2]
    deployed = lab.service()["taskDefinition"].endswith(":2")
    output = run_again(lab, tmp_path, collections_path, connection)
    assert f"changed={not deployed} resumed={registered and not deployed}" in output
    is_rotated(lab)


@pytest.mark.parametrize("seed", range(max(KILLS, 1)))
def test_killed_at_a_random_moment(lab: Lab, tmp_path: Path, collections_path: str, seed: int) -> None:
    chance = random.Random(seed)
    connection = chance.choice(["local", "bastion"])
    lab.sim.set_speed(200)
    with playbook(lab, tmp_path, collections_path, connection, ROTATE, SHOW, WAIT) as process:
        time.sleep(chance.uniform(0.3, 3.0))
        process.kill()
    run_again(lab, tmp_path, collections_path, connection)
    is_rotated(lab)


@A_DOOR
def test_terminated_while_it_updates(lab: Lab, tmp_path: Path, collections_path: str, connection: str) -> None:
    """SIGTERM reaches ansible-playbook alone: what it started may go on, and do the same as the next run."""
    hang(lab, "UpdateService")
    with playbook(lab, tmp_path, collections_path, connection, ROTATE, SHOW, WAIT) as process:
        until_hanging(lab, process)
        process.process.send_signal(signal.SIGTERM)
        try:
            process.process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
    lab.sim.clear_faults()
    run_again(lab, tmp_path, collections_path, connection)
    is_rotated(lab)


@A_DOOR
def test_a_tasks_own_timeout(lab: Lab, tmp_path: Path, collections_path: str, connection: str) -> None:
    """Ansible's `timeout:` ends the task in the midst of a call; a module may live on and do its work to the end."""
    hang(lab, "UpdateService", when="after")
    limited = {**ROTATE, "timeout": 4}
    with playbook(lab, tmp_path, collections_path, connection, limited, SHOW) as process:
        assert process.finish() == 2, process.output
    # The second is what ansible-core up to 2.18 says.
    assert "imed out" in process.output or "in the expected time frame" in process.output
    assert_no_value(process.output)
    lab.sim.clear_faults()
    output = run_again(lab, tmp_path, collections_path, connection)
    assert "changed=False resumed=False did=" in output
    is_rotated(lab)
