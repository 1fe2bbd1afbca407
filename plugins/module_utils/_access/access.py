# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole of ``ecs_env_access``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from .._aws import Aws
from .._errors import KeyturnError
from .._info.times import iso
from .._info.unverified import Unverified
from .may_read import may_read, principals
from .resources import Resource
from .trail import Trail

DAY = 86400
KEPT = 90  # days that CloudTrail's event history reaches back


def access(
    aws: Aws,
    options: Mapping[str, Any],
    now: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Tell who may read what holds a value, and who did.

    Args:
        options: the validated options of ``ecs_env_access``.
        now: epoch seconds.

    Returns:
        The result as the module's RETURN documents it.

    Raises:
        KeyturnError: an option makes no sense.
    """
    resources = tuple(Resource.parse(arn) for arn in dict.fromkeys(options["resources"]))
    asked = principals(options["principals"] or ())
    days, most = options["days"], options["max_events"]
    if not 1 <= days <= KEPT:
        raise KeyturnError(f"days must be from 1 to {KEPT}: CloudTrail's event history reaches no further back.")
    if most < 1:
        raise KeyturnError("max_events must be 1 or more: it limits how many events of a name are read.")
    unverified = Unverified()
    since = now() - days * DAY if options["trail"] else None
    return {
        "changed": False,
        "may_read": may_read(aws, asked, resources, unverified),
        "readers": [] if since is None else Trail(aws, unverified, since, most, sleep).readers(resources),
        "since": iso(since),
        "unverified": unverified.lines,
    }
