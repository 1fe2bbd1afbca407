# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """M(keyturn.ecs.openai_api_key), with its result censored wherever it is shown when a new key's value stands in it.

    A module cannot do that for itself. What is registered keeps the value; a failure keeps its message.
    """

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        asked, self._task.no_log = self._task.no_log, True
        try:
            result |= self._execute_module(task_vars=task_vars, wrap_async=self._task.async_val)
        finally:
            self._task.no_log = asked
        return {**result, "_ansible_no_log": True} if result.get("value") else result
