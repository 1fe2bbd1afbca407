# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What several operations share: paging, tags, required members."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from .. import errors
from ..state import Json


def required(body: Json, name: str) -> Any:
    value = body.get(name)
    if value is None or value == "":
        raise errors.invalid(f"{name} can not be blank.")
    return value


def page(items: Sequence[Any], body: Json, member: str, largest: int) -> Json:
    """One page of `items` under `member`, with nextToken when there is more."""
    size = body.get("maxResults", largest)
    if not isinstance(size, int) or not 1 <= size <= largest:
        raise errors.invalid(f"maxResults should be between 1 and {largest}.")
    start = _offset(body.get("nextToken"))
    answer: Json = {member: list(items[start : start + size])}
    if start + size < len(items):
        answer["nextToken"] = base64.b64encode(f"simulator:{start + size}".encode()).decode()
    return answer


def _offset(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(base64.b64decode(token).decode().removeprefix("simulator:"))
    except (binascii.Error, ValueError) as error:
        raise errors.invalid("Invalid token.") from error


def checked_tags(tags: list[Json] | None) -> list[Json]:
    """Refuses reserved keys, doubles and more than 50 (ECS developer guide, "Tag restrictions").

    The wording of these refusals is not documented.
    """
    tags = tags or []
    keys = [str(tag.get("key", "")) for tag in tags]
    if any(key.lower().startswith("aws:") for key in keys):
        raise errors.invalid("Some tag keys use the reserved prefix aws:.")
    if len(set(keys)) != len(keys):
        raise errors.invalid("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    if len(keys) > 50:
        raise errors.invalid("The maximum number of tags for a resource is 50.")
    return [dict(tag) for tag in tags]


def missing(arn: str) -> Json:
    return {"arn": arn, "reason": "MISSING"}
