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
from .._stores.reference import ENVIRONMENT, SECRETS_MANAGER, SSM
from .notes import notes

KEEP = "keep"

# Ansible's argument spec of what may be asked for, and its rules; plugins/doc_fragments/rotation.py documents it.
OPTIONS: dict[str, dict[str, Any]] = {
    "cluster": {"type": "str", "required": True},
    "service": {"type": "str", "required": True},
    "variable": {"type": "str", "required": True},
    "value": {"type": "str", "required": True, "no_log": True},
    "value_pattern": {"type": "str"},
    "containers": {"type": "list", "elements": "str"},
    "if_missing": {"type": "str", "choices": ["fail", "add"], "default": "fail"},
    "store": {"type": "str", "choices": ["keep", "environment", "secretsmanager", "ssm"], "default": "keep"},
    "secret_id": {"type": "str", "no_log": False},
    "secret_json_key": {"type": "str", "no_log": False},
    "secret_kms_key_id": {"type": "str", "no_log": False},
    "secret_tags": {"type": "dict", "no_log": False},
    "pin_secret_version": {"type": "str", "choices": ["keep", "true", "false"], "default": "keep", "no_log": False},
    "base_revision": {"type": "str", "choices": ["running", "latest"], "default": "running"},
    "in_progress": {"type": "str", "choices": ["fail", "supersede"], "default": "fail"},
    "force_new_deployment": {"type": "bool", "default": False},
    "expected_fingerprint": {"type": "str"},
    "tags": {"type": "dict", "default": {}},
    "record": {
        "type": "dict",
        "options": {
            "reason": {"type": "str"},
            "key_id": {"type": "str", "no_log": False},
            "by": {"type": "str"},
        },
    },
}
RULES: dict[str, Any] = {"required_if": [("if_missing", "add", ["containers"])]}


@dataclass(frozen=True)
class Request:
    """The options of ``ecs_env_rotate``, as documented there.

    Attributes:
        notes: what the rotation writes down in tags; nothing without ``record``.
    """

    cluster: str
    service: str
    variable: str
    value: str = field(repr=False)
    containers: tuple[str, ...]  # empty: every container that has the variable
    add_if_missing: bool
    store: str  # keep, environment, secretsmanager, ssm
    secret_id: str | None
    secret_json_key: str | None  # None: the current reference's
    secret_kms_key_id: str | None
    secret_tags: Mapping[str, str]
    pin: bool | None  # None: the current reference's habit
    base_latest: bool
    supersede: bool
    force_new_deployment: bool
    expected_fingerprint: str | None
    tags: Mapping[str, str]
    notes: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """The new value's fingerprint."""
        return fingerprint(self.variable, self.value)

    @classmethod
    def parse(cls, options: Mapping[str, Any], now: float) -> Request:
        """Check the module's options and make a request of them.

        Args:
            now: epoch seconds.

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
        long = sorted(key for key, value in tags.items() if not 0 < len(key) <= 128 or len(value) > 256)
        if long:
            raise KeyturnError(
                "tags: AWS takes keys of 1 to 128 characters and values of up to 256, so "
                f"{long[0][:128]!r} cannot be set."
            )
        _check_store(options)
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
            store=options["store"],
            secret_id=options["secret_id"] or None,
            secret_json_key=options["secret_json_key"] or None,
            secret_kms_key_id=options["secret_kms_key_id"] or None,
            secret_tags={str(key): str(value) for key, value in (options["secret_tags"] or {}).items()},
            pin={KEEP: None, "true": True, "false": False}[options["pin_secret_version"]],
            base_latest=options["base_revision"] == "latest",
            supersede=options["in_progress"] == "supersede",
            force_new_deployment=bool(options["force_new_deployment"]),
            expected_fingerprint=expected,
            tags=tags,
            notes=_notes(options, now),
        )


def _notes(options: Mapping[str, Any], now: float) -> dict[str, str]:
    if options["record"] is None:
        return {}
    return notes(options["record"], fingerprint(options["variable"], options["value"]), now)


def _check_store(options: Mapping[str, Any]) -> None:
    store = options["store"]
    named = [name for name in ("secret_id", "secret_json_key", "secret_kms_key_id", "secret_tags") if options[name]]
    if named and store not in (SECRETS_MANAGER, SSM):
        raise KeyturnError(
            f"{', '.join(named)}: only for store={SECRETS_MANAGER} or store={SSM}, and store is {store}. store={KEEP} "
            "takes the secret that the task definition names."
        )
    if options["secret_json_key"] and store == SSM:
        raise KeyturnError("secret_json_key: a parameter has no JSON keys; leave it out, or set store=secretsmanager.")
    if options["pin_secret_version"] == "true" and store in (SSM, ENVIRONMENT):
        raise KeyturnError(
            "pin_secret_version=true: only a Secrets Manager secret has versions that valueFrom can name, and store "
            "is "
            f"{store}; leave it out, or set store=secretsmanager."
        )


def _check_value(value: str, pattern: str | None) -> None:
    if not value:
        raise KeyturnError("value is empty: give the new value.")
    if value != value.strip():
        raise KeyturnError("value has white space or a newline around it: it was probably copied with it; remove it.")
    if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise KeyturnError(
            "value holds a NUL or bytes that are no UTF-8, which no container's environment takes: copy it again."
        )
    if not pattern:
        return
    try:
        matches = re.search(pattern, value)
    except (re.error, OverflowError, RecursionError) as error:
        raise KeyturnError(f"value_pattern is not a regular expression: {error}.") from None
    if not matches:
        shown = f" {pattern}" if pattern.startswith("^") else ""  # else it may be a key that got there by mistake
        raise KeyturnError(
            f"value does not match value_pattern{shown}: check that the whole key was copied, or change value_pattern."
        )
