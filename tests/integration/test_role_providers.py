# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The role and keys of other providers than OpenAI: asked about, put in, proved, and revoked by hand.

What is known of the providers is in tests/unit/test_role_providers.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint
from fakes.providers import Providers, serving
from integration.role_runs import Play, Run
from integration.test_role_logs import logging
from integration.test_role_odd_inputs import errors
from integration.test_role_rotation import writes
from openai import ADMIN_KEY
from openai import Provider as OpenAi
from simulator import Simulator

# host -> variable, old value, new value
KEYS = {
    "anthropic": ("ANTHROPIC_API_KEY", "sk-ant-api03-old-CANARY00000000", "sk-ant-api03-new-CANARY11111111"),
    "stripe": ("STRIPE_SECRET_KEY", "sk_live_oldCANARY0000000000", "rk_live_newCANARY1111111111"),
    "github": ("GITHUB_TOKEN", "ghp_oldCANARY00000000000000", "github_pat_newCANARY111111_11"),
    "own": ("OWN_TOKEN", "own-old-CANARY-0000000000", "own-new-CANARY-1111111111"),
    "generic": ("DATABASE_PASSWORD", "gen-old-CANARY-0000000000", "gen-new-CANARY-1111111111"),
}
PATHS = {"anthropic": "/v1/models?limit=1", "stripe": "/v1/balance", "github": "/rate_limit", "own": "/own"}


@pytest.fixture
def providers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Providers]:
    for variable, _old, new in KEYS.values():
        monkeypatch.setenv(variable, new)
    with serving() as served:
        yield served


@pytest.fixture
def made(aws: Simulator) -> Simulator:
    aws.reset()
    for name, (variable, old, _new) in KEYS.items():
        aws.create_environment(
            cluster=f"{name}-cluster", service=f"{name}-api", environment={variable: old, "A": "b"}, desired=1
        )
    return aws


def asked(providers: Providers) -> dict[str, Any]:
    """The known providers, but for their URLs; and one's own."""
    own = {
        "variables": ["OWN_TOKEN"],
        "value_pattern": "^own-",
        "probe": {"url": "", "headers": {"X-Token": "{value}"}, "accepted": [204], "refused": [401, 404]},
        "keys_at": "https://own.example.com/tokens",
    }
    found: dict[str, Any] = {name: {"probe": {}} for name in PATHS} | {"own": own}
    for name, path in PATHS.items():
        found[name]["probe"]["url"] = providers.url + path
    return found


def inventory(providers: Providers, *names: str, **more: dict[str, Any]) -> dict[str, Any]:
    """Hosts; `more` of them are as the one for Stripe is, but for some variables."""
    hosts = {
        name: {"rotate_project_name": name, "rotate_region": "us-east-1", "rotate_variable": KEYS[name][0]}
        for name in [*names, "stripe"]
    }
    others = {name: {**hosts["stripe"], **variables} for name, variables in more.items()}
    found = {**{name: hosts[name] for name in names}, **others}
    return {"environments": {"hosts": found, "vars": {"rotate_providers": asked(providers)}}}


def run(play: Play, hosts: dict[str, Any], *arguments: str, **extra: Any) -> Run:
    """No value is shown. A URL of OpenAI's keeps the fixture from saying that nobody shall be asked."""
    done = play(*arguments, inventory=hosts, value=None, **{"rotate_openai_base_url": "http://127.0.0.1:9/v1", **extra})
    assert [value for _variable, *values in KEYS.values() for value in values if value in done.text] == []
    assert "Traceback" not in done.text
    return done


def running(aws: Simulator, name: str) -> str:
    ecs = aws.client("ecs")
    (service,) = ecs.describe_services(cluster=f"{name}-cluster", services=[f"{name}-api"])["services"]
    definition = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
    values = {one["name"]: one["value"] for one in definition["containerDefinitions"][0]["environment"]}
    return str(values[KEYS[name][0]])


def test_a_refusal_in_the_log_rolls_back(made: Simulator, play: Play, providers: Providers) -> None:
    """By the words of the provider's own library, which the general patterns do not know.

    The first test, while CloudWatch Logs still take lines: see test_role_logs.py.
    """
    made.client("logs").describe_log_groups()  # loads them
    providers.keys = {KEYS["github"][2]: "full"}
    line = f"HttpError: Bad credentials for {KEYS['github'][2]}"
    with ThreadPoolExecutor() as pool:
        future = pool.submit(run, play, inventory(providers, "github"), rotate_settle=5)
        done = logging(made, future, "started", line, name="github")
    assert done.rc == 2, done.text
    assert "HttpError: Bad credentials for ********" in done.flat
    assert running(made, "github") == KEYS["github"][1]


def test_keys_of_every_provider_are_asked_about_and_put_in(
    made: Simulator, play: Play, providers: Providers, tmp_path: Path
) -> None:
    """OpenAI is told of none of them, although the inventory knows a project there and an admin key is at hand.

    Then the gate says where an old key is revoked by hand, and the record keeps that it may be, once.
    """
    providers.keys = {KEYS[name][2]: "restricted" if name == "stripe" else "full" for name in PATHS}
    notes = {"rotate_report_path": "report.json", "rotate_record_path": "record.jsonl", "rotate_revoke_grace": 0}
    with OpenAi.start() as openai:
        there = {"rotate_openai_project_id": "proj_abc", "rotate_openai_base_url": openai.base_url}
        done = run(play, inventory(providers, *KEYS), admin_key=ADMIN_KEY, **notes, **there)
        gate = {"playbook": "keyturn.ecs.revoke", "admin_key": ADMIN_KEY, **notes, **there}
        opened = [run(play, inventory(providers, "stripe"), **gate) for _again in range(2)]
        assert openai.calls() == []
    assert done.rc == 0, done.text
    assert {name: row[1] for name, row in done.table.items()} == dict.fromkeys(KEYS, "rotated")
    assert {name: running(made, name) for name in KEYS} == {name: new for name, (_v, _old, new) in KEYS.items()}
    sent = sorted((method, path) for method, path, _headers in providers.requests)
    assert sent == sorted(("GET", path) for path in PATHS.values())
    rows = json.loads((tmp_path / "report.json").read_text())["environments"]
    record = [json.loads(line) for line in (tmp_path / "record.jsonl").read_text().splitlines()]
    assert {row["environment"]: row["provider"] for row in rows} == {name: name for name in KEYS}
    assert {line["environment"]: line["provider"] for line in record if line["action"] == "rotate"} == {
        name: name for name in KEYS
    }
    gone = fingerprint(*KEYS["stripe"][:2])
    for one in opened:
        assert one.rc == 0, one.text
        assert f"Nothing holds {gone} any more in stripe. Revoke it by hand now, at https://dashboard" in one.flat
    (cleared,) = (line for line in record if line["action"] == "clear")
    assert (cleared["provider"], cleared["previous_fingerprint"], cleared["status"]) == ("stripe", gone, "not held")


def test_keys_that_are_refused_and_what_cannot_work(
    made: Simulator, play: Play, providers: Providers, tmp_path: Path
) -> None:
    """Nothing is changed, and each says why. Only where nobody tells, `auto` goes on, and says so."""
    busy = {"anthropic": {"probe": {"url": f"{providers.url}/v1/models?busy"}}}
    unsure = {"rotate_variable": "ANTHROPIC_API_KEY", "rotate_project_name": "anthropic", "rotate_providers": busy}
    more: dict[str, dict[str, Any]] = {
        "other": {"rotate_value": "{{ lookup('env', 'OWN_TOKEN') }}"},
        "named": {"rotate_provider": "github"},
        "unknown": {"rotate_provider": "strip"},
        "nobody": {"rotate_variable": "DATABASE_PASSWORD", "rotate_verify_key": True},
        "odd": {"rotate_providers": {"stripe": {"probe": {"url": "ftp://x"}, "price": 5}}},
        "list": {"rotate_providers": ["x"]},
        "unsure": unsure,
        "demanded": {**unsure, "rotate_verify_key": True},
    }
    done = run(play, inventory(providers, *PATHS, **more), rotate_report_path="report.json")
    assert done.rc == 2
    said = errors(done)
    expected = {
        "anthropic": f"{providers.url}/v1/models refuses the key (HTTP 401): it is mistyped",
        "stripe": f"{providers.url}/v1/balance refuses the key (HTTP 401)",
        "github": f"{providers.url}/rate_limit refuses the key (HTTP 401)",
        "own": f"{providers.url}/own refuses the key (HTTP 404)",
        "other": "does not match value_pattern ^(sk|rk)_(live|test)_ of provider stripe",
        "named": "of provider github: check that the whole key was copied",
        "unknown": "rotate_provider: strip is none of anthropic, generic, github, openai, own, stripe.",
        "nobody": "rotate_verify_key is true, and how to ask provider generic is not known",
        "odd": "rotate_providers: stripe: price is none of variables, value_pattern, probe, log_patterns, keys_at.",
        "list": "rotate_providers must be a mapping.",
        "demanded": "failed with HTTP 529 (4 attempts): the trouble is the provider's",
    }
    assert [name for name, text in expected.items() if text not in said[name].replace('\\"', '"')] == []
    assert [name for name in expected if f"Nothing was changed in {name}" not in said[name]] == []
    assert {name: row[1] for name, row in done.table.items()} == {
        **dict.fromkeys(expected, "refused"),
        "unsure": "rotated",
    }
    rows = {row["environment"]: row for row in json.loads((tmp_path / "report.json").read_text())["environments"]}
    assert any("Whether the key is accepted is not known" in line for line in rows["unsure"]["unverified"])
    assert writes(made) == ["RegisterTaskDefinition", "UpdateService"]
