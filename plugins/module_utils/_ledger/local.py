# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A ledger that is a local file: a lock around one write at its end."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Sequence
from typing import Any

from .._errors import KeyturnError
from .._lock import lock
from .entries import Addition, Line, addition, needs_content, result

MODE = 0o600  # of a ledger that is made
WAIT = 60.0  # seconds for others that hold the lock; each of them takes some milliseconds

Pause = Callable[[float], None]


def append(path: str, wanted: Sequence[Line], *, check_mode: bool, pause: Pause = time.sleep) -> dict[str, Any]:
    """Append lines to a file, and return when they are on the disk.

    Raises:
        KeyturnError: the file cannot be written, with what to do. Nothing was appended then.
    """
    try:
        _check(path)
        if check_mode or not wanted:
            added = addition(wanted, _content(path, wanted))
        else:
            added = _append(path, wanted, pause)
    except OSError as error:
        remedy = " Run as a user who may write it." if error.errno in (errno.EACCES, errno.EPERM) else ""
        raise KeyturnError(f"{path}: {error.strerror or type(error).__name__}. Nothing was appended.{remedy}") from None
    except ValueError:
        raise KeyturnError("path holds a NUL or bytes that are no UTF-8: give the path of a file.") from None
    return result(path, added)


def content(path: str) -> bytes | None:
    """What a file holds; None where there is none.

    Raises:
        KeyturnError: it cannot be read, with what to do.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise KeyturnError(f"{path} is no regular file: give the path of a file.")
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeyturnError(
            f"{path}: {error.strerror or type(error).__name__}. Run as a user who may read it."
        ) from None


def _check(path: str) -> None:
    """Refuse what cannot be appended to, as well in check mode."""
    folder = os.path.dirname(path) or "."
    try:
        status = os.stat(path)
    except FileNotFoundError:
        if not os.path.isdir(folder):
            raise KeyturnError(f"{path}: there is no folder {folder}. Make it first, or correct path.") from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None
        return
    if not stat.S_ISREG(status.st_mode):
        raise KeyturnError(f"{path} is no regular file: give the path of a file.")
    if not os.access(path, os.R_OK | os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _content(path: str, wanted: Sequence[Line]) -> bytes:
    """The ledger, where it has to be known."""
    if not needs_content(wanted) or not os.path.exists(path):
        return b""
    with open(path, "rb") as file:
        return file.read()


def _append(path: str, wanted: Sequence[Line], pause: Pause) -> Addition:
    descriptor = _locked(path, pause)
    try:
        size = os.fstat(descriptor).st_size
        added = addition(wanted, _content(path, wanted))
        if added.lines:
            last = os.pread(descriptor, 1, size - 1) if size else b""
            _write(descriptor, added.after(last), size)
            if not size:
                _sync_folder(path)
        return added
    finally:
        os.close(descriptor)


def _locked(path: str, pause: Pause) -> int:
    """Open the file and lock it; once more when it was moved away meanwhile, as by logrotate."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE)
        kept = False
        try:
            if not lock(descriptor, WAIT, pause):
                raise KeyturnError(
                    f"Another process has held the lock of {path} for {WAIT:.0f} seconds. Nothing was appended; end it "
                    "and run again."
                )
            kept = os.path.exists(path) and os.path.samestat(os.stat(path), os.fstat(descriptor))
            if kept:
                return descriptor
        finally:
            if not kept:
                os.close(descriptor)


def _write(descriptor: int, data: bytes, size: int) -> None:
    """Append in one write. Where the disk is full after a part of it, that part is taken back."""
    written = 0
    try:
        while written < len(data):
            written += os.write(descriptor, data[written:])
        os.fsync(descriptor)
    except OSError:
        # Not when somebody without a lock has appended, too: theirs would be lost.
        if written and os.fstat(descriptor).st_size == size + written:
            os.ftruncate(descriptor, size)
        raise


def _sync_folder(path: str) -> None:
    folder = os.open(os.path.dirname(os.path.realpath(path)), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
