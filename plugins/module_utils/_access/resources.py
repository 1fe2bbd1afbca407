# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a value can be read from, and by which calls. Pure.

Follows https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
(the pages of ECS, Secrets Manager and Systems Manager) and
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .._ecs import family_of, last_part
from .._errors import KeyturnError
from .._preflight.needs import ANYTHING, Need

TASK_DEFINITION, SECRET, PARAMETER = "task definition", "secret", "parameter"

# Secrets Manager puts a hyphen and six characters behind the name.
_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}$")
_KINDS = (
    (re.compile(r"arn:[^:]+:ecs:([^:]+):(\d+):task-definition/[^:/]+:\d+"), TASK_DEFINITION),
    (re.compile(r"arn:[^:]+:secretsmanager:([^:]+):(\d+):secret:[^:]+"), SECRET),
    (re.compile(r"arn:[^:]+:ssm:([^:]+):(\d+):parameter/.+"), PARAMETER),
)


@dataclass(frozen=True)
class Resource:
    """Something that holds the value.

    Attributes:
        kind: one of the three above.
    """

    arn: str
    kind: str
    region: str
    account: str

    @classmethod
    def parse(cls, arn: str) -> Resource:
        """Read an ARN.

        Raises:
            KeyturnError: it is none of a revision, a secret or a parameter.
        """
        for pattern, kind in _KINDS:
            match = pattern.fullmatch(arn)
            if match is not None:
                return cls(arn, kind, match[1], match[2])
        raise KeyturnError(
            f"resources: {arn or 'nothing'} is no ARN of a task definition's revision, a secret or a parameter: "
            "give what ecs_env_info returns as task_definition or secret_arn."
        )

    @property
    def names(self) -> frozenset[str]:
        """What a call may name it by. A family's bare name means its newest revision, which may be this one."""
        if self.kind == TASK_DEFINITION:
            return frozenset({self.arn, last_part(self.arn), family_of(self.arn)})
        if self.kind == SECRET:
            name = self.arn.split(":secret:", 1)[1]
            return frozenset({self.arn, name, _SUFFIX.sub("", self.arn), _SUFFIX.sub("", name)})
        path = self.arn.split(":parameter", 1)[1]
        return frozenset({self.arn, path, path.removeprefix("/")})


@dataclass(frozen=True)
class Way:
    """A call that shows the value.

    Attributes:
        event: its name, which is CloudTrail's ``eventName``, too.
        named: the resources that a call's ``requestParameters`` name.
        anywhere: the action knows no resources, so policies allow it on all or none.
    """

    kind: str
    service: str
    event: str
    named: Callable[[Mapping[str, Any]], Iterable[str]]
    anywhere: bool = False

    @property
    def action(self) -> str:
        return f"{self.service}:{self.event}"

    def need(self, resource: Resource) -> Need:
        """The permission to ask IAM about."""
        return Need(self.action, ANYTHING if self.anywhere else resource.arn)

    def shows(self, resource: Resource, asked: Mapping[str, Any]) -> bool:
        """A call with these ``requestParameters`` showed the resource, as far as its names tell."""
        # A parameter may be asked for with a version or label: name:3.
        named = {str(name) for name in self.named(asked)}
        if self.kind == PARAMETER:
            named |= {name.rpartition(":")[0] for name in named if not name.startswith("arn:") or name.count(":") > 5}
        return not resource.names.isdisjoint(named)


def _one(member: str) -> Callable[[Mapping[str, Any]], Iterable[str]]:
    return lambda asked: [asked.get(member) or ""]


WAYS = (
    Way(TASK_DEFINITION, "ecs", "DescribeTaskDefinition", _one("taskDefinition"), anywhere=True),
    # BatchGetSecretValue leaves one such event for each secret, and needs the same permission.
    Way(SECRET, "secretsmanager", "GetSecretValue", _one("secretId")),
    Way(PARAMETER, "ssm", "GetParameter", _one("name")),
    Way(PARAMETER, "ssm", "GetParameters", lambda asked: asked.get("names") or ()),
    Way(PARAMETER, "ssm", "GetParameterHistory", _one("name")),
)
