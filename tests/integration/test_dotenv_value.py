# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`dotenv_value` in a real playbook, here and elsewhere: results, and no value in sight.

What the function behind it does is in tests/unit/test_dotenv.py.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import dotenv
import pytest
import yaml

from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint
from ansible_collections.keyturn.ecs.plugins.modules import dotenv_value
from integration.support import Json, Playbook

MODULE, VARIABLE = "keyturn.ecs.dotenv_value", "OPENAI_API_KEY"
OLD, OLDER, NEW = (f"sk-proj-{name}CANARY0123456789abcdefghij" for name in ("old", "older", "new"))
ODD = 'CANARY it\'s "${HOME}" \\ #1\nsecond line'
CONTENT = f"# the team's\n\nexport {VARIABLE}='{OLDER}' # mine\nA=1\n{VARIABLE}={OLD}\n"


@dataclasses.dataclass(frozen=True)
class Case:
    """A task: its options, its keywords, and a text of its message where it fails."""

    options: Json
    keywords: Json = dataclasses.field(default_factory=dict)
    says: str = ""


CHECK = {"check_mode": True}

# In order: they share the files.
CASES = {
    "predicted": Case({}, CHECK),
    "changed": Case({}),
    "again": Case({}),
    "odd": Case({"value": ODD}),
    "odd_again": Case({"value": ODD}),
    "missing": Case({"variable": "OTHER", "if_missing": "fail"}, says="does not set OTHER: correct variable"),
    "no_file": Case({"path": "new.env"}, says="There is no file"),
    "made": Case({"path": "new.env", "create": True}),
    "folder": Case({"path": "."}, says="is a directory"),
    "open_quote": Case({"path": "broken.env"}, says="line 1 names OPENAI_API_KEY and cannot be read"),
    "empty": Case({"value": ""}, says="value is empty"),
    "typed": Case({"if_missing": NEW}, says="value of if_missing must be one of"),
}


@dataclasses.dataclass(frozen=True)
class Run:
    results: dict[str, Json]
    shown: str
    folder: Path


@pytest.fixture(scope="module", params=["local", "bastion"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, collections_path: str) -> Run:
    """All cases in one playbook, with diffs, at the highest verbosity that users have."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    files = folder / "files"
    files.mkdir()
    (files / ".env").write_text(CONTENT)
    (files / ".env").chmod(0o664)
    (files / "broken.env").write_text(f"{VARIABLE}='{OLD}\n")
    tasks = [
        {
            "name": name,
            MODULE: {
                "variable": VARIABLE,
                "value": "{{ lookup('ansible.builtin.env', 'THE_VALUE') }}",
                **case.options,
                "path": str(files / case.options.get("path", ".env")),
            },
            "register": name,
            "ignore_errors": True,
            **case.keywords,
        }
        for name, case in CASES.items()
    ]
    pairs = ", ".join(f"'{name}': {name}" for name in CASES)
    record = {"dest": str(folder / "results.json"), "content": f"{{{{ {{ {pairs} }} | to_json }}}}"}
    tasks.append({"name": "record", "ansible.builtin.copy": record, "no_log": True})
    plays = [{"hosts": "production", "gather_facts": False, "tasks": tasks}]
    variables = {"THE_VALUE": NEW, "ANSIBLE_PIPELINING": "true", "ANSIBLE_LOG_PATH": str(folder / "log")}
    hosts = {"production": {"ansible_connection": request.param}}
    with Playbook(folder, collections_path, plays, hosts, variables, ["-vvv", "--diff"]) as process:
        assert process.finish() == 0, process.output
    shown = process.output + (folder / "log").read_text()
    return Run(json.loads((folder / "results.json").read_text()), shown, files)


@pytest.mark.parametrize("name", CASES)
def test_a_case_ends_as_it_should(run: Run, name: str) -> None:
    result, case = run.results[name], CASES[name]
    assert (result.get("failed", False), case.says in result.get("msg", "")) == (bool(case.says), True), result
    assert "Traceback" not in run.shown


def test_results(run: Run) -> None:
    results = run.results
    new, old = fingerprint(VARIABLE, NEW), fingerprint(VARIABLE, OLD)
    for name in ("predicted", "changed"):
        assert {key: results[name][key] for key in ("changed", "fingerprint", "previous_fingerprint", "mode")} == {
            "changed": True, "fingerprint": new, "previous_fingerprint": old, "mode": "0600",
        }  # fmt: skip
        assert results[name]["diff"] == results["predicted"]["diff"]
        assert set(yaml.safe_load(dotenv_value.RETURN)) <= set(results[name])
    assert [results[name]["changed"] for name in ("again", "odd", "odd_again", "made")] == [False, True, False, True]
    assert "only" not in results["changed"] and "warnings" not in results["changed"]
    assert "python-dotenv" in results["odd"]["warnings"][0]
    assert results["missing"]["path"] == str(run.folder / ".env")


def test_the_files(run: Run) -> None:
    path = run.folder / ".env"
    text = path.read_text()
    assert text.startswith(f"# the team's\n\nexport {VARIABLE}=") and " # mine\nA=1\n" in text
    assert dotenv.dotenv_values(path) == {VARIABLE: ODD, "A": "1"}
    assert (run.folder / "new.env").read_text() == f"{VARIABLE}={NEW}\n"
    assert sorted(one.name for one in run.folder.iterdir()) == [".env", "broken.env", "new.env"]
    assert {one.name: one.stat().st_mode & 0o777 for one in run.folder.iterdir()} == {
        ".env": 0o600, "new.env": 0o600, "broken.env": 0o644,
    }  # fmt: skip


def test_no_value_is_shown_or_logged(run: Run) -> None:
    everything = run.shown + json.dumps(run.results)
    assert "CANARY" not in everything
    assert f'"{fingerprint(VARIABLE, NEW)}"' in run.shown  # the diff was shown
