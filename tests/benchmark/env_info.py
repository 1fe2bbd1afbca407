# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``ecs_env_info``: what a whole cluster costs, in calls and seconds.

    python tests/benchmark/env_info.py [SERVICES]      one line

A cluster of 100 services, each with a task definition of its own and two tasks, half of them with a plain value, half
with a secret of their own, and ten rules and ten schedules; against the embedded AWS, with ECS's documented limits.
What AWS takes to answer a call is not in it.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[2])]
    __import__("conftest")  # makes the checkout importable

from simulator import Simulator

VARIABLE, OLD, NEW = "OPENAI_API_KEY", "sk-old-0123456789", "sk-new-0123456789"
STARTED = 10
ACCOUNT = "123456789012"


def fill(sim: Simulator, services: int) -> None:
    """The cluster; every other service reads a secret that has changed since its tasks started."""
    secrets_manager, events, scheduler = (sim.client(name) for name in ("secretsmanager", "events", "scheduler"))
    for number in range(services):
        plain = {"LOG_LEVEL": "INFO", "DATABASE_URL": f"postgres://db-{number}.internal/app"}
        if number % 2:
            arn = secrets_manager.create_secret(Name=f"key-{number}", SecretString=OLD)["ARN"]
            sim.advance(1)
            sim.create_environment(service=f"s{number}", environment=plain, secrets={VARIABLE: arn}, age_seconds=0)
        else:
            sim.create_environment(service=f"s{number}", environment={**plain, VARIABLE: NEW})
    sim.advance(60)
    for number in range(1, services, 2):
        secrets_manager.put_secret_value(SecretId=f"key-{number}", SecretString=NEW)
    for number in range(STARTED):
        parameters = {"TaskDefinitionArn": f"arn:aws:ecs:us-east-1:{ACCOUNT}:task-definition/s{number}:1"}
        target = {"Arn": f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/c", "EcsParameters": parameters}
        target["RoleArn"] = f"arn:aws:iam::{ACCOUNT}:role/events"
        events.put_rule(Name=f"r{number}", ScheduleExpression="rate(1 day)")
        events.put_targets(Rule=f"r{number}", Targets=[{"Id": "t", **target}])
        window = {"Mode": "OFF"}
        scheduler.create_schedule(
            Name=f"x{number}", ScheduleExpression="rate(1 day)", FlexibleTimeWindow=window, Target=target
        )


def measure(sim: Simulator, searched: str | None) -> dict[str, Any]:
    """One look at the whole cluster."""
    from ansible_collections.keyturn.ecs.plugins.module_utils._aws import Aws
    from ansible_collections.keyturn.ecs.plugins.module_utils._info.info import info

    options = {
        "endpoint_url": sim.url,
        "region": "us-east-1",
        "access_key": "AKIASIMULATOR0000000",
        "secret_key": "simulator-secret-key",
        "cluster": "c",
        "services": None,
        "variable": VARIABLE,
        "fingerprint": searched,
        "plaintext_revisions": False,
        "max_revisions": 100,
    }
    sim.clear_calls()
    begun, cpu = time.perf_counter(), time.process_time()
    found = info(Aws(options), options, sim.now)
    took = {"seconds": time.perf_counter() - begun, "cpu": time.process_time() - cpu}
    calls = sim.calls()
    return {
        **took,
        "calls": Counter(f"{call['service']}:{call['operation']}" for call in calls),
        "refused": sum(call["error"] == "ThrottlingException" for call in calls),
        "variables": len(found["variables"]),
        "holders": len(found["holders"]),
        "unverified": len(found["unverified"]),
    }


def run(services: int = 100) -> dict[str, dict[str, Any]]:
    """The values of a cluster; then who holds the old one."""
    from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint

    with Simulator.start(speed=0, throttling=True) as sim:
        fill(sim, services)
        return {"values": measure(sim, None), "holders": measure(sim, fingerprint(VARIABLE, OLD))}


def line(services: int, results: dict[str, dict[str, Any]]) -> str:
    parts = [
        f"{name}: {sum(one['calls'].values())} calls ({one['refused']} throttled), {one['seconds']:.2f} s, "
        f"CPU {one['cpu']:.2f} s, {one['variables']} variables, {one['holders']} holders, "
        f"{one['unverified']} unverified"
        for name, one in results.items()
    ]
    return f"ecs_env_info, {services} services: {'; '.join(parts)}"


if __name__ == "__main__":
    SERVICES = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    RESULTS = run(SERVICES)
    print(line(SERVICES, RESULTS))
    if "-v" in sys.argv:
        print(RESULTS)
