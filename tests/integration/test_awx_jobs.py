# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Jobs as AWX runs them: the example project through ``transmit | worker | process``, secrets and surveys as AWX gives
them, and artifacts that one job of a workflow leaves to the next."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest

from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint
from awx_objects import PROJECT, surveys
from integration.role_runs import ENVIRONMENTS, NEIGHBOUR, NEW_VALUE, OLD_VALUE, Play
from integration.support import Playbook
from integration.test_role_rotation import running_values, writes
from openai import ADMIN_KEY, Provider
from simulator import Simulator

OLD, NEW = (fingerprint("OPENAI_API_KEY", value) for value in (OLD_VALUE, NEW_VALUE))
TRANSMIT = "import ansible_runner, json, sys; ansible_runner.run(streamer='transmit', **json.load(sys.stdin))"
RUNNER = (sys.executable, "-m", "ansible_runner")
Json = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Job:
    """What is left of a job where AWX is: the folder that ``process`` filled."""

    folder: Path
    events: list[Json]

    @property
    def text(self) -> str:
        return "\n".join(event["stdout"] for event in self.events)

    @property
    def rc(self) -> int:
        return int((self.folder / "artifacts/7/rc").read_text())

    @property
    def artifacts(self) -> Json:
        found: Json = self.events[-1]["event_data"]["artifact_data"]
        return found

    def files_with_a_value(self) -> list[str]:
        values = [value.encode() for value in (OLD_VALUE, NEW_VALUE, NEIGHBOUR, ADMIN_KEY)]
        files = [file for file in self.folder.rglob("*") if file.is_file()]
        return sorted(
            str(file.relative_to(self.folder)) for file in files if any(value in file.read_bytes() for value in values)
        )


class Launch(Protocol):
    """Launches a job template: its playbook on these hosts, with variables and with a credential's environment."""

    def __call__(
        self, playbook: str, hosts: Sequence[str] = ..., *, credentials: Mapping[str, str], **variables: Any
    ) -> Job: ...


def unanswered(template: str) -> dict[str, str]:
    """Every question of a template's survey, as AWX gives it when nobody answered."""
    return {question["variable"]: "" for question in surveys()[template]}


@pytest.fixture
def launch(aws: Simulator, environments: Json, collections_path: str, tmp_path: Path) -> Launch:
    """As AWX does it: what it writes into the private data directory, and three processes with pipes between.

    The environment goes over with the first line, extra variables in env/extravars, hosts as a script that prints them.
    """

    def run(
        playbook: str, hosts: Sequence[str] = tuple(ENVIRONMENTS), *, credentials: Mapping[str, str], **variables: Any
    ) -> Job:
        place = tmp_path / f"job-{len(list(tmp_path.glob('job-*')))}"
        private, worker, left = (place / name for name in ("private", "worker", "left"))
        shutil.copytree(PROJECT, private / "project")
        for folder in (private / "env", private / "inventory", left, place / "home"):
            folder.mkdir(parents=True)
        shown = {
            "environments": {"hosts": list(hosts)},
            "_meta": {"hostvars": {name: ENVIRONMENTS[name][1] for name in hosts}},
        }
        script = private / "inventory/hosts"
        script.write_text(f"#!{sys.executable}\nprint({json.dumps(shown)!r})\n")
        script.chmod(0o700)
        given = {"rotate_poll_interval": 0.5, "rotate_verify_key": False, "awx_user_name": "night shift", **variables}
        (private / "env/extravars").write_text(json.dumps(given))
        (private / "env/settings").write_text('{"suppress_ansible_output": true, "suppress_output_file": true}')
        plain = Playbook.environ(place / "home", collections_path)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        connection = {name: value for name, value in aws.environ().items() if not name.endswith("REGION")}
        parameters = {
            "private_data_dir": str(private),
            "ident": "7",
            "playbook": playbook,
            "inventory": "hosts",
            "suppress_env_files": True,
            "envvars": {**plain, **connection, "PATH": path, **credentials},
        }
        events = _pipeline(parameters, worker, left, {**plain, "PATH": path})
        assert not worker.exists()
        return Job(left, events)

    return run


def _pipeline(parameters: Json, worker: Path, left: Path, environment: Mapping[str, str]) -> list[Json]:
    """transmit | worker | process; the events in order."""
    pipe = subprocess.PIPE
    commands = [
        [sys.executable, "-c", TRANSMIT],
        [*RUNNER, "worker", "--private-data-dir", str(worker), "--delete"],
        [*RUNNER, "process", str(left), "--ident", "7"],
    ]
    transmit = subprocess.Popen(commands[0], env=environment, stdin=pipe, stdout=pipe)
    work = subprocess.Popen(commands[1], env=environment, stdin=transmit.stdout, stdout=pipe)
    process = subprocess.Popen(commands[2], env=environment, stdin=work.stdout, stdout=subprocess.DEVNULL)
    running = (transmit, work, process)
    try:
        assert transmit.stdin and transmit.stdout and work.stdout
        transmit.stdin.write(json.dumps(parameters).encode())
        for end in (transmit.stdin, transmit.stdout, work.stdout):
            end.close()
        for one in running:
            one.wait(120)
    finally:
        for one in running:
            one.kill()
            one.wait(10)
    files = (left / "artifacts/7/job_events").glob("*.json")
    return [json.loads(file.read_text()) for file in sorted(files, key=lambda file: int(file.name.partition("-")[0]))]


def rotated(aws: Simulator, artifacts: Json) -> Json:
    """How every environment stands and what is handed on of it, without dates and ids that differ from run to run."""
    found = {}
    for name in ENVIRONMENTS:
        told = artifacts["keyturn_" + name.replace("-", "_")]
        assert told["environment"] == name
        (service,) = told["services"]
        found[name] = {
            "runs": running_values(aws, name),
            **{key: service[key] for key in ("service", "status", "previous_fingerprint", "fingerprint")},
            **{key: service[key].rpartition("/")[2] for key in ("previous_task_definition", "task_definition")},
        }
    return {"writes": sorted(writes(aws)), "keys": sorted(artifacts), **found}


ROTATED = {
    "writes": ["RegisterTaskDefinition"] * 3 + ["UpdateService"] * 3,
    "keys": ["keyturn_eu_production", "keyturn_production", "keyturn_staging"],
    **{
        name: {
            "runs": [NEW_VALUE],
            "service": f"{name}-api",
            "status": "rotated",
            "previous_fingerprint": OLD,
            "fingerprint": NEW,
            "previous_task_definition": f"{name}-api:1",
            "task_definition": f"{name}-api:2",
        }
        for name in ENVIRONMENTS
    },
}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider.start() as served:
        served.add_project()
        yield served


def test_rotate_verify_revoke_with_a_credential(aws: Simulator, launch: Launch, play: Play, provider: Provider) -> None:
    """The key is in the environment. Later jobs know from artifacts alone what was rotated: no record is kept."""
    old = provider.add_key(value=OLD_VALUE).id
    # AWX's AWS credential without a token, and a credential type whose optional field nobody filled in.
    empty = dict.fromkeys(("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_PROFILE", "OPENAI_BASE_URL"), "")
    job = launch("rotate.yml", credentials={"OPENAI_API_KEY": NEW_VALUE, **empty})
    assert job.rc == 0, job.text
    assert rotated(aws, job.artifacts) == ROTATED
    # ansible-runner's own copy of the environment it was given; AWX deletes the folder when the job has ended.
    assert job.files_with_a_value() == ["artifacts/7/command"]

    verify = play(playbook=str(PROJECT / "verify.yml"), value=None, **job.artifacts)
    assert verify.rc == 0, verify.text
    assert [verify.table[name][1] for name in ENVIRONMENTS] == ["verified"] * 3
    given = {"rotate_openai_base_url": provider.base_url, "rotate_openai_project_id": "proj_abc"}
    given |= {"rotate_old_key_id": old, "rotate_revoke_grace": 0, **job.artifacts}
    revoke = play(playbook=str(PROJECT / "revoke.yml"), value=None, admin_key=ADMIN_KEY, **given)
    assert revoke.rc == 0, revoke.text
    assert f"Nothing holds {OLD} any more" in revoke.flat
    assert old not in [key.id for key in provider.stored()]


def test_two_slices_give_the_result_of_one_run(aws: Simulator, launch: Launch, play: Play) -> None:
    """Every second host in each, as AWX deals them out; and nobody answered a question but the one for the key."""
    answers = {**unanswered("keyturn rotate"), "rotate_value": NEW_VALUE}
    hosts = list(ENVIRONMENTS)
    slices = [launch("rotate.yml", hosts[first::2], credentials={"OPENAI_API_KEY": ""}, **answers) for first in (0, 1)]
    assert [job.rc for job in slices] == [0, 0], slices
    artifacts = {**slices[0].artifacts, **slices[1].artifacts}  # as AWX merges them
    assert rotated(aws, artifacts) == ROTATED
    assert [job.files_with_a_value() for job in slices] == [[], []]

    back = play(playbook=str(PROJECT / "rollback.yml"), value=None, **unanswered("keyturn rollback"), **artifacts)
    assert back.rc == 0, back.text
    assert [running_values(aws, name) for name in ENVIRONMENTS] == [[OLD_VALUE]] * 3
    # Against what was handed on, the old value is another one.
    other = play(playbook=str(PROJECT / "verify.yml"), value=None, **artifacts)
    assert other.rc == 2
    assert f"should have the fingerprint {NEW}, and has {OLD}" in other.flat
