# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options to what is asked for: compiled patterns, a time, a pause. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from .._errors import KeyturnError
from .match import DEFAULT_PATTERNS

_ISO_8601 = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)[T ](?P<time>\d\d:\d\d)(?::(?P<seconds>\d\d(?:[.,]\d+)?))?"
    r"\s?(?P<zone>[Zz]|(?P<sign>[+-])(?P<hours>\d\d)(?::?(?P<minutes>\d\d))?)?"
)
_EPOCH = re.compile(r"\d+(?:\.\d+)?")

# AWS refuses requests that are signed with a clock further off than this, so ours is nearer.
CLOCK_SKEW = 300.0
LONGEST_SETTLE = 86_400  # seconds


@dataclass(frozen=True)
class Request:
    """What a scan is asked for.

    Attributes:
        deployment_id: empty for the PRIMARY one.
        since: epoch seconds; None for when the deployment was created.
        variable: only containers that hold it; empty for all.
        settle: seconds without a match that are demanded after the newest task became running.
    """

    cluster: str
    service: str
    deployment_id: str
    patterns: tuple[re.Pattern[str], ...]
    since: float | None
    variable: str
    settle: float
    fail_on_match: bool

    @classmethod
    def parse(cls, options: Mapping[str, Any], now: float) -> Request:
        """Check the options of ``ecs_log_scan``; ``now`` is epoch seconds.

        Raises:
            KeyturnError: an option makes no sense; the message names it.
        """
        if not 0 <= options["settle"] <= LONGEST_SETTLE:
            raise KeyturnError(
                f"settle must be from 0 to {LONGEST_SETTLE} seconds (a day): so long it waits for matches."
            )
        return cls(
            cluster=_given(options, "cluster"),
            service=_given(options, "service"),
            deployment_id=options["deployment_id"] or "",
            patterns=(
                *compiled(DEFAULT_PATTERNS if options["patterns"] is None else options["patterns"]),
                *(compiled(options["more_patterns"], "more_patterns") if options["more_patterns"] else ()),
            ),
            since=moment(options["since"], now) if options["since"] else None,
            variable=options["variable"] or "",
            settle=float(options["settle"]),
            fail_on_match=options["fail_on_match"],
        )


def _given(options: Mapping[str, Any], name: str) -> str:
    if not options[name]:
        raise KeyturnError(f"{name} is empty: give its name or ARN.")
    return str(options[name])


def compiled(patterns: Sequence[str], option: str = "patterns") -> tuple[re.Pattern[str], ...]:
    """Compile the patterns of an option.

    Raises:
        KeyturnError: there is none, one is no regular expression, or matches any line.
    """
    if not patterns:
        raise KeyturnError("patterns is empty, so no line could match: leave it out to have the default ones.")
    found = []
    for pattern in patterns:
        try:
            one = re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise KeyturnError(f"{option}: {pattern[:100]!r} is no regular expression: {error}.") from None
        if one.search(""):
            raise KeyturnError(f"{option}: {pattern!r} matches an empty line, and so every line: make it narrower.")
        found.append(one)
    return tuple(found)


def moment(text: str, now: float) -> float:
    """Return the epoch seconds that ``since`` means: ISO 8601 with a zone, or epoch seconds.

    Raises:
        KeyturnError: it is neither, or in the future, where nothing could be found.
    """
    text = text.strip()
    at = float(text) if _EPOCH.fullmatch(text) else _iso_8601(text)
    if at > now + CLOCK_SKEW:
        raise KeyturnError(
            f"since is {text}, which is in the future, so no line could be found: give ISO 8601 with a zone, or epoch "
            "seconds (not milliseconds)."
        )
    return at


def _iso_8601(text: str) -> float:
    parts = _ISO_8601.fullmatch(text)
    if parts is None:
        raise KeyturnError(
            f"since is {text!r}: give ISO 8601 with a zone, as in 2026-11-22T10:00:00Z, or epoch seconds."
        )
    if parts["zone"] is None:
        raise KeyturnError(f"since is {text!r}, without a zone: append Z for UTC, or an offset as in +02:00.")
    offset = timedelta(hours=int(parts["hours"] or 0), minutes=int(parts["minutes"] or 0))
    try:
        base = datetime.fromisoformat(f"{parts['date']}T{parts['time']}:00").replace(tzinfo=timezone.utc)
    except ValueError as error:
        raise KeyturnError(f"since is {text!r}, which is no time: {error}.") from None
    seconds = float((parts["seconds"] or "0").replace(",", "."))
    return base.timestamp() + seconds - (-1 if parts["sign"] == "-" else 1) * offset.total_seconds()
