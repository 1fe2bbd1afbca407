# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The table of docs/docsite/rst/security.rst, from what a run found."""

from __future__ import annotations

from pathlib import Path

from .canaries import NEW, VALUES, traces
from .cases import CASES
from .runs import Outcome
from .sinks import DOORS, SINKS, Sink

PAGE = Path(__file__).resolve().parents[2] / "docs/docsite/rst/security.rst"
BEGIN, END = ".. The leak matrix begins here. tools/leak_matrix.py writes it.", ".. The leak matrix ends here."


def table(outcome: Outcome) -> str:
    """The lines between the page's two comments."""
    kinds = ", ".join(dict.fromkeys(case.kind for case in CASES))
    clean, open_ = ([sink for sink in SINKS if bool(sink.remedy) is honest] for honest in (False, True))
    lines = [
        f"{len(SINKS)} places were searched, {len(CASES)} cases through each of the {len(DOORS)} doors ({kinds}), for",
        f"{len(VALUES)} values (the {', the '.join(VALUES)}) and keys made during the run,",
        f"each in {len(traces(NEW))} notations.",
        "",
        *_rows("What the collection answers for", clean, outcome),
        "",
        *_rows("What Ansible itself shows, and the way round", open_, outcome),
    ]
    return "\n".join([BEGIN, "", *lines, "", END])


def _rows(title: str, sinks: list[Sink], outcome: Outcome) -> list[str]:
    honest = any(sink.remedy for sink in sinks)
    head = ["Place", "Controller", "Other host", *(["What to do"] if honest else [])]
    lines = [
        f".. list-table:: {title}",
        "   :header-rows: 1",
        f"   :widths: {'30 10 10 50' if honest else '60 20 20'}",
        "",
    ]
    for cells in [
        head,
        *(
            [sink.name, *(_cell(sink, door, outcome) for door in DOORS), *([sink.remedy] if honest else [])]
            for sink in sinks
        ),
    ]:
        lines += [f"   {'*' if at == 0 else ' '} - {cell}" for at, cell in enumerate(cells)]
    return lines


def _cell(sink: Sink, door: str, outcome: Outcome) -> str:
    if door not in sink.doors:
        return "\u2013"
    return "**shown**" if outcome[sink.key, door] else "clean"


def written(page: str, outcome: Outcome) -> str:
    """The page with the table of this outcome."""
    before, _begin, rest = page.partition(BEGIN)
    _old, _end, after = rest.partition(END)
    return before + table(outcome) + after
