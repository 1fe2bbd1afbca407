# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Secrets Manager and Parameter Store behind the endpoint: what AWS documents, in the simulator's time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from simulator import Simulator

pytest.importorskip("moto")
pytest.importorskip("boto3")
from botocore.exceptions import ClientError, ConnectionClosedError

TOKENS = [f"{digit}" * 36 for digit in "1234"]
LATER = 100_000.0  # virtual seconds that moto's own clock never sees


@pytest.fixture(scope="module")
def process() -> Iterator[Simulator]:
    with Simulator.start(speed=0, seed=1) as started:
        yield started


@pytest.fixture
def sim(process: Simulator) -> Simulator:
    process.reset()
    return process


@pytest.fixture
def secrets(sim: Simulator) -> Any:
    return sim.client("secretsmanager")


@pytest.fixture
def ssm(sim: Simulator) -> Any:
    return sim.client("ssm")


def _refused(operation: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        operation(**arguments)
    error = caught.value.response["Error"]
    return str(error["Code"]), str(error["Message"])


def _stages(secrets: Any, name: str = "x") -> dict[str, list[str]]:
    found: dict[str, list[str]] = secrets.describe_secret(SecretId=name)["VersionIdsToStages"]
    return {token[0]: sorted(stages) for token, stages in found.items()}


def _put(secrets: Any, index: int, value: str, **arguments: Any) -> Any:
    return secrets.put_secret_value(SecretId="x", SecretString=value, ClientRequestToken=TOKENS[index], **arguments)


def _create(secrets: Any, value: str = "v1", **arguments: Any) -> Any:
    return secrets.create_secret(Name="x", SecretString=value, ClientRequestToken=TOKENS[0], **arguments)


def test_create_secret_is_idempotent_by_token(secrets: Any) -> None:
    made = _create(secrets, Tags=[{"Key": "a", "Value": "b"}], KmsKeyId="alias/mine")
    assert re.fullmatch(r"arn:aws:secretsmanager:us-east-1:123456789012:secret:x-\w{6}", made["ARN"])
    assert made["VersionId"] == TOKENS[0]
    assert (_create(secrets)["ARN"], _create(secrets)["VersionId"]) == (made["ARN"], TOKENS[0])
    assert _refused(_create, secrets=secrets, value="other")[0] == "ResourceExistsException"
    assert _refused(secrets.create_secret, Name="x", SecretString="v1")[0] == "ResourceExistsException"
    found = secrets.describe_secret(SecretId="x")
    assert (found["Tags"], found["KmsKeyId"]) == ([{"Key": "a", "Value": "b"}], "alias/mine")


def test_put_with_the_same_token_is_idempotent_and_moves_nothing(sim: Simulator, secrets: Any) -> None:
    _create(secrets)
    assert _put(secrets, 1, "v2")["VersionId"] == TOKENS[1]
    _put(secrets, 2, "v3")
    before = secrets.describe_secret(SecretId="x")["LastChangedDate"]
    sim.advance(60)
    assert _put(secrets, 1, "v2")["VersionId"] == TOKENS[1]
    assert _stages(secrets) == {"2": ["AWSPREVIOUS"], "3": ["AWSCURRENT"]}
    assert secrets.describe_secret(SecretId="x")["LastChangedDate"] == before
    assert _refused(_put, secrets=secrets, index=1, value="other")[0] == "ResourceExistsException"
    _put(secrets, 3, "v4", VersionStages=["AWSPENDING"])
    assert _refused(_put, secrets=secrets, index=3, value="other")[0] == "ResourceExistsException"


def test_only_the_labels_given_move(secrets: Any) -> None:
    _create(secrets)
    _put(secrets, 1, "v2", VersionStages=["AWSCURRENT", "BLUE"])
    _put(secrets, 2, "v3", VersionStages=["GREEN"])
    assert _stages(secrets) == {"1": ["AWSPREVIOUS"], "2": ["AWSCURRENT", "BLUE"], "3": ["GREEN"]}
    _put(secrets, 3, "v4", VersionStages=["AWSCURRENT", "GREEN"])
    assert _stages(secrets) == {"2": ["AWSPREVIOUS", "BLUE"], "4": ["AWSCURRENT", "GREEN"]}


def test_the_current_label_moves_back_and_takes_the_previous_one_along(sim: Simulator, secrets: Any) -> None:
    _create(secrets)
    _put(secrets, 1, "v2")
    move = {"SecretId": "x", "VersionStage": "AWSCURRENT", "MoveToVersionId": TOKENS[0]}
    assert _refused(secrets.update_secret_version_stage, **move)[0] == "InvalidParameterException"
    wrong = {**move, "RemoveFromVersionId": TOKENS[0]}
    assert _refused(secrets.update_secret_version_stage, **wrong)[0] == "InvalidParameterException"
    assert _stages(secrets) == {"1": ["AWSPREVIOUS"], "2": ["AWSCURRENT"]}
    sim.advance(60)
    secrets.update_secret_version_stage(**move, RemoveFromVersionId=TOKENS[1])
    assert _stages(secrets) == {"1": ["AWSCURRENT"], "2": ["AWSPREVIOUS"]}
    assert secrets.get_secret_value(SecretId="x")["SecretString"] == "v1"
    assert secrets.describe_secret(SecretId="x")["LastChangedDate"].timestamp() == pytest.approx(sim.now(), abs=0.01)
    _put(secrets, 2, "v3")
    assert _stages(secrets) == {"1": ["AWSPREVIOUS"], "3": ["AWSCURRENT"]}


def test_reading_by_name_partial_arn_version_and_label(secrets: Any) -> None:
    arn = _create(secrets)["ARN"]
    _put(secrets, 1, "v2")
    read = secrets.get_secret_value
    assert {read(SecretId=name)["SecretString"] for name in ("x", arn, arn[:-7])} == {"v2"}
    assert read(SecretId="x", VersionId=TOKENS[0])["SecretString"] == "v1"
    assert read(SecretId="x", VersionStage="AWSPREVIOUS")["SecretString"] == "v1"
    code, message = _refused(read, SecretId="x", VersionStage="NONE")
    assert (code, message.endswith("staging label: NONE")) == ("ResourceNotFoundException", True)
    assert _refused(read, SecretId="x", VersionId=TOKENS[3])[0] == "ResourceNotFoundException"
    both = {"VersionId": TOKENS[0], "VersionStage": "AWSCURRENT"}
    assert _refused(read, SecretId="x", **both)[0] == "InvalidRequestException"


def test_a_secret_marked_for_deletion_is_not_usable(secrets: Any) -> None:
    _create(secrets)
    secrets.delete_secret(SecretId="x")
    assert _refused(secrets.get_secret_value, SecretId="x")[0] == "InvalidRequestException"
    assert _refused(_put, secrets=secrets, index=1, value="v2")[0] == "InvalidRequestException"
    assert _refused(_create, secrets=secrets)[0] == "InvalidRequestException"
    secrets.restore_secret(SecretId="x")
    assert secrets.get_secret_value(SecretId="x")["SecretString"] == "v1"


def test_dates_are_the_simulators(sim: Simulator, secrets: Any) -> None:
    made = sim.advance(LATER)
    _create(secrets)
    changed = sim.advance(0.25)
    _put(secrets, 1, "v2")
    sim.advance(60)
    found = secrets.describe_secret(SecretId="x")
    assert found["CreatedDate"].timestamp() == pytest.approx(made, abs=0.002)
    assert found["LastChangedDate"].timestamp() == pytest.approx(changed, abs=0.002)
    assert secrets.get_secret_value(SecretId="x")["CreatedDate"].timestamp() == pytest.approx(changed, abs=0.002)
    listed = secrets.list_secret_version_ids(SecretId="x")
    dates = {one["VersionId"]: one["CreatedDate"].timestamp() for one in listed["Versions"]}
    assert dates == {TOKENS[0]: pytest.approx(made, abs=0.002), TOKENS[1]: pytest.approx(changed, abs=0.002)}
    assert listed["ARN"] == found["ARN"]


def test_every_change_counts_as_one(sim: Simulator, secrets: Any) -> None:
    _create(secrets)
    changes = [
        lambda: secrets.tag_resource(SecretId="x", Tags=[{"Key": "a", "Value": "b"}]),
        lambda: secrets.untag_resource(SecretId="x", TagKeys=["a"]),
        lambda: secrets.update_secret(SecretId="x", Description="d"),
        lambda: secrets.update_secret(SecretId="x", SecretString="v2"),
    ]
    for change in changes:
        now = sim.advance(60)
        change()
        assert secrets.describe_secret(SecretId="x")["LastChangedDate"].timestamp() == pytest.approx(now, abs=0.002)


def test_versions_without_labels_are_deprecated(secrets: Any) -> None:
    _create(secrets)
    for index in (1, 2):
        _put(secrets, index, f"v{index + 1}")

    def listed(**arguments: Any) -> list[str]:
        found = secrets.list_secret_version_ids(SecretId="x", **arguments)
        return [one["VersionId"][0] for one in found["Versions"]]

    assert (listed(), listed(IncludeDeprecated=True)) == (["2", "3"], ["1", "2", "3"])
    first = secrets.list_secret_version_ids(SecretId="x", MaxResults=1)
    assert listed(MaxResults=1, NextToken=first["NextToken"]) == ["3"]


def test_parameters_in_the_simulators_time(sim: Simulator, ssm: Any) -> None:
    dates = []
    for value in ("v1", "v2"):
        dates.append(sim.advance(LATER))
        ssm.put_parameter(Name="/a/b", Value=value, Type="String", Overwrite=value == "v2")
    sim.advance(60)
    arn = "arn:aws:ssm:us-east-1:123456789012:parameter/a/b"
    answers = [
        ssm.get_parameter(Name="/a/b")["Parameter"],
        ssm.get_parameter(Name=arn)["Parameter"],
        ssm.get_parameters(Names=["/a/b"])["Parameters"][0],
        ssm.describe_parameters()["Parameters"][0],
    ]
    assert {round(one["LastModifiedDate"].timestamp()) for one in answers} == {round(dates[1])}
    history = ssm.get_parameter_history(Name="/a/b")["Parameters"]
    assert [one["LastModifiedDate"].timestamp() for one in history] == pytest.approx(dates, abs=1)


def test_a_secure_string_loses_its_key_when_the_caller_forgets_it(ssm: Any) -> None:
    ssm.put_parameter(
        Name="/p", Value="12", Type="SecureString", KeyId="alias/mine", AllowedPattern=r"\d+", Tier="Advanced"
    )

    def metadata() -> Any:
        return ssm.describe_parameters()["Parameters"][0]

    found = metadata()
    assert (found["KeyId"], found["Tier"], found["DataType"]) == ("alias/mine", "Advanced", "text")
    assert found["AllowedPattern"] == r"\d+"
    ssm.put_parameter(Name="/p", Value="13", Overwrite=True, KeyId="alias/mine")
    assert metadata()["KeyId"] == "alias/mine"
    ssm.put_parameter(Name="/p", Value="14", Type="SecureString", Overwrite=True)
    assert (metadata()["KeyId"], metadata()["Tier"]) == ("alias/aws/ssm", "Advanced")
    assert ssm.get_parameter(Name="/p", WithDecryption=True)["Parameter"]["Value"] == "14"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Value": "x"}, "ParameterPatternMismatchException"),
        ({"Type": "String"}, "HierarchyTypeMismatchException"),
        ({"Tier": "Standard"}, "ValidationException"),
        ({"Overwrite": False}, "ParameterAlreadyExists"),
        ({"Name": "arn:aws:ssm:us-east-1:123456789012:parameter/p"}, "ValidationException"),
        ({"Name": "a/b"}, "ValidationException"),
        ({"Name": "/q", "Type": "String", "Value": "1" * 4097}, "ValidationException"),
    ],
)
def test_parameters_that_are_refused(ssm: Any, change: dict[str, Any], code: str) -> None:
    ssm.put_parameter(Name="/p", Value="12", Type="SecureString", AllowedPattern=r"\d+", Tier="Advanced")
    assert _refused(ssm.put_parameter, **{"Name": "/p", "Value": "13", "Overwrite": True, **change})[0] == code
    assert ssm.get_parameter(Name="/p")["Parameter"]["Version"] == 1


def test_an_answer_can_be_lost_after_the_write(sim: Simulator, secrets: Any, ssm: Any) -> None:
    _create(secrets)
    sim.fault("PutSecretValue", "lost_answer", service="secretsmanager")
    sim.fault("PutParameter", "lost_answer", service="ssm")
    with pytest.raises(ConnectionClosedError):
        _put(secrets, 1, "v2")
    with pytest.raises(ConnectionClosedError):
        ssm.put_parameter(Name="/p", Value="v", Type="String")
    assert _stages(secrets) == {"1": ["AWSPREVIOUS"], "2": ["AWSCURRENT"]}
    _put(secrets, 1, "v2")
    assert _stages(secrets) == {"1": ["AWSPREVIOUS"], "2": ["AWSCURRENT"]}
    assert ssm.get_parameter(Name="/p")["Parameter"]["Version"] == 1
