# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked for, checked before anything is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._ecs import last_part
from .._errors import KeyturnError


@dataclass(frozen=True)
class Request:
    """The options of ``ecs_env_info``, as documented there.

    Attributes:
        services: names; empty for all of the cluster.
        fingerprint: the value whose holders are looked for; None for nobody.
        redacted_values: keys as their provider shows them, to tell which one the value is; None where nobody asks.
        max_revisions: how many old revisions of a family are read; None for none.
    """

    cluster: str
    services: tuple[str, ...]
    variable: str
    fingerprint: str | None
    redacted_values: tuple[str, ...] | None
    max_revisions: int | None

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> Request:
        """Check the module's options and make a request of them.

        Raises:
            KeyturnError: names the option and what to do.
        """
        for name in ("cluster", "variable"):
            if not options[name]:
                raise KeyturnError(f"{name} is empty: it must be given.")
        wanted = options["fingerprint"] or None
        if wanted and not re.fullmatch(r"sha256:[0-9a-f]{12}", wanted):
            raise KeyturnError(
                "fingerprint is not a fingerprint: give sha256: and twelve hex digits, as previous results show them."
            )
        if options["redacted_values"] is not None and not wanted:
            raise KeyturnError("redacted_values needs fingerprint: it tells which value is compared with them.")
        if options["max_revisions"] < 1:
            raise KeyturnError("max_revisions must be 1 or more: it limits how many revisions of a family are read.")
        return cls(
            cluster=options["cluster"],
            services=tuple(dict.fromkeys(last_part(name) for name in options["services"] or ())),
            variable=options["variable"],
            fingerprint=wanted,
            redacted_values=None if options["redacted_values"] is None else tuple(options["redacted_values"]),
            max_revisions=options["max_revisions"] if options["plaintext_revisions"] else None,
        )
