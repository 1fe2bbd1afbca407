# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whatever fails, wherever it fails: after this run or the next the end is right, and every result tells the truth.

Some cells of the table in fault_table.py, the same ones every time. All of them, printed as a table:
``FAULT_TABLE=table.md pytest tests/integration/test_faults.py``; ``FAULT_TABLE_ONLY=rotate`` limits it to scenarios
whose name holds that text.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.fault_table import (
    FAULTS,
    READINGS,
    SCENARIOS,
    Row,
    cell,
    markdown,
    reading_cell,
    record,
    recorded,
    some,
    worth,
)
from integration.stores import Stores
from integration.support import standing_still
from simulator import Simulator

TABLE, ONLY = os.environ.get("FAULT_TABLE"), os.environ.get("FAULT_TABLE_ONLY", "")
ROWS: list[Row] = []
CALLS: dict[str, int] = {}


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with standing_still() as sim:
        yield sim
    if TABLE:
        Path(TABLE).write_text(markdown(ROWS, CALLS) + "\n", encoding="utf-8")


@pytest.mark.parametrize("name", [name for name in SCENARIOS if ONLY in name])
def test_a_fault_at_any_call_of_what_changes_something(simulator: Simulator, name: str) -> None:
    lab, scenario = Stores(simulator), SCENARIOS[name]
    spots, counts = record(lab, scenario)
    CALLS[name] = len(spots)
    assert [spot for spot in spots if spot.changes]
    for fault in FAULTS:
        ROWS.append(Row(name, fault.name))
        for spot in worth(spots) if TABLE else some(spots, fault, name):
            ROWS[-1].add(spot, cell(lab, scenario, spot, fault, counts))
    assert [problem for row in ROWS if row.scenario == name for problem in row.problems] == []


@pytest.mark.parametrize("name", [name for name in READINGS if ONLY in name])
def test_a_fault_at_any_call_of_what_proves_something(simulator: Simulator, name: str) -> None:
    # CloudWatch Logs takes lines from around the real time only.
    with standing_still(start_at=None) as sim:
        lab, reading = Stores(sim), READINGS[name]
        reading.make(lab)
        sim.clear_calls()
        proof = reading.proof(reading.read(lab))
        spots = recorded(lab)
        CALLS[name] = len(spots)
        assert not [spot for spot in spots if spot.changes]
        for at, fault in enumerate(fault for fault in FAULTS if not fault.kills):
            ROWS.append(Row(name, fault.name))
            for spot in worth(spots) if TABLE else [one for one in spots if (one.place + at) % 3 == 0]:
                ROWS[-1].add(spot, reading_cell(lab, reading, spot, fault, proof))
    assert [problem for row in ROWS if row.scenario == name for problem in row.problems] == []
