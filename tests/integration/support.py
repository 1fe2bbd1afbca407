# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the tests of the modules share: a simulator whose clock stands still, and both ways to run a module.

`Lab` calls the function behind a module in this process: quick, and waiting moves the simulator's clock instead of
sleeping. `Playbook` starts a real ``ansible-playbook``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import json
import os
import random
import re
import signal
import subprocess
import sys
import sysconfig
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.keyturn.ecs.plugins.module_utils._aws import Aws
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.wait import Clock
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.wait import wait as wait_function
from ansible_collections.keyturn.ecs.plugins.module_utils._rotation.rollback import rollback as rollback_function
from ansible_collections.keyturn.ecs.plugins.module_utils._rotation.rotate import rotate as rotate_function
from ansible_collections.keyturn.ecs.plugins.modules import ecs_env_rollback, ecs_env_rotate, ecs_rollout_wait
from simulator import Simulator

FOLDER = Path(__file__).resolve().parent
Json = dict[str, Any]

VARIABLE = "OPENAI_API_KEY"
OLD = "sk-proj-oldOLD0123456789abcdefghij"
NEW = "sk-proj-newNEW9876543210zyxwvutsrq"
THIRD = "sk-proj-third5555555555555555555555"
NEIGHBOUR = "postgres://app:hunter2hunter2@db.internal/app"
VALUES = (OLD, NEW, THIRD, NEIGHBOUR)
ENVIRONMENT = {"LOG_LEVEL": "INFO", VARIABLE: OLD, "DATABASE_URL": NEIGHBOUR}

START_AT = 1_800_000_000.0
READS = re.compile(r"(Describe|List|Get|Simulate)[A-Z]")


def assert_no_value(text: object) -> None:
    """No value of a variable stands in a text, or in the JSON of anything else."""
    shown = text if isinstance(text, str) else json.dumps(text, default=str)
    assert [value for value in VALUES if value in shown] == []


@contextlib.contextmanager
def clean_environment() -> Iterator[None]:
    """Nothing of the caller's AWS settings, and no proxy before the loopback."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "ANSIBLE_"))]:
            patch.delenv(name)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            patch.setenv(name, os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "127.0.0.1")
        yield


@contextlib.contextmanager
def standing_still(**options: Any) -> Iterator[Simulator]:
    """A simulator whose clock moves only when it is told to; the same seed gives the same ids."""
    settings = {"speed": 0, "throttling": False, "seed": 1, "start_at": START_AT, **options}
    with clean_environment(), Simulator.start(**settings) as sim:
        yield sim


# The modules' functions, in this process


class Lab:
    """The functions behind the modules, run here against a simulator that stands still.

    Every result is searched for values. Pauses and waits move the simulator's clock; so do botocore's retries within
    :meth:`quick_retries`.
    """

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim
        sim.reset()
        self.quirks()
        self.said: list[str] = []
        self.paused: list[float] = []
        self.connection: Json = {}

    def environment(self, **wanted: Any) -> Json:
        """One service `s` in cluster `c`, two tasks, with the variable; see Simulator.create_environment."""
        if "containers" not in wanted:
            wanted.setdefault("environment", ENVIRONMENT)
        return self.sim.create_environment(**wanted)

    def rotate(self, *, check_mode: bool = False, diff: bool = True, **options: Any) -> Json:
        """`ecs_env_rotate` of the new value, unless the options say otherwise."""
        capability = dataclasses.replace(
            ecs_env_rotate.CAPABILITY,
            run=lambda aws, given, check, _say: rotate_function(aws, given, check, pause=self._pause, now=self.sim.now),
        )
        given = {"cluster": "c", "service": "s", "variable": VARIABLE, "value": NEW, **options}
        result = capability.answer(self.validated(capability, given), check_mode=check_mode, diff=diff)
        assert_no_value(result)
        return result

    def rollback(self, rotation: Json, *, check_mode: bool = False, **options: Any) -> Json:
        """`ecs_env_rollback` of what a rotation returned."""
        capability = dataclasses.replace(
            ecs_env_rollback.CAPABILITY,
            run=lambda aws, given, check, _say: rollback_function(aws, given, check, pause=self._pause),
        )
        given = {
            "cluster": "c",
            "service": "s",
            "variable": VARIABLE,
            "task_definition": rotation["previous_task_definition"],
            "expected_task_definition": rotation["task_definition"],
            "secrets": rotation["secrets"],
            **options,
        }
        result = capability.answer(self.validated(capability, given), check_mode=check_mode, diff=True)
        assert_no_value(result)
        return result

    def wait(self, *, before_poll: Callable[[float], None] = lambda _at: None, **options: Any) -> Json:
        """`ecs_rollout_wait`; `before_poll` is called with the seconds waited, before each but the first poll."""
        started = self.sim.now()

        def sleep(seconds: float) -> None:
            before_poll(self.sim.advance(seconds) - started)

        clock = Clock(now=self.sim.now, sleep=sleep, jitter=lambda: 1.0, epoch=self.sim.now)
        self.said = []
        capability = dataclasses.replace(
            ecs_rollout_wait.CAPABILITY,
            run=lambda aws, given, _check, say: wait_function(aws, given, clock=clock, say=say),
        )
        given = options if "services" in options else {"cluster": "c", "service": "s", **options}
        validated = self.validated(capability, given)
        result = capability.answer(validated, check_mode=False, diff=False, say=self.said.append)
        assert_no_value([result, self.said])
        return result

    def rotate_and_wait(self, **options: Any) -> Json:
        """Both, as a playbook does it: the wait for what the rotation returned."""
        rotation = self.rotate()
        assert rotation["changed"] is True
        followed = {name: rotation[name] for name in ("deployment_id", "task_definition")}
        return self.wait(**followed, **options)

    def validated(self, capability: Any, given: Json) -> Json:
        """Options as a module gets them."""
        connection = {
            "endpoint_url": self.sim.url,
            "region": "us-east-1",
            "access_key": "AKIASIMULATOR0000000",
            "secret_key": "simulator-secret-key",
        }
        validator = ArgumentSpecValidator(capability.argument_spec, **capability.rules)
        checked = validator.validate({**connection, **self.connection, **given})
        assert checked.error_messages == []
        return checked.validated_parameters

    def _pause(self, seconds: float) -> None:
        self.paused.append(seconds)
        self.sim.advance(seconds)

    @contextlib.contextmanager
    def quick_retries(self) -> Iterator[list[float]]:
        """botocore's waits between attempts move the simulator's clock; gives their seconds."""
        waited: list[float] = []

        def sleep(seconds: float) -> None:
            waited.append(seconds)
            self.sim.advance(seconds)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=sleep))
            yield waited

    @contextlib.contextmanager
    def meanwhile(self, operation: str, does: Callable[[], object]) -> Iterator[None]:
        """Let somebody do something once, when the collection's next call of an operation is about to be sent."""
        waiting = [does]

        def first(name: str) -> None:
            if name == operation and waiting:
                waiting.pop()()

        with self.before_each_call(first):
            yield
        assert not waiting, f"{operation} was never called"

    @contextlib.contextmanager
    def before_each_call(self, does: Callable[[str], object]) -> Iterator[None]:
        """Do something with the name of each operation that the collection is about to call."""
        before_call = Aws._before_call

        def first(aws: Aws, model: Any, params: Json, **more: Any) -> None:
            does(model.name)
            before_call(aws, model, params, **more)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Aws, "_before_call", first)
            yield

    # What the simulator has, by requests of their own

    def ecs(self, operation: str, **body: Any) -> Json:
        """The answer's JSON as it comes over the wire, without any botocore between."""
        target = f"AmazonEC2ContainerServiceV20141113.{operation}"
        return post(self.sim.url, body, {"X-Amz-Target": target, "User-Agent": "the-test"})

    def quirks(self, started_by: str = "deployment", service_deployments: str = "full") -> None:
        """Make the simulator differ from ECS as emulators do, for services made from now on."""
        quirks = {"started_by": started_by, "service_deployments": service_deployments}
        post(f"{self.sim.url}/_simulator/quirks", quirks, {})

    def service(self, name: str = "s", cluster: str = "c") -> Json:
        found: Json = self.ecs("DescribeServices", cluster=cluster, services=[name])["services"][0]
        return found

    def definition(self, name: str) -> Json:
        found: Json = self.ecs("DescribeTaskDefinition", taskDefinition=name)["taskDefinition"]
        return found

    def tags(self, name: str) -> dict[str, str]:
        answer = self.ecs("DescribeTaskDefinition", taskDefinition=name, include=["TAGS"])
        return {tag["key"]: tag["value"] for tag in answer["tags"]}

    def revisions(self, family: str = "s") -> list[int]:
        arns = self.ecs("ListTaskDefinitions", familyPrefix=family)["taskDefinitionArns"]
        return [int(arn.rpartition(":")[2]) for arn in arns]

    def register(self, source: str = "s:1", **changes: Any) -> str:
        """Somebody registers a revision like another one, with other members; answers its ARN."""
        body = {**self.definition(source), **changes}
        arn: str = self.ecs("RegisterTaskDefinition", **body)["taskDefinition"]["taskDefinitionArn"]
        return arn

    def tasks(self, name: str = "s", cluster: str = "c") -> list[Json]:
        """Tasks of the service that have not stopped, draining ones included."""
        found = []
        for status in ("RUNNING", "STOPPED"):
            more: Json = {}
            while True:
                answer = self.ecs("ListTasks", cluster=cluster, serviceName=name, desiredStatus=status, **more)
                if answer["taskArns"]:
                    found += self.ecs("DescribeTasks", cluster=cluster, tasks=answer["taskArns"])["tasks"]
                if "nextToken" not in answer:
                    break
                more = {"nextToken": answer["nextToken"]}
        return [task for task in found if task["lastStatus"] != "STOPPED"]

    def calls(self, operation: str | None = None) -> list[Json]:
        """Calls that the collection made."""
        return [call for call in self.sim.calls(operation=operation) if "keyturn.ecs/" in call["user_agent"]]

    def writes(self) -> list[str]:
        """Operations that the collection called which may change something, in order."""
        return [call["operation"] for call in self.calls() if not READS.match(call["operation"])]


def post(url: str, body: Json, headers: dict[str, str]) -> Json:
    """The JSON that a request is answered with. No proxy comes between."""
    sent = {"Content-Type": "application/x-amz-json-1.1", **headers}
    request = urllib.request.Request(url, json.dumps(body).encode(), sent)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        found: Json = json.load(answer)
    return found


def environment_of(definition: Json, container: int = 0) -> dict[str, str]:
    """Name to value."""
    entries = definition["containerDefinitions"][container]["environment"]
    return {entry["name"]: entry["value"] for entry in entries}


def with_value(definition: Json, value: str, variable: str = VARIABLE) -> list[Json]:
    """The containerDefinitions of a definition with another value wherever the variable stands."""
    containers: list[Json] = json.loads(json.dumps(definition["containerDefinitions"]))
    for container in containers:
        for entry in container["environment"]:
            if entry["name"] == variable:
                entry["value"] = value
    return containers


def without_member(data: Any, name: str) -> Any:
    """A copy of JSON without a member, at any depth."""
    if isinstance(data, dict):
        return {key: without_member(value, name) for key, value in data.items() if key != name}
    if isinstance(data, list):
        return [without_member(value, name) for value in data]
    return data


@contextlib.contextmanager
def forgetful(
    url: str, member: str, change: Callable[[str, Json], Json] = lambda _operation, answer: answer
) -> Iterator[str]:
    """An endpoint before `url` that, as an API may, takes RegisterTaskDefinition without one member, at any depth.

    Args:
        member: its name.
        change: makes another answer of an operation's answer.
    """

    class Forward(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            target = self.headers["X-Amz-Target"]
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if target.endswith(".RegisterTaskDefinition"):
                body = without_member(body, member)
            answer = post(url, body, {"X-Amz-Target": target, "User-Agent": self.headers["User-Agent"]})
            text = json.dumps(change(target.rpartition(".")[2], answer)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Forward)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# Real playbooks


class Playbook:
    """An ``ansible-playbook`` process whose output can be followed while it runs.

    Args:
        folder: where the play and the inventory are written.
        collections_path: the fixture of the root conftest.
        plays: the playbook, as data.
        hosts: name to connection variables, all in group `environments`.
        variables: the process's environment, over a clean one.
    """

    def __init__(
        self,
        folder: Path,
        collections_path: str,
        plays: Sequence[Json],
        hosts: dict[str, Json],
        variables: dict[str, str],
        arguments: Sequence[str] = (),
    ) -> None:
        name = f"{random.randrange(10**9)}"
        play, inventory = folder / f"play-{name}.yml", folder / f"hosts-{name}.yml"
        play.write_text(json.dumps(plays))
        hosts = {host: {"ansible_python_interpreter": sys.executable, **given} for host, given in hosts.items()}
        inventory.write_text(json.dumps({"environments": {"hosts": hosts}}))
        command = [sys.executable, str(Path(sysconfig.get_path("scripts")) / "ansible-playbook")]
        self.process = subprocess.Popen(
            [*command, "-i", str(inventory), str(play), *arguments],
            cwd=folder,
            env={**self.environ(folder, collections_path), **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.output = ""

    @staticmethod
    def environ(folder: Path, collections_path: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ANSIBLE_"))}
        return {
            **kept,
            "HOME": str(folder),
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            "LC_ALL": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "ANSIBLE_COLLECTIONS_PATH": collections_path,
            "ANSIBLE_CONNECTION_PLUGINS": str(FOLDER / "connection_plugins"),
            "ANSIBLE_HOME": str(folder / ".ansible"),
            "ANSIBLE_ASYNC_DIR": str(folder / "async"),
            "ANSIBLE_LOCAL_TEMP": str(folder / "local-tmp"),
            "ANSIBLE_REMOTE_TEMP": str(folder / "remote-tmp"),
            "ANSIBLE_RETRY_FILES_ENABLED": "false",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_DEPRECATION_WARNINGS": "false",
        }

    def __enter__(self) -> Playbook:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def read_until(self, text: str) -> None:
        """Read on until a line with this text has come."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if text in line:
                return
        raise AssertionError(f"{text!r} never came:\n{self.output}")

    def finish(self) -> int:
        """Read the rest; the exit code."""
        assert self.process.stdout is not None
        self.output += self.process.stdout.read()
        return self.process.wait(120)

    def kill(self) -> list[int]:
        """SIGKILL to the process and all that it started, as when the machine dies; their ids.

        Ansible's workers are in sessions of their own, so its process group is not enough.
        """
        family = [self.process.pid, *descendants(self.process.pid)]
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(10)
        return family


def descendants(pid: int) -> list[int]:
    """Processes below one that this test started."""
    found = [pid]
    parents = _parents()
    for parent in found:
        found += [child for child, its in parents.items() if its == parent]
    return found[1:]


def _parents() -> dict[int, int]:
    """Every process and its parent."""
    if not Path("/proc/self/stat").exists():
        listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        return {int(child): int(parent) for child, parent in (line.split() for line in listed.splitlines())}
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # pid (name, which may hold anything) state ppid
            found[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    return found
