# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read what stands in log streams since a time, with as few calls as CloudWatch Logs allows.

FilterLogEvents takes a hundred streams of a group at once and answers up to 10,000 lines or 1 MB a page, oldest first;
GetLogEvents would take two calls a stream. AWS's filter patterns know no full regular expressions, so every line is
read. Follows https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .._aws import Aws
from .._errors import AwsError
from .streams import Stream

STREAMS_A_CALL = 100
# AWS refuses a call for one stream that does not exist, and does not say which: the rest is asked for in parts.
PARTS = 10


@dataclass(frozen=True)
class Event:
    """A log line; ``at`` is its own time, epoch milliseconds, ``id`` CloudWatch Logs' own of the event."""

    at: int
    id: str
    stream: Stream
    message: str


class Reader:
    """Reads streams. Keeps which of them, and which log groups, were found missing when last asked for."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self.missing: set[Stream] = set()
        self.missing_groups: set[tuple[str, str]] = set()

    def read(self, streams: Sequence[Stream], since: int) -> Iterator[Event]:
        """Give the lines of streams since a time in epoch milliseconds, by group and batch, oldest first.

        Raises:
            AccessDeniedError: the lines of a log group may not be read; its name and the permission are told.
            AwsError: they cannot be read.
        """
        groups: dict[tuple[str, str], list[Stream]] = {}
        for stream in streams:
            groups.setdefault((stream.region, stream.group), []).append(stream)
        for place, members in groups.items():
            self.missing.difference_update(members)
            self.missing_groups.discard(place)
            for start in range(0, len(members), STREAMS_A_CALL):
                yield from self._batch(members[start : start + STREAMS_A_CALL], since)

    def _batch(self, batch: Sequence[Stream], since: int) -> Iterator[Event]:
        """The lines of some streams of one group."""
        place = (batch[0].region, batch[0].group)
        if place in self.missing_groups:
            return
        try:
            first = self._page(batch, since)
        except AwsError as error:
            if error.code != "ResourceNotFoundException":
                raise
            if "log group does not exist" in error.msg:
                self.missing_groups.add(place)
            elif len(batch) == 1:
                self.missing.add(batch[0])
            else:
                yield from self._in_parts(batch, since)
            return
        yield from self._pages(first, batch, since)

    def _in_parts(self, batch: Sequence[Stream], since: int) -> Iterator[Event]:
        size = -(-len(batch) // PARTS)
        for start in range(0, len(batch), size):
            yield from self._batch(batch[start : start + size], since)

    def _pages(self, page: dict[str, Any], batch: Sequence[Stream], since: int) -> Iterator[Event]:
        """The lines of a first page and all that follow; an empty page with a token is not the last."""
        by_name = {stream.name: stream for stream in batch}
        while True:
            for event in page.get("events") or ():
                stream = by_name.get(event.get("logStreamName", ""))
                at = int(event.get("timestamp") or 0)
                if stream is not None and at >= since:
                    yield Event(at, event.get("eventId") or "", stream, event.get("message") or "")
            if not page.get("nextToken"):
                return
            page = self._page(batch, since, nextToken=page["nextToken"])

    def _page(self, batch: Sequence[Stream], since: int, **more: str) -> dict[str, Any]:
        region, group = batch[0].region, batch[0].group
        names = [stream.name for stream in batch]
        on = f"log group {group} in Region {region}"
        return self._aws.in_region(region).call(
            "logs", "FilterLogEvents", on, logGroupName=group, logStreamNames=names, startTime=since, **more
        )
