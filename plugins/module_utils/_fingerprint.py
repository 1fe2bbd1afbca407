# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands for a value wherever one could be seen: results, diffs, tags, logs, reports."""

from __future__ import annotations

import hashlib
import hmac


def fingerprint(variable: str, value: str) -> str:
    """Return ``sha256:`` and the first 12 hex digits of HMAC-SHA256(key=variable's name, message=value), UTF-8.

    Keyed with the name, so that the same value under two names has two fingerprints. 48 bits tell keys apart and are
    far
    too few to search a random key for.
    """
    # What ECS holds may be no proper Unicode: half a surrogate pair. It has a fingerprint all the same.
    key, message = (text.encode("utf-8", "surrogatepass") for text in (variable, value))
    digest = hmac.new(key, message, hashlib.sha256).hexdigest()
    return f"sha256:{digest[:12]}"
