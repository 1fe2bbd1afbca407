# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the role with which ECS starts a task may read a secret: asked of IAM before anything is changed.

Follows https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html and
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_execution_IAM_role.html
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from .._aws import Aws
from .._errors import AwsError, KeyturnError
from .held import Held
from .reference import SSM

_READS = {"secretsmanager": "secretsmanager:GetSecretValue", SSM: "ssm:GetParameters"}
_ALLOWED = "allowed"


def check(aws: Aws, role: str, service_arn: str, held: Sequence[Held]) -> tuple[str, ...]:
    """Refuse what the execution role may not read.

    Args:
        role: ``executionRoleArn`` of the task definition, ARN or name; empty without one.
        held: what the role has not read before.

    Returns:
        What could not be checked, and why.

    Raises:
        KeyturnError: with the policy statement to add.
    """
    if not held:
        return ()
    if not role:
        raise KeyturnError(
            "The task definition has no executionRoleArn, with which ECS would read the secret: nothing was changed. "
            "Give "
            f"it one with this statement: {_statements([(_READS[one.reference.store], one.arn) for one in held])}"
        )
    parts = service_arn.split(":")
    arn = role if role.startswith("arn:") else f"arn:{parts[1]}:iam::{parts[4]}:role/{role}"
    asked, warnings = [], []
    for one in held:
        asked.append(_Read(_READS[one.reference.store], one.arn, one.reference.store))
        key, why = kms_key(aws, one)
        if key:
            asked.append(_Read("kms:Decrypt", key, one.reference.store))
        elif why:
            warnings.append(f"Whether the execution role may use KMS key {one.kms_key} could not be checked: {why}")
    try:
        decided = {read: _decision(aws, arn, read) for read in asked}
        denied = [read for read, (allowed, depends) in decided.items() if not allowed and not depends]
        by_resource = [one for one in held if any(one.arn == read.resource for read in denied)]
        # IAM's simulation leaves resource policies out for roles.
        named = [_named_by_resource(aws, one, arn) for one in by_resource]
        if denied and all(found for found, _why in named) and len(by_resource) == len(denied):
            return (*warnings, f"Only the secret's own resource policy lets the execution role {arn} read it.")
    except AwsError as error:
        return (*warnings, f"Whether the execution role {arn} may read the secret could not be checked: {error.msg}")
    if denied and _is_unknown(aws, arn):
        unknown = "IAM knows no such role"  # AWS would have said so when it was asked, an emulator may not
        return (*warnings, f"Whether the execution role {arn} may read the secret could not be checked: {unknown}.")
    if denied:
        missing = ", ".join(f"{read.action} on {read.resource}" for read in denied)
        raise KeyturnError(
            f"The execution role {arn} lacks {missing}, so tasks would not start: nothing was changed. Add to its "
            f"policy: {_statements([(read.action, read.resource) for read in denied])}"
            + "".join(
                f" Whether the secret's own policy lets it could not be seen: {why}" for _found, why in named if why
            )
        )
    unsure = (
        f"Whether the execution role {arn} has {read.action} on {read.resource} cannot be said before a task starts, "
        f"since a policy depends on {', '.join(depends)}."
        for read, (allowed, depends) in decided.items()
        if not allowed and depends
    )
    return (*warnings, *unsure)


def _is_unknown(aws: Aws, role: str) -> bool:
    """Whether IAM says that there is no such role; who may not ask it takes the role for one."""
    try:
        aws.call_briefly("iam", "GetRole", f"role {role}", RoleName=role.rpartition("/")[2])
    except AwsError as error:
        return error.code == "NoSuchEntity"
    return False


@dataclass(frozen=True)
class _Read:
    """A permission that a task's start needs.

    Attributes:
        store: the service that is asked for the value, and that asks KMS in the role's name.
    """

    action: str
    resource: str
    store: str


def _decision(aws: Aws, role: str, read: _Read) -> tuple[bool, tuple[str, ...]]:
    """Whether the role's policies allow it; and the condition keys that they look at and only a task's start has."""
    region = read.resource.split(":")[3]
    context = {"aws:RequestedRegion": region}
    if read.action.startswith("kms:"):
        context["kms:ViaService"] = via_service(read.store, region)
    answer = aws.call_briefly(
        "iam",
        "SimulatePrincipalPolicy",
        f"role {role}",
        PolicySourceArn=role,
        ActionNames=[read.action],
        ResourceArns=[read.resource],
        ContextEntries=[
            {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
            for key, value in context.items()
        ],
    )
    results = answer.get("EvaluationResults") or ()
    allowed = bool(results) and all(result.get("EvalDecision") == _ALLOWED for result in results)
    missing = (key for result in results for key in result.get("MissingContextValues") or ())
    return allowed, tuple(dict.fromkeys(missing))


def via_service(store: str, region: str) -> str:
    """The condition key ``kms:ViaService`` of a call to KMS that a store makes for its caller.

    Follows https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service
    """
    return f"{store}.{region}.amazonaws.com"


def _named_by_resource(aws: Aws, held: Held, role: str) -> tuple[bool, str]:
    """Whether a secret's own policy names the role; and why that could not be seen."""
    if held.reference.store == SSM or not held.exists:
        return False, ""
    there, on = aws.in_region(held.reference.region), f"secret {held.arn}"
    answer, why = there.call_or_why("secretsmanager", "GetResourcePolicy", on, SecretId=held.arn)
    return role in ((answer or {}).get("ResourcePolicy") or ""), why


def kms_key(aws: Aws, held: Held) -> tuple[str, str]:
    """ARN of a customer's KMS key, empty for AWS's own, whose policy lets the service use it; and why it is unknown."""
    if not held.kms_key or held.kms_key.startswith("alias/aws/") or ":alias/aws/" in held.kms_key:
        return "", ""
    if ":key/" in held.kms_key:
        return held.kms_key, ""
    there = aws.in_region(held.reference.region)
    answer, why = there.call_or_why("kms", "DescribeKey", f"key {held.kms_key}", KeyId=held.kms_key)
    return str((answer or {}).get("KeyMetadata", {}).get("Arn", "")), why


def _statements(pairs: Sequence[tuple[str, str]]) -> str:
    statements = [{"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in pairs]
    return json.dumps(statements[0] if len(statements) == 1 else statements)
