# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One writer at a time, among processes of one machine and, where the file system has such locks, of several."""

from __future__ import annotations

import fcntl
import random
from collections.abc import Callable

SHORTEST, LONGEST = 0.001, 0.01  # seconds between two attempts


def lock(
    descriptor: int,
    seconds: float,
    pause: Callable[[float], None],
    uniform: Callable[[float, float], float] = random.uniform,
) -> bool:
    """Take the exclusive lock of an open file, which ends when the file is closed or the process dies.

    Returns:
        False when others held it for so many seconds.

    Raises:
        OSError: the file system has no locks.
    """
    waited = 0.0
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waited >= seconds:
                return False
        else:
            return True
        step = uniform(SHORTEST, LONGEST)
        pause(step)
        waited += step
