# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first door: a module that Ansible starts as a process of its own."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ._capability import Capability, complaint


class Module(AnsibleModule):
    """An AnsibleModule that does not repeat what was given for an option, neither in its errors nor to the system log."""

    def __init__(self, capability: Capability) -> None:
        self._capability, self._checked = capability, False
        super().__init__(argument_spec=capability.argument_spec, supports_check_mode=True, **capability.rules)
        self._checked = True

    def _load_params(self) -> None:
        super()._load_params()
        self.no_log_values.update(self._capability.secrets(self.params))

    def fail_json(self, msg: str, **result: Any) -> None:
        if not self._checked and self.validation_result.errors:
            msg = complaint(self.validation_result.errors[0], self._name)
        super().fail_json(msg, **result)

    def add_path_info(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Leave a result with ``path`` as it is: Ansible would add members that check mode has not."""
        return dict(kwargs)

    def finish(self) -> None:
        """Run the capability and end with its result."""
        result = self._capability.answer(self.params, check_mode=self.check_mode, diff=self._diff)
        for warning in result.pop("warnings", []):
            self.warn(warning)
        if result.pop("failed", False):
            self.fail_json(**result)
        self.exit_json(**result)
