# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which permissions a call needs, on what, with which condition keys; and whether the caller has them.

Follows the service authorization reference (https://docs.aws.amazon.com/service-authorization/latest/reference/), the
ECS developer guide ("Grant permission to tag resources on creation"), the KMS pages of the Secrets Manager user guide
("Secret encryption and decryption") and of the Systems Manager user guide ("How Parameter Store uses KMS"), and S3's
API_GetObject ("if you don't have s3:ListBucket"). A call that has no row here is refused to every caller whose policies
are enforced, so that none goes unchecked. Resource policies and key policies are not looked at.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

from . import policies
from .errors import ApiError, denied
from .identity import Caller
from .moto_bridge import Environ, Request
from .secret_store import Reference, key_arn, protection
from .state import Json
from .world import last_part


@dataclass(frozen=True)
class Permission:
    """An action on a resource, and the values of condition keys."""

    action: str
    resource: str
    context: dict[str, str]


@dataclass(frozen=True)
class Asked:
    """A call: the request's members (of a query or REST call its parameters), and where it goes."""

    caller: Caller
    members: Json

    def arn(self, service: str, rest: str) -> str:
        return f"arn:aws:{service}:{self.caller.region}:{self.caller.account}:{rest}"

    @property
    def cluster(self) -> str:
        return last_part(str(self.members.get("cluster") or "default"))


Found = Iterator[tuple[str, str, dict[str, str]]]  # action, resource, condition keys


def _in_cluster(asked: Asked, cluster: str) -> dict[str, str]:
    return {"ecs:cluster": asked.arn("ecs", f"cluster/{cluster}")}


def _services(action: str) -> Callable[[Asked], Found]:
    def rows(asked: Asked) -> Found:
        for name in asked.members.get("services") or [asked.members["service"]]:
            # A service's ARN tells its cluster; the old form of it does not.
            cluster = str(name).split("/")[1] if str(name).count("/") == 2 else asked.cluster
            yield action, asked.arn("ecs", f"service/{cluster}/{last_part(str(name))}"), _in_cluster(asked, cluster)

    return rows


def _tasks(action: str) -> Callable[[Asked], Found]:
    def rows(asked: Asked) -> Found:
        for name in asked.members["tasks"]:
            where = _in_cluster(asked, asked.cluster)
            yield action, asked.arn("ecs", f"task/{asked.cluster}/{last_part(str(name))}"), where

    return rows


def _below_services(action: str, member: str) -> Callable[[Asked], Found]:
    """Service deployments and revisions: the action needs them and their service, both."""

    def rows(asked: Asked) -> Found:
        for name in asked.members[member]:
            _kind, cluster, service, _id = str(name).split("/")
            where = _in_cluster(asked, cluster)
            yield action, asked.arn("ecs", f"service/{cluster}/{service}"), where
            yield action, str(name), {**where, "ecs:service": asked.arn("ecs", f"service/{cluster}/{service}")}

    return rows


def _register(asked: Asked) -> Found:
    family = asked.arn("ecs", f"task-definition/{asked.members['family']}:*")
    yield "ecs:RegisterTaskDefinition", family, {}
    if asked.members.get("tags"):
        yield "ecs:TagResource", family, {"ecs:CreateAction": "RegisterTaskDefinition"}
    for role in dict.fromkeys(asked.members.get(name) for name in ("executionRoleArn", "taskRoleArn")):
        if role:
            arn = role if role.startswith("arn:") else f"arn:aws:iam::{asked.caller.account}:role/{role}"
            yield "iam:PassRole", arn, {"iam:PassedToService": "ecs-tasks.amazonaws.com"}


def _delete_definitions(asked: Asked) -> Found:
    for name in asked.members["taskDefinitions"]:
        yield "ecs:DeleteTaskDefinitions", asked.arn("ecs", f"task-definition/{last_part(str(name))}"), {}


def _listed_in_cluster(action: str) -> Callable[[Asked], Found]:
    return lambda asked: iter([(action, "*", _in_cluster(asked, asked.cluster))])


def _anything(action: str) -> Callable[[Asked], Found]:
    return lambda asked: iter([(action, "*", {})])


def _nothing(_asked: Asked) -> Found:
    return iter(())


# Secrets, parameters, keys


def _via(asked: Asked, service: str, key: str, *actions: str) -> Found:
    for action in actions:
        yield f"kms:{action}", key, {"kms:ViaService": f"{service}.{asked.caller.region}.amazonaws.com"}


def _stored(asked: Asked, service: str, name: str) -> tuple[str, str]:
    """(ARN, ARN of a customer's key or nothing). That a secret which is not there has the ARN without a suffix is
    assumed: AWS's refusals name it by the name that was asked for."""
    arn = asked.arn(service, f"secret:{name}") if service == "secretsmanager" and ":" not in name else name
    reference = Reference.parse(arn, "aws", asked.caller.account, asked.caller.region)
    found, key = protection(reference)
    return found, key_arn(reference, key) if key and "alias/aws/" not in key else ""


def _secret(action: str, *with_key: str) -> Callable[[Asked], Found]:
    def rows(asked: Asked) -> Found:
        arn, key = _stored(asked, "secretsmanager", str(asked.members["SecretId"]))
        yield f"secretsmanager:{action}", arn, {}
        if key:
            yield from _via(asked, "secretsmanager", key, *with_key)

    return rows


def _create_secret(asked: Asked) -> Found:
    arn, key = asked.arn("secretsmanager", f"secret:{asked.members['Name']}"), asked.members.get("KmsKeyId")
    yield "secretsmanager:CreateSecret", arn, {}
    if asked.members.get("Tags"):
        yield "secretsmanager:TagResource", arn, {}
    if key:
        reference = Reference("secretsmanager", "aws", asked.caller.account, asked.caller.region, arn)
        yield from _via(asked, "secretsmanager", key_arn(reference, key), "GenerateDataKey", "Decrypt")


def _parameter(action: str, *with_key: str) -> Callable[[Asked], Found]:
    def rows(asked: Asked) -> Found:
        arn, key = _stored(asked, "ssm", str(asked.members["Name"]))
        yield f"ssm:{action}", arn, {}
        if key and asked.members.get("WithDecryption"):
            yield from _via(asked, "ssm", key, *with_key)

    return rows


def _put_parameter(asked: Asked) -> Found:
    reference = Reference.parse(str(asked.members["Name"]), "aws", asked.caller.account, asked.caller.region)
    yield "ssm:PutParameter", reference.parameter_arn, {}
    if asked.members.get("Tags"):
        yield "ssm:AddTagsToResource", reference.parameter_arn, {}
    key = asked.members.get("KeyId") or "alias/aws/ssm"
    if "alias/aws/" not in key:
        advanced = asked.members.get("Tier", "Standard") != "Standard"
        yield from _via(asked, "ssm", key_arn(reference, key), "GenerateDataKey" if advanced else "Encrypt")


def _key(action: str) -> Callable[[Asked], Found]:
    def rows(asked: Asked) -> Found:
        reference = Reference("kms", "aws", asked.caller.account, asked.caller.region, "")
        yield f"kms:{action}", key_arn(reference, str(asked.members["KeyId"])), {}

    return rows


# The others


def _rule(action: str) -> Callable[[Asked], Found]:
    def rows(asked: Asked) -> Found:
        bus, rule = asked.members.get("EventBusName") or "default", asked.members["Rule"]
        yield f"events:{action}", asked.arn("events", f"rule/{rule}" if bus == "default" else f"rule/{bus}/{rule}"), {}
        yield from _passed_to("events", asked.members.get("Targets") or ())

    return rows


def _schedule(action: str) -> Callable[[Asked], Found]:
    def rows(asked: Asked) -> Found:
        group = asked.members.get("groupName") or asked.members.get("GroupName") or "default"
        name = last_part(asked.members["path"])
        yield f"scheduler:{action}", asked.arn("scheduler", f"schedule/{group}/{name}"), {}
        yield from _passed_to("scheduler", [asked.members["Target"]] if "Target" in asked.members else ())

    return rows


def _passed_to(service: str, targets: Iterable[Json]) -> Found:
    for target in targets:
        yield "iam:PassRole", target["RoleArn"], {"iam:PassedToService": f"{service}.amazonaws.com"}


def _log_group(action: str) -> Callable[[Asked], Found]:
    def rows(asked: Asked) -> Found:
        stream = asked.members.get("logStreamName") or ""
        group = f"log-group:{asked.members['logGroupName']}:log-stream:{stream}"
        yield f"logs:{action}", asked.arn("logs", group), {}

    return rows


def _simulated(asked: Asked) -> Found:
    yield "iam:SimulatePrincipalPolicy", str(asked.members["PolicySourceArn"]), {}


def _assumed(asked: Asked) -> Found:
    yield "sts:AssumeRole", str(asked.members["RoleArn"]), {}


def _role(asked: Asked) -> Found:
    name = str(asked.members["RoleName"])
    yield (
        "iam:GetRole",
        policies.role_arn(asked.caller.account, name) or f"arn:aws:iam::{asked.caller.account}:role/{name}",
        {},
    )


def _object(action: str) -> Callable[[Asked], Found]:
    def rows(asked: Asked) -> Found:
        bucket, _slash, key = asked.members["path"].lstrip("/").partition("/")
        yield f"s3:{action}", f"arn:aws:s3:::{bucket}/{key}", {}
        if action == "GetObject" and not _object_exists(asked.caller.account, bucket, key):
            yield "s3:ListBucket", f"arn:aws:s3:::{bucket}", {}

    return rows


def _object_exists(account: str, bucket: str, key: str) -> bool:
    if "moto.s3.models" not in sys.modules:
        return False
    from moto.s3.models import s3_backends

    found = s3_backends[account]["aws"].buckets.get(bucket)
    return found is not None and key in found.keys


ROWS: dict[tuple[str, str], Callable[[Asked], Found]] = {
    **{("ecs", name): _services(f"ecs:{name}") for name in ("DescribeServices", "UpdateService")},
    ("ecs", "ListServiceDeployments"): _services("ecs:ListServiceDeployments"),
    ("ecs", "DescribeServiceDeployments"): _below_services("ecs:DescribeServiceDeployments", "serviceDeploymentArns"),
    ("ecs", "DescribeServiceRevisions"): _below_services("ecs:DescribeServiceRevisions", "serviceRevisionArns"),
    **{("ecs", name): _tasks(f"ecs:{name}") for name in ("DescribeTasks", "GetTaskProtection")},
    **{("ecs", name): _listed_in_cluster(f"ecs:{name}") for name in ("ListServices", "ListTasks")},
    **{
        ("ecs", name): _anything(f"ecs:{name}")
        for name in ("DescribeTaskDefinition", "DeregisterTaskDefinition", "ListClusters", "ListTaskDefinitions")
    },
    ("ecs", "RegisterTaskDefinition"): _register,
    ("ecs", "DeleteTaskDefinitions"): _delete_definitions,
    **{
        ("secretsmanager", name): _secret(name)
        for name in ("DescribeSecret", "GetResourcePolicy", "ListSecretVersionIds", "UpdateSecretVersionStage")
    },
    ("secretsmanager", "GetSecretValue"): _secret("GetSecretValue", "Decrypt"),
    ("secretsmanager", "PutSecretValue"): _secret("PutSecretValue", "GenerateDataKey", "Decrypt"),
    ("secretsmanager", "CreateSecret"): _create_secret,
    **{("ssm", name): _parameter(name, "Decrypt") for name in ("GetParameter", "GetParameterHistory")},
    ("ssm", "PutParameter"): _put_parameter,
    ("ssm", "DescribeParameters"): _anything("ssm:DescribeParameters"),
    **{("kms", name): _key(name) for name in ("DescribeKey", "GetKeyPolicy")},
    **{("logs", name): _log_group(name) for name in ("FilterLogEvents", "GetLogEvents")},
    **{("events", name): _anything(f"events:{name}") for name in ("ListEventBuses", "ListRules")},
    **{("events", name): _rule(name) for name in ("ListTargetsByRule", "PutTargets")},
    ("scheduler", "ListSchedules"): _anything("scheduler:ListSchedules"),
    **{("scheduler", name): _schedule(name) for name in ("GetSchedule", "UpdateSchedule")},
    ("cloudtrail", "LookupEvents"): _anything("cloudtrail:LookupEvents"),
    ("iam", "SimulatePrincipalPolicy"): _simulated,
    ("iam", "GetRole"): _role,
    ("sts", "GetCallerIdentity"): _nothing,  # "No permissions are required to perform this operation."
    ("sts", "AssumeRole"): _assumed,
    **{("s3", name): _object(name) for name in ("GetObject", "PutObject")},
}


def needed(request: Request, caller: Caller, body: bytes, environ: Environ) -> tuple[Permission, ...]:
    """The permissions that a call needs, each once; AccessDenied for an operation without a row."""
    rows = ROWS.get((request.service, request.operation))
    if rows is None:
        raise denied(caller.principal, request.service, request.operation, "*")
    asked = Asked(caller, _members(request, body, environ))
    found = []
    for action, resource, context in rows(asked):
        # The global keys are there for every call.
        one = Permission(action, resource, {**context, "aws:RequestedRegion": caller.region})
        if one not in found:
            found.append(one)
    return tuple(found)


def _members(request: Request, body: bytes, environ: Environ) -> Json:
    if request.protocol == "json":
        parsed: Json = json.loads(body or b"{}")
        return parsed
    text = body.decode() if request.protocol == "query" else str(environ.get("QUERY_STRING", ""))
    first: dict[str, Any] = {name: values[0] for name, values in parse_qs(text).items()}
    return {**first, "path": unquote(str(environ.get("PATH_INFO", "")))}


def check(one: Permission, caller: Caller, held: list[policies.Policy]) -> None:
    """AccessDenied, in the words of the service, for a permission that the policies do not give."""
    if policies.decide(held, one.action, one.resource, one.context).decision == "allowed":
        return
    if one.context.get("kms:ViaService", "").startswith("secretsmanager."):
        raise ApiError("AccessDeniedException", "Access to KMS is not allowed")  # all that Secrets Manager says
    service, _colon, operation = one.action.partition(":")
    raise denied(caller.principal, service, operation, one.resource)
