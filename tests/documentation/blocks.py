# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every block of code in the documentation: pages (.rst, .md), EXAMPLES of plugins, comments in examples/."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import docutils.core
import docutils.nodes
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "roles/rotate/README.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
    *sorted((ROOT / "docs/docsite/rst").glob("*.rst")),
)
FENCE = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"\n\n {4,}(?![-*\d])(\S[^\n]*)")
# The first line of a block that is a file of the reader's: its path.
PATH = re.compile(r"(?:#|//) (?P<path>[\w./-]+\.(?:yml|yaml|json|cfg|ini|env))(?:[:\s].*)?$")


@dataclasses.dataclass(frozen=True)
class Block:
    """A block as it stands on a page; `source` is the page's path in the repository."""

    source: str
    number: int  # on its page, from 1
    language: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.source}#{self.number}"

    @property
    def path(self) -> str | None:
        """Where the reader keeps it, when its first line says so."""
        found = PATH.match(self.text.partition("\n")[0])
        return found["path"] if found else None


@dataclasses.dataclass(frozen=True)
class Command:
    """A line behind a ``$``, and what the page shows of its output."""

    source: str
    text: str
    output: tuple[str, ...] = ()


def pages() -> list[Block]:
    """All blocks of all pages, in order."""
    return [block for page in PAGES for block in of_page(page)]


def of_page(page: Path) -> list[Block]:
    source = page.relative_to(ROOT).as_posix()
    found = _of_rst(page.read_text()) if page.suffix == ".rst" else _of_markdown(page.read_text())
    return [Block(source, number, *one) for number, one in enumerate(found, 1)]


def _of_rst(text: str) -> Iterator[tuple[str, str]]:
    """(language, text); a block without a language has an empty one."""
    # Sphinx's roles and directives are unknown here, which spoils no block of code.
    settings = {"report_level": 5, "halt_level": 5, "syntax_highlight": "none", "_disable_config": True}
    for node in docutils.core.publish_doctree(text, settings_overrides=settings).findall(docutils.nodes.literal_block):
        languages = [name for name in node["classes"] if name != "code"]
        if not node.astext().startswith(".. code-block") and not _is_unknown(node):
            yield languages[0] if languages else "", node.astext()


def _is_unknown(node: docutils.nodes.literal_block) -> bool:
    """A directive that docutils does not know is shown as a block within a complaint."""
    return isinstance(node.parent, docutils.nodes.system_message)


def _of_markdown(text: str) -> Iterator[tuple[str, str]]:
    for found in FENCE.finditer(text):
        yield found[1], found[2].rstrip("\n")
    for found in INDENTED.finditer(FENCE.sub("", text)):
        yield "", found[1]


def commands(block: Block) -> list[Command]:
    """The commands of a console block. ValueError for a line that belongs to none."""
    found: list[Command] = []
    waiting = ""
    for line in block.text.splitlines():
        if waiting:
            waiting += line.strip()
        elif line.startswith("$ "):
            waiting = line[2:]
        elif found:
            found[-1] = dataclasses.replace(found[-1], output=(*found[-1].output, line))
        else:
            raise ValueError(f"{block.name} begins with neither `$ ` nor output of a command: {line}")
        if waiting.endswith("\\"):
            waiting = waiting[:-1]
        elif waiting:
            found.append(Command(block.source, waiting))
            waiting = ""
    return found


def examples() -> list[Block]:
    """EXAMPLES of modules and of the inventory plugin, document by document."""
    found = []
    for file in sorted([*(ROOT / "plugins/modules").glob("*.py"), *(ROOT / "plugins/inventory").glob("*.py")]):
        (text,) = (
            node.value.value
            for node in ast.parse(file.read_text()).body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            if isinstance(node.targets[0], ast.Name) and node.targets[0].id == "EXAMPLES"
        )
        documents = re.split(r"^---$", str(text), flags=re.MULTILINE)
        source = file.relative_to(ROOT).as_posix()
        found += [Block(source, number, "yaml", document.strip()) for number, document in enumerate(documents, 1)]
    return found


def in_comments() -> list[Command]:
    """Commands that comments in examples/ tell: they stand three columns and more behind the ``#``."""
    found = []
    for file in sorted((ROOT / "examples").rglob("*")):
        if file.suffix in (".yml", ".cfg"):
            lines = re.findall(r"^\s*# {3,}((?:ansible-|read |set )\S.*)$", file.read_text(), re.MULTILINE)
            found += [Command(file.relative_to(ROOT).as_posix(), line) for line in lines]
    return found


def loaded(block: Block) -> object:
    """A YAML block as data; yaml.YAMLError."""
    return yaml.safe_load(block.text)
