# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""AWS calls of one rotation, and how long after its end ``ecs_rollout_wait`` says so.

The simulator's clock stands still and moves on only when the wait sleeps: rollouts take as long, and are polled as
often, as on AWS, without any waiting here. What AWS takes to answer a call is not in it.
"""

from __future__ import annotations

import random
import statistics
from collections import Counter
from typing import Any

from simulator import Simulator

OLD, NEW = "sk-old-0123456789", "sk-new-0123456789"
PHASES = ("rotate, first run", "wait, first run", "rotate, unchanged", "wait, unchanged")


def measure(tree: str, rotations: int) -> dict[str, Any]:
    """Calls by phase and operation (one number a rotation), seconds of the rollouts, and lags in seconds."""
    from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

    _AnsibleCollectionFinder(paths=[tree])._install()
    with Simulator.start(speed=0, throttling="virtual", seed=1) as simulator:
        runs = [_rotate(simulator, number) for number in range(rotations)]
    operations = sorted({operation for run in runs for calls in run["calls"].values() for operation in calls})
    return {
        "rotations": rotations,
        "calls": {
            operation: {phase: [run["calls"][phase][operation] for run in runs] for phase in PHASES}
            for operation in operations
        },
        "rollout_seconds": [run["rollout"] for run in runs],
        "lag_seconds": [run["lag"] for run in runs],
    }


def _rotate(simulator: Simulator, number: int) -> dict[str, Any]:
    """One service, rotated and waited for twice."""
    from ansible_collections.keyturn.ecs.plugins.module_utils._aws import Aws
    from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.wait import Clock, wait
    from ansible_collections.keyturn.ecs.plugins.module_utils._rotation.rotate import rotate
    from ansible_collections.keyturn.ecs.plugins.modules import ecs_env_rotate, ecs_rollout_wait

    cluster, service = "bench", f"api{number}"
    simulator.create_environment(cluster=cluster, service=service, environment={"OPENAI_API_KEY": OLD}, desired=2)
    place = {
        "cluster": cluster,
        "service": service,
        "endpoint_url": simulator.url,
        "region": "us-east-1",
        "access_key": "AKIASIMULATOR0000000",
        "secret_key": "simulator",
    }
    clock = Clock(
        now=simulator.now, sleep=simulator.advance, jitter=lambda: chance.uniform(0.85, 1.15), epoch=simulator.now
    )
    chance = random.Random(number)
    calls: dict[str, Counter[str]] = {}
    began = simulator.now()
    over = lag = 0.0
    for run in ("first run", "unchanged"):
        simulator.clear_calls()
        options = _options(ecs_env_rotate.CAPABILITY, {**place, "variable": "OPENAI_API_KEY", "value": NEW})
        rotated = rotate(Aws(options), options, False, simulator.advance)
        if rotated["changed"] != (run == "first run"):
            raise RuntimeError(f"{run}: changed is {rotated['changed']}")
        calls[f"rotate, {run}"] = _calls(simulator)
        named = {name: rotated[name] for name in ("deployment_id", "task_definition")}
        options = _options(ecs_rollout_wait.CAPABILITY, {**place, **named})
        wait(Aws(options), options, clock)
        calls[f"wait, {run}"] = _calls(simulator)
        if run == "first run":
            over = _over(simulator, cluster, service)
            lag = simulator.now() - over
    return {"calls": calls, "rollout": over - began, "lag": lag}


def _options(capability: Any, given: dict[str, Any]) -> Any:
    """Options as Ansible would hand them over, defaults filled in."""
    from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

    checked = ArgumentSpecValidator(capability.argument_spec, **capability.rules).validate(given)
    if checked.error_messages:
        raise RuntimeError(checked.error_messages[0])
    return checked.validated_parameters


def _calls(simulator: Simulator) -> Counter[str]:
    """Requests since the last time, retries included, by operation."""
    found = Counter(f"{call['service']}:{call['operation']}" for call in simulator.calls())
    simulator.clear_calls()
    return found


def _over(simulator: Simulator, cluster: str, service: str) -> float:
    """When the rollout was over: its record finished, and the last old task stopped."""
    ecs = simulator.client("ecs")
    newest = ecs.list_service_deployments(cluster=cluster, service=service)["serviceDeployments"][0]
    stopped = ecs.list_tasks(cluster=cluster, serviceName=service, desiredStatus="STOPPED")["taskArns"]
    tasks = ecs.describe_tasks(cluster=cluster, tasks=stopped)["tasks"]
    simulator.clear_calls()
    return max(at.timestamp() for at in (newest["finishedAt"], *(task["stoppedAt"] for task in tasks)))


def table(results: dict[str, Any]) -> str:
    lines = [
        f"### AWS calls, {results['rotations']} rotations of 2 tasks, each waited for in (virtual) real time",
        "",
        f"| operation | {' | '.join(PHASES)} |",
        f"|---|{'---:|' * len(PHASES)}",
    ]
    lines += [
        f"| {operation} | {' | '.join(_span(phases[phase]) for phase in PHASES)} |"
        for operation, phases in results["calls"].items()
    ]
    totals = {
        phase: [sum(of_one) for of_one in zip(*(phases[phase] for phases in results["calls"].values()), strict=True)]
        for phase in PHASES
    }
    lines.append(f"| **all** | {' | '.join(_span(totals[phase]) for phase in PHASES)} |")
    rollouts, lags = results["rollout_seconds"], results["lag_seconds"]
    took = f"{statistics.median(rollouts):.0f} s ({min(rollouts):.0f} to {max(rollouts):.0f})"
    late = f"{statistics.median(lags):.1f} s after it (at most {max(lags):.1f})"
    return "\n".join([*lines, "", f"A rollout took {took}; the wait ended {late}."])


def _span(numbers: list[int]) -> str:
    """`3`, or `12 to 15` where rotations differ; nothing for none."""
    low, high = min(numbers), max(numbers)
    return ("" if not high else str(low)) if low == high else f"{low} to {high}"
