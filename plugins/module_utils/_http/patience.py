# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a request is sent again, and how long is waited before."""

from __future__ import annotations

import email.utils
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timezone

from .exchange import NoReply, Reply

# How often a call is tried in all, by what went wrong. What is not here is not tried again.
ATTEMPTS = {"rate_limited": 4, "server_error": 4, "no_connection": 3, "lost_answer": 3, "timeout": 2}
# A server that asks for a longer pause than this (seconds) is not waited for.
LONGEST_PAUSE = 60.0


@dataclass(frozen=True)
class Clock:
    """Time, as it is passed in. ``jitter`` gives a factor from 0.5 to 1.5."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = lambda: random.uniform(0.5, 1.5)


def pause(attempt: int, outcome: Reply | NoReply, clock: Clock) -> bool:
    """Wait before the next attempt, as long as the server asks; False when it asks for too long."""
    header = outcome.headers.get("Retry-After") if isinstance(outcome, Reply) else None
    asked = retry_after(header, clock.now())
    seconds = asked if asked is not None else min(8.0, 0.5 * 2**attempt) * clock.jitter()
    if seconds > LONGEST_PAUSE:
        return False
    clock.sleep(seconds)
    return True


def retry_after(header: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header asks for, in either of its forms (RFC 9110, 10.2.3); None without one."""
    if not header:
        return None
    if re.fullmatch(r"\s*\d{1,9}(\.\d{1,9})?\s*", header):
        return float(header)
    try:
        date = email.utils.parsedate_to_datetime(header)
        date = date if date.tzinfo else date.replace(tzinfo=timezone.utc)
        return max(0.0, date.timestamp() - now)
    except (ValueError, OverflowError):
        return None
