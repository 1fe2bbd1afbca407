# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose policies count: the IAM user or role behind what sts:GetCallerIdentity answers.

Follows https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from .._aws import Aws
from .._ecs import last_part

_ARN = re.compile(r"arn:(?P<partition>[^:]+):(?:sts|iam)::(?P<account>\d+):(?P<rest>.+)")
_SESSION = re.compile(r"assumed-role/(?P<role>[^/]+)/.+")


@dataclass(frozen=True)
class Principal:
    """The caller.

    Attributes:
        arn: of the user or role; of a role as it is without a path.
        session: it is a role, and its path is not known.
        root: it may do everything.
    """

    arn: str
    partition: str
    account: str
    session: bool = False
    root: bool = False

    @property
    def simulated(self) -> bool:
        """IAM simulates users and roles; not, for example, federated users."""
        return bool(re.search(r":iam::\d+:(?:user|role)/", self.arn))


def parse(arn: str) -> Principal | None:
    """Make a principal of GetCallerIdentity's ``Arn``; None for what is none."""
    match = _ARN.fullmatch(arn)
    if match is None:
        return None
    partition, account, rest = match["partition"], match["account"], match["rest"]
    session = _SESSION.fullmatch(rest)
    if session is None:
        return Principal(arn, partition, account, root=rest == "root")
    return Principal(f"arn:{partition}:iam::{account}:role/{session['role']}", partition, account, session=True)


def assumed(principal: Principal, role_arn: str | None) -> Principal:
    """The principal with the path that the option ``assume_role_arn`` tells."""
    if role_arn and principal.session and last_part(role_arn) == last_part(principal.arn):
        return replace(principal, arn=role_arn, session=False)
    return principal


def with_path(aws: Aws, principal: Principal) -> Principal | None:
    """The role as IAM knows it, with its path; None where it may not be read, or is the same."""
    if not principal.session:
        return None
    name = last_part(principal.arn)
    answer = aws.call_optional("iam", "GetRole", f"role {name}", RoleName=name)
    arn = str((answer or {}).get("Role", {}).get("Arn", ""))
    return replace(principal, arn=arn, session=False) if arn and arn != principal.arn else None
