# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who calls, from which account, into which Region: read from the SigV4 Authorization header.

Signatures are not verified. Static keys belong to DEFAULT_ACCOUNT; temporary keys to the account of the role for
which moto's STS issued them.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

DEFAULT_ACCOUNT = "123456789012"
_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/\d+/([^/,\s]+)/([^/,\s]+)/aws4_request")


@dataclass(frozen=True)
class Caller:
    access_key: str
    account: str
    region: str
    service: str  # the signing name
    principal: str  # ARN

    @property
    def static(self) -> bool:
        """The account's own key, which may do everything; not one that AssumeRole issued."""
        return self.principal.endswith(":user/simulator")


def read(authorization: str) -> Caller:
    """The caller behind an Authorization header; an anonymous one of us-east-1 without it."""
    match = _CREDENTIAL.search(authorization)
    if match is None:
        return Caller("", DEFAULT_ACCOUNT, "us-east-1", "", f"arn:aws:iam::{DEFAULT_ACCOUNT}:user/anonymous")
    access_key, region, service = match.groups()
    account, principal = _owner(access_key)
    return Caller(access_key, account, region, service, principal)


def _owner(access_key: str) -> tuple[str, str]:
    """(account, principal's ARN). moto need not be loaded to know that it issued no keys yet."""
    if "moto.iam.models" in sys.modules:
        from moto.iam.models import get_account_id_from
        from moto.sts.models import sts_backends

        account = str(get_account_id_from(access_key))
        role = sts_backends[account]["aws"].get_assumed_role_from_access_key(access_key)
        if role is not None:
            return account, str(role.arn)
        return account, f"arn:aws:iam::{account}:user/simulator"
    return DEFAULT_ACCOUNT, f"arn:aws:iam::{DEFAULT_ACCOUNT}:user/simulator"
