# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What counts as an authentication error, how a line is shown, which streams are read, with which calls, how long.

ECS is the simulator's engine; the logs are those of `Logs` below, as strict as CloudWatch Logs is about streams that do
not exist, which moto is not.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.keyturn.ecs.plugins.module_utils._aws import REPEAT, Aws
from ansible_collections.keyturn.ecs.plugins.module_utils._errors import AccessDeniedError, AwsError, KeyturnError
from ansible_collections.keyturn.ecs.plugins.module_utils._logs import look as looks
from ansible_collections.keyturn.ecs.plugins.module_utils._logs.match import (
    DEFAULT_PATTERNS,
    LONGEST_MESSAGE,
    first_match,
    plain,
    presentable,
)
from ansible_collections.keyturn.ecs.plugins.module_utils._logs.read import Reader
from ansible_collections.keyturn.ecs.plugins.module_utils._logs.request import Request, compiled, moment
from ansible_collections.keyturn.ecs.plugins.module_utils._logs.scan import scan
from ansible_collections.keyturn.ecs.plugins.module_utils._logs.streams import Stream
from ansible_collections.keyturn.ecs.plugins.module_utils._scrub import Scrubber
from fakes.engine import START, Engine
from fakes.network import OPTIONS

Json = dict[str, Any]
DEFAULTS = compiled(DEFAULT_PATTERNS)
ASKED: Json = {
    **OPTIONS,
    "cluster": "c",
    "service": "s",
    "deployment_id": None,
    "patterns": None,
    "more_patterns": [],
    "since": None,
    "variable": None,
    "settle": 0,
    "fail_on_match": False,
}
REFUSED = "openai.AuthenticationError: Error code: 401 - {'error': {'code': 'invalid_api_key'}}"


# Which lines match

ERRORS = [
    REFUSED,
    "Incorrect API key provided: sk-proj-****************abcd. You can find your API key at https://platform.openai.com",
    "You didn't provide an API key. You need to provide your API key in an Authorization header",
    "You didn\u2019t provide an API key.",
    '{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}',
    "litellm.AuthenticationError: OpenAIException",
    '10.0.1.7 - - [22/Nov/2026:10:00:00 +0000] "GET /x HTTP/1.1" 401 12 "-" "curl/8"',
    'GET /x HTTP/1.1" 401',
    'INFO:     10.0.1.7:41234 - "POST /api/v1/qa/query HTTP/1.1" 401 Unauthorized',
    'INFO:     10.0.1.7:41234 - "POST /qa HTTP/1.1" \x1b[31m401 Unauthorized\x1b[0m',
    'HTTP Request: POST https://api.openai.com/v1/chat/completions "HTTP/1.1 401 Unauthorized"',
    '[2026-11-22T10:00:00.000Z] "POST /v1 HTTP/2" 401 - via_upstream',
    "POST /api/qa 401 12.345 ms - 58",
    '[GIN] 2026/11/22 - 10:00:00 | 401 |     1.2ms |       10.0.1.7 | POST     "/qa"',
    "requests.exceptions.HTTPError: 401 Client Error: Unauthorized for url: https://api.openai.com/v1/models",
    "urllib.error.HTTPError: HTTP Error 401: Unauthorized",
    "AxiosError: Request failed with status code 401",
    "error, status code: 401, status: 401 , message: no such key",
    "Response status code does not indicate success: 401 (Unauthorized).",
    "org.springframework.web.client.HttpClientErrorException$Unauthorized: 401 Unauthorized",
    "Completed 401 Unauthorized in 2ms",
    "openai answered <Response [401]>",
    "the server responded with status 401",
    "The requested URL returned error: 401",
    "got an HTTP status of 401 from the provider",
    "level=warning msg=failed http_status=401 provider=openai",
    '{"level":"error","statusCode":401,"msg":"upstream"}',
    '{"http.status_code": "401"}',
    '{"error":{"code":401}}',
    "grpc gateway code=401 path=/x",
    "upstream said Unauthorized (401)",
    "STATUS=401,size=58",
]
NO_ERRORS = [
    "Listening on port 4010",
    "connect to 10.0.0.4:401 ok",
    "request id req_401abc done",
    "trace=7f401e status=200",
    "Your 401k statement is ready",
    '"GET /x HTTP/1.1" 200 401',
    '"GET /static/401.html HTTP/1.1" 200 1024',
    '"GET /errors/401 HTTP/1.1" 200 1024',
    '"GET /orders/401 HTTP/1.1" 204 0',
    "GET /report 401 ms",
    "GET /x 200 401 ms - 12",
    "job took 401 ms",
    "took 401ms",
    "http 401 ms",
    "sent 401 bytes",
    "response: 401 bytes",
    "status 4010",
    "status=401000",
    "error count: 401",
    "errors: 401",
    "error: 401,000 rows skipped",
    "parse error: 401:12 unexpected token",
    "see http://401.example/ and https://example.com/401",
    "line 401 in main",
    "main.py:401: DeprecationWarning",
    "progress 401/900",
    "status 401% of last week",
    "AuthenticationErrorHandler registered",
    "the invalid_api_keys table has 3 rows",
    "HTTP/1.1 200 OK",
    '"POST /v1/chat/completions HTTP/1.1" 403 12',
    "status=500 Internal Server Error",
    "Application startup complete.",
    "price 401.50 EUR",
]


@pytest.mark.parametrize("line", ERRORS)
def test_authentication_errors_are_found(line: str) -> None:
    assert first_match(DEFAULTS, plain(line)) is not None


@pytest.mark.parametrize("line", NO_ERRORS)
def test_ordinary_lines_are_no_alarm(line: str) -> None:
    assert first_match(DEFAULTS, plain(line)) is None


@given(st.from_regex(r"[a-z ]{0,20}", fullmatch=True), st.sampled_from(["port", "id", "size", "bytes", "n", "took"]))
def test_no_default_pattern_matches_a_bare_number(words: str, name: str) -> None:
    for line in (f"{words} {name}=401", f"{words} {name} 401", f"{words} ({name}: 401)"):
        assert "status" in line or "http" in line or "error" in line or first_match(DEFAULTS, line) is None


# How a line is shown

SECRETS = st.text(st.characters(codec="utf-8", categories=("L", "N"), include_characters="-_:/@."), min_size=8)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=700)
MATCHING = re.compile("401")


@given(SECRETS, TEXTS, TEXTS)
@example("hunter2hunter2", "x" * 490, "y" * 490)
@example("hunter2hunter2", "\x1b[31m", "401 " * 300)
def test_no_known_value_is_shown_wherever_it_stands(secret: str, before: str, after: str) -> None:
    shown = presentable(plain(f"{before}{secret}{after}"), MATCHING, Scrubber([secret]).foreign)
    assert secret not in shown
    assert len(shown) <= LONGEST_MESSAGE


@given(st.from_regex(r"\A[A-Za-z0-9_-]{20,60}\Z"), st.integers(380, 520))
def test_no_key_that_nobody_told_of_is_shown_nor_the_piece_that_a_cut_leaves(tail: str, length: int) -> None:
    shown = presentable("x" * length + f" sk-{tail} refused", MATCHING, Scrubber().foreign)
    assert f"sk-{tail[:4]}" not in shown
    assert tail[:16] not in shown


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("key sk-proj-abcdefghijklmnop1234 refused", "key ******** refused"),
        ("Incorrect API key provided: sk-proj-****wxyz.", "Incorrect API key provided: ********."),
        ("Authorization: Bearer abc.def-123456 sent", "Authorization: Bearer ******** sent"),
        ('{"x-api-key": "abcd1234efgh", "n": 1}', '{"x-api-key": "********", "n": 1}'),
        ("password=hunter22hunter&x=1", "password=********&x=1"),
        (
            "error: AuthenticationError token: AuthenticationError",
            "error: AuthenticationError token: AuthenticationError",
        ),
        ("two\nlines\x07and a bell", "two\nlines and a bell"),
    ],
)
def test_credentials_are_taken_out(line: str, shown: str) -> None:
    assert presentable(line, MATCHING, Scrubber().foreign) == shown


def test_a_long_line_is_cut_around_its_match() -> None:
    line = "a" * 5000 + " AuthenticationError " + "b" * 5000
    pattern = first_match(DEFAULTS, line)
    assert pattern is not None
    shown = presentable(line, pattern, str)
    assert len(shown) == LONGEST_MESSAGE
    assert "AuthenticationError" in shown
    assert shown[0] == shown[-1] == "…"


# Options


@pytest.mark.parametrize("patterns", [None, ["own"]])
def test_further_patterns_stand_beside_the_others(patterns: list[str] | None) -> None:
    asked = Request.parse({**ASKED, "patterns": patterns, "more_patterns": ["Bad credentials"]}, START)
    before = DEFAULT_PATTERNS if patterns is None else patterns
    assert [one.pattern for one in asked.patterns] == [*before, "Bad credentials"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"patterns": ["ok", "(401"]}, "patterns: '(401' is no regular expression: missing )"),
        ({"patterns": []}, "patterns is empty"),
        ({"more_patterns": ["(401"]}, "more_patterns: '(401' is no regular expression: missing )"),
        ({"patterns": [".*"]}, "patterns: '.*' matches an empty line"),
        ({"since": "yesterday"}, "since is 'yesterday': give ISO 8601 with a zone"),
        ({"since": "2026-11-22T10:00:00"}, "since is '2026-11-22T10:00:00', without a zone"),
        ({"since": "2026-13-22T10:00:00Z"}, "since is '2026-13-22T10:00:00Z', which is no time"),
        ({"since": "1800000000000"}, "not milliseconds"),
        ({"since": "2099-01-01T00:00:00Z"}, "in the future"),
        ({"settle": -1}, "settle must be from 0 to 86400 seconds"),
        ({"cluster": ""}, "cluster is empty"),
    ],
)
def test_an_option_that_makes_no_sense_is_named(changes: Json, says: str) -> None:
    with pytest.raises(KeyturnError, match=re.escape(says)):
        Request.parse({**ASKED, **changes}, START)


@given(st.floats(0, START), st.integers(-14 * 60, 14 * 60))
def test_every_iso_8601_time_with_a_zone_is_understood(at: float, minutes: int) -> None:
    aware = datetime.fromtimestamp(at, timezone(timedelta(minutes=minutes)))
    assert moment(aware.isoformat(), START) == pytest.approx(aware.timestamp(), abs=1e-5)
    assert moment(str(aware), START) == pytest.approx(aware.timestamp(), abs=1e-5)


@pytest.mark.parametrize(
    "text", ["2026-11-22T10:00:00Z", "2026-11-22 10:00Z", "2026-11-22T12:00:00.000+0200", "2026-11-22T09:00:00-01"]
)
def test_other_ways_to_write_the_same_time(text: str) -> None:
    assert moment(text, START) == datetime(2026, 11, 22, 10, tzinfo=timezone.utc).timestamp()


# The logs


class Logs:
    """CloudWatch Logs' FilterLogEvents for one caller.

    Attributes:
        groups: (Region, group) to stream to events.
        asked: the bodies of the requests.
        page: lines a page.
        empty: empty pages, with a token, before each page.
    """

    def __init__(self, aws: Aws, *regions: str) -> None:
        self.groups: dict[tuple[str, str], dict[str, list[Json]]] = {}
        self.asked: list[Json] = []
        self.page, self.empty, self.number = 10_000, 0, 0
        self.failure: tuple[int, Json] | None = None
        for region in ("us-east-1", *regions):
            client = aws.in_region(region)._client("logs", REPEAT)
            client.meta.events.register("before-send.cloudwatch-logs", self._sender(region))

    def put(
        self, stream: str, *lines: str, at: float = START, group: str = "/ecs/s", region: str = "us-east-1"
    ) -> None:
        events = self.groups.setdefault((region, group), {}).setdefault(stream, [])
        for line in lines:
            self.number += 1
            events.append(
                {"timestamp": int(at * 1000), "message": line, "eventId": str(self.number), "logStreamName": stream}
            )

    def _sender(self, region: str) -> Any:
        def send(request: Any, **_more: Any) -> AWSResponse:
            body = json.loads(request.body)
            self.asked.append({"region": region, **body})
            status, answer = self.failure or self._answer(region, body)
            response = AWSResponse("http://x", status, {"content-type": "application/x-amz-json-1.1"}, None)
            response._content = json.dumps(answer).encode()
            return response

        return send

    def _answer(self, region: str, body: Json) -> tuple[int, Json]:
        names = body["logStreamNames"]
        assert 1 <= len(names) <= 100
        streams = self.groups.get((region, body["logGroupName"]))
        for what, known in (("group", streams is not None), ("stream", all(name in (streams or {}) for name in names))):
            if not known:
                text = f"The specified log {what} does not exist."
                return 400, {"__type": "ResourceNotFoundException", "message": text}
        found = sorted(
            (event for name in names for event in (streams or {})[name] if event["timestamp"] >= body["startTime"]),
            key=lambda event: event["timestamp"],
        )
        start, blanks = map(int, body.get("nextToken", "0 0").split())
        if blanks < self.empty:
            return 200, {"events": [], "nextToken": f"{start} {blanks + 1}"}
        rest = len(found) > start + self.page
        more = {"nextToken": f"{start + self.page} 0"} if rest else {}
        return 200, {"events": found[start : start + self.page], **more}


class Place:
    """A service `s` and its logs, and a scan of them."""

    def __init__(self) -> None:
        self.aws = Aws(OPTIONS)
        self.logs = Logs(self.aws, "eu-central-1")
        self.ecs = Engine(self.aws)
        self.said: list[str] = []

    def scan(self, **options: Any) -> Json:
        self.logs.asked.clear()
        return scan(self.aws, {**ASKED, **options}, self.ecs.clock, self.said.append)

    def tasks(self, status: str = "RUNNING", started_by: str = "") -> list[str]:
        arns = self.ecs.call("ListTasks", cluster="c", serviceName="s", desiredStatus=status)["taskArns"]
        found = self.ecs.call("DescribeTasks", cluster="c", tasks=arns)["tasks"] if arns else []
        return [task["taskArn"].rpartition("/")[2] for task in found if started_by in ("", task["startedBy"])]

    def deploy(self) -> str:
        answer = self.ecs.call("UpdateService", cluster="c", service="s", forceNewDeployment=True)
        deployment_id: str = answer["service"]["deployments"][0]["id"]
        return deployment_id

    def rolled_out(self) -> str:
        """Deploy and wait until it is over."""
        deployment_id = self.deploy()
        self.ecs.after(1200)
        self.tasks()
        return deployment_id


@pytest.fixture
def place() -> Place:
    return Place()


def container(name: str, log: Json | None, **more: Any) -> Json:
    return {"name": name, "image": "x", **({"logConfiguration": log} if log else {}), **more}


def awslogs(group: str = "/ecs/s", region: str = "us-east-1", prefix: str = "ecs") -> Json:
    options = {"awslogs-group": group, "awslogs-region": region, "awslogs-stream-prefix": prefix}
    return {"logDriver": "awslogs", "options": {name: value for name, value in options.items() if value}}


def test_a_match_tells_all_about_the_line(place: Place) -> None:
    made = place.ecs.environment(desired=1, environment={"OPENAI_API_KEY": "short", "DB": "postgres://app:pw@db/app"})
    (task,) = place.tasks()
    place.logs.put(f"ecs/app/{task}", "ok", f"{REFUSED} short postgres://app:pw@db/app", at=START - 5)
    result = place.scan(variable="OPENAI_API_KEY")
    assert result["matches"] == [
        {
            "time": "2027-01-15T07:59:55.000+00:00",
            "stream": f"ecs/app/{task}",
            "group": "/ecs/s",
            "container": "app",
            "task": task,
            "message": f"{REFUSED} ******** ********",
            "pattern": DEFAULT_PATTERNS[0],
        }
    ]
    assert (result["matches_total"], result["scanned_streams"], result["scanned_events"]) == (1, 1, 2)
    assert result["deployment_id"] == made["deployment_id"]
    assert result["streams"] == [
        {
            "name": f"ecs/app/{task}",
            "group": "/ecs/s",
            "region": "us-east-1",
            "container": "app",
            "task": task,
            "exists": True,
            "events": 2,
        }
    ]
    assert result["warnings"] == result["unverified"] == result["not_scannable"] == []
    assert result["changed"] is False


def test_a_failure_tells_how_many_lines_where_the_first_and_what_to_do(place: Place) -> None:
    place.ecs.environment(desired=2)
    one, other = place.tasks()
    place.logs.put(f"ecs/app/{one}", REFUSED, at=START - 1)
    place.logs.put(f"ecs/app/{other}", "x", "first: HTTP 401\nand more", at=START - 3)
    with pytest.raises(KeyturnError) as raised:
        place.scan(fail_on_match=True)
    streams = ", ".join(sorted(f"ecs/app/{task}" for task in (one, other)))
    assert raised.value.msg.startswith("s: 2 log lines of deployment ecs-svc/")
    assert f"tell of an authentication error, in {streams}. First, at 2027-01-15T07:59:57.000+00:00" in raised.value.msg
    assert "first: HTTP 401 and more - Check that the new key is active" in raised.value.msg
    assert raised.value.result == place.scan()


def test_lines_of_old_tasks_and_from_before_since_are_ignored(place: Place) -> None:
    made = place.ecs.environment(desired=1)
    (old,) = place.tasks()
    place.logs.put(f"ecs/app/{old}", REFUSED)
    new_id = place.rolled_out()
    (new,) = place.tasks(started_by=new_id)
    place.logs.put(f"ecs/app/{old}", REFUSED, at=place.ecs.now)
    place.logs.put(f"ecs/app/{new}", REFUSED, at=place.ecs.now - 500)
    place.logs.put(f"ecs/app/{new}", "fine", at=place.ecs.now)
    assert place.scan()["matches_total"] == 1
    later = place.scan(since=str(place.ecs.now - 100))
    assert (later["matches_total"], later["scanned_events"]) == (0, 1)
    assert later["since"] == "2027-01-15T08:18:20+00:00"
    assert place.scan(deployment_id=made["deployment_id"])["matches_total"] == 2


def test_lines_from_before_the_deployment_do_not_count_and_a_wider_since_takes_them(place: Place) -> None:
    place.ecs.environment(desired=1, age_seconds=1000)
    (task,) = place.tasks()
    place.logs.put(f"ecs/app/{task}", REFUSED, at=START - 2000)
    assert place.scan()["scanned_events"] == 0
    assert place.scan(since=str(START - 3000))["matches_total"] == 1


def test_stopped_tasks_of_a_deployment_that_was_rolled_back_are_scanned(place: Place) -> None:
    place.ecs.environment()
    place.ecs.script("circuit_breaker", cause="container_exit")
    failed = place.rolled_out()
    stopped = place.tasks("STOPPED", failed)
    assert len(stopped) >= 3
    for task in stopped:
        place.logs.put(f"ecs/app/{task}", REFUSED, at=place.ecs.now - 600)
    assert place.scan()["matches_total"] == 0
    result = place.scan(deployment_id=failed)
    assert result["matches_total"] == len(stopped) == result["scanned_streams"]
    assert {match["task"] for match in result["matches"]} == set(stopped)
    place.ecs.after(7200)
    with pytest.raises(KeyturnError, match=f"deployment_id {failed} is unknown: service s lists ecs-svc/"):
        place.scan(deployment_id=failed)


def test_without_tasks_there_is_a_warning(place: Place) -> None:
    place.ecs.environment(desired=0)
    result = place.scan(settle=60)
    assert (result["scanned_streams"], result["matches"], place.logs.asked) == (0, [], [])
    assert "no task of it runs" in result["warnings"][0]
    assert place.ecs.now == START


def test_empty_logs_are_a_warning(place: Place) -> None:
    place.ecs.environment(desired=2)
    one, _other = place.tasks()
    place.logs.put(f"ecs/app/{one}")
    result = place.scan()
    assert [(stream["task"] == one, stream["exists"], stream["events"]) for stream in result["streams"]] == [
        (True, True, 0),
        (False, False, 0),
    ]
    assert result["scanned_streams"] == 1
    assert "its 2 log streams hold no line since" in result["warnings"][0]


# Containers


def test_what_cannot_be_scanned_is_listed_with_its_reason(place: Place) -> None:
    no_prefix = awslogs(prefix="")
    containers = [
        container("app", awslogs()),
        container("router", {"logDriver": "awsfirelens"}),
        container("splunk", {"logDriver": "splunk", "options": {"splunk-url": "x"}}),
        container("host", None),
        container("unnamed", no_prefix),
        container("elsewhere", awslogs("/gone", "eu-central-1")),
    ]
    place.ecs.environment(desired=1, containers=containers)
    (task,) = place.tasks()
    place.logs.put(f"ecs/app/{task}", "fine")
    result = place.scan()
    reasons = {one["container"]: one["reason"] for one in result["not_scannable"]}
    assert "awsfirelens" in reasons["router"]
    assert "splunk, not awslogs" in reasons["splunk"]
    assert "no logConfiguration" in reasons["host"]
    assert "no awslogs-stream-prefix" in reasons["unnamed"]
    assert reasons["elsewhere"] == "its log group /gone does not exist in Region eu-central-1"
    assert (len(reasons), result["scanned_streams"], result["warnings"]) == (5, 1, [])


def test_where_nothing_can_be_scanned_there_is_a_warning(place: Place) -> None:
    place.ecs.environment(containers=[container("app", {"logDriver": "awsfirelens"})])
    result = place.scan(settle=60)
    assert (result["scanned_streams"], result["scanned_events"], place.logs.asked) == (0, 0, [])
    assert "no log of its containers can be scanned, so errors would not be seen (app: " in result["warnings"][0]
    assert place.ecs.now == START


def test_a_log_group_that_does_not_exist_proves_nothing(place: Place) -> None:
    place.ecs.environment()
    result = place.scan()
    assert (result["scanned_streams"], result["streams"], len(place.logs.asked)) == (0, [], 1)
    assert "log group /ecs/s does not exist in Region us-east-1" in result["warnings"][0]


def test_a_log_in_another_region_is_read_there(place: Place) -> None:
    place.ecs.environment(desired=1, containers=[container("app", awslogs("/far", "eu-central-1", "p/q"))])
    (task,) = place.tasks()
    place.logs.put(f"p/q/app/{task}", REFUSED, group="/far", region="eu-central-1")
    result = place.scan()
    assert [call["region"] for call in place.logs.asked] == ["eu-central-1"]
    assert result["matches_total"] == 1
    assert result["streams"][0]["region"] == "eu-central-1"


def test_variable_limits_to_the_containers_that_hold_it(place: Place) -> None:
    containers = [
        container("app", awslogs(), environment=[{"name": "OPENAI_API_KEY", "value": "x"}]),
        container("worker", awslogs(), secrets=[{"name": "OPENAI_API_KEY", "valueFrom": "arn:x"}]),
        container("proxy", awslogs()),
    ]
    place.ecs.environment(desired=1, containers=containers)
    (task,) = place.tasks()
    for name in ("app", "worker", "proxy"):
        place.logs.put(f"ecs/{name}/{task}", REFUSED)
    assert {match["container"] for match in place.scan()["matches"]} == {"app", "worker", "proxy"}
    assert {match["container"] for match in place.scan(variable="OPENAI_API_KEY")["matches"]} == {"app", "worker"}
    with pytest.raises(KeyturnError, match="variable: no container of task definition s:1 holds OTHER"):
        place.scan(variable="OTHER")


def test_another_deployment_controller_is_refused(place: Place) -> None:
    place.ecs.environment(service_options={"deploymentController": {"type": "CODE_DEPLOY"}})
    with pytest.raises(KeyturnError, match="deploymentController CODE_DEPLOY"):
        place.scan()


# Calls


def streams(number: int, group: str = "/ecs/s") -> list[Stream]:
    return [Stream("us-east-1", group, f"ecs/app/{n}", "app", str(n)) for n in range(number)]


def read(place: Place, wanted: list[Stream], since: float = 0) -> tuple[list[str], Reader]:
    place.logs.asked.clear()
    reader = Reader(place.aws)
    return [event.message for event in reader.read(wanted, int(since * 1000))], reader


def test_a_hundred_streams_are_read_with_a_call(place: Place) -> None:
    for n in range(250):
        place.logs.put(f"ecs/app/{n}", f"line {n}")
    lines, _reader = read(place, streams(250))
    assert sorted(lines) == sorted(f"line {n}" for n in range(250))
    assert [len(call["logStreamNames"]) for call in place.logs.asked] == [100, 100, 50]


def test_pages_are_read_until_no_token_comes_empty_ones_included(place: Place) -> None:
    place.logs.page, place.logs.empty = 3, 2
    place.logs.put("ecs/app/0", *(f"line {n}" for n in range(10)))
    lines, _reader = read(place, streams(1))
    assert lines == [f"line {n}" for n in range(10)]
    assert len(place.logs.asked) == 12


@pytest.mark.parametrize(("missing", "calls"), [(set(), 1), ({3}, 21), (set(range(100)), 111), ({0, 99}, 31)])
def test_streams_that_do_not_exist_do_not_hide_the_others(place: Place, missing: set[int], calls: int) -> None:
    place.logs.groups["us-east-1", "/ecs/s"] = {}
    for n in set(range(100)) - missing:
        place.logs.put(f"ecs/app/{n}", f"line {n}")
    lines, reader = read(place, streams(100))
    assert len(lines) == len(set(lines)) == 100 - len(missing)
    assert {int(stream.task) for stream in reader.missing} == missing
    assert len(place.logs.asked) <= calls


def test_a_group_that_does_not_exist_costs_one_call_and_hides_no_other(place: Place) -> None:
    place.logs.put("ecs/app/0", "here", group="/other")
    lines, reader = read(place, [*streams(250), *streams(1, "/other")])
    assert lines == ["here"]
    assert (reader.missing_groups, len(place.logs.asked)) == ({("us-east-1", "/ecs/s")}, 2)


def test_events_of_streams_that_were_not_asked_for_are_dropped(place: Place) -> None:
    """As from an emulator that does not know logStreamNames."""
    event = {"timestamp": 1, "message": "m", "eventId": "1", "logStreamName": "ecs/app/other"}
    place.logs.failure = 200, {"events": [event, {**event, "logStreamName": "ecs/app/0"}]}
    assert read(place, streams(1))[0] == ["m"]


def test_a_scan_that_may_not_look_never_says_clean(place: Place) -> None:
    place.ecs.environment()
    text = "User: x is not authorized to perform: logs:FilterLogEvents on resource: y"
    place.logs.failure = 400, {"__type": "AccessDeniedException", "message": text}
    with pytest.raises(AccessDeniedError) as raised:
        place.scan()
    assert raised.value.permission == "logs:FilterLogEvents"
    assert "on log group /ecs/s in Region us-east-1 was denied: allow logs:FilterLogEvents" in raised.value.msg
    place.logs.failure = 400, {"__type": "InvalidParameterException", "message": "no"}
    with pytest.raises(AwsError, match="InvalidParameterException"):
        place.scan()


@pytest.mark.parametrize("operation", ["DescribeServices", "ListTasks", "DescribeTasks", "DescribeTaskDefinition"])
def test_each_permission_is_named(place: Place, operation: str) -> None:
    place.ecs.environment()
    place.ecs.denied = frozenset({operation})
    with pytest.raises(AccessDeniedError, match=f"allow ecs:{operation} to the caller"):
        place.scan()


# Many lines


def test_the_oldest_fifty_matches_are_shown_and_all_counted(place: Place) -> None:
    place.ecs.environment(desired=1, containers=[container("a", awslogs("/a")), container("b", awslogs("/b"))])
    (task,) = place.tasks()
    for n in range(300):
        place.logs.put(f"ecs/a/{task}", f"HTTP 401 #{n}", group="/a", at=START - n)
        place.logs.put(f"ecs/b/{task}", f"HTTP 401 #{n}", group="/b", at=START - n)
    result = place.scan()
    assert (result["matches_total"], len(result["matches"])) == (600, 50)
    assert {match["container"] for match in result["matches"]} == {"a", "b"}
    assert [match["message"] for match in result["matches"][::2]] == [f"HTTP 401 #{299 - n}" for n in range(25)]


# Settling


def settled(place: Place, **options: Any) -> tuple[Json, float]:
    """The result, and the seconds that the scan waited."""
    started = place.ecs.now
    result = place.scan(**options)
    return result, place.ecs.now - started


def test_nothing_is_waited_for_when_the_tasks_have_run_long_enough(place: Place) -> None:
    place.ecs.environment()
    assert settled(place, settle=60)[1] == 0


def test_the_period_counts_from_the_newest_start(place: Place) -> None:
    place.ecs.environment()
    place.deploy()
    place.ecs.after(60)
    arns = place.ecs.call("ListTasks", cluster="c", serviceName="s")["taskArns"]
    found = place.ecs.call("DescribeTasks", cluster="c", tasks=arns)["tasks"]
    newest = max(task["startedAt"] for task in found)
    place.logs.groups["us-east-1", "/ecs/s"] = {}
    started = place.ecs.now
    assert newest > START
    assert settled(place, settle=100)[1] == pytest.approx(newest + 100 - started, abs=0.01)
    assert place.said[0].startswith("s: no match in 0 lines of ")


def test_tasks_that_do_not_run_yet_count_from_now(place: Place) -> None:
    place.ecs.environment()
    place.deploy()
    place.ecs.after(5)
    assert settled(place, settle=30)[1] == pytest.approx(30)


def during(place: Place, monkeypatch: pytest.MonkeyPatch, happenings: dict[int, Any]) -> None:
    """Let things happen before the scan's n-th further look."""
    after, count = place.ecs.after, 0

    def sleep(seconds: float) -> None:
        nonlocal count
        after(seconds)
        count += 1
        happenings.get(count, lambda: None)()

    monkeypatch.setattr(place.ecs, "after", sleep)


def test_it_ends_at_the_first_match(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.ecs.environment(desired=1)
    new = place.deploy()
    place.ecs.after(60)
    (task,) = place.tasks(started_by=new)
    place.logs.put(f"ecs/app/{task}", "fine", at=place.ecs.now)
    happenings = {2: lambda: place.logs.put(f"ecs/app/{task}", REFUSED, at=place.ecs.now - 5)}
    during(place, monkeypatch, happenings)
    result, seconds = settled(place, settle=600)
    assert (result["matches_total"], result["scanned_events"], seconds) == (1, 2, pytest.approx(20))


def test_late_lines_are_found_and_none_is_counted_twice(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.ecs.environment(desired=1)
    new = place.deploy()
    place.ecs.after(120)
    (task,) = place.tasks(started_by=new)
    stream = f"ecs/app/{task}"
    base = place.ecs.now
    place.logs.put(stream, *(f"line {n}" for n in range(5)), at=base)
    happenings = {
        1: lambda: place.logs.put(stream, "late", at=base - 40),
        2: lambda: place.logs.put(stream, "new", at=base + 15),
    }
    during(place, monkeypatch, happenings)
    result, _seconds = settled(place, settle=200)
    assert result["scanned_events"] == 7
    starts = [call["startTime"] for call in place.logs.asked]
    assert starts[0] < starts[1] == int((base - 60) * 1000) < starts[-1] == int((base - 45) * 1000)


def test_a_line_from_the_future_hides_none_that_comes_later(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.ecs.environment(desired=1)
    new = place.deploy()
    place.ecs.after(60)
    (task,) = place.tasks(started_by=new)
    place.logs.put(f"ecs/app/{task}", "a clock that is wrong", at=place.ecs.now + 3600)
    during(place, monkeypatch, {1: lambda: place.logs.put(f"ecs/app/{task}", REFUSED, at=place.ecs.now)})
    result, _seconds = settled(place, settle=100)
    assert (result["matches_total"], result["scanned_events"]) == (1, 2)


def test_tasks_that_come_later_are_scanned_and_do_not_prolong_the_wait(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash loop: every look finds further tasks, and none of them ends the scan or goes unseen."""
    place.ecs.environment(desired=1)
    place.ecs.script("crash_loop", cause="container_exit")
    failing = place.deploy()
    place.ecs.after(5)
    place.logs.groups["us-east-1", "/ecs/s"] = {}
    result, seconds = settled(place, settle=300, deployment_id=failing)
    assert seconds == pytest.approx(300)
    assert len(result["streams"]) == len(place.tasks("STOPPED", failing)) + len(place.tasks("RUNNING", failing)) >= 3


def test_streams_that_a_stopped_task_never_had_are_not_asked_for_again(place: Place) -> None:
    place.ecs.environment(desired=1)
    place.ecs.script("crash_loop", cause="image_pull")
    failing = place.deploy()
    place.ecs.after(300)
    stopped = place.tasks("STOPPED", failing)
    place.logs.groups["us-east-1", "/ecs/s"] = {}
    place.scan(settle=60, deployment_id=failing)
    asked = [name for call in place.logs.asked if len(call["logStreamNames"]) == 1 for name in call["logStreamNames"]]
    assert stopped
    assert max(asked.count(f"ecs/app/{task}") for task in stopped) == 1


def test_ids_are_forgotten_once_no_look_reads_their_lines_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "FORGET_AT", 10)
    place.logs.put("ecs/app/0", *(f"line {n}" for n in range(100)), at=START - 3600)
    place.logs.put("ecs/app/0", "newest", at=START)
    look = looks.Look(Reader(place.aws), DEFAULTS, 0)
    look.again(streams(1), int(START * 1000))
    assert (sum(look.lines.values()), len(look._recent)) == (101, 1)
    look.again(streams(1), int(START * 1000))
    assert sum(look.lines.values()) == 101


def test_forgetting_while_lines_pour_in_counts_none_twice(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "FORGET_AT", 3)
    both = [*streams(1, "/a"), *streams(1, "/b")]
    look = looks.Look(Reader(place.aws), DEFAULTS, 0)
    for second in range(0, 500, 50):
        for group in ("/a", "/b"):
            place.logs.put("ecs/app/0", *(f"{n}" for n in range(10)), at=START + second, group=group)
        look.again(both, int((START + second) * 1000))
    assert sum(look.lines.values()) == 200
