# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Append to a ledger, wherever it is. A file needs no AWS: neither boto3 nor a Region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._aws import Aws
from .._capability import Capability, Say
from .._errors import KeyturnError
from .._scrub import Scrubber
from . import local, s3
from .entries import lines, looking_like_keys

SPEC: dict[str, dict[str, Any]] = {
    "path": {"type": "path", "required": True},
    "entries": {"type": "list", "elements": "dict", "required": True},
}


@dataclass(frozen=True)
class LedgerCapability(Capability):
    """The capability that reaches AWS only for a path that is there."""

    def secrets(self, given: Mapping[str, Any]) -> set[str]:
        """A refused entry is an option all the same, and options are shown at high verbosity."""
        return super().secrets(given) | looking_like_keys(given.get("entries"))

    def perform(self, scrub: Scrubber, options: Mapping[str, Any], check_mode: bool, say: Say) -> dict[str, Any]:
        path = options["path"]
        try:
            if path.startswith(s3.SCHEME):
                return super().perform(scrub, options, check_mode, say)
            return local.append(path, lines(options["entries"]), check_mode=check_mode)
        except KeyturnError as error:
            raise error.with_result(path=path) from None


def in_bucket(aws: Aws, options: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Append to an object in S3; raises KeyturnError."""
    return s3.append(aws, options["path"], lines(options["entries"]), check_mode=check_mode)


CAPABILITY = LedgerCapability(spec=SPEC, run=lambda aws, options, check_mode, _say: in_bucket(aws, options, check_mode))
