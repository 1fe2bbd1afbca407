# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which services of which environment: explicit names win over the project's, that over the deployment variables."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from .._errors import KeyturnError

KEYS = ("PROJECT_NAME", "REGION")


def full_path(path: str) -> str:
    """Where it leads to; a path that can be none stays as it is, and leads nowhere."""
    try:
        return os.path.realpath(os.path.expanduser(path))
    except ValueError:  # a NUL, or what is no Unicode
        return path


def deployment_vars(path: str, read: Callable[[str], str]) -> dict[str, str]:
    """PROJECT_NAME and REGION of an aws-deployment-vars.json. It may hold passwords: nothing else leaves this function.

    Args:
        read: path to content, empty where it cannot be read.
    """
    path = full_path(path)
    if not os.path.isfile(path):  # a named pipe would be waited for
        raise KeyturnError(
            f"rotate_deployment_vars: {path} is no file on the controller, or does not exist on the controller."
        )
    names = _names(read(path))
    if not names:
        raise KeyturnError(
            f"rotate_deployment_vars: {path} is not a JSON object (in UTF-8) with names under the keys PROJECT_NAME"
            " and REGION."
        )
    return names


def _names(text: str) -> dict[str, str]:
    """The two names; nothing when one is missing or none."""
    try:
        content = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return {}
    found: dict[str, Any] = {key: content.get(key) for key in KEYS} if isinstance(content, Mapping) else {}
    return found if all(isinstance(one, str) and re.fullmatch(r"\S+", one) for one in found.values()) else {}


def services(given: Mapping[str, Any], file: Mapping[str, str]) -> list[dict[str, Any]]:
    """Each with cluster, service and containers; empty where nothing tells them."""
    project = given.get("rotate_project_name") or file.get("PROJECT_NAME")
    cluster = given.get("rotate_cluster") or (f"{project}-cluster" if project else "")
    service = given.get("rotate_service") or (f"{project}-api" if project else "")
    found = []
    for one in given.get("rotate_services") or [{"service": service}]:
        entry = one if isinstance(one, Mapping) else {}
        containers = entry.get("containers") or given.get("rotate_containers") or []
        found.append(
            {
                "cluster": entry.get("cluster") or cluster,
                "service": entry.get("service") or "",
                "containers": [name for name in containers if name],
            }
        )
    return found
