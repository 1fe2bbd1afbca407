# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The pure half of a preflight: tables of permissions, owners and rules; IAM's answers in each of their shapes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.keyturn.ecs.plugins.module_utils._aws import Aws
from ansible_collections.keyturn.ecs.plugins.module_utils._ecs import Service
from ansible_collections.keyturn.ecs.plugins.module_utils._errors import AwsError, KeyturnError
from ansible_collections.keyturn.ecs.plugins.module_utils._preflight import permissions
from ansible_collections.keyturn.ecs.plugins.module_utils._preflight.findings import Findings, Problem
from ansible_collections.keyturn.ecs.plugins.module_utils._preflight.look import Seen
from ansible_collections.keyturn.ecs.plugins.module_utils._preflight.needs import ROWS, Need, Stored, Work, needs
from ansible_collections.keyturn.ecs.plugins.module_utils._preflight.owners import owner_of
from ansible_collections.keyturn.ecs.plugins.module_utils._preflight.principal import Principal, assumed, parse
from ansible_collections.keyturn.ecs.plugins.module_utils._preflight.rules import LARGEST, judge
from ansible_collections.keyturn.ecs.plugins.module_utils._preflight.simulate import Decision, Simulation, decision
from ansible_collections.keyturn.ecs.plugins.module_utils._preflight.statements import statements
from ansible_collections.keyturn.ecs.plugins.module_utils._rotation.desired import Desired
from fakes.network import OPTIONS

SCOPE = "arn:aws:ecs:us-east-1:123456789012"
SERVICE = f"{SCOPE}:service/c/s"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/openai-AbCdEf"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1"
ROLE = "arn:aws:iam::123456789012:role/r"
WORK = Work(SCOPE, "c", SERVICE, family="f", roles=(ROLE,))


def actions(work: Work, **which: bool) -> set[str]:
    return {need.action for need in needs(work) if all(getattr(need, name) is value for name, value in which.items())}


# Which permissions


def test_the_least() -> None:
    assert actions(WORK, optional=False) == {
        "ecs:DescribeServices",
        "ecs:DescribeTaskDefinition",
        "ecs:RegisterTaskDefinition",
        "iam:PassRole",
        "ecs:UpdateService",
    }
    assert actions(WORK, proven=True) == {"ecs:DescribeServices", "ecs:DescribeTaskDefinition"}
    assert actions(dataclasses.replace(WORK, seen=False), proven=True) == set()


def test_a_log_scan_needs_the_tasks() -> None:
    group = "arn:aws:logs:us-east-1:123456789012:log-group:/ecs/s:*"
    work = dataclasses.replace(WORK, log_scan=True, log_groups=(group,))
    found = {"ecs:ListTasks", "ecs:DescribeTasks", "logs:FilterLogEvents"}
    assert actions(work, optional=False) - actions(WORK, optional=False) == found


def test_each_of_several_resources() -> None:
    work = dataclasses.replace(WORK, roles=(ROLE, f"{ROLE}2"))
    assert [need.resource for need in needs(work) if need.action == "iam:PassRole"] == [ROLE, f"{ROLE}2"]


def test_no_permission_twice() -> None:
    one = Stored("secretsmanager", SECRET, key=KEY)
    work = dataclasses.replace(WORK, stored=(one, dataclasses.replace(one, arn=f"{SECRET}2")))
    found = [(need.action, need.resource) for need in needs(work)]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("resource", "example"),
    [
        ("*", "*"),
        (SERVICE, SERVICE),
        (f"{SCOPE}:task-definition/f:*", f"{SCOPE}:task-definition/f:1"),
        (f"{SCOPE}:task/c/*", f"{SCOPE}:task/c/1"),
        (SECRET.replace("AbCdEf", "??????"), SECRET),
        ("arn:aws:logs:r:1:log-group:/ecs/s:*", "arn:aws:logs:r:1:log-group:/ecs/s:log-stream:"),
    ],
)
def test_what_iam_is_asked_about(resource: str, example: str) -> None:
    assert Need("x:Y", resource).example == example


def test_every_row_names_an_action_of_its_own() -> None:
    assert len({row.action for row in ROWS}) == len(ROWS)


def test_statements_share_resources() -> None:
    found = json.loads(statements([Need("a:A", "x"), Need("a:B", "x"), Need("a:C", "y"), Need("a:C", "z")]))
    assert found == [
        {"Effect": "Allow", "Action": ["a:A", "a:B"], "Resource": "x"},
        {"Effect": "Allow", "Action": "a:C", "Resource": ["y", "z"]},
    ]
    assert json.loads(statements([Need("iam:PassRole", ROLE)]))["Condition"] == {
        "StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
    }


# Who


@pytest.mark.parametrize(
    ("arn", "expected"),
    [
        ("arn:aws:iam::1:user/ops/me", Principal("arn:aws:iam::1:user/ops/me", "aws", "1")),
        ("arn:aws:iam::1:root", Principal("arn:aws:iam::1:root", "aws", "1", root=True)),
        (
            "arn:aws-cn:sts::1:assumed-role/r/session@x",
            Principal("arn:aws-cn:iam::1:role/r", "aws-cn", "1", session=True),
        ),
        ("arn:aws:sts::1:federated-user/me", Principal("arn:aws:sts::1:federated-user/me", "aws", "1")),
        ("", None),
        ("nobody", None),
    ],
)
def test_principals(arn: str, expected: Principal | None) -> None:
    assert parse(arn) == expected
    if expected:
        assert expected.simulated is (":role/" in expected.arn or ":user/ops" in expected.arn)


def test_the_option_tells_the_path() -> None:
    session = Principal("arn:aws:iam::1:role/r", "aws", "1", session=True)
    with_path = "arn:aws:iam::1:role/teams/r"
    assert assumed(session, with_path) == Principal(with_path, "aws", "1")
    assert assumed(session, "arn:aws:iam::1:role/teams/other") == session
    assert assumed(session, None) == session


# IAM's answers

A, B = Need("ecs:UpdateService", "arn:x"), Need("ecs:ListTasks", "*")
PAIRS = [(need.action, resource) for need in (A, B) for resource in ("arn:x", "*")]


def one_result_an_action(decided: dict[tuple[str, str], str]) -> list[dict[str, Any]]:
    """IAM today: ResourceSpecificResults, and the most restrictive decision above them."""
    found = []
    for action in (A.action, B.action):
        each = {resource: decided[action, resource] for resource in ("arn:x", "*")}
        found.append(
            {
                "EvalActionName": action,
                "EvalResourceName": "arn:${Partition}:ecs",
                "EvalDecision": max(each.values(), key=("allowed", "implicitDeny", "explicitDeny").index),
                "ResourceSpecificResults": [
                    {"EvalResourceName": resource, "EvalResourceDecision": word} for resource, word in each.items()
                ],
            }
        )
    return found


def one_result_a_pair(decided: dict[tuple[str, str], str]) -> list[dict[str, Any]]:
    return [
        {"EvalActionName": action.lower(), "EvalResourceName": resource, "EvalDecision": word}
        for (action, resource), word in decided.items()
    ]


@given(st.fixed_dictionaries(dict.fromkeys(PAIRS, st.sampled_from(["allowed", "implicitDeny", "explicitDeny"]))))
def test_both_shapes_say_the_same(decided: dict[tuple[str, str], str]) -> None:
    for need in (A, B):
        expected = Decision(decided[need.action, need.resource] == "allowed")
        for shape in (one_result_an_action, one_result_a_pair):
            assert decision(shape(decided), need, ["arn:x", "*"]) == expected


def test_an_answer_for_one_resource_may_name_a_template() -> None:
    result = {"EvalActionName": A.action, "EvalResourceName": "*", "EvalDecision": "implicitDeny"}
    assert decision([result], A, ["arn:x"]) == Decision(allowed=False)
    assert decision([result], A, ["arn:x", "*"]) is None
    assert decision([{**result, "EvalDecision": "allowed"}], A, ["arn:x", "*"]) == Decision(allowed=True)
    assert decision([result], B, ["arn:x", "*"]) is None


def test_a_denial_for_want_of_a_condition_key_depends() -> None:
    result = {"EvalActionName": A.action, "EvalDecision": "explicitDeny", "MissingContextValues": ["aws:SourceIp"]}
    assert decision([result], A, ["arn:x"]) == Decision(allowed=False, depends=("aws:SourceIp",))


class FakeIam(Aws):
    """Answers the calls of a simulation by a list; keeps what was asked."""

    def __init__(self, *answers: Any) -> None:
        super().__init__(OPTIONS)
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def _call(self, service: str, operation: str, on: str, params: dict[str, Any], mode: str) -> dict[str, Any]:
        self.asked.append({"mode": mode, **params})
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        found: dict[str, Any] = answer
        return found


def answered(action: str, word: str = "allowed") -> dict[str, Any]:
    return {"EvaluationResults": [{"EvalActionName": action, "EvalResourceName": "*", "EvalDecision": word}]}


def failed(code: str) -> AwsError:
    return AwsError("no", operation="iam:SimulatePrincipalPolicy", code=code)


def ask(iam: FakeIam, wanted: Sequence[Need] = (A, B)) -> dict[Need, Decision]:
    return Simulation(iam, ROLE, {"k": "v"}).ask(wanted)


def test_one_call_for_each_service() -> None:
    both = one_result_an_action(dict.fromkeys(PAIRS, "allowed"))
    passed = Need("iam:PassRole", ROLE)
    iam = FakeIam({"EvaluationResults": both}, answered("iam:PassRole"))
    assert ask(iam, [A, passed, B]) == dict.fromkeys([A, B, passed], Decision(allowed=True))
    assert [(one["ActionNames"], one["ResourceArns"]) for one in iam.asked] == [
        ([A.action, B.action], ["arn:x", "*"]),
        (["iam:PassRole"], [ROLE]),
    ]
    assert iam.asked[0]["ContextEntries"] == [
        {"ContextKeyName": "k", "ContextKeyValues": ["v"], "ContextKeyType": "string"}
    ]


def test_all_pages_are_read() -> None:
    results = one_result_an_action(dict.fromkeys(PAIRS, "allowed"))
    iam = FakeIam(
        {"EvaluationResults": results[:1], "IsTruncated": True, "Marker": "m"}, {"EvaluationResults": results[1:]}
    )
    assert all(found.allowed for found in ask(iam).values())
    assert iam.asked[1]["Marker"] == "m"


@pytest.mark.parametrize("together", [failed("InvalidInput"), {"EvaluationResults": []}])
def test_what_is_not_told_together_is_asked_alone(together: Any) -> None:
    iam = FakeIam(together, answered(A.action), answered(B.action, "implicitDeny"))
    assert ask(iam) == {A: Decision(allowed=True), B: Decision(allowed=False)}
    assert [one["ResourceArns"] for one in iam.asked[1:]] == [["arn:x"], ["*"]]


def test_throttled_it_is_tried_as_any_other_call() -> None:
    iam = FakeIam(failed("Throttling"), answered(A.action))
    assert ask(iam, [A]) == {A: Decision(allowed=True)}
    assert [one["mode"] for one in iam.asked] == ["optional", "repeat"]


def test_other_failures_are_told_at_once() -> None:
    iam = FakeIam(failed("ConnectTimeoutError"))
    with pytest.raises(AwsError):
        ask(iam)
    assert len(iam.asked) == 1


def test_the_root_user_may_everything() -> None:
    iam, findings = FakeIam(), Findings()
    found = permissions.check(iam, WORK, parse("arn:aws:iam::123456789012:root"), "", findings)
    assert (found.missing, found.unchecked, findings.problems) == ((), "", [])
    assert set(found.allowed) == actions(WORK)


# Owners


@pytest.mark.parametrize(
    ("key", "value", "owner"),
    [
        ("ManagedBy", "Terraform", "Terraform"),
        ("managed-by", "terraform-cloud", "Terraform"),
        ("managed_by", "TERRAFORM", "Terraform"),
        ("company:managed-by", "OpenTofu", "Terraform"),
        ("provisioner", "terragrunt", "Terraform"),
        ("Terraform", "true", "Terraform"),
        ("terraform", "Yes", "Terraform"),
        ("terraform:workspace", "prod", "Terraform"),
        ("aws:cloudformation:stack-name", "shop", "CloudFormation or CDK (stack shop)"),
        ("ManagedBy", "CDK", "CloudFormation or CDK"),
        ("ManagedBy", "cloudformation", "CloudFormation or CDK"),
        ("copilot-application", "shop", "Copilot (application shop)"),
        ("ManagedBy", "pulumi", "Pulumi"),
        ("terraform", "false", None),
        ("Terraform", "", None),
        ("ManagedBy", "ops", None),
        ("managed-by", "keyturn", None),
        ("team", "terraform", None),
        ("aws:ecs:clusterName", "c", None),
    ],
)
def test_owners(key: str, value: str, owner: str | None) -> None:
    found = owner_of([("Name", "web"), (key, value)])
    assert (found[0].name.format(value=found[1]) if found else None) == owner


def test_copilot_counts_before_the_stack_that_it_made() -> None:
    found = owner_of([("aws:cloudformation:stack-name", "shop-prod-web"), ("copilot-application", "shop")])
    assert found
    assert found[0].run == "copilot svc deploy"


# Rules


def service(**changes: Any) -> Service:
    deployment = {
        "minimumHealthyPercent": changes.pop("low", 100),
        "maximumPercent": changes.pop("high", 200),
        "deploymentCircuitBreaker": {"enable": True, "rollback": True},
    }
    answer = {"serviceArn": SERVICE, "serviceName": "s", "desiredCount": 2, "deploymentConfiguration": deployment}
    return Service.parse({**answer, **changes})


@pytest.mark.parametrize(
    ("desired", "low", "high", "remedy"),
    [
        (1, 100, 100, "maximumPercent from 100 to 200 or more, or minimumHealthyPercent from 100 to 0."),
        (1, 100, 150, "maximumPercent from 150 to 200 or more, or minimumHealthyPercent from 100 to 0."),
        (3, 100, 125, "maximumPercent from 125 to 134 or more, or minimumHealthyPercent from 100 to 66 or less."),
        (5, 90, 110, "maximumPercent from 110 to 120 or more, or minimumHealthyPercent from 90 to 80 or less."),
        (2, 100, 200, None),
        (2, 50, 100, None),
    ],
)
def test_percents(desired: int, low: int, high: int, remedy: str | None) -> None:
    found = list(judge(Seen(service=service(desiredCount=desired, low=low, high=high))))
    assert [one.remedy for one in found if one.check] == ([f"Change {remedy}"] if remedy else [])
    if remedy:
        numbers = [int(word.rstrip(".")) for word in remedy.split() if word.rstrip(".").isdigit()]
        for given_percents in ({"low": low, "high": numbers[1]}, {"low": numbers[3], "high": high}):
            better = Seen(service=service(desiredCount=desired, **given_percents))
            assert not [one for one in judge(better) if one.check]


@pytest.mark.parametrize(
    ("size", "checks"),
    [(LARGEST + 1, ["size"]), (LARGEST, [""]), (int(LARGEST * 0.9) + 1, [""]), (int(LARGEST * 0.9), [])],
)
def test_size(size: int, checks: list[str]) -> None:
    """Two bytes of UTF-8 count as two."""
    around = len(json.dumps({"family": "", "x": "ä"}, ensure_ascii=False, separators=(",", ":")).encode())
    fields = {"family": "", "x": "ä" + "x" * (size - around)}
    found = list(judge(Seen(desired=Desired(fields, {}, differs=True))))
    assert [one.check for one in found] == checks


def test_rules_of_a_service_that_ecs_does_not_deploy() -> None:
    other = service(desiredCount=1, low=100, high=100, deploymentController={"type": "CODE_DEPLOY"})
    assert list(judge(Seen(service=other))) == []
    assert list(judge(Seen())) == []


# Findings


def test_a_problem_is_told_once_and_a_warning_too() -> None:
    findings = Findings()

    def refuse() -> None:
        raise KeyturnError("No.")

    for _attempt in range(2):
        assert findings.attempt("variable", refuse) is None
        findings.warn("a", "b", "a")
    assert findings.problems == [
        Problem("variable", "No.", "Correct the option, the secret or the task definition that the text names.")
    ]
    assert findings.warnings == ["a", "b"]
    assert findings.attempt("variable", lambda: 7) == 7
