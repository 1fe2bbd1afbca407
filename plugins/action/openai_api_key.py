# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible_collections.keyturn.ecs.plugins.modules.openai_api_key import CAPABILITY
from ansible_collections.keyturn.ecs.plugins.plugin_utils._direct import DirectAction


class ActionModule(DirectAction):
    """M(keyturn.ecs.openai_api_key), with its result censored wherever it is shown when a new key's value stands in it.

    A module cannot do that for itself. What is registered keeps the value; a failure keeps its message.
    """

    capability = CAPABILITY
    _supports_async = False  # the file of an asynchronous job would hold the value

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        if not result.get("value"):
            return result
        # ansible-core up to 2.18 forgets what the result says, and goes by the task; later ones go by the result.
        self._task.no_log = True
        return {**result, "_ansible_no_log": True}

    def _elsewhere(self, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        asked, self._task.no_log = self._task.no_log, True
        try:
            return super()._elsewhere(task_vars)
        finally:
            self._task.no_log = asked
