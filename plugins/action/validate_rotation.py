# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checks of the role. In templates, every worker would compile them anew."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import lookup_loader

from ansible_collections.keyturn.ecs.plugins.module_utils._capability import Unexpected
from ansible_collections.keyturn.ecs.plugins.module_utils._errors import KeyturnError
from ansible_collections.keyturn.ecs.plugins.module_utils._role.checks import ENTRY_POINTS, Asked, checked, told
from ansible_collections.keyturn.ecs.plugins.module_utils._role.problems import CUT_OFF

# Read in the process that forks the workers.
ROLE = Path(__file__).parents[2] / "roles" / "rotate"
SPECS = ROLE / "meta" / "argument_specs.yml"
KNOWN = tuple(dict.fromkeys(re.findall(r"(?m)^ +(rotate_\w+):$", SPECS.read_text(encoding="utf-8"))))

PROVIDERS = yaml.safe_load((ROLE / "vars" / "providers.yml").read_text(encoding="utf-8"))["_rotate_providers"]


class ActionModule(ActionBase):
    """Reads the role's variables by itself: as options, they would be templated once more, and shown by callbacks."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _checked, options = self.validate_argument_spec(
            {"entry_point": {"type": "str", "choices": list(ENTRY_POINTS), "default": "rotate"}}
        )
        variables = task_vars or {}
        given = self._templar.template({name: variables[name] for name in KNOWN if name in variables})
        asked = Asked(
            entry_point=options["entry_point"],
            host=variables["inventory_hostname"],
            given={name: _plain(value) for name, value in given.items()},
            names=[name for name in variables if name.startswith("rotate_") or name == CUT_OFF],
            known=KNOWN,
            environment=os.environ,
            read=lambda path: self._content(path, variables),
            presets=PROVIDERS,
        )
        result.update(told(asked), changed=False)
        try:
            with Unexpected():
                result.update(checked(asked))
        except KeyturnError as error:
            result.update(failed=True, msg=error.msg)
        return result

    def _content(self, path: str, task_vars: dict[str, Any]) -> str:
        """As the lookup gives it, which also decrypts what Ansible Vault encrypted; empty where it cannot be read."""
        lookup = lookup_loader.get("ansible.builtin.file", loader=self._loader, templar=self._templar)
        try:
            return str(lookup.run([path], task_vars)[0])
        except (AnsibleError, OSError):
            return ""


def _plain(value: Any) -> Any:
    """Before ansible-core 2.19 a text that is encrypted within a file is none until it is looked at."""
    return str(value) if getattr(value, "__ENCRYPTED__", False) else value
