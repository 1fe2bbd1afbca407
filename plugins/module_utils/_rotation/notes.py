# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a rotation writes down in tags of the revision that it registers: when, which value, which key, why, who. Pure.

Such tags tell of one value. A revision may have them from an earlier one that held another, so they count only where
``keyturn:fingerprint`` is that of the value that is there. Follows
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-using-tags.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone

ROTATED_AT, FINGERPRINT = "keyturn:rotated-at", "keyturn:fingerprint"
KEY_ID, REASON, BY = "keyturn:key-id", "keyturn:reason", "keyturn:by"
NAMES = (FINGERPRINT, ROTATED_AT, KEY_ID, REASON, BY)
# Of the run, not of the revision: one that was interrupted is found again by somebody else, at another time.
OF_THE_RUN = frozenset({ROTATED_AT, BY})
# Those that AWS itself sets (aws:) do not count, and are not carried over.
MOST_TAGS = 50
LONGEST_VALUE = 256
_REFUSED = re.compile(r"[^\w .:/=+@-]")


def notes(record: Mapping[str, str | None], printed: str, now: float) -> dict[str, str]:
    """The tags of a rotation, the most important first.

    Args:
        record: ``key_id``, ``reason`` and ``by``; those that are empty are left out.
        printed: the new value's fingerprint.
        now: epoch seconds.
    """
    found = {
        FINGERPRINT: printed,
        ROTATED_AT: datetime.fromtimestamp(now, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        KEY_ID: record.get("key_id") or "",
        REASON: record.get("reason") or "",
        BY: record.get("by") or "",
    }
    return {name: _REFUSED.sub("_", value)[:LONGEST_VALUE] for name, value in found.items() if value}


def without_notes(tags: Mapping[str, str]) -> dict[str, str]:
    """A revision's tags, but for what they say of its value."""
    return {name: value for name, value in tags.items() if name not in NAMES}


def tagged(tags: Mapping[str, str], written: Mapping[str, str]) -> dict[str, str]:
    """The new revision's tags: as many of the rotation's as there is room for, which is no reason for it to fail."""
    added = [name for name in written if name not in tags][: max(0, MOST_TAGS - len(tags))]
    return {**tags, **{name: value for name, value in written.items() if name in tags or name in added}}


def lasting(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that tell a revision from another."""
    return {name: value for name, value in tags.items() if name not in OF_THE_RUN}


def key_id_of(tags: Mapping[str, str], printed: str | None) -> str | None:
    """The id of the key with this fingerprint; None where the tags do not tell of it."""
    return (tags.get(KEY_ID) or None) if printed and tags.get(FINGERPRINT) == printed else None
