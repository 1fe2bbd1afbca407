# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Variables of another type than the role can work with, where argument_specs.yml lets them pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from numbers import Number
from typing import Any

# No number either: 007 would have become 7.
TEXTS_ONLY = ("rotate_value", "rotate_variable", "rotate_deployment_vars", "rotate_record_path", "rotate_report_path")
TEXTS = (
    "rotate_assume_role_arn",
    "rotate_assume_role_external_id",
    "rotate_cluster",
    "rotate_endpoint_url",
    "rotate_expected_fingerprint",
    "rotate_key_group",
    "rotate_key_id",
    "rotate_old_fingerprint",
    "rotate_old_key_id",
    "rotate_openai_base_url",
    "rotate_openai_project_id",
    "rotate_profile",
    "rotate_project_name",
    "rotate_provider",
    "rotate_reason",
    "rotate_region",
    "rotate_rollback_to",
    "rotate_secret_id",
    "rotate_secret_json_key",
    "rotate_secret_kms_key_id",
    "rotate_service",
    "rotate_value_pattern",
)
LISTS = ("rotate_services", "rotate_containers", "rotate_dotenv_paths", "rotate_log_patterns")
MAPPINGS = {"rotate_tags": "", "rotate_secret_tags": "", "rotate_providers": "", "rotate_smoke_test": " with url"}

VALUE_AS_TEXT = (
    ", and where it is a template that may give something that looks like a mapping or a list, let it end in | string"
)


def wrong_types(given: Mapping[str, Any]) -> Iterator[str]:
    """One complaint for each variable; names only. What is empty is not set, whatever its type."""
    for name in (*TEXTS_ONLY, *TEXTS):
        if given.get(name) and not _is_text(given[name], or_number=name not in TEXTS_ONLY):
            yield f"{name} must be text: put quotes around it{VALUE_AS_TEXT if name == 'rotate_value' else ''}."
    for name in LISTS:
        if given.get(name) and (isinstance(given[name], (str, Mapping)) or not isinstance(given[name], Iterable)):
            yield f"{name} must be a list."
    for name, with_what in MAPPINGS.items():
        if given.get(name) and not isinstance(given[name], Mapping):
            yield f"{name} must be a mapping{with_what}."


def _is_text(value: object, *, or_number: bool) -> bool:
    return isinstance(value, str) or (or_number and isinstance(value, Number) and not isinstance(value, bool))
