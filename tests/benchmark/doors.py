# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""CPU and wall seconds for one host and task of ``ecs_env_rotate``, inside Ansible's worker and as a module.

A playbook of k such tasks less one of k ``debug`` tasks, divided by k and hosts. CPU is that of ansible-playbook and of
every process below it; the simulator's own is not in it, but on a machine with few cores it is in the wall seconds.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from simulator import Simulator

OLD, NEW = "sk-old-0123456789", "sk-new-0123456789"
BASELINE = "debug"

Task = dict[str, Any]


@dataclass(frozen=True)
class Door:
    """`repeat`: tasks in the playbook. Seconds a task depend on it, so the table names it: through door A, 5 tasks were
    measured at twice the CPU each of 1 or 3. Every playbook is played once; a best of several would need to be one for
    both doors.
    """

    title: str
    connection: str
    repeat: int


DOORS = (Door("A: in the worker", "local", 5), Door("B: the module", "elsewhere", 1))


@dataclass(frozen=True)
class Cost:
    """Seconds. `calls`: requests that reached the simulator, whose own CPU is None where /proc does not tell it."""

    wall: float
    cpu: float
    simulator_cpu: float | None
    calls: int

    def each(self, baseline: Cost, count: int) -> dict[str, float | None]:
        """Seconds for one of `count`, above the baseline."""
        return {
            "wall": (self.wall - baseline.wall) / count,
            "cpu": (self.cpu - baseline.cpu) / count,
            "simulator_cpu": None if self.simulator_cpu is None else self.simulator_cpu / count,
            "calls": self.calls / count,
        }


class Bench:
    """An inventory of `hosts` services that hold OLD, and playbooks that run over it."""

    def __init__(self, simulator: Simulator, folder: Path, tree: str, hosts: int, forks: int) -> None:
        self._simulator, self._folder = simulator, folder
        self._command = [sys.executable, str(Path(sysconfig.get_path("scripts")) / "ansible-playbook"), f"-f{forks}"]
        self._environment = {
            **os.environ,
            **simulator.environ(),
            "ANSIBLE_COLLECTIONS_PATH": tree,
            "ANSIBLE_HOME": str(folder / "home"),
            "ANSIBLE_LOCAL_TEMP": str(folder / "local"),
            "ANSIBLE_REMOTE_TEMP": str(folder / "remote"),
        }
        names = [f"env{number:03d}" for number in range(hosts)]
        for name in names:
            simulator.create_environment(cluster=name, service=name, environment={"OPENAI_API_KEY": OLD}, desired=1)
        inventory = {"all": {"hosts": dict.fromkeys(names), "vars": {"ansible_python_interpreter": sys.executable}}}
        (folder / "inventory.json").write_text(json.dumps(inventory), encoding="utf-8")

    def play(self, task: Task, door: Door) -> Cost:
        """Run a playbook of `door.repeat` times this task over all hosts.

        Raises RuntimeError with Ansible's output when it fails.
        """
        play = {
            "hosts": "all",
            "connection": door.connection,
            "gather_facts": False,
            "tasks": [{"name": f"Task {number}", **task} for number in range(door.repeat)],
        }
        playbook = self._folder / "playbook.json"
        playbook.write_text(json.dumps([play]), encoding="utf-8")
        self._simulator.clear_calls()
        others = _cpu_of(self._simulator.pid)
        wall, cpu = time.perf_counter(), _cpu_of_children()
        run = subprocess.run(
            [*self._command, "-i", str(self._folder / "inventory.json"), str(playbook)],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        wall, cpu = time.perf_counter() - wall, _cpu_of_children() - cpu
        if run.returncode:
            raise RuntimeError(f"ansible-playbook failed with {run.returncode}:\n{run.stdout[-4000:]}")
        after = _cpu_of(self._simulator.pid)
        simulator_cpu = after - others if after is not None and others is not None else None
        return Cost(wall, cpu, simulator_cpu, len(self._simulator.calls()))


def _rotation(value: str, check_mode: bool) -> Task:
    host = "{{ inventory_hostname }}"
    options = {"cluster": host, "service": host, "variable": "OPENAI_API_KEY", "value": value}
    return {"keyturn.ecs.ecs_env_rotate": options, "check_mode": check_mode}


TASKS: Mapping[str, Task] = {
    BASELINE: {"ansible.builtin.debug": {"msg": "{{ inventory_hostname }}"}},
    "unchanged": _rotation(OLD, check_mode=False),
    "check mode, would change": _rotation(NEW, check_mode=True),
}


def measure(tree: str, hosts: int, forks: int) -> dict[str, Any]:
    """Seconds above the baseline for one host and task, by door and task, beside the whole playbooks' seconds."""
    measured: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryDirectory(prefix="keyturn-bench-") as folder,
        Simulator.start(throttling=False) as simulator,
    ):
        bench = Bench(simulator, Path(folder), tree, hosts, forks)
        for door in DOORS:
            costs = {name: bench.play(task, door) for name, task in TASKS.items()}
            count = hosts * door.repeat
            nothing = Cost(0.0, 0.0, 0.0, 0)
            for name, cost in costs.items():
                each = cost.each(nothing if name == BASELINE else costs[BASELINE], count)
                _check(door, name, each["calls"])
                measured.append(
                    {"door": door.title, "task": name, "repeat": door.repeat, "each": each, "all": asdict(cost)}
                )
    return {"hosts": hosts, "forks": forks, "measured": measured}


def _check(door: Door, name: str, calls: float | None) -> None:
    """Each host asked AWS, as often through either door."""
    wanted = 0 if name == BASELINE else 2
    if calls != wanted:
        raise RuntimeError(f"{door.title}, {name}: {calls} AWS calls a host and task, not {wanted}")


def table(results: dict[str, Any]) -> str:
    title = f"One host and task, {results['hosts']} hosts, forks {results['forks']}, seconds above `debug`"
    rows = [_row(entry) for entry in results["measured"]]
    head = [
        "| door | task | tasks a host | CPU s | wall s | simulator's CPU s | AWS calls |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    return "\n".join([f"### {title}", "", *head, *rows, "", *_ratios(results["measured"])])


def _row(entry: dict[str, Any]) -> str:
    each, name = entry["each"], entry["task"]
    label = f"`{name}` itself, start of Ansible included" if name == BASELINE else name
    other = "?" if each["simulator_cpu"] is None else f"{each['simulator_cpu']:.3f}"
    start = f"| {entry['door']} | {label} | {entry['repeat']} |"
    return f"{start} {each['cpu']:.3f} | {each['wall']:.3f} | {other} | {each['calls']:g} |"


def _ratios(measured: Sequence[dict[str, Any]]) -> list[str]:
    """How many times as much CPU the module takes, a line for each task."""
    cpu = {(entry["door"], entry["task"]): entry["each"]["cpu"] for entry in measured}
    inside, outside = (door.title for door in DOORS)
    return [
        f"{name}: the module takes {cpu[outside, name] / cpu[inside, name]:.0f} times the CPU."
        for name in TASKS
        if name != BASELINE and cpu[inside, name] > 0
    ]


def _cpu_of_children() -> float:
    """Of every process that was waited for, and of those that it waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _cpu_of(pid: int | None) -> float | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
