# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`ecs_env_rotate` where the value lives in Secrets Manager or the SSM Parameter Store."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint
from integration.stores import CASES, JSON_TEXT, UPDATE, Case, Stores, put
from integration.support import NEW, OLD, THIRD, VARIABLE, Json, standing_still
from simulator import Simulator

KMS_KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
ROLE = "arn:aws:iam::123456789012:role/ecsTaskExecutionRole"


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with standing_still(check_secrets=True) as sim:
        yield sim


@pytest.fixture
def lab(simulator: Simulator) -> Stores:
    return Stores(simulator)


# The table


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_first_run_and_second(lab: Stores, case: Case) -> None:
    case.make(lab)
    assert lab.holds() == {OLD}
    predicted = lab.rotate(check_mode=True)
    assert lab.writes() == []
    first = lab.rotate()
    assert first["actions"] == predicted["actions"] == [*case.write, *case.register, *UPDATE]
    assert (first["changed"], first["resumed"]) == (True, False)
    assert (first["fingerprint"], first["previous_fingerprint"]) == (
        fingerprint(VARIABLE, NEW),
        fingerprint(VARIABLE, OLD),
    )
    lab.settle(first)
    assert lab.holds() == {NEW}
    lab.sim.clear_calls()
    second = lab.rotate()
    assert (second["changed"], second["actions"], lab.writes()) == (False, [], [])
    assert second["task_definition"] == lab.service()["taskDefinition"] == first["task_definition"]
    assert set(first) - {"warnings"} == set(second) - {"warnings"} == set(predicted) - {"warnings"}


@pytest.mark.parametrize(
    "case", [case for case in CASES.values() if case.put], ids=[k for k, c in CASES.items() if c.put]
)
def test_value_right_and_tasks_older(lab: Stores, case: Case) -> None:
    """Somebody else put the value there: only the service is left to do."""
    case.make(lab)
    assert case.put is not None
    case.put(lab, NEW)
    lab.sim.advance(5)
    predicted, result = lab.rotate(check_mode=True), lab.rotate()
    assert result["actions"] == predicted["actions"] == [*case.register, *UPDATE]
    assert (result["changed"], result["resumed"], predicted["resumed"]) == (True, True, True)
    again = lab.rotate()
    assert (again["changed"], again["deployment_id"]) == (False, result["deployment_id"])
    lab.settle(result)
    assert lab.holds() == {NEW}
    assert lab.rotate()["changed"] is False


INTERRUPTED = [
    pytest.param(case, failing, id=f"{name}, {failing}")
    for name, case in CASES.items()
    for failing in ("RegisterTaskDefinition", "UpdateService")
    if case.register or failing == "UpdateService"
]


@pytest.mark.parametrize(("case", "failing"), INTERRUPTED)
def test_interrupted_after_the_secret_was_written(lab: Stores, case: Case, failing: str) -> None:
    case.make(lab)
    lab.sim.fault(failing, "denied")
    stopped = lab.rotate()
    done = [*case.write, *(case.register if failing == "UpdateService" else [])]
    assert (stopped["failed"], stopped["changed"], stopped["actions"]) == (True, bool(done), done)
    if done:
        assert "The next run goes on from there." in stopped["msg"]
    lab.sim.advance(5)
    result = lab.rotate()
    left = [*case.write, *case.register, *UPDATE][len(done) :]
    assert (result["actions"], result["resumed"]) == (left, bool(done))
    lab.settle(result)
    assert lab.holds() == {NEW}
    assert lab.rotate()["changed"] is False


# What is kept


def test_everything_else_of_a_json_secret_stays_byte_for_byte(lab: Stores) -> None:
    lab.reading(f"{lab.secret(JSON_TEXT, KmsKeyId=KMS_KEY)}:openai::")
    lab.rotate()
    assert lab.text() == JSON_TEXT.replace(OLD, NEW)
    assert lab.secrets_manager.describe_secret(SecretId="prod/openai")["KmsKeyId"] == KMS_KEY


def test_a_parameter_keeps_its_type_key_and_tier(lab: Stores) -> None:
    kept = {"KeyId": KMS_KEY, "Tier": "Advanced", "Description": "of the shop", "AllowedPattern": "^sk-.*"}
    lab.reading(lab.parameter(**kept))
    assert lab.rotate()["actions"] == ["put_parameter", "update_service"]
    (found,) = lab.ssm.describe_parameters()["Parameters"]
    assert {name: found[name] for name in kept} == kept
    assert (found["Type"], found["Version"]) == ("SecureString", 2)


def test_a_bare_parameter_name_and_an_arn_without_suffix(lab: Stores) -> None:
    lab.parameter("plain-name")
    lab.reading("plain-name")
    result = lab.rotate()
    lab.settle(result)
    assert (lab.holds(), result["secrets"][0]["arn"]) == (
        {NEW},
        "arn:aws:ssm:us-east-1:123456789012:parameter/plain-name",
    )


def test_an_arn_without_suffix(lab: Stores) -> None:
    arn = lab.secret()
    lab.reading(arn.rpartition("-")[0])
    result = lab.rotate()
    lab.settle(result)
    assert (lab.holds(), result["secrets"][0]["arn"]) == ({NEW}, arn)


def test_a_secret_in_another_region(lab: Stores) -> None:
    there = lab.sim.client("secretsmanager", region="eu-central-1")
    arn = there.create_secret(Name="far", SecretString=OLD)["ARN"]
    lab.sim.advance(60)
    lab.reading(arn)
    lab.settle(lab.rotate())
    assert there.get_secret_value(SecretId="far")["SecretString"] == NEW
    assert lab.holds() == {NEW}


def test_pinned_stays_pinned_and_the_rest_of_the_definition_stays(lab: Stores) -> None:
    arn = lab.secret()
    lab.reading(f"{arn}:::{lab.version()}")
    result = lab.rotate()
    assert lab.value_from("s:2") == f"{arn}:::{lab.version()}"
    before, after = lab.definition("s:1"), lab.definition("s:2")
    for definition in (before, after):
        for name in ("taskDefinitionArn", "revision", "registeredAt", "registeredBy"):
            definition.pop(name)
        definition["containerDefinitions"][0].pop("secrets")
    assert before == after
    assert result["secrets"] == [
        {
            "store": "secretsmanager",
            "arn": arn,
            "version_id": lab.version(),
            "previous_version_id": lab.version(VersionStage="AWSPREVIOUS"),
            "stage": "AWSCURRENT",
        }
    ]


def test_a_rollback_by_ecs_brings_a_pinned_key_back(lab: Stores) -> None:
    """The running tasks hold the old key again, and so do those that start later."""
    lab.reading(f"{lab.secret()}:::{lab.version()}")
    lab.sim.script("c", "s", ending="circuit_breaker", cause="container_exit")
    result = lab.rotate()
    followed = {name: result[name] for name in ("deployment_id", "task_definition")}
    assert lab.wait(**followed)["status"] == "rolled_back"
    assert lab.service()["taskDefinition"].endswith("/s:1")
    assert lab.holds() == {OLD}
    lab.ecs("UpdateService", cluster="c", service="s", forceNewDeployment=True)
    lab.sim.advance(600)
    assert lab.holds() == {OLD}


def test_a_rollback_by_ecs_does_not_bring_an_unpinned_key_back(lab: Stores) -> None:
    """What pinning is for."""
    lab.reading(lab.secret())
    lab.sim.script("c", "s", ending="circuit_breaker", cause="container_exit")
    result = lab.rotate()
    followed = {name: result[name] for name in ("deployment_id", "task_definition")}
    assert lab.wait(**followed)["status"] == "rolled_back"
    lab.ecs("UpdateService", cluster="c", service="s", forceNewDeployment=True)
    lab.sim.advance(600)
    assert lab.holds() == {NEW}


def test_after_a_stage_was_moved_back_the_value_is_put_there_again(lab: Stores) -> None:
    """The same token would be an old version's, and Secrets Manager would move nothing."""
    arn = lab.secret()
    lab.reading(arn)
    lab.settle(lab.rotate())
    lab.secrets_manager.update_secret_version_stage(
        SecretId=arn,
        VersionStage="AWSCURRENT",
        MoveToVersionId=lab.version(VersionStage="AWSPREVIOUS"),
        RemoveFromVersionId=lab.version(),
    )
    assert lab.text() == OLD
    lab.sim.advance(5)
    assert lab.rotate()["actions"] == ["put_secret_value", "update_service"]
    assert lab.text() == NEW


def test_a_lost_answer_makes_one_version(lab: Stores) -> None:
    arn = lab.secret()
    lab.reading(arn)
    lab.sim.fault("PutSecretValue", "lost_answer", service="secretsmanager")
    with lab.quick_retries():
        assert lab.rotate()["actions"] == ["put_secret_value", "update_service"]
    versions = lab.secrets_manager.list_secret_version_ids(SecretId=arn, IncludeDeprecated=True)["Versions"]
    assert len(versions) == 2


# Migration


def _two() -> list[Json]:
    return [
        {"name": name, "environment": [{"name": "A", "value": "1"}, {"name": VARIABLE, "value": OLD}]}
        for name in ("app", "worker")
    ]


@pytest.mark.parametrize(("store", "action"), [("secretsmanager", "create_secret"), ("ssm", "put_parameter")])
def test_migration_of_two_containers_in_one_revision(lab: Stores, store: str, action: str) -> None:
    lab.environment(containers=_two())
    asked = {"store": store, "secret_id": "/prod/key", "secret_kms_key_id": KMS_KEY, "secret_tags": {"team": "core"}}
    predicted, result = lab.rotate(check_mode=True, **asked), lab.rotate(**asked)
    assert result["actions"] == predicted["actions"] == [action, "register_task_definition", "update_service"]
    assert (result["store"], result["containers"]) == (store, ["app", "worker"])
    for container in lab.definition("s:2")["containerDefinitions"]:
        assert container["environment"] == [{"name": "A", "value": "1"}]
        assert [entry["name"] for entry in container["secrets"]] == [VARIABLE]
        assert container["secrets"][0]["valueFrom"] == result["secrets"][0]["arn"]
    lab.settle(result)
    assert lab.holds("app") == lab.holds("worker") == {NEW}
    again = lab.rotate(**asked)
    assert (again["changed"], again["actions"]) == (False, [])
    if store == "ssm":
        (found,) = lab.ssm.describe_parameters()["Parameters"]
        assert (found["Type"], found["KeyId"]) == ("SecureString", KMS_KEY)
    else:
        described = lab.secrets_manager.describe_secret(SecretId="/prod/key")
        assert (described["KmsKeyId"], described["Tags"]) == (KMS_KEY, [{"Key": "team", "Value": "core"}])


def test_migration_into_a_key_of_a_json_secret_that_is_there(lab: Stores) -> None:
    arn = lab.secret('{"db": "x"}')
    lab.environment()
    asked = {
        "store": "secretsmanager",
        "secret_id": "prod/openai",
        "secret_json_key": "openai",
        "pin_secret_version": True,
    }
    result = lab.rotate(**asked)
    assert result["actions"] == ["put_secret_value", "register_task_definition", "update_service"]
    assert json.loads(lab.text()) == {"db": "x", "openai": NEW}
    assert lab.value_from("s:2") == f"{arn}:openai::{lab.version()}"
    lab.settle(result)
    assert lab.holds() == {NEW}
    assert lab.rotate(**asked)["changed"] is False
    # What the definition has is kept without being named.
    assert lab.rotate()["changed"] is False
    third = lab.rotate(value=THIRD)
    assert third["actions"] == ["put_secret_value", "register_task_definition", "update_service"]
    assert json.loads(lab.text()) == {"db": "x", "openai": THIRD}


def test_migration_that_was_interrupted_goes_on(lab: Stores) -> None:
    lab.environment()
    asked = {"store": "secretsmanager", "secret_id": "prod/openai"}
    lab.sim.fault("RegisterTaskDefinition", "denied")
    assert lab.rotate(**asked)["actions"] == ["create_secret"]
    result = lab.rotate(**asked)
    assert (result["actions"], result["resumed"]) == (["register_task_definition", "update_service"], True)
    lab.settle(result)
    assert lab.holds() == {NEW}


def test_a_lost_answer_to_the_creation(lab: Stores) -> None:
    lab.environment()
    lab.sim.fault("CreateSecret", "lost_answer", service="secretsmanager")
    with lab.quick_retries():
        result = lab.rotate(store="secretsmanager", secret_id="prod/openai")
    assert result["actions"] == ["create_secret", "register_task_definition", "update_service"]
    assert lab.value_from("s:2") == result["secrets"][0]["arn"]
    assert "??????" not in result["secrets"][0]["arn"]


def test_between_the_stores_and_back(lab: Stores) -> None:
    lab.reading(lab.secret())
    over = lab.rotate(store="ssm", secret_id="/prod/openai")
    assert over["actions"] == ["put_parameter", "register_task_definition", "update_service"]
    lab.settle(over)
    back = lab.rotate(store="environment", value=THIRD)
    assert (back["actions"], back["store"]) == (["register_task_definition", "update_service"], "environment")
    lab.settle(back)
    assert lab.holds() == {THIRD}
    assert lab.value_from("s:3") is None


# Refused before anything is written


def _allow(lab: Stores, *actions: str) -> None:
    lab.iam.create_role(RoleName="ecsTaskExecutionRole", AssumeRolePolicyDocument="{}")
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    lab.iam.put_role_policy(RoleName="ecsTaskExecutionRole", PolicyName="p", PolicyDocument=document)


def test_an_execution_role_that_may_not_read_it_is_refused_with_the_statement(lab: Stores) -> None:
    lab.environment()
    _allow(lab, "logs:PutLogEvents")
    for check_mode in (True, False):
        result = lab.rotate(store="secretsmanager", secret_id="prod/openai", check_mode=check_mode)
        assert result["failed"]
        assert ROLE in result["msg"]
        text = result["msg"][result["msg"].index("{") :]
        assert json.loads(text) == {
            "Effect": "Allow",
            "Action": "secretsmanager:GetSecretValue",
            "Resource": "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/openai-??????",
        }
    assert lab.writes() == []
    assert lab.secrets_manager.list_secrets()["SecretList"] == []


def test_the_kms_key_is_asked_for_too(lab: Stores) -> None:
    lab.environment()
    _allow(lab, "ssm:GetParameters")
    result = lab.rotate(store="ssm", secret_id="/prod/openai", secret_kms_key_id=KMS_KEY)
    assert f"kms:Decrypt on {KMS_KEY}" in result["msg"]
    assert lab.rotate(store="ssm", secret_id="/prod/openai")["changed"] is True


@pytest.mark.parametrize(
    ("key", "value", "refuses", "warns"),
    [
        ("kms:ViaService", "ssm.us-east-1.amazonaws.com", False, False),
        ("kms:ViaService", "secretsmanager.us-east-1.amazonaws.com", True, False),
        ("aws:SourceVpce", "vpce-1", False, True),
    ],
)
def test_a_condition_on_the_key(lab: Stores, key: str, value: str, refuses: bool, warns: bool) -> None:
    """One that the call meets, one that it does not, and one that only a task's start could meet."""
    lab.environment()
    _allow(lab, "ssm:GetParameters")
    condition = {"StringEquals": {key: value}}
    statement = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*", "Condition": condition}
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    lab.iam.put_role_policy(RoleName="ecsTaskExecutionRole", PolicyName="key", PolicyDocument=document)
    result = lab.rotate(store="ssm", secret_id="/prod/openai", secret_kms_key_id=KMS_KEY, check_mode=True)
    assert ("failed" in result) is refuses
    assert any("since a policy depends on aws:SourceVpce" in text for text in result.get("warnings", ())) is warns


def test_an_allowed_role_is_no_obstacle(lab: Stores) -> None:
    lab.environment()
    _allow(lab, "secretsmanager:GetSecretValue")
    result = lab.rotate(store="secretsmanager", secret_id="prod/openai")
    assert (result["changed"], result.get("warnings")) == (True, None)


def test_without_permission_to_simulate_there_is_a_warning(lab: Stores) -> None:
    lab.environment()
    lab.sim.fault("SimulatePrincipalPolicy", "denied", service="iam", times=None)
    result = lab.rotate(store="secretsmanager", secret_id="prod/openai")
    assert result["changed"] is True
    assert "could not be checked" in result["warnings"][0]


def test_a_definition_without_an_execution_role(lab: Stores) -> None:
    lab.environment(task_definition_options={"executionRoleArn": None})
    result = lab.rotate(store="ssm", secret_id="/prod/openai")
    assert "no executionRoleArn" in result["msg"]
    assert lab.writes() == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"expected_fingerprint": fingerprint(VARIABLE, THIRD)}, "expected_fingerprint"),
        ({"secret_id": "x"}, "secret_id"),
        ({"pin_secret_version": True, "store": "ssm", "secret_id": "/x"}, "pin_secret_version"),
    ],
)
def test_refusals_write_nothing(lab: Stores, options: Json, named: str) -> None:
    lab.reading(lab.secret())
    result = lab.rotate(**options)
    assert named in result["msg"]
    assert lab.writes() == []
    assert lab.text() == OLD


def test_another_running_deployment_is_an_obstacle_before_the_secret_is_written(lab: Stores) -> None:
    lab.reading(lab.secret())
    lab.ecs("UpdateService", cluster="c", service="s", forceNewDeployment=True)
    result = lab.rotate()
    assert "in_progress=supersede" in result["msg"]
    assert (lab.writes(), lab.text()) == ([], OLD)
    assert lab.rotate(in_progress="supersede")["actions"] == ["put_secret_value", "update_service"]


@pytest.mark.parametrize(
    "value_from", ["missing", "arn:aws:secretsmanager:us-east-1:123456789012:secret:missing-aaaaaa"]
)
def test_a_reference_to_nothing_is_named(lab: Stores, value_from: str) -> None:
    lab.reading(value_from)
    result = lab.rotate()
    assert f"There is no {'secret' if ':' in value_from else 'parameter'} {value_from}" in result["msg"]


def test_a_secret_that_is_being_deleted(lab: Stores) -> None:
    lab.reading(lab.secret())
    lab.secrets_manager.delete_secret(SecretId="prod/openai", RecoveryWindowInDays=7)
    assert "scheduled for deletion" in lab.rotate()["msg"]


def test_binary_is_refused(lab: Stores) -> None:
    arn = lab.secrets_manager.create_secret(Name="binary", SecretBinary=b"x")["ARN"]
    lab.reading(arn)
    assert "binary data" in lab.rotate()["msg"]


@pytest.mark.parametrize("operation", ["GetSecretValue", "PutSecretValue"])
def test_a_denied_call_names_the_permission(lab: Stores, operation: str) -> None:
    lab.reading(lab.secret())
    lab.sim.fault(operation, "denied", times=None, service="secretsmanager")
    result = lab.rotate()
    assert f"secretsmanager:{operation}" in result["msg"]
    assert (result["changed"], lab.text() if operation == "PutSecretValue" else OLD) == (False, OLD)


def test_a_value_in_an_environment_file_is_named(lab: Stores) -> None:
    files = [{"type": "s3", "value": "arn:aws:s3:::config/prod.env"}]
    lab.environment(containers=[{"name": "app", "environmentFiles": files}])
    result = lab.rotate()
    assert "app reads arn:aws:s3:::config/prod.env" in result["msg"]
    assert lab.writes() == []


# Others that read it


def test_services_that_read_the_same_secret_are_named(lab: Stores) -> None:
    arn = lab.secret()
    lab.reading(arn)
    lab.reading(f"{arn}:::{lab.version()}", service="pinned")
    lab.reading(arn, service="shop")
    lab.environment(service="other")
    predicted, result = lab.rotate(check_mode=True), lab.rotate()
    assert result["shared_with"] == predicted["shared_with"] == ["pinned", "shop"]
    assert "read by pinned, shop" in result["warnings"][0]
    assert lab.rotate()["shared_with"] == []


def test_services_that_cannot_be_looked_at_are_named(lab: Stores) -> None:
    arn = lab.secret()
    lab.reading(arn)
    lab.reading(arn, service="shop")
    lab.sim.fault("DescribeTaskDefinition", "denied", after=1, times=None)
    result = lab.rotate()
    assert result["shared_with"] == []
    assert result["warnings"] == ["Whether shop read the same secret could not be looked at."]


def test_tasks_that_may_not_be_looked_at_are_replaced_once(lab: Stores) -> None:
    lab.reading(lab.secret())
    put(lab, NEW)
    lab.sim.advance(5)
    lab.sim.fault("ListTasks", "denied", times=None)
    result = lab.rotate()
    assert (result["actions"], "ecs:ListTasks" in result["warnings"][0]) == (["update_service"], True)
    assert lab.rotate()["changed"] is False


def test_tasks_that_were_all_replaced_since_need_no_deployment(lab: Stores) -> None:
    """The deployment is older than the secret's version, and every task is younger: scaling did it."""
    lab.reading(lab.secret())
    put(lab, NEW)
    lab.sim.advance(5)
    for task in lab.tasks():
        lab.ecs("StopTask", cluster="c", task=task["taskArn"])
    lab.sim.advance(600)
    assert lab.holds() == {NEW}
    assert lab.rotate()["changed"] is False


def test_force_new_deployment_of_a_right_secret(lab: Stores) -> None:
    lab.reading(lab.secret(NEW))
    assert lab.rotate()["changed"] is False
    result = lab.rotate(force_new_deployment=True)
    assert (result["actions"], result["resumed"]) == (["update_service"], False)
