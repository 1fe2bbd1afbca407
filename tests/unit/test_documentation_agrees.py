# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation, argument specs, type hints and results say the same, as far as ansible-test does not look.

ansible-test compares DOCUMENTATION with the argument specs. Here: options with the requests that are made of them,
RETURN with results and samples, the role's specs with its defaults, its README and what its tasks use. The results that
other tests get are held against RETURN by the root conftest.
"""

from __future__ import annotations

import ast
import importlib
import re
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import documented
from ansible_collections.keyturn.ecs.plugins.action.validate_rotation import PROVIDERS
from ansible_collections.keyturn.ecs.plugins.module_utils import _purge
from ansible_collections.keyturn.ecs.plugins.module_utils._capability import Capability
from ansible_collections.keyturn.ecs.plugins.module_utils._dotenv import value as dotenv
from ansible_collections.keyturn.ecs.plugins.module_utils._info import request as info
from ansible_collections.keyturn.ecs.plugins.module_utils._logs import request as logs
from ansible_collections.keyturn.ecs.plugins.module_utils._preflight import findings
from ansible_collections.keyturn.ecs.plugins.module_utils._role.checks import Asked, checked, told
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout import judge
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.texts import ALARM, TEXTS
from ansible_collections.keyturn.ecs.plugins.module_utils._rotation import request as rotation
from openai import ADMIN_KEY, Provider

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "roles/rotate"
NAMES = sorted(file.stem for file in (ROOT / "plugins/modules").glob("*.py"))
MODULES = {name: importlib.import_module(documented.MODULES + name) for name in NAMES}
CAPABILITIES = {name: found for name in NAMES for found in [documented.capability_of(MODULES[name])] if found}

Json = dict[str, Any]


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def every(folder: str, pattern: str) -> str:
    return "\n".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / folder).rglob(pattern)))


# Both doors


def test_every_module_but_the_roles_own_check_has_a_capability() -> None:
    assert set(NAMES) - set(CAPABILITIES) == {"validate_rotation"}


@pytest.mark.parametrize("name", CAPABILITIES)
def test_the_action_plugin_is_of_the_same_capability(name: str) -> None:
    action = importlib.import_module(f"ansible_collections.keyturn.ecs.plugins.action.{name}")
    assert action.ActionModule.capability is CAPABILITIES[name]


# Options, and the requests that are made of them

REQUESTS: Mapping[str, Any] = {
    "dotenv_value": dotenv.Request.parse,
    "ecs_env_info": info.Request.parse,
    "ecs_env_rotate": lambda options: rotation.Request.parse(options, 0.0),
    "ecs_log_scan": lambda options: logs.Request.parse(options, 2e9),
    "ecs_revision_purge": _purge.Request.parse,
}
SAMPLES: Mapping[str, Any] = {
    "str": "one", "path": "/one", "int": 3, "float": 3.5, "bool": True, "list": ["one"], "dict": {"one": "two"},
}  # fmt: skip
GIVEN: Mapping[str, Any] = {
    "expected_fingerprint": "sha256:0a1b2c3d4e5f",
    "fingerprint": "sha256:0a1b2c3d4e5f",
    "keep": ["one:1"],
    "record": {"reason": "one", "key_id": "two", "by": "three"},
    "secret_id": None,  # these need another store
    "secret_json_key": None,
    "secret_kms_key_id": None,
    "secret_tags": None,
    "since": "2026-11-22T10:00:00Z",
}
# Option's type to what a field of the same name is.
FIELDS: Mapping[str, tuple[type, ...]] = {
    "str": (str,), "path": (str,), "int": (int, float), "float": (float,), "bool": (bool,), "list": (tuple,),
    "dict": (Mapping,),
}  # fmt: skip
READ_AS = {"since": float}  # a moment, from text


class Options(dict[str, Any]):
    """Options that know which of them were looked at."""

    def __init__(self, given: Json) -> None:
        super().__init__(given)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)


def sample(name: str, option: Json) -> Any:
    if name in GIVEN:
        return GIVEN[name]
    return option["choices"][0] if "choices" in option else SAMPLES[option["type"]]


def plain(hint: Any) -> set[type]:
    """The classes that a type hint allows."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return {one for part in typing.get_args(hint) for one in plain(part)}
    return {typing.get_origin(hint) or hint}


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_take_every_option_in_its_type(name: str) -> None:
    spec = CAPABILITIES[name].spec
    least = {option: about.get("default") for option, about in spec.items()}
    needed = {option: sample(option, about) for option, about in spec.items() if about.get("required")}
    for given in ({**least, **needed}, {option: sample(option, about) for option, about in spec.items()}):
        options = Options(given)
        request = REQUESTS[name](options)
        assert options.read == set(spec), "an option is ignored"
        for field, hint in typing.get_type_hints(type(request)).items():
            allowed = plain(hint)
            assert isinstance(getattr(request, field), tuple(allowed)), field
            if field in spec:
                expected = {READ_AS[field]} if field in READ_AS else set(FIELDS[spec[field]["type"]])
                assert allowed - {types.NoneType} <= expected, field
                always = spec[field].get("required") or "default" in spec[field]
                assert not (always and types.NoneType in allowed) or field == "max_revisions", field


def test_no_option_is_ignored() -> None:
    """Of modules without a request, too: the name stands somewhere where options are read."""
    code = every("plugins/module_utils", "*.py") + every("plugins/modules", "*.py")
    found = set(re.findall(r"""(?:\[|\.get\()"(\w+)["]""", code))
    own = {option for capability in CAPABILITIES.values() for option in capability.spec}
    assert own - found == {"create", "path"} - found  # dotenv_value's are taken in a loop, see above


# Results


@pytest.mark.parametrize("name", NAMES)
def test_samples_are_of_their_type(name: str) -> None:
    assert list(bad_samples(documented.returns(name))) == []


def bad_samples(entries: Json, where: str = "") -> Iterator[str]:
    for name, about in entries.items():
        if "sample" in about:
            yield from documented.wrong_type(about["sample"], about, f"{where}{name}")
        yield from bad_samples(about.get("contains", {}), f"{where}{name}.")


def values(text: str) -> set[str]:
    """What stands in V() in a description."""
    return set(re.findall(r"V\((\w+)\)", text))


def test_words_of_a_closed_list_are_all_documented() -> None:
    wait, preflight = documented.returns("ecs_rollout_wait"), documented.returns("ecs_env_preflight")
    statuses = {judge.COMPLETED, judge.ROLLED_BACK, judge.FAILED, judge.SUPERSEDED, judge.STUCK, judge.TIMED_OUT}
    assert values(str(wait["status"]["description"])) == {*statuses, judge.NOTHING_RUNNING}
    causes = {text.cause for text in (*TEXTS, ALARM)} | first_words("_rollout/diagnose.py", "Finding")
    assert values(str(wait["diagnosis"]["contains"]["cause"]["description"])) == causes
    checks = {*findings._REMEDIES, "percent_deadlock", "size", "permissions"}
    assert values(str(preflight["problems"]["contains"]["check"]["description"])) == checks


def first_words(file: str, function: str) -> set[str]:
    """Constants that a function is called with as its first argument."""
    calls = [node for node in ast.walk(ast.parse(read(f"plugins/module_utils/{file}"))) if isinstance(node, ast.Call)]
    named = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == function]
    return {call.args[0].value for call in named if call.args and isinstance(call.args[0], ast.Constant)}


def test_results_of_the_modules_that_ask_openai() -> None:
    """The fixture of the root conftest compares; nothing else calls them through their capability."""
    with Provider.start(now=lambda: 1.8e9) as provider:
        provider.add_project()
        connection = {"base_url": provider.base_url, "admin_key": ADMIN_KEY}
        key = {"project_id": "proj_abc", "service_account_id": "svc_acct_abc", "name": "one"}
        made = [answer("openai_api_key", {**connection, **key}, check) for check in (True, False, False)]
        assert [result["changed"] for result in made] == [True, True, False]
        listed = answer("openai_api_key_info", {**connection, "project_id": "proj_abc", "value": made[1]["value"]})
        assert listed["valid"] is True and listed["key_id"] == made[1]["key_id"]
        gone = {**connection, "project_id": "proj_abc", "key_id": made[1]["key_id"], "state": "absent"}
        removed = [answer("openai_api_key", gone, check) for check in (True, False, False)]
        assert [result["changed"] for result in removed] == [True, True, False]
        assert answer("openai_api_key", {**gone, "project_id": "proj_none"})["failed"] is True


def answer(name: str, given: Json, check_mode: bool = False) -> Json:
    capability = CAPABILITIES[name]
    options = {option: about.get("default") for option, about in capability.argument_spec.items()}
    return capability.answer({**options, **given}, check_mode=check_mode, diff=True)


def test_result_of_the_roles_own_check() -> None:
    variables = {**DEFAULTS, "rotate_project_name": "one", "rotate_reason": "two", "rotate_key_id": "key_three"}
    asked = Asked("verify", "host", variables, list(variables), tuple(variables), {}, lambda _: "", PROVIDERS)
    result = {**told(asked), **checked(asked)}
    assert {"reason", "key_id"} < set(result)
    assert list(documented.disagreements(result, documented.returns("validate_rotation"))) == []


# The role

DEFAULTS: Json = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))
SPECS: Json = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
OPTIONS = [(entry, name, option) for entry, spec in SPECS.items() for name, option in spec["options"].items()]
NAMED = {entry: set(spec["options"]) for entry, spec in SPECS.items()}
OF_PLAYBOOKS = {"rotate_hosts", "rotate_serial"}  # a role cannot have them: they choose where it runs
README = read("roles/rotate/README.md")
EMPTY = ("", [], {}, None)


@pytest.mark.parametrize(
    ("entry", "name", "option"), OPTIONS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_defaults_of_the_role_are_those_of_its_specs(entry: str, name: str, option: Json) -> None:
    first = next(other for _entry, same, other in OPTIONS if same == name)
    assert (option["type"], option.get("default")) == (first["type"], first.get("default"))
    if name in OF_PLAYBOOKS:
        assert re.search(rf"{name} \| default\('{option['default']}', true\)", every("playbooks", "*.yml"))
        return
    given = DEFAULTS[name]
    assert given == option["default"] if "default" in option else given in EMPTY


def test_specs_have_every_default() -> None:
    assert {name for _entry, name, _option in OPTIONS} == {*DEFAULTS, *OF_PLAYBOOKS}


def test_the_role_uses_every_variable_that_is_documented_and_no_other() -> None:
    folders = (("roles/rotate/tasks", "*"), ("roles/rotate/templates", "*"), ("roles/rotate/vars", "*"))
    used = set()
    for folder, pattern in (*folders, ("playbooks", "*.yml")):
        text = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / folder).glob(pattern)))
        used |= set(re.findall(r"(?<![\w./-])rotate_\w+", text))
    # What the checks look at, and nothing but them.
    code = every("plugins/module_utils/_role", "*.py")
    looked_at = {name for name in DEFAULTS if f'"{name}"' in code}
    assert used - {*DEFAULTS, *OF_PLAYBOOKS} == set()
    assert {*DEFAULTS, *OF_PLAYBOOKS} - used - looked_at == set()


def test_the_readme_of_the_role_names_every_variable() -> None:
    entries = re.findall(r"(?<![\w.])rotate_\w+", README)
    assert set(entries) - {*DEFAULTS, *OF_PLAYBOOKS} == set()
    audit = NAMED["audit"] - NAMED["main"]
    assert {*DEFAULTS, *OF_PLAYBOOKS} - set(entries) <= audit  # which ansible-doc tells


def test_the_readmes_defaults_are_the_roles() -> None:
    """In the tables: a default that is not empty stands in the row, unless the row says that it is the module's."""
    module = CAPABILITIES["ecs_env_rotate"].spec
    seen = set()
    for names, cell in re.findall(r"^\| ((?:`rotate_\w+`(?:, )?)+) \| (.*) \|$", README, re.MULTILINE):
        for name in re.findall(r"rotate_\w+", names):
            default = DEFAULTS.get(name)
            if default in EMPTY and not isinstance(default, (bool, int)):
                continue
            seen.add(name)
            if "as the module's" in cell and f"`{default}`" not in cell:
                own = module[name.removeprefix("rotate_")].get("default")
                assert default == own, name
            else:
                shown = str(default).lower() if isinstance(default, bool) else default
                assert f"`{shown}`" in cell, name
    assert len(seen) > 15


def test_documented(tmp_path: Path) -> None:
    """The comparison itself."""
    about = {
        "a": {"description": "x", "type": "int", "returned": "always"},
        "b": {"description": "Null sometimes.", "type": "list", "elements": "dict", "returned": "when asked",
              "contains": {"c": {"description": "x", "type": "str"}}},
    }  # fmt: skip
    assert list(documented.disagreements({"a": 1, "b": [{"c": "x"}], "changed": False}, about)) == []
    assert list(documented.disagreements({"a": 1, "b": None}, about)) == []
    assert list(documented.disagreements({"failed": True, "msg": "x"}, about)) == []
    assert list(documented.disagreements({"a": None, "d": 1}, about)) == [
        "a is null, and its description does not say when",
        "d is not documented",
    ]
    assert list(documented.disagreements({"b": [{"c": 1}, {"d": 2}]}, about)) == [
        "b[].c is of type int, and documented as str",
        "b[].d is not documented",
        "b[].c is missing, and documented as returned always",
        "a is missing, and documented as returned always",
    ]
    assert list(documented.disagreements({"a": True}, about)) == ["a is of type bool, and documented as int"]


def test_a_capability_of_no_module_is_known_for_none() -> None:
    assert documented.module_of(Capability({}, lambda *_: {})) == ""
    assert documented.module_of(CAPABILITIES["ledger_info"]) == "ledger_info"
