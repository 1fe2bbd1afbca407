# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The policy statements that allow what is missing, as few as say it. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from .needs import Need

PASSED_TO = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}


def statements(needs: Iterable[Need]) -> str:
    """JSON: one statement, or a list of them; actions on the same resources share one."""
    resources: dict[str, list[str]] = {}
    for need in needs:
        resources.setdefault(need.action, []).append(need.resource)
    together: dict[tuple[tuple[str, ...], bool], list[str]] = {}
    for action, listed in resources.items():
        together.setdefault((tuple(listed), action == "iam:PassRole"), []).append(action)
    made: list[dict[str, Any]] = [
        {
            "Effect": "Allow",
            "Action": _one_or_more(actions),
            "Resource": _one_or_more(listed),
            **({"Condition": {"StringEquals": PASSED_TO}} if passed else {}),
        }
        for (listed, passed), actions in together.items()
    ]
    return json.dumps(made[0] if len(made) == 1 else made)


def _one_or_more(words: Iterable[str]) -> str | list[str]:
    listed = list(words)
    return listed[0] if len(listed) == 1 else listed
