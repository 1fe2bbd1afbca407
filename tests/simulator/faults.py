# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Faults that a test asks for: the next calls of an operation fail in a chosen way."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

KINDS = (
    "throttle",  # ThrottlingException, HTTP 400
    "error",  # `code`, `message`, HTTP `status`
    "internal",  # ServerException, HTTP 500
    "reset",  # connection closed, nothing done
    "lost_answer",  # done, then connection closed
    "timeout",  # hangs `seconds` real seconds, then closes the connection; nothing done
    "no_answer",  # done, then the same
    "denied",  # AccessDeniedException
    "expired",  # ExpiredTokenException
    "concurrent_revision",  # ClientException, RegisterTaskDefinition's race
    "stale",  # eventual consistency: the newest revision or deployment is missing from the answer
)


@dataclass(eq=False)
class Fault:
    """`times` calls are hit (None: for ever), after `after` calls went through untouched. "*" matches everything.

    `agent`: only calls whose User-Agent holds this text.
    """

    kind: str
    operation: str = "*"
    service: str = "ecs"
    times: int | None = 1
    after: int = 0
    code: str = "ClientException"
    message: str = "An injected fault."
    status: int = 400
    seconds: float = 5.0
    account: str | None = None
    region: str | None = None
    agent: str = ""
    over: threading.Event = field(default_factory=threading.Event, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown fault kind {self.kind!r}, one of: {', '.join(KINDS)}")

    def matches(self, service: str, operation: str, account: str, region: str, agent: str) -> bool:
        return (
            self.agent in agent
            and self.service in ("*", service)
            and self.operation in ("*", operation)
            and self.account in (None, account)
            and self.region in (None, region)
        )


class Faults:
    """The faults still to come, in the order they were asked for; one call meets at most one of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._hanging: list[Fault] = []

    @property
    def hanging(self) -> int:
        """How many calls hang now."""
        return len(self._hanging)

    def hang(self, fault: Fault) -> None:
        """Return when the fault's time is over, or it was cleared."""
        with self._lock:
            self._hanging.append(fault)
        fault.over.wait(fault.seconds)
        with self._lock:
            self._hanging.remove(fault)

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        with self._lock:
            for fault in (*self._faults, *self._hanging):
                fault.over.set()
            self._faults.clear()

    def take(self, service: str, operation: str, account: str, region: str, agent: str = "") -> Fault | None:
        """The fault that hits this call, counted; None for a call that goes through."""
        with self._lock:
            for fault in self._faults:
                if not fault.matches(service, operation, account, region, agent):
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self._faults.remove(fault)
                return fault
        return None
