# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask sources that may be denied or missing, and keep what could not be seen: nothing is passed over in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from .._errors import AccessDeniedError, AwsError, NotSupportedError

T = TypeVar("T")


class Unverified:
    """What could not be looked at, and why; each line once."""

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}
        self._refused: set[str] = set()

    @property
    def lines(self) -> list[str]:
        return list(self._lines)

    def add(self, line: str) -> None:
        self._lines[line] = None

    def ask(self, source: str, read: Callable[[], T], otherwise: T) -> T:
        """Read a source. Once refused (a permission, an endpoint without the operation) it is not asked again."""
        if source in self._refused:
            return otherwise
        try:
            return read()
        except (AccessDeniedError, NotSupportedError) as error:
            self._refused.add(source)
            self.add(f"{source}: {error.msg}")
        except AwsError as error:
            self.add(f"{source}: {error.msg}")
        return otherwise

    def gather(self, source: str, items: Iterable[T]) -> list[T]:
        """Read a source item by item; what came before it failed is kept."""
        found: list[T] = []
        self.ask(source, lambda: found.extend(items), None)
        return found
