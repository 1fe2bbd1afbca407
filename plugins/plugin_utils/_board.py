# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Progress of a play with many hosts: one line every few seconds for all of them, whichever worker has it to tell."""

from __future__ import annotations

import hashlib
import struct
import time
from collections.abc import Callable, Sequence

from ansible_collections.keyturn.ecs.plugins.module_utils._forks import SharedMemory

SECONDS = 5.0
NAMED = 5
UNDER_WAY, DONE, FAILING = 1, 2, 3

_HEAD = struct.Struct("=16sd")  # the task that is counted, and when it was told of last
_HOSTS = 16384


class Board:
    """What became of every host at one task, in memory that all workers share that are forked after it was made.

    Args:
        now: seconds that all processes of the machine count alike.

    Raises:
        OSError: there is no place for a temporary file.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._shared = SharedMemory(_HEAD.size + _HOSTS)

    def mark(self, task: str, hosts: Sequence[str], host: str, state: int) -> str | None:
        """Note what a host does now.

        Args:
            task: which task, one play's from another's.
            hosts: all hosts of the play, in order.
            state: UNDER_WAY, DONE or FAILING.

        Returns:
            The line to show, when it is time for one: every :data:`SECONDS`, and when the last host ends.
        """
        which, index = hashlib.sha256(task.encode()).digest()[:16], hosts.index(host)
        if index >= _HOSTS:
            return None
        with self._shared.alone():
            now, memory = self._now(), self._shared.bytes
            counted, told = _HEAD.unpack_from(memory, 0)
            if counted != which:
                memory[_HEAD.size :] = bytes(_HOSTS)
                told = now
            memory[_HEAD.size + index] = state
            states = memory[_HEAD.size : _HEAD.size + len(hosts)]
            ended = states.count(DONE) + states.count(FAILING)
            due = now - told >= SECONDS or (state != UNDER_WAY and ended == len(hosts))
            _HEAD.pack_into(memory, 0, which, now if due else told)
        return _line(states, hosts) if due else None


def _line(states: bytes, hosts: Sequence[str]) -> str:
    failing = [host for host, state in zip(hosts, states, strict=False) if state == FAILING]
    line = f"{states.count(DONE)}/{len(hosts)} rolled out"
    if failing:
        more = f" and {len(failing) - NAMED} more" if len(failing) > NAMED else ""
        line += f", {len(failing)} failing: {', '.join(failing[:NAMED])}{more}"
    return line
