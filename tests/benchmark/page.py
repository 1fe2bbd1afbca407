# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Write the page of the benchmarks and its plot from what they measured last: tests/output/benchmark/*.json.

python tests/benchmark/page.py      docs/docsite/rst/benchmarks.rst, docs/images/fleet.svg
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

from benchmark import fleet, peers

Row = dict[str, Any]

OUTPUT = ROOT / "tests" / "output" / "benchmark"
PAGE = ROOT / "docs" / "docsite" / "rst" / "benchmarks.rst"
PLOT = ROOT / "docs" / "images" / "fleet.svg"

WIDTH, HEIGHT, LEFT, TOP, BETWEEN = 250, 170, 50, 50, 66
COLOURS = ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#cf222e")
# What is drawn: title, of a row, and how far the axis goes at least.
PANELS: tuple[tuple[str, Callable[[Row], float], float], ...] = (
    ("wall / floor", lambda row: row["wall"] / row["floor"], 1.5),
    ("CPU seconds a host", lambda row: row["cpu"] / row["size"], 0.5),
    ("peak memory, GB", lambda row: row["peak"] / 1024, 1.0),
)

TEXT = """.. _ansible_collections.keyturn.ecs.docsite.benchmarks:

..
  Written by tests/benchmark/page.py from what was measured; not by hand.

Benchmarks
==========

What this collection adds to what ECS takes. Everything here was measured against the embedded AWS of the tests, on one
machine with {cpus} CPUs that the embedded AWS shared, with ECS's documented request limits and rollouts in real time;
what a network and AWS's own answers take is not in it. ``make bench ARGS="--only fleet"`` and ``--only peers`` measure
it again.

Fleets
------

*Floor*: after a burst of 20, ECS registers one revision a second in an account and Region, and the one that comes last
still has to roll out. *Modules* is a play of :ansplugin:`keyturn.ecs.ecs_env_rotate#module` and
:ansplugin:`keyturn.ecs.ecs_rollout_wait#module`; *role* the playbook ``keyturn.ecs.rotate`` with its checks, log scan
and record; *free* the same with ``ANSIBLE_STRATEGY=free``. *Tuned* is with the settings of
``examples/fleet/ansible.cfg``, the rest with Ansible's own. *Unchanged* is the same run again; *settled* a first run
over services that have had the value for a month.

{fleet}

.. image:: /images/fleet.svg
   :alt: Wall time by floor, CPU and memory from 1 to 500 environments

Rollouts go on while nobody looks at them, so the number of forks says little about how long a run takes; what it says
is how soon one that fails is noticed. With as many forks as environments each is watched from its first second on, and
takes the memory of the last column while it waits. Without ``internal_poll_interval``, see
``examples/fleet/ansible.cfg``, Ansible's own process looks for a free fork ten thousand times a second, which takes a
whole CPU for as long as all are busy. What workers take themselves is a column of its own.

Other ways to do the same
-------------------------

One service each, at the same time, against the same embedded AWS. *Claim* is computed from the exit status and from
what was true at that moment.

{peers}
"""


def grid(markdown: str) -> str:
    """A table in Markdown as a list-table."""
    lines = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in markdown.splitlines() if line[:1] == "|"
    ]
    rows = [line for line in lines if not set("".join(line)) <= set("-:|")]
    out = [".. list-table::", "  :header-rows: 1", ""]
    for row in rows:
        out += [
            f"  {'*' if not number else ' '} - {cell.strip('|').replace('`', '``')}".rstrip()
            for number, cell in enumerate(row)
        ]
    return "\n".join(out)


def plot(rows: Sequence[Row]) -> str:
    """Panels side by side over the number of environments: a line for each play and number of accounts."""
    drawn = [row for row in rows if row["run"] == "rotates" and row["forks"] >= row["size"] and row["tuned"]]
    kinds = sorted({(row["play"], "one account" if row["accounts"] == 1 else "ten accounts") for row in drawn})
    parts = []
    for number, (title, of_row, least) in enumerate(PANELS):
        x, most = LEFT + number * (WIDTH + BETWEEN), max([least, *(of_row(row) for row in drawn)])
        parts.append(_axes(x, title, most, sorted({row["size"] for row in drawn})))
        for which, (play, accounts) in enumerate(kinds):
            points = sorted(
                (row["size"], of_row(row))
                for row in drawn
                if row["play"] == play and (row["accounts"] == 1) == (accounts == "one account" or row["size"] == 1)
            )
            places = [(x + _along(size), TOP + HEIGHT * (1 - value / most)) for size, value in points]
            parts.append(f'<path class="line k{which}" d="M{" L".join(f"{px:.1f} {py:.1f}" for px, py in places)}"/>')
            parts += [f'<circle class="k{which}" cx="{px:.1f}" cy="{py:.1f}" r="3.5"/>' for px, py in places]
    for which, (play, accounts) in enumerate(kinds):
        x = LEFT + which * 190
        parts.append(f'<circle class="k{which}" cx="{x}" cy="{TOP + HEIGHT + 58}" r="4"/>')
        parts.append(f'<text x="{x + 10}" y="{TOP + HEIGHT + 62}">{play}, {accounts}</text>')
    width = LEFT + len(PANELS) * (WIDTH + BETWEEN)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {TOP + HEIGHT + 80}" role="img" '
        'aria-labelledby="t" font-family="system-ui, sans-serif" font-size="13">\n'
        '<title id="t">Wall time by floor, CPU a host and peak memory, by the number of environments</title>\n'
        "<style>text { fill: #24292f } .soft { fill: #57606a; font-size: 11px } .axis { stroke: #8c959f; fill: none }\n"
        ".line { fill: none; stroke-width: 2 }\n"
        + "".join(map(_colour, range(len(COLOURS))))
        + "@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .soft { fill: #8b949e } }</style>\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _colour(number: int) -> str:
    return f".k{number} {{ stroke: {COLOURS[number]} }} circle.k{number} {{ fill: {COLOURS[number]} }}\n"


def _along(size: int) -> float:
    """Pixels from the left of a panel; the number of environments is drawn by its logarithm, from 1 to 500."""
    return WIDTH * math.log(size) / math.log(500)


def _axes(x: float, title: str, most: float, sizes: Sequence[int]) -> str:
    parts = [f'<text x="{x}" y="{TOP - 18}" font-weight="600">{title}</text>']
    parts.append(f'<path class="axis" d="M{x} {TOP} V{TOP + HEIGHT} H{x + WIDTH}"/>')
    for part in (0.0, 0.5, 1.0):
        y = TOP + HEIGHT * (1 - part)
        parts.append(f'<text class="soft" x="{x - 6}" y="{y + 4}" text-anchor="end">{most * part:.2g}</text>')
    for size in sizes:
        place = f'x="{x + _along(size):.1f}" y="{TOP + HEIGHT + 18}"'
        parts.append(f'<text class="soft" {place} text-anchor="middle">{size}</text>')
    return "\n".join(parts)


def main() -> None:
    measured = json.loads((OUTPUT / "fleet.json").read_text(encoding="utf-8"))
    others = json.loads((OUTPUT / "peers.json").read_text(encoding="utf-8"))
    PLOT.write_text(plot(measured["rows"]), encoding="utf-8")
    tables = [part for part in peers.table(others).split("\n\n") if part.startswith("|")]
    text = TEXT.format(
        cpus=measured["cpus"], fleet=grid(fleet.table(measured["rows"])), peers="\n\n".join(map(grid, tables))
    )
    PAGE.write_text(text, encoding="utf-8")
    print(f"Wrote {PAGE.relative_to(ROOT)} and {PLOT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
