# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which permissions this one rotation needs, on what. Pure: two tables, and what is known of the rotation.

Follows https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
(the pages of ECS, IAM, Secrets Manager, Systems Manager, KMS and CloudWatch Logs) and
https://docs.aws.amazon.com/systems-manager/latest/userguide/secure-string-parameter-kms-encryption.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .._stores.permission import via_service
from .._stores.reference import SECRETS_MANAGER, SSM

ANYTHING = "*"
NEW_SUFFIX = "??????"


@dataclass(frozen=True)
class Stored:
    """A secret or parameter that the rotation has to do with.

    Attributes:
        exists: false for one that is created.
        written: it gets a new version.
        read: its value was read just now, so the caller may.
        key: ARN of a customer's KMS key; empty for AWS's own.
        direct: KMS encrypts the value itself, and no data key: a standard parameter.
    """

    store: str
    arn: str
    exists: bool = True
    written: bool = True
    read: bool = False
    key: str = ""
    direct: bool = False


@dataclass(frozen=True)
class Work:
    """What a rotation would do, and the ARNs that it would do it to; empty where unknown.

    Attributes:
        scope: ``arn:PARTITION:ecs:REGION:ACCOUNT``.
        family: of the task definition.
        roles: ARNs of the task's roles, which are passed on.
        log_groups: ARNs with ``:*``, of what a log scan reads.
        seen: the service and its revision were read just now, so the caller may.
    """

    scope: str
    cluster: str
    service_arn: str
    family: str = ""
    roles: tuple[str, ...] = ()
    stored: tuple[Stored, ...] = ()
    log_groups: tuple[str, ...] = ()
    registers: bool = True
    deploys: bool = True
    tagged: bool = False
    new_secret_tagged: bool = False
    rollback: bool = True
    log_scan: bool = False
    seen: bool = True


@dataclass(frozen=True)
class Need:
    """A permission.

    Attributes:
        resource: the ARN as a policy would have it, with ``*`` or ``?`` where a part is not known beforehand.
        optional: without it the rotation works, and proves less.
        proven: it was used just now.
        via: the service that calls KMS for the caller, as ``kms:ViaService`` names it.
    """

    action: str
    resource: str
    optional: bool = False
    proven: bool = False
    via: str = ""

    @property
    def example(self) -> str:
        """A whole ARN that the resource stands for, to ask IAM about."""
        if self.resource == ANYTHING:
            return ANYTHING
        if ":log-group:" in self.resource:
            return f"{self.resource.removesuffix(':*')}:log-stream:"
        return self.resource.replace(NEW_SUFFIX, "AbCdEf").replace("*", "1")


@dataclass(frozen=True)
class Row:
    """An action, and what it is needed on; nothing for what this rotation does not need."""

    action: str
    resources: Callable[[Work], tuple[str, ...]]
    optional: Callable[[Work], bool] = lambda work: False
    proven: Callable[[Work], bool] = lambda work: False


@dataclass(frozen=True)
class StoredRow:
    """An action on each secret or parameter of one store, or on its key."""

    action: str
    store: str
    when: Callable[[Stored, Work], bool]
    proven: Callable[[Stored], bool] = lambda one: False
    optional: bool = False
    on_key: bool = False


def _service(work: Work) -> tuple[str, ...]:
    return (work.service_arn,)


def _family(work: Work) -> tuple[str, ...]:
    return (f"{work.scope}:task-definition/{work.family}:*",) if work.registers and work.family else ()


def _verified(work: Work, resource: str) -> tuple[str, ...]:
    return (resource,) if work.deploys or work.log_scan else ()


def _below(work: Work, kind: str) -> tuple[str, ...]:
    """The service's own deployments or revisions, and the service: the action needs both."""
    below = work.service_arn.replace(":service/", f":{kind}/") + "/*"
    return (*_verified(work, work.service_arn), *_verified(work, below))


def _unless_scanned(work: Work) -> bool:
    return not work.log_scan


def _always(_work: Work) -> bool:
    return True


def _seen(work: Work) -> bool:
    return work.seen


def _read(one: Stored) -> bool:
    return one.read


def _every(_one: Stored, _work: Work) -> bool:
    return True


def _overwritten(one: Stored, _work: Work) -> bool:
    return one.written and one.exists


def _taken_back(one: Stored, work: Work) -> bool:
    return work.rollback and one.written and one.exists


def _made(one: Stored, _work: Work) -> bool:
    return not one.exists


ROWS: tuple[Row, ...] = (
    Row("ecs:DescribeServices", _service, proven=_seen),
    Row("ecs:DescribeTaskDefinition", lambda work: (ANYTHING,), proven=_seen),
    Row("ecs:RegisterTaskDefinition", _family),
    Row("ecs:TagResource", lambda work: _family(work) if work.tagged else ()),
    Row("iam:PassRole", lambda work: work.roles if work.registers else ()),
    Row("ecs:UpdateService", lambda work: _service(work) if work.deploys else ()),
    # What the rollout is watched with: DescribeServices alone tells less. A log scan needs the tasks.
    Row("ecs:ListTasks", lambda work: _verified(work, ANYTHING), _unless_scanned),
    Row("ecs:DescribeTasks", lambda work: _verified(work, f"{work.scope}:task/{work.cluster}/*"), _unless_scanned),
    Row("ecs:ListServiceDeployments", lambda work: _verified(work, work.service_arn), _always),
    Row("ecs:DescribeServiceDeployments", lambda work: _below(work, "service-deployment"), _always),
    Row("ecs:DescribeServiceRevisions", lambda work: _below(work, "service-revision"), _always),
    Row("logs:FilterLogEvents", lambda work: work.log_groups if work.log_scan else ()),
)

STORED_ROWS: tuple[StoredRow, ...] = (
    StoredRow("secretsmanager:DescribeSecret", SECRETS_MANAGER, _every, optional=True),
    StoredRow("secretsmanager:GetSecretValue", SECRETS_MANAGER, _every, proven=_read),
    StoredRow("secretsmanager:PutSecretValue", SECRETS_MANAGER, _overwritten),
    StoredRow("secretsmanager:UpdateSecretVersionStage", SECRETS_MANAGER, _taken_back),
    StoredRow("secretsmanager:CreateSecret", SECRETS_MANAGER, _made),
    StoredRow(
        "secretsmanager:TagResource", SECRETS_MANAGER, lambda one, work: not one.exists and work.new_secret_tagged
    ),
    StoredRow("ssm:GetParameter", SSM, _every, proven=_read),
    StoredRow("ssm:PutParameter", SSM, lambda one, work: one.written),
    StoredRow("ssm:GetParameterHistory", SSM, _taken_back),
    StoredRow("ssm:AddTagsToResource", SSM, lambda one, work: not one.exists and work.new_secret_tagged),
    StoredRow("kms:Decrypt", SECRETS_MANAGER, _every, proven=_read, on_key=True),
    StoredRow("kms:Decrypt", SSM, _every, proven=_read, on_key=True),
    StoredRow("kms:GenerateDataKey", SECRETS_MANAGER, lambda one, work: one.written, on_key=True),
    StoredRow("kms:GenerateDataKey", SSM, lambda one, work: one.written and not one.direct, on_key=True),
    StoredRow("kms:Encrypt", SSM, lambda one, work: one.written and one.direct, on_key=True),
)


def needs(work: Work) -> tuple[Need, ...]:
    """Each permission once, in the tables' order."""
    return tuple(dict.fromkeys([*_of_service(work), *_of_stores(work)]))


def _of_service(work: Work) -> Iterator[Need]:
    for row in ROWS:
        for resource in row.resources(work):
            yield Need(row.action, resource, row.optional(work), row.proven(work))


def _of_stores(work: Work) -> Iterator[Need]:
    for row in STORED_ROWS:
        for one in work.stored:
            resource = one.key if row.on_key else one.arn
            if resource and one.store == row.store and row.when(one, work):
                via = via_service(one.store, resource.split(":")[3]) if row.on_key else ""
                yield Need(row.action, resource, row.optional, row.proven(one), via)
    # ssm:DescribeParameters lists all there are: AWS knows no narrower resource for it.
    if any(one.store == SSM and one.exists and one.written for one in work.stored):
        read = all(one.read for one in work.stored if one.store == SSM)
        yield Need("ssm:DescribeParameters", ANYTHING, proven=read)
