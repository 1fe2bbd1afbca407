# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Under ansible-runner, as AWX runs playbooks, the wait's lines are events of their own, and no artifact has a value.

One exception is ansible-runner's own: it writes the environment of its process, and so a key that stands there, to
``artifacts/IDENT/command``, whatever ``suppress_env_files`` says. A key that comes from a file stands nowhere.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.support import ENVIRONMENT, NEW, VALUES, VARIABLE, Json, Playbook, assert_no_value, clean_environment
from simulator import Simulator

HOST = "production"
PLACE = {"cluster": "c", "service": "s"}
TASK = "Wait for the rollout"
KEY_VARIABLE = "KEY_OF_THE_TEST"

if importlib.util.find_spec("ansible_runner") is None:
    pytest.skip("ansible-runner is not installed", allow_module_level=True)


@dataclasses.dataclass(frozen=True)
class Seen:
    """An event, and when its file stood there, in this machine's seconds."""

    at: float
    event: Json

    @property
    def line(self) -> str:
        text: str = self.event["stdout"]
        return text

    @property
    def is_progress(self) -> bool:
        return self.event["event"] == "verbose" and self.line.startswith(f"[{HOST}] s: ")


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run of ansible-runner left behind."""

    folder: Path
    seen: list[Seen]

    @property
    def progress(self) -> list[Seen]:
        return [seen for seen in self.seen if seen.is_progress]

    def of_the_wait(self, name: str) -> Seen:
        """The one event of that name of the waiting task."""
        found = [
            seen for seen in self.seen if seen.event["event"] == name and seen.event["event_data"].get("task") == TASK
        ]
        assert len(found) == 1, [seen.event["event"] for seen in self.seen]
        return found[0]

    def files_with(self, *texts: str) -> list[str]:
        """Files below the private data directory that hold one of these texts."""
        files = [file for file in self.folder.rglob("*") if file.is_file()]
        return sorted(
            str(file.relative_to(self.folder))
            for file in files
            if any(text.encode() in file.read_bytes() for text in texts)
        )


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    quick = {"drain": 5.0, "healthy": 5.0}
    with clean_environment(), Simulator.start(speed=20, throttling=False, seed=1, timing=quick) as sim:
        yield sim


def run(simulator: Simulator, collections_path: str, folder: Path, *, progress: bool, key_from: str) -> Run:
    """Rotate and wait as a job does, in a private data directory.

    key_from: "env", a variable of the process's environment, or "file", one outside of that directory.
    """
    simulator.reset()
    simulator.create_environment(**PLACE, environment=ENVIRONMENT)
    private, home, key = folder / "private", folder / "home", folder / "key"
    key.write_text(NEW)
    value = f"{{{{ lookup('ansible.builtin.{key_from}', '{KEY_VARIABLE if key_from == 'env' else key}') }}}}"
    followed = {name: f"{{{{ rotated.{name} }}}}" for name in ("deployment_id", "task_definition")}
    tasks = [
        {
            "name": "Rotate the key",
            "keyturn.ecs.ecs_env_rotate": {**PLACE, "variable": VARIABLE, "value": value},
            "register": "rotated",
        },
        {
            "name": TASK,
            "keyturn.ecs.ecs_rollout_wait": {**PLACE, **followed, "poll_interval": 0.25, "progress": progress},
        },
    ]
    for name in ("project", "inventory"):
        (private / name).mkdir(parents=True)
    home.mkdir()
    play = {"hosts": "all", "connection": "local", "gather_facts": False, "tasks": tasks}
    (private / "project" / "play.yml").write_text(json.dumps([play]))
    hosts = {HOST: {"ansible_python_interpreter": sys.executable}}
    (private / "inventory" / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
    scripts = Path(sys.executable).parent
    process = subprocess.Popen(
        [sys.executable, "-m", "ansible_runner", "run", str(private), "-p", "play.yml", "-i", "job", "-q"],
        env={
            **Playbook.environ(home, collections_path),
            **simulator.environ(),
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            **({KEY_VARIABLE: NEW} if key_from == "env" else {}),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        seen = list(follow(process, private / "artifacts" / "job" / "job_events"))
        output = process.communicate(timeout=30)[0]
    finally:
        process.kill()
        process.wait(10)
    assert_no_value(output)
    assert process.returncode == 0, [one.line for one in seen]
    return Run(private, seen)


def follow(process: subprocess.Popen[str], folder: Path) -> Iterator[Seen]:
    """Every event as its file appears, until the process has ended."""
    known: set[Path] = set()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        # A file whose name ends otherwise is still being written.
        files = {file for file in folder.glob("*.json") if "-partial" not in file.name} - known
        for file in sorted(files, key=lambda file: int(file.name.partition("-")[0])):
            yield Seen(time.monotonic(), json.loads(file.read_text()))
        known |= files
        if ended:
            return
        time.sleep(0.02)
    raise AssertionError("ansible-runner did not end")


def test_each_line_is_an_event_while_the_task_runs(simulator: Simulator, collections_path: str, tmp_path: Path) -> None:
    done = run(simulator, collections_path, tmp_path, progress=True, key_from="file")
    lines = [seen.line for seen in done.progress]
    texts = [line.rpartition(" (")[0] for line in lines]
    assert texts[0] == f"[{HOST}] s: 0/2 tasks on revision 2, 2 old draining"
    assert texts[-1] == f"[{HOST}] s: 2/2 tasks on revision 2"
    assert len(texts) >= 3
    assert [one for one, other in itertools.pairwise(texts) if one == other] == []

    # In order, after the task's start and before its own event, by the runner's counter.
    counters = [seen.event["counter"] for seen in done.progress]
    start, end = (done.of_the_wait(name) for name in ("playbook_on_task_start", "runner_on_ok"))
    assert counters == sorted(counters)
    assert start.event["counter"] < counters[0] and counters[-1] < end.event["counter"]
    times = [line.rpartition(" (")[2] for line in lines]
    assert times == sorted(times)

    # They come while the task runs, not all at its end.
    took = end.event["event_data"]["duration"]
    assert took > 1.0
    assert done.progress[0].at < end.at - took / 2

    assert end.event["event_data"]["res"]["status"] == "completed"
    assert done.files_with(*VALUES) == []
    assert done.files_with(VARIABLE) != [], "the search finds what is there"


def test_no_line_is_an_event_when_none_is_wanted(simulator: Simulator, collections_path: str, tmp_path: Path) -> None:
    done = run(simulator, collections_path, tmp_path, progress=False, key_from="env")
    assert done.of_the_wait("runner_on_ok").event["event_data"]["res"]["status"] == "completed"
    assert done.progress == []
    assert not [seen.line for seen in done.seen if "on revision" in seen.line]
    # ansible-runner's own copy of the environment that it was started in, and nothing else.
    assert done.files_with(*VALUES) == ["artifacts/job/command"]
    command = json.loads((done.folder / "artifacts" / "job" / "command").read_text())
    assert command.pop("env")[KEY_VARIABLE] == NEW
    assert_no_value(command)
