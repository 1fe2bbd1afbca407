# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Memory that a process shares with all that it forks afterwards."""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


class SharedMemory:
    """So many bytes, zero at first, and a lock.

    Raises:
        OSError: there is no place for a temporary file.
    """

    def __init__(self, size: int) -> None:
        self.bytes = mmap.mmap(-1, size)
        self._lock, name = tempfile.mkstemp(prefix="keyturn-")
        os.unlink(name)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep all others out; a process that dies lets go."""
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)
