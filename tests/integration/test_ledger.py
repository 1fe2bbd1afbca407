# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`ledger` and `ledger_info` in real playbooks, both doors, a file and a bucket; and two processes at once.

What the functions behind it do is in tests/unit/test_ledger.py.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ansible_collections.keyturn.ecs.plugins.modules import ledger, ledger_info
from benchmark.ledger import BUCKET, client, connection, s3_server
from fakes.model import CONDITIONAL_WRITES
from integration.support import FOLDER, Json, Playbook
from simulator import Simulator

MODULE = "keyturn.ecs.ledger"
KEY = "sk-proj-CANARY0123456789abcdefghij"
FIRST = {"id": "ecs-svc/1", "service": "elevareai-api", "reason": "leaver, für Kim", "when": {"day": 1}}
SECOND = {"id": "ecs-svc/2", "service": "elevareai-api"}
CHECK = {"check_mode": True}


@dataclasses.dataclass(frozen=True)
class Case:
    """A task: its entries, its keywords, and a text of its message where it fails."""

    entries: list[Json]
    keywords: Json = dataclasses.field(default_factory=dict)
    says: str = ""
    options: Json = dataclasses.field(default_factory=dict)


# In order: they share a ledger.
CASES = {
    "predicted": Case([FIRST], CHECK),
    "made": Case([FIRST]),
    "again": Case([FIRST], CHECK),
    "grown": Case([FIRST, SECOND, {"note": 1}]),
    "key": Case([SECOND, {"a": [f"it was {KEY}"]}], says="entries[1].a[0] holds what looks like an API key"),
    "nowhere": Case([FIRST], says="", options={"path": "{{ nowhere }}"}),
    "no_dict": Case(["x"], says="entries"),  # type: ignore[list-item]
}
READ: dict[str, Json] = {
    "all": {},
    "some": {"where": {"service": "elevareai-api", "id": "ecs-svc/2"}},
    "none": {"where": {"service": None}},
    "absent": {"path": "{{ absent }}"},
    "gone": {"path": "{{ lost }}"},
}
NOWHERE = {"file": "there is no folder", "bucket": "s3:GetObject on s3://nobody/x.jsonl failed: NoSuchBucket"}


@dataclasses.dataclass(frozen=True)
class Run:
    where: str
    results: dict[str, Json]
    shown: str
    lines: list[str]


WHERE = [
    "file local",
    "file bastion",
    *(pytest.param(f"bucket {door}", marks=CONDITIONAL_WRITES) for door in ("local", "bastion")),
]


@pytest.fixture(scope="module", params=WHERE)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, collections_path: str) -> Run:
    """All cases in one playbook, with diffs, at the highest verbosity that users have."""
    where, door = request.param.split()
    folder: Path = tmp_path_factory.mktemp("ledger")
    file = folder / "ledger.jsonl"
    with s3_server() as server:
        url = server.url
        client(url).create_bucket(Bucket=BUCKET)
        path = str(file) if where == "file" else f"s3://{BUCKET}/2026/ledger.jsonl"
        nowhere = str(folder / "no" / "x") if where == "file" else "s3://nobody/x.jsonl"
        options = {"path": path, **(connection(url) if where == "bucket" else {})}
        tasks = [
            {"name": name, MODULE: {**options, "entries": case.entries, **case.options}, "register": name,
             "ignore_errors": True, **case.keywords}
            for name, case in CASES.items()
        ]  # fmt: skip
        tasks.extend(
            {"name": name, f"{MODULE}_info": {**options, **given}, "register": f"r_{name}", "ignore_errors": True}
            for name, given in READ.items()
        )
        pairs = ", ".join(f"'{name}': {name}" for name in [*CASES, *(f"r_{name}" for name in READ)])
        record = {"dest": str(folder / "results.json"), "content": f"{{{{ {{ {pairs} }} | to_json }}}}"}
        tasks.append({"name": "record", "ansible.builtin.copy": record, "no_log": True})
        plays = [
            {
                "hosts": "production",
                "gather_facts": False,
                "vars": {"nowhere": nowhere, "lost": nowhere, "absent": f"{path}.old"},
                "tasks": tasks,
            }
        ]
        hosts = {"production": {"ansible_connection": door}}
        with Playbook(folder, collections_path, plays, hosts, {}, ["-vvv", "--diff"]) as process:
            assert process.finish() == 0, process.output
        if where == "file":
            text = file.read_text()
            assert file.stat().st_mode & 0o777 == 0o600
        else:
            text = client(url).get_object(Bucket=BUCKET, Key="2026/ledger.jsonl")["Body"].read().decode()
    return Run(where, json.loads((folder / "results.json").read_text()), process.output, text.splitlines())


def test_results(run: Run) -> None:
    results = run.results
    kept = ("changed", "appended", "already_there")
    assert [[results[name][key] for key in kept] for name in ("predicted", "made", "again", "grown")] == [
        [True, 1, 0],
        [True, 1, 0],
        [False, 0, 1],
        [True, 2, 1],
    ]
    assert results["predicted"]["diff"] == results["made"]["diff"]
    assert set(yaml.safe_load(ledger.RETURN)) - {"resource_actions"} <= set(results["made"])
    for name, case in CASES.items():
        says = NOWHERE[run.where] if name == "nowhere" else case.says
        assert (results[name].get("failed", False), says in results[name].get("msg", "")) == (bool(says), True), name
        assert "warnings" not in results[name]


def test_what_is_read(run: Run) -> None:
    read = {name: run.results[f"r_{name}"] for name in READ}
    expected = {"all": [FIRST, SECOND, {"note": 1}], "some": [SECOND], "none": [], "absent": []}
    assert {name: read[name]["entries"] for name in expected} == expected
    assert [(read[name]["exists"], read[name]["changed"]) for name in expected] == [(True, False)] * 3 + [
        (False, False)
    ]
    assert set(yaml.safe_load(ledger_info.RETURN)) - {"resource_actions"} <= set(read["all"])
    # A folder that is not there has no file; a bucket that is not there is an error.
    assert read["gone"]["failed"] is (run.where == "bucket")
    assert "path" in read["gone"]
    assert ("NoSuchBucket" in read["gone"].get("msg", "")) is (run.where == "bucket")


def test_the_ledger(run: Run) -> None:
    assert [json.loads(line) for line in run.lines] == [FIRST, SECOND, {"note": 1}]
    assert f"+{run.lines[0]}" in run.shown


def test_no_key_is_shown_by_the_module(run: Run) -> None:
    assert "Traceback" not in run.shown
    assert KEY not in json.dumps(run.results)
    assert KEY not in run.shown


@CONDITIONAL_WRITES
def test_the_embedded_aws_takes_a_ledger(tmp_path: Path, collections_path: str) -> None:
    """Through an assumed role, as into an account for audits."""
    with Simulator.start(speed=0, throttling=False) as sim:
        sim.client("s3", account="210987654321").create_bucket(Bucket=BUCKET)
        task = {
            "path": f"s3://{BUCKET}/x.jsonl",
            "entries": [FIRST],
            "assume_role_arn": sim.role_arn("210987654321"),
            "debug_botocore_endpoint_logs": True,
        }
        plays = [{"hosts": "production", "gather_facts": False, "tasks": [{"name": "record", MODULE: task}]}]
        hosts = {"production": {"ansible_connection": "local"}}
        with Playbook(tmp_path, collections_path, plays, hosts, sim.environ(), ["-v"]) as process:
            assert process.finish() == 0, process.output
        assert '"resource_actions": ["s3:GetObject", "s3:PutObject", "sts:AssumeRole"]' in process.output
        body = sim.client("s3", account="210987654321").get_object(Bucket=BUCKET, Key="x.jsonl")["Body"].read()
        assert json.loads(body) == FIRST


@CONDITIONAL_WRITES
def test_two_processes_at_once() -> None:
    """500 appends each to a file, then 40 to an object: the benchmark's own verdict."""
    script = FOLDER.parent / "benchmark" / "ledger.py"
    done = subprocess.run(
        [sys.executable, str(script), "500", "40"],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "file: 1000 of 1000 lines intact, 1000 in all" in done.stdout
    assert "S3: 80 of 80 lines intact, 80 in all" in done.stdout
    assert "writes refused and repeated" in done.stdout
