# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first door: a module that Ansible starts as a process of its own."""

from __future__ import annotations

from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule

from ._capability import Capability, complaint


class Module(AnsibleModule):
    """An AnsibleModule that repeats nothing that was given for an option: a key may have got into the wrong one.

    Neither in its errors, nor to the system log, nor as ``invocation`` in its result. The direct door has none, too.
    """

    def __init__(self, capability: Capability) -> None:
        self._capability, self._checked = capability, False
        spec: dict[str, Any] = {"argument_spec": capability.argument_spec, "supports_check_mode": True}
        AnsibleModule.__init__(self, **spec, **capability.rules)
        self._checked = True
        self.no_log_values -= capability.no_secrets(self.params)

    def _load_params(self) -> None:
        AnsibleModule._load_params(self)
        self.no_log_values.update(self._capability.secrets(self.params))

    def fail_json(self, msg: str, **result: Any) -> NoReturn:
        if not self._checked and self.validation_result.errors:
            msg = complaint(self.validation_result.errors[0], self._name)
        super().fail_json(msg, **result)

    def _log_invocation(self) -> None:
        given = sorted(name for name, value in self.params.items() if value is not None)
        self.log(f"Invoked with {', '.join(given)}")

    def add_path_info(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Called on every result. One with ``path`` gets no owner and size, which check mode would not have."""
        kwargs["invocation"] = {}
        return kwargs

    def finish(self) -> None:
        """Run the capability and end with its result."""
        result = self._capability.answer(self.params, check_mode=self.check_mode, diff=self._diff)
        for warning in result.pop("warnings", []):
            self.warn(warning)
        if result.pop("failed", False):
            self.fail_json(**result)
        self.exit_json(**result)
