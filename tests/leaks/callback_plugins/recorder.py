# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tests only: writes down all that Ansible hands to a callback plugin: results, and the tasks with their arguments."""

from __future__ import annotations

DOCUMENTATION = """
name: recorder
type: notification
short_description: Writes results and tasks into files
description: [Writes one JSON document a line into the files named by E(RECORDED_RESULTS) and E(RECORDED_TASKS).]
author: The keyturn.ecs authors (@keyturn)
"""

import json
import os
from typing import Any

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "recorder"

    def v2_runner_on_ok(self, result: Any) -> None:
        self._write(result, failed=False)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._write(result, failed=True)

    v2_runner_on_unreachable = v2_runner_item_on_failed = v2_runner_on_failed
    v2_runner_on_skipped = v2_runner_item_on_ok = v2_runner_retry = v2_runner_on_ok

    def _write(self, result: Any, failed: bool) -> None:
        fields = result._task_fields
        recorded = {
            "RECORDED_RESULTS": [fields.get("name"), {**result._result, "failed": failed}],
            "RECORDED_TASKS": fields,
        }
        for variable, data in recorded.items():
            with open(os.environ[variable], "a", encoding="utf-8") as file:
                file.write(json.dumps(data, default=str) + "\n")
