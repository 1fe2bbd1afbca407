# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every scripted ending of a rollout as ``ecs_rollout_wait`` tells it: status, cause, seconds, AWS calls; both doors.

One ansible-playbook process for each door and evidence, one host for each ending. Each host has an embedded AWS of its
own, whose clock stands still but for the pauses of that host's wait: a file ``sitecustomize.py`` in the processes'
PYTHONPATH makes the wait's pauses move it. So the seconds and the calls are those of a wait in real time against an AWS
that answers at once, with the options' defaults, and the call log of an embedded AWS is that of one wait.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator import Simulator

CAUSES = ("image_pull", "secret_access", "out_of_memory", "container_exit", "health_check", "load_balancer_health")
OLD, NEW = "sk-old-0123456789", "sk-new-0123456789"
PLACE = {"cluster": "c", "service": "s"}
CONNECTIONS = {"A": "local", "B": "elsewhere"}

Json = dict[str, Any]

# In wait.py, and nowhere else, time is that of the AWS that the task talks to.
CLOCK = """
import json, os, sys, time

def in_virtual_time(real, name, body, answer):
    def function(*arguments):
        if not sys._getframe(1).f_globals.get("__name__", "").endswith("._rollout.wait"):
            return real(*arguments)
        import urllib.request
        url = os.environ["AWS_ENDPOINT_URL"] + "/_simulator/" + name
        request = urllib.request.Request(url, json.dumps(body(*arguments)).encode())
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as response:
            return answer(json.load(response))
    return function

time.monotonic = in_virtual_time(time.monotonic, "status", lambda: {}, lambda told: told["now"])
time.sleep = in_virtual_time(time.sleep, "advance", lambda seconds: {"seconds": seconds}, lambda told: None)
"""


@dataclass(frozen=True)
class Ending:
    """`script`: of the simulator, none for what needs none. `service`: of Simulator.create_environment. `options`: of
    the wait."""

    name: str
    script: Json = field(default_factory=dict)
    service: Json = field(default_factory=dict)
    options: Json = field(default_factory=dict)


def _configured(desired: int = 2, **options: Any) -> Json:
    return {"desired": desired, "service_options": options}


def _percents(desired: int, minimum: int, maximum: int) -> Json:
    configuration = {"minimumHealthyPercent": minimum, "maximumPercent": maximum}
    return _configured(desired, deploymentConfiguration=configuration)


def _staged(**parameters: Any) -> Json:
    return {"ending": "blue_green", **parameters}


CLASSIC = _configured(loadBalancers=[{"loadBalancerName": "classic", "containerName": "app"}])
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db-a1B2c3"
ROLE = "arn:aws:iam::123456789012:role/api-execution"
LEFT_TO_BREAKER = {"max_failed_tasks": 0}

ENDINGS = (
    Ending("completes"),
    Ending("completes, DAEMON", service=_configured(schedulingStrategy="DAEMON")),
    Ending("completes, Classic Load Balancer", service=CLASSIC),
    Ending("desired 0", service={"desired": 0}),
    *(Ending(f"circuit_breaker, {cause}", {"ending": "circuit_breaker", "cause": cause}) for cause in CAUSES),
    *(
        Ending(
            f"circuit_breaker without rollback, {cause}",
            {"ending": "circuit_breaker", "cause": cause, "rollback": False},
        )
        for cause in CAUSES
    ),
    *(Ending(f"crash_loop, {cause}", {"ending": "crash_loop", "cause": cause}) for cause in CAUSES),
    Ending("crash_loop, max_failed_tasks 0", {"ending": "crash_loop"}, options=LEFT_TO_BREAKER),
    Ending("crash_loop, two tasks only", {"ending": "crash_loop", "failing_tasks": 2}),
    Ending("crash_loop, Classic Load Balancer", {"ending": "crash_loop"}, CLASSIC),
    Ending("no_capacity", {"ending": "no_capacity"}),
    Ending("no_capacity, room after 60 s", {"ending": "no_capacity", "capacity_after": 60}),
    Ending("superseded", {"ending": "superseded"}),
    Ending("superseded, Classic Load Balancer", {"ending": "superseded"}, CLASSIC),
    Ending("blue_green, bakes 5 min", _staged()),
    Ending("LINEAR, bakes 5 min", _staged(strategy="LINEAR")),
    Ending("CANARY, bakes 5 min", _staged(strategy="CANARY")),
    *(
        Ending(f"{strategy}, hook nobody continues", _staged(strategy=strategy, hook_stage="POST_SCALE_UP"))
        for strategy in ("BLUE_GREEN", "LINEAR", "CANARY")
    ),
    Ending("blue_green, hook rolls back after 2 min", _staged(hook_stage="POST_SCALE_UP", hook_timeout_minutes=2)),
    Ending("deferred_cleanup, 300 s", {"ending": "deferred_cleanup"}),
    Ending("deferred_cleanup, 5000 s", {"ending": "deferred_cleanup", "linger": 5000}),
    Ending("alarm", {"ending": "alarm"}),
    Ending("alarm without rollback", {"ending": "alarm", "rollback": False}),
    Ending("task_protection, 120 min", {"ending": "task_protection"}),
    Ending("task_protection, 5 min", {"ending": "task_protection", "protect_minutes": 5}),
    Ending("percent_deadlock, 1 task 100/100", service=_percents(1, 100, 100)),
    Ending("percent_deadlock, 3 tasks 100/125", service=_percents(3, 100, 125)),
)

EVIDENCE: Mapping[str, tuple[str, ...]] = {
    "all": (),
    "no records": ("ListServiceDeployments", "DescribeServiceDeployments", "DescribeServiceRevisions"),
    "no tasks": ("ListTasks", "DescribeTasks"),
}
SHOWN = (
    "circuit_breaker, image_pull",
    "circuit_breaker, secret_access",
    "percent_deadlock, 1 task 100/100",
    "deferred_cleanup, 5000 s",
)


class Host:
    """An ending, and the embedded AWS in which it happens."""

    def __init__(self, number: int, ending: Ending, simulator: Simulator) -> None:
        self.name, self.ending, self._simulator = f"ending{number:02d}", ending, simulator
        self._began = 0.0

    def begin(self, denied: Sequence[str]) -> Json:
        """Deploy another revision; what the wait needs as host variables."""
        simulator = self._simulator
        simulator.reset()
        simulator.create_environment(
            **PLACE,
            environment={"OPENAI_API_KEY": OLD},
            secrets={"DB_PASSWORD": SECRET},
            task_definition_options={"executionRoleArn": ROLE},
            **self.ending.service,
        )
        if self.ending.script:
            simulator.script(**PLACE, **self.ending.script)
        container = self._ecs("DescribeTaskDefinition", taskDefinition="s")["taskDefinition"]["containerDefinitions"][0]
        container["environment"] = [{"name": "OPENAI_API_KEY", "value": NEW}]
        made = self._ecs("RegisterTaskDefinition", family="s", executionRoleArn=ROLE, containerDefinitions=[container])
        arn = made["taskDefinition"]["taskDefinitionArn"]
        self._began = simulator.now()
        service = self._ecs("UpdateService", **PLACE, taskDefinition=arn)["service"]
        for operation in denied:
            simulator.fault(operation, "denied", times=None)
        # The tasks wrote no log. Without this every simulator would load moto to say so.
        simulator.fault("*", "error", times=None, service="logs", code="ResourceNotFoundException")
        simulator.clear_calls()
        followed = {"deployment_id": service["deployments"][0]["id"], "task_definition": arn}
        return {
            "ansible_python_interpreter": sys.executable,
            "url": simulator.url,
            "options": {**PLACE, **followed, "progress": False, **self.ending.options},
        }

    def told(self, result: Json) -> Json:
        """What the table says of a wait that just ended."""
        now = self._simulator.now()
        calls = Counter(f"{call['service']}:{call['operation']}" for call in self._simulator.calls())
        self._simulator.clear_faults()
        over = self._over(result)
        first: Json = next(iter(result["diagnosis"]), {})
        return {
            "status": result["status"],
            "cause": first.get("cause", ""),
            "seconds": round(now - self._began, 1),
            "lag": None if over is None else round(now - over, 1),
            "calls": sum(calls.values()),
            "calls_by_operation": dict(sorted(calls.items())),
            "unverified": result["unverified"],
            "msg": result.get("msg", ""),
        }

    def _over(self, result: Json) -> float | None:
        """When the ending came: the record's end, for a success that of the last old task, too; None before it."""
        listed = self._ecs("ListServiceDeployments", **PLACE)["serviceDeployments"]
        wanted = result["deployment_id"].rpartition("/")[2]
        ends = [one.get("finishedAt") for one in listed if one["targetServiceRevisionArn"].endswith(wanted)]
        if result["status"] in ("completed", "nothing_running"):
            arns = self._ecs("ListTasks", cluster="c", serviceName="s", desiredStatus="STOPPED")["taskArns"]
            tasks = self._ecs("DescribeTasks", cluster="c", tasks=arns)["tasks"] if arns else []
            ends += [task.get("stoppedAt") for task in tasks if task["startedBy"] != result["deployment_id"]]
        return max(ends) if ends and None not in ends else None

    def _ecs(self, operation: str, **body: Any) -> Json:
        """Call it as somebody else would."""
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"AmazonEC2ContainerServiceV20141113.{operation}",
        }
        request = urllib.request.Request(self._simulator.url, json.dumps(body).encode(), headers)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            found: Json = json.load(answer)
        return found


@contextlib.contextmanager
def _hosts() -> Iterator[list[Host]]:
    """An embedded AWS for each ending; all have the same seed."""
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(os.cpu_count()) as pool:
        starting = [
            pool.submit(Simulator.start, speed=0, throttling=False, seed=1, wait=60) for number in range(len(ENDINGS))
        ]
        simulators = [stack.enter_context(start.result()) for start in starting]
        yield [Host(number, *pair) for number, pair in enumerate(zip(ENDINGS, simulators, strict=True))]


def measure(tree: str) -> list[Json]:
    """A row for each ending and evidence, with what each door told."""
    with tempfile.TemporaryDirectory(prefix="keyturn-endings-") as folder, _hosts() as hosts:
        rows = []
        for evidence, denied in EVIDENCE.items():
            told = {door: _play(Path(folder), tree, hosts, denied, connection) for door, connection in
                    CONNECTIONS.items()}  # fmt: skip
            rows += [
                {"ending": host.ending.name, "evidence": evidence, **{door: told[door][host.name] for door in told}}
                for host in hosts
            ]
    return rows


def _play(folder: Path, tree: str, hosts: Sequence[Host], denied: Sequence[str], connection: str) -> dict[str, Json]:
    """Let every host wait for its rollout, and return what each was told."""
    (folder / "sitecustomize.py").write_text(CLOCK, encoding="utf-8")
    inventory = {"all": {"hosts": {host.name: host.begin(denied) for host in hosts}}}
    (folder / "inventory.json").write_text(json.dumps(inventory), encoding="utf-8")
    wait = {
        "name": "Wait",
        "keyturn.ecs.ecs_rollout_wait": "{{ options }}",
        "environment": {"AWS_ENDPOINT_URL": "{{ url }}"},
        "failed_when": False,
    }
    play = {"hosts": "all", "connection": connection, "gather_facts": False, "tasks": [wait]}
    (folder / "playbook.json").write_text(json.dumps([play]), encoding="utf-8")
    command = [sys.executable, str(Path(sysconfig.get_path("scripts")) / "ansible-playbook"), "-v"]
    command += [f"-f{2 * (os.cpu_count() or 1)}", "-i", str(folder / "inventory.json"), str(folder / "playbook.json")]
    environment = {
        **os.environ,
        **Simulator("").environ(),
        "PYTHONPATH": str(folder),
        "ANSIBLE_COLLECTIONS_PATH": tree,
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "local"),
        "ANSIBLE_REMOTE_TEMP": str(folder / "remote"),
        "ANSIBLE_NOCOLOR": "1",
    }
    run = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False,
    )  # fmt: skip
    results = {
        found[1]: json.JSONDecoder().raw_decode(run.stdout, found.end())[0]
        for found in re.finditer(r"^ok: \[(\w+)\] => ", run.stdout, re.MULTILINE)
    }
    missing = [host.name for host in hosts if "status" not in results.get(host.name, {})]
    if run.returncode or missing:
        raise RuntimeError(f"ansible-playbook ended with {run.returncode}, without {missing}:\n{run.stdout[-4000:]}")
    return {host.name: host.told(results[host.name]) for host in hosts}


def disagreements(rows: Sequence[Json]) -> list[str]:
    """Where the doors do not say the same."""
    return [
        f"{row['ending']}, {row['evidence']}: {name} is {row['A'][name]!r} through A, {row['B'][name]!r} through B"
        for row in rows
        for name in ("status", "cause")
        if row["A"][name] != row["B"][name]
    ]


def table(rows: Sequence[Json]) -> str:
    """Markdown; a cell has what both doors told, or `A / B`."""
    head = [
        "### Every ending, both doors; told after, lag and calls are `A / B` where they differ",
        "",
        "Evidence: all; no records (the three service deployment calls denied); no tasks (ListTasks and DescribeTasks",
        "denied). Told after: simulated seconds from UpdateService. Lag: of these, those after the record's finishedAt",
        "and, for a success, the last old task's end; empty where that was still to come. Doors differ by the jitter.",
        "",
        "| ending | evidence | status | first cause | told after s | lag s | AWS calls |",
        "|---|---|---|---|---:|---:|---:|",
    ]
    lines = [
        f"| {row['ending']} | {row['evidence']} | "
        + " | ".join(_cell(row, name) for name in ("status", "cause", "seconds", "lag", "calls"))
        + " |"
        for row in rows
    ]
    shown = [
        f"`{row['ending']}`:\n\n> {row['A']['msg']}"
        for name in SHOWN
        for row in rows
        if (row["ending"], row["evidence"]) == (name, "all")
    ]
    return "\n".join([*head, *lines, "", "### What an operator reads", "", "\n\n".join(shown)])


def _cell(row: Json, name: str) -> str:
    one, other = ("" if row[door][name] is None else f"{row[door][name]}" for door in CONNECTIONS)
    return one if one == other else f"{one} / {other}"
