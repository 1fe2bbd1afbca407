# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Runs of real playbooks, and what each sink held afterwards.

An outcome maps (sink, door) to the findings there: the name of a value, and the task or file where it was.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from integration.support import Playbook, clean_environment, descendants
from openai import Provider
from simulator import Simulator

from .canaries import ADMIN_KEY, NEIGHBOUR, NEW, OLD, PROVIDER_KEY, SHORT, VALUES, Search, echoes
from .cases import ENVIRONMENT, PASSED, THE_NEW, VARIABLE, Case, Json, tasks
from .sinks import DOORS, ELSEWHERE, HERE

FOLDER = Path(__file__).resolve().parent
HOST = "production"
CONNECTIONS = {HERE: "local", ELSEWHERE: "bastion"}
ROTATE = "keyturn.ecs.ecs_env_rotate"
PLACE = {"cluster": "c", "service": "s", "variable": VARIABLE}

REPORTS = {"rotate": "report.json", "audit": "audit.html"}

Findings = set[tuple[str, str]]
Outcome = dict[tuple[str, str], Findings]


@dataclasses.dataclass
class Watch:
    """Looks at a process's family and at folders again and again while it runs: what is there for a moment counts."""

    search: Search
    folders: Sequence[Path]
    process: int
    commands: Findings = dataclasses.field(default_factory=set)
    environments: Findings = dataclasses.field(default_factory=set)
    files: Findings = dataclasses.field(default_factory=set)
    seen: int = 0
    _known: set[Any] = dataclasses.field(default_factory=set)

    @contextlib.contextmanager
    def running(self) -> Iterator[Watch]:
        over = threading.Event()

        def look() -> None:
            while not over.wait(0.1):
                self.look()

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            over.set()
            thread.join()

    def look(self) -> None:
        for pid in [self.process, *descendants(self.process)]:
            for name, found in (("cmdline", self.commands), ("environ", self.environments)):
                with contextlib.suppress(OSError):
                    data = Path(f"/proc/{pid}/{name}").read_bytes()
                    if (name, data) not in self._known:
                        self._known.add((name, data))
                        found |= {(value, name) for value in self.search.find(data)}
        for folder in self.folders:
            # Folders come and go meanwhile; os.walk passes over those that went.
            files = (Path(place) / name for place, _folders, names in os.walk(folder) for name in names)
            for file in files:
                with contextlib.suppress(OSError):
                    status = file.stat()
                    if file.is_file() and (mark := (file, status.st_mtime_ns, status.st_size)) not in self._known:
                        self._known.add(mark)
                        self.seen += 1
                        self.files |= {(value, file.name) for value in self.search.find(file.read_bytes())}


@dataclasses.dataclass
class Bench:
    """A folder, an AWS and a provider, for runs one after another."""

    folder: Path
    collections_path: str
    sim: Simulator
    provider: Provider
    values: dict[str, str] = dataclasses.field(default_factory=lambda: dict(VALUES))

    @property
    def search(self) -> Search:
        made = {f"made key {key.id}": key.value for key in self.provider.stored() if key.value}
        return Search({**self.values, **made})

    def place(self, name: str) -> Path:
        place = self.folder / name
        for below in ("local-tmp", "remote-tmp", "tmp", "facts", "junit", "async", "files"):
            (place / below).mkdir(parents=True)
        return place

    def environment(self, place: Path, **more: str) -> dict[str, str]:
        return {
            **self.sim.environ(),
            **PASSED,
            "TMPDIR": str(place / "tmp"),
            "PYTHONPATH": str(FOLDER / "site"),
            "ANSIBLE_LOG_PATH": str(place / "log"),
            "ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile",
            "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(place / "facts"),
            "ANSIBLE_CALLBACK_PLUGINS": str(FOLDER / "callback_plugins"),
            "ANSIBLE_CALLBACKS_ENABLED": "recorder,ansible.builtin.junit",
            "JUNIT_OUTPUT_DIR": str(place / "junit"),
            "ANSIBLE_RETRY_FILES_ENABLED": "true",
            "ANSIBLE_RETRY_FILES_SAVE_PATH": str(place / "files"),
            "ANSIBLE_DISPLAY_TRACEBACK": "always",
            "RECORDED_RESULTS": str(place / "results"),
            "RECORDED_TASKS": str(place / "tasks"),
            "RECORDED_JOURNAL": str(place / "journal"),
            "OPENAI_ADMIN_KEY": ADMIN_KEY,
            **more,
        }

    @contextlib.contextmanager
    def playing(
        self, name: str, door: str, plan: list[Json], arguments: Sequence[str] = ("-vvvvvv", "--diff"), **more: str
    ) -> Iterator[tuple[Path, Playbook, Watch]]:
        """A playbook on its way, watched."""
        place = self.place(name)
        plays = [{"hosts": HOST, "gather_facts": False, "tasks": plan}]
        hosts = {HOST: {"ansible_connection": CONNECTIONS[door]}}
        # Here nothing stands in a file even without it; elsewhere it is what operators are told to set.
        variables = self.environment(place, **{"ANSIBLE_PIPELINING": str(door == ELSEWHERE), **more})
        with Playbook(place, self.collections_path, plays, hosts, variables, arguments) as process:
            watched = [place / "local-tmp", place / "remote-tmp", place / "tmp", place / "async", place / ".ansible"]
            with Watch(self.search, watched, process.process.pid).running() as watch:
                yield place, process, watch

    def play(
        self, name: str, door: str, plan: list[Json], arguments: Sequence[str] = ("-vvvvvv", "--diff"), **more: str
    ) -> tuple[Path, str, Watch]:
        with self.playing(name, door, plan, arguments, **more) as (place, process, watch):
            assert process.finish() == 0, process.output
        return place, process.output, watch

    def in_text(self, text: str) -> Findings:
        """Values in what Ansible prints, and the tasks during which it did."""
        data = text.encode()
        starts = [(found.start(), found[1].decode()) for found in re.finditer(rb"TASK \[(.*?)\]", data)]
        named: Findings = set()
        for at, value in self.search.places(data):
            named.add((value, next((task for start, task in reversed(starts) if start <= at), "before any task")))
        return named

    def in_files(self, *places: Path) -> Findings:
        single = [place for place in places if place.is_file()]
        found = {(value, place.name) for place in single for value in self.search.find(place.read_bytes())}
        folders = self.search.files(place for place in places if place.is_dir())
        return found | {(value, file.name) for file, values in folders.items() for value in values}

    def in_aws(self) -> Findings:
        """Values in what anybody may read who may list: names, tags and descriptions, not where values live."""
        ecs, secrets = self.sim.client("ecs"), self.sim.client("secretsmanager")
        texts = [secrets.list_secrets()["SecretList"], ecs.list_task_definitions()["taskDefinitionArns"]]
        for arn in texts[-1]:
            found = ecs.describe_task_definition(taskDefinition=arn, include=["TAGS"])
            del found["taskDefinition"]["containerDefinitions"]
            texts.append(found)
        assert any("keyturn:" in json.dumps(text, default=str) for text in texts), "tags are among what is searched"
        return {(value, "AWS") for value in self.search.find(json.dumps(texts, default=str).encode())}


def command(name: str) -> list[str]:
    """A command that a package has put beside this Python."""
    return [sys.executable, str(Path(sys.executable).parent / name)]


@contextlib.contextmanager
def bench(folder: Path, collections_path: str, **clock: Any) -> Iterator[Bench]:
    folder.mkdir(exist_ok=True)
    given = {"speed": 0, "seed": 5, "throttling": False, **clock}
    with clean_environment(), Simulator.start(**given) as sim, Provider.start(admin_key=ADMIN_KEY) as provider:
        provider.add_project()
        yield Bench(folder, collections_path, sim, provider)


# The runs


def all_cases(bench: Bench, door: str, cases: list[Case]) -> tuple[Outcome, dict[str, Json]]:
    """Every case through one door; also the results, for a look whether each ended as it should."""
    files = bench.folder / f"files-{door}"
    files.mkdir()
    plan = tasks(bench.sim, bench.provider, files, cases)
    # The made key is there to be handed on. All else may be kept.
    kept = {case.name: f"{{{{ {case.variable} }}}}" for case in cases if case.name != "a key is made"}
    plan.append({"name": "keep", "ansible.builtin.set_fact": {"every_result": kept, "cacheable": True}})
    place, output, watch = bench.play(f"cases-{door}", door, plan)
    named = {
        "log",
        "results",
        "tasks",
        "journal",
        "facts",
        "junit",
        "local-tmp",
        "remote-tmp",
        "tmp",
        "async",
        ".ansible",
    }
    rest = [one for one in place.iterdir() if one.name not in named]
    outcome = {
        "terminal": bench.in_text(output),
        "log": bench.in_text((place / "log").read_text()),
        "results": bench.in_files(place / "results"),
        "arguments": bench.in_files(place / "tasks"),
        "junit": bench.in_files(place / "junit"),
        "facts": bench.in_files(place / "facts"),
        "journal": bench.in_files(place / "journal"),
        "processes": watch.commands,
        "process environment": watch.environments,
        "temporary": watch.files | bench.in_files(*watch.folders),
        "other files": bench.in_files(*rest),
    }
    results: dict[str, Json] = dict(map(json.loads, (place / "results").read_text().splitlines()))
    assert "sha256:" in next((place / "facts").iterdir()).read_text()
    # A search that looks at nothing finds nothing.
    for sink in ("log", "results", "tasks"):
        assert (place / sink).stat().st_size > 10_000, sink
    assert list((place / "junit").iterdir())
    assert (door == ELSEWHERE) == (place / "journal").exists()
    return {(sink, door): found for sink, found in outcome.items()}, results


def killed(bench: Bench, door: str) -> Outcome:
    """The machine dies while AWS does not answer."""
    bench.sim.reset()
    bench.sim.create_environment(environment=ENVIRONMENT)
    bench.sim.clear_calls()
    bench.sim.fault("DescribeTaskDefinition", kind="timeout", seconds=20, times=None)
    plan = [{"name": "rotate", ROTATE: {**PLACE, "value": THE_NEW}}]
    with bench.playing(f"killed-{door}", door, plan, ANSIBLE_PIPELINING="false") as (_place, process, watch):
        deadline = time.monotonic() + 60
        while not bench.sim.calls(operation="DescribeServices") and time.monotonic() < deadline:
            time.sleep(0.05)
        assert bench.sim.calls(operation="DescribeServices")
        process.kill()
        bench.sim.clear_faults()
    sink = "killed direct" if door == HERE else "unpipelined"
    return {(sink, door): bench.in_files(*watch.folders)}


def kept(bench: Bench, door: str) -> Outcome:
    """Files that an operator asked Ansible to keep, and the environment of a task."""
    bench.sim.reset()
    bench.sim.create_environment(environment=ENVIRONMENT)
    rotate = {ROTATE: {**PLACE, "value": THE_NEW}, "check_mode": True}
    given = {**rotate, ROTATE: {**PLACE, "value": "sk-x"}, "environment": {"KEY": THE_NEW}}
    plan = [{"name": "kept", **rotate}, {"name": "task environment", **given}]
    _place, output, watch = bench.play(
        f"kept-{door}", door, plan, ANSIBLE_PIPELINING="false", ANSIBLE_KEEP_REMOTE_FILES="1"
    )
    environment = {finding for finding in bench.in_text(output) if finding[1] == "task environment"}
    return {("kept", door): bench.in_files(*watch.folders), ("task environment", door): environment}


def asynchronous(bench: Bench) -> Outcome:
    bench.sim.reset()
    bench.sim.create_environment(environment=ENVIRONMENT)
    plan = [{"name": "rotate", ROTATE: {**PLACE, "value": THE_NEW}, "async": 60, "poll": 1}]
    _place, _output, watch = bench.play("async", ELSEWHERE, plan)
    return {("async", ELSEWHERE): watch.files}


def shown_by_ansible(bench: Bench, door: str) -> Outcome:
    """What a playbook's author can do. Each is seen: nobody takes it for safe, and the search is seen to work."""
    bench.sim.reset()
    bench.sim.create_environment(environment={**ENVIRONMENT, "SHORT": SHORT})
    bench.sim.fault("RegisterTaskDefinition", times=None, message=f"Bad value {SHORT} or {echoes(NEIGHBOUR)}")
    rotate = {ROTATE: {**PLACE, "value": THE_NEW}}
    failing = THE_NEW.replace("}}", "| to_datetime }}")
    plan = [
        {"name": "loop label", "ansible.builtin.command": "true", "loop": [{"key": THE_NEW}]},
        {"name": "shown", "ansible.builtin.debug": {"msg": THE_NEW}},
        {"name": "cacheable", "ansible.builtin.set_fact": {"key": THE_NEW, "cacheable": True}},
        {"name": "template", "ansible.builtin.debug": {"msg": failing}, "ignore_errors": True},
        {"name": "short neighbour", **rotate, "ignore_errors": True},
    ]
    bench.values["short neighbour"] = SHORT
    try:
        extra = ("-e", json.dumps({"key_on_the_command_line": NEW}))
        place, output, watch = bench.play(f"shown-{door}", door, plan, extra)
        seen = bench.in_text(output)
        outcome = {
            sink: {one for one in seen if one[1] == sink}
            for sink in ("loop label", "shown", "template", "short neighbour")
        }
        outcome["cacheable"], outcome["command line"] = bench.in_files(place / "facts"), watch.commands
    finally:
        del bench.values["short neighbour"]
    assert {value for value, _task in outcome["short neighbour"]} <= {"short neighbour"}
    return {(sink, door): found for sink, found in outcome.items()}


def debugging(bench: Bench, door: str) -> Outcome:
    bench.sim.reset()
    bench.sim.create_environment(environment=ENVIRONMENT)
    plan = [{"name": "rotate", ROTATE: {**PLACE, "value": THE_NEW}, "check_mode": True}]
    _place, output, _watch = bench.play(f"debug-{door}", door, plan, (), ANSIBLE_DEBUG="1")
    return {("debug", door): bench.in_text(output)}


def under_runner(bench: Bench) -> Outcome:
    """As AWX does it, with the key in the environment: a rotation that succeeds and one that fails."""
    bench.sim.reset()
    bench.sim.create_environment(environment=ENVIRONMENT)
    bench.sim.fault("UpdateService", message=echoes(NEW, OLD, NEIGHBOUR))
    private = bench.place("runner") / "private"
    for name in ("project", "inventory"):
        (private / name).mkdir(parents=True)
    rotate = {ROTATE: {**PLACE, "value": THE_NEW}}
    plan = [{"name": "fails", **rotate, "ignore_errors": True}, {"name": "rotates", **rotate}]
    play = {"hosts": "all", "connection": "local", "gather_facts": False, "tasks": plan}
    (private / "project" / "play.yml").write_text(json.dumps([play]))
    (private / "inventory" / "hosts.json").write_text(
        json.dumps({"all": {"hosts": {HOST: {"ansible_python_interpreter": sys.executable}}}})
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    given = Playbook.environ(bench.folder / "runner", bench.collections_path)
    done = subprocess.run(
        [sys.executable, "-m", "ansible_runner", "run", str(private), "-p", "play.yml", "-i", "job", "-vvvv"],
        env={**given, **bench.sim.environ(), **PASSED, "PATH": path}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    everywhere = bench.in_files(private) | bench.in_text(done.stdout)
    command = {finding for finding in everywhere if finding[1] == "command"}
    # Its environment is the controller's, whichever connection the hosts have.
    both: Outcome = {("runner command", door): command for door in DOORS}
    return {("runner", HERE): everywhere - command, **both}


def _role_world(bench: Bench) -> Json:
    """Three environments: one that is rotated, one whose rollout fails, one whose operator mixed variables up."""
    hosts = {}
    for name in ("good", "failing", "mixed-up"):
        bench.sim.create_environment(
            cluster=f"{name}-cluster", service=f"{name}-api", family=f"{name}-api", environment=ENVIRONMENT, desired=1
        )
        hosts[name] = {"rotate_project_name": name, "rotate_region": "us-east-1"}
    bench.sim.script(
        "failing-cluster", "failing-api", ending="circuit_breaker", cause="container_exit",
        message=f"Exited: {echoes(NEW, OLD)}",
    )  # fmt: skip
    hosts["mixed-up"] |= {"rotate_service": NEW, "rotate_store": NEW, "rotate_key_id": NEW}
    return hosts


def role(bench: Bench) -> Outcome:
    """The playbooks themselves: rotate, then audit, with all that they write."""
    hosts, place = _role_world(bench), bench.place("role")
    (place / "app.env").write_text(f"{VARIABLE}={OLD}\n")
    (place / "hosts.json").write_text(json.dumps({"environments": {"hosts": hosts}}))
    variables = {
        "rotate_poll_interval": 0.5,
        "rotate_record_path": str(place / "files/record.jsonl"),
        "rotate_dotenv_paths": [str(place / "app.env")],
        "rotate_openai_base_url": bench.provider.base_url,
        "rotate_openai_project_id": "proj_abc",
        "rotate_reason": "quarterly",
        "rotate_variable": VARIABLE,
        "rotate_value_pattern": "^sk-",
    }
    bench.provider.key(NEW)
    output = ""
    for playbook in ("rotate", "audit"):
        chosen = {**hosts} if playbook == "rotate" else {name: hosts[name] for name in ("good", "failing")}
        report = str(place / "files" / REPORTS[playbook])
        (place / "hosts.json").write_text(json.dumps({"environments": {"hosts": chosen}}))
        done = subprocess.run(
            [*command("ansible-playbook"), f"keyturn.ecs.{playbook}", "-i", str(place / "hosts.json"), "-vvvvvv",
             "--diff", "-e", json.dumps({**variables, "rotate_report_path": report})],
            env={**Playbook.environ(place, bench.collections_path), **bench.environment(place), VARIABLE: NEW},
            cwd=place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        output += done.stdout
    assert "rotated" in output and "Rolled back" in output and "holds the value itself" in output, output
    for file in ("record.jsonl", *REPORTS.values()):
        assert (place / "files" / file).stat().st_size > 100
    (place / "app.env").unlink()  # a value is what it is for
    (place / "hosts.json").unlink()
    named = {"tasks"}
    files = bench.in_files(*(one for one in place.iterdir() if one.name not in named))
    return {
        ("role terminal", HERE): bench.in_text(output),
        ("role files", HERE): files,
        ("role AWS", HERE): bench.in_aws(),
    }


def inventory(bench: Bench) -> Outcome:
    """Somebody put values into tags, and a key into an option where it does not belong."""
    bench.sim.reset()
    tags = [{"key": "Key", "value": PROVIDER_KEY}, {"key": "Note", "value": "sk-old"}]
    bench.sim.create_environment(environment={**ENVIRONMENT, VARIABLE: "sk-old"}, service_tags=tags)
    place, output = bench.place("inventory"), ""
    bench.values["plain old"] = '"sk-old"'
    for name, more in {"good": {}, "bad": {"strict_permissions": NEW}, "unknown": {NEW: "x"}}.items():
        file = place / f"{name}.ecs_services.yml"
        cache = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(place / "facts")}
        options = {"plugin": "keyturn.ecs.services", "regions": ["us-east-1"], **cache, **more}
        file.write_text(json.dumps(options))
        done = subprocess.run(
            [*command("ansible-inventory"), "-i", str(file), "--list", "-vvvvvv"],
            env={**Playbook.environ(place, bench.collections_path), **bench.environment(place)}, cwd=place,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        output += done.stdout
        file.unlink()
    assert "s.c.us-east-1.123456789012" in output, output
    found = bench.in_text(output) | bench.in_files(place)
    del bench.values["plain old"]
    return {("inventory", HERE): found}


def everything(
    folder: Path, collections_path: str, cases: dict[str, list[Case]]
) -> tuple[Outcome, dict[str, dict[str, Json]]]:
    """All runs; what each sink held, and the results of the cases through both doors."""
    outcome: Outcome = {}
    results: dict[str, dict[str, Json]] = {}
    for door in DOORS:
        with bench(folder / door, collections_path) as each:
            found, results[door] = all_cases(each, door, cases[door])
            outcome |= found
    with bench(folder / "more", collections_path) as each:
        for run in (killed, kept, shown_by_ansible, debugging):
            for door in DOORS:
                outcome |= run(each, door)
        for alone in (asynchronous, under_runner, inventory):
            outcome |= alone(each)
    with bench(folder / "role", collections_path, speed=60, timing={"drain": 5.0, "healthy": 5.0}) as each:
        outcome |= role(each)
    return outcome, results
