# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""AWS calls of waiting for several services of a cluster, each alone and all in one ``ecs_rollout_wait``.

    python tests/benchmark/several.py [SERVICES ...]      the table; by default of 1, 3, 10 and 30

The simulator's clock moves only when the wait sleeps, as in ``rotation.py``. A rollout takes about 60 s; in 3 s more or
less its services differ. The lag is from the end of a service's rollout to the wait's answer about that service.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[2])]
    __import__("conftest")  # makes the checkout importable

from simulator import Simulator

SERVICES = (1, 3, 10, 30)
TIMING = {"provisioning": 4.0, "pending": 6.0, "healthy": 12.0, "drain": 20.0}


def measure(simulator: Simulator, services: int, together: bool) -> dict[str, Any]:
    """Calls by operation, and each service's lag in seconds."""
    calls: Counter[str] = Counter()
    lags: list[float] = []
    took: list[float] = []
    names = [f"s{number}" for number in range(services)]
    for several in [names] if together else [[name] for name in names]:
        simulator.reset()
        began = simulator.now()
        result = _wait(simulator, several)
        calls += Counter(call["operation"] for call in simulator.calls() if "keyturn.ecs/" in call["user_agent"])
        for one in result:
            if one["status"] != "completed":
                raise RuntimeError(f"{one['service']}: {one['status']}")
            over = _over(simulator, one["service"]) - began
            took.append(over)
            lags.append(one["elapsed"] - over)
    return {"calls": calls, "lags": lags, "took": took}


def _wait(simulator: Simulator, names: list[str]) -> list[dict[str, Any]]:
    """Make the services, deploy them, wait for them."""
    from ansible_collections.keyturn.ecs.plugins.module_utils._aws import Aws
    from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.wait import Clock, wait

    for name in names:
        simulator.create_environment(cluster="c", service=name, environment={"KEY": "old"}, desired=2)
    ecs = simulator.client("ecs")
    for name in names:
        ecs.update_service(cluster="c", service=name, forceNewDeployment=True)
    chance = random.Random(" ".join(names))
    clock = Clock(
        now=simulator.now, sleep=simulator.advance, jitter=lambda: chance.uniform(0.85, 1.15), epoch=simulator.now
    )
    options = {
        "endpoint_url": simulator.url,
        "region": "us-east-1",
        "access_key": "AKIASIMULATOR0000000",
        "secret_key": "simulator-secret-key",
        **dict.fromkeys(("cluster", "service", "deployment_id", "task_definition")),
        "services": [{"cluster": "c", "service": name} for name in names],
        "timeout": 900,
        "poll_interval": 15.0,
        "max_failed_tasks": 3,
        "require_healthy": "auto",
        "progress": False,
    }
    found: list[dict[str, Any]] = wait(Aws(options), options, clock)["results"]
    return found


def _over(simulator: Simulator, service: str) -> float:
    """When the rollout was over: its record finished, and the last old task stopped."""
    ecs = simulator.client("ecs")
    newest = ecs.list_service_deployments(cluster="c", service=service)["serviceDeployments"][0]
    stopped = ecs.list_tasks(cluster="c", serviceName=service, desiredStatus="STOPPED")["taskArns"]
    tasks = ecs.describe_tasks(cluster="c", tasks=stopped)["tasks"]
    return max(at.timestamp() for at in (newest["finishedAt"], *(task["stoppedAt"] for task in tasks)))


def table(sizes: tuple[int, ...] = SERVICES) -> str:
    """One line for each number of services and way to wait."""
    with Simulator.start(speed=0, throttling="virtual", seed=1, timing=TIMING) as simulator:
        runs = {(size, way): measure(simulator, size, way == "in one") for size in sizes for way in ("alone", "in one")}
    operations = sorted({operation for run in runs.values() for operation in run["calls"]})
    lines = [
        f"| services | waited for | {' | '.join(operations)} | all | lag, mean | lag, most |",
        f"|---:|---|{'---:|' * (len(operations) + 3)}",
    ]
    for (size, way), run in runs.items():
        counts = [run["calls"][operation] for operation in operations]
        numbers = [*counts, sum(counts)]
        lags = [sum(run["lags"]) / size, max(run["lags"])]
        told = " | ".join([*map(str, numbers), *(f"{lag:.1f} s" for lag in lags)])
        lines.append(f"| {size} | {way} | {told} |")
    seconds = [second for run in runs.values() for second in run["took"]]
    return "\n".join([*lines, "", f"A rollout took {min(seconds):.0f} to {max(seconds):.0f} s."])


if __name__ == "__main__":
    print(table(tuple(map(int, sys.argv[1:])) or SERVICES))
