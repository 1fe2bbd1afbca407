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

    def v2_on_any(self, *arguments: Any, **_more: Any) -> None:
        for one in arguments:
            if hasattr(one, "_result"):
                self._write("RECORDED_RESULTS", [one._task_fields.get("name"), {**one._result, "failed": one.is_failed()}])
                self._write("RECORDED_TASKS", one._task_fields)

    def _write(self, variable: str, data: Any) -> None:
        with open(os.environ[variable], "a", encoding="utf-8") as file:
            file.write(json.dumps(data, default=str) + "\n")
