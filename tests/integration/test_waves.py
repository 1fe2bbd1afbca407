# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Waves that stop and are taken up again, and strategies that let each environment go on by itself."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint
from integration.role_runs import NEW_VALUE, OLD_VALUE, Play, Run
from integration.test_role_rotation import assert_no_value
from openai import ADMIN_KEY, Provider
from simulator import Simulator

ROOT = Path(__file__).resolve().parents[2]
OLD = fingerprint("OPENAI_API_KEY", OLD_VALUE)
NAMES = ("alpha", "bravo", "charlie", "delta")
NOTES = {"rotate_record_path": "record.jsonl", "rotate_report_path": "report.json"}
# How often environments end at the same moment; the numbers of a long search are no test's matter.
ROUNDS = int(os.environ.get("KEYTURN_FREE_ROUNDS", "1"))
Json = dict[str, Any]


def inventory(aws: Simulator, names: Sequence[str]) -> Json:
    """Fresh environments, in this order."""
    aws.reset()
    for name in names:
        aws.create_environment(
            cluster=f"{name}-cluster", service=f"{name}-api", environment={"OPENAI_API_KEY": OLD_VALUE}, desired=1
        )
    hosts = {name: {"rotate_region": "us-east-1", "rotate_project_name": name} for name in names}
    # What is asked before and after is tested elsewhere.
    variables = {"rotate_preflight": False, "rotate_log_scan": False}
    return {"environments": {"hosts": hosts, "vars": variables}}


def fail(aws: Simulator, name: str) -> None:
    """The circuit breaker takes its next rollouts back."""
    aws.script(f"{name}-cluster", f"{name}-api", "circuit_breaker", cause="container_exit", run_seconds=1.0)


def mend(aws: Simulator, name: str) -> None:
    aws.script(f"{name}-cluster", f"{name}-api", "completes")


def revisions(aws: Simulator, name: str) -> list[int]:
    arns = aws.client("ecs").list_task_definitions(familyPrefix=f"{name}-api")["taskDefinitionArns"]
    return [int(arn.rpartition(":")[2]) for arn in arns]


def deployed(aws: Simulator, name: str) -> int:
    """The revision that a service has."""
    found = aws.client("ecs").describe_services(cluster=f"{name}-cluster", services=[f"{name}-api"])["services"][0]
    return int(found["taskDefinition"].rpartition(":")[2])


def results(run: Run) -> dict[str, str]:
    return {name: row[1] for name, row in run.table.items()}


def recorded(folder: Path) -> list[Json]:
    return [json.loads(line) for line in (folder / "record.jsonl").read_text().splitlines()]


def way_on(run: Run) -> tuple[str, ...]:
    """What is added to the same command, as the table's last line tells it."""
    sentence = r"To go on there and in [\w, ]+: remove the cause, then run the same command again"
    told = re.findall(sentence + r"(?: with (--limit) (\S+))?[.;]", run.flat)
    assert len(told) == 1, run.text
    return tuple(part for part in told[0] if part)


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., None]:
    """Write Ansible's configuration."""

    def write(**given: object) -> None:
        lines = [f"{name} = {value}" for name, value in given.items()]
        (tmp_path / "ansible.cfg").write_text("\n".join(["[defaults]", *lines, ""]))

    return write


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider.start() as served:
        served.add_project()
        yield served


# Waves


def test_canary_then_percentages_and_the_same_command_takes_up_a_wave_that_failed(
    aws: Simulator, play: Play, settings: Callable[..., None], tmp_path: Path
) -> None:
    settings(retry_files_enabled=True, retry_files_save_path=tmp_path)
    given = {"playbook": str(ROOT / "examples/rotate.yml"), "inventory": inventory(aws, NAMES)}
    given |= {"rotate_serial": [1, "50%", "100%"], **NOTES}
    fail(aws, "charlie")
    stopped = play(**given)
    assert stopped.rc == 2
    done, rest = ["alpha", "bravo"], ["delta"]
    assert results(stopped) == {
        **dict.fromkeys(NAMES, "rotated"), "charlie": "rolled back", **dict.fromkeys(rest, "not begun")
    }  # fmt: skip
    assert "Not begun, so nothing was changed there: delta." in stopped.text
    assert "charlie failed, so no further wave is begun. Nothing was changed in delta." in stopped.flat
    assert revisions(aws, "delta") == [1]
    # The canary was whole before anything else was begun.
    assert [line["environment"] for line in recorded(tmp_path)] == ["alpha", "bravo", "charlie"]
    called = [call["operation"] for call in aws.calls("ecs")]
    assert "UpdateService" in called[: called.index("RegisterTaskDefinition", called.index("UpdateService"))]
    # Ansible puts the next wave in as well, since it was begun in order to be refused.
    assert (tmp_path / "rotate.retry").read_text().split() == ["charlie", "delta"]

    mend(aws, "charlie")
    done_at = {name: deployed(aws, name) for name in done}
    taken_up = play(*way_on(stopped), **given)
    assert taken_up.rc == 0, taken_up.text
    assert results(taken_up) == {**dict.fromkeys(NAMES, "rotated"), **dict.fromkeys(done, "unchanged")}
    assert taken_up.text.count("fingerprint  ") == 1  # one table
    assert {name: deployed(aws, name) for name in done} == done_at
    assert [revisions(aws, name) for name in NAMES] == [[1, 2]] * 4
    assert [deployed(aws, name) for name in NAMES] == [2] * 4
    rotated = [line["environment"] for line in recorded(tmp_path) if line["status"] == "rotated"]
    assert rotated == list(NAMES)
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["succeeded"], [row["environment"] for row in report["environments"]]) == (True, list(NAMES))
    assert_no_value(stopped.text, taken_up.text)


def test_a_canary_that_failed_is_retried_alone(
    aws: Simulator, play: Play, settings: Callable[..., None], tmp_path: Path
) -> None:
    """Ansible ends the play when a whole wave has failed; with a compare-and-swap the same command would refuse what is
    done, so a limit is told."""
    settings(retry_files_enabled=True, retry_files_save_path=tmp_path)
    hosts = inventory(aws, NAMES[:2])
    given = {"inventory": hosts, "rotate_serial": [1, "50%", "100%"], "rotate_expected_fingerprint": OLD}
    stopped = play(**given, rotate_timeout="soon")
    assert stopped.rc == 2
    assert results(stopped) == {"alpha": "refused", "bravo": "not begun"}
    assert way_on(stopped) == ("--limit", "alpha,bravo")
    assert (tmp_path / "rotate.retry").read_text().split() == ["alpha"]
    retried = play("--limit", f"@{tmp_path}/rotate.retry", **given)
    assert (retried.rc, results(retried)) == (0, {"alpha": "rotated"}), retried.text
    assert revisions(aws, "bravo") == [1]


# Strategies


def test_every_environment_ends_by_itself_and_the_last_one_tells_of_all(
    aws: Simulator, play: Play, settings: Callable[..., None], tmp_path: Path
) -> None:
    """One cannot be proved, and one cannot be recorded: nobody else comes to harm."""
    settings(strategy="free")
    (tmp_path / "folder").mkdir()
    names = NAMES[:3]
    expected = {"alpha": "rotated", "bravo": "rolled back", "charlie": "rotated"}
    for _unused in range(ROUNDS):
        (tmp_path / "record.jsonl").unlink(missing_ok=True)
        hosts = inventory(aws, names)
        hosts["environments"]["hosts"]["alpha"]["rotate_record_path"] = "record.jsonl"
        hosts["environments"]["hosts"]["bravo"]["rotate_record_path"] = "record.jsonl"
        hosts["environments"]["hosts"]["charlie"]["rotate_record_path"] = "folder"
        fail(aws, "bravo")
        run = play(inventory=hosts, rotate_report_path="report.json")
        assert run.rc == 2
        assert results(run) == expected, run.text
        assert [name for name in names if run.recap[name]["failed"]] == ["bravo", "charlie"]
        assert Counter(line["environment"] for line in recorded(tmp_path)) == Counter(["alpha", "bravo"])
        report = json.loads((tmp_path / "report.json").read_text())
        assert {row["environment"]: row["status"] for row in report["environments"]} == expected
        tables = run.text.count("fingerprint  ")
        print("tables:", tables)
        assert tables == 1 or ROUNDS > 1, run.text


def test_the_rest_of_a_wave_is_begun_and_the_next_wave_is_not(
    aws: Simulator, play: Play, settings: Callable[..., None]
) -> None:
    """One environment after the other, so that a failed one of the same wave is known before the next begins."""
    settings(strategy="host_pinned")
    hosts = inventory(aws, NAMES[:3])
    hosts["environments"]["hosts"]["alpha"]["rotate_timeout"] = "soon"
    run = play("--check", "--forks", "1", inventory=hosts, rotate_serial=[2, 1])
    assert run.rc == 2
    assert results(run) == {"alpha": "refused", "bravo": "would rotate", "charlie": "not begun"}
    assert run.text.count("fingerprint  ") == 1
    assert "alpha failed, so no further wave is begun. Nothing was changed in charlie." in run.flat


OWN = {
    "hosts": "environments",
    "connection": "local",
    "gather_facts": False,
    "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
}


def entry_point(name: str, **of_play: Any) -> Json:
    """A play of one's own that runs one entry point of the role."""
    return {
        **OWN,
        "tasks": [{"ansible.builtin.import_role": {"name": "keyturn.ecs.rotate", "tasks_from": name}}],
        **of_play,
    }


def test_plays_of_ones_own_and_the_other_entry_points(aws: Simulator, play: Play, tmp_path: Path) -> None:
    """One after the other in one run, so that each finds what the one before has left."""
    hosts = inventory(aws, NAMES[:2])
    for name, variables in hosts["environments"]["hosts"].items():
        variables["rotate_rollback_to"] = f"{name}-api:1"
    verify, back = entry_point("verify", strategy="host_pinned"), entry_point("rollback", strategy="free")
    plays = [{**OWN, "strategy": "free", "roles": ["keyturn.ecs.rotate"]}, verify, back]
    (tmp_path / "own.yml").write_text(json.dumps(plays))
    run = play("--check", playbook="own.yml", inventory=hosts)
    assert run.rc == 0, run.text
    tables = re.findall(r'"(alpha|bravo)  +\S+  +(\S+(?: \S+)*?)  ', run.text)
    assert tables == [(name, result) for result in ("would rotate", "verified", "unchanged") for name in NAMES[:2]]


def gate(provider: Provider, **given: Any) -> Json:
    """Everything that revoking takes."""
    place = {"rotate_openai_base_url": provider.base_url, "rotate_openai_project_id": "proj_abc"}
    return {"admin_key": ADMIN_KEY, "rotate_old_key_id": "key_old", "rotate_revoke_grace": 0, **place, **given}


def test_what_an_earlier_play_found_opens_no_gate(
    aws: Simulator, play: Play, provider: Provider, tmp_path: Path
) -> None:
    """Revoking in waves: the first of them knows nothing of the second, which still holds the old value."""
    provider.add_key(value=OLD_VALUE, id="key_old")
    hosts = inventory(aws, NAMES[:2])
    alpha = {"inventory": hosts, "value": NEW_VALUE}
    assert play("--limit", "alpha", **alpha).rc == 0
    (tmp_path / "own.yml").write_text(json.dumps([entry_point("verify"), entry_point("revoke", serial=1)]))
    run = play(playbook="own.yml", inventory=hosts, **gate(provider, rotate_old_fingerprint=OLD))
    assert run.rc == 2
    assert "bravo could not be looked at" in run.flat
    assert [key.id for key in provider.stored()] == ["key_old"]


@pytest.mark.parametrize(("entry", "strategy"), [("revoke", "free"), ("audit", "host_pinned")])
def test_what_is_decided_once_for_all_refuses_them(
    aws: Simulator, play: Play, provider: Provider, tmp_path: Path, entry: str, strategy: str
) -> None:
    provider.add_key(value=OLD_VALUE, id="key_old")
    (tmp_path / "own.yml").write_text(json.dumps([entry_point(entry, strategy=strategy)]))
    hosts = inventory(aws, NAMES[:2])
    aws.clear_calls()
    unheld = fingerprint("OPENAI_API_KEY", NEW_VALUE)
    run = play(playbook="own.yml", inventory=hosts, **gate(provider, rotate_old_fingerprint=unheld))
    assert run.rc not in (0, 2), run.text
    assert "not supported in the free strategy" in run.flat
    assert "Refuse strategies other than linear, since this is decided once over all environments" in run.flat
    assert not aws.calls()
    assert [key.id for key in provider.stored()] == ["key_old"]
