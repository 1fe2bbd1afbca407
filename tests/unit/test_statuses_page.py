# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""docs/docsite/rst/statuses.rst has every word that the code may tell, and the remedies are the code's own.

Its messages are held against real ones in tests/integration/test_statuses_page.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ansible_collections.keyturn.ecs.plugins.module_utils._preflight import findings
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout import judge
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.diagnose import IN_GENERAL
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.texts import TEXTS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/docsite/rst/statuses.rst").read_text(encoding="utf-8")
STATUSES = {
    judge.COMPLETED, judge.NOTHING_RUNNING, judge.ROLLED_BACK, judge.FAILED, judge.SUPERSEDED, judge.STUCK,
    judge.TIMED_OUT,
}  # fmt: skip
# Of the contract; that ecs_rollout_wait documents these and no others, tests/unit/test_documentation_agrees.py shows.
CAUSES = {
    "image_pull", "secret_access", "out_of_memory", "container_exit", "health_check", "load_balancer_health",
    "no_capacity", "percent_deadlock", "circuit_breaker", "alarm", "superseded", "paused_hook", "task_protection",
    "other",
}  # fmt: skip


def part(title: str) -> str:
    """What stands below a title of the second level."""
    found = re.search(rf"^{title}\n-+\n(.*?)(?=^[^\n]+\n---|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def sections(title: str) -> dict[str, str]:
    """First word of a title of the third level to what stands below it."""
    pieces = re.split(r"^(\w+)[^\n]*\n~+\n", part(title), flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


def bullets(text: str) -> list[str]:
    return [" ".join(one.split()) for one in re.findall(r"^- (.*?)(?=^- |^$|\Z)", text, re.MULTILINE | re.DOTALL)]


def rows(title: str) -> dict[str, list[str]]:
    """First cell of a table's rows, without its quotes, to the other cells."""
    found = {}
    for row in re.findall(r"^   \* - (.*?)(?=^   \* - |^\S|\Z)", part(title), re.MULTILINE | re.DOTALL)[1:]:
        first, *others = (" ".join(cell.split()) for cell in re.split(r"^     - ", row, flags=re.MULTILINE))
        found[first.strip("`")] = others
    return found


def test_every_status_has_its_section_that_says_what_the_role_does() -> None:
    found = sections("How a rollout ended")
    assert set(found) == STATUSES
    assert [
        name for name, text in found.items() if "*The role*" not in text or "exit code" not in " ".join(text.split())
    ] == []


def test_every_cause_has_its_section() -> None:
    assert set(sections("Why it did not complete")) == CAUSES


@pytest.mark.parametrize("cause", sorted(CAUSES))
def test_remedies_are_those_of_the_table(cause: str) -> None:
    own = dict.fromkeys(text.remedy.format_map(IN_GENERAL) for text in TEXTS if text.cause == cause)
    assert bullets(sections("Why it did not complete")[cause]) == list(own)


def test_every_result_of_the_roles_table_has_its_row() -> None:
    template = (ROOT / "roles/rotate/templates/rows.json.j2").read_text(encoding="utf-8")
    lines = [line for line in template.splitlines() if re.search(r"set (?:status|nothing) =", line)]
    words = {word for line in lines for word in re.findall(r"(?:(?<!=)= \(?|else |default\()'([a-z ]+)'", line)}
    assert len(words) > 12
    # What else there is are words of a rollout.
    assert set(rows("What the role's table says")) == words | {"nothing_running"}


def test_results_that_are_fine_are_those_of_the_role() -> None:
    template = (ROOT / "roles/rotate/templates/rows.json.j2").read_text(encoding="utf-8")
    (line,) = (line for line in template.splitlines() if "'ok':" in line)
    listed = re.search(r"status in \[(.*?)\]", line)
    assert listed
    fine = {name for name, cells in rows("What the role's table says").items() if cells[-1] == "fine"}
    assert fine == set(re.findall(r"'([\w ]+)'", listed[1]))


def test_every_check_of_the_preflight_has_its_row_and_remedy() -> None:
    found = rows("What the preflight finds")
    assert set(found) == {*findings._REMEDIES, "percent_deadlock", "size", "permissions"}
    assert {name: found[name][-1] for name in findings._REMEDIES} == findings._REMEDIES


def test_every_status_of_the_audit_has_its_row() -> None:
    template = (ROOT / "roles/rotate/templates/audit.json.j2").read_text(encoding="utf-8")
    (line,) = (line for line in template.splitlines() if "set status = 'unknown'" in line)
    assert set(rows("What the audit finds")) == set(re.findall(r"'([a-z ]+)'", line))
    keys = re.search(r"'status': ('current'.*),$", template, re.MULTILINE)
    assert keys
    told = re.findall(r"``([a-z]+)``", part("What the audit finds").rpartition("one of these:")[2])
    assert set(told) == set(re.findall(r"'([a-z]+)'", keys[1]))
