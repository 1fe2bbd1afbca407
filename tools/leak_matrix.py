# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run the whole leak matrix, every case through both doors, and write its table into docs/docsite/rst/security.rst.

    python tools/leak_matrix.py

It takes some minutes. ``tests/integration/test_leaks.py`` is the same with fewer cases through the second door.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import conftest  # noqa: E402

from leaks import page, runs  # noqa: E402
from leaks.canaries import NEW, VALUES, traces  # noqa: E402
from leaks.cases import CASES  # noqa: E402
from leaks.sinks import SINKS  # noqa: E402


def main() -> int:
    """Print what was found, and write the page; 1 when a value was seen where none may be."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="keyturn-leaks-") as folder:
        outcome, _results = runs.everything(Path(folder), conftest.collections_tree(), dict.fromkeys(runs.DOORS, CASES))
    wrong = []
    for sink in SINKS:
        for door in sink.doors:
            found = outcome[sink.key, door]
            if bool(found) != (door in sink.shows):
                wrong.append(f"{sink.key}, {door}: {sorted(found) or 'nothing'}")
            print(f"{sink.key:20}{door:8}{', '.join(sorted({value for value, _place in found})) or 'clean'}")
    print(
        f"{len(SINKS)} sinks, {len(outcome)} with doors, {len(CASES)} cases, {len(VALUES)} values in "
        f"{len(traces(NEW))} notations: {time.monotonic() - begun:.0f} s"
    )
    print("\n".join(["Not as expected:", *wrong] if wrong else ["As expected."]))
    if not wrong:
        page.PAGE.write_text(page.written(page.PAGE.read_text(encoding="utf-8"), outcome), encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
