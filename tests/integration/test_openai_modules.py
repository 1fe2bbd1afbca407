# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`openai_api_key`, `openai_api_key_info` and `api_key_probe` in real playbooks, here and elsewhere: no key in sight.

What the functions behind them do is in tests/unit/test_openai.py and tests/unit/test_probe.py.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import yaml

from ansible_collections.keyturn.ecs.plugins.modules import api_key_probe, openai_api_key, openai_api_key_info
from integration.support import Json, Playbook
from openai import ADMIN_KEY, Provider

KEY, INFO, PROBE = (f"keyturn.ecs.{name}" for name in ("openai_api_key", "openai_api_key_info", "api_key_probe"))
REVOKED, GOOD, TYPED = (f"sk-proj-{name}CANARY0123456789abcdefghij" for name in ("revoked", "good", "typed"))
MAKE = {"project_id": "proj_abc", "service_account_id": "svc_acct_abc", "name": "elevareai-2026-11"}
ASK = {
    "url": "{{ lookup('ansible.builtin.env', 'OPENAI_BASE_URL') }}/models",
    "headers": {"Authorization": "Bearer {value}"},
}
GONE = {"state": "absent", "project_id": "proj_abc", "key_id": "{{ made.key_id }}"}


@dataclasses.dataclass(frozen=True)
class Case:
    """A task; its options, its keywords, and a text of its message where it fails."""

    module: str
    options: Json
    keywords: Json = dataclasses.field(default_factory=dict)
    says: str = ""


SILENT = {"no_log": True}
CHECK = {"check_mode": True}

# In order: the cases share one provider. Faults are met in the order of FAULTS.
CASES = {
    "predicted": Case(KEY, MAKE, CHECK),
    "made": Case(KEY, MAKE),
    "again": Case(KEY, MAKE, SILENT),
    "listed": Case(INFO, {"project_id": "proj_abc"}),
    "used": Case(INFO, {"value": "{{ made.value }}", "project_id": "proj_abc"}),
    "refused": Case(INFO, {"value": REVOKED}),
    "limited": Case(INFO, {"value": GOOD}),
    "server_error": Case(
        INFO, {"value": GOOD}, says="failed with HTTP 500 (4 attempts): the trouble is the provider's"
    ),
    "timeout": Case(INFO, {"value": GOOD, "timeout": 1}, says="within 1 seconds (2 attempts). Check the network"),
    "not_json": Case(INFO, {"value": GOOD}, says="(HTTP 200, text/html) is no JSON, so it does not come from the API"),
    "typed": Case(INFO, {"value": f"{TYPED} "}, says="value begins or ends with white space or a newline."),
    "nothing": Case(INFO, {}, says="one of the following is required: project_id, value"),
    "half": Case(KEY, {"project_id": "proj_abc"}, says="missing: service_account_id, name"),
    "lost": Case(KEY, {**MAKE, "name": "lost"}, says="A key named 'lost' was made, key_"),
    "later": Case(KEY, {**MAKE, "name": "later"}, {"async": 60, "poll": 1}, says="async"),
    "will_go": Case(KEY, GONE, CHECK),
    "went": Case(KEY, GONE),
    "gone": Case(KEY, GONE),
    "probed": Case(PROBE, {**ASK, "value": GOOD}, CHECK),
    "probed_refused": Case(PROBE, {**ASK, "value": REVOKED}),
    "probed_unknown": Case(
        PROBE, {**ASK, "value": GOOD, "accepted": [204]}, says="answered with HTTP 200, which is none of the statuses"
    ),
    "probed_wrong": Case(PROBE, {**ASK, "value": GOOD, "headers": {"A": "b"}}, says="headers: none holds {value}"),
}
FAULTS: list[Json] = [
    {"kind": "status", "status": 429, "code": "rate_limit_exceeded", "times": 4, "headers": {"Retry-After": "0"}},
    {"kind": "status", "status": 500, "message": "{key}", "times": 4, "headers": {"Retry-After": "0"}},
    {"kind": "hang", "times": 2},
    {"kind": "text", "status": 200, "body": "<html>{key}</html>", "content_type": "text/html"},
]


@dataclasses.dataclass(frozen=True)
class Run:
    results: dict[str, Json]
    shown: str
    provider: Provider


@pytest.fixture(scope="module", params=["local", "bastion"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, collections_path: str) -> Run:
    """All cases in one playbook, at the highest verbosity that users have; what it showed and what it logged."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    tasks = [
        {"name": name, case.module: case.options, "register": name, "ignore_errors": True, **case.keywords}
        for name, case in CASES.items()
    ]
    written = {"dest": str(folder / "results.json"), "content": f"{{{{ {{ {_pairs()} }} | to_json }}}}"}
    record = {"name": "record", "ansible.builtin.copy": written, "no_log": True}
    plays = [{"hosts": "production", "gather_facts": False, "tasks": [*tasks, record]}]
    with Provider.start() as provider:
        provider.add_project()
        provider.key(GOOD)
        for fault in FAULTS:
            provider.fault(match="GET /models", after=2, **fault)  # two cases are answered without one
        provider.fault("lost_answer", "POST", after=1)
        variables = {
            "OPENAI_ADMIN_KEY": ADMIN_KEY,
            "OPENAI_BASE_URL": provider.base_url,
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_LOG_PATH": str(folder / "log"),
        }
        hosts = {"production": {"ansible_connection": request.param}}
        with Playbook(folder, collections_path, plays, hosts, variables, ["-vvv", "--diff"]) as process:
            assert process.finish() == 0, process.output
    shown = process.output + (folder / "log").read_text()
    return Run(json.loads((folder / "results.json").read_text()), shown, provider)


def _pairs() -> str:
    return ", ".join(f"'{name}': {name}" for name in CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_case_ends_as_it_should(run: Run, name: str) -> None:
    result, case = run.results[name], CASES[name]
    assert (result.get("failed", False), case.says in result.get("msg", "")) == (bool(case.says), True), result
    assert "warnings" not in result
    assert "deprecations" not in result


def test_the_life_of_a_key(run: Run) -> None:
    results = run.results
    made, again, used = results["made"], results["again"], results["used"]
    assert made["value"].startswith("sk-svcacct-")
    assert [results[name]["changed"] for name in ("predicted", "made", "again")] == [True, True, False]
    assert (again["key_id"], again["value"], results["predicted"]["value"]) == (made["key_id"], None, None)
    assert [(key["id"], key["last_used_at"]) for key in results["listed"]["keys"]] == [(made["key_id"], None)]
    assert (used["valid"], used["verdict"], used["changed"]) == (True, "accepted", False)
    assert [results[name]["changed"] for name in ("will_go", "went", "gone")] == [True, True, False]
    assert results["lost"]["changed"] is True
    assert [key.id for key in run.provider.stored()] == [results["lost"]["key_id"]]


def test_what_was_sent(run: Run) -> None:
    """Every key to where it belongs."""
    calls = run.provider.calls()
    made = run.results["made"]["key_id"]
    assert calls[:3] == [
        "GET /organization/projects/proj_abc/api_keys",
        "GET /organization/projects/proj_abc/api_keys",
        "POST /organization/projects/proj_abc/service_accounts/svc_acct_abc/api_keys",
    ]
    assert [call for call in calls if call.startswith("DELETE")] == [
        f"DELETE /organization/projects/proj_abc/api_keys/{made}"
    ]
    assert {one.key for one in run.provider.requests if one.path != "/models"} == {ADMIN_KEY}
    asked = [one.key for one in run.provider.requests if one.path == "/models"]
    assert asked == [run.results["made"]["value"], REVOKED, *[GOOD] * 11, GOOD, REVOKED, GOOD]


def test_verdicts(run: Run) -> None:
    assert (run.results["refused"]["valid"], run.results["limited"]["valid"]) == (False, True)
    assert "limits the rate of its requests" in run.results["limited"]["reason"]
    assert (run.results["probed"]["valid"], run.results["probed_refused"]["valid"]) == (True, False)
    assert run.results["probed_unknown"]["cause"] == "unexpected"
    for cause in ("server_error", "timeout", "not_json"):
        assert run.results[cause]["cause"] == cause
        assert "valid" not in run.results[cause]


def test_no_key_is_shown_or_logged(run: Run) -> None:
    values = [ADMIN_KEY, REVOKED, GOOD, TYPED, run.results["made"]["value"]]
    values += [key.value for key in run.provider.stored()]  # the one whose answer was lost
    assert [value for value in values if value in run.shown] == []
    assert "Traceback (most recent call last)" not in run.shown
    everything = json.dumps({**run.results, "made": {**run.results["made"], "value": None}})
    assert [value for value in values if value in everything] == []


def test_results_hold_what_is_documented(run: Run) -> None:
    documented = set(yaml.safe_load(openai_api_key.RETURN)) - {"cause"}
    for name in ("predicted", "made", "again", "will_go", "went", "gone"):
        assert documented <= set(run.results[name])
    assert set(yaml.safe_load(openai_api_key_info.RETURN)) - {"cause"} <= set(run.results["used"])
    for name in ("probed", "probed_refused"):
        assert set(yaml.safe_load(api_key_probe.RETURN)) - {"cause"} <= set(run.results[name])
    (key,) = run.results["listed"]["keys"]
    assert set(key) == set(yaml.safe_load(openai_api_key_info.RETURN)["keys"]["contains"])
