# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""tools/matrix.py: which Python is taken, what its table says, and when it is content."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import matrix
from ansible_collections.keyturn.ecs.plugins.module_utils import _aws

ROOT = Path(__file__).resolve().parents[2]
THIS = f"{sys.version_info.major}.{sys.version_info.minor}"


def test_a_shim_that_starts_nothing_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As pyenv's are, where that version is not chosen; and what says another version is not the one either."""
    for folder, text in {"shim": "exit 127", "other": "echo 3.2", "real": f'exec {sys.executable} "$@"'}.items():
        file = tmp_path / folder / f"python{THIS}"
        file.parent.mkdir()
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)
    monkeypatch.setattr(matrix.sys, "executable", "/nowhere/python")
    monkeypatch.setenv("PATH", ":".join(str(tmp_path / name) for name in ("shim", "other", "real")))
    assert matrix.interpreter(THIS) == str(tmp_path / "real" / f"python{THIS}")
    monkeypatch.setenv("PATH", str(tmp_path / "shim"))
    assert matrix.interpreter(THIS) is None


def test_rows_are_what_is_promised() -> None:
    """The oldest of everything that the collection says it runs on, and a row for every ansible-core since."""
    rows = {row.name: row for row in matrix.ROWS}
    minimum = ".".join(map(str, _aws.MINIMUM_BOTOCORE))
    oldest = rows["oldest"]
    assert (oldest.version("boto3"), oldest.version("botocore")) == (minimum, minimum)
    promised = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["requires_ansible"]
    assert promised == f">={oldest.version('ansible-core')}"
    found = {int(row.version("ansible-core").split(".")[1]) for row in matrix.ROWS}
    assert found == set(range(16, 22))
    pinned = re.search(r"^boto3==(\S+)$", (ROOT / "requirements/constraints.txt").read_text(), re.MULTILINE)
    assert pinned and rows["newest"].version("boto3") == pinned[1]


@pytest.mark.parametrize("name", matrix.SMALL)
def test_what_is_named_is_there(name: str) -> None:
    """With several workers, all that pytest says of a name that is gone is that no tests ran."""
    file, *test = name.split("::")
    assert not test or f"def {test[0].partition('[')[0]}(" in (ROOT / file).read_text()


GOOD = matrix.Result(0, 5, 0, 1, 2.4)
BAD = matrix.Result(1, 4, 1, 0, 2.4)


@pytest.mark.parametrize(
    ("results", "ci", "arguments", "code"),
    [
        ({"oldest": GOOD, "newest": GOOD}, "true", ["--small"], 0),
        ({"oldest": GOOD, "newest": BAD}, "", ["--small"], 1),
        ({"oldest": None, "newest": GOOD}, "", ["--small"], 0),
        ({"oldest": None, "newest": GOOD}, "true", ["--small"], 1),
        ({"oldest": None, "newest": GOOD}, "", [], 1),
        ({"oldest": None, "newest": None}, "", ["--small"], 1),
    ],
    ids=[
        "both",
        "a failure",
        "one Python is missing",
        "the same in CI",
        "the same in the whole matrix",
        "none is there",
    ],
)
def test_a_missing_python_is_told_and_mostly_a_failure(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    results: dict[str, Any],
    ci: str,
    arguments: list[str],
    code: int,
) -> None:
    monkeypatch.setenv("CI", ci)
    pythons = {row.python: str(results[row.name]) if results[row.name] else None for row in matrix.ROWS
               if row.name in results}  # fmt: skip
    monkeypatch.setattr(matrix, "interpreter", lambda version: pythons[version])
    monkeypatch.setattr(matrix, "install", lambda _row, _python: True)
    monkeypatch.setattr(matrix, "tests", lambda row, *_: results[row.name])
    assert matrix.main(["--only", *results, *arguments]) == code
    shown = capsys.readouterr().out
    for name, result in results.items():
        row = next(line for line in shown.splitlines() if line.startswith(f"| {name} |"))
        assert row.endswith("| Python not found |" if result is None else f"| {result} | {result} |")
    assert str(GOOD) == "5 | 0 | 1 | 2"


def test_counts_are_those_of_pytests_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "SKIPPED [7] x: 9 passed\n1 failed, 12 passed, 3 skipped, 2 errors in 1.05s\n"
    monkeypatch.setattr(matrix, "run", lambda _command, _where: (1, said))
    result = matrix.tests(matrix.ROWS[0], ["tests/unit"], [], small=True)
    assert (result.code, result.passed, result.failed, result.skipped) == (1, 12, 3, 3)
