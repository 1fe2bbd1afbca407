"""Options to clients, retries, raw answers, and errors in our words; against botocore itself, without a network."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest
import yaml

from ansible_collections.keyturn.ecs.plugins.module_utils import _aws
from ansible_collections.keyturn.ecs.plugins.module_utils._aws import CONNECTION_SPEC, Aws
from ansible_collections.keyturn.ecs.plugins.module_utils._errors import AccessDeniedError, AwsError, KeyturnError
from fakes.network import OPTIONS, InTurn, error

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_CA_BUNDLE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setattr("time.sleep", lambda seconds: None)


@pytest.fixture
def aws() -> Aws:
    return Aws(OPTIONS)


def describe(aws: Aws) -> dict[str, Any]:
    return aws.call("ecs", "DescribeServices", "service s in cluster c", cluster="c", services=["s"])


def test_throttling_is_tried_again_far_beyond_botocores_own_attempts(aws: Aws) -> None:
    network = InTurn(aws, *[error("ThrottlingException", "Rate exceeded")] * 20, (200, {"services": []}))
    assert describe(aws)["services"] == []
    assert len(network.sent) == 21


def test_two_writers_in_one_family_are_tried_again(aws: Aws) -> None:
    busy = error("ClientException", "Too many concurrent attempts to create a new revision of the specified family.")
    network = InTurn(aws, busy, busy, (200, {"taskDefinition": {}}))
    aws.call_once("ecs", "RegisterTaskDefinition", "family f", family="f", containerDefinitions=[])
    assert len(network.sent) == 3


def test_another_client_exception_is_not(aws: Aws) -> None:
    network = InTurn(aws, error("ClientException", "Invalid family"))
    with pytest.raises(
        AwsError, match="ecs:RegisterTaskDefinition on family f failed: ClientException: Invalid family"
    ):
        aws.call_once("ecs", "RegisterTaskDefinition", "family f", family="f", containerDefinitions=[])
    assert len(network.sent) == 1


@pytest.mark.parametrize(
    "lost", [(500, {"__type": "ServerException"}), botocore.exceptions.ConnectionClosedError(endpoint_url="http://x")]
)
def test_a_call_sent_once_is_not_repeated_when_its_outcome_is_unknown(aws: Aws, lost: Any) -> None:
    network = InTurn(aws, lost)
    with pytest.raises(AwsError) as caught:
        aws.call_once("ecs", "RegisterTaskDefinition", "family f", family="f", containerDefinitions=[])
    assert caught.value.outcome_unknown
    assert len(network.sent) == 1


def test_a_call_that_was_never_sent_is_repeated(aws: Aws) -> None:
    refused = botocore.exceptions.EndpointConnectionError(endpoint_url="http://x")
    network = InTurn(aws, refused, throttled := error("ThrottlingException"), throttled, (200, {"taskDefinition": {}}))
    aws.call_once("ecs", "RegisterTaskDefinition", "family f", family="f", containerDefinitions=[])
    assert len(network.sent) == 4


def test_backoff_grows_to_its_bound_with_full_jitter() -> None:
    throttled = (None, {"Error": {"Code": "ThrottlingException"}})
    seen: list[tuple[float, float]] = []

    def highest(low: float, high: float) -> float:
        seen.append((low, high))
        return high

    for attempt in range(1, _aws.THROTTLED_ATTEMPTS + 1):
        _aws._retry_refused(throttled, attempt, None, once=False, uniform=highest)
    assert [high for _low, high in seen[:6]] == [1, 2, 4, 8, 16, 20]
    assert len(seen) == _aws.THROTTLED_ATTEMPTS - 1
    assert sum(high for _low, high in seen) / 2 > 300


def test_a_denied_call_names_the_permission(aws: Aws) -> None:
    text = "User: arn:aws:iam::123456789012:user/x is not authorized to perform: ecs:DescribeServices on resource: y"
    InTurn(aws, error("AccessDeniedException", text))
    with pytest.raises(AccessDeniedError, match=r"allow ecs:DescribeServices to the caller") as caught:
        describe(aws)
    assert caught.value.permission == "ecs:DescribeServices"


def test_no_value_gets_into_an_error(aws: Aws) -> None:
    aws.scrub.add("sk-new-value")
    InTurn(aws, error("InvalidParameterException", "bad: sk-new-value, the-secret-key"))
    with pytest.raises(AwsError) as caught:
        describe(aws)
    assert "sk-new-value" not in str(caught.value)
    assert "the-secret-key" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_refused_parameter_is_named_without_its_value(aws: Aws) -> None:
    with pytest.raises(AwsError) as caught:
        aws.call("ecs", "DescribeServices", "x", cluster="c", services="sk-not-a-list")
    assert "sk-not-a-list" not in caught.value.msg
    assert "services" in caught.value.msg


def test_raw_answers_keep_what_botocore_drops(aws: Aws) -> None:
    raw = {"taskDefinition": {"family": "f", "invented": {"deep": [1.5, None, "é"]}}}
    InTurn(aws, (200, raw))
    assert aws.call_raw("ecs", "DescribeTaskDefinition", "f", taskDefinition="f") == raw


def test_a_body_is_sent_as_it_is(aws: Aws) -> None:
    body = {"family": "f", "containerDefinitions": [], "invented": {"a": [1, "é"]}}
    network = InTurn(aws, (200, {"taskDefinition": {}}))
    aws.call_once("ecs", "RegisterTaskDefinition", "f", body, family="f", containerDefinitions=[])
    assert json.loads(network.sent[0].body) == body


def test_unknown_members_are_found_at_any_depth(aws: Aws) -> None:
    data = {
        "family": "f",
        "top": 1,
        "containerDefinitions": [
            {"name": "a"},
            {"name": "b", "mid": 2, "healthCheck": {"command": ["x"], "low": {"q": 1}}},
        ],
    }
    known, unknown = aws.split_known("ecs", "RegisterTaskDefinition", data)
    assert unknown == ("top", "containerDefinitions[1].mid", "containerDefinitions[1].healthCheck.low")
    assert known == {
        "family": "f",
        "containerDefinitions": [{"name": "a"}, {"name": "b", "healthCheck": {"command": ["x"]}}],
    }


def test_the_user_agent_names_the_collection(aws: Aws) -> None:
    network = InTurn(aws, (200, {"services": []}))
    describe(aws)
    assert f"keyturn.ecs/{_aws.COLLECTION_VERSION}" in network.sent[0].headers["User-Agent"].decode()


def test_the_version_is_galaxys() -> None:
    assert yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"] == _aws.COLLECTION_VERSION


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"access_key": "a", "secret_key": "b", "profile": "p", "region": "r"}, "mutually exclusive"),
        ({"access_key": "a", "region": "r"}, "belong together"),
        ({"profile": "nobody", "region": "us-east-1"}, "nobody"),
        ({"access_key": "a", "secret_key": "b"}, "Region"),
        ({**OPTIONS, "aws_config": {"nonsense": 1}}, "aws_config"),
    ],
)
def test_contradictions_are_named_before_any_call(options: dict[str, Any], named: str) -> None:
    with pytest.raises(KeyturnError, match=named):
        describe(Aws(options))


def test_empty_strings_are_not_given() -> None:
    empty = dict.fromkeys(CONNECTION_SPEC, "")
    assert Aws({**empty, **OPTIONS}).region == "us-east-1"


def test_empty_environment_variables_are_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """As AWX sets what nobody filled in. botocore would look for a profile without a name, and for 0 attempts."""
    variables = "PROFILE DEFAULT_PROFILE SESSION_TOKEN REGION DEFAULT_REGION ENDPOINT_URL CA_BUNDLE MAX_ATTEMPTS"
    for name in variables.split():
        monkeypatch.setenv(f"AWS_{name}", "")
    _aws.warm("ecs")
    aws = Aws(OPTIONS)
    InTurn(aws, (200, {"services": []}))
    assert describe(aws)["services"] == []


def test_a_profile_that_does_not_exist_is_told_by_the_task_not_by_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    monkeypatch.setattr(_aws, "_shared", _aws._Shared())
    _aws.warm("ecs")
    with pytest.raises(KeyturnError, match=r"The AWS configuration cannot be used: .*nobody"):
        Aws({"region": "us-east-1", "profile": "nobody"})


def test_aws_config_is_laid_over_ours() -> None:
    aws = Aws({**OPTIONS, "aws_config": {"connect_timeout": 3, "retries": {"max_attempts": 2}}})
    config = aws._client("ecs", _aws.REPEAT).meta.config
    assert (config.connect_timeout, config.retries["total_max_attempts"]) == (3, 3)
    assert aws._client("ecs", _aws.ONCE).meta.config.retries["total_max_attempts"] == 1


def test_an_old_botocore_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found, what is needed, and what to do."""
    monkeypatch.setattr("botocore.__version__", "1.33.13")
    with pytest.raises(KeyturnError) as caught:
        Aws(OPTIONS)
    assert caught.value.msg.startswith("botocore 1.33.13 is too old: boto3 and botocore 1.34.0 or newer are needed.")
    assert f"{sys.executable} -m pip install --upgrade 'boto3>=1.34.0'" in caught.value.msg


@pytest.mark.parametrize("version", ["1.34.0", "1.34.0.dev1", "1.100.0", "2.0.0"])
def test_the_oldest_botocore_and_newer_ones_will_do(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr("botocore.__version__", version)
    assert Aws(OPTIONS).region == "us-east-1"


@pytest.mark.parametrize(
    ("versions", "found"),
    [
        ({}, "boto3 and botocore cannot be imported (No module named 'boto3')"),
        (
            {"boto3": "1.20.0", "botocore": "1.23.0"},
            "boto3 1.20.0 and botocore 1.23.0 cannot be imported (No module named 'boto3')",
        ),
    ],
    ids=["missing", "installed, but of no use"],
)
def test_what_cannot_be_imported_is_told_with_its_version(
    monkeypatch: pytest.MonkeyPatch, versions: dict[str, str], found: str
) -> None:
    """An old botocore beside a newer urllib3 is installed, and cannot be imported."""

    def version(package: str) -> str:
        if package not in versions:
            raise importlib.metadata.PackageNotFoundError(package)
        return versions[package]

    monkeypatch.setattr(_aws, "HAS_BOTO3", False)
    monkeypatch.setattr(_aws, "_IMPORT_ERROR", "No module named 'boto3'")
    monkeypatch.setattr("importlib.metadata.version", version)
    with pytest.raises(KeyturnError) as caught:
        Aws(OPTIONS)
    assert caught.value.msg.startswith(f"{found}: boto3 and botocore 1.34.0 or newer are needed. Install them with ")
