# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A ledger that is an object in S3: read, and written again only if nobody else has written it since.

S3 keeps a conditional write apart from others: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._aws import Aws
from .._errors import AccessDeniedError, AwsError, KeyturnError
from .entries import Addition, Line, addition, result

SCHEME = "s3://"
ATTEMPTS = 40
SHORTEST, LONGEST = 0.05, 3.0  # seconds: bounds of the longest wait before an attempt, from the second one on

# The object is another one than it was, was removed, or is just being written.
_CONFLICTS = {"PreconditionFailed", "ConditionalRequestConflict", "OperationAborted", "NoSuchKey", "409", "412"}
_ABSENT = {"NoSuchKey", "404"}
_MARKS = "keyturn-writes"
_MARKS_KEPT = 50

Pause = Callable[[float], None]
Uniform = Callable[[float, float], float]


@dataclass(frozen=True)
class Held:
    """The object as it was read; without an ETag there is none.

    Attributes:
        marks: one for each of its last writes, so that a write whose answer was lost can be told from one that failed.
    """

    content: bytes = b""
    etag: str = ""
    content_type: str = "application/x-ndjson"
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def marks(self) -> tuple[str, ...]:
        return tuple(self.metadata.get(_MARKS, "").split())


@dataclass(frozen=True)
class Place:
    """Where the object is."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, path: str) -> Place:
        """Read ``s3://bucket/key``."""
        bucket, _slash, key = path.removeprefix(SCHEME).partition("/")
        if not bucket or not key or key.endswith("/"):
            raise KeyturnError(f"path {path} names no object: give s3://BUCKET/KEY.")
        return cls(bucket, key)

    @property
    def named(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"

    @property
    def request(self) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.key}


def append(
    aws: Aws,
    path: str,
    wanted: Sequence[Line],
    *,
    check_mode: bool,
    pause: Pause = time.sleep,
    uniform: Uniform = random.uniform,
    mark: Callable[[], str] = lambda: uuid.uuid4().hex[:8],
) -> dict[str, Any]:
    """Append lines to an object; others may do so at the same time.

    Raises:
        KeyturnError: it cannot be read or written, or others write all the time. Nothing was appended then.
        AwsError: with ``outcome_unknown`` when neither the write's nor the next read's answer came.
    """
    place, own = Place.parse(path), mark()
    _check_conditions(aws)
    added, lost = Addition((), 0), None
    for attempt in range(ATTEMPTS):
        if attempt:
            pause(uniform(0.0, min(SHORTEST * 2.0**attempt, LONGEST)))
        held = _read(aws, place)
        if own in held.marks:
            return result(path, added)
        if lost is not None:
            raise lost
        added = addition(wanted, held.content)
        if check_mode or not added.lines:
            return result(path, added)
        try:
            _write(aws, place, held, added, own)
        except AwsError as error:
            if error.outcome_unknown:
                lost = error
            elif error.code not in _CONFLICTS:
                raise
        else:
            return result(path, added)
    raise KeyturnError(
        f"Others have written {place.named} between each of {ATTEMPTS} times that it was read and written. Nothing was "
        "appended; run again when fewer do."
    )


def content(aws: Aws, path: str) -> bytes | None:
    """What an object holds; None where there is none.

    Raises:
        KeyturnError: it cannot be read.
    """
    held = _read(aws, Place.parse(path))
    return held.content if held.etag else None


def _read(aws: Aws, place: Place) -> Held:
    try:
        answer = aws.call("s3", "GetObject", place.named, **place.request)
    except AccessDeniedError as error:
        error.msg += " S3 says the same of an object that is not there unless s3:ListBucket is allowed on the bucket."
        raise
    except AwsError as error:
        if error.code in _ABSENT:
            return Held()
        raise
    return Held(
        answer["Body"], answer["ETag"], answer.get("ContentType", Held.content_type), answer.get("Metadata", {})
    )


def _write(aws: Aws, place: Place, held: Held, added: Addition, own: str) -> None:
    """Write the object if it is still what was read; its type and metadata stay."""
    condition = {"IfMatch": held.etag} if held.etag else {"IfNoneMatch": "*"}
    aws.call(
        "s3",
        "PutObject",
        place.named,
        **place.request,
        **condition,
        Body=held.content + added.after(held.content[-1:]),
        ContentType=held.content_type,
        Metadata={**held.metadata, _MARKS: " ".join([*held.marks, own][-_MARKS_KEPT:])},
    )


def _check_conditions(aws: Aws) -> None:
    """Conditions that botocore does not know would not be sent."""
    _known, unknown = aws.split_known("s3", "PutObject", {"IfMatch": "", "IfNoneMatch": ""})
    if unknown:
        raise KeyturnError(
            f"The installed botocore does not know {' and '.join(unknown)} of s3:PutObject, so two runs could "
            "overwrite each other's lines: upgrade boto3 to 1.35.69 or newer."
        )
