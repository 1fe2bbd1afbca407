# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A key as its provider shows it, without its middle: ``sk-svc...9xQA``. Pure."""

from __future__ import annotations

import re

# Dots, asterisks or bullets.
_CUT = re.compile(r"[.*\u2026\u2022]{2,}|[\u2026\u2022]")
# Fewer characters than these behind the cut would fit by accident.
LEAST_SUFFIX = 3


def looks_like(value: str, redacted: str) -> bool:
    """Tell whether a value may be what is shown redacted: it begins and ends alike, and is longer."""
    parts = _CUT.split(redacted)
    if len(parts) != 2 or len(parts[1]) < LEAST_SUFFIX:
        return False
    return len(value) > len(parts[0]) + len(parts[1]) and value.startswith(parts[0]) and value.endswith(parts[1])
