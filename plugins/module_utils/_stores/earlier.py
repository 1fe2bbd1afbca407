# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring an earlier version of a secret or parameter back.

Follows https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html and
https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameterHistory.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._aws import Aws
from .._errors import AwsError, KeyturnError
from . import store
from .held import Held, Write
from .reference import CURRENT, SSM, Reference

RESTORE = "restore_secret_version"


@dataclass(frozen=True)
class Earlier:
    """A version that was current before, and what is current now.

    Attributes:
        held: the secret or parameter as it is now.
        value: the earlier content; known for parameters, which have no stages to move.
        version: the earlier version's id or number.
        stage: the version stage that moves.
        restored: it is current again already.
    """

    held: Held
    version: str
    stage: str = ""
    value: str = field(default="", repr=False)
    restored: bool = False


def look(aws: Aws, entry: Mapping[str, Any], service_arn: str, force: bool) -> Earlier:
    """Find the earlier version that a rotation's result names.

    Args:
        entry: one of ``secrets`` of ``ecs_env_rotate``, with a ``previous_version_id``.
        force: also when somebody wrote a version since.

    Raises:
        KeyturnError: it is gone, or somebody wrote a version since.
    """
    arn, written, before = str(entry["arn"]), str(entry["version_id"]), str(entry["previous_version_id"])
    reference = Reference.parse(arn)
    stage = str(entry.get("stage") or CURRENT)
    if reference.store != SSM and stage != CURRENT:
        reference = Reference.parse(f"{arn}::{stage}:")
    held = store.read(aws, reference, service_arn)
    if not held.exists:
        raise KeyturnError(f"secrets: {arn} does not exist any more, so version {before} of it cannot be brought back.")
    value = _parameter_value(aws, held, before) if reference.store == SSM else ""
    restored = held.text == value if reference.store == SSM else held.version == before
    if not restored and held.version != written and not force:
        raise KeyturnError(
            f"secrets: version {held.version} of {arn} is current, and neither {written}, which shall be taken back, "
            "nor "
            f"{before}: somebody changed it since. Nothing was changed; look at who did, or set force=true."
        )
    return Earlier(held, before, "" if reference.store == SSM else stage, value, restored)


def _parameter_value(aws: Aws, held: Held, version: str) -> str:
    there, name = aws.in_region(held.reference.region), store.parameter_name(aws, held)
    more: dict[str, str] = {}
    while True:
        answer = there.call("ssm", "GetParameterHistory", f"parameter {name}", Name=name, WithDecryption=True, **more)
        for entry in answer.get("Parameters") or ():
            if str(entry.get("Version")) == version:
                aws.scrub.add(entry.get("Value"))
                return str(entry.get("Value") or "")
        if not answer.get("NextToken"):
            raise KeyturnError(f"secrets: SSM keeps 100 versions, and version {version} of {held.arn} is gone.")
        more = {"NextToken": answer["NextToken"]}


def restore(aws: Aws, earlier: Earlier, pause: Callable[[float], None]) -> None:
    """Make the earlier version current. It may be repeated."""
    held = earlier.held
    if held.reference.store == SSM:
        store.carry_out(aws, store.prepare(aws, Write("put_parameter", held, earlier.value)), pause)
        return
    try:
        aws.in_region(held.reference.region).call(
            "secretsmanager",
            "UpdateSecretVersionStage",
            f"secret {held.arn}",
            SecretId=held.arn,
            VersionStage=earlier.stage,
            MoveToVersionId=earlier.version,
            **({"RemoveFromVersionId": held.version} if held.version else {}),
        )
    except AwsError as error:
        # The stage is where it shall be: a first attempt was carried out, and its answer was lost.
        if error.code != "InvalidParameterException" or store.read(aws, held.reference, "").version != earlier.version:
            raise
