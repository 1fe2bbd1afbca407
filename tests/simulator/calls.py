# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The call log. It holds no request or answer bodies: those carry values."""

from __future__ import annotations

import dataclasses
import threading
from dataclasses import dataclass
from typing import Any

from .authorization import Permission


@dataclass(frozen=True)
class LoggedCall:
    """`time`: real epoch seconds at the answer; `duration` in seconds; `error`: the AWS error code, `status` 0 when
    the connection was closed without an answer; `permissions`: what the call needs (action, resource, context), of
    callers whose policies are enforced; of a refused call the last one is what lacks."""

    time: float
    duration: float
    service: str
    operation: str
    account: str
    region: str
    access_key: str
    user_agent: str
    status: int
    error: str | None
    permissions: tuple[Permission, ...] = ()


class CallLog:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[LoggedCall] = []

    def add(self, call: LoggedCall) -> None:
        with self._lock:
            self._calls.append(call)

    def read(self) -> list[dict[str, Any]]:
        with self._lock:
            return [dataclasses.asdict(call) for call in self._calls]

    def clear(self) -> None:
        with self._lock:
            self._calls.clear()
