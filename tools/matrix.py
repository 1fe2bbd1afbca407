# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run the tests on every version that the collection promises, each row of ROWS in an environment of its own.

    python tools/matrix.py                                  every row, all unit and integration tests
    python tools/matrix.py --only oldest -- -k rotate       one row, what pytest is told after --
    python tools/matrix.py --only oldest newest --small     integration tests of SMALL only, fewer random examples

Environments are in build/matrix and are kept. What they hold stands in requirements/matrix/ROW.txt, which
requirements/matrix.txt tells how to renew.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from stages import PYTHON, Where, pytest, run

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "build" / "matrix"


@dataclasses.dataclass(frozen=True)
class Row:
    """Pins in requirements/matrix/NAME.txt, on this Python. Why these: see ROWS."""

    name: str
    python: str

    @property
    def pins(self) -> Path:
        return ROOT / "requirements" / "matrix" / f"{self.name}.txt"

    @property
    def home(self) -> Path:
        return PLACE / self.name

    def version(self, package: str) -> str:
        """The pinned version of a package."""
        found = re.search(rf"^{re.escape(package)}==(\S+)$", self.pins.read_text(), re.MULTILINE)
        assert found, f"{self.pins} does not pin {package}"
        return found[1]


# Every ansible-core since the oldest that is promised, and every Python. The oldest row has the first release of each:
# Python 3.10, ansible-core 2.16.0, boto3 1.34.0, whose model of ECS has no service deployments. The newest has the last
# of each. Between them Ansible, Python and boto3 grow together, but for 2.17 and 2.18: old ones on their newest Python.
ROWS = (
    Row("oldest", "3.10"),
    Row("2.17", "3.12"),
    Row("2.18", "3.13"),
    Row("2.19", "3.11"),
    Row("2.20", "3.12"),
    Row("newest", "3.13"),
)

# For every `make test`: both doors of the central modules, a rotation by the role with its report, one that a smoke
# test ends with a rollback, the inventory, a key that nobody may see, libraries that will not do. With a name
# that is no longer there nothing runs, and that is a failure.
SMALL = tuple(
    f"tests/integration/{name}"
    for name in (
        "test_role_rotation.py::test_first_run_rotates_and_second_changes_nothing",
        "test_role_rotation.py::test_a_warning_is_seen_though_the_result_is_not",
        "test_role_proof.py::test_a_401_rolls_back_and_tells_both_stories",
        "test_kill_and_resume.py::test_killed_at_a_call[bastion-RegisterTaskDefinition-1-after]",
        "test_openai_modules.py::test_no_key_is_shown_or_logged[local]",
        "test_inventory.py::test_constructed_features_and_hostname",
        "test_inventory.py::test_the_example_as_graph_and_list",
        "test_libraries.py",
    )
)


@dataclasses.dataclass(frozen=True)
class Result:
    """What came of one folder's tests."""

    code: int
    passed: int
    failed: int
    skipped: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.passed} | {self.failed} | {self.skipped} | {self.seconds:.0f}"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A row of the table; without results where its Python is not there, or where it could not be installed."""

    row: Row
    trouble: str = ""
    install: float = 0.0
    unit: Result | None = None
    integration: Result | None = None

    @property
    def passed(self) -> bool:
        return not self.trouble and not any(result.code for result in (self.unit, self.integration) if result)

    def __str__(self) -> str:
        versions = " | ".join([self.row.python, *map(self.row.version, ("ansible-core", "boto3"))])
        if self.trouble:
            return f"| {self.row.name} | {versions} | {self.trouble} |"
        return f"| {self.row.name} | {versions} | {self.install:.0f} | {self.unit} | {self.integration} |"


HEAD = (
    "| row | Python | ansible-core | boto3 | install s | unit passed | failed | skipped | s "
    "| integration passed | failed | skipped | s |\n" + "|---" * 13 + "|"
)


def candidates(version: str) -> Iterator[str]:
    """Where a Python of this version may be: this one, on PATH, and what pyenv has without having chosen it."""
    yield sys.executable
    for folder in os.get_exec_path():
        yield str(Path(folder) / f"python{version}")
    if pyenv := shutil.which("pyenv"):
        root = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=False).stdout.strip()
        yield from map(str, sorted(Path(root).glob(f"versions/{version}*/bin/python{version}")))


def interpreter(version: str) -> str | None:
    """A Python of this version that really starts, which a pyenv's shim does only where it was chosen."""
    ask = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    for candidate in candidates(version):
        if os.access(candidate, os.X_OK):
            told = subprocess.run([candidate, "-c", ask], capture_output=True, text=True, check=False)
            if told.returncode == 0 and told.stdout.strip() == version:
                return candidate
    return None


def install(row: Row, python: str) -> bool:
    """Make the row's environment, unless it stands there with just these packages."""
    stamp, wanted = row.home / "installed.txt", row.pins.read_text()
    if stamp.is_file() and stamp.read_text() == wanted:
        return True
    shutil.rmtree(row.home, ignore_errors=True)
    pip = [PYTHON, "-m", "pip", "--python", str(row.home / "bin" / "python"), "--disable-pip-version-check"]
    commands = [
        [python, "-m", "venv", "--without-pip", str(row.home)],
        # Few modules of all these packages are imported, and Python compiles those by itself.
        [*pip, "install", "--quiet", "--no-compile", "--no-deps", "-r", str(row.pins)],
    ]
    for command in commands:
        if run(command, Where(ROOT))[0]:
            return False
    stamp.write_text(wanted)
    return True


def tests(row: Row, names: Sequence[str], extra: Sequence[str], small: bool) -> Result:
    """Run tests in the row's environment, with its commands first on PATH."""
    scripts = row.home / "bin"
    environment = {"PATH": f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}", "VIRTUAL_ENV": str(row.home)}
    if small:
        environment["HYPOTHESIS_PROFILE"] = "brief"
    begun = time.monotonic()
    (command,) = pytest(*names, python=str(scripts / "python"))
    code, text = run([*command, *extra], Where(ROOT, environment))
    # The last line of pytest's own; errors are failures.
    last = next((line for line in reversed(text.splitlines()) if re.search(r" in \d+\.\d+s\b", line)), "")
    told = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped|errors?)\b", last)}
    failed = sum(number for word, number in told.items() if word not in ("passed", "skipped"))
    # 5: of these tests none was chosen by what stands after --.
    code = 0 if code == 5 and extra else code
    return Result(code, told.get("passed", 0), failed, told.get("skipped", 0), time.monotonic() - begun)


def perform(row: Row, extra: Sequence[str], small: bool) -> Outcome:
    """Install a row where that is needed, and run both folders' tests."""
    print(f"\n=== {row.name}: Python {row.python}, ansible-core {row.version('ansible-core')} ===", flush=True)
    python = interpreter(row.python)
    if python is None:
        print(f"Python {row.python} was not found: neither on PATH nor in pyenv's versions.", flush=True)
        return Outcome(row, "Python not found")
    begun = time.monotonic()
    if not install(row, python):
        return Outcome(row, "not installed")
    took = time.monotonic() - begun
    # The simulator's own tests tell nothing of a version.
    unit = tests(row, ["tests/unit", *(["--ignore=tests/unit/simulator"] if small else [])], extra, small)
    return Outcome(row, "", took, unit, tests(row, SMALL if small else ["tests/integration"], extra, small))


def main(arguments: Sequence[str]) -> int:
    """Parse, perform, print the table; 1 when a test failed or a row could not be run.

    With --small, on a developer's machine, the rows whose Python is there are enough; one must be.
    """
    parser = argparse.ArgumentParser(prog="matrix.py", description="Run the tests on every version that is promised.")
    names = [row.name for row in ROWS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="ROW", help=", ".join(names))
    parser.add_argument("--small", action="store_true", help="a small part of the integration tests, fewer examples")
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser.parse_args(arguments[:cut])
    wanted = [row for row in ROWS if row.name in options.only]
    outcomes = [perform(row, arguments[cut + 1 :], options.small) for row in wanted]
    print("", HEAD, *outcomes, sep="\n", flush=True)
    absent = [outcome for outcome in outcomes if outcome.trouble == "Python not found"]
    if options.small and os.environ.get("CI") != "true" and len(absent) < len(outcomes):
        outcomes = [outcome for outcome in outcomes if outcome not in absent]
    return 0 if all(outcome.passed for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
