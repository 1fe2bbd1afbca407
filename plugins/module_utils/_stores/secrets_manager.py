# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read and write secrets.

Follows https://docs.aws.amazon.com/secretsmanager/latest/apireference/ (API_DescribeSecret, API_GetSecretValue,
API_PutSecretValue, API_CreateSecret)
"""

from __future__ import annotations

from typing import Any

from .._aws import Aws
from .._ecs import epoch
from .._errors import AccessDeniedError, AwsError, KeyturnError
from . import json_text
from .held import Held, Write, Written
from .reference import CURRENT, PREVIOUS, Reference

_MISSING = "ResourceNotFoundException"
_EXISTS = "ResourceExistsException"


def read(aws: Aws, reference: Reference, arn_prefix: str) -> Held:
    """Read what a reference leads to. Every value in it is made known to the scrubber.

    Args:
        arn_prefix: ``arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:`` of what may have to be created.

    Raises:
        KeyturnError: the secret is there and cannot be used, or may not be read.
    """
    there, on = aws.in_region(reference.region), f"secret {reference.name}"
    described, denied = _describe(there, reference, on)
    if described is None:
        known = reference.name.startswith("arn:")
        return Held(reference, reference.name if known else f"{arn_prefix}{reference.name}-??????", exists=False)
    newest = _get(there, on, reference.name, VersionStage=reference.written_stage)
    if denied and not newest:
        # It does not exist, or has no such version: only DescribeSecret tells which.
        raise denied
    arn = described.get("ARN") or newest.get("ARN") or reference.name
    aws.scrub.keep(arn)
    read_from = newest
    if reference.pinned and reference.version != newest.get("VersionId"):
        read_from = _get(there, on, arn, VersionId=reference.version)
    dates = [epoch(described.get("LastChangedDate")), epoch(newest.get("CreatedDate"))]
    return Held(
        reference=reference,
        arn=arn,
        value=_value(aws, reference, read_from),
        text=_text(aws, reference, newest),
        version=newest.get("VersionId", ""),
        since=max((date for date in dates if date is not None), default=None),
        kms_key=described.get("KmsKeyId") or "",
        warnings=_warnings(on, described, denied),
    )


def _describe(there: Aws, reference: Reference, on: str) -> tuple[dict[str, Any] | None, AccessDeniedError | None]:
    """The answer, None for a secret that does not exist; empty, with the error, where it may not be read."""
    try:
        answer = there.call("secretsmanager", "DescribeSecret", on, SecretId=reference.name)
    except AccessDeniedError as error:
        return {}, error
    except AwsError as error:
        if error.code == _MISSING:
            return None, None
        raise
    if answer.get("DeletedDate"):
        raise KeyturnError(f"The {on} is scheduled for deletion: restore it (RestoreSecret), or name another one.")
    primary = answer.get("PrimaryRegion")
    if primary and primary != there.region:
        raise KeyturnError(
            f"The {on} is a replica, which cannot be written: its primary is in {primary}. Put the new value there, "
            "then "
            "run again: the service is deployed once the replica has it."
        )
    return answer, None


def _warnings(on: str, described: dict[str, Any], denied: AccessDeniedError | None) -> tuple[str, ...]:
    if denied:
        return (f"Whether the {on} was changed since its newest version was made cannot be seen: {denied.msg}",)
    if described.get("RotationEnabled"):
        return (f"The {on} is rotated by a Lambda function as well, which will replace the value.",)
    return ()


def _get(there: Aws, on: str, arn: str, **version: str) -> dict[str, Any]:
    """GetSecretValue's answer; empty where there is no such version."""
    try:
        return there.call("secretsmanager", "GetSecretValue", on, SecretId=arn, **version)
    except AwsError as error:
        if error.code == _MISSING:
            return {}
        raise


def _text(aws: Aws, reference: Reference, answer: dict[str, Any]) -> str:
    if "SecretBinary" in answer and "SecretString" not in answer:
        raise KeyturnError(f"The secret {reference.name} holds binary data, and ECS injects text: name another secret.")
    text: str = answer.get("SecretString") or ""
    json_keys = json_text.keys(text)
    if json_keys is None:
        aws.scrub.add(text)
    aws.scrub.add_neighbours(json_text.get(text, key) or "" for key in json_keys or ())
    return text


def _value(aws: Aws, reference: Reference, answer: dict[str, Any]) -> str | None:
    if not answer:
        return None
    text = _text(aws, reference, answer)
    if not reference.json_key:
        return text
    try:
        return json_text.get(text, reference.json_key)
    except ValueError:
        raise KeyturnError(
            f"The secret {reference.name} is no JSON object, and {reference.json_key} shall be a key of it: check "
            "secret_json_key and valueFrom."
        ) from None


def write(aws: Aws, wanted: Write) -> Written:
    """Give a secret a new version, or create it. A second attempt with the same write changes nothing."""
    there, name = aws.in_region(wanted.held.reference.region), wanted.held.reference.name
    on = f"secret {name}"
    if not wanted.held.exists:
        return _create(aws, there, wanted, on)
    stages: dict[str, Any] = {"VersionStages": [wanted.stage]} if wanted.held.reference.stage else {}
    answer = there.call(
        "secretsmanager",
        "PutSecretValue",
        on,
        SecretId=wanted.held.arn,
        SecretString=wanted.text,
        ClientRequestToken=wanted.version,
        **stages,
    )
    return Written(answer.get("ARN") or wanted.held.arn, answer.get("VersionId") or wanted.version)


def rival(aws: Aws, wanted: Write, written: Written, pinned: bool) -> str:
    """Id of a version that somebody else wrote between the read and the write, or after it; empty for none.

    Secrets Manager moves AWSPREVIOUS to the version that was current when another took its place.
    """
    there = aws.in_region(wanted.held.reference.region)
    answer = there.call_optional("secretsmanager", "DescribeSecret", f"secret {written.arn}", SecretId=written.arn)
    versions: dict[str, list[str]] = (answer or {}).get("VersionIdsToStages") or {}

    def other(stage: str, mine: str) -> str:
        found = [version for version, stages in versions.items() if stage in stages]
        return "" if not found or mine in found else found[0]

    later = other(wanted.stage, written.version)
    if later:
        return "" if pinned else later
    return other(PREVIOUS, wanted.held.version) if wanted.held.exists and wanted.stage == CURRENT else ""


def _create(aws: Aws, there: Aws, wanted: Write, on: str) -> Written:
    key: dict[str, Any] = {"KmsKeyId": wanted.kms_key} if wanted.kms_key else {}
    try:
        answer = there.call(
            "secretsmanager",
            "CreateSecret",
            on,
            Name=wanted.held.reference.name,
            ClientRequestToken=wanted.version,
            SecretString=wanted.text,
            Tags=[{"Key": name, "Value": value} for name, value in wanted.tags.items()],
            **key,
        )
    except AwsError as error:
        # Made by our own first attempt, whose answer was lost, or by somebody else at the same time.
        now = read(aws, wanted.held.reference, "") if error.code == _EXISTS else None
        if now is None or now.text != wanted.text:
            raise
        return Written(now.arn, now.version)
    return Written(answer["ARN"], answer.get("VersionId") or wanted.version)
