# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read and write parameters.

Follows https://docs.aws.amazon.com/systems-manager/latest/APIReference/ (API_GetParameter, API_DescribeParameters,
API_PutParameter)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .._aws import AGAIN_PAUSES, Aws
from .._ecs import epoch
from .._errors import AwsError, KeyturnError
from .held import Held, Write, Written
from .reference import Reference, parameter_names

_SECURE = "SecureString"
# What PutParameter takes anew with every version: left out, it would fall back to a default.
_RESTATED = ("KeyId", "Tier", "Description", "AllowedPattern", "DataType")


def read(aws: Aws, reference: Reference, arn_prefix: str) -> Held:
    """Read what a reference leads to. Its value is made known to the scrubber.

    Args:
        arn_prefix: ``arn:PARTITION:ssm:REGION:ACCOUNT:parameter`` of what may have to be created.
    """
    answer = _get(aws.in_region(reference.region), reference)
    if answer is None:
        name = parameter_names(reference)[0]
        arn = reference.name if reference.name.startswith("arn:") else f"{arn_prefix}/{name.lstrip('/')}"
        return Held(reference, arn, exists=False)
    value = answer.get("Value") or ""
    aws.scrub.add(value)
    arn = answer.get("ARN") or (reference.name if reference.name.startswith("arn:") else "")
    plain = answer.get("Type", _SECURE) != _SECURE
    return Held(
        reference=reference,
        arn=arn or f"{arn_prefix}/{answer['Name'].lstrip('/')}",
        value=value,
        text=value,
        version=str(answer.get("Version", "")),
        since=epoch(answer.get("LastModifiedDate")),
        warnings=(f"Parameter {answer['Name']} is a {answer['Type']}: its value is not encrypted.",) * plain,
    )


def _get(there: Aws, reference: Reference) -> dict[str, Any] | None:
    for name in parameter_names(reference):
        try:
            answer = there.call("ssm", "GetParameter", f"parameter {name}", Name=name, WithDecryption=True)
        except AwsError as error:
            if error.code == "ParameterNotFound":
                continue
            raise
        found: dict[str, Any] = answer["Parameter"]
        return {**found, "Name": found.get("Name") or name}
    return None


def kept_settings(aws: Aws, held: Held) -> dict[str, Any]:
    """What the parameter is beside its value, as PutParameter takes it: type, key, tier …

    Raises:
        KeyturnError: it cannot be read, so that a write could change the parameter's key.
    """
    there = aws.in_region(held.reference.region)
    found = _get(there, held.reference) or {}
    name = found.get("Name", "")
    on = f"parameter {name}"
    filters = [{"Key": "Name", "Option": "Equals", "Values": [name]}]
    described: list[dict[str, Any]] = []
    more: dict[str, str] = {}
    while not described:
        answer = there.call("ssm", "DescribeParameters", on, ParameterFilters=filters, **more)
        described = [entry for entry in answer.get("Parameters") or () if entry.get("Name") == name]
        if not answer.get("NextToken"):
            break
        more = {"NextToken": answer["NextToken"]}
    if not described:
        raise KeyturnError(
            f"DescribeParameters does not list {on}, so its key and tier cannot be kept: allow ssm:DescribeParameters "
            "to "
            "the caller, in the parameter's own account."
        )
    kept = {member: described[0][member] for member in _RESTATED if described[0].get(member)}
    policies = [json.loads(policy["PolicyText"]) for policy in described[0].get("Policies") or ()]
    if policies:
        kept["Policies"] = json.dumps(policies)
    return {"Name": name, "Type": described[0].get("Type") or found.get("Type") or _SECURE, **kept}


def write(aws: Aws, wanted: Write, pause: Callable[[float], None]) -> Written:
    """Give a parameter a new value, or create it as a SecureString."""
    there, reference = aws.in_region(wanted.held.reference.region), wanted.held.reference
    name = parameter_names(reference)[0]
    if wanted.held.exists:
        return _overwrite(there, wanted, pause)
    key: dict[str, Any] = {"KeyId": wanted.kms_key} if wanted.kms_key else {}
    if wanted.tags:
        key["Tags"] = [{"Key": tag, "Value": value} for tag, value in wanted.tags.items()]
    try:
        answer = there.call(
            "ssm",
            "PutParameter",
            f"parameter {name}",
            Name=name,
            Value=wanted.text,
            Type=_SECURE,
            Overwrite=False,
            **key,
        )
    except AwsError as error:
        # Made by our own first attempt, whose answer was lost, or by somebody else at the same time.
        now = read(aws, reference, "") if error.code == "ParameterAlreadyExists" else None
        if now is None or now.text != wanted.text:
            raise
        return Written(wanted.held.arn, now.version)
    return Written(wanted.held.arn, str(answer.get("Version", "")))


def _overwrite(there: Aws, wanted: Write, pause: Callable[[float], None]) -> Written:
    """Make one new version, whatever happens to the answers: every PutParameter makes another."""
    on, held = f"parameter {wanted.settings['Name']}", wanted.held
    for seconds in (*AGAIN_PAUSES, None):
        try:
            answer = there.call_once("ssm", "PutParameter", on, Value=wanted.text, Overwrite=True, **wanted.settings)
        except AwsError as error:
            if not error.outcome_unknown or seconds is None:
                raise
        else:
            return Written(held.arn, str(answer.get("Version", "")))
        pause(seconds)
        now = _get(there, held.reference) or {}
        if str(now.get("Version", "")) != held.version and now.get("Value") == wanted.text:
            return Written(held.arn, str(now["Version"]))
    raise AssertionError("the last attempt returns or raises")


def rival(aws: Aws, wanted: Write, written: Written, pinned: bool) -> str:
    """Number of a version that somebody else wrote between the read and the write, or after it; empty for none."""
    before, mine = wanted.held.version, written.version
    if before.isdigit() and mine.isdigit() and int(mine) > int(before) + 1:
        return str(int(mine) - 1)
    name = wanted.settings.get("Name") or parameter_names(wanted.held.reference)[0]
    there = aws.in_region(wanted.held.reference.region)
    answer = there.call_optional("ssm", "GetParameter", f"parameter {name}", Name=name) or {}
    now = str(answer.get("Parameter", {}).get("Version", mine))
    return now if now != mine and not pinned else ""
