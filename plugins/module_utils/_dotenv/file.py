# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small file that holds secrets: looked at before it is touched, and replaced as a whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from .._errors import KeyturnError
from .._lock import lock

MODE = 0o600
# ".env" becomes ".env.keyturn-new", which the usual ".env.*" of a .gitignore covers.
SUFFIX = ".keyturn-new"
WAIT = 10.0  # seconds for another run on the same file, which takes some milliseconds

Pause = Callable[[float], None]

_ADVICE = {
    errno.EACCES: "Run as the file's owner.",
    errno.EBUSY: "It is mounted by itself, as into a container: run where the file is, or mount its folder.",
    errno.ELOOP: "Its link leads to itself: mend it.",
    errno.ENOENT: "Make its folder first, or correct path.",
    errno.ENOTDIR: "Correct path.",
    errno.EPERM: "Run as the file's owner.",
    errno.EROFS: "Run where it can be written.",
}


@dataclass(frozen=True)
class Found:
    """What is there.

    Attributes:
        path: as the operator wrote it, for messages.
        target: where it is, behind symbolic links.
        text: its content; bytes that are no UTF-8 as surrogates; None when there is no file.
        mode: its permissions; None when there is no file.
        owner: its user and group; None when there is no file.
    """

    path: str
    target: str
    text: str | None = field(default=None, repr=False)
    mode: int | None = None
    owner: tuple[int, int] | None = None


@contextlib.contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn the system's refusals into errors with what to do."""
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "Nothing was written.")
        raise KeyturnError(f"{path}: {error.strerror or type(error).__name__}. {advice}") from None


def look(path: str) -> Found:
    """Read the file, and refuse what cannot be replaced.

    Raises:
        KeyturnError: it is no file of text, or this process may not replace it.
        OSError: the system refuses.
    """
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    try:
        status = os.stat(target)
    except FileNotFoundError:
        _check_folder(path, folder)
        return Found(path, target)
    _check_kind(path, status)
    _check_folder(path, folder)
    if not os.access(target, os.R_OK | os.W_OK):
        raise KeyturnError(f"{path} may not be read and written by this user: run as its owner, or chmod u+rw it.")
    with open(target, "rb") as file:
        content = file.read()
    if b"\0" in content:
        raise KeyturnError(
            f"{path} holds NUL bytes, so it is no .env file in UTF-8: correct path, or convert the file."
        )
    text = content.decode("utf-8", "surrogateescape")
    return Found(path, target, text, stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid))


def _check_kind(path: str, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise KeyturnError(f"{path} is a directory: give the path of the .env file in it.")
    if not stat.S_ISREG(status.st_mode):
        raise KeyturnError(f"{path} is no regular file, so it cannot be replaced: change the value at its source.")
    if status.st_nlink > 1:
        raise KeyturnError(
            f"{path} has another name (a hard link), under which the old value would stay: make it a symbolic link."
        )
    if status.st_uid != os.geteuid() != 0:
        raise KeyturnError(f"{path} belongs to user {status.st_uid}, who would lose it: run as that user.")


def _check_folder(path: str, folder: str) -> None:
    if not os.path.isdir(folder):
        raise KeyturnError(f"{path}: there is no folder {folder}. Make it first, or correct path.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise KeyturnError(
            f"{path}: its folder {folder} may not be written, which replacing a file needs: run as its owner."
        )


def left_behind(target: str) -> bool:
    """Whether a run that was killed has left its temporary file."""
    return os.path.lexists(target + SUFFIX)


@contextlib.contextmanager
def temporary(path: str, target: str, pause: Pause = time.sleep) -> Iterator[int]:
    """An empty file beside the target, readable by this user only; gone at the end unless it became the target.

    It has one name, and a lock: one that a killed run has left is taken over, one that another run writes is waited
    for.

    Raises:
        KeyturnError: another run holds it, or somebody else made it.
    """
    name = target + SUFFIX
    descriptor = _locked(path, name, pause)
    try:
        os.fchmod(descriptor, MODE)
        os.ftruncate(descriptor, 0)
        yield descriptor
    finally:
        if _is(name, descriptor):
            os.unlink(name)
        os.close(descriptor)


def _locked(path: str, name: str, pause: Pause) -> int:
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(name, flags, MODE)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise KeyturnError(f"{name} is a symbolic link, which this module does not make: remove it.") from None
            raise
        kept = False
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_nlink > 1:
                raise KeyturnError(f"{name} was made by somebody else: remove it, and see who did.")
            if not lock(descriptor, WAIT, pause):
                raise KeyturnError(
                    f"{path}: another run has held {name} for {WAIT:.0f} seconds. Run again when it is over."
                )
            # The other run may have moved or removed it meanwhile.
            kept = _is(name, descriptor)
            if kept:
                return descriptor
        finally:
            if not kept:
                os.close(descriptor)


def _is(name: str, descriptor: int) -> bool:
    """Whether the name stands for the open file."""
    try:
        return os.path.samestat(os.lstat(name), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def replace(found: Found, text: str, descriptor: int) -> None:
    """Let the temporary file, with this text, become the target."""
    content = memoryview(text.encode("utf-8", "surrogateescape"))
    while content:
        content = content[os.write(descriptor, content) :]
    if found.owner is not None:
        _give(descriptor, *found.owner)
    os.fsync(descriptor)
    os.replace(found.target + SUFFIX, found.target)
    folder = os.open(os.path.dirname(found.target), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _give(descriptor: int, user: int, group: int) -> None:
    """Keep the owner. The group has no permission, so one that this user may not give is no loss."""
    if user != os.geteuid():
        os.fchown(descriptor, user, -1)
    with contextlib.suppress(PermissionError):
        os.fchown(descriptor, -1, group)
