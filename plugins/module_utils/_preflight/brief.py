# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Calls without which the preflight can do, and whose reason to fail the operator wants to know."""

from __future__ import annotations

from typing import Any

from .._aws import OPTIONAL, Aws
from .._errors import AwsError


def call_briefly(aws: Aws, service: str, operation: str, on: str, /, **params: Any) -> dict[str, Any]:
    """Call an operation once, with short timeouts: private networks often have no way to IAM or STS.

    Not by ``call_optional``, which does not tell why there is no answer. Throttled, it is tried as long as any other.

    Raises:
        AwsError: as ``Aws.call`` does.
    """
    try:
        return aws._call(service, operation, on, params, OPTIONAL)
    except AwsError as error:
        if "hrottl" not in error.code:
            raise
    return aws.call(service, operation, on, **params)
