# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What cannot work, in variables whose types are right: one complaint for each mistake, all of them at once."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .._aws import writes_on_conditions
from .services import full_path

CHOICES = {
    "rotate_store": ("keep", "environment", "secretsmanager", "ssm"),
    "rotate_if_missing": ("fail", "add"),
    "rotate_base_revision": ("running", "latest"),
    "rotate_in_progress": ("fail", "supersede"),
    "rotate_on_failure": ("rollback", "leave"),
    "rotate_pin_secret_version": ("keep", "true", "false"),
    "rotate_require_healthy": ("auto", "true", "false"),
    "rotate_verify_key": ("auto", "true", "false"),
    "rotate_log_scan": ("auto", "true", "false"),
}
WHOLE_NUMBERS = {"rotate_timeout": 1, "rotate_max_failed_tasks": 0, "rotate_purge_max": 1}  # name to the least
OF_A_SERVICE = ("cluster", "service", "containers")
OF_A_SMOKE_TEST = (
    "url",
    "method",
    "headers",
    "body",
    "status",
    "body_pattern",
    "retries",
    "delay",
    "timeout",
    "follow_redirects",
    "validate_certs",
)
NUMBERS_OF_A_SMOKE_TEST = {"retries": "[0-9]{0,5}", "timeout": "[0-9]{0,5}", "delay": r"[0-9]{0,5}(\.[0-9]+)?"}

# Where Ansible puts words on the command line that belong to no variable.
CUT_OFF = "_raw_params"
# A shorter value may be a plain word, and stand in a name rightly.
LONG = 16


def patterns(given: Mapping[str, Any]) -> Iterator[str]:
    """What is no regular expression, while nothing depends on it."""
    smoke_test = given.get("rotate_smoke_test") or {}
    found = {
        "rotate_value_pattern": [given.get("rotate_value_pattern") or ""],
        "rotate_log_patterns": [one for one in given.get("rotate_log_patterns") or [] if one != ""],
        "body_pattern of rotate_smoke_test": [smoke_test.get("body_pattern") or ""],
    }
    for name, tried in found.items():
        if not all(_is_pattern(one) for one in tried):
            yield f"{name} holds something that is no regular expression: correct it."


def _is_pattern(text: Any) -> bool:
    try:
        re.compile(text)
    except (re.error, TypeError, ValueError, OverflowError, RecursionError):
        return False
    return True


def unknown(names: Sequence[str], known: Sequence[str]) -> Iterator[str]:
    """A variable that is mistyped would be passed over in silence; and so would the end of one that was cut off."""
    if CUT_OFF in names:
        yield (
            "Of an extra variable everything behind the first blank was lost, as Ansible reads -e NAME=VALUE: write"
            """ -e '{"NAME": "VALUE"}'."""
        )
    for name in sorted(set(names) - {CUT_OFF, *known}):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
        yield f"{name} is not a variable of this role: did you mean {near}?"


def unclear_services(given: Mapping[str, Any], services: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Entries of rotate_services that are none, and services of which a name is missing."""
    listed = given.get("rotate_services") or []
    if not all(isinstance(one, Mapping) and set(one) <= {"cluster", "service", "containers"} for one in listed):
        yield "rotate_services must be a list of mappings with service, and cluster and containers where they differ."
    if not all(one["cluster"] and one["service"] for one in services):
        more = ", or complete every entry of rotate_services" if listed else ""
        yield f"No cluster and service: set rotate_project_name, or rotate_cluster and rotate_service{more}."


def value(given: Mapping[str, Any], variable: str, new: str) -> Iterator[str]:
    """No value, or one in a place that is shown. It is never written here: only names, and whether it is there."""
    if not new:
        yield (
            f"There is no new value: put it into the environment variable {variable} of the process that runs Ansible"
            " (or into rotate_value, from a vault)."
        )
    elif new in (given.get("rotate_variable"), given.get("rotate_expected_fingerprint")) or any(
        _holds(given.get(name), new) for name in ("rotate_reason", "rotate_key_id", "rotate_tags")
    ):
        yield (
            "rotate_reason, rotate_key_id or rotate_tags holds the value itself, and tags can be read by anyone who may"
            " describe the service: name the key by its id."
        )
    elif len(new) >= LONG:
        for name in (one for one in given if one not in {"rotate_value", "rotate_smoke_test"}):
            if _holds(given[name], new):
                right = "OPENAI_API_KEY" if name == "rotate_variable" else variable
                yield (
                    f"{name} holds the value itself: it would be shown as a name. The value belongs into the"
                    f" environment variable {right}, or into rotate_value."
                )


def _holds(data: Any, text: str) -> bool:
    """Whether the text is part of one anywhere in nested data."""
    if isinstance(data, Mapping):
        return any(_holds(one, text) for pair in data.items() for one in pair)
    if isinstance(data, (list, tuple)):
        return any(_holds(one, text) for one in data)
    return text in str(data)


def numbers_and_choices(given: Mapping[str, Any]) -> Iterator[str]:
    """An empty string is not set."""
    for name, least in WHOLE_NUMBERS.items():
        number = str(given.get(name, ""))
        if number and (not re.fullmatch("[0-9]{1,7}", number) or int(number) < least):
            yield f"{name} must be a whole number, at least {least} and less than ten million."
    interval = str(given.get("rotate_poll_interval", ""))
    if interval and (not re.fullmatch(r"[0-9]{1,7}(\.[0-9]+)?", interval) or float(interval) < 0.1):
        yield "rotate_poll_interval must be a number, at least 0.1 and less than ten million."
    for name, known in CHOICES.items():
        if str(given.get(name, "")).lower() not in ("", *known):
            yield f"{name} must be {', '.join(known[:-1])} or {known[-1]}."


def folders(given: Mapping[str, Any]) -> Iterator[str]:
    """What is written when all is done must have a place."""
    for name in ("rotate_record_path", "rotate_report_path"):
        path = given.get(name) or ""
        if path and not path.startswith("s3://") and not os.path.isdir(os.path.dirname(full_path(path))):
            yield f"{name}: the folder of {path} does not exist on the controller."


def record(given: Mapping[str, Any]) -> Iterator[str]:
    """What could be written only after all is done, and not then."""
    if (given.get("rotate_record_path") or "").startswith("s3://") and not writes_on_conditions():
        yield "rotate_record_path: a record in S3 needs boto3 1.35.69 or newer on the controller."


def smoke_test(given: Mapping[str, Any]) -> Iterator[str]:
    test = given.get("rotate_smoke_test") or {}
    if not test:
        return
    for name in test:
        if name not in OF_A_SMOKE_TEST:
            yield f"rotate_smoke_test: {name} is none of {', '.join(OF_A_SMOKE_TEST)}."
    if not re.match("https?://.", str(test.get("url", ""))):
        yield "rotate_smoke_test must have a url that begins with http:// or https://."
    for name, form in NUMBERS_OF_A_SMOKE_TEST.items():
        if not re.fullmatch(form, str(test.get(name) or "")):
            yield f"rotate_smoke_test: {name} must be a number."
    if not all(re.fullmatch("[1-5][0-9][0-9]", str(code)) for code in _flat(test.get("status") or 200)):
        yield "rotate_smoke_test: status must be a code such as 200, or a list of codes."


def _flat(data: Any) -> Iterator[Any]:
    if isinstance(data, list):
        for one in data:
            yield from _flat(one)
    else:
        yield data


def settle_and_files(given: Mapping[str, Any]) -> Iterator[str]:
    settle = str(given.get("rotate_settle", ""))
    if settle and (not re.fullmatch("[0-9]{1,5}", settle) or int(settle) > 86400):
        yield "rotate_settle must be a whole number of seconds, at most 86400 (a day)."
    for path in given.get("rotate_dotenv_paths") or []:
        if path and not os.path.isfile(full_path(str(path))):
            yield f"rotate_dotenv_paths: {path} does not exist on the controller."
