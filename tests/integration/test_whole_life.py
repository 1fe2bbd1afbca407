# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The whole checklist, run as an operator runs it: a key is made, put in everywhere, proved, recorded, and replaced.

`KEYTURN_TRANSCRIPT=FILE pytest …/test_whole_life.py` keeps what the commands said.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint
from integration.role_runs import ENVIRONMENTS, OLD_VALUE, Play, Run
from integration.support import FOLDER
from integration.test_role_revoke import pin
from openai import ADMIN_KEY, Provider
from simulator import Simulator

EXAMPLE = FOLDER.parents[1] / "examples" / "new_key.yml"
VARIABLE = "OPENAI_API_KEY"
OLD = fingerprint(VARIABLE, OLD_VALUE)
NEW_KEY = {"project": "proj_abc", "service_account": "svc_acct_abc", "key_name": "elevareai-2026-11"}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider.start() as served:
        served.add_project()
        yield served


class Operator:
    """Runs the steps, and keeps what they said."""

    def __init__(self, play: Play, provider: Provider, folder: Path) -> None:
        self._play = play
        self._folder = folder
        self._base = {
            "rotate_openai_base_url": provider.base_url,
            "rotate_openai_project_id": "proj_abc",
            "rotate_record_path": "record.jsonl",
            "rotate_reason": "quarterly",
            "rotate_revoke_grace": 0,
            "rotate_move_settle": 0,
            "rotate_log_scan": False,
        }
        self._url = provider.base_url
        self.said: list[str] = []

    @property
    def value(self) -> str | None:
        """The new value, as the shell takes it out of .env."""
        file = self._folder / ".env"
        found = re.search(rf"^{VARIABLE}=(.*)$", file.read_text(), re.MULTILINE) if file.exists() else None
        return found.group(1) if found else None

    def make_key(self) -> Run:
        run = self._play(playbook="new_key.yml", value=None, admin_key=ADMIN_KEY, openai=self._url, **NEW_KEY)
        return self._kept("new_key.yml", run)

    def run(self, playbook: str, rc: int = 0, **extra: Any) -> Run:
        value = self.value if playbook == "rotate" else None
        run = self._play(
            playbook=f"keyturn.ecs.{playbook}", value=value, admin_key=ADMIN_KEY, **{**self._base, **extra}
        )
        assert run.rc == rc, run.text
        return self._kept(" ".join([playbook, *(f"-e {name}={given}" for name, given in extra.items())]), run)

    def _kept(self, command: str, run: Run) -> Run:
        self.said.append(f"\n$ ansible-playbook {command}\n{run.text}")
        return run


def unchanged(run: Run) -> bool:
    return all(counters["changed"] == 0 for counters in run.recap.values())


def test_the_whole_checklist(
    aws: Simulator, environments: dict[str, Any], play: Play, provider: Provider, tmp_path: Path
) -> None:
    old = provider.add_key(value=OLD_VALUE, name="elevareai-2026-08").id
    scheduler = pin(aws, "nightly", "staging-api:1")
    shutil.copy(EXAMPLE, tmp_path / "new_key.yml")
    (tmp_path / "local.env").write_text(f"DEBUG=1\n{VARIABLE}={OLD_VALUE}\n")
    operator = Operator(play, provider, tmp_path)
    notes = {"rotate_dotenv_paths": [str(tmp_path / "local.env")], "rotate_report_path": "report.json"}

    made = operator.make_key()
    assert made.rc == 0, made.text
    new = provider.stored()[-1].id
    assert f'"made.key_id": "{new}"' in made.text
    value = operator.value
    assert value is not None
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600

    rotated = operator.run("rotate", **notes)
    assert {name: row[1] for name, row in rotated.table.items()} == dict.fromkeys(ENVIRONMENTS, "rotated")
    assert (tmp_path / "local.env").read_text() == f"DEBUG=1\n{VARIABLE}={value}\n"
    verified = operator.run("verify", rotate_expected_fingerprint=fingerprint(VARIABLE, value))
    assert {row[1] for row in verified.table.values()} == {"verified"}
    refused = operator.run("revoke", rc=2)
    assert "staging: schedule default/nightly holds it: pinned to staging-api:1" in refused.flat
    assert [key.id for key in provider.stored()] == [old, new]
    revoked = operator.run("revoke", rotate_move_targets=True)
    assert f"Key {old} is revoked" in revoked.flat
    target = scheduler.get_schedule(Name="nightly")["Target"]["EcsParameters"]["TaskDefinitionArn"]
    assert target.endswith("/staging-api:2")
    assert [key.id for key in provider.stored()] == [new]
    audited = operator.run("audit", rotate_report_path="audit.html")
    assert unchanged(audited)
    report = json.loads((tmp_path / "audit.json").read_text())
    assert [(key["id"], key["status"]) for key in report["keys"]] == [(new, "current")]
    assert (tmp_path / "audit.html").stat().st_size > 10_000

    record = (tmp_path / "record.jsonl").read_text()
    lines = [json.loads(line) for line in record.splitlines()]
    assert [(line["action"], line["key_id"]) for line in lines] == [("rotate", new)] * 3 + [("revoke", old)]

    again = [
        operator.make_key(),
        operator.run("rotate", **notes),
        operator.run("revoke", rotate_move_targets=True),
    ]
    assert [unchanged(run) for run in again] == [True] * 3, again
    assert (tmp_path / "record.jsonl").read_text() == record
    everything = "".join([*operator.said, record, json.dumps(report), (tmp_path / "audit.html").read_text()])
    assert [one for one in (value, OLD_VALUE) if one in everything] == []
    if "KEYTURN_TRANSCRIPT" in os.environ:
        Path(os.environ["KEYTURN_TRANSCRIPT"]).write_text("".join(operator.said) + f"\n$ cat record.jsonl\n{record}")
