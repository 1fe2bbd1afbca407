# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Clock, token buckets, faults, identity."""

from __future__ import annotations

import pytest

from simulator import identity
from simulator.clock import VirtualClock
from simulator.faults import Fault, Faults
from simulator.policies import Policy, decide
from simulator.throttle import LIMITS, Buckets


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_clock_runs_fast_and_jumps() -> None:
    real = Time()
    clock = VirtualClock(60, 1000.0, real)
    real.now = 2.0
    assert clock.now() == 1120.0
    assert clock.advance(30) == 1150.0
    clock.set_speed(1)
    real.now = 3.0
    assert clock.now() == 1151.0
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(-1)


@pytest.mark.parametrize(
    ("operation", "burst", "rate"),
    [
        ("RegisterTaskDefinition", 20, 1),
        ("DeregisterTaskDefinition", 20, 1),
        ("DeleteTaskDefinitions", 5, 1),
        ("DescribeTaskDefinition", 50, 20),
        ("ListTaskDefinitions", 50, 20),
        ("UpdateService", 50, 5),
        ("DescribeServices", 100, 20),
        ("DescribeServiceDeployments", 50, 20),
        ("ListTasks", 100, 20),
        ("TagResource", 20, 10),
    ],
)
def test_buckets_follow_the_table(operation: str, burst: int, rate: int) -> None:
    time = Time()
    buckets = Buckets(now=time)

    def allowed() -> int:
        return sum(buckets.allow("1", "r", "ecs", operation) for _unused in range(200))

    assert allowed() == burst
    time.now = 1.0
    assert allowed() == min(rate, burst)
    time.now = 1000.0
    assert allowed() == burst


def test_register_and_deregister_share_a_bucket_that_other_regions_do_not() -> None:
    buckets = Buckets(now=Time())
    assert all(buckets.allow("1", "r", "ecs", "RegisterTaskDefinition") for _unused in range(20))
    assert not buckets.allow("1", "r", "ecs", "DeregisterTaskDefinition")
    assert buckets.allow("1", "other", "ecs", "RegisterTaskDefinition")
    assert buckets.allow("2", "r", "ecs", "RegisterTaskDefinition")
    assert ("ecs", "RunTask") not in LIMITS and buckets.allow("1", "r", "ecs", "RunTask")


def test_two_hundred_registrations_cost_three_minutes() -> None:
    time = Time()
    buckets = Buckets(now=time)
    for _unused in range(200):
        while not buckets.allow("1", "r", "ecs", "RegisterTaskDefinition"):
            time.now += 0.25
    assert 180 <= time.now <= 181


def test_buckets_can_be_off() -> None:
    buckets = Buckets(enabled=False, now=Time())
    assert all(buckets.allow("1", "r", "ecs", "RegisterTaskDefinition") for _unused in range(1000))


def test_a_fault_counts_its_calls() -> None:
    faults = Faults()
    faults.add(Fault("throttle", "UpdateService", times=2, after=1))
    kinds = [faults.take("ecs", "UpdateService", "1", "r") for _unused in range(5)]
    assert [fault.kind if fault else None for fault in kinds] == [None, "throttle", "throttle", None, None]


def test_faults_select_service_operation_account_and_region() -> None:
    faults = Faults()
    faults.add(Fault("denied", "*", service="ssm", times=None, account="1", region="r"))
    assert faults.take("ecs", "GetParameter", "1", "r") is None
    assert faults.take("ssm", "GetParameter", "2", "r") is None
    assert faults.take("ssm", "GetParameter", "1", "q") is None
    assert all(faults.take("ssm", "PutParameter", "1", "r") for _unused in range(10))
    faults.clear()
    assert faults.take("ssm", "PutParameter", "1", "r") is None


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown fault kind"):
        Fault("meteor")


def test_the_caller_comes_from_the_signature() -> None:
    header = "AWS4-HMAC-SHA256 Credential=AKIAX/20261122/eu-west-1/ecs/aws4_request, SignedHeaders=host, Signature=0"
    caller = identity.read(header)
    assert (caller.access_key, caller.region, caller.service, caller.account) == (
        "AKIAX",
        "eu-west-1",
        "ecs",
        "123456789012",
    )
    assert identity.read("").region == "us-east-1"


SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/x-aBcDeF"


@pytest.mark.parametrize(
    ("statements", "decision"),
    [
        ([], "implicitDeny"),
        ([{"Action": "secretsmanager:GetSecretValue", "Resource": SECRET}], "allowed"),
        ([{"Action": "SecretsManager:getsecret*", "Resource": ["none", SECRET[:-6] + "??????"]}], "allowed"),
        ([{"Action": "*", "Resource": SECRET.upper()}], "implicitDeny"),
        ([{"Action": "*", "Resource": SECRET[:-1] + "??"}], "implicitDeny"),
        ([{"Action": "*", "Resource": SECRET.replace("/", ".")}], "implicitDeny"),
        ([{"Action": ["secretsmanager:Describe*", "ssm:*"], "Resource": "*"}], "implicitDeny"),
        ([{"NotAction": "ssm:*", "Resource": "*"}], "allowed"),
        ([{"NotAction": "secretsmanager:*", "Resource": "*"}], "implicitDeny"),
        ([{"Action": "*", "NotResource": "arn:aws:s3:::*"}], "allowed"),
        ([{"Action": "*", "NotResource": "*:secret:prod/*"}], "implicitDeny"),
        ([{"Action": "*", "Resource": "*"}, {"Effect": "Deny", "Action": "*", "Resource": SECRET}], "explicitDeny"),
        ([{"Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:x": "true"}}}], "implicitDeny"),
        (
            [
                {"Action": "*", "Resource": "*"},
                {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:x": "true"}}},
            ],
            "explicitDeny",
        ),
    ],
)
def test_policies_are_evaluated(statements: list[dict[str, object]], decision: str) -> None:
    policies = [Policy(f"p{index}", "role", ({"Effect": "Allow", **one},)) for index, one in enumerate(statements)]
    assert decide(policies, "secretsmanager:GetSecretValue", SECRET).decision == decision
