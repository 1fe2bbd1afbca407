# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can be told about a block without running it: does it parse, and is everything that it names there?

Each function returns complaints, one sentence each; none where all is well.
"""

from __future__ import annotations

import configparser
import contextlib
import functools
import io
import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from ansible.cli.doc import DocCLI
from ansible.cli.galaxy import GalaxyCLI
from ansible.cli.inventory import InventoryCLI
from ansible.cli.playbook import PlaybookCLI
from ansible.config.manager import ConfigManager
from ansible.parsing.splitter import parse_kv

from .blocks import ROOT, Block, Command, loaded

CLIS: dict[str, Any] = {
    "ansible-playbook": PlaybookCLI, "ansible-inventory": InventoryCLI, "ansible-galaxy": GalaxyCLI,
    "ansible-doc": DocCLI,
}  # fmt: skip
# Programs whose arguments are the reader's own matter.
PLAIN = {"read", "export", "set", "unset", ".", "cd", "mkdir", "cat", "git", "pip", "ansible-builder", "pytest"}
OURS = re.compile(r"(?:keyturn\.ecs\.)?(\w+)$")
Json = dict[str, Any]


# Commands


def command(given: Command, files: Mapping[str, str]) -> list[str]:
    """Of every command of the line; `files` are those that the page lets its reader write, path to text."""
    try:
        words = shlex.split(given.text, comments=True)
    except ValueError as error:
        return [f"{given.text}: {error}"]
    beside = {file.name: file.read_text() for file in (ROOT / given.source).parent.glob("*.yml")}
    known = {**files, **beside, **{str(folder): "" for file in files for folder in Path(file).parents}}
    return [f"{given.source}: `{given.text}`: {one}" for part in _parts(words) for one in _simple(part, known)]


def _parts(words: Sequence[str]) -> Iterator[list[str]]:
    """Commands between ``&&``, ``;`` and ``|``, without what they set in front of them."""
    part: list[str] = []
    for word in [*words, ";"]:
        ends = word in ("&&", ";", "|") or word.endswith(";")
        if word.rstrip(";") and word not in ("&&", "|"):
            part.append(word.rstrip(";"))
        if ends and part:
            while part and re.match(r"\w+=", part[0]):
                part.pop(0)
            if part:
                yield part
            part = []


def _simple(words: Sequence[str], files: Mapping[str, str]) -> list[str]:
    program, arguments = words[0].rpartition("/")[2], words[1:]
    if program in CLIS:
        options, complaint = parsed(program, arguments)
        return [complaint] if options is None else _of_ansible(program, options, files)
    if program == "make":
        names = [word for word in arguments if "=" not in word]
        return [f"there is no target {name}" for name in names if name not in _targets()]
    if program in ("python", "python3"):
        name = arguments[0].removeprefix("$KEYTURN_CHECKOUT/")
        return [] if name == "-m" or (ROOT / name).is_file() else [f"there is no {name}"]
    return [] if program in PLAIN else [f"{program} is not handled"]


def parsed(program: str, arguments: Sequence[str]) -> tuple[Any, str]:
    """The options, by the parser of Ansible's own program; or None and its complaint."""
    cli = CLIS[program]([program, *arguments])
    cli.init_parser()
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            return cli.parser.parse_args(list(arguments)), ""
    except SystemExit:
        return None, told.getvalue().strip().splitlines()[-1]


def _of_ansible(program: str, options: Any, files: Mapping[str, str]) -> list[str]:
    found = [
        f"there is no inventory {name}"
        for name in getattr(options, "inventory", None) or ()
        if not (name in files or name.endswith(",") or (ROOT / name).exists() or (ROOT / "examples" / name).exists())
    ]
    if program == "ansible-playbook":
        found += [complaint for name in options.args for complaint in _playbook(name, files)]
        texts = [files.get(name) or _text(name) for name in options.args]
        found += _extra_variables(options.extra_vars or (), texts)
    return found


def _playbook(name: str, files: Mapping[str, str]) -> list[str]:
    if name.startswith("keyturn.ecs."):
        there = (ROOT / "playbooks" / f"{name.rpartition('.')[2]}.yml").is_file()
    else:
        there = name in files or _example(name) is not None
    return [] if there else [f"there is no playbook {name}"]


def _example(name: str) -> Path | None:
    folders = (ROOT, ROOT / "examples", ROOT / "examples/awx/configure")
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def _text(name: str) -> str:
    file = _example(name)
    return file.read_text() if file else ""


def _extra_variables(given: Sequence[str], playbooks: Sequence[str]) -> list[str]:
    """Names that neither the role nor a playbook (its text) has, and what Ansible would cut off at a blank."""
    found = []
    for one in given:
        if one.startswith("@"):
            continue
        variables = json.loads(one) if one.startswith("{") else parse_kv(one)
        if "_raw_params" in variables:
            found.append(f"{one} ends at its first blank")
        unknown = (name for name in variables if name not in role_variables() | {"_raw_params"})
        found += [
            f"nothing knows the variable {name}"
            for name in unknown
            if not any(re.search(rf"\b{name}\b", text) for text in playbooks)
        ]
    return found


@functools.cache
def _targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+)[^=:\n]*:", (ROOT / "Makefile").read_text(), re.MULTILINE)) | set(
        re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[0].split()
    )


@functools.cache
def role_variables() -> frozenset[str]:
    specs = yaml.safe_load((ROOT / "roles/rotate/meta/argument_specs.yml").read_text())["argument_specs"]
    return frozenset(name for entry in specs.values() for name in entry["options"])


# YAML


def kind(block: Block) -> str:
    """What a YAML block is: a row of KINDS."""
    data = loaded(block)
    for name, (is_it, _check) in KINDS.items():
        if is_it(data):
            return name
    return "unknown"


def yaml_block(block: Block) -> list[str]:
    name = kind(block)
    if name == "unknown":
        return [f"{block.name}: nobody knows what this YAML is"]
    return [f"{block.name}: {complaint}" for complaint in KINDS[name][1](loaded(block))]


def _tasks(data: Any) -> list[str]:
    """Modules of this collection, by their argument specs; blocks inside, too."""
    found = []
    for task in data:
        for part in ("block", "rescue", "always"):
            found += _tasks(task.get(part, ()))
        for name, options in task.items():
            if name.startswith("keyturn.ecs."):
                found += _module(name, options or {})
    return found


def _module(name: str, options: Json) -> list[str]:
    documented = _documented("modules", name)
    unknown = (
        set(options) - set(documented) - {alias for one in documented.values() for alias in one.get("aliases", ())}
    )
    missing = {option for option, one in documented.items() if one.get("required")} - set(options)
    return [f"{name} has no option {option}" for option in sorted(unknown)] + [
        f"{name} needs the option {option}" for option in sorted(missing)
    ]


@functools.cache
def _documented(folder: str, name: str) -> Json:
    """Option to its documentation, that of the fragments included; OSError for a plugin that is not there."""
    from ansible.plugins.loader import fragment_loader
    from ansible.utils.plugin_docs import get_docstring

    file = ROOT / "plugins" / folder / f"{name.rpartition('.')[2]}.py"
    documentation = get_docstring(str(file), fragment_loader, collection_name="keyturn.ecs")[0]
    options: Json = documentation["options"]
    return options


def _plays(data: Any) -> list[str]:
    found = []
    for play in data:
        for part in ("pre_tasks", "tasks", "post_tasks"):
            found += _tasks(play.get(part, ()))
        found += _variables(play.get("vars", {}))
        for role in play.get("roles", ()):
            found += [] if role in ("keyturn.ecs.rotate", {"role": "keyturn.ecs.rotate"}) else [f"there is no {role}"]
        if "ansible.builtin.import_playbook" in play:
            found += _playbook(play["ansible.builtin.import_playbook"], {})
            found += _variables(play.get("vars", {}))
    return found


def _variables(data: Json) -> list[str]:
    names = (name for name in data if name.startswith("rotate_"))
    return [f"the role has no variable {name}" for name in names if name not in role_variables()]


def _inventory(data: Json) -> list[str]:
    found = []
    for group in data.values():
        for variables in [group.get("vars"), *(group.get("hosts") or {}).values()]:
            found += _variables(variables or {})
        found += _inventory(group.get("children") or {})
    return found


def _dynamic(data: Json) -> list[str]:
    return [
        f"the inventory plugin has no option {name}"
        for name in data
        if name not in _documented("inventory", "services")
    ]


def _artifact(data: Json) -> list[str]:
    """What jobs hand on in AWX: members that the templates of the role write."""
    texts = [(ROOT / "roles/rotate/templates" / name).read_text() for name in ("handed_on.json.j2", "rows.json.j2")]
    rows = [row for artifact in data.values() for row in (artifact, *artifact["services"])]
    return [f"the role hands on no {name}" for row in rows for name in row if not any(name in text for text in texts)]


def _nothing(_data: Any) -> list[str]:
    return []


def _list_with(*names: str) -> Callable[[Any], bool]:
    return lambda data: isinstance(data, list) and all(any(name in one for name in names) for one in data)


def _mapping_of(pattern: str) -> Callable[[Any], bool]:
    return lambda data: isinstance(data, dict) and all(re.fullmatch(pattern, name) for name in data)


KINDS: dict[str, tuple[Callable[[Any], bool], Callable[[Any], list[str]]]] = {
    "playbook": (_list_with("hosts", "ansible.builtin.import_playbook"), _plays),
    "tasks": (_list_with("name"), _tasks),
    "dynamic inventory": (lambda data: isinstance(data, dict) and "plugin" in data, _dynamic),
    "role variables": (_mapping_of(r"rotate_\w+"), _variables),
    "artifact of AWX": (_mapping_of(r"keyturn_\w+"), _artifact),
    "changelog fragment": (_mapping_of(r"bugfixes|minor_changes"), _nothing),
    "inventory": (_mapping_of(r"environments|all|workstations"), _inventory),
}


# Everything else


def text_block(block: Block) -> list[str]:
    """A table that a run prints, or messages: their words stand in the sources, one behind the other."""
    heads = [line for line in block.text.splitlines() if line.startswith("environment ")]
    if heads:
        columns = {name for head in heads for name in re.split(r"  +", head)}
        texts = [(ROOT / name).read_text() for name in ("tests/demo/run.py", "roles/rotate/templates/table.txt.j2")]
        printed = any(all(f'"{name}"' in text or f"'{name}'" in text for name in columns) for text in texts)
        return [] if printed else [f"{block.name} is no table that a run prints"]
    shown = ROOT / "tests/integration" / SHOWN_BY.get(block.source, "-")
    if shown.is_file() and Path(block.source).name in shown.read_text():
        return []
    sentences = re.split(r"(?<=[.])\s+", block.text.replace("\n", " "))
    return [f"{block.name}: nothing says: {one}" for one in sentences if _share_said(one) < SAID]


# Pages whose texts a test of their own compares with what is said.
SHOWN_BY = {"docs/docsite/rst/statuses.rst": "test_statuses_page.py"}
# How much of a sentence must stand in the sources. The rest are names, and where a sentence is put together.
SAID = 0.2


def _share_said(sentence: str) -> float:
    """Of all words in a row by three, how many some source has."""
    rows = list(_by_three(sentence))
    return sum(row in _said() for row in rows) / len(rows) if rows else 1.0


def _by_three(text: str) -> Iterator[tuple[str, ...]]:
    words = re.findall(r"[A-Za-z]{2,}", re.sub(r"\S*\d\S*", "", text))
    yield from zip(words, words[1:], words[2:], strict=False)


@functools.cache
def _said() -> frozenset[tuple[str, ...]]:
    folders = ("plugins", "roles/rotate", "tests/simulator")
    files = (file for folder in folders for file in (ROOT / folder).rglob("*"))
    return frozenset(
        row for file in files if file.suffix in (".py", ".yml", ".j2") for row in _by_three(file.read_text())
    )


def ini_block(block: Block) -> list[str]:
    """A configuration of Ansible's: sections and settings that it has."""
    parser = configparser.ConfigParser()
    parser.read_string(block.text)
    definitions = ConfigManager().get_configuration_definitions().values()
    known = {(entry["section"], entry["key"]) for one in definitions for entry in one.get("ini", ())}
    given = [(section, name) for section in parser.sections() for name in parser[section]]
    return [
        f"{block.name}: Ansible has no setting {name} in [{section}]"
        for section, name in given
        if (section, name) not in known
    ]


def json_block(block: Block) -> list[str]:
    try:
        json.loads(block.text)
    except json.JSONDecodeError as error:
        return [f"{block.name}: {error}"]
    return []
