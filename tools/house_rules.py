# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rules of CONTRIBUTING.md that no linter knows. Prints what breaks them; exit code 1 when something does."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
LONGEST_FUNCTION = 60  # lines, from "def" to its last one, without its docstring
KNOWS_BOTO3 = {"plugins/module_utils/_aws.py"}
AWS_SDK = {"boto3", "botocore"}


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, top-level package) of every import, wherever in the file it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name.partition(".")[0]) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module.partition(".")[0]


def lines_of_code(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from ``def`` to the end, without the docstring's."""
    total = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        total -= (first.end_lineno or first.lineno) - first.lineno + 1
    return total


def breaches(file: Path) -> Iterator[str]:
    """One line of text for every rule that `file` breaks."""
    name = file.relative_to(ROOT).as_posix()
    tree = ast.parse(file.read_text(encoding="utf-8"), name)
    if name not in KNOWS_BOTO3:
        for line, package in imported(tree):
            if package in AWS_SDK:
                yield f"{name}:{line}: only {', '.join(KNOWS_BOTO3)} imports {package}"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and lines_of_code(node) > LONGEST_FUNCTION:
            yield f"{name}:{node.lineno}: {node.name} has {lines_of_code(node)} lines, {LONGEST_FUNCTION} are allowed"


def missing_doors() -> Iterator[str]:
    """Every ``ecs_*`` module is in the action group that module_defaults names; every module has its second door."""
    groups = yaml.safe_load((ROOT / "meta/runtime.yml").read_text(encoding="utf-8"))["action_groups"]
    grouped = {entry for entry in groups["aws"] if isinstance(entry, str)}
    modules = {file.stem for file in (ROOT / "plugins/modules").glob("ecs_*.py")}
    every, actions = (
        {file.stem for file in (ROOT / folder).glob("*.py")} for folder in ("plugins/modules", "plugins/action")
    )
    yield from (f"meta/runtime.yml: {name} is not in action group aws" for name in sorted(modules - grouped))
    yield from (f"meta/runtime.yml: action group aws names {name}, no module" for name in sorted(grouped - modules))
    yield from (f"plugins/action/{name}.py: missing" for name in sorted(every - actions))


def main() -> int:
    """Check every Python file of the collection proper."""
    files = sorted((ROOT / "plugins").rglob("*.py"))
    found = [*missing_doors(), *(breach for file in files for breach in breaches(file))]
    print("\n".join([*found, f"House rules: {len(files)} files, {len(found)} breaches"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
