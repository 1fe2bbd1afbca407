# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many workers, one account: whoever would exceed ECS's request limits waits for its turn instead of being refused.

ECS lets every account and Region make a burst of calls, and so many a second after that. Workers that are refused and
try again at random get in each other's way; here each takes the next free turn, first come, first served. Nobody waits
before AWS refused a call: an account's limits may have been raised.

Follows https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html
"""

from __future__ import annotations

import hashlib
import struct
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from ._forks import SharedMemory


@dataclass(frozen=True)
class Limit:
    """A bucket that several operations share: ``burst`` calls at once, then ``rate`` a second."""

    name: str
    burst: float
    rate: float


_LIMITS = (
    (Limit("task definitions, changed", 20, 1), ("RegisterTaskDefinition", "DeregisterTaskDefinition")),
    (Limit("task definitions, deleted", 5, 1), ("DeleteTaskDefinitions",)),
    (Limit("task definitions, read", 50, 20), ("DescribeTaskDefinition", "ListTaskDefinitions")),
    (Limit("services, changed", 50, 5), ("CreateService", "UpdateService", "DeleteService")),
    (Limit("services, read", 100, 20), ("DescribeServices", "ListServices")),
    (Limit("service deployments, read", 50, 20), ("DescribeServiceDeployments", "ListServiceDeployments")),
    (Limit("service revisions, read", 50, 20), ("DescribeServiceRevisions",)),
    (Limit("tasks, read", 100, 20), ("DescribeTasks", "ListTasks")),
    (Limit("tags, changed", 20, 10), ("TagResource", "UntagResource")),
)
LIMITS = {("ecs", operation): limit for limit, operations in _LIMITS for operation in operations}
# By Region 5 to 25 a second, mostly 10.
LIMITS["logs", "FilterLogEvents"] = Limit("log events, filtered", 10, 10)

_ENTRY = struct.Struct("=8sd")  # whose bucket, and when it is empty
_ENTRIES = 1024


class Pace:
    """Turns, by account and bucket. Processes that are forked after :meth:`share` keep one order.

    Args:
        now: seconds that all processes of the machine count alike.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._table: Any = bytearray(_ENTRY.size * _ENTRIES)
        self._shared: SharedMemory | None = None

    def share(self) -> None:
        """From now on the turns are those of this process and of all that it forks.

        Raises:
            OSError: there is no place for a temporary file.
        """
        if self._shared is None:
            self._shared = SharedMemory(len(self._table))
            self._table = self._shared.bytes

    def turn(self, account: str, service: str, operation: str) -> float:
        """Seconds to wait before a call: none while AWS refused nothing."""
        return self._take(account, service, operation, refused=False)

    def refused(self, account: str, service: str, operation: str) -> float | None:
        """Seconds to wait before the call that AWS just refused is made again; None where no limit is known."""
        return self._take(account, service, operation, refused=True) if (service, operation) in LIMITS else None

    def _take(self, account: str, service: str, operation: str, refused: bool) -> float:
        limit = LIMITS.get((service, operation))
        if limit is None:
            return 0.0
        whose = hashlib.sha256(f"{account}\0{limit.name}".encode("utf-8", "surrogatepass")).digest()[:8]
        with self._shared.alone() if self._shared else nullcontext():
            now, (at, empty) = self._now(), self._entry(whose)
            if at is None or not (empty or refused):
                return 0.0
            # The bucket is as full as it can be since the time since it was empty; a turn empties it by one call more.
            since = max(empty, now if refused else now - limit.burst / limit.rate)
            _ENTRY.pack_into(self._table, at, whose, since + 1 / limit.rate)
        return max(0.0, since + 1 / limit.rate - now)

    def _entry(self, whose: bytes) -> tuple[int | None, float]:
        """Where a bucket stands in the table, and when it is empty, 0 for never; no place when the table is full."""
        first = int.from_bytes(whose, "little")
        for step in range(_ENTRIES):
            at = (first + step) % _ENTRIES * _ENTRY.size
            key, empty = _ENTRY.unpack_from(self._table, at)
            if key == whose or not any(key):
                return at, empty
        return None, 0.0
