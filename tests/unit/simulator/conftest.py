# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A service of the simulator's engine, driven by passing the time: no process, no socket, no sleep."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

_TESTS = str(Path(__file__).resolve().parents[2])
if _TESTS not in sys.path:
    sys.path.insert(0, _TESTS)

from simulator import endings, engine, environments, operations
from simulator.state import Service, Timing
from simulator.world import Call, World

START = 1_800_000_000.0


class Lab:
    """One Region with one service `s` in cluster `c`, and a clock that the test sets."""

    def __init__(self, **timing: float) -> None:
        self.world = World(seed=7, timing=Timing(jitter=0.0, **timing))
        self.now = START
        self.stale = False

    @property
    def context(self) -> Call:
        region = self.world.region("123456789012", "us-east-1")
        return Call(region, "arn:aws:iam::123456789012:user/tester", self.now, self.stale)

    @property
    def service(self) -> Service:
        return self.context.region.clusters["c"].services["s"]

    def environment(self, **wanted: Any) -> dict[str, Any]:
        wanted.setdefault("environment", {"OPENAI_API_KEY": "sk-old"})
        made: dict[str, Any] = environments.create(self.context, {"cluster": "c", "service": "s", **wanted})
        return made

    def call(self, operation: str, **body: Any) -> dict[str, Any]:
        answer: dict[str, Any] = operations.call(self.context, operation, body)
        return answer

    def script(self, ending: str, **parameters: Any) -> None:
        script = endings.Script(ending, **parameters)
        script.configure(self.service.configuration)
        self.service.script = script

    def register(self, value: str = "sk-new", **container: Any) -> str:
        containers = [
            {"name": "app", "image": "app:2", "environment": [{"name": "OPENAI_API_KEY", "value": value}], **container}
        ]
        answer = self.call("RegisterTaskDefinition", family="s", containerDefinitions=containers)
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def rotate(self, **changes: Any) -> dict[str, Any]:
        """Register and deploy a new revision; the new PRIMARY deployment."""
        answer = self.call("UpdateService", cluster="c", service="s", taskDefinition=self.register(), **changes)
        found: dict[str, Any] = answer["service"]["deployments"][0]
        return found

    def after(self, seconds: float) -> dict[str, Any]:
        """The service as DescribeServices answers it so much later."""
        self.now += seconds
        engine.advance_region(self.context.region, self.now)
        found: dict[str, Any] = self.call("DescribeServices", cluster="c", services=["s"])["services"][0]
        return found

    def record(self) -> dict[str, Any]:
        """The newest service deployment."""
        brief = self.call("ListServiceDeployments", cluster="c", service="s")["serviceDeployments"][0]
        arns = [brief["serviceDeploymentArn"]]
        found: dict[str, Any] = self.call("DescribeServiceDeployments", serviceDeploymentArns=arns)[
            "serviceDeployments"
        ][0]
        return found

    def tasks(self, status: str = "RUNNING") -> list[dict[str, Any]]:
        arns = self.call("ListTasks", cluster="c", serviceName="s", desiredStatus=status)["taskArns"]
        if not arns:
            return []
        found: list[dict[str, Any]] = self.call("DescribeTasks", cluster="c", tasks=arns)["tasks"]
        return found

    def messages(self) -> list[str]:
        return [event["message"] for event in self.after(0)["events"]]


@pytest.fixture
def lab() -> Lab:
    return Lab()


@pytest.fixture
def new_lab() -> type[Lab]:
    """For tests that compare several."""
    return Lab
