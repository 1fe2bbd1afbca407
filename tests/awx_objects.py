# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The objects of examples/awx, as the playbooks there load them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[1] / "examples/awx"
Json = dict[str, Any]


class Loader(yaml.SafeLoader):
    """Knows Ansible's tag for strings that are no templates."""


Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))


def objects() -> dict[str, list[Json]]:
    """Variable of infra.aap_configuration to its objects."""
    found: dict[str, list[Json]] = yaml.load((PROJECT / "configure/objects.yml").read_text(), Loader)
    return found


def one(variable: str, name: str) -> Json:
    (found,) = (item for item in objects()[variable] if item["name"] == name)
    return found


def surveys() -> dict[str, list[Json]]:
    """Template or workflow to the questions that it asks."""
    asking = [*objects()["controller_templates"], *objects()["controller_workflows"]]
    return {item["name"]: item["survey_spec"]["spec"] for item in asking}
