# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which key the searched value is: by what a rotation wrote down, or by what the provider shows of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .._openai.redacted import looks_like
from .._rotation.notes import key_id_of


class Identity:
    """What was found out about the searched value; of the value itself nothing is kept.

    Args:
        redacted: keys as their provider shows them; None where nobody asks.

    Attributes:
        key_id: id of the key, as a rotation wrote it down.
        alike: those of ``redacted`` that look like the value.
    """

    def __init__(self, redacted: Sequence[str] | None = None) -> None:
        self._redacted = redacted
        self.key_id: str | None = None
        self.alike: tuple[str, ...] = ()

    @property
    def searched(self) -> bool:
        """Somebody asks, and nothing was found yet."""
        return self._redacted is not None and not self.key_id and not self.alike

    def see(self, value: str) -> None:
        """Look at the searched value."""
        self.alike = tuple(dict.fromkeys(one for one in self._redacted or () if looks_like(value, one)))

    def note(self, tags: Mapping[str, str], printed: str | None) -> None:
        """Look at the tags of a revision."""
        self.key_id = self.key_id or key_id_of(tags, printed)
