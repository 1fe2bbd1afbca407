# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``ecs_log_scan``: what reading many lines over many streams costs, and what GetLogEvents would cost instead.

    python tests/benchmark/log_scan.py      one table

One service with a task for each stream, against the embedded AWS, with the ten FilterLogEvents a second that CloudWatch
Logs documents. Its pages hold 10,000 lines; AWS's end at 1 MB, too, so lines of 200 bytes take a call for 5,000 there.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[2])]
    __import__("conftest")  # makes the checkout importable

from simulator import Simulator

LINE = "2026-11-22T10:00:00.000Z INFO request {n} answered in 401 ms " + "x" * 40
REFUSED = "openai.AuthenticationError: Error code: 401 - invalid_api_key"
PUT = 1000
OPTIONS: dict[str, Any] = {
    "cluster": "c",
    "service": "s",
    "deployment_id": None,
    "patterns": None,
    "more_patterns": [],
    "since": None,
    "variable": None,
    "settle": 0,
    "fail_on_match": False,
    "region": "us-east-1",
    "access_key": "AKIASIMULATOR0000000",
    "secret_key": "simulator-secret-key",
}


@dataclass(frozen=True)
class Case:
    streams: int
    lines: int


CASES = (Case(2, 200), Case(40, 10_000), Case(200, 10_000), Case(40, 100_000))


def fill(sim: Simulator, case: Case) -> list[str]:
    """A service of which every task has logged its share, one of them an error; the streams' names."""
    made = sim.create_environment(desired=case.streams)
    logs, at = sim.client("logs"), round(sim.now() * 1000)
    logs.create_log_group(logGroupName="/ecs/s")
    share = case.lines // case.streams
    names = [f"ecs/app/{task.rpartition('/')[2]}" for task in made["tasks"]]
    for name in names:
        logs.create_log_stream(logGroupName="/ecs/s", logStreamName=name)
        lines = [LINE.format(n=n) for n in range(share - (name == names[0]))] + [REFUSED] * (name == names[0])
        for start in range(0, len(lines), PUT):
            events = [{"timestamp": at, "message": line} for line in lines[start : start + PUT]]
            logs.put_log_events(logGroupName="/ecs/s", logStreamName=name, logEvents=events)
    return names


def by_scan(sim: Simulator) -> None:
    """The module's own function."""
    from ansible_collections.keyturn.ecs.plugins.module_utils._aws import Aws
    from ansible_collections.keyturn.ecs.plugins.module_utils._logs.scan import scan

    options = {**OPTIONS, "endpoint_url": sim.url}
    found = scan(Aws(options), options)
    assert found["matches_total"] == 1


def by_get_log_events(sim: Simulator, names: list[str]) -> None:
    """Stream by stream, until the token stays the same."""
    logs, total = sim.client("logs"), 0
    for name in names:
        more: dict[str, str] = {}
        while True:
            answer = logs.get_log_events(logGroupName="/ecs/s", logStreamName=name, startFromHead=True, **more)
            total += len(answer["events"])
            if answer["nextForwardToken"] == more.get("nextToken"):
                break
            more = {"nextToken": answer["nextForwardToken"]}


def measure(sim: Simulator, case: Case) -> dict[str, Any]:
    sim.reset()
    names = fill(sim, case)
    found: dict[str, Any] = {"streams": case.streams, "lines": case.lines}
    for way, run in (("scan", lambda: by_scan(sim)), ("get", lambda: by_get_log_events(sim, names))):
        sim.clear_calls()
        begun, cpu = time.perf_counter(), time.process_time()
        run()
        calls = Counter(call["service"] for call in sim.calls())
        found[way] = {
            "seconds": time.perf_counter() - begun,
            "cpu": time.process_time() - cpu,
            "logs": calls["logs"],
            "ecs": calls["ecs"],
        }
    return found


def run() -> list[dict[str, Any]]:
    """Every case, one after the other, on one embedded AWS with throttling."""
    with Simulator.start(speed=0, throttling=True) as sim:
        measure(sim, CASES[0])  # moto loads with the first request
        return [measure(sim, case) for case in CASES]


def table(results: list[dict[str, Any]]) -> str:
    rows = [
        f"| {one['streams']} | {one['lines']:,} | {one['scan']['logs']} + {one['scan']['ecs']} "
        f"| {one['scan']['seconds']:.2f} | {one['scan']['cpu']:.2f} "
        f"| {one['get']['logs']} | {one['get']['seconds']:.2f} |"
        for one in results
    ]
    head = [
        "### `ecs_log_scan`: lines read, calls and seconds",
        "",
        "| streams | lines | calls (logs + ECS) | s | CPU s | calls by GetLogEvents | s |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    return "\n".join([*head, *rows])


if __name__ == "__main__":
    print(table(run()))
