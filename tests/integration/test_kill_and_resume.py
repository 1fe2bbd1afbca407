# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A run that is killed at the worst moment leaves nothing that the next run does not put right."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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


@DOORS
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


@DOORS
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
