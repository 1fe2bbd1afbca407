# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`ecs_env_rollback` brings revision and secret back together."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint
from integration.stores import CASES, UPDATE, Case, Stores, put
from integration.support import NEW, OLD, THIRD, VARIABLE, standing_still
from simulator import Simulator

BACK = {"put_secret_value": "restore_secret_version", "put_parameter": "put_parameter"}


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with standing_still(check_secrets=True) as sim:
        yield sim


@pytest.fixture
def lab(simulator: Simulator) -> Stores:
    return Stores(simulator)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_there_and_back(lab: Stores, case: Case) -> None:
    case.make(lab)
    rotation = lab.rotate()
    lab.settle(rotation)
    lab.sim.clear_calls()
    predicted = lab.rollback(rotation, check_mode=True)
    assert lab.writes() == []
    result = lab.rollback(rotation)
    assert result["actions"] == predicted["actions"] == [*(BACK[action] for action in case.write), *UPDATE]
    for one in (predicted, result):
        assert (one["fingerprint"], one["previous_fingerprint"]) == (
            fingerprint(VARIABLE, OLD),
            fingerprint(VARIABLE, NEW),
        )
    assert set(predicted) == set(result)
    lab.settle(result)
    assert lab.holds() == {OLD}
    again = lab.rollback(rotation)
    assert (again["changed"], again["actions"]) == (False, [])
    assert again["task_definition"] == rotation["previous_task_definition"] == lab.service()["taskDefinition"]
    assert lab.rotate(value=THIRD)["actions"] == [*case.write, *case.register, *UPDATE]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_interrupted_between_secret_and_service(lab: Stores, case: Case) -> None:
    case.make(lab)
    rotation = lab.rotate()
    lab.settle(rotation)
    lab.sim.fault("UpdateService", "denied")
    stopped = lab.rollback(rotation)
    assert (stopped["failed"], stopped["actions"]) == (True, [BACK[action] for action in case.write])
    lab.sim.advance(5)
    result = lab.rollback(rotation)
    assert result["actions"] == UPDATE
    lab.settle(result)
    assert lab.holds() == {OLD}


def test_after_the_circuit_breaker_only_the_secret_is_left(lab: Stores) -> None:
    lab.reading(lab.secret())
    lab.sim.script("c", "s", ending="circuit_breaker", cause="container_exit")
    rotation = lab.rotate()
    followed = {name: rotation[name] for name in ("deployment_id", "task_definition")}
    assert lab.wait(**followed)["status"] == "rolled_back"
    result = lab.rollback(rotation)
    assert result["actions"] == ["restore_secret_version", "update_service"]
    lab.settle(result)
    lab.ecs("UpdateService", cluster="c", service="s", forceNewDeployment=True)
    lab.sim.advance(600)
    assert lab.holds() == {OLD}


def test_a_running_rollout_is_superseded(lab: Stores) -> None:
    lab.environment()
    lab.sim.script("c", "s", ending="crash_loop")
    rotation = lab.rotate()
    lab.sim.advance(30)
    result = lab.rollback(rotation)
    lab.settle(result)
    assert lab.holds() == {OLD}


def test_a_migration_goes_back_to_the_environment_and_leaves_the_secret(lab: Stores) -> None:
    lab.environment()
    rotation = lab.rotate(store="secretsmanager", secret_id="prod/openai")
    lab.settle(rotation)
    result = lab.rollback(rotation)
    assert result["actions"] == UPDATE
    lab.settle(result)
    assert (lab.holds(), lab.text()) == ({OLD}, NEW)


def test_somebody_deployed_in_between(lab: Stores) -> None:
    lab.environment()
    rotation = lab.rotate()
    lab.settle(rotation)
    other = lab.register("s:2", cpu="512")
    lab.ecs("UpdateService", cluster="c", service="s", taskDefinition=other)
    lab.sim.advance(600)
    lab.sim.clear_calls()
    refused = lab.rollback(rotation)
    assert "runs s:3, neither s:2, which shall be rolled back, nor s:1" in refused["msg"]
    assert lab.writes() == []
    assert lab.rollback(rotation, force=True)["actions"] == UPDATE


def test_somebody_wrote_the_secret_in_between(lab: Stores) -> None:
    lab.reading(lab.secret())
    rotation = lab.rotate()
    lab.settle(rotation)
    put(lab, THIRD)
    refused = lab.rollback(rotation)
    assert "somebody changed it since" in refused["msg"]
    assert lab.text() == THIRD
    assert lab.rollback(rotation, force=True)["changed"] is True
    assert lab.text() == OLD


def test_a_revision_that_is_not_active(lab: Stores) -> None:
    lab.environment()
    rotation = lab.rotate()
    lab.settle(rotation)
    lab.ecs("DeregisterTaskDefinition", taskDefinition="s:1")
    assert "s:1 is not ACTIVE" in lab.rollback(rotation)["msg"]


def test_secrets_that_are_none_are_named(lab: Stores) -> None:
    lab.environment()
    rotation = {"previous_task_definition": "s:1", "task_definition": "s:1", "secrets": []}
    result = lab.rollback(rotation, secrets=[{"arn": "", "version_id": "x"}])
    assert "secrets: an entry has no arn" in result["msg"]


def test_nothing_to_go_back_to(lab: Stores) -> None:
    lab.environment()
    rotation = lab.rotate(value=OLD)
    assert lab.rollback(rotation)["changed"] is False
