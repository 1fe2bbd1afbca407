# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Somebody else is at work at the same time: nothing of theirs is overwritten in silence, and no success is claimed
that is none. Scaling and deletion during a wait are in test_rollout_wait.py, too."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from fakes.model import RECORDS
from integration.stores import CASES, JSON_TEXT, Stores
from integration.support import ENVIRONMENT, NEIGHBOUR, NEW, OLD, THIRD, VARIABLE, Json, environment_of, standing_still
from simulator import Simulator

REGISTER, BOTH = ["register_task_definition"], ["register_task_definition", "update_service"]


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with standing_still() as sim:
        yield sim


@pytest.fixture
def lab(simulator: Simulator) -> Stores:
    return Stores(simulator)


def somebody_deploys(lab: Stores) -> str:
    """Another deployer's pipeline: a revision with more CPU, based on what ran before; answers what it is called."""
    other = lab.register("s:1", cpu="512")
    made = lab.ecs("UpdateService", cluster="c", service="s", taskDefinition=other)["service"]["deployments"][0]
    return f"{made['id']} of {other.rpartition('/')[2]}"


def runs(lab: Stores) -> str:
    """What the service runs, or is going to."""
    return str(lab.service()["taskDefinition"]).rpartition("/")[2]


def claims(lab: Stores, rotation: Json) -> bool:
    """Rotation and wait both succeed; what fails says something of it."""
    if rotation.get("failed"):
        assert "omebody else" in rotation["msg"] or "Another deployment" in rotation["msg"], rotation["msg"]
        return False
    followed = {name: rotation[name] for name in ("deployment_id", "task_definition")}
    result = lab.wait(**followed)
    assert result["status"] in ("completed", "superseded")
    return bool(result["status"] == "completed")


# Another deployer


def test_a_deployment_since_the_read_is_not_deployed_over(lab: Stores) -> None:
    lab.environment()
    with lab.meanwhile("RegisterTaskDefinition", lambda: somebody_deploys(lab)):
        result = lab.rotate()
    assert (result["failed"], result["changed"], result["actions"]) == (True, True, REGISTER)
    assert "Somebody else deployed to service s since it was read" in result["msg"]
    assert "of s:2), and was not deployed over" in result["msg"]
    assert "s:3 is registered and not deployed" in result["msg"]
    assert "UpdateService" not in lab.writes()
    lab.sim.advance(600)
    # What the other wanted, and the value.
    second = lab.rotate()
    lab.settle(second)
    definition = lab.definition(runs(lab))
    assert (definition["cpu"], environment_of(definition)) == ("512", {**ENVIRONMENT, VARIABLE: NEW})
    assert lab.holds() == {NEW}


@RECORDS
@pytest.mark.parametrize("name", ["environment", "pinned"])
def test_a_deployment_that_was_deployed_over_is_told(lab: Stores, name: str) -> None:
    CASES[name].make(lab)
    theirs: list[str] = []
    with lab.meanwhile("UpdateService", lambda: theirs.append(somebody_deploys(lab))):
        result = lab.rotate()
    assert (result["failed"], result["changed"]) == (True, True)
    assert result["actions"] == [*CASES[name].write, *CASES[name].register, "update_service"]
    assert f"({theirs[0]})" in result["msg"]
    assert "what it was to change does not run" in result["msg"]
    assert "next run goes on" not in result["msg"]
    lab.settle(result)
    assert lab.holds() == {NEW}
    assert lab.rotate()["changed"] is False


@pytest.mark.parametrize("name", ["whole secret", "parameter"])
def test_where_the_revision_stays_theirs_is_deployed_again(lab: Stores, name: str) -> None:
    """Without a taskDefinition UpdateService deploys what the service runs by then, and nothing is lost."""
    CASES[name].make(lab)
    with lab.meanwhile("UpdateService", lambda: somebody_deploys(lab)):
        result = lab.rotate()
    assert result["task_definition"].endswith(":2")
    lab.settle(result)
    assert (runs(lab), lab.definition("s:2")["cpu"], lab.holds()) == ("s:2", "512", {NEW})
    assert lab.rotate()["changed"] is False


def test_a_rollback_does_not_go_over_it_either(lab: Stores) -> None:
    CASES["whole secret"].make(lab)
    rotation = lab.rotate()
    lab.settle(rotation)
    with lab.meanwhile("UpdateSecretVersionStage", lambda: somebody_deploys(lab)):
        result = lab.rollback(rotation)
    assert (result["failed"], result["actions"]) == (True, ["restore_secret_version"])
    assert "was not deployed over" in result["msg"] and "run it again" in result["msg"]


@RECORDS
def test_a_rollback_that_went_over_it_says_so(lab: Stores) -> None:
    lab.environment()
    rotation = lab.rotate()
    lab.settle(rotation)
    with lab.meanwhile("UpdateService", lambda: somebody_deploys(lab)):
        result = lab.rollback(rotation)
    assert (result["failed"], result["changed"], result["actions"]) == (True, True, ["update_service"])
    assert "what it was to change does not run" in result["msg"]
    lab.settle(result)
    assert lab.holds() == {OLD}


def test_a_deployment_after_ours_ends_the_wait(lab: Stores) -> None:
    lab.environment()
    rotation = lab.rotate()
    lab.sim.advance(20)
    somebody_deploys(lab)
    followed = {name: rotation[name] for name in ("deployment_id", "task_definition")}
    result = lab.wait(**followed)
    assert (result["status"], result["diagnosis"][0]["cause"]) == ("superseded", "superseded")


# Two rotations at once

WRITES = {"whole secret": "PutSecretValue", "pinned": "PutSecretValue", "parameter": "PutParameter"}
BETWEEN = [
    ("environment", "RegisterTaskDefinition"),
    ("environment", "UpdateService"),
    *((name, operation) for name, write in WRITES.items() for operation in (write, "UpdateService")),
]


@pytest.mark.parametrize(("name", "operation"), BETWEEN, ids=lambda one: one)
def test_another_value_at_the_same_time(lab: Stores, name: str, operation: str) -> None:
    """One whole rotation takes place in the midst of the other: one of them wins, the other says so."""
    CASES[name].make(lab)
    inner: list[Json] = []
    with lab.meanwhile(operation, lambda: inner.append(lab.rotate(value=THIRD))):
        outer = lab.rotate()
    lab.sim.advance(600)
    won = {value for value, one in ((NEW, outer), (THIRD, inner[0])) if claims(lab, one)}
    assert len(won) <= 1
    if name in ("environment", "pinned"):
        # What tasks read is fixed by the revision.
        assert lab.holds() == (won or {NEW})
    # Whoever runs it again gets what was asked for.
    again = lab.rotate()
    if again["changed"]:
        lab.settle(again)
    assert lab.holds() == {NEW}


@pytest.mark.parametrize(("name", "operation"), BETWEEN, ids=lambda one: one)
def test_the_same_value_at_the_same_time(lab: Stores, name: str, operation: str) -> None:
    CASES[name].make(lab)
    inner: list[Json] = []
    with lab.meanwhile(operation, lambda: inner.append(lab.rotate())):
        outer = lab.rotate()
    lab.sim.advance(600)
    assert claims(lab, outer) or claims(lab, inner[0])
    assert lab.holds() == {NEW}
    assert len(lab.revisions()) <= (2 if operation == "UpdateService" else 3)
    assert lab.rotate()["changed"] is False


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["environment", "pinned"])
def test_two_threads(lab: Stores, name: str, seed: int) -> None:
    """Two rotations, really at once, call by call in an order that the seed suggests."""
    CASES[name].make(lab)
    chance = random.Random(seed)
    with lab.before_each_call(lambda _name: time.sleep(chance.random() * 0.03)), ThreadPoolExecutor(2) as pool:
        values = (NEW, THIRD)
        results = list(pool.map(lambda value: lab.rotate(value=value), values))
    lab.sim.advance(600)
    won = {value for value, one in zip(values, results, strict=True) if claims(lab, one)}
    assert len(won) <= 1
    assert lab.holds() <= (won or set(values))
    assert len(lab.revisions()) <= 3


# The secret


def test_a_change_beside_the_key_in_a_json_secret_is_not_lost_in_silence(lab: Stores) -> None:
    CASES["JSON key"].make(lab)
    lab.sim.clear_calls()

    def somebody_writes() -> None:
        lab.secrets_manager.put_secret_value(SecretId="prod/openai", SecretString=JSON_TEXT.replace(NEIGHBOUR, "else"))

    with lab.meanwhile("PutSecretValue", somebody_writes):
        result = lab.rotate()
    assert (result["failed"], result["actions"]) == (True, ["put_secret_value"])
    theirs = lab.version(VersionStage="AWSPREVIOUS")
    assert f"Somebody else wrote version {theirs} of" in result["msg"]
    assert "nothing was deployed" in result["msg"]
    assert "UpdateService" not in lab.writes()


@pytest.mark.parametrize("name", ["whole secret", "parameter"])
def test_a_version_over_ours_is_told(lab: Stores, name: str) -> None:
    case = CASES[name]
    case.make(lab)
    put = case.put
    assert put is not None
    # Between the write and the last look at the service.
    look = {"whole secret": "DescribeSecret", "parameter": "GetParameter"}[name]

    def after_the_write(operation: str) -> None:
        written = {"PutSecretValue", "PutParameter"} & set(lab.writes())
        if operation == look and written and not done:
            done.append(put(lab, THIRD))

    done: list[object] = []
    with lab.before_each_call(after_the_write):
        result = lab.rotate()
    assert done
    assert (result["failed"], result["actions"]) == (True, case.write)
    assert "Somebody else wrote version" in result["msg"] and "nothing was deployed" in result["msg"]
    lab.settle(lab.rotate())
    assert lab.holds() == {NEW}


# What is there no more


def gone_service(lab: Stores) -> None:
    lab.ecs("DeleteService", cluster="c", service="s", force=True)


def gone_revision(lab: Stores) -> None:
    lab.ecs("DeregisterTaskDefinition", taskDefinition="s:2")


def gone_secret(lab: Stores) -> None:
    lab.secrets_manager.delete_secret(SecretId="prod/openai")


GONE: list[tuple[str, str, Callable[[Stores], None], list[str], str]] = [
    ("environment", "RegisterTaskDefinition", gone_service, REGISTER, "deleted"),
    ("environment", "UpdateService", gone_service, REGISTER, "ecs:UpdateService on service s"),
    ("environment", "UpdateService", gone_revision, REGISTER, "ecs:UpdateService on service s"),
    ("whole secret", "PutSecretValue", gone_secret, [], "secretsmanager:PutSecretValue on secret"),
    ("pinned", "RegisterTaskDefinition", gone_secret, ["put_secret_value", *BOTH], ""),
]


@pytest.mark.parametrize(("name", "operation", "goes", "actions", "says"), GONE)
def test_what_goes_meanwhile_is_named(
    lab: Stores, name: str, operation: str, goes: Callable[[Stores], None], actions: list[str], says: str
) -> None:
    CASES[name].make(lab)
    with lab.meanwhile(operation, lambda: goes(lab)):
        result = lab.rotate()
    assert (result.get("failed", False), result["actions"]) == (bool(says), actions)
    assert says in result.get("msg", "")
    assert result["changed"] is bool(actions)
