# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""awx.awx's own argument specs take every object of examples/awx. `make awx` puts awx.awx below build/awx."""

from __future__ import annotations

import importlib
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from awx_objects import PROJECT, Json, objects

PLUGINS = Path(__file__).resolve().parents[2] / "build/awx/ansible_collections/awx/awx/plugins"
PACKAGE = "awx_plugins"
# What the objects may leave open; the rest of the playbook's tasks are loops over them.
LOOP = re.compile(r"{{ (\w+) }}")


class Made(Exception):
    """An awx.awx module has made its argument spec; it goes no further."""


def tasks() -> Iterator[tuple[str, str, Any]]:
    """(module, variable that is looped over, arguments) of every task of configure/awx.yml."""
    (play,) = yaml.safe_load((PROJECT / "configure/awx.yml").read_text())
    for task in play["tasks"]:
        (name,) = (key for key in task if key.startswith("awx.awx."))
        found = LOOP.fullmatch(task["loop"])
        assert found, task
        yield name.removeprefix("awx.awx."), found[1], task[name]


@pytest.fixture(scope="module", autouse=True)
def _plugins() -> Iterator[None]:
    """The plugins as a package, since the collection loader of the other tests knows of another tree."""
    assert PLUGINS.is_dir(), "tools/awx_collection.py makes it"
    package = types.ModuleType(PACKAGE)
    package.__path__ = [str(PLUGINS)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, PACKAGE, package)
        yield
        for name in [name for name in sys.modules if name.startswith(f"{PACKAGE}.")]:
            del sys.modules[name]


def argument_spec(name: str, monkeypatch: pytest.MonkeyPatch) -> ArgumentSpecValidator:
    """What the module `name` hands to AnsibleModule, its connection options included."""
    module = importlib.import_module(f"{PACKAGE}.modules.{name}")
    api = importlib.import_module(f"{PACKAGE}.module_utils.controller_api")

    def stop(self: object, argument_spec: Json, **rules: Any) -> None:
        raise Made({**api.ControllerModule.AUTH_ARGSPEC, **argument_spec}, rules)

    monkeypatch.setattr(api.ControllerAPIModule, "__init__", stop)
    with pytest.raises(Made) as made:
        module.main()
    spec, rules = made.value.args
    return ArgumentSpecValidator(spec, **rules)


def documented(options: Json) -> Json:
    """Documentation of options as an argument spec: nodes of a workflow are described there only."""
    found: Json = {}
    for name, described in options.items():
        kept = {
            key: described[key] for key in ("type", "required", "choices", "aliases", "elements") if key in described
        }
        inner = described.get("suboptions") or described.get("options")
        found[name] = {**kept, **({"options": documented(inner)} if inner else {})}
    return found


@pytest.mark.parametrize(("module", "variable", "arguments"), list(tasks()), ids=lambda value: str(value)[:40])
def test_every_object_is_taken(module: str, variable: str, arguments: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, types, choices, what is required: nothing is unknown to the module."""
    spec = argument_spec(module, monkeypatch)
    found = objects()[variable]
    assert found
    for item in found:
        handed = item if arguments == "{{ item }}" else {
            name: item[value.removeprefix("{{ item.").removesuffix(" }}")] if isinstance(value, str) else value
            for name, value in arguments.items()
        }  # fmt: skip
        assert spec.validate(handed).error_messages == [], handed["name"]
        assert spec.validate({**handed, "no_such_option": 1}).error_messages, "the spec refuses what it does not know"


def test_every_variable_is_handed_to_a_module() -> None:
    assert {variable for _module, variable, _arguments in tasks()} == set(objects())


def test_every_node_is_as_documented() -> None:
    source = importlib.import_module(f"{PACKAGE}.modules.workflow_job_template").DOCUMENTATION
    nodes = yaml.safe_load(source)["options"]["workflow_nodes"]["suboptions"]
    spec = ArgumentSpecValidator(documented(nodes))
    for workflow in objects()["controller_workflows"]:
        for node in workflow["workflow_nodes"]:
            assert spec.validate(node).error_messages == [], node["identifier"]
