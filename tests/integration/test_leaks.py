# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The leak matrix: every place where a value could be seen x every way a task can end x both doors x every value.

Real playbooks, values that no text holds by chance, and a search in every notation. What Ansible itself shows is in
the table, too, with the way round: those rows also prove that the search finds what is there. By default the second
door gets one case of each kind for each module; ``LEAKS=all`` gives it all of them.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from collections.abc import Callable

import pytest

from fakes.model import CURRENT
from leaks import page
from leaks.canaries import NEW, PROVIDER_KEY, VALUES, Search, echoes, notations, traces
from leaks.cases import CASES, Case, Json
from leaks.runs import Outcome, everything
from leaks.sinks import DOORS, ELSEWHERE, HERE, SINKS, Sink

if importlib.util.find_spec("ansible_runner") is None:
    pytest.skip("ansible-runner is not installed", allow_module_level=True)

# Beside the first of a kind: options that were found to come back by a way of their own.
MORE = {"value as a pattern", "dictionary for a value", "password as a setting"}
FIRST = {(case.kind, case.module): case.name for case in reversed(CASES)}
CHOSEN = [case for case in CASES if case.name in MORE or FIRST[case.kind, case.module] == case.name]
CASES_OF = {HERE: CASES, ELSEWHERE: CASES if os.environ.get("LEAKS") == "all" else CHOSEN}


@dataclasses.dataclass(frozen=True)
class Matrix:
    outcome: Outcome
    results: dict[str, dict[str, Json]]


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory, collections_path: str) -> Matrix:
    return Matrix(*everything(tmp_path_factory.mktemp("leaks"), collections_path, CASES_OF))


@pytest.mark.parametrize("sink", SINKS, ids=lambda sink: sink.key)
def test_a_value_is_seen_where_the_table_says_and_nowhere_else(matrix: Matrix, sink: Sink) -> None:
    for door in sink.doors:
        found = matrix.outcome[sink.key, door]
        assert bool(found) == (door in sink.shows), (door, sorted(found))
    assert set(sink.doors) == {door for name, door in matrix.outcome if name == sink.key}
    assert bool(sink.shows) == bool(sink.remedy), "who shows a value says how to avoid it"


ENDED = [
    # Otherwise nothing tells that what runs, the same revision, is what ECS went back to.
    pytest.param(door, case, marks=[CURRENT] if case.name == "rollout that fails" else ())
    for door in DOORS
    for case in CASES_OF[door]
]


@pytest.mark.parametrize(("door", "case"), ENDED, ids=str)
def test_a_case_ends_as_its_row_says(matrix: Matrix, door: str, case: Case) -> None:
    """Through either door: a case that ends otherwise searches for something else."""
    result = matrix.results[door][case.name]
    assert (result["failed"], case.says in str(result.get("msg"))) == (bool(case.says), True), result


def test_every_sink_is_a_row(matrix: Matrix) -> None:
    assert {name for name, _door in matrix.outcome} == {sink.key for sink in SINKS}


def test_the_page_has_the_table_of_this_run(matrix: Matrix) -> None:
    """``python tools/leak_matrix.py`` writes it."""
    committed = page.PAGE.read_text(encoding="utf-8")
    assert page.written(committed, matrix.outcome) == committed


def test_numbers(matrix: Matrix, record_property: Callable[[str, object], None]) -> None:
    record_property("leak matrix", f"{len(SINKS)} sinks, {len(CASES)} cases, {len(DOORS)} doors, {len(VALUES)} values")
    assert len({case.variable for case in CASES}) == len(CASES) >= 30
    assert {case.kind for case in CHOSEN} == {case.kind for case in CASES}


# The search itself


@pytest.mark.parametrize("value", [*VALUES.values()], ids=list(VALUES))
def test_the_search_finds_every_notation_and_a_value_cut_in_half(value: str) -> None:
    search = Search({"it": value})
    for name, form in notations(value).items():
        assert search.find(f"before {form} after".encode()) == {"it"}, name
    assert search.find(value.upper().encode()) == {"it"}
    if value not in (PROVIDER_KEY, VALUES["proxy password"]):
        assert search.find(value[:14].encode()) == search.find(value[-12:].encode()) == {"it"}


def test_the_search_tells_values_apart_and_finds_nothing_in_nothing() -> None:
    search = Search(VALUES)
    assert search.find(b"sk-proj-something-else-0123456789") == set()
    assert search.find(echoes(NEW).encode()) == {"new"}
    assert len(traces(NEW)) >= 20
