# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The virtual clock: simulated seconds run `speed` times as fast as real ones and can be jumped ahead."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class VirtualClock:
    """Epoch seconds, starting at `start` (default: the real time now).

    `real` is the source of real seconds, passed in so that tests need no sleep.
    """

    def __init__(
        self, speed: float = 1.0, start: float | None = None, real: Callable[[], float] = time.monotonic
    ) -> None:
        if speed < 0:
            raise ValueError("speed must not be negative")
        self._real = real
        self._speed = speed
        self._lock = threading.Lock()
        self._base_real = real()
        self._base = time.time() if start is None else start

    @property
    def speed(self) -> float:
        return self._speed

    def now(self) -> float:
        with self._lock:
            return self._base + (self._real() - self._base_real) * self._speed

    def advance(self, seconds: float) -> float:
        """Jump `seconds` ahead; returns the new time. Going back is refused: state never un-happens."""
        if seconds < 0:
            raise ValueError("the clock cannot go back")
        with self._lock:
            self._base += seconds
            return self._base + (self._real() - self._base_real) * self._speed

    def set_speed(self, speed: float) -> None:
        """Change the speed from now on."""
        if speed < 0:
            raise ValueError("speed must not be negative")
        with self._lock:
            real = self._real()
            self._base += (real - self._base_real) * self._speed
            self._base_real = real
            self._speed = speed
