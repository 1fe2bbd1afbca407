# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The simulator's ECS without a process: botocore's requests go to its engine, on a clock that the test moves."""

from __future__ import annotations

from typing import Any

from ansible_collections.keyturn.ecs.plugins.module_utils._aws import Aws
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.wait import Clock
from fakes.network import Answer, Network
from simulator import endings, environments, errors, operations
from simulator.state import Timing
from simulator.world import Call, World

START = 1_800_000_000.0


class Engine(Network):
    """One account and Region; ``denied`` names operations that the caller may not call."""

    def __init__(self, aws: Aws) -> None:
        super().__init__(aws, self._operate)
        self.begin()

    def begin(self, denied: frozenset[str] = frozenset(), **timing: float) -> None:
        """Forget everything."""
        self.world = World(seed=7, timing=Timing(**timing))
        self.now = START
        self.denied = denied
        self.sent.clear()

    @property
    def clock(self) -> Clock:
        """Time as :func:`wait` wants it: sleeping moves the engine's clock."""
        return Clock(now=lambda: self.now, sleep=self.after, jitter=lambda: 1.0, epoch=lambda: self.now)

    def after(self, seconds: float) -> None:
        self.now += seconds

    def call(self, operation: str, **body: Any) -> dict[str, Any]:
        """Call an operation as somebody else would."""
        answer: dict[str, Any] = operations.call(self._context, operation, body)
        return answer

    def environment(self, **wanted: Any) -> dict[str, Any]:
        """A service ``s`` in cluster ``c`` that has run for a month."""
        wanted.setdefault("environment", {"OPENAI_API_KEY": "sk-old"})
        made: dict[str, Any] = environments.create(self._context, {"cluster": "c", "service": "s", **wanted})
        return made

    def script(self, ending: str, cluster: str = "c", name: str = "s", **parameters: Any) -> None:
        """How the service's next deployment ends."""
        service = self._context.region.clusters[cluster].services[name]
        script = endings.Script(ending, **parameters)
        script.configure(service.configuration)
        service.script = script

    @property
    def _context(self) -> Call:
        region = self.world.region("123456789012", "us-east-1")
        return Call(region, "arn:aws:iam::123456789012:user/tester", self.now, False)

    def _operate(self, operation: str, body: dict[str, Any]) -> Answer:
        try:
            if operation in self.denied:
                raise errors.denied("arn:aws:iam::123456789012:user/tester", "ecs", operation, "*")
            return 200, operations.call(self._context, operation, body)
        except errors.ApiError as error:
            return error.status, {"__type": error.code, "message": error.message}
