# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Token buckets per account and Region (ECS developer guide, "Request throttling for the Amazon ECS API").

They run on real time by default: `speed` makes rollouts quick, but a client's request rate is real.
Operations that the table does not name are not limited here; the documents group them in buckets of their own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """One shared bucket: `burst` tokens at most, refilled with `rate` per second."""

    name: str
    burst: float
    rate: float


_LIMITS: tuple[tuple[Limit, str, tuple[str, ...]], ...] = (
    (Limit("register", 20, 1), "ecs", ("RegisterTaskDefinition", "DeregisterTaskDefinition")),
    (Limit("delete-definitions", 5, 1), "ecs", ("DeleteTaskDefinitions",)),
    (Limit("read-definitions", 50, 20), "ecs", ("DescribeTaskDefinition", "ListTaskDefinitions")),
    (Limit("modify-services", 50, 5), "ecs", ("CreateService", "UpdateService", "DeleteService")),
    (Limit("read-services", 100, 20), "ecs", ("DescribeServices", "ListServices")),
    (Limit("read-deployments", 50, 20), "ecs", ("DescribeServiceDeployments", "ListServiceDeployments")),
    (Limit("read-revisions", 50, 20), "ecs", ("DescribeServiceRevisions",)),
    (Limit("read-tasks", 100, 20), "ecs", ("DescribeTasks", "ListTasks")),
    (Limit("tags", 20, 10), "ecs", ("TagResource", "UntagResource")),
    (Limit("filter-logs", 10, 10), "logs", ("FilterLogEvents",)),
)
LIMITS: dict[tuple[str, str], Limit] = {
    (service, operation): limit for limit, service, operations in _LIMITS for operation in operations
}


@dataclass
class Bucket:
    """A token bucket that is told the time."""

    limit: Limit
    tokens: float
    at: float

    def take(self, now: float) -> bool:
        """Take one token at `now`; False when there is none."""
        self.tokens = min(self.limit.burst, self.tokens + max(0.0, now - self.at) * self.limit.rate)
        self.at = max(self.at, now)
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


class Buckets:
    """All buckets of an endpoint. `now` is real time unless the virtual clock is passed."""

    def __init__(self, enabled: bool = True, now: Callable[[], float] = time.monotonic) -> None:
        self.enabled = enabled
        self._now = now
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, str, str], Bucket] = {}

    def allow(self, account: str, region: str, service: str, operation: str) -> bool:
        limit = LIMITS.get((service, operation))
        if limit is None or not self.enabled:
            return True
        with self._lock:
            now = self._now()
            bucket = self._buckets.setdefault((account, region, limit.name), Bucket(limit, limit.burst, now))
            return bucket.take(now)

    def reset(self) -> None:
        with self._lock:
            self._buckets.clear()
