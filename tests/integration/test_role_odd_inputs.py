# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Odd variables and odd files, each in a host of its own: a clear error that names the variable, and no write.

One run of a playbook takes them all, so that each costs little.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from integration.role_runs import ENVIRONMENTS, NEW_VALUE, OLD_VALUE, Play, Run
from integration.test_role_rotation import assert_no_value, writes
from simulator import Simulator

STAGING = ENVIRONMENTS["staging"][1]
REVISION = "arn:aws:ecs:us-east-1:123456789012:task-definition/staging-api"


def inventory(hosts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {"environments": {"hosts": {host: {**STAGING, **variables} for host, variables in hosts.items()}}}


def errors(run: Run) -> dict[str, str]:
    """Host to everything that its failed tasks say."""
    found: dict[str, str] = {}
    for host, said in re.findall(r"^fatal: \[([^\]]+?)(?: -> [^\]]+)?\]: FAILED! => (.*)$", run.text, re.MULTILINE):
        found[host] = found.get(host, "") + said
    return found


def assert_no_traceback(run: Run) -> None:
    assert_no_value(run.text)
    for sign in ("Traceback", "unhandled exception", "Error rendering template"):
        assert sign not in run.text


ODD: dict[str, tuple[dict[str, Any], str]] = {
    "list-for-text": ({"rotate_cluster": ["c"]}, "rotate_cluster must be text"),
    "number-for-path": ({"rotate_record_path": 5}, "rotate_record_path must be text"),
    "value-for-variable": ({"rotate_variable": NEW_VALUE}, "There is no new value"),
    "number-for-variable": ({"rotate_variable": 5}, "rotate_variable must be text"),
    "value-in-path": (
        {"rotate_record_path": f"none/{NEW_VALUE}/record"},
        "rotate_record_path: the folder of none/********/record does not exist",
    ),
    "switch-for-value": ({"rotate_value": True}, "rotate_value must be text"),
    "mapping-for-value": ({"rotate_value": {"k": NEW_VALUE}}, "rotate_value must be text"),
    "text-for-paths": ({"rotate_dotenv_paths": "~/.env"}, "rotate_dotenv_paths must be a list"),
    "text-for-containers": ({"rotate_containers": "app"}, "rotate_containers must be a list"),
    "text-for-tags": ({"rotate_tags": "a=b"}, "rotate_tags must be a mapping"),
    "list-for-secret-tags": ({"rotate_secret_tags": ["a"]}, "rotate_secret_tags must be a mapping"),
    "smoke-timeout": ({"rotate_smoke_test": {"url": "http://x", "timeout": "soon"}}, "timeout must be a number"),
    "smoke-status": ({"rotate_smoke_test": {"url": "http://x", "status": "ok"}}, "status must be a code"),
    "smoke-pattern": (
        {"rotate_smoke_test": {"url": "http://x", "body_pattern": "("}},
        "body_pattern of rotate_smoke_test",
    ),
    "log-pattern": ({"rotate_log_patterns": ["fine", "("]}, "rotate_log_patterns holds something"),
    "value-pattern": (
        {"rotate_value_pattern": "("},
        "rotate_value_pattern holds something that is no regular expression",
    ),
    "half-a-failure": ({"rotate_max_failed_tasks": 1.5}, "rotate_max_failed_tasks must be a whole number"),
    "for-ever": ({"rotate_timeout": "9" * 400}, "rotate_timeout must be a whole number"),
    "settle-for-a-year": ({"rotate_settle": 31_536_000}, "rotate_settle must be a whole number"),
    "newline-in-value": ({"rotate_value": NEW_VALUE + "\n"}, "white space or a newline"),
    "long-name": ({"rotate_cluster": "c" * 300}, "c" * 300),
}


def test_odd_variables_are_refused_before_anything_changes(
    aws: Simulator, environments: dict[str, Any], play: Play
) -> None:
    aws.clear_calls()
    run = play(inventory=inventory({host: variables for host, (variables, _complaint) in ODD.items()}))
    assert run.rc == 2
    said = errors(run)
    assert [host for host, (_variables, complaint) in ODD.items() if complaint not in said.get(host, "")] == []
    assert_no_traceback(run)
    assert writes(aws) == []


NAMES = {"PROJECT_NAME": "staging", "REGION": "us-east-1"}
FILES: dict[str, bytes] = {
    "utf-16": json.dumps(NAMES).encode("utf-16"),
    "empty": b"",
    "cut": json.dumps(NAMES).encode()[:-1],
    "list": json.dumps([NAMES]).encode(),
    "deep": b"[" * 100_000,
    "list-for-name": json.dumps({**NAMES, "PROJECT_NAME": ["staging"]}).encode(),
    "nothing-for-region": json.dumps({**NAMES, "REGION": None}).encode(),
    "newline-in-region": json.dumps({**NAMES, "REGION": "us-east-1\n- x"}).encode(),
}  # fmt: skip
GOOD_FILES: dict[str, bytes] = {
    "bom-and-crlf": b"\xef\xbb\xbf" + json.dumps(NAMES, indent=1).replace("\n", "\r\n").encode(),
    "ten-megabytes": json.dumps({**NAMES, "NOTE": "x" * 10_000_000}).encode(),
    "twice": b'{"PROJECT_NAME": "elsewhere", ' + json.dumps(NAMES).encode()[1:],
}


def test_odd_deployment_variables(aws: Simulator, environments: dict[str, Any], play: Play, tmp_path: Path) -> None:
    aws.clear_calls()
    paths = {name: tmp_path / f"{name}.json" for name in [*FILES, *GOOD_FILES, "folder", "pipe"]}
    for name, content in {**FILES, **GOOD_FILES}.items():
        paths[name].write_bytes(content)
    paths["folder"].mkdir()
    os.mkfifo(paths["pipe"])
    # The file's names only: a project's name or a Region beside it would win.
    unset = {"rotate_project_name": "", "rotate_region": ""}
    hosts = {name: {**unset, "rotate_deployment_vars": str(path)} for name, path in paths.items()}
    run = play("--check", inventory=inventory(hosts))
    said = errors(run)
    assert set(said) == {*FILES, "folder", "pipe"}
    complaints = {
        **dict.fromkeys(FILES, "with names under the keys PROJECT_NAME and REGION"),
        **dict.fromkeys(("folder", "pipe"), "is no file on the controller"),
    }
    assert [name for name, complaint in complaints.items() if complaint not in said[name]] == []
    assert {run.table[name][1] for name in GOOD_FILES} == {"would rotate"}
    assert_no_traceback(run)
    assert writes(aws) == []


@pytest.fixture
def line(aws: Simulator, environments: dict[str, Any], play: Play, tmp_path: Path) -> dict[str, Any]:
    """The record's line of a rotation that the environment runs."""
    path = tmp_path / "record.jsonl"
    assert play(hosts={"staging": {"rotate_record_path": str(path)}}).rc == 0
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def records(line: dict[str, Any]) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Broken records, and odd ones that tell all the same what was rotated."""

    def text(host: str, **more: Any) -> bytes:
        return json.dumps({**line, "environment": host, **more}).encode()

    broken = {
        "cut": text("cut")[: len(text("cut")) // 2],
        "cut-in-the-middle": text("x")[:40] + b"\n" + text("cut-in-the-middle") + b"\n",
        "utf-16": json.dumps(line).encode("utf-16"),
    }  # fmt: skip
    odd = {
        "bom": b"\xef\xbb\xbf" + text("bom"),
        "crlf": b"\r\n" + text("crlf") + b"\r\n\r\n",
        "no-final-newline": text("no-final-newline"),
        "five-megabytes": text("elsewhere", note="x" * 5_000_000) + b"\n" + text("five-megabytes"),
        "lines-of-others": b'{"id": 1}\n{"environment": "lines-of-others", "variable": "OPENAI_API_KEY"}\n5\n[]\n"x"\n'
        + text("lines-of-others")
        + b"\n",
    }
    return broken, odd


def test_odd_records(aws: Simulator, line: dict[str, Any], play: Play, tmp_path: Path) -> None:
    broken, odd = records(line)
    hosts = {}
    for name, content in {**broken, **odd}.items():
        (tmp_path / f"{name}.jsonl").write_bytes(content)
        hosts[name] = {"rotate_record_path": str(tmp_path / f"{name}.jsonl")}
    os.mkfifo(tmp_path / "pipe")
    hosts["pipe"] = {"rotate_record_path": str(tmp_path / "pipe")}
    aws.clear_calls()
    run = play("--check", playbook="keyturn.ecs.rollback", inventory=inventory(hosts))
    said = errors(run)
    assert set(said) == {*broken, "pipe"}
    assert [name for name in broken if "has lines that are no JSON in UTF-8" not in said[name]] == []
    assert "is no regular file" in said["pipe"]
    assert {run.table[name][1] for name in odd} == {"would roll back"}
    assert_no_traceback(run)
    assert writes(aws) == []
    # The gate looks at all records together.
    gate = play(playbook="keyturn.ecs.revoke", inventory=inventory({name: hosts[name] for name in ["cut", "crlf"]}))
    assert gate.rc == 2
    assert "has lines that are no JSON in UTF-8" in errors(gate)["cut"]
    assert "Nothing was revoked" in gate.flat
    assert_no_traceback(gate)


class Unsafe(str):
    """Text that the inventory tags with !unsafe."""


yaml.SafeDumper.add_representer(Unsafe, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text), style='"'))

# What something on the way could take for its own syntax. None begins or ends with white space, which is refused.
# The role carries some of them; test_values_arrive.py all.
AWKWARD = {
    "expression": "sk-{{ 7*7 }}{% raw %}{# c #}",
    "open-block": "{% x",
    "yaml": "!unsafe &a *b # c: [d",
    "list": "['a', 1]",
    "json": '{"type": "service_account", "on": true, "n": 1.50}',
    "quotes": "a'b\"c\\n\\\\d`e`$(f)${g}%h%s%(i)s",
    "unicode": "é\u0308-😀-\u2028-\ufeff-ß",
    "lines": "-----BEGIN KEY-----\nab\r\n\tc\n-----END KEY-----",
    "switch": "True",
    "number": "007",
    "long": "x{{ y }}" * 2000,
}


def test_the_very_value_arrives(aws: Simulator, play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the controller's environment, and from a variable, through the role's templates into the task definition."""
    aws.reset()
    hosts: dict[str, dict[str, Any]] = {}
    values = {name: AWKWARD[name] for name in ("expression", "json", "quotes", "unicode")}
    for name, value in values.items():
        aws.create_environment(
            cluster=f"{name}-cluster", service=f"{name}-api", environment={"A": "{{ a }}", "OPENAI_API_KEY": OLD_VALUE}
        )
        monkeypatch.setenv(f"VALUE_OF_{name}", value)
        given = Unsafe(value) if name == "expression" else f"{{{{ lookup('env', 'VALUE_OF_{name}') | string }}}}"
        hosts[name] = {"rotate_project_name": name, "rotate_value": given, "rotate_value_pattern": "."}
    run = play(inventory=inventory(hosts), value=None)
    assert errors(run) == {}
    arrived = {name: definition(aws, name) for name in values}
    assert arrived == {name: {"A": "{{ a }}", "OPENAI_API_KEY": value} for name, value in values.items()}


def definition(aws: Simulator, name: str) -> dict[str, str]:
    """The environment in the newest revision."""
    answer = aws.client("ecs").describe_task_definition(taskDefinition=f"{name}-api")
    (container,) = answer["taskDefinition"]["containerDefinitions"]
    return {entry["name"]: entry["value"] for entry in container["environment"]}
