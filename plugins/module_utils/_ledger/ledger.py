# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Append to a ledger and read it, wherever it is. A file needs no AWS: neither boto3 nor a Region."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._aws import Aws
from .._capability import Capability, Say
from .._errors import KeyturnError
from .._scrub import Scrubber
from . import local, s3
from .entries import lines, looking_like_keys, read

SPEC: dict[str, dict[str, Any]] = {
    "path": {"type": "path", "required": True},
    "entries": {"type": "list", "elements": "dict", "required": True},
}
INFO_SPEC: dict[str, dict[str, Any]] = {
    "path": {"type": "path", "required": True},
    "where": {"type": "dict", "default": {}},
}

Options = Mapping[str, Any]


@dataclass(frozen=True)
class LedgerCapability(Capability):
    """A capability that reaches AWS only for a path that is there.

    Attributes:
        in_file: ``(options, check_mode)`` to the result, for a path that is a file's.
    """

    in_file: Callable[[Options, bool], dict[str, Any]] = field(kw_only=True)

    def secrets(self, given: Options) -> set[str]:
        """A refused entry is an option all the same, and options are shown at high verbosity."""
        return super().secrets(given) | looking_like_keys(given.get("entries"))

    def perform(self, scrub: Scrubber, options: Options, check_mode: bool, say: Say) -> dict[str, Any]:
        path = options["path"]
        try:
            if path.startswith(s3.SCHEME):
                return super().perform(scrub, options, check_mode, say)
            return self.in_file(options, check_mode)
        except KeyturnError as error:
            raise error.with_result(path=path) from None


def append(aws: Aws, options: Options, check_mode: bool) -> dict[str, Any]:
    """Append to an object in S3; raises KeyturnError."""
    return s3.append(aws, options["path"], lines(options["entries"]), check_mode=check_mode)


def told(options: Options, ledger: bytes | None) -> dict[str, Any]:
    """What a ledger holds, as ``ledger_info`` tells it; None is one that is not there."""
    entries, broken = read(ledger or b"", options["where"] or {})
    path = options["path"]
    text = f"{path}: {broken} lines are no JSON and were passed over; one may have been cut off."
    return {
        "changed": False,
        "path": path,
        "exists": ledger is not None,
        "entries": entries,
        "broken": broken,
        "warnings": [text] if broken else [],
    }


CAPABILITY = LedgerCapability(
    spec=SPEC,
    run=lambda aws, options, check_mode, _say: append(aws, options, check_mode),
    in_file=lambda options, check_mode: local.append(options["path"], lines(options["entries"]), check_mode=check_mode),
)
INFO = LedgerCapability(
    spec=INFO_SPEC,
    run=lambda aws, options, _check_mode, _say: told(options, s3.content(aws, options["path"])),
    in_file=lambda options, _check_mode: told(options, local.content(options["path"])),
)
