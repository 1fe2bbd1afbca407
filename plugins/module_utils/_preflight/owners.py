# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which tool owns a service, by its tags: its next run brings back what it knows. Pure.

Follows https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-resource-tags.html (the tags that
CloudFormation, and so CDK and Copilot, sets by itself). Terraform sets none: what is looked for are conventions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_SOMEBODY = r"(?:[\w.-]+[:/])?(?:managed|provisioned|created|deployed)[-_ ]?(?:by|with)|provisioner|iac|iac[-_]?tool"
_NOT = r"(?!(?:false|no|none|0)?$).*"


@dataclass(frozen=True)
class Owner:
    """A row: tags whose key and value match, any case, tell the owner.

    Attributes:
        name: with ``{value}`` for the tag's value.
        run: what its next run is called.
        remedy: how its source is made to agree with the rotation.
    """

    name: str
    key: re.Pattern[str]
    value: re.Pattern[str]
    run: str
    remedy: str


def _owner(name: str, key: str, value: str, run: str, remedy: str) -> Owner:
    return Owner(name, re.compile(key, re.IGNORECASE), re.compile(value, re.IGNORECASE), run, remedy)


_TERRAFORM = (
    "put the new value or a reference into its source, or have lifecycle { ignore_changes = [task_definition] } in "
    "aws_ecs_service, or read the revision from data aws_ecs_task_definition"
)
_TEMPLATE = "put the new value, or better a reference to a secret (store=secretsmanager), into its {source}"

# The first that matches counts: Copilot's and CDK's stacks are CloudFormation's, too.
OWNERS: tuple[Owner, ...] = (
    _owner(
        "Copilot (application {value})",
        r"copilot-application",
        r".+",
        "copilot svc deploy",
        _TEMPLATE.format(source="manifest"),
    ),
    _owner(
        "CloudFormation or CDK (stack {value})",
        r"aws:cloudformation:stack-name",
        r".+",
        "deployment of the stack",
        _TEMPLATE.format(source="template or CDK code"),
    ),
    _owner(
        "CloudFormation or CDK",
        _SOMEBODY,
        r"(?:aws[-_ ]?)?(?:cdk|cloudformation).*",
        "deployment of the stack",
        _TEMPLATE.format(source="template or CDK code"),
    ),
    _owner(
        "Terraform",
        _SOMEBODY,
        r".*(?:terraform|opentofu|terragrunt|\btofu\b).*",
        "apply",
        _TERRAFORM,
    ),
    _owner(
        "Terraform",
        r"(?:[\w.-]+[:/])?(?:terraform|opentofu|terragrunt)(?:[-_:./ ].*)?|tf[-_](?:workspace|module|state)",
        _NOT,
        "apply",
        _TERRAFORM,
    ),
    _owner(
        "Pulumi", rf"{_SOMEBODY}|pulumi(?:[-_:./].*)?", r".*pulumi.*", "pulumi up", "put the new value into its source"
    ),
)


def owner_of(tags: Iterable[tuple[str, str]]) -> tuple[Owner, str] | None:
    """The first row that a tag matches, and the tag's value; None when no tag tells an owner."""
    listed = list(tags)
    for owner in OWNERS:
        for key, value in listed:
            if owner.key.fullmatch(key.strip()) and owner.value.fullmatch(value.strip()):
                return owner, value.strip()
    return None
