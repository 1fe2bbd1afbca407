# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`ecs_env_preflight`: everything that would stop a rotation is told at once, and nothing is written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint
from ansible_collections.keyturn.ecs.plugins.modules import ecs_env_preflight
from integration.stores import JSON_TEXT, Stores
from integration.support import ENVIRONMENT, NEW, OLD, THIRD, VARIABLE, Json, assert_no_value, standing_still
from integration.test_doors import HOST, NEW_KEY, Case, Place, comparable, finished, running
from integration.test_doors import clean_environment as clean
from simulator import Simulator

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/keyturn"
EXECUTION = f"arn:aws:iam::{ACCOUNT}:role/ecsTaskExecutionRole"
TASK_ROLE = f"arn:aws:iam::{ACCOUNT}:role/app"
SERVICE = f"arn:aws:ecs:us-east-1:{ACCOUNT}:service/c/s"
FAMILY = f"arn:aws:ecs:us-east-1:{ACCOUNT}:task-definition/s:*"
KMS_KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"

READ = ("ecs:DescribeServices", "ecs:DescribeTaskDefinition")
WATCH = (
    "ecs:ListTasks",
    "ecs:DescribeTasks",
    "ecs:ListServiceDeployments",
    "ecs:DescribeServiceDeployments",
    "ecs:DescribeServiceRevisions",
)
# The least for a rotation within the environment; docs/iam has it with narrower resources and conditions.
LEAST: dict[str, str | list[str]] = {
    **dict.fromkeys(("ecs:DescribeTaskDefinition", *WATCH), "*"),
    "ecs:RegisterTaskDefinition": FAMILY,
    "ecs:TagResource": FAMILY,
    "iam:PassRole": [EXECUTION, TASK_ROLE],
    "ecs:DescribeServices": SERVICE,
    "ecs:UpdateService": SERVICE,
}
NOTHING = {"ecr:GetAuthorizationToken": "*"}
# A service that a preflight has nothing to say of.
SOUND: Json = {
    "service_options": {
        "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": True, "rollback": True}},
    },
    "task_definition_options": {"taskRoleArn": TASK_ROLE},
}


def without(*actions: str) -> dict[str, str | list[str]]:
    return {action: resource for action, resource in LEAST.items() if action not in actions}


class Before(Stores):
    """A lab with a caller whose policies are known, and the module."""

    def caller(self, allowed: Mapping[str, str | Sequence[str]] | None = None, path: str = "/") -> str:
        """A role that may do this, action to resources, by default the least; answers its ARN."""
        return make_role(self.sim, LEAST if allowed is None else allowed, path=path)

    def sound(self, **wanted: Any) -> Json:
        return self.environment(**{**SOUND, **wanted})

    def preflight(self, **options: Any) -> Json:
        given = {"cluster": "c", "service": "s", "variable": VARIABLE, "value": NEW, **options}
        capability = ecs_env_preflight.CAPABILITY
        result = capability.answer(self.validated(capability, given), check_mode=False, diff=True)
        assert_no_value(result)
        assert set(self.writes()) <= {"AssumeRole"}
        assert result["changed"] is False
        return result

    def asked(self, **options: Any) -> Json:
        """A preflight by the role."""
        return self.preflight(assume_role_arn=ROLE, **options)


def make_role(
    sim: Simulator, allowed: Mapping[str, str | Sequence[str]], name: str = "keyturn", path: str = "/"
) -> str:
    iam = sim.client("iam")
    arn: str = iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    statements = [{"Effect": "Allow", "Action": action, "Resource": where} for action, where in allowed.items()]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_role_policy(RoleName=name, PolicyName="rotate", PolicyDocument=document)
    return arn


def checks(result: Json) -> list[str]:
    return [problem["check"] for problem in result["problems"]]


def missing(result: Json) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in result["permissions"]["missing"]:
        found.setdefault(one["action"], []).append(one["resource"])
    return found


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with standing_still(check_secrets=True) as sim:
        yield sim


@pytest.fixture
def lab(simulator: Simulator) -> Before:
    return Before(simulator)


# Permissions


def test_nothing_to_say(lab: Before) -> None:
    lab.caller()
    made = lab.sound()
    lab.sim.clear_calls()
    result = lab.asked()
    assert result == {
        "changed": False,
        "cluster": "c",
        "service": "s",
        "task_definition": made["task_definition"],
        "problems": [],
        "permissions": {
            "allowed": [
                *READ,
                "ecs:RegisterTaskDefinition",
                "iam:PassRole",
                "ecs:UpdateService",
                *WATCH,
            ],
            "missing": [],
            "unchecked": None,
        },
    }
    # One of the identity, one of IAM for each of two services; twice the service and its revision, the second time
    # with tags, and the family's newest revision.
    assert [call["operation"] for call in lab.calls()].count("SimulatePrincipalPolicy") == 2
    assert len(lab.calls()) <= 9


def test_three_missing_permissions_in_one_message(lab: Before) -> None:
    lab.caller(without("ecs:RegisterTaskDefinition", "iam:PassRole", "ecs:UpdateService"))
    lab.sound()
    result = lab.asked()
    assert result["failed"] is True
    assert result["msg"] == (
        f"Service s cannot be rotated, nothing was changed: The caller {ROLE} lacks 3 permissions: "
        f"ecs:RegisterTaskDefinition on {FAMILY}, iam:PassRole on {EXECUTION} and {TASK_ROLE}, "
        f"ecs:UpdateService on {SERVICE}."
    )
    assert checks(result) == ["permissions"]
    intro, _colon, statements = result["problems"][0]["remedy"].partition(": ")
    assert intro == f"Add to the policy of {ROLE}"
    assert json.loads(statements) == [
        {"Effect": "Allow", "Action": "ecs:RegisterTaskDefinition", "Resource": FAMILY},
        {
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": [EXECUTION, TASK_ROLE],
            "Condition": {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
        },
        {"Effect": "Allow", "Action": "ecs:UpdateService", "Resource": SERVICE},
    ]
    assert missing(result) == {
        "ecs:RegisterTaskDefinition": [FAMILY],
        "iam:PassRole": [EXECUTION, TASK_ROLE],
        "ecs:UpdateService": [SERVICE],
    }
    assert lab.revisions() == [1]


def test_allowed_on_another_resource_is_missing(lab: Before) -> None:
    lab.caller({**LEAST, "ecs:UpdateService": SERVICE + "-other", "iam:PassRole": EXECUTION})
    lab.sound()
    assert missing(lab.asked()) == {"iam:PassRole": [TASK_ROLE], "ecs:UpdateService": [SERVICE]}


def test_tags_need_a_permission_of_their_own(lab: Before) -> None:
    lab.caller(without("ecs:TagResource"))
    lab.sound()
    assert "failed" not in lab.asked()
    assert missing(lab.asked(tags={"ticket": "OPS-1"})) == {"ecs:TagResource": [FAMILY]}


def test_what_only_proves_is_a_warning_unless_a_log_scan_needs_it(lab: Before) -> None:
    lab.caller(without(*WATCH))
    lab.sound()
    result = lab.asked()
    assert "failed" not in result
    assert list(missing(result)) == list(WATCH)
    # These two need the service and what is below it.
    assert missing(result)["ecs:DescribeServiceRevisions"] == [
        SERVICE,
        SERVICE.replace("service", "service-revision") + "/*",
    ]
    assert "lacks 5 permissions: ecs:ListTasks on *" in result["warnings"][0]
    scanned = lab.asked(log_scan=True)
    group = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/ecs/s:*"
    assert set(missing(scanned)) == {*WATCH, "logs:FilterLogEvents"}
    assert missing(scanned)["logs:FilterLogEvents"] == [group]
    assert "lacks 3 permissions: ecs:ListTasks on *" in scanned["msg"]


def test_log_scan_of_what_cannot_be_scanned(lab: Before) -> None:
    lab.caller({**LEAST, "logs:FilterLogEvents": "*"})
    container = {"name": "app", "environment": [{"name": VARIABLE, "value": OLD}], "healthCheck": {"command": ["x"]}}
    lab.sound(containers=[container])
    result = lab.asked(log_scan=True)
    assert "failed" not in result
    assert result["warnings"] == [
        "The log of container app cannot be scanned: it has no logConfiguration, so its log stays on its host."
    ]


def test_nothing_to_do_needs_only_what_was_read(lab: Before) -> None:
    lab.caller(NOTHING)
    lab.sound()
    result = lab.asked(value=OLD)
    assert "failed" not in result
    assert result["permissions"] == {"allowed": [], "missing": [], "unchecked": None}


def test_a_condition_that_only_a_real_call_meets_is_a_warning(lab: Before) -> None:
    lab.caller(without("iam:PassRole"))
    statement = {
        "Effect": "Allow",
        "Action": "iam:PassRole",
        "Resource": "*",
        "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    lab.iam.put_role_policy(RoleName="keyturn", PolicyName="pass", PolicyDocument=document)
    lab.sound()
    result = lab.asked()
    passed = f"iam:PassRole on {EXECUTION} and {TASK_ROLE}"
    assert "failed" not in result
    assert "iam:PassRole" not in result["permissions"]["allowed"]
    (text,) = result["warnings"]
    assert text.endswith(f"cannot be said before the real call, since a policy depends on aws:SourceIp: {passed}.")


SECRETS = "secretsmanager:DescribeSecret secretsmanager:GetSecretValue"
STORED = {
    "secret": (lambda lab: lab.reading(lab.secret()), {}, f"{SECRETS} PutSecretValue UpdateSecretVersionStage"),
    "no rollback": (lambda lab: lab.reading(lab.secret()), {"rollback": False}, f"{SECRETS} PutSecretValue"),
    "customer's key": (
        lambda lab: lab.reading(f"{lab.secret(JSON_TEXT, KmsKeyId=KMS_KEY)}:openai::"),
        {"rollback": False},
        f"{SECRETS} PutSecretValue kms:Decrypt kms:GenerateDataKey",
    ),
    "pinned": (
        lambda lab: lab.reading(f"{lab.secret()}:::{lab.version()}"),
        {"rollback": False},
        f"register {SECRETS} PutSecretValue",
    ),
    "migration": (
        lambda lab: lab.environment(),
        {"store": "secretsmanager", "secret_id": "prod/new"},
        f"register {SECRETS} CreateSecret",
    ),
    "migration with tags and key": (
        lambda lab: lab.environment(),
        {"store": "secretsmanager", "secret_id": "x", "secret_tags": {"a": "b"}, "secret_kms_key_id": KMS_KEY},
        f"register {SECRETS} CreateSecret secretsmanager:TagResource kms:Decrypt kms:GenerateDataKey",
    ),
    "parameter": (
        lambda lab: lab.reading(lab.parameter()),
        {},
        "ssm:GetParameter ssm:PutParameter ssm:GetParameterHistory ssm:DescribeParameters",
    ),
    "parameter with a key": (
        lambda lab: lab.reading(lab.parameter(KeyId=KMS_KEY)),
        {"rollback": False},
        "ssm:GetParameter ssm:PutParameter kms:Decrypt kms:Encrypt ssm:DescribeParameters",
    ),
    "advanced parameter": (
        lambda lab: lab.reading(lab.parameter(KeyId=KMS_KEY, Tier="Advanced")),
        {"rollback": False},
        "ssm:GetParameter ssm:PutParameter kms:Decrypt kms:GenerateDataKey ssm:DescribeParameters",
    ),
    "to the environment": (
        lambda lab: lab.reading(lab.secret()),
        {"store": "environment"},
        f"register {SECRETS}",
    ),
}


@pytest.mark.parametrize("name", STORED)
def test_only_what_this_rotation_needs(lab: Before, name: str) -> None:
    make, options, expected = STORED[name]
    make(lab)
    lab.caller({"*": "*"})
    # The task's execution role is asked about, too, where it has not read the secret before.
    make_role(lab.sim, {"*": "*"}, "ecsTaskExecutionRole")
    result = lab.asked(**options)
    assert "failed" not in result, result
    words = " ".join(expected.split()).replace("register", "ecs:RegisterTaskDefinition iam:PassRole").split()
    wanted = {word if ":" in word else f"secretsmanager:{word}" for word in words}
    assert set(result["permissions"]["allowed"]) - {*READ, "ecs:UpdateService", *WATCH} == wanted
    assert missing(result) == {}


def test_secret_permissions_that_are_missing(lab: Before) -> None:
    """What was read is allowed, whatever IAM makes of it: the secret's own policy may say so."""
    arn = lab.secret(JSON_TEXT, KmsKeyId=KMS_KEY)
    lab.reading(f"{arn}:openai::")
    lab.caller()
    result = lab.asked()
    assert missing(result) == {
        "secretsmanager:DescribeSecret": [arn],
        "secretsmanager:PutSecretValue": [arn],
        "secretsmanager:UpdateSecretVersionStage": [arn],
        "kms:GenerateDataKey": [KMS_KEY],
    }
    assert "secretsmanager:DescribeSecret" not in result["msg"]
    assert "lacks 3 permissions" in result["msg"]
    assert {"secretsmanager:GetSecretValue", "kms:Decrypt"} <= set(result["permissions"]["allowed"])


def test_a_denied_read_is_told_with_the_rest(lab: Before) -> None:
    """The value cannot be read, so what else the secret needs is found by the definition alone."""
    arn = lab.secret()
    lab.reading(arn)
    lab.caller(without("ecs:UpdateService", "ecs:RegisterTaskDefinition", "iam:PassRole"))
    lab.sim.fault("GetSecretValue", "denied", times=None, service="secretsmanager")
    result = lab.asked(rollback=False)
    assert checks(result) == ["permissions"]
    assert missing(result) == {
        "ecs:UpdateService": [SERVICE],
        "secretsmanager:DescribeSecret": [arn],
        "secretsmanager:GetSecretValue": [arn],
        "secretsmanager:PutSecretValue": [arn],
    }


def test_a_denied_read_of_what_is_known_by_name_only(lab: Before) -> None:
    """The ARNs are those that the names lead to, also of a secret whose suffix only AWS knows."""
    arn = lab.parameter()
    lab.reading("/prod/openai")
    lab.caller()
    lab.sim.fault("GetParameter", "denied", times=None, service="ssm")
    assert missing(lab.asked(rollback=False))["ssm:PutParameter"] == [arn]
    lab.sim.fault("DescribeSecret", "error", times=None, service="secretsmanager", code="AccessDenied")
    lab.sim.fault("GetSecretValue", "denied", times=None, service="secretsmanager")
    found = missing(lab.asked(store="secretsmanager", secret_id="prod/new", rollback=False))
    named = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:prod/new-??????"
    assert found["secretsmanager:PutSecretValue"] == [named]
    assert "iam:PassRole" not in found


def test_a_keys_own_policy_names_the_caller(lab: Before) -> None:
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": "*"}]}
    key = lab.sim.client("kms").create_key(Policy=json.dumps(policy))["KeyMetadata"]["Arn"]
    lab.reading(lab.secret(KmsKeyId=key))
    lab.caller({**LEAST, "secretsmanager:*": "*"})
    result = lab.asked()
    assert "failed" not in result
    (text,) = [text for text in result["warnings"] if "only the resource's own policy names the caller" in text]
    assert text.endswith(f": kms:GenerateDataKey on {key}.")


def test_not_even_the_service_may_be_read(lab: Before) -> None:
    lab.sound()
    lab.caller({"ecs:DescribeTaskDefinition": "*"})
    lab.sim.fault("DescribeServices", "denied", times=None)
    result = lab.asked()
    assert missing(result) | {"ecs:DescribeServices": [SERVICE], "ecs:UpdateService": [SERVICE]} == missing(result)
    assert checks(result) == ["permissions"]


def test_the_definition_may_not_be_read(lab: Before) -> None:
    """The family is known by the service; the roles are not."""
    lab.sound()
    lab.caller({"ecs:DescribeServices": "*"})
    lab.sim.fault("DescribeTaskDefinition", "denied", times=None)
    result = lab.asked()
    assert checks(result) == ["permissions"]
    assert "lacks 3 permissions: ecs:DescribeTaskDefinition on *, ecs:RegisterTaskDefinition on" in result["msg"]
    assert any("allow that, then run again" in text for text in result["warnings"])


def test_a_denial_is_told_where_iam_cannot_be_asked(lab: Before) -> None:
    lab.sound()
    lab.caller(NOTHING)
    lab.sim.fault("SimulatePrincipalPolicy", "denied", times=None, service="iam")
    lab.sim.fault("DescribeServices", "denied", times=None)
    result = lab.asked()
    assert missing(result) == {"ecs:DescribeServices": [SERVICE]}
    assert f"lacks ecs:DescribeServices on {SERVICE}" in result["msg"]
    assert result["permissions"]["unchecked"]


def test_iam_may_not_be_asked(lab: Before) -> None:
    lab.caller()
    lab.sound()
    lab.sim.fault("SimulatePrincipalPolicy", "denied", times=None, service="iam")
    result = lab.asked()
    assert "failed" not in result
    assert "allow iam:SimulatePrincipalPolicy to the caller" in result["permissions"]["unchecked"]
    assert result["permissions"]["allowed"] == list(READ)
    assert result["warnings"] == [
        f"The caller's permissions could not be checked beforehand: {result['permissions']['unchecked']}"
    ]


@pytest.mark.parametrize("operation", ["SimulatePrincipalPolicy", "GetCallerIdentity"])
def test_the_endpoint_does_not_know_the_call(lab: Before, operation: str) -> None:
    lab.caller()
    lab.sound()
    lab.sim.fault(
        operation,
        "error",
        times=None,
        service="iam" if operation.startswith("Sim") else "sts",
        code="InvalidAction",
        message="unknown",
    )
    result = lab.asked()
    assert "failed" not in result
    assert "is not supported there" in result["permissions"]["unchecked"]


def test_the_accounts_root_may_do_everything(lab: Before) -> None:
    lab.sound()
    result = lab.preflight()
    assert "failed" not in result
    assert (result["permissions"]["missing"], result["permissions"]["unchecked"]) == ([], None)
    assert "ecs:UpdateService" in result["permissions"]["allowed"]


def test_a_role_that_iam_does_not_know(lab: Before) -> None:
    lab.sound()
    result = lab.asked()
    assert "failed" not in result
    assert "NoSuchEntity" in result["permissions"]["unchecked"]


def test_a_role_with_a_path(lab: Before) -> None:
    """The option tells the path; where only the session does, IAM does."""
    arn = lab.caller(path="/teams/core/")
    assert arn == f"arn:aws:iam::{ACCOUNT}:role/teams/core/keyturn"
    lab.sound()
    assert lab.preflight(assume_role_arn=arn)["permissions"]["unchecked"] is None
    credentials = lab.sim.client("sts").assume_role(RoleArn=arn, RoleSessionName="me")["Credentials"]
    keys = {
        "access_key": credentials["AccessKeyId"],
        "secret_key": credentials["SecretAccessKey"],
        "session_token": credentials["SessionToken"],
    }
    assert lab.preflight(**keys)["permissions"]["unchecked"] is None
    assert [call["operation"] for call in lab.calls()].count("GetRole") == 1


def test_a_secrets_own_policy_names_the_caller(lab: Before) -> None:
    arn = lab.secret()
    lab.reading(arn)
    lab.caller({**LEAST, "secretsmanager:DescribeSecret": "*"})
    policy = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": "*", "Resource": "*"}]}
    lab.secrets_manager.put_resource_policy(SecretId=arn, ResourcePolicy=json.dumps(policy))
    result = lab.asked(rollback=False)
    assert "failed" not in result
    assert any("only the resource's own policy names the caller" in text for text in result["warnings"])


def test_the_execution_role_may_not_read_the_new_secret(lab: Before) -> None:
    lab.sound()
    lab.caller({"*": "*"})
    make_role(lab.sim, {"ecr:*": "*"}, "ecsTaskExecutionRole")
    result = lab.asked(store="secretsmanager", secret_id="prod/new")
    assert checks(result) == ["execution_role"]
    assert "lacks secretsmanager:GetSecretValue" in result["msg"]


def test_a_parameter_whose_settings_may_not_be_read(lab: Before) -> None:
    """Only what a new version of it needs is missed: no revision is registered."""
    arn = lab.parameter()
    lab.reading(arn)
    lab.caller(without("ecs:RegisterTaskDefinition", "iam:PassRole"))
    lab.sim.fault("DescribeParameters", "denied", times=None, service="ssm")
    result = lab.asked(rollback=False)
    assert checks(result) == ["permissions"]
    assert missing(result) == {"ssm:PutParameter": [arn], "ssm:DescribeParameters": ["*"]}


# What rotation itself would refuse

CODE_DEPLOY = {"service_options": {"deploymentController": {"type": "CODE_DEPLOY"}}}
REFUSALS: dict[str, tuple[Json, Json, str]] = {
    "white space": ({}, {"value": f"{NEW}\n"}, "options"),
    "pattern": ({}, {"value_pattern": "^pk-"}, "options"),
    "bad option": ({}, {"secret_id": "x"}, "options"),
    "reserved tag": ({}, {"tags": {"aws:x": "y"}}, "options"),
    "unknown variable": ({}, {"variable": "OTHER_KEY"}, "variable"),
    "unknown container": ({}, {"containers": ["web"]}, "variable"),
    "migration to nowhere": ({}, {"store": "ssm"}, "variable"),
    "expected": ({}, {"expected_fingerprint": fingerprint(VARIABLE, THIRD)}, "expected_fingerprint"),
    "CodeDeploy": (CODE_DEPLOY, {}, "deployment_controller"),
    "external": ({"service_options": {"deploymentController": {"type": "EXTERNAL"}}}, {}, "deployment_controller"),
    "no such service": ({}, {"service": "other"}, "service"),
    "no such cluster": ({}, {"cluster": "nowhere"}, "service"),
    "missing secret": (
        {"environment": {}, "secrets": {VARIABLE: f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:no-AbCdEf"}},
        {},
        "variable",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_rotation_refuses_is_a_problem_in_its_own_words(lab: Before, name: str) -> None:
    wanted, options, check = REFUSALS[name]
    lab.environment(**wanted)
    refused = lab.rotate(check_mode=True, **options)
    assert refused["failed"] is True
    result = lab.preflight(**options)
    assert checks(result) == [check]
    assert result["problems"][0]["text"] == refused["msg"]
    assert refused["msg"] in result["msg"]
    assert result["problems"][0]["remedy"]


def test_all_problems_at_once(lab: Before) -> None:
    """A bad value, a wrong expectation, another rollout, percents, permissions: one failed task."""
    lab.caller(without("ecs:UpdateService"))
    deadlock = {"minimumHealthyPercent": 100, "maximumPercent": 100}
    lab.environment(service_options={"deploymentConfiguration": deadlock})
    lab.ecs("UpdateService", cluster="c", service="s", taskDefinition=lab.register(cpu="512", memory="1024"))
    result = lab.asked(value=f" {NEW}", expected_fingerprint=fingerprint(VARIABLE, THIRD))
    assert checks(result) == ["options", "expected_fingerprint", "in_progress", "percent_deadlock", "permissions"]
    assert result["msg"].startswith("Service s cannot be rotated for 5 reasons, nothing was changed: (1) value has")
    for number, problem in enumerate(result["problems"], 1):
        assert f"({number}) {problem['text']}" in result["msg"]
    told = lab.asked(value=f" {NEW}", expected_fingerprint=fingerprint(VARIABLE, THIRD), fail_on_problems=False)
    assert "failed" not in told
    assert told["problems"] == result["problems"]


def test_codedeploy_hides_nothing_else(lab: Before) -> None:
    lab.environment(**CODE_DEPLOY)
    assert checks(lab.preflight(variable="OTHER_KEY")) == ["deployment_controller", "variable"]


def test_another_rollout(lab: Before) -> None:
    lab.sound()
    lab.ecs("UpdateService", cluster="c", service="s", taskDefinition=lab.register(cpu="512", memory="1024"))
    result = lab.preflight()
    assert checks(result) == ["in_progress"]
    assert "in_progress=supersede" in result["problems"][0]["remedy"]
    assert "failed" not in lab.preflight(in_progress="supersede")


def test_a_rollout_that_carries_the_value_is_no_obstacle(lab: Before) -> None:
    lab.sound()
    lab.rotate()
    lab.sim.clear_calls()
    assert "failed" not in lab.preflight()


def test_aws_is_not_reached(lab: Before) -> None:
    lab.sound()
    lab.sim.fault("DescribeServices", "expired", times=None)
    result = lab.asked()
    assert checks(result) == ["aws"]
    assert "renew them" in result["msg"]
    assert "SimulatePrincipalPolicy" not in [call["operation"] for call in lab.calls()]


def test_the_role_may_not_be_assumed(lab: Before) -> None:
    lab.caller()
    lab.sound()
    lab.sim.fault("AssumeRole", "denied", times=None, service="sts")
    result = lab.asked()
    assert checks(result) == ["assume_role"]
    assert ROLE in result["msg"]


# What rotation does not look at


def test_percent_deadlock(lab: Before) -> None:
    percents = {"minimumHealthyPercent": 100, "maximumPercent": 150}
    lab.sound(desired=1, service_options={"deploymentConfiguration": percents})
    result = lab.preflight()
    assert checks(result) == ["percent_deadlock"]
    assert result["problems"][0]["remedy"] == (
        "Change maximumPercent from 150 to 200 or more, or minimumHealthyPercent from 100 to 0."
    )
    assert "failed" not in lab.preflight(value=OLD)


def test_the_new_revision_is_too_large(lab: Before) -> None:
    """The new value is longer than the old one."""
    filler = {f"N{number}": "x" * 2000 for number in range(30)}
    lab.sound(environment={**ENVIRONMENT, **filler})
    nearly = lab.preflight()
    assert "failed" not in nearly
    assert any(re.search(r"would have 6\d,\d\d\d bytes, and ECS takes 65,536", text) for text in nearly["warnings"])
    result = lab.preflight(value="x" * 6000)
    assert checks(result) == ["size"]


def test_what_proves_little(lab: Before) -> None:
    lab.environment(desired=0, health_check=False)
    warnings = lab.preflight()["warnings"]
    expected = ("desiredCount of service s is 0", "neither a container health check", "no deployment circuit breaker")
    for words in expected:
        assert len([text for text in warnings if words in text]) == 1
    assert "deploymentCircuitBreaker to {enable: true, rollback: true}" in " ".join(warnings)


@pytest.mark.parametrize("where", ["service_tags", "tags"])
def test_the_owner_is_told_by_its_tags(lab: Before, where: str) -> None:
    lab.sound(**{where: [{"key": "ManagedBy", "value": "Terraform"}]})
    (text,) = [text for text in lab.preflight()["warnings"] if "Terraform" in text]
    assert text.startswith("By its tags service s belongs to Terraform, whose next apply brings the old value and rev")
    assert "ignore_changes = [task_definition]" in text


def test_the_owner_cannot_be_seen(lab: Before) -> None:
    lab.caller()
    lab.sound()
    lab.sim.fault("DescribeServices", "denied", after=1)
    result = lab.asked()
    assert "failed" not in result
    assert "cannot be seen in its tags" in result["warnings"][0]


# Both doors

PREFLIGHT = "keyturn.ecs.ecs_env_preflight"


def with_role(allowed: Mapping[str, str | Sequence[str]], **wanted: Any) -> Any:
    def prepare(place: Place) -> Json:
        place.environment(**wanted)
        return {"assume_role_arn": make_role(place.sim, allowed, place.cluster)}

    return prepare


DOORS = [
    Case("pre, plain", {}, with_role({"*": "*"}, **SOUND), expected={"problems": [], "changed": False}),
    Case("pre, check mode", {}, with_role({"*": "*"}, **SOUND), task={"check_mode": True}, expected={"problems": []}),
    Case("pre, lacks all", {}, with_role(NOTHING, **SOUND), says="lacks 3 permissions: ecs:RegisterTaskDefinition on"),
    Case("pre, several", {"value": f" {NEW_KEY}", "containers": ["web"]}, says="(2) containers: web is not in"),
    Case("pre, told only", {"containers": ["web"], "fail_on_problems": False}, expected={"changed": False}),
    Case("pre, missing argument", {"value": None}, says="missing required arguments: value"),
    Case("pre, bad boolean", {"log_scan": "perhaps"}, says="log_scan"),
    Case("pre, service missing", {"service": "other"}, says="There is no service other"),
    Case("pre, added nowhere", {"if_missing": "add"}, says="if_missing is add but all of the following are missing"),
]


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory, collections_path: str) -> tuple[Any, Any]:
    folder = tmp_path_factory.mktemp("preflight")
    cases = []
    for case in DOORS:
        given = {"variable": VARIABLE, "value": NEW_KEY, **case.options}
        cases.append(Case(**{**vars(case), "module": PREFLIGHT, "options": given}))
    with (
        clean(),
        running(folder / "a", collections_path, cases, "local") as a,
        running(folder / "b", collections_path, cases, "bastion") as b,
    ):
        return finished(a, folder / "a"), finished(b, folder / "b")


@pytest.mark.parametrize("case", DOORS, ids=str)
def test_both_doors_answer_the_same(doors: tuple[Any, Any], case: Case) -> None:
    action, module = (comparable(door.results[case.name]) for door in doors)
    assert action == module
    assert action["failed"] is bool(case.says), action
    assert {name: action[name] for name in case.expected} == case.expected
    assert case.says in action.get("msg", "")


def test_neither_door_shows_a_value(doors: tuple[Any, Any]) -> None:
    for door in doors:
        assert_no_value(door.output)
        assert_no_value(door.results)
        assert "Traceback (most recent call last)" not in door.output
    assert ("EXEC" in doors[0].of_cases, "EXEC" in doors[1].of_cases) == (False, True)


def test_module_defaults_reach_it(tmp_path: Path, collections_path: str) -> None:
    def elsewhere(place: Place) -> None:
        place.environment(region="eu-north-1")

    block = {"module_defaults": {"group/keyturn.ecs.aws": {"region": "eu-north-1"}}}
    case = Case("defaults", {"variable": VARIABLE, "value": NEW_KEY}, elsewhere, PREFLIGHT, block=block)
    with clean(), running(tmp_path / "d", collections_path, [case], "local") as process:
        door = finished(process, tmp_path / "d")
    assert door.results["defaults"]["task_definition"].startswith("arn:aws:ecs:eu-north-1:")
    assert f"ok: [{HOST}]" in door.output
