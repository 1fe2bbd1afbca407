# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Fleets: one run of ansible-playbook over many environments, against the documented throttling, in real time.

    make bench ARGS="--only fleet"
    python tests/benchmark/fleet.py --sizes 1,50,200 --forks 50 --accounts 1,10 --plays modules,role

``modules`` is a play of ``ecs_env_rotate`` and ``ecs_rollout_wait``, ``role`` the playbook ``keyturn.ecs.rotate`` with
a record, ``free`` the same with Ansible's strategy free. A run that rotates is followed by the same run again
(``unchanged``), and by a first run over services that have had the value for a month (``settled``).

``--tuned`` runs with examples/fleet/ansible.cfg, otherwise with Ansible's own settings; strategy and forks are always
those of the row.

The floor of a run is what ECS takes: after a burst of 20, one revision a second in an account, and then the rollout of
the one that was registered last, as long as rollouts took in the run (median). CPU is that of ansible-playbook, and
apart from it that of its workers. Calls are what reached the embedded AWS, refused ones included. Memory is the
proportional set size of all these processes together at its highest, looked at every few seconds; what a waiting host
takes is the growth since the first look, by the hosts that waited at once. Rows are written to
tests/output/benchmark/fleet.json as they come.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

import collection_tree
from simulator import DEFAULT_ACCOUNT, Simulator

OLD, NEW = "sk-old-0123456789", "sk-new-0123456789"
RESULTS = ROOT / "tests" / "output" / "benchmark" / "fleet.json"
BURST, RATE = 20, 1.0  # RegisterTaskDefinition, an account and Region
# A rollout of one task takes about a minute.
TIMING = {"drain": 20.0}
LOOK_SECONDS = 3.0
TUNED = ROOT / "examples" / "fleet" / "ansible.cfg"
PLAIN = Path(__file__).with_name("ansible.cfg")

PLAY = [
    {
        "hosts": "environments",
        "connection": "local",
        "gather_facts": False,
        "module_defaults": {
            "group/keyturn.ecs.aws": {"assume_role_arn": "{{ rotate_assume_role_arn | default(omit) }}"}
        },
        "tasks": [
            {
                "name": "Rotate",
                "keyturn.ecs.ecs_env_rotate": {
                    "cluster": "{{ rotate_cluster }}",
                    "service": "{{ rotate_service }}",
                    "variable": "OPENAI_API_KEY",
                    "value": "{{ lookup('ansible.builtin.env', 'OPENAI_API_KEY') }}",
                },
                "register": "rotated",
            },
            {
                "name": "Wait",
                "keyturn.ecs.ecs_rollout_wait": {
                    "cluster": "{{ rotate_cluster }}",
                    "service": "{{ rotate_service }}",
                    "deployment_id": "{{ rotated.deployment_id }}",
                    "task_definition": "{{ rotated.task_definition }}",
                },
            },
        ],
    }
]


class Fleet:
    """`size` services, spread over accounts, that have held a value for a month, and plays over them."""

    def __init__(self, sim: Simulator, folder: Path, tree: str, size: int, accounts: int, value: str = OLD) -> None:
        self._sim, self._folder = sim, folder
        numbers = [DEFAULT_ACCOUNT, *(f"{number:012d}" for number in range(1, accounts))]
        self.place = {f"env{number:03d}": numbers[number % accounts] for number in range(size)}
        hosts: dict[str, dict[str, str]] = {}
        environment = {"LOG_LEVEL": "INFO", "DATABASE_URL": "postgres://db.internal/app", "OPENAI_API_KEY": value}
        for name, account in self.place.items():
            sim.create_environment(
                cluster=name, service=name, environment=environment, desired=1, account=account, health_check=True
            )
            hosts[name] = {"rotate_cluster": name, "rotate_service": name}
            if account != DEFAULT_ACCOUNT:
                hosts[name]["rotate_assume_role_arn"] = sim.role_arn(account)
        (folder / "inventory.json").write_text(json.dumps({"environments": {"hosts": hosts}}), encoding="utf-8")
        (folder / "play.json").write_text(json.dumps(PLAY), encoding="utf-8")
        self._env = {
            **os.environ,
            **sim.environ(),
            "ANSIBLE_COLLECTIONS_PATH": tree,
            "ANSIBLE_HOME": str(folder / "home"),
            "ANSIBLE_LOCAL_TEMP": str(folder / "local"),
            "OPENAI_API_KEY": NEW,
        }

    def run(self, play: str, forks: int, tuned: bool) -> dict[str, Any]:
        """One run; raises RuntimeError with Ansible's last lines when it fails."""
        command = [sys.executable, str(Path(sysconfig.get_path("scripts")) / "ansible-playbook"), f"-f{forks}"]
        command += ["-i", str(self._folder / "inventory.json")]
        if play != "modules":
            command += ["keyturn.ecs.rotate", "-e", "rotate_verify_key=false"]
            command += ["-e", f"rotate_record_path={self._folder / 'record.jsonl'}"]
        else:
            command += [str(self._folder / "play.json")]
        settings = {"ANSIBLE_CONFIG": str(TUNED if tuned else PLAIN)}
        settings["ANSIBLE_STRATEGY"] = "free" if play == "free" else "linear"
        self._sim.clear_calls()
        before, began = _cpu(), time.perf_counter()
        log = self._folder / "log"
        with log.open("w", encoding="utf-8") as out:
            process = subprocess.Popen(
                command, env=self._env | settings, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
            )
            with _looks_at(process.pid) as looks:
                process.wait()
        wall, cpu = time.perf_counter() - began, _cpu() - before
        text = log.read_text(encoding="utf-8")
        if process.returncode:
            raise RuntimeError(f"ansible-playbook failed with {process.returncode}:\n{text[-4000:]}")
        calls = self._sim.calls()
        return {
            "wall": wall,
            "cpu": cpu,
            "calls": Counter(f"{call['service']}:{call['operation']}" for call in calls),
            "throttled": Counter(call["operation"] for call in calls if call["error"] == "ThrottlingException"),
            "workers": max((look.workers for look in looks), default=0.0),
            "first_look": min((look.memory for look in looks), default=0.0),
            "peak": max((look.memory for look in looks), default=0.0),
            "lines": text.count("\n"),
            "changed": sum("changed=0" not in line for line in text.splitlines() if " : ok=" in line and "env" in line),
        }

    def rollouts(self) -> tuple[float, float]:
        """Median seconds of the rollouts of this run, and of the longest."""
        clients = {account: self._sim.client("ecs", account=account) for account in set(self.place.values())}
        took = []
        for name, account in self.place.items():
            ecs = clients[account]
            record = ecs.list_service_deployments(cluster=name, service=name)["serviceDeployments"][0]
            stopped = ecs.list_tasks(cluster=name, serviceName=name, desiredStatus="STOPPED")["taskArns"]
            tasks = ecs.describe_tasks(cluster=name, tasks=stopped)["tasks"] if stopped else []
            over = max(at.timestamp() for at in (record["finishedAt"], *(task["stoppedAt"] for task in tasks)))
            took.append(over - record["createdAt"].timestamp())
        return statistics.median(took), max(took)


def measure(tree: str, size: int, forks: int, accounts: int, play: str, tuned: bool) -> list[dict[str, Any]]:
    """The run that rotates, the same again, and one over services that have had the value for long."""
    rows = []
    with (
        tempfile.TemporaryDirectory(prefix="keyturn-bench-") as folder,
        Simulator.start(speed=1, throttling=True, seed=1, timing=TIMING) as sim,
    ):
        fleet = Fleet(sim, Path(folder), tree, size, accounts)
        shape = {"play": play, "tuned": tuned, "size": size, "accounts": accounts, "forks": forks}
        for kind in ("rotates", "unchanged", "settled"):
            if kind == "settled":
                sim.reset()
                fleet = Fleet(sim, Path(folder), tree, size, accounts, NEW)
            row = {**shape, "run": kind, **fleet.run(play, forks, tuned)}
            if row["changed"] != (size if kind == "rotates" else 0):
                raise RuntimeError(f"{kind}: {row['changed']} of {size} environments are changed")
            if kind == "rotates":
                sim.set_throttling(False)
                median, longest = fleet.rollouts()
                sim.set_throttling(True)
                waiting = max(0.0, (-(-size // accounts) - BURST) / RATE)
                row.update(rollout=median, longest=longest, floor=waiting + median)
            rows.append(row)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    head = (
        "| play | environments | accounts | forks | run | wall s | floor s | wall / floor | CPU s a host | in workers "
        "| calls a host | throttled | peak MB | MB a waiting host |"
    )
    lines = [head, "|---|" + "---:|" * 3 + "---|" + "---:|" * 9]
    for row in rows:
        calls, refused = sum(row["calls"].values()), sum(row["throttled"].values())
        floor = f"{row['floor']:.1f} | {row['wall'] / row['floor']:.2f}" if "floor" in row else "- | -"
        busy = min(row["forks"], row["size"])
        each = f"{(row['peak'] - row['first_look']) / busy:.1f}" if row["run"] == "rotates" else "-"
        play = row["play"] + (", tuned" if row["tuned"] else "")
        cells = [play, row["size"], row["accounts"], row["forks"], row["run"], f"{row['wall']:.1f}", floor]
        cells += [f"{row['cpu'] / row['size']:.3f}", f"{row['workers'] / row['size']:.3f}"]
        cells += [f"{calls / row['size']:.1f}", f"{refused / calls:.1%}", f"{row['peak']:.0f}", each]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


@dataclass(frozen=True)
class Look:
    """At a running ansible-playbook: `memory` of it and its workers in MB, CPU seconds of the `workers` that ended."""

    memory: float
    workers: float


@contextmanager
def _looks_at(pid: int) -> Iterator[list[Look]]:
    """Looks at a process and all below it until the block ends."""
    looks: list[Look] = []
    over = threading.Event()

    def look() -> None:
        memory = 0.0
        for number in itertools.count():
            if over.wait(LOOK_SECONDS / 10):
                return
            if number % 10 == 0:
                memory = sum(_pss(one) for one in _tree(pid))
            with suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
                looks.append(Look(memory, (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield looks
    finally:
        over.set()
        thread.join()


def _tree(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # it has ended
            found += [one for child in task.read_text().split() for one in _tree(int(child))]
    return found


def _pss(pid: int) -> float:
    """Proportional set size in MB: what is shared counts once in all."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0.0
    return sum(float(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=_numbers, default=[1, 10, 50], help="environments (1,10,50)")
    parser.add_argument("--forks", type=_numbers, default=[0], help="0 for as many as environments (0)")
    parser.add_argument("--accounts", type=_numbers, default=[1], help="(1)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="JSON of all rows (fleet.json)")
    parser.add_argument("--tuned", action="store_true", help="with the settings of examples/fleet/ansible.cfg")
    parser.add_argument("--plays", default="modules,role", help="modules, role, free (modules,role)")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with collection_tree.linked() as place:
        tree = str(place.parents[2])
        for size in arguments.sizes:
            for accounts in arguments.accounts:
                for forks in arguments.forks:
                    for play in arguments.plays.split(","):
                        rows += measure(tree, size, forks or size, min(accounts, size), play, arguments.tuned)
                        arguments.output.write_text(
                            json.dumps({"cpus": os.cpu_count(), "rows": rows}, indent=2) + "\n", encoding="utf-8"
                        )
                        print(table(rows[-3:]), flush=True)
    print("\n" + table(rows))


if __name__ == "__main__":
    main()
