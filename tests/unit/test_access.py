# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who may read a value, and who did: ARNs, names in CloudTrail's records, pages, and what could not be looked at."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest
from botocore.awsrequest import AWSResponse

from ansible_collections.keyturn.ecs.plugins.module_utils._access.access import DAY, access
from ansible_collections.keyturn.ecs.plugins.module_utils._access.may_read import principals
from ansible_collections.keyturn.ecs.plugins.module_utils._access.resources import WAYS, Resource
from ansible_collections.keyturn.ecs.plugins.module_utils._access.trail import BETWEEN_CALLS, session, who
from ansible_collections.keyturn.ecs.plugins.module_utils._aws import OPTIONAL, REPEAT, Aws
from ansible_collections.keyturn.ecs.plugins.module_utils._errors import KeyturnError
from fakes.network import OPTIONS

Json = dict[str, Any]
NOW = 1_800_000_000.0
ACCOUNT = "123456789012"
REVISION = f"arn:aws:ecs:us-east-1:{ACCOUNT}:task-definition/api:42"
SECRET = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:prod/openai-AbCdEf"
PARAMETER = f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/prod/openai"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/developers"
EVENTS = {way.event: way for way in WAYS}


def asked(event: str, name: str) -> Json:
    members = {"DescribeTaskDefinition": "taskDefinition", "GetSecretValue": "secretId"}
    return {"names": ["/x", name]} if event == "GetParameters" else {members.get(event, "name"): name}


@pytest.mark.parametrize(
    ("event", "arn", "name", "shows"),
    [
        ("DescribeTaskDefinition", REVISION, REVISION, True),
        ("DescribeTaskDefinition", REVISION, "api:42", True),
        ("DescribeTaskDefinition", REVISION, "api", True),
        ("DescribeTaskDefinition", REVISION, "api:4", False),
        ("DescribeTaskDefinition", REVISION, "api2", False),
        ("GetSecretValue", SECRET, SECRET, True),
        ("GetSecretValue", SECRET, SECRET.removesuffix("-AbCdEf"), True),
        ("GetSecretValue", SECRET, "prod/openai", True),
        ("GetSecretValue", SECRET, "prod/openai2", False),
        ("GetParameter", PARAMETER, "/prod/openai", True),
        ("GetParameter", PARAMETER, "/prod/openai:3", True),
        ("GetParameter", PARAMETER, PARAMETER, True),
        ("GetParameter", PARAMETER, f"{PARAMETER}:3", True),
        ("GetParameter", PARAMETER, "/prod/other", False),
        ("GetParameters", PARAMETER, "/prod/openai", True),
        ("GetParameterHistory", PARAMETER, "/prod/openai", True),
    ],
)
def test_which_calls_show_a_resource(event: str, arn: str, name: str, shows: bool) -> None:
    assert EVENTS[event].shows(Resource.parse(arn), asked(event, name)) is shows
    assert not EVENTS[event].shows(Resource.parse(arn), {})


def test_a_parameter_without_a_path() -> None:
    resource = Resource.parse(f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/openai")
    assert EVENTS["GetParameter"].shows(resource, {"name": "openai"})


@pytest.mark.parametrize("text", ["", "api:42", ROLE, f"arn:aws:ecs:us-east-1:{ACCOUNT}:task-definition/api"])
def test_what_is_no_resource(text: str) -> None:
    with pytest.raises(KeyturnError, match="is no ARN of a task definition's revision, a secret or a parameter"):
        Resource.parse(text)


@pytest.mark.parametrize(
    "text", ["", "alice", f"arn:aws:iam::{ACCOUNT}:group/x", f"arn:aws:sts::{ACCOUNT}:federated-user/x"]
)
def test_what_is_no_principal(text: str) -> None:
    with pytest.raises(KeyturnError, match="is no ARN of an IAM user or role"):
        principals([text])


def test_a_session_stands_for_its_role() -> None:
    found = principals([f"arn:aws:sts::{ACCOUNT}:assumed-role/developers/alice", f"arn:aws:iam::{ACCOUNT}:user/bob"])
    assert [one.arn for one in found] == [ROLE, f"arn:aws:iam::{ACCOUNT}:user/bob"]


@pytest.mark.parametrize(
    ("identity", "name", "of_session"),
    [
        (
            {
                "type": "AssumedRole",
                "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/developers/alice@example.com",
                "sessionContext": {"sessionIssuer": {"type": "Role", "arn": ROLE}},
            },
            ROLE,
            "alice@example.com",
        ),
        ({"type": "IAMUser", "arn": f"arn:aws:iam::{ACCOUNT}:user/bob"}, f"arn:aws:iam::{ACCOUNT}:user/bob", ""),
        ({"type": "AWSService", "invokedBy": "config.amazonaws.com"}, "config.amazonaws.com", ""),
        ({"type": "AWSAccount", "principalId": "AIDAX", "accountId": "2"}, "AIDAX", ""),
        ({"type": "AWSAccount", "accountId": "210987654321"}, "210987654321", ""),
        ({}, "unknown", ""),
    ],
)
def test_who_it_was(identity: Json, name: str, of_session: str) -> None:
    assert (who({"userIdentity": identity}), session({"userIdentity": identity})) == (name, of_session)


# Against answers as they come over the wire


def event(name: str, at: float, parameters: Json, who: str = "alice", **more: Any) -> Json:
    record = {
        "eventSource": f"{EVENTS[name].service}.amazonaws.com",
        "eventName": name,
        "requestParameters": parameters,
        "sourceIPAddress": "192.0.2.7",
        "userIdentity": {
            "type": "AssumedRole",
            "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/developers/{who}",
            "sessionContext": {"sessionIssuer": {"arn": ROLE}},
        },
        **more,
    }
    return {"EventName": name, "EventTime": at, "CloudTrailEvent": json.dumps(record)}


class Cloud:
    """IAM and CloudTrail: `events` by name, oldest first; `decisions` by action."""

    def __init__(self) -> None:
        self.aws = Aws({**OPTIONS, "debug_botocore_endpoint_logs": False})
        self.events: dict[str, list[Json]] = {}
        self.decisions: dict[str, Json] = {}
        self.requests: list[tuple[str, Json]] = []
        self.slept: list[float] = []
        self.failing: tuple[int, Json] | None = None
        for mode in (REPEAT, OPTIONAL):
            self.aws._client("cloudtrail", mode).meta.events.register("before-send.cloudtrail", self._look_up)
            self.aws._client("iam", mode).meta.events.register("before-send.iam", self._simulate)

    def access(self, *resources: str, **options: Any) -> Json:
        given = {"resources": list(resources), "principals": None, "trail": False, "days": 90, "max_events": 2000}
        return access(self.aws, {**given, **options}, now=lambda: NOW, sleep=self.slept.append)

    def _look_up(self, request: Any, **_more: Any) -> AWSResponse:
        body = json.loads(request.body)
        self.requests.append(("LookupEvents", body))
        if self.failing:
            return answer(self.failing[0], json.dumps(self.failing[1]))
        name = body["LookupAttributes"][0]["AttributeValue"]
        newest_first = self.events.get(name, [])[::-1]
        begin = int(body.get("NextToken", 0))
        end = begin + body["MaxResults"]
        more = {"NextToken": str(end)} if end < len(newest_first) else {}
        return answer(200, json.dumps({"Events": newest_first[begin:end], **more}))

    def _simulate(self, request: Any, **_more: Any) -> AWSResponse:
        body = {
            name: values[0]
            for name, values in parse_qs(
                request.body.decode() if isinstance(request.body, bytes) else request.body
            ).items()
        }
        self.requests.append((body["Action"], body))
        actions = [value for name, value in body.items() if name.startswith("ActionNames.")]
        resources = [value for name, value in body.items() if name.startswith("ResourceArns.")]
        members = "".join(
            f"<member><EvalActionName>{action}</EvalActionName><EvalResourceName>{resource}</EvalResourceName>"
            f"<EvalDecision>{self.decisions.get(action, {}).get('decision', 'implicitDeny')}</EvalDecision>"
            + "".join(
                f"<MissingContextValues><member>{key}</member></MissingContextValues>"
                for key in self.decisions.get(action, {}).get("missing", ())
            )
            + "</member>"
            for action in actions
            for resource in resources
        )
        return answer(
            200,
            '<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
            f"<SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated><EvaluationResults>{members}"
            "</EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>",
        )


def answer(status: int, body: str) -> AWSResponse:
    response = AWSResponse("http://x", status, {"content-type": "application/x-amz-json-1.1"}, None)
    response._content = body.encode()
    return response


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


def test_nothing_is_asked_without_being_told_to(cloud: Cloud) -> None:
    found = cloud.access(SECRET)
    assert found == {"changed": False, "may_read": [], "readers": [], "since": None, "unverified": []}
    assert cloud.requests == []


def test_who_may(cloud: Cloud) -> None:
    cloud.decisions = {
        "ecs:DescribeTaskDefinition": {"decision": "allowed"},
        "ssm:GetParameter": {"decision": "implicitDeny", "missing": ["aws:SourceVpc"]},
    }
    found = cloud.access(REVISION, SECRET, PARAMETER, principals=[ROLE])["may_read"]
    assert {(one["action"], one["resource"]): one["allowed"] for one in found} == {
        ("ecs:DescribeTaskDefinition", REVISION): True,
        ("secretsmanager:GetSecretValue", SECRET): False,
        ("ssm:GetParameter", PARAMETER): None,
        ("ssm:GetParameters", PARAMETER): False,
        ("ssm:GetParameterHistory", PARAMETER): False,
    }
    assert [one["depends"] for one in found if one["allowed"] is None] == [["aws:SourceVpc"]]
    # No policy can name a task definition for DescribeTaskDefinition.
    asked = [body["ResourceArns.member.1"] for _name, body in cloud.requests]
    assert asked == ["*", SECRET, PARAMETER]


def test_root_may_everything_and_is_not_asked_about(cloud: Cloud) -> None:
    found = cloud.access(SECRET, principals=[f"arn:aws:iam::{ACCOUNT}:root"])
    assert [one["allowed"] for one in found["may_read"]] == [True]
    assert cloud.requests == []


def test_principals_of_another_account_are_told(cloud: Cloud) -> None:
    found = cloud.access(SECRET, principals=["arn:aws:iam::210987654321:role/x"])
    assert (found["may_read"], cloud.requests) == ([], [])
    assert "belongs to account 210987654321, and IAM decides there" in found["unverified"][0]


def test_who_did(cloud: Cloud) -> None:
    cloud.events["GetSecretValue"] = [
        event("GetSecretValue", NOW - 50, {"secretId": SECRET}, "bob"),
        event("GetSecretValue", NOW - 40, {"secretId": "other"}),
        event("GetSecretValue", NOW - 30, {"secretId": "prod/openai"}),
        event("GetSecretValue", NOW - 20, {"secretId": "prod/openai"}, errorCode="AccessDenied"),
        event("GetSecretValue", NOW - 10, None),  # type: ignore[arg-type]
        {"EventTime": NOW, "CloudTrailEvent": "no JSON"},
    ]
    found = cloud.access(SECRET, trail=True, days=30)
    assert found["readers"] == [
        {
            "who": ROLE,
            "action": "secretsmanager:GetSecretValue",
            "resource": SECRET,
            "count": 2,
            "refused": 1,
            "first": "2027-01-15T07:59:10+00:00",
            "last": "2027-01-15T07:59:40+00:00",
            "sessions": ["alice", "bob"],
            "addresses": ["192.0.2.7"],
        }
    ]
    assert found["since"] == "2026-12-16T08:00:00+00:00"
    assert [body["StartTime"] for _name, body in cloud.requests] == [NOW - 30 * DAY]
    assert found["unverified"] == []


def test_all_pages_at_two_calls_a_second(cloud: Cloud) -> None:
    cloud.events["DescribeTaskDefinition"] = [
        event("DescribeTaskDefinition", NOW - 200 + number, {"taskDefinition": "api:42"}) for number in range(120)
    ]
    found = cloud.access(REVISION, SECRET, trail=True)
    assert [(one["action"], one["count"]) for one in found["readers"]] == [("ecs:DescribeTaskDefinition", 120)]
    assert len(cloud.requests) == 4
    assert cloud.slept == [BETWEEN_CALLS] * 3


def test_there_is_an_end_to_it(cloud: Cloud) -> None:
    cloud.events["GetSecretValue"] = [event("GetSecretValue", NOW - 1, {"secretId": SECRET}) for _number in range(150)]
    found = cloud.access(SECRET, trail=True, max_events=100)
    assert found["readers"][0]["count"] == 100
    assert "only the newest 100 events were read; raise max_events" in found["unverified"][0]


def test_denied_is_told_once_and_is_no_failure(cloud: Cloud) -> None:
    cloud.failing = (400, {"__type": "AccessDeniedException", "message": "not authorized"})
    found = cloud.access(SECRET, trail=True)
    assert found["readers"] == []
    assert len(found["unverified"]) == 1
    assert "cloudtrail:LookupEvents" in found["unverified"][0]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [({"days": 91}, "from 1 to 90"), ({"days": 0}, "from 1 to 90"), ({"max_events": 0}, "1 or more")],
)
def test_options_that_make_no_sense(cloud: Cloud, options: Json, complaint: str) -> None:
    with pytest.raises(KeyturnError, match=complaint):
        cloud.access(SECRET, **options)
