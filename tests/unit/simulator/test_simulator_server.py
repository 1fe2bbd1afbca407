# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The endpoint as a process, called with boto3: protocols, accounts, faults, call log, life and death."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator import Simulator, SimulatorError

pytest.importorskip("moto")
pytest.importorskip("boto3")
from botocore.exceptions import ClientError, ConnectionClosedError

TESTS = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def process() -> Iterator[Simulator]:
    with Simulator.start(speed=0, throttling=True, seed=1) as started:
        yield started


@pytest.fixture
def sim(process: Simulator) -> Simulator:
    process.reset()
    return process


def _code(operation: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        operation(**arguments)
    return str(caught.value.response["Error"]["Code"])


def _register(ecs: Any, value: str = "sk-new") -> str:
    environment = [{"name": "OPENAI_API_KEY", "value": value}]
    containers = [{"name": "app", "image": "app:2", "environment": environment}]
    answer = ecs.register_task_definition(family="s", containerDefinitions=containers)
    return str(answer["taskDefinition"]["taskDefinitionArn"])


def test_a_rollout_over_http(sim: Simulator) -> None:
    made = sim.create_environment(environment={"OPENAI_API_KEY": "sk-old"})
    ecs = sim.client("ecs")
    answer = ecs.update_service(cluster="c", service="s", taskDefinition=_register(ecs))
    new = answer["service"]["deployments"][0]["id"]
    assert new != made["deployment_id"]
    sim.advance(300)
    ecs.get_waiter("services_stable").wait(cluster="c", services=["s"])
    (service,) = ecs.describe_services(cluster="c", services=["s"])["services"]
    assert [one["id"] for one in service["deployments"]] == [new]


def test_invented_members_reach_the_wire(sim: Simulator) -> None:
    sim.create_environment(environment={"A": "b"})
    sim.patch_task_definition("s:1", ["containerDefinitions", 0, "inventedField"], {"x": 1})
    ecs = sim.client("ecs")
    raw: list[bytes] = []
    ecs.meta.events.register("after-call.ecs.*", lambda http_response, **_: raw.append(http_response.content))
    parsed = ecs.describe_task_definition(taskDefinition="s")["taskDefinition"]["containerDefinitions"][0]
    assert "inventedField" not in parsed
    assert json.loads(raw[0])["taskDefinition"]["containerDefinitions"][0]["inventedField"] == {"x": 1}


def test_accounts_and_regions_are_apart(sim: Simulator) -> None:
    sim.create_environment(service="here")
    sim.create_environment(service="there", account="210987654321", region="eu-west-1")
    there = sim.client("ecs", region="eu-west-1", account="210987654321")
    assert there.list_services(cluster="c")["serviceArns"] == [
        "arn:aws:ecs:eu-west-1:210987654321:service/c/there",
    ]
    assert sim.client("ecs").list_services(cluster="c")["serviceArns"][0].endswith("/here")
    assert _code(sim.client("ecs", region="eu-west-1").list_services, cluster="c") == "ClusterNotFoundException"
    assert {call["account"] for call in sim.calls("ecs")} == {"123456789012", "210987654321"}


def test_moto_answers_the_rest(sim: Simulator) -> None:
    arn = sim.client("secretsmanager").create_secret(Name="x", SecretString="v")["ARN"]
    assert sim.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"] == "v"
    sim.client("ssm").put_parameter(Name="/p", Value="v", Type="SecureString")
    sim.client("logs").create_log_group(logGroupName="g")
    sim.client("events").list_rules()
    sim.client("scheduler").list_schedules()
    sim.client("iam").list_roles()
    assert sim.client("sts").get_caller_identity()["Account"] == "123456789012"
    assert [(call["service"], call["operation"]) for call in sim.calls()] == [
        ("secretsmanager", "CreateSecret"),
        ("secretsmanager", "GetSecretValue"),
        ("ssm", "PutParameter"),
        ("logs", "CreateLogGroup"),
        ("events", "ListRules"),
        ("scheduler", "ListSchedules"),
        ("iam", "ListRoles"),
        ("sts", "GetCallerIdentity"),
    ]
    sim.reset()
    assert _code(sim.client("secretsmanager").get_secret_value, SecretId=arn) == "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("throttle", "ThrottlingException", 400),
        ("error", "ClientException", 400),
        ("internal", "ServerException", 500),
        ("denied", "AccessDeniedException", 400),
        ("expired", "ExpiredTokenException", 400),
        ("concurrent_revision", "ClientException", 400),
    ],
)
def test_faults_that_answer(sim: Simulator, kind: str, code: str, status: int) -> None:
    sim.fault("RegisterTaskDefinition", kind)
    ecs = sim.client("ecs")
    assert _code(ecs.register_task_definition, family="s", containerDefinitions=[]) == code
    assert (sim.calls()[-1]["status"], sim.calls()[-1]["error"]) == (status, code)
    assert _register(ecs).endswith(":1")


@pytest.mark.parametrize(("kind", "revisions"), [("reset", 0), ("timeout", 0), ("lost_answer", 1)])
def test_faults_that_cut_the_connection(sim: Simulator, kind: str, revisions: int) -> None:
    sim.fault("RegisterTaskDefinition", kind, seconds=0.1)
    ecs = sim.client("ecs")
    with pytest.raises(ConnectionClosedError):
        _register(ecs)
    assert len(ecs.list_task_definitions(familyPrefix="s")["taskDefinitionArns"]) == revisions
    assert sim.calls("ecs", "RegisterTaskDefinition")[0]["error"] == "ConnectionClosed"


def test_faults_in_other_protocols(sim: Simulator) -> None:
    sim.fault("AssumeRole", "denied", service="sts")
    sim.fault("GetSecretValue", "error", service="secretsmanager", code="InternalServiceError", status=500)
    sim.fault("ListSchedules", "throttle", service="scheduler")
    assume = sim.client("sts").assume_role
    assert _code(assume, RoleArn=sim.role_arn("1" * 12), RoleSessionName="xx") == "AccessDenied"
    assert _code(sim.client("secretsmanager").get_secret_value, SecretId="x") == "InternalServiceError"
    assert _code(sim.client("scheduler").list_schedules) == "ThrottlingException"


def test_denied_reads_as_iam_words_it(sim: Simulator) -> None:
    sim.fault("UpdateService", "denied")
    with pytest.raises(ClientError) as caught:
        sim.client("ecs").update_service(cluster="c", service="s")
    assert caught.value.response["Error"]["Message"] == (
        "User: arn:aws:iam::123456789012:user/simulator is not authorized to perform: ecs:UpdateService on resource: "
        "arn:aws:ecs:us-east-1:123456789012:service/c/s because no identity-based policy allows the "
        "ecs:UpdateService action"
    )


def test_log_lines_of_the_running_tasks(sim: Simulator) -> None:
    made = sim.create_environment(desired=2)
    streams = sim.log("c", "s", "started", "401 Unauthorized")
    assert sorted(streams) == sorted(f"ecs/app/{arn.rsplit('/', 1)[1]}" for arn in made["tasks"])
    found = sim.client("logs").filter_log_events(logGroupName="/ecs/s", filterPattern="401")["events"]
    assert {event["logStreamName"] for event in found} == set(streams)


def test_throttling_over_http(sim: Simulator) -> None:
    ecs = sim.client("ecs")

    def attempt() -> str:
        try:
            return _register(ecs)[:3]
        except ClientError as error:
            return str(error.response["Error"]["Code"])

    outcomes = [attempt() for _unused in range(30)]
    assert outcomes[:20] == ["arn"] * 20 and "ThrottlingException" in outcomes[20:]


def test_the_call_log_holds_no_values(sim: Simulator) -> None:
    _register(sim.client("ecs"), value="sk-very-secret")
    assert "sk-very-secret" not in json.dumps(sim.calls())
    assert set(sim.calls()[0]) >= {"time", "service", "operation", "account", "region", "access_key", "user_agent"}
    sim.clear_calls()
    assert sim.calls() == []


def test_control_refuses_nonsense(sim: Simulator) -> None:
    with pytest.raises(SimulatorError, match="unknown fault kind"):
        sim.fault("X", "meteor")
    with pytest.raises(SimulatorError, match="Cluster not found"):
        sim.script("c", "s", "completes")


def test_tasks_need_their_secrets_when_asked_to_check() -> None:
    with Simulator.start(speed=0, check_secrets=True) as sim:
        arn = sim.client("secretsmanager").create_secret(Name="x", SecretString='{"key": "v"}')["ARN"]
        sim.client("ssm").put_parameter(Name="/p", Value="v", Type="SecureString")
        sim.create_environment(secrets={"A": f"{arn}:key::", "B": arn, "C": "/p"}, desired=1)
        ecs = sim.client("ecs")
        ecs.update_service(cluster="c", service="s", forceNewDeployment=True)
        sim.advance(300)
        ssm_arn = "arn:aws:ssm:us-east-1:123456789012:parameter/p"
        for position, (value_from, failed) in enumerate(
            [(ssm_arn, 0), (f"{arn}:nokey::", 1), (f"{arn}:::no-version", 1), ("/nope", 1), (f"{arn}::AWSCURRENT:", 0)]
        ):
            name = f"s{position}"
            sim.create_environment(service=name, secrets={"A": value_from}, desired=1)
            ecs.update_service(cluster="c", service=name, forceNewDeployment=True)
            sim.advance(40)
            found = ecs.describe_services(cluster="c", services=[name])["services"][0]["deployments"][0]
            assert min(found["failedTasks"], 1) == failed, value_from
        assert ecs.describe_services(cluster="c", services=["s"])["services"][0]["deployments"][0]["runningCount"] == 1


def test_it_starts_quickly_and_dies_with_its_parent() -> None:
    code = (
        "import sys; from simulator import Simulator; s = Simulator.start(); print(s.url, s.pid, flush=True);"
        "import os; os._exit(0)"
    )
    environ = {**os.environ, "PYTHONPATH": str(TESTS)}
    answer = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    pid = int(answer.stdout.split()[1])
    for _unused in range(50):
        if not _alive(pid):
            return
        time.sleep(0.1)
    pytest.fail("it outlived its parent")


def _alive(pid: int) -> bool:
    """Neither gone nor a zombie that waits for init."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
