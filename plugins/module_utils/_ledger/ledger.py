# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Append to a ledger, wherever it is. A file needs no AWS: neither boto3 nor a Region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import _capability
from .._aws import Aws
from .._errors import KeyturnError
from . import local, s3
from .entries import lines

SPEC: dict[str, dict[str, Any]] = {
    "path": {"type": "path", "required": True},
    "entries": {"type": "list", "elements": "dict", "required": True},
}


@dataclass(frozen=True)
class LedgerCapability(_capability.Capability):
    """The capability that reaches AWS only for a path that is there."""

    def answer(
        self,
        options: Mapping[str, Any],
        *,
        check_mode: bool,
        diff: bool,
        say: _capability.Say = _capability._silent,
    ) -> dict[str, Any]:
        if options["path"].startswith(s3.SCHEME):
            return super().answer(options, check_mode=check_mode, diff=diff, say=say)
        try:
            result = local.append(options["path"], lines(options["entries"]), check_mode=check_mode)
        except KeyturnError as error:
            return {"changed": False, "path": options["path"], **error.result, "msg": error.msg, "failed": True}
        if not diff:
            result.pop("diff")
        return result


def in_bucket(aws: Aws, options: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Append to an object in S3.

    Raises:
        KeyturnError: with ``path``.
    """
    path = options["path"]
    try:
        return s3.append(aws, path, lines(options["entries"]), check_mode=check_mode)
    except KeyturnError as error:
        raise error.with_result(path=path) from None


CAPABILITY = LedgerCapability(spec=SPEC, run=lambda aws, options, check_mode, _say: in_bucket(aws, options, check_mode))
