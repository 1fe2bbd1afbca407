# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Times as results show them, and as tags hold them. Pure."""

from __future__ import annotations

from datetime import datetime, timezone


def iso(at: float | None) -> str | None:
    """ISO 8601 in UTC, of epoch seconds."""
    return None if at is None else datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="seconds")


def from_iso(text: str) -> float | None:
    """Epoch seconds of ISO 8601 with a zone; None for anything else."""
    if text.endswith(("Z", "z")):
        text = f"{text[:-1]}+00:00"
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.timestamp() if at.tzinfo is not None else None


def days(since: float, now: float) -> float:
    """Days between two times; none where clocks differ."""
    return round(max(0.0, now - since) / 86400, 2)
