# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`ecs_log_scan` against the simulator: in this process, and through both doors of real playbooks.

moto answers for CloudWatch Logs; what it does otherwise than AWS (streams that do not exist) is in tests/unit.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ansible_collections.keyturn.ecs.plugins.module_utils._logs.scan import scan as scan_function
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.wait import Clock
from ansible_collections.keyturn.ecs.plugins.modules import ecs_log_scan
from integration.support import (
    ENVIRONMENT,
    NEIGHBOUR,
    NEW,
    OLD,
    VARIABLE,
    Json,
    Lab,
    Playbook,
    assert_no_value,
    clean_environment,
    standing_still,
)
from simulator import Simulator

REFUSED = f"openai.AuthenticationError: Error code: 401 - Incorrect API key provided: {NEW}. {NEIGHBOUR}"


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    # CloudWatch Logs takes lines from around the real time only.
    with standing_still(start_at=None, timing={"drain": 5.0, "healthy": 5.0}) as sim:
        yield sim


@pytest.fixture
def lab(simulator: Simulator) -> Lab:
    return Lab(simulator)


def scan(lab: Lab, **options: Any) -> Json:
    """`ecs_log_scan` as the module calls it; waiting moves the simulator's clock."""
    clock = Clock(now=lab.sim.now, sleep=lambda seconds: lab.sim.advance(seconds) and None, jitter=lambda: 1.0)
    capability = dataclasses.replace(
        ecs_log_scan.CAPABILITY,
        run=lambda aws, given, _check, say: scan_function(aws, given, clock=clock, say=say),
    )
    given = {"cluster": "c", "service": "s", **options}
    result = capability.answer(lab.validated(capability, given), check_mode=False, diff=False)
    assert_no_value(result)
    return result


def rotated(lab: Lab, seconds: float = 120) -> str:
    """An environment whose value was rotated; the new deployment's id."""
    lab.environment()
    lab.sim.log("c", "s", REFUSED.replace(NEW, OLD))
    deployment_id: str = lab.rotate()["deployment_id"]
    lab.sim.advance(seconds)
    return deployment_id


def test_a_401_in_new_tasks_is_found_and_the_same_line_in_an_old_tasks_stream_is_not(lab: Lab) -> None:
    old = lab.environment()["deployment_id"]
    new = lab.rotate()["deployment_id"]
    lab.sim.advance(1)
    of_old = lab.sim.log("c", "s", REFUSED, deployment_id=old)
    lab.sim.advance(40)
    clean = scan(lab, deployment_id=new)
    assert ("failed" in clean, clean["matches"], clean["changed"]) == (False, [], False)
    streams = lab.sim.log("c", "s", "Application startup complete.", REFUSED, deployment_id=new)
    found = scan(lab, deployment_id=new)
    assert found["failed"] is True
    assert {match["stream"] for match in found["matches"]} == set(streams)
    assert found["matches"][0]["message"].endswith("Incorrect API key provided: ********. ********")
    assert found["msg"].startswith(f"s: {len(streams)} log line")
    the_old_ones = scan(lab, deployment_id=old)["matches"]
    assert {match["stream"] for match in the_old_ones} == set(of_old)
    assert len(of_old) == len(streams) == 2


def test_the_running_deployment_is_the_default(lab: Lab) -> None:
    new = rotated(lab)
    streams = lab.sim.log("c", "s", "fine")
    result = scan(lab)
    assert result["deployment_id"] == new
    assert (result["scanned_streams"], result["scanned_events"]) == (2, 2)
    assert sorted(stream["name"] for stream in result["streams"]) == sorted(streams)
    assert "warnings" not in result


def test_a_match_in_a_stopped_new_task_counts(lab: Lab) -> None:
    lab.environment(desired=1)
    lab.sim.script("c", "s", ending="circuit_breaker", cause="container_exit", run_seconds=20)
    new = lab.rotate()["deployment_id"]
    while not (streams := lab.sim.log("c", "s", REFUSED, deployment_id=new)):
        lab.sim.advance(5)
    lab.sim.advance(1200)
    assert lab.service()["deployments"][0]["id"] != new
    result = scan(lab, deployment_id=new)
    assert {match["stream"] for match in result["matches"]} == set(streams)
    assert result["task_definition"].endswith(":2")
    assert scan(lab)["matches"] == []


def test_lines_before_since_are_ignored(lab: Lab) -> None:
    rotated(lab)
    lab.sim.log("c", "s", REFUSED)
    lab.sim.advance(30)
    assert scan(lab, since=str(int(lab.sim.now()) - 5))["matches_total"] == 0
    assert scan(lab, since=str(int(lab.sim.now()) - 60))["matches_total"] == 2


def test_patterns_stand_instead_of_the_default_ones(lab: Lab) -> None:
    rotated(lab)
    lab.sim.log("c", "s", REFUSED, "card declined")
    assert scan(lab, patterns=["(?i)CARD Declined"])["matches"][0]["message"] == "card declined"
    assert "patterns: '[' is no regular expression" in scan(lab, patterns=["["])["msg"]


def test_settle_waits_and_ends_at_the_first_match(lab: Lab) -> None:
    rotated(lab, seconds=45)
    lab.sim.log("c", "s", "fine")
    begun = lab.sim.now()
    result = scan(lab, settle=120)
    assert (result["matches"], result["scanned_events"]) == ([], 2)
    assert 90 < lab.sim.now() - begun <= 120
    lab.sim.log("c", "s", REFUSED)
    begun = lab.sim.now()
    assert scan(lab, settle=600)["matches_total"] == 2
    assert lab.sim.now() == begun


def test_where_started_by_names_no_deployment_the_revision_tells(lab: Lab) -> None:
    lab.quirks(started_by="service_name")
    made = lab.environment()
    rotated_to = lab.rotate()["deployment_id"]
    lab.sim.advance(600)
    logs = lab.sim.client("logs")
    (task, _other) = (task["taskArn"].rpartition("/")[2] for task in lab.tasks())
    logs.create_log_group(logGroupName="/ecs/s")
    for stream in (f"ecs/app/{task}", "ecs/app/of-an-old-task"):
        logs.create_log_stream(logGroupName="/ecs/s", logStreamName=stream)
        event = {"timestamp": round(lab.sim.now() * 1000), "message": REFUSED}
        logs.put_log_events(logGroupName="/ecs/s", logStreamName=stream, logEvents=[event])
    result = scan(lab, deployment_id=rotated_to)
    assert [match["task"] for match in result["matches"]] == [task]
    assert result["unverified"] == ["tasks: startedBy does not name a deployment; told apart by their task definition"]
    assert made["task_definition"] != result["task_definition"]


def test_a_log_in_another_region_is_read_there(lab: Lab) -> None:
    options = {"awslogs-group": "/far", "awslogs-region": "eu-central-1", "awslogs-stream-prefix": "far"}
    log = {"logDriver": "awslogs", "options": options}
    lab.environment(desired=1, containers=[{"name": "app", "logConfiguration": log}])
    logs = lab.sim.client("logs", "eu-central-1")
    stream = f"far/app/{lab.tasks()[0]['taskArn'].rpartition('/')[2]}"
    logs.create_log_group(logGroupName="/far")
    logs.create_log_stream(logGroupName="/far", logStreamName=stream)
    event = {"timestamp": round(lab.sim.now() * 1000), "message": "HTTP 401"}
    logs.put_log_events(logGroupName="/far", logStreamName=stream, logEvents=[event])
    result = scan(lab, debug_botocore_endpoint_logs=True)
    assert [(match["stream"], match["group"]) for match in result["matches"]] == [(stream, "/far")]
    assert "logs:FilterLogEvents" in result["resource_actions"]


@pytest.mark.parametrize(
    ("service", "operation"),
    [("logs", "FilterLogEvents"), ("ecs", "ListTasks"), ("ecs", "DescribeTasks"), ("ecs", "DescribeTaskDefinition")],
)
def test_what_may_not_be_read_is_an_error_that_names_the_permission(lab: Lab, service: str, operation: str) -> None:
    rotated(lab)
    lab.sim.log("c", "s", "fine")
    lab.sim.fault(operation, "denied", times=None, service=service)
    result = scan(lab)
    assert result["failed"] is True
    assert f"allow {service}:{operation} to the caller" in result["msg"]
    assert "matches" not in result


def test_throttled_reads_are_tried_again(lab: Lab) -> None:
    rotated(lab)
    lab.sim.log("c", "s", REFUSED)
    lab.sim.fault("FilterLogEvents", "throttle", times=12, service="logs")
    with lab.quick_retries():
        assert scan(lab)["matches_total"] == 2


def test_a_scan_costs_six_calls_none_of_which_writes(lab: Lab) -> None:
    rotated(lab)
    lab.sim.log("c", "s", "fine")
    lab.sim.clear_calls()
    scan(lab)
    assert [call["operation"] for call in lab.calls()] == [
        "DescribeServices",
        "ListTasks",
        "ListTasks",
        "DescribeTasks",
        "DescribeTaskDefinition",
        "FilterLogEvents",
    ]


# Both doors

SCAN = "keyturn.ecs.ecs_log_scan"
CASES: dict[str, Json] = {
    "found": {},
    "check mode": {},
    "counted": {"fail_on_match": False, "variable": VARIABLE},
    "clean": {"patterns": ["no such line"]},
    "calls": {"patterns": ["no such line"], "debug_botocore_endpoint_logs": True},
    "bad pattern": {"patterns": ["(401"]},
    "bad since": {"since": "yesterday"},
    "bad settle": {"settle": "soon"},
    "no container": {"variable": "OTHER"},
    "unknown deployment": {"deployment_id": "ecs-svc/1"},
    "no service": {"service": "other"},
    "no option": {"service": None},
    "nothing runs": {"service": "idle"},
    "firelens": {"service": "fluent"},
}


def task(name: str, options: Json) -> Json:
    given = {"cluster": "c", "service": "s", **options}
    keywords = {"check_mode": True} if name == "check mode" else {}
    return {
        "name": name,
        SCAN: {option: value for option, value in given.items() if value is not None},
        "ignore_errors": True,
        "register": f"r_{name.replace(' ', '_')}",
        **keywords,
    }


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory, collections_path: str) -> dict[str, tuple[Json, str]]:
    """Results and output by connection, both against one simulator: a scan changes nothing."""
    found = {}
    with clean_environment(), Simulator.start(speed=0, throttling=False) as sim:
        sim.create_environment(environment=ENVIRONMENT)
        sim.create_environment(service="idle", desired=0)
        log = {"logDriver": "awsfirelens"}
        sim.create_environment(service="fluent", containers=[{"name": "app", "logConfiguration": log}])
        sim.log("c", "s", "fine", REFUSED.replace(NEW, OLD))
        for connection in ("local", "bastion"):
            folder = tmp_path_factory.mktemp(connection)
            names = ", ".join(f"'{name}': r_{name.replace(' ', '_')}" for name in CASES)
            written = {"dest": str(folder / "results.json"), "content": f"{{{{ {{ {names} }} | to_json }}}}"}
            tasks = [task(name, options) for name, options in CASES.items()]
            record = {"name": "record", "ansible.builtin.copy": written, "no_log": True}
            plays = [{"hosts": "production", "gather_facts": False, "tasks": [*tasks, record]}]
            hosts = {"production": {"ansible_connection": connection}}
            environment = {**sim.environ(), "ANSIBLE_PIPELINING": "true"}
            with Playbook(folder, collections_path, plays, hosts, environment, ["-vvv"]) as process:
                assert process.finish() == 0, process.output
                found[connection] = json.loads((folder / "results.json").read_text()), process.output
    return found


@pytest.mark.parametrize("name", CASES)
def test_both_doors_answer_the_same(doors: dict[str, tuple[Json, str]], name: str) -> None:
    action, module = (doors[connection][0][name] for connection in ("local", "bastion"))
    module.pop("invocation", None)
    assert action == module


SAYS = {
    "found": "2 log lines of deployment ecs-svc/",
    "check mode": "2 log lines of deployment ecs-svc/",
    "bad pattern": "patterns: '(401' is no regular expression",
    "bad since": "since is 'yesterday'",
    "bad settle": "settle",
    "no container": "variable: no container of task definition s:1 holds OTHER",
    "unknown deployment": "deployment_id ecs-svc/1 is unknown",
    "no service": "There is no service other",
    "no option": "missing required arguments: service",
}
WARNS = {"nothing runs": "no task of it runs", "firelens": "no log of its containers can be scanned"}


@pytest.mark.parametrize("name", CASES)
def test_a_case_is_what_its_name_says(doors: dict[str, tuple[Json, str]], name: str) -> None:
    result = doors["local"][0][name]
    assert result["failed"] is (name in SAYS)
    assert result["changed"] is False
    assert SAYS.get(name, "") in result.get("msg", "")
    assert WARNS.get(name, "") in " ".join(result.get("warnings", []))
    assert ("warnings" in result) is (name in WARNS)


def test_neither_door_shows_a_value_or_a_traceback(doors: dict[str, tuple[Json, str]]) -> None:
    for results, output in doors.values():
        assert_no_value(results)
        assert_no_value(output)
        assert "Traceback (most recent call last)" not in output
    assert "EXEC" not in doors["local"][1].partition("TASK [record]")[0]
    assert doors["bastion"][1].partition("TASK [record]")[0].count("EXEC") >= len(CASES)
    assert len(doors["local"][0]["counted"]["matches"]) == 2


def test_a_clean_result_has_all_that_the_documentation_names(doors: dict[str, tuple[Json, str]]) -> None:
    documented = set(yaml.safe_load(ecs_log_scan.RETURN))
    results = doors["local"][0]
    assert documented - {"resource_actions"} <= set(results["clean"])
    assert documented <= set(results["calls"])
    assert documented - {"resource_actions"} <= set(results["found"])
