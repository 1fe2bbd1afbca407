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
from .._errors import AwsError

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


def with_path(aws: Aws, principal: Principal, error: AwsError) -> Principal:
    """The role as IAM knows it, with its path.

    Args:
        error: what IAM said of the role without one.

    Raises:
        AwsError: the same, where there is no other ARN; with why the path could not be read.
    """
    if not principal.session:
        raise error
    name = last_part(principal.arn)
    answer, why = aws.call_or_why("iam", "GetRole", f"role {name}", RoleName=name)
    arn = str((answer or {}).get("Role", {}).get("Arn", ""))
    if not arn or arn == principal.arn:
        error.msg += f". Whether the role has a path could not be seen: {why}" * bool(why)
        raise error
    return replace(principal, arn=arn, session=False)
