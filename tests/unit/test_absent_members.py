# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whatever ECS leaves out of an answer: a result, or an error that says what is the matter. Never a traceback.

Members that AWS documents as always there are left out, too: an endpoint that nobody here wrote need not have them.

    ABSENT=all pytest tests/unit/test_absent_members.py      every member, also as null, in every scenario
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.keyturn.ecs.plugins.module_utils._aws import Aws
from ansible_collections.keyturn.ecs.plugins.module_utils._errors import KeyturnError
from ansible_collections.keyturn.ecs.plugins.module_utils._info.info import info
from ansible_collections.keyturn.ecs.plugins.module_utils._preflight.preflight import preflight
from ansible_collections.keyturn.ecs.plugins.module_utils._purge import purge
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.wait import wait
from ansible_collections.keyturn.ecs.plugins.module_utils._rotation.rollback import rollback
from ansible_collections.keyturn.ecs.plugins.module_utils._rotation.rotate import rotate
from ansible_collections.keyturn.ecs.plugins.modules import (
    ecs_env_info,
    ecs_env_preflight,
    ecs_env_rollback,
    ecs_env_rotate,
    ecs_revision_purge,
    ecs_rollout_wait,
)
from fakes.engine import Engine
from fakes.model import RECORDS
from fakes.network import OPTIONS, Answer
from simulator.endings import ENDINGS

Json = dict[str, Any]
Path = tuple[str, ...]  # names of members; "*" for every entry of a list, "[]" for none
ALL = os.environ.get("ABSENT") == "all"
AWS = Aws(OPTIONS)
PLACE = {"cluster": "c", "service": "s"}
VARIABLE = {**PLACE, "variable": "OPENAI_API_KEY"}
NEW = {**VARIABLE, "value": "sk-new-0123456789"}


class Lossy(Engine):
    """Leaves one member out of an operation's answers, or answers null for it.

    Attributes:
        seen: every member of every answer so far.
        lost: operation and member.
    """

    seen: dict[tuple[str, Path], None]
    lost: tuple[str, Path] | None = None
    null = False

    def _operate(self, operation: str, body: Json) -> Answer:
        answer = super()._operate(operation, body)
        assert isinstance(answer, tuple)
        status, data = answer
        if status != 200 or self.lost is None or self.lost[0] != operation:
            self.seen.update(dict.fromkeys((operation, path) for path in members(data)))
            return answer
        return 200, without(copy.deepcopy(data), self.lost[1], self.null)


def members(data: Any, path: Path = ()) -> Iterator[Path]:
    if isinstance(data, dict):
        for name, value in data.items():
            yield (*path, name)
            yield from members(value, (*path, name))
    elif isinstance(data, list):
        yield (*path, "[]")
        for value in data:
            yield from members(value, (*path, "*"))


def without(data: Any, path: Path, null: bool) -> Any:
    head, *rest = path
    if isinstance(data, list):
        return [] if head == "[]" else [without(value, tuple(rest), null) for value in data] if head == "*" else data
    if not isinstance(data, dict) or head not in data:
        return data
    if rest:
        return {**data, head: without(data[head], tuple(rest), null)}
    return {**data, head: None} if null else {name: value for name, value in data.items() if name != head}


ECS = Lossy(AWS)


def options(module: Any, **given: Any) -> Json:
    capability = module.CAPABILITY
    checked = ArgumentSpecValidator(capability.argument_spec, **capability.rules).validate({**OPTIONS, **given})
    assert checked.error_messages == []
    found: Json = checked.validated_parameters
    return found


def there_and_back() -> None:
    done = rotate(AWS, options(ecs_env_rotate, **NEW), False, pause=ECS.after, now=lambda: ECS.now)
    wanted = {name: done[name] for name in ("deployment_id", "task_definition")}
    wait(AWS, options(ecs_rollout_wait, **PLACE, timeout=120, **wanted), ECS.clock)
    ECS.after(600)
    way = {"task_definition": done["previous_task_definition"], "expected_task_definition": done["task_definition"]}
    rollback(AWS, options(ecs_env_rollback, **VARIABLE, **way), False, pause=ECS.after)


def watched(ending: str) -> Callable[[], None]:
    def run() -> None:
        ECS.script(ending)
        container = ECS.call("DescribeTaskDefinition", taskDefinition="s")["taskDefinition"]["containerDefinitions"][0]
        container["environment"] = [{"name": "OPENAI_API_KEY", "value": "sk-x"}]
        made = ECS.call("RegisterTaskDefinition", family="s", containerDefinitions=[container])["taskDefinition"]
        arn = made["taskDefinitionArn"]
        service = ECS.call("UpdateService", **PLACE, taskDefinition=arn)["service"]
        wanted = {"task_definition": arn, "deployment_id": service["deployments"][0]["id"]}
        wait(AWS, options(ecs_rollout_wait, **PLACE, timeout=120, **wanted), ECS.clock)

    return run


SCENARIOS: dict[str, Callable[[], object]] = {
    "there and back": there_and_back,
    "info": lambda: info(AWS, options(ecs_env_info, cluster="c", variable="OPENAI_API_KEY"), now=lambda: ECS.now),
    "preflight": lambda: preflight(AWS, options(ecs_env_preflight, **NEW)),
    "purge": lambda: purge(AWS, options(ecs_revision_purge, **VARIABLE), False, pause=ECS.after),
    **{f"wait, {ending}": watched(ending) for ending in ENDINGS},
}
# By default: what crashed once, and the scenarios that take a second.
ONCE: list[Any] = [
    ("there and back", "DescribeTaskDefinition", ("taskDefinition",), False),
    ("there and back", "DescribeTaskDefinition", ("taskDefinition", "containerDefinitions", "*", "name"), False),
    ("there and back", "UpdateService", ("service",), False),
    ("there and back", "DescribeTaskDefinition", ("taskDefinition",), True),
    ("there and back", "DescribeTaskDefinition", ("taskDefinition", "taskDefinitionArn"), True),
    ("there and back", "DescribeTaskDefinition", ("taskDefinition", "revision"), True),
    ("there and back", "UpdateService", ("service",), True),
    ("there and back", "UpdateService", ("service", "clusterArn"), True),
    ("preflight", "DescribeServices", ("services", "*", "serviceArn"), False),
    ("wait, completes", "DescribeTaskDefinition", ("taskDefinition",), False),
    ("wait, task_protection", "GetTaskProtection", ("protectedTasks", "*", "taskArn"), False),
    pytest.param(
        "wait, superseded",
        "ListServiceDeployments",
        ("serviceDeployments", "*", "serviceDeploymentArn"),
        False,
        marks=RECORDS,
    ),
]
WHOLE = list(SCENARIOS) if ALL else ["info"]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _seconds: None))
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")


def played(scenario: str, lost: tuple[str, Path] | None = None, null: bool = False) -> str:
    """The error's message, if there was one. Any other exception is the test's failure."""
    ECS.begin()
    ECS.environment()
    ECS.lost, ECS.null = lost, null
    try:
        SCENARIOS[scenario]()
    except KeyturnError as error:
        return error.msg
    finally:
        ECS.lost = None
    return ""


@pytest.mark.parametrize(("scenario", "operation", "path", "null"), ONCE, ids=str)
def test_what_crashed_once_does_not(scenario: str, operation: str, path: Path, null: bool) -> None:
    ECS.seen = {}
    played(scenario)
    assert (operation, path) in ECS.seen, "it is in the answers, so leaving it out says something"
    assert "KeyError" not in played(scenario, (operation, path), null)


@pytest.mark.parametrize("scenario", WHOLE)
def test_any_member_may_be_absent(scenario: str, record_property: Callable[[str, object], None]) -> None:
    ECS.seen = {}
    played(scenario)
    found = list(ECS.seen)
    assert len(found) > 100
    for lost in found:
        for null in (False, True) if ALL and lost[1][-1] != "[]" else (False,):
            played(scenario, lost, null)
    record_property(f"members left out, {scenario}", len(found))
