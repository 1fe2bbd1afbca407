# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the operator asks for, checked before anything is read or changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._errors import KeyturnError
from .._fingerprint import fingerprint


@dataclass(frozen=True)
class Request:
    """The options of ``ecs_env_rotate``, as documented there."""

    cluster: str
    service: str
    variable: str
    value: str = field(repr=False)
    containers: tuple[str, ...]  # empty: every container that has the variable
    add_if_missing: bool
    base_latest: bool
    supersede: bool
    force_new_deployment: bool
    expected_fingerprint: str | None
    tags: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """The new value's fingerprint."""
        return fingerprint(self.variable, self.value)

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> Request:
        """Check the module's options and make a request of them.

        Raises:
            KeyturnError: names the option and what to do; never holds the value.
        """
        for name in ("cluster", "service", "variable"):
            if not options[name]:
                raise KeyturnError(f"{name} is empty: it must be given.")
        _check_value(options["value"], options["value_pattern"])
        expected = options["expected_fingerprint"] or None
        if expected and not re.fullmatch(r"sha256:[0-9a-f]{12}", expected):
            raise KeyturnError(
                "expected_fingerprint is not a fingerprint: give sha256: and twelve hex digits, as previous results "
                "show them."
            )
        tags = {str(key): str(value) for key, value in (options["tags"] or {}).items()}
        reserved = sorted(key for key in tags if key.lower().startswith("aws:"))
        if reserved:
            raise KeyturnError(f"tags: AWS reserves keys that begin with aws:, so {', '.join(reserved)} cannot be set.")
        containers = tuple(options["containers"] or ())
        if options["if_missing"] == "add" and not containers:
            raise KeyturnError("if_missing=add needs containers: name the containers that shall get the variable.")
        return cls(
            cluster=options["cluster"],
            service=options["service"],
            variable=options["variable"],
            value=options["value"],
            containers=containers,
            add_if_missing=options["if_missing"] == "add",
            base_latest=options["base_revision"] == "latest",
            supersede=options["in_progress"] == "supersede",
            force_new_deployment=bool(options["force_new_deployment"]),
            expected_fingerprint=expected,
            tags=tags,
        )


def _check_value(value: str, pattern: str | None) -> None:
    if not value:
        raise KeyturnError("value is empty: give the new value.")
    if value != value.strip():
        raise KeyturnError("value has white space or a newline around it: it was probably copied with it; remove it.")
    if not pattern:
        return
    try:
        matches = re.search(pattern, value)
    except re.error as error:
        raise KeyturnError(f"value_pattern is not a regular expression: {error}.") from None
    if not matches:
        raise KeyturnError(
            f"value does not match value_pattern {pattern}: check that the whole key was copied, or change "
            "value_pattern."
        )
