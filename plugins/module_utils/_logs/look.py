# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the looks at the streams add up to: how many lines, and those that match."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from .match import first_match, plain
from .read import Event, Reader
from .streams import Stream

MOST_MATCHES = 50
# Lines reach CloudWatch Logs some seconds after their own time, so a later look begins this much before the newest one.
OVERLAP_SECONDS = 60.0
# So many lines' ids are kept before those that no later look reads again are dropped.
FORGET_AT = 100_000


@dataclass(frozen=True)
class Match:
    """A line that a pattern matches; not redacted yet."""

    event: Event
    line: str
    pattern: re.Pattern[str]


class Look:
    """What all looks at the streams so far add up to. Times are epoch milliseconds."""

    def __init__(self, reader: Reader, patterns: tuple[re.Pattern[str], ...], since: int) -> None:
        self._reader = reader
        self._patterns = patterns
        self._since = since
        self._newest = since
        self._recent: dict[str, int] = {}
        self._room = FORGET_AT
        self._matches: list[Match] = []
        self.lines: Counter[Stream] = Counter()
        self.matches_total = 0

    def again(self, wanted: Sequence[Stream], now: int) -> None:
        """Read what is new in streams that gave lines already, and all of the others."""
        new = [stream for stream in wanted if not self.lines[stream]]
        known = [stream for stream in wanted if self.lines[stream]]
        for event in self._reader.read(known, self._horizon(now)):
            self._add(event)
        for event in self._reader.read(new, self._since):
            self._add(event)
            # What was read before is not read again in this look: these are other streams.
            if len(self._recent) > self._room:
                self._forget(now)
        self._forget(now)

    def oldest_matches(self) -> list[Match]:
        """The matches to show, oldest first."""
        self._matches.sort(key=lambda match: (match.event.at, match.event.stream.name))
        del self._matches[MOST_MATCHES:]
        return self._matches

    def _horizon(self, now: int) -> int:
        """Where the next look begins. A line whose clock is ahead does not hide those that come after it."""
        return max(self._since, min(self._newest, now) - int(OVERLAP_SECONDS * 1000))

    def _add(self, event: Event) -> None:
        if event.id and event.id in self._recent:
            return
        self._newest = max(self._newest, event.at)
        self._recent[event.id] = event.at
        self.lines[event.stream] += 1
        line = plain(event.message)
        pattern = first_match(self._patterns, line)
        if pattern is not None:
            self.matches_total += 1
            self._matches.append(Match(event, line, pattern))
            if len(self._matches) > 2 * MOST_MATCHES:
                self.oldest_matches()

    def _forget(self, now: int) -> None:
        """Drop the ids of lines that no later look reads again."""
        horizon = self._horizon(now)
        self._recent = {name: at for name, at in self._recent.items() if at >= horizon}
        self._room = max(FORGET_AT, 2 * len(self._recent))
