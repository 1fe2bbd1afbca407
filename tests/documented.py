# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the modules' RETURN says, and whether a result is that: names, types at any depth, and what must be there.

The root conftest holds against it every result that any test gets from a module's function.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import yaml

from ansible_collections.keyturn.ecs.plugins.module_utils._capability import Capability

Json = dict[str, Any]

MODULES = "ansible_collections.keyturn.ecs.plugins.modules."
TYPES: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "list": (list, tuple),
    "dict": (dict,),
    "raw": (object,),
}
# Ansible's own, of any module.
COMMON = {"changed", "failed", "msg", "diff", "warnings"}


@functools.cache
def returns(module: str) -> Json:
    """What the RETURN of a module that was imported says."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: Json = yaml.load(sys.modules[MODULES + module].RETURN, Loader=loader) or {}
    return found


def capability_of(module: ModuleType) -> Capability | None:
    """What stands behind a module; None where that is its action plugin."""
    return next((found for found in vars(module).values() if isinstance(found, Capability)), None)


# By the spec's id: a module keeps its spec, so nothing else ever has that id.
_FOUND: dict[int, str] = {}


def module_of(capability: Capability) -> str:
    """Name of the module that a capability, or a copy of it with another function, is of; empty for none."""
    for name, module in [] if id(capability.spec) in _FOUND else list(sys.modules.items()):
        if name.startswith(MODULES) and (found := capability_of(module)) and found.spec is capability.spec:
            _FOUND[id(capability.spec)] = name.removeprefix(MODULES)
    return _FOUND.get(id(capability.spec), "")


def disagreements(result: Json, documented: Json, where: str = "") -> Iterator[str]:
    """What of a result is not as it is documented; where only, never a value."""
    for name, value in result.items():
        if name in documented:
            yield from wrong_type(value, documented[name], f"{where}{name}")
        elif where or name not in COMMON:
            yield f"{where}{name} is not documented"
    if result.get("failed"):
        return
    for name, about in documented.items():
        if about.get("returned", "always") in ("always", "success") and name not in result:
            yield f"{where}{name} is missing, and documented as returned always"


def wrong_type(value: object, about: Json, where: str) -> Iterator[str]:
    """The type of a value, and of what is in it. None only where the description says so."""
    if value is None:
        if "null" not in str(about["description"]).lower():
            yield f"{where} is null, and its description does not say when"
        return
    kind = about["type"]
    if not isinstance(value, TYPES[kind]) or (kind in ("int", "float") and isinstance(value, bool)):
        yield f"{where} is of type {type(value).__name__}, and documented as {kind}"
        return
    if isinstance(value, (list, tuple)):
        element = {**about, "type": about.get("elements", "raw")}
        for one in value:
            yield from wrong_type(one, element, f"{where}[]")
    elif isinstance(value, dict) and "contains" in about:
        yield from disagreements(value, about["contains"], f"{where}.")
