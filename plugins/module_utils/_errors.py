# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Errors that carry the fields of the result they end in.

Nothing here knows Ansible: a module or an action plugin turns such an error into its failed result.
"""

from __future__ import annotations

from typing import Any


class KeyturnError(Exception):
    """Something the operator has to act on.

    Args:
        msg: one sentence or two: what is wrong, on what, and what to do. Never holds a secret's value.
        result: further fields of the failed result, such as ``changed`` and ``actions`` when part of the work was done.
    """

    def __init__(self, msg: str, **result: Any) -> None:
        super().__init__(msg)
        self.msg = msg
        self.result = result

    def with_result(self, **result: Any) -> KeyturnError:
        """Add result fields that only the caller knows; fields that are there already win."""
        self.result = {**result, **self.result}
        return self


class GoneError(KeyturnError):
    """There is no such service, or it is being deleted."""


class AwsError(KeyturnError):
    """A call to AWS failed.

    Attributes:
        operation: ``service:Operation`` of the failed call, for example ``ecs:UpdateService``.
        code: AWS's error code, or the name of botocore's exception when no answer came.
        outcome_unknown: True when AWS may have carried out the call: the answer was lost, or was a 5xx.
        transient: True when the same call may well succeed later: no connection, no answer, a 5xx, or throttled.
    """

    def __init__(
        self,
        msg: str,
        *,
        operation: str,
        code: str,
        outcome_unknown: bool = False,
        transient: bool = False,
        **result: Any,
    ) -> None:
        super().__init__(msg, **result)
        self.operation = operation
        self.code = code
        self.outcome_unknown = outcome_unknown
        self.transient = transient


class AccessDeniedError(AwsError):
    """The caller lacks a permission; ``permission`` names it (``ecs:ListTasks``), ``resource`` where AWS does."""

    def __init__(self, msg: str, *, permission: str, resource: str = "", **fields: Any) -> None:
        super().__init__(msg, **fields)
        self.permission = permission
        self.resource = resource


class NotSupportedError(AwsError):
    """The endpoint, the service's kind or the installed botocore does not know the operation."""
