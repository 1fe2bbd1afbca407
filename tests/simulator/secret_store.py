# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a task could read what its `secrets` refer to: asked of moto, when the simulator was told to check.

ECS developer guide, "Pass Secrets Manager secrets / Systems Manager parameters through Amazon ECS environment
variables": the forms of `valueFrom`. Permissions are not looked at.
"""

from __future__ import annotations

import json

_SECRET_PARTS = 7  # arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME


def exists(account: str, region: str, value_from: str) -> bool:
    """True when the secret's version and JSON key, or the parameter, exist. A bare name is an SSM parameter."""
    parts = value_from.split(":")
    if value_from.startswith("arn:") and len(parts) >= _SECRET_PARTS and parts[2] == "secretsmanager":
        extra = [*parts[_SECRET_PARTS:], "", "", ""][:3]
        return _secret(parts[4], parts[3], ":".join(parts[:_SECRET_PARTS]), *extra)
    if value_from.startswith("arn:"):
        if len(parts) < 6 or parts[2] != "ssm":
            return False
        account, region = parts[4], parts[3]
        name = parts[5].removeprefix("parameter")
        return _parameter(account, region, name) or _parameter(account, region, name.removeprefix("/"))
    return _parameter(account, region, value_from)


def _secret(account: str, region: str, arn: str, key: str, stage: str, version: str) -> bool:
    from moto.core.exceptions import JsonRESTError
    from moto.secretsmanager.models import secretsmanager_backends

    try:
        answer = secretsmanager_backends[account][region].get_secret_value(arn, version or "", stage or "AWSCURRENT")
        return not key or key in json.loads(answer.get("SecretString", "{}"))
    except (JsonRESTError, ValueError, KeyError):
        return False


def _parameter(account: str, region: str, name: str) -> bool:
    from moto.ssm.models import ssm_backends

    return ssm_backends[account][region].get_parameter(name) is not None
