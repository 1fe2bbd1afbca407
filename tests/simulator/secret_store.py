# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a task's containers get at their start: `environment`, and what `secrets` refer to, read from moto right then.

ECS developer guide, "Pass Secrets Manager secrets / Systems Manager parameters through Amazon ECS environment
variables": the forms of `valueFrom`. "Stopped tasks error messages": how a task fails that cannot read them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import policies
from .errors import denied
from .state import Json, Task

_SECRET_PARTS = 7  # arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME
_PARAMETER_PARTS = 6  # arn:PARTITION:ssm:REGION:ACCOUNT:parameter/NAME
_INITIALIZATION = (
    "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
)
_ASM = f"{_INITIALIZATION}unable to retrieve secret from asm: service call has been retried 1 time(s): "
_SSM = f"{_INITIALIZATION}unable to retrieve secrets from ssm: service call has been retried 1 time(s): "


class Unreadable(Exception):
    """The task's stoppedReason."""


@dataclass(frozen=True)
class Reference:
    """A `valueFrom`. A bare name is an SSM parameter of the task's own account and Region."""

    service: str  # secretsmanager, ssm
    partition: str
    account: str
    region: str
    identifier: str  # the secret's ARN (the suffix may be missing), or the parameter's name
    key: str = ""
    stage: str = ""
    version: str = ""

    @classmethod
    def parse(cls, text: str, partition: str, account: str, region: str) -> Reference:
        parts = text.split(":")
        if text.startswith("arn:") and len(parts) >= _SECRET_PARTS and parts[2] == "secretsmanager":
            extra = [*parts[_SECRET_PARTS:], "", "", ""][:3]
            return cls(parts[2], parts[1], parts[4], parts[3], ":".join(parts[:_SECRET_PARTS]), *extra)
        if text.startswith("arn:") and len(parts) >= _PARAMETER_PARTS and parts[2] == "ssm":
            # An ARN does not tell /name from name, and neither does moto.
            return cls(parts[2], parts[1], parts[4], parts[3], parts[5].removeprefix("parameter"))
        return cls("ssm", partition, account, region, text)

    @property
    def parameter_arn(self) -> str:
        name = self.identifier.removeprefix("/")
        return f"arn:{self.partition}:ssm:{self.region}:{self.account}:parameter/{name}"


@dataclass(frozen=True)
class SecretStore:
    """`check`: a task fails that cannot read a value; else the value is None. `roles`: its execution role must be
    allowed to read it."""

    account: str
    region: str
    partition: str
    check: bool = False
    roles: bool = False

    def prepare(self, task: Task) -> str | None:
        """Fill `task.started_with`, or answer why the task must fail."""
        values: dict[str, dict[str, str | None]] = {}
        try:
            for container in task.definition.containers:
                secrets = dict(self._secrets(task, container))
                values[str(container["name"])] = {**_plain(task, container), **secrets}
        except Unreadable as error:
            return str(error)
        task.started_with = values
        return None

    def _secrets(self, task: Task, container: Json) -> Iterator[tuple[str, str | None]]:
        for one in container.get("secrets") or []:
            reference = Reference.parse(str(one.get("valueFrom")), self.partition, self.account, self.region)
            try:
                if self.check and self.roles:
                    _allow(task, reference)
                yield str(one["name"]), read(reference)
            except Unreadable:
                if self.check:
                    raise
                yield str(one["name"]), None


def _plain(task: Task, container: Json) -> Json:
    """`environment`, and what RunTask's overrides put over it."""
    over = [one for one in task.overrides.get("containerOverrides", []) if one.get("name") == container["name"]]
    entries = [*(container.get("environment") or []), *(entry for one in over for entry in one.get("environment", []))]
    return {str(entry["name"]): entry.get("value") for entry in entries}


def read(reference: Reference) -> str:
    """The value as the container gets it; Unreadable when there is none."""
    return _secret(reference) if reference.service == "secretsmanager" else _parameter(reference)


def _backend(reference: Reference) -> Any:
    """moto's; None while moto was not asked for anything yet, and for a Region that does not exist."""
    module = sys.modules.get(f"moto.{reference.service}.models")
    if module is None:
        return None
    try:
        return getattr(module, f"{reference.service}_backends")[reference.account][reference.region]
    except KeyError:
        return None


def _secret(reference: Reference) -> str:
    fetching = f"{_ASM}failed to fetch secret {reference.identifier} from secrets manager: "
    backend = _backend(reference)
    if backend is None:
        raise Unreadable(f"{fetching}ResourceNotFoundException: Secrets Manager can't find the specified secret.")
    from moto.core.exceptions import JsonRESTError

    try:
        answer = backend.get_secret_value(reference.identifier, reference.version, reference.stage)
    except JsonRESTError as error:
        raise Unreadable(f"{fetching}{error.error_type}: {error.message}") from None
    if "SecretString" not in answer:
        # That a binary secret is refused is assumed, and so is the sentence.
        raise Unreadable(f"{fetching}the secret has no SecretString")
    text = str(answer["SecretString"])
    return _member(text, reference.key) if reference.key else text


def _member(text: str, key: str) -> str:
    try:
        parsed = json.loads(text)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict) or key not in parsed:
        # For a secret that is no JSON object the sentence is assumed.
        raise Unreadable(f"{_ASM}retrieved secret from Secrets Manager did not contain json key {key}")
    return parsed[key] if isinstance(parsed[key], str) else json.dumps(parsed[key])


def _parameter(reference: Reference) -> str:
    backend, name = _backend(reference), reference.identifier
    # ":" would select a version; ECS has no such selector.
    found = backend.get_parameter(name) if backend is not None and ":" not in name else None
    if found is None:
        # How ECS names a parameter that was given as an ARN is assumed.
        raise Unreadable(f"{_SSM}invalid ssm parameters: {name}")
    return str(found.decrypt(found.value))


def _allow(task: Task, reference: Reference) -> None:
    """Unreadable unless the execution role may read it, and decrypt it where a customer's KMS key protects it."""
    role = str(task.definition.body.get("executionRoleArn", ""))
    found = policies.policies_of(role)
    if found is None:
        raise Unreadable(
            f"ECS was unable to assume the role '{role}' that was provided for this task. Please verify that the role "
            "being passed has the proper trust relationship and permissions and that your IAM user has permissions to "
            "pass this role."
        )
    # The principal is the role's session for this task.
    account = role.partition(":role/")[0].replace(":iam:", ":sts:")
    principal = f"{account}:assumed-role/{role.rsplit('/', 1)[-1]}/{task.id}"
    secret = reference.service == "secretsmanager"
    prefix = f"{_ASM}failed to fetch secret {reference.identifier} from secrets manager: " if secret else _SSM
    arn, key = protection(reference)
    needed = [(reference.service, "GetSecretValue" if secret else "GetParameters", arn)]
    if key and "alias/aws/" not in key:
        needed.append(("kms", "Decrypt", key_arn(reference, key)))
    # The value of kms:ViaService for a call that the other service makes in the caller's name.
    via = {"kms:ViaService": f"{reference.service}.{reference.region}.amazonaws.com"}
    for service, action, resource in needed:
        decision = policies.decide(found, f"{service}:{action}", resource, via if service == "kms" else {}).decision
        if decision != "allowed":
            error = denied(principal, service, action, resource)
            message = error.message
            if decision == "explicitDeny":
                # IAM user guide, "Troubleshoot access denied error messages".
                message = message.partition(" because ")[0] + " with an explicit deny in an identity-based policy"
            if secret and service == "kms":
                message = "Access to KMS is not allowed"  # all that Secrets Manager says of it
            raise Unreadable(f"{prefix}{error.code}: {message}")


def protection(reference: Reference) -> tuple[str, str | None]:
    """(the ARN that policies must allow, KMS key); for a secret that does not exist the ARN as it was given."""
    backend = _backend(reference)
    if reference.service == "secretsmanager":
        secret = backend.secrets.get(reference.identifier) if backend is not None else None
        return (reference.identifier, None) if secret is None else (secret.arn, getattr(secret, "kms_key_id", None))
    parameter = backend.get_parameter(reference.identifier) if backend is not None else None
    secure = parameter is not None and parameter.parameter_type == "SecureString"
    return reference.parameter_arn, getattr(parameter, "keyid", None) if secure else None


def key_arn(reference: Reference, key: str) -> str:
    """The ARN of a key that is given as an id, an ARN or an alias. An alias that moto's KMS does not know stays one."""
    base = f"arn:{reference.partition}:kms:{reference.region}:{reference.account}:"
    if "alias/" in key and "moto.kms.models" in sys.modules:
        from moto.kms.models import kms_backends

        alias = "alias/" + key.split("alias/", 1)[1]
        for one in kms_backends[reference.account][reference.region].keys.values():
            if alias in one.aliases:
                return str(one.arn)
    if key.startswith("arn:"):
        return key
    return base + (key if key.startswith("alias/") else f"key/{key}")
