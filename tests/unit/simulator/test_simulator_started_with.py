# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What tasks hold: values read at their start, and how a task fails that may not or cannot read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from simulator import Simulator

pytest.importorskip("moto")
pytest.importorskip("boto3")
import boto3
from botocore.exceptions import ClientError

TOKENS = [f"{digit}" * 36 for digit in "1234"]
ROLE = "arn:aws:iam::123456789012:role/ecsTaskExecutionRole"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"},
    ],
}


@pytest.fixture(scope="module")
def lenient() -> Iterator[Simulator]:
    with Simulator.start(speed=0, seed=1) as started:
        yield started


@pytest.fixture(scope="module")
def strict() -> Iterator[Simulator]:
    with Simulator.start(speed=0, seed=1, enforce_roles=True) as started:
        yield started


@pytest.fixture
def sim(lenient: Simulator) -> Simulator:
    lenient.reset()
    return lenient


@pytest.fixture
def guarded(strict: Simulator) -> Simulator:
    strict.reset()
    return strict


def _held(sim: Simulator, name: str = "A", service: str = "s", **place: Any) -> list[Any]:
    """The values of one variable in the running tasks."""
    tasks = sim.started_with("c", service, **place)
    return [task["containers"]["app"][name] for task in tasks if task["last_status"] == "RUNNING"]


def _deploy(sim: Simulator, seconds: float = 300, service: str = "s") -> None:
    sim.client("ecs").update_service(cluster="c", service=service, forceNewDeployment=True)
    sim.advance(seconds)


def test_every_form_of_value_from(sim: Simulator) -> None:
    secrets, ssm = sim.client("secretsmanager"), sim.client("ssm")
    arn = secrets.create_secret(Name="x", SecretString='{"k": "old", "n": 7}', ClientRequestToken=TOKENS[0])["ARN"]
    secrets.put_secret_value(SecretId=arn, SecretString='{"k": "new"}', ClientRequestToken=TOKENS[1])
    there = sim.client("secretsmanager", region="eu-west-1").create_secret(Name="y", SecretString="far")["ARN"]
    ssm.put_parameter(Name="/a/p", Value="ours", Type="SecureString", KeyId="alias/mine")
    ssm.put_parameter(Name="bare", Value="plain", Type="String")
    sim.create_environment(
        environment={"PLAIN": "value"},
        secrets={
            "WHOLE": arn,
            "KEY": f"{arn}:k::",
            "STAGE": f"{arn}:k:AWSPREVIOUS:",
            "PINNED": f"{arn}:n::{TOKENS[0]}",
            "PARTIAL": f"{arn[:-7]}:k::",
            "FAR": there,
            "SSM_ARN": "arn:aws:ssm:us-east-1:123456789012:parameter/a/p",
            "SSM_NAME": "bare",
            "NO_SECRET": "arn:aws:secretsmanager:us-east-1:123456789012:secret:none-abcdef",
            "NO_REGION": "arn:aws:secretsmanager:moon-1:123456789012:secret:none-abcdef",
            "NO_KEY": f"{arn}:other::",
            "NO_PARAMETER": "none",
        },
        desired=1,
    )
    (task,) = sim.started_with("c", "s")
    assert task["containers"]["app"] == {
        "PLAIN": "value",
        "WHOLE": '{"k": "new"}',
        "KEY": "new",
        "STAGE": "old",
        "PINNED": "7",
        "PARTIAL": "new",
        "FAR": "far",
        "SSM_ARN": "ours",
        "SSM_NAME": "plain",
        "NO_SECRET": None,
        "NO_REGION": None,
        "NO_KEY": None,
        "NO_PARAMETER": None,
    }
    assert task["last_status"] == "RUNNING" and task["task_definition"].endswith(":1")


def test_a_task_keeps_what_it_read_and_a_new_one_reads_again(sim: Simulator) -> None:
    secrets = sim.client("secretsmanager")
    arn = secrets.create_secret(Name="x", SecretString="v1")["ARN"]
    made = sim.create_environment(secrets={"A": arn}, desired=2)
    secrets.put_secret_value(SecretId=arn, SecretString="v2")
    sim.advance(300)
    assert _held(sim) == ["v1", "v1"]
    _deploy(sim)
    assert _held(sim) == ["v2", "v2"]
    started = {task["started_by"] for task in sim.started_with("c", "s") if task["last_status"] == "RUNNING"}
    assert len(started) == 1 and made["deployment_id"] not in started


def test_values_are_read_before_the_containers_start(sim: Simulator) -> None:
    secrets = sim.client("secretsmanager")
    arn = secrets.create_secret(Name="x", SecretString="v1")["ARN"]
    sim.create_environment(secrets={"A": arn}, desired=1)
    _deploy(sim, 8)
    assert sim.started_with("c", "s")[-1]["containers"] == {}
    secrets.put_secret_value(SecretId=arn, SecretString="v2")
    sim.advance(20)
    secrets.put_secret_value(SecretId=arn, SecretString="v3")
    sim.advance(300)
    assert _held(sim) == ["v2"]


def test_what_is_written_after_the_start_is_not_read_however_late_ecs_is_asked() -> None:
    """Time runs by itself here, and nobody calls ECS between the start and the write."""
    with Simulator.start(speed=1000, seed=1) as sim:
        secrets = sim.client("secretsmanager")
        arn = secrets.create_secret(Name="x", SecretString="v1")["ARN"]
        sim.create_environment(secrets={"A": arn}, desired=1)
        sim.client("ecs").update_service(cluster="c", service="s", forceNewDeployment=True)
        until = sim.now() + 60
        while sim.now() < until:
            pass
        secrets.put_secret_value(SecretId=arn, SecretString="v2")
        sim.advance(100)
        tasks = sim.started_with("c", "s")
        assert [task["containers"]["app"]["A"] for task in tasks] == ["v1", "v1"]


def test_a_pinned_version_comes_back_with_a_rollback_and_an_unpinned_one_does_not(sim: Simulator) -> None:
    secrets, ecs = sim.client("secretsmanager"), sim.client("ecs")
    arn = secrets.create_secret(Name="x", SecretString="v1", ClientRequestToken=TOKENS[0])["ARN"]
    for service, references in (("pinned", [f"{arn}:::{token}" for token in TOKENS[:2]]), ("loose", [arn, arn])):
        sim.create_environment(service=service, secrets={"A": references[0]}, desired=2)
        body = ecs.describe_task_definition(taskDefinition=service)["taskDefinition"]
        body["containerDefinitions"][0]["secrets"] = [{"name": "A", "valueFrom": references[1]}]
        kept = {name: body[name] for name in ("family", "containerDefinitions", "executionRoleArn", "networkMode")}
        ecs.register_task_definition(**kept)
    secrets.put_secret_value(SecretId=arn, SecretString="v2", ClientRequestToken=TOKENS[1])
    for service in ("pinned", "loose"):
        sim.script("c", service, "circuit_breaker", cause="container_exit")
        ecs.update_service(cluster="c", service=service, taskDefinition=f"{service}:2")
    sim.advance(600)
    for task in ecs.list_tasks(cluster="c", serviceName="loose")["taskArns"]:
        ecs.stop_task(cluster="c", task=task)
    sim.advance(600)
    assert (_held(sim, service="pinned"), _held(sim, service="loose")) == (["v1", "v1"], ["v2", "v2"])
    failed = [task for task in sim.started_with("c", "pinned") if task["task_definition"].endswith(":2")]
    assert {task["containers"]["app"]["A"] for task in failed} == {"v2"}


def test_standalone_tasks_and_their_overrides(sim: Simulator) -> None:
    sim.create_environment(environment={"A": "definition", "B": "b"})
    override = [{"name": "app", "environment": [{"name": "A", "value": "override"}]}]
    sim.client("ecs").run_task(cluster="c", taskDefinition="s", overrides={"containerOverrides": override})
    sim.advance(60)
    (task,) = sim.started_with("c", None)
    assert task["containers"] == {"app": {"A": "override", "B": "b"}}


def _reason(sim: Simulator, value_from: str, task_definition_options: dict[str, Any] | None = None) -> str:
    """Why the task of a new deployment stopped; "" when it runs."""
    number = len(sim.client("ecs").list_services(cluster="c")["serviceArns"]) if sim.calls("ecs") else 0
    name = f"s{number}"
    sim.create_environment(
        service=name, secrets={"A": value_from}, desired=1, task_definition_options=task_definition_options
    )
    _deploy(sim, 30, service=name)
    ecs = sim.client("ecs")
    stopped = ecs.list_tasks(cluster="c", serviceName=name, desiredStatus="STOPPED")["taskArns"]
    if not stopped:
        return ""
    (task,) = ecs.describe_tasks(cluster="c", tasks=stopped)["tasks"]
    assert (task["stopCode"], sim.started_with("c", name)[-1]["containers"]) == ("TaskFailedToStart", {})
    return str(task["stoppedReason"])


def _allow(sim: Simulator, *statements: dict[str, Any], name: str = "reads") -> None:
    iam = sim.client("iam")
    if not iam.list_roles()["Roles"]:
        iam.create_role(RoleName="ecsTaskExecutionRole", AssumeRolePolicyDocument=json.dumps(TRUST))
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **one} for one in statements]}
    iam.put_role_policy(RoleName="ecsTaskExecutionRole", PolicyName=name, PolicyDocument=json.dumps(document))


def test_what_does_not_exist_stops_the_task_in_ecs_words(guarded: Simulator) -> None:
    _allow(guarded, {"Action": "*", "Resource": "*"})
    arn = guarded.client("secretsmanager").create_secret(Name="x", SecretString='{"k": "v"}')["ARN"]
    start = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed:"
    assert _reason(guarded, f"{arn}:k::") == ""
    none = "arn:aws:secretsmanager:us-east-1:123456789012:secret:none-abcdef"
    assert _reason(guarded, none) == (
        f"{start} unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret "
        f"{none} from secrets manager: ResourceNotFoundException: Secrets Manager can't find the specified secret."
    )
    assert _reason(guarded, f"{arn}:other::") == (
        f"{start} unable to retrieve secret from asm: service call has been retried 1 time(s): retrieved secret from "
        "Secrets Manager did not contain json key other"
    )
    assert _reason(guarded, "/none") == (
        f"{start} unable to retrieve secrets from ssm: service call has been retried 1 time(s): invalid ssm "
        "parameters: /none"
    )


def test_the_execution_role_must_be_allowed_to_read(guarded: Simulator) -> None:
    arn = guarded.client("secretsmanager").create_secret(Name="x", SecretString="v")["ARN"]
    guarded.client("ssm").put_parameter(Name="/p", Value="v", Type="SecureString")
    assert "ECS was unable to assume the role" in _reason(guarded, arn)
    _allow(guarded, {"Action": "logs:*", "Resource": "*"})
    reason = _reason(guarded, arn)
    assert "AccessDeniedException: User: arn:aws:sts::123456789012:assumed-role/ecsTaskExecutionRole/" in reason
    assert reason.endswith(
        f"is not authorized to perform: secretsmanager:GetSecretValue on resource: {arn} because no identity-based "
        "policy allows the secretsmanager:GetSecretValue action"
    )
    parameter = "arn:aws:ssm:us-east-1:123456789012:parameter/p"
    assert f"ssm:GetParameters on resource: {parameter} because" in _reason(guarded, "/p")
    suffix = "arn:aws:secretsmanager:us-east-1:123456789012:secret:x-??????"
    _allow(guarded, {"Action": ["secretsmanager:GetSecretValue"], "Resource": [suffix]})
    assert (_reason(guarded, arn), _reason(guarded, arn[:-7])) == ("", "")
    _allow(guarded, {"Action": "ssm:Get*", "Resource": parameter}, name="parameters")
    assert _reason(guarded, parameter) == ""
    _allow(guarded, {"Effect": "Deny", "Action": "ssm:*", "Resource": "*"}, name="deny")
    assert _reason(guarded, "/p").endswith("with an explicit deny in an identity-based policy")


def test_a_customers_kms_key_must_be_allowed_too(guarded: Simulator) -> None:
    key = guarded.client("kms").create_key()["KeyMetadata"]["Arn"]
    guarded.client("kms").create_alias(AliasName="alias/mine", TargetKeyId=key)
    arn = guarded.client("secretsmanager").create_secret(Name="x", SecretString="v", KmsKeyId="alias/mine")["ARN"]
    guarded.client("ssm").put_parameter(Name="/p", Value="v", Type="SecureString", KeyId=key)
    _allow(guarded, {"Action": ["secretsmanager:GetSecretValue", "ssm:GetParameters"], "Resource": "*"})
    assert _reason(guarded, arn).endswith("AccessDeniedException: Access to KMS is not allowed")
    assert f"kms:Decrypt on resource: {key} because" in _reason(guarded, "/p")
    iam = guarded.client("iam")
    document = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": key}}
    policy = iam.create_policy(PolicyName="decrypt", PolicyDocument=json.dumps(document))["Policy"]["Arn"]
    iam.attach_role_policy(RoleName="ecsTaskExecutionRole", PolicyArn=policy)
    assert (_reason(guarded, arn), _reason(guarded, "/p")) == ("", "")


def _simulate(sim: Simulator, actions: list[str], resources: list[str] | None = None, **options: Any) -> Any:
    arguments = {"PolicySourceArn": ROLE, "ActionNames": actions, **options}
    if resources:
        arguments["ResourceArns"] = resources
    return sim.client("iam").simulate_principal_policy(**arguments)


def test_policies_are_simulated_as_iam_answers_it(sim: Simulator) -> None:
    mine, other = (f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}-abcdef" for name in ("x", "y"))
    region = {"StringEquals": {"aws:RequestedRegion": "us-east-1"}}
    _allow(sim, {"Action": "secretsmanager:getsecretvalue", "Resource": mine})
    _allow(sim, {"Effect": "Deny", "Action": "s3:*", "Resource": "*", "Condition": region}, name="deny")
    _allow(sim, {"Action": "kms:Decrypt", "Resource": "*", "Condition": region}, name="conditional")
    _allow(sim, {"NotAction": ["kms:*", "s3:*", "secretsmanager:*"], "NotResource": mine}, name="inverse")
    answer = _simulate(sim, ["secretsmanager:GetSecretValue", "s3:GetObject"], [mine, other])
    secret, bucket = answer["EvaluationResults"]
    assert answer["IsTruncated"] is False
    assert (secret["EvalActionName"], secret["EvalDecision"]) == ("secretsmanager:GetSecretValue", "implicitDeny")
    assert secret["EvalResourceName"] == "arn:${Partition}:secretsmanager:${Region}:${Account}:secret:${SecretId}"
    each = [(one["EvalResourceName"], one["EvalResourceDecision"]) for one in secret["ResourceSpecificResults"]]
    assert each == [(mine, "allowed"), (other, "implicitDeny")]
    matched = secret["ResourceSpecificResults"][0]["MatchedStatements"]
    assert matched == [{"SourcePolicyId": "reads", "SourcePolicyType": "role"}]
    assert bucket["EvalDecision"] == "explicitDeny" and bucket["EvalResourceName"] == "*"
    assert [one["SourcePolicyId"] for one in bucket["MatchedStatements"]] == ["deny"]
    decrypt, parameters = _simulate(sim, ["kms:Decrypt", "ssm:GetParameters"])["EvaluationResults"]
    assert (decrypt["EvalDecision"], decrypt["MissingContextValues"]) == ("implicitDeny", ["aws:RequestedRegion"])
    assert parameters["EvalDecision"] == "allowed" and "ResourceSpecificResults" not in parameters
    assert _simulate(sim, ["ssm:GetParameters"], [mine])["EvaluationResults"][0]["EvalDecision"] == "implicitDeny"


def test_simulation_fails_as_any_other_call(sim: Simulator) -> None:
    def code(**options: Any) -> str:
        with pytest.raises(ClientError) as caught:
            _simulate(sim, ["ssm:GetParameters"], **options)
        return str(caught.value.response["Error"]["Code"])

    assert code() == "NoSuchEntity"
    assert code(PolicySourceArn="arn:aws:iam::123456789012:user/somebody") == "InvalidInput"
    sim.fault("SimulatePrincipalPolicy", "denied", service="iam")
    sim.fault("SimulatePrincipalPolicy", "throttle", service="iam")
    assert (code(), code()) == ("AccessDenied", "Throttling")
    logged = sim.calls("iam", "SimulatePrincipalPolicy")
    assert [call["error"] for call in logged] == ["NoSuchEntity", "InvalidInput", "AccessDenied", "Throttling"]


def test_an_environment_can_be_younger_than_its_secret(sim: Simulator) -> None:
    arn = sim.client("secretsmanager").create_secret(Name="x", SecretString="v1")["ARN"]
    sim.advance(60)
    sim.create_environment(secrets={"A": arn}, desired=1, age_seconds=0)
    changed = sim.client("secretsmanager").describe_secret(SecretId="x")["LastChangedDate"].timestamp()
    (task,) = sim.started_with("c", "s")
    assert task["started_at"] == pytest.approx(changed + 60, abs=0.01)
    service = sim.client("ecs").describe_services(cluster="c", services=["s"])["services"][0]
    assert service["deployments"][0]["rolloutState"] == "COMPLETED"


def test_conditions_that_the_request_has_keys_for_are_evaluated(sim: Simulator) -> None:
    def decision(**context: str) -> tuple[str, list[str]]:
        entries = [
            {"ContextKeyName": key.replace("_", ":"), "ContextKeyValues": [value], "ContextKeyType": "string"}
            for key, value in context.items()
        ]
        (found,) = _simulate(sim, ["ecs:ListTasks"], ContextEntries=entries)["EvaluationResults"]
        return found["EvalDecision"], found["MissingContextValues"]

    _allow(sim, {"Action": "ecs:ListTasks", "Resource": "*", "Condition": {"ArnEquals": {"ecs:cluster": "*/prod"}}})
    assert decision(ecs_cluster="arn:aws:ecs:us-east-1:123456789012:cluster/prod") == ("allowed", [])
    assert decision(ecs_cluster="arn:aws:ecs:us-east-1:123456789012:cluster/test") == ("implicitDeny", [])
    assert decision() == ("implicitDeny", ["ecs:cluster"])


def test_sessions_do_what_their_roles_policies_allow_and_the_log_tells_what_they_needed() -> None:
    with Simulator.start(speed=0, enforce_callers=True) as guarded:
        guarded.create_environment()
        _allow(guarded, {"Action": "ecs:DescribeServices", "Resource": "*"})
        made = guarded.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="somebody")["Credentials"]
        ecs = boto3.client(
            "ecs",
            region_name="us-east-1",
            endpoint_url=guarded.url,
            aws_access_key_id=made["AccessKeyId"],
            aws_secret_access_key=made["SecretAccessKey"],
            aws_session_token=made["SessionToken"],
        )
        assert ecs.describe_services(cluster="c", services=["s"])["services"]
        with pytest.raises(ClientError, match=r"not authorized to perform: ecs:UpdateService on resource: arn:.*/c/s "):
            ecs.update_service(cluster="c", service="s", forceNewDeployment=True)
        with pytest.raises(ClientError, match="not authorized to perform: ecs:DescribeClusters"):
            ecs.describe_clusters()  # nothing is known of what it needs
        described, updated, unknown = guarded.calls("ecs")[-3:]
        place = {"ecs:cluster": "arn:aws:ecs:us-east-1:123456789012:cluster/c", "aws:RequestedRegion": "us-east-1"}
        service = "arn:aws:ecs:us-east-1:123456789012:service/c/s"
        assert described["permissions"] == [{"action": "ecs:DescribeServices", "resource": service, "context": place}]
        assert updated["permissions"] == [{"action": "ecs:UpdateService", "resource": service, "context": place}]
        assert (updated["error"], unknown["permissions"]) == ("AccessDeniedException", [])
        # The account's own key is none of these.
        assert guarded.client("ecs").describe_clusters()
