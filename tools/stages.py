# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every check of this repository, one row of STAGES each. ``make test``, nox and CI all come here.

    python tools/stages.py lint unit        these two
    python tools/stages.py all              every one; goes on after a failure, and says at the end what failed

Arguments after ``--`` go to the last command of the one stage that is named, for example ``unit -- -k fingerprint``.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import dataclasses
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import collection_tree
import get_pip_stand_in

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = Path(sysconfig.get_path("scripts"))
PYTHON = sys.executable

PLAIN = {"NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}

# ansible-test lets nobody quieten the pip that it fills its environments with.
PIP_TALK = re.compile(
    r"\s*(Collecting|Downloading|Installing|Looking in|Processing|Successfully installed|Using cached|WARNING: Loc|━)"
)


@dataclasses.dataclass(frozen=True)
class Where:
    """The directory in which a stage's commands run, and what they find in the environment beside the caller's."""

    directory: Path
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)


@contextlib.contextmanager
def in_checkout() -> Iterator[Where]:
    yield Where(ROOT)


@contextlib.contextmanager
def in_linked_tree() -> Iterator[Where]:
    """For what imports ``ansible_collections.keyturn.ecs`` or looks for keyturn.ecs by name."""
    with collection_tree.linked() as place:
        tree = str(place.parents[2])
        yield Where(place, {"ANSIBLE_COLLECTIONS_PATH": tree, "MYPYPATH": f"{tree}:{place}/tests"})


@contextlib.contextmanager
def in_copied_tree() -> Iterator[Where]:
    """For ansible-test, which goes by the path of the directory that it is started in."""
    get_pip_stand_in.install()
    with collection_tree.copied() as place:
        yield Where(place)


Commands = Sequence[Sequence[str]]


def script(name: str, *arguments: str) -> tuple[str, ...]:
    """A command that a package has put beside this Python; the path of the interpreter may hold spaces this way."""
    return (PYTHON, str(SCRIPTS / name), *arguments)


def pytest(*names: str, python: str = PYTHON) -> Commands:
    return [
        (
            python,
            "-m",
            "pytest",
            *names,
            "-q",
            # One more than CPUs: a playbook's tests wait for processes, and for rollouts.
            f"--numprocesses={(os.cpu_count() or 1) + 1}",
            "--dist=loadfile",
            "--no-loadscope-reorder",
        )
    ]


def lint() -> Commands:
    return [
        (PYTHON, "-m", "ruff", "check"),
        (PYTHON, "-m", "ruff", "format", "--check"),
        (PYTHON, "-m", "yamllint", "--strict", "."),
    ]


def house_rules() -> Commands:
    return [(PYTHON, "tools/house_rules.py")]


def types() -> Commands:
    cache = f"--cache-dir={ROOT / '.mypy_cache'}"
    # By full names: as files, each would be read twice, once as plugins.x and once as ansible_collections.….x.
    return [
        (PYTHON, "-m", "mypy", cache, "-p", "ansible_collections.keyturn.ecs.plugins"),
        (PYTHON, "-m", "mypy", cache, "-p", "simulator"),
    ]


def awx() -> Commands:
    return [(PYTHON, "tools/awx_collection.py"), (PYTHON, "-m", "pytest", "tests/awx", "-q")]


def docs() -> Commands:
    return [script("antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs", "all", ".")]


def changelog() -> Commands:
    return [script("antsibull-changelog", "lint")]


def versions() -> Commands:
    return [(PYTHON, "tools/matrix.py", "--small", "--only", "oldest", "newest")]


def sanity() -> Commands:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return [script("ansible-test", "sanity", "--local", "--color", "no", "--python", version)]


def ansible_lint() -> Commands:
    command = (PYTHON, "-m", "ansiblelint", "--offline", "--profile", "production")
    examples = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "examples").rglob("*.yml"))
    return [command, (*command, *examples)]


@dataclasses.dataclass(frozen=True)
class Stage:
    """A row: where, what, and the pattern whose matches in the output are counted as `unit` (its group is a number).

    `beside`: one process does it, which has a CPU's time while tests wait, when every stage is run.
    """

    where: Callable[[], contextlib.AbstractContextManager[Where]]
    commands: Callable[[], Commands]
    counted: str
    unit: str
    beside: bool = False


STAGES: dict[str, Stage] = {
    "lint": Stage(in_checkout, lint, r"^(\d+) files? already formatted", "files"),
    "house-rules": Stage(in_checkout, house_rules, r"^House rules: (\d+) files", "files"),
    "types": Stage(in_linked_tree, types, r"no issues found in (\d+) source file", "files", beside=True),
    "unit": Stage(in_checkout, lambda: pytest("tests/unit"), r"\b(\d+) passed", "tests"),
    "integration": Stage(in_checkout, lambda: pytest("tests/integration"), r"\b(\d+) passed", "tests"),
    "versions": Stage(in_checkout, versions, r"\b(\d+) passed", "tests"),
    "awx": Stage(in_checkout, awx, r"\b(\d+) passed", "tests", beside=True),
    "docs": Stage(in_linked_tree, docs, r"$^", "", beside=True),
    "changelog": Stage(in_checkout, changelog, r"$^", "", beside=True),
    "sanity": Stage(in_copied_tree, sanity, r"^Running sanity test (?:\"|')", "tests", beside=True),
    "ansible-lint": Stage(in_linked_tree, ansible_lint, r"in (\d+) files processed", "files", beside=True),
}


@dataclasses.dataclass(frozen=True)
class Outcome:
    name: str
    passed: bool
    seconds: float
    count: str


Show = Callable[[str], object]


def at_once(text: str) -> None:
    print(text, end="", flush=True)


def run(command: Sequence[str], where: Where, show: Show = at_once) -> tuple[int, str]:
    """Run one command, show what it prints while it prints it, paths cut short; returns its exit code and that text."""
    shown = [Path(part).name if part.startswith(str(SCRIPTS)) else part for part in command]
    show(f"$ {shlex.join(shown)}\n")
    path = f"{SCRIPTS}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {**os.environ, **PLAIN, "PATH": path, **where.environment}
    lines = []
    with subprocess.Popen(
        command,
        cwd=where.directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout
        for line in process.stdout:
            if not PIP_TALK.match(line):
                show(line.replace(f"{where.directory}/", ""))
            lines.append(line)
    return process.returncode, "".join(lines)


def perform(name: str, extra: Sequence[str] = (), show: Show = at_once) -> Outcome:
    """Run every command of a stage, also after one that failed."""
    stage = STAGES[name]
    show(f"\n=== {name} ===\n")
    begun = time.monotonic()
    codes, output = [], ""
    with stage.where() as where:
        *first, last = stage.commands()
        for command in [*first, [*last, *extra]]:
            code, text = run(command, where, show)
            codes.append(code)
            output += text
    found = list(re.finditer(stage.counted, output, re.MULTILINE))
    total = sum(int(next(filter(None, match.groups()), 1)) for match in found)
    return Outcome(name, not any(codes), time.monotonic() - begun, f"{total} {stage.unit}" if stage.unit else "")


def perform_all() -> list[Outcome]:
    """Every stage; those beside are shown when the others are over."""
    kept: list[str] = []
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        beside = thread.submit(
            lambda: [perform(name, show=kept.append) for name, stage in STAGES.items() if stage.beside]
        )
        outcomes = [perform(name) for name, stage in STAGES.items() if not stage.beside]
        outcomes += beside.result()
    at_once("".join(kept))
    return outcomes


def report(outcomes: Sequence[Outcome], seconds: float) -> None:
    """A table, one line a stage, and a closing line that counts stages."""
    print("\n=== summary ===")
    for outcome in outcomes:
        verdict = "passed" if outcome.passed else "FAILED"
        print(f"{outcome.name:14}{verdict:8}{outcome.seconds:7.1f} s  {outcome.count}".rstrip())
    failed = sum(not outcome.passed for outcome in outcomes)
    print(f"{'in all':22}{seconds:7.1f} s")
    print(f"{len(outcomes) - failed} passed, {failed} failed", flush=True)


def main(arguments: Sequence[str]) -> int:
    """Parse, perform, report; 1 when a stage failed."""
    parser = argparse.ArgumentParser(prog="stages.py", description="Run checks of this repository.")
    parser.add_argument(
        "stages", nargs="+", choices=["all", *STAGES], metavar="STAGE", help=", ".join(["all", *STAGES])
    )
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    extra = arguments[cut + 1 :]
    names = parser.parse_args(arguments[:cut]).stages
    wanted = list(STAGES) if "all" in names else names
    if extra and len(wanted) > 1:
        parser.error("arguments after -- need exactly one stage")
    begun = time.monotonic()
    outcomes = perform_all() if "all" in names else [perform(name, extra) for name in wanted]
    if len(outcomes) > 1:
        report(outcomes, time.monotonic() - begun)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
