# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The playbook keyturn.ecs.rotate, run for real: what it changes, says and writes down."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.keyturn.ecs.plugins.module_utils import _fingerprint
from integration.role_runs import ENVIRONMENTS, NEIGHBOUR, NEW_VALUE, OLD_VALUE, Play, Run, make_environment
from simulator import Simulator

STAGING: dict[str, dict[str, Any]] = {"staging": {}}


def assert_no_value(*texts: str) -> None:
    for value in (OLD_VALUE, NEW_VALUE, NEIGHBOUR):
        for form in (value, base64.b64encode(value.encode()).decode()):
            assert not any(form in text for text in texts)


def running_values(aws: Simulator, name: str, service: str = "api") -> list[str]:
    """The key in the revision that a service runs."""
    account, variables = ENVIRONMENTS[name]
    ecs = aws.client("ecs", variables["rotate_region"], account)
    found = ecs.describe_services(cluster=f"{name}-cluster", services=[f"{name}-{service}"])["services"][0]
    definition = ecs.describe_task_definition(taskDefinition=found["taskDefinition"], include=["TAGS"])
    containers = definition["taskDefinition"]["containerDefinitions"]
    return [one["value"] for box in containers for one in box["environment"] if one["name"] == "OPENAI_API_KEY"]


def writes(aws: Simulator) -> list[str]:
    """Calls that changed something, in order."""
    return [call["operation"] for call in aws.calls("ecs") if call["operation"].startswith(("Register", "Update"))]


def test_first_run_rotates_and_second_changes_nothing(
    aws: Simulator, environments: dict[str, Any], play: Play, tmp_path: Path
) -> None:
    notes = {
        "rotate_report_path": "report.json",
        "rotate_record_path": "record.jsonl",
        "rotate_reason": "Alice left; see #7",
        "rotate_key_id": "key_abc",
    }
    first = play("-vvv", "--diff", **notes)
    assert first.rc == 0, first.text
    assert "DEPRECATION" not in first.text
    report_file, record_file = tmp_path / "report.json", tmp_path / "record.jsonl"
    for name in ENVIRONMENTS:
        assert first.changed(name) == 1
        assert running_values(aws, name) == [NEW_VALUE]
        service, status, revision, fingerprint, healthy, *_rest = first.table[name]
        assert (service, status, revision, healthy) == (f"{name}-api", "rotated", "1 -> 2", "1/1")
        assert fingerprint.count("sha256:") == 2
    assert sorted(set(writes(aws))) == ["RegisterTaskDefinition", "UpdateService"]

    report = json.loads(report_file.read_text())
    assert report["succeeded"] is True
    assert report_file.stat().st_mode & 0o777 == 0o600
    assert {row["environment"]: row["status"] for row in report["environments"]} == dict.fromkeys(
        ENVIRONMENTS, "rotated"
    )
    record = [json.loads(line) for line in record_file.read_text().splitlines()]
    assert {line["environment"] for line in record} == set(ENVIRONMENTS)
    assert {(line["reason"], line["key_id"], line["status"]) for line in record} == {
        ("Alice left; see #7", "key_abc", "rotated")
    }
    assert_no_value(first.text, report_file.read_text(), record_file.read_text())

    aws.clear_calls()
    second = play(**notes)
    assert second.rc == 0, second.text
    assert [second.changed(name) for name in ENVIRONMENTS] == [0, 0, 0]
    assert [second.table[name][1] for name in ENVIRONMENTS] == ["unchanged"] * 3
    assert writes(aws) == []
    assert len(record_file.read_text().splitlines()) == 3
    # The reason went to a tag, in the characters that AWS allows.
    tags = aws.client("ecs").describe_task_definition(taskDefinition="staging-api", include=["TAGS"])["tags"]
    noted = {tag["key"]: tag["value"] for tag in tags}
    assert datetime.fromisoformat(noted.pop("keyturn:rotated-at").replace("Z", "+00:00")).tzinfo is not None
    assert noted == {
        "keyturn:fingerprint": _fingerprint.fingerprint("OPENAI_API_KEY", NEW_VALUE),
        "keyturn:reason": "Alice left_ see _7",
        "keyturn:key-id": "key_abc",
        **({"keyturn:by": record[0]["who"]} if record[0]["who"] else {}),
    }


def test_a_warning_is_seen_though_the_result_is_not(aws: Simulator, environments: dict[str, Any], play: Play) -> None:
    """ansible-core before 2.19 takes away the warnings of a task with no_log."""
    ecs = aws.client("ecs")
    running = ecs.describe_task_definition(taskDefinition="staging-api")["taskDefinition"]
    ecs.register_task_definition(family="staging-api", containerDefinitions=running["containerDefinitions"])
    run = play("--check", hosts=STAGING)
    assert run.rc == 0, run.text
    assert "base_revision=latest" in run.flat
    assert_no_value(run.text)


def test_check_mode_foretells_the_same_actions(aws: Simulator, environments: dict[str, Any], play: Play) -> None:
    def actions(run: Run) -> str:
        return next(line.strip() for line in run.text.splitlines() if "staging staging-api: " in line)

    foretold = play("--check", "--diff", hosts=STAGING, rotate_record_path="record.jsonl")
    assert foretold.rc == 0, foretold.text
    assert writes(aws) == []
    assert foretold.table["staging"][1] == "would rotate"
    assert foretold.changed("staging") == 1
    real = play("--diff", hosts=STAGING)
    assert real.rc == 0, real.text
    assert actions(foretold) == actions(real)
    assert real.table["staging"][3] == foretold.table["staging"][3]  # fingerprints
    assert play("--check", hosts=STAGING).changed("staging") == 0
    assert_no_value(foretold.text, real.text)


def test_several_services_are_updated_and_waited_for_together(
    aws: Simulator, environments: dict[str, Any], play: Play
) -> None:
    make_environment(aws, "staging", "worker")
    services = [{"service": "staging-api"}, {"service": "staging-worker", "containers": ["app"]}]
    run = play(hosts={"staging": {"rotate_services": services}})
    assert run.rc == 0, run.text
    assert running_values(aws, "staging") == running_values(aws, "staging", "worker") == [NEW_VALUE]
    assert [line for line in run.text.splitlines() if '"staging ' in line and "rotated" in line and "1/1" in line]
    assert "staging-worker" in run.text


def test_failed_rollout_says_why_and_how_to_go_on(aws: Simulator, environments: dict[str, Any], play: Play) -> None:
    aws.script("staging-cluster", "staging-api", "circuit_breaker", cause="container_exit", run_seconds=1.0)
    run = play(hosts={"staging": {}, "production": {}}, rotate_report_path="report.json")
    assert run.rc == 2
    # The second is what is known without ECS's record.
    texts = ("ECS rolled it back to staging-api:1", "ECS rolled it back: staging-api:1 is PRIMARY again")
    assert any(f"rolled_back: {text}" in run.flat for text in texts)
    assert "run the same command again with --limit staging" in run.flat
    assert run.table["staging"][1:3] == ["rolled back", "1 -> 2"]
    assert run.table["production"][1] == "rotated"  # the same wave: it is finished
    assert_no_value(run.text)
    aws.script("staging-cluster", "staging-api", "completes")
    again = play("--limit", "staging", hosts={"staging": {}, "production": {}})
    assert again.rc == 0, again.text
    assert again.table["staging"][1:3] == ["rotated", "1 -> 2"]  # the revision that was there
    assert "production" not in again.recap


def test_run_stopped_between_register_and_update_is_taken_up(
    aws: Simulator, environments: dict[str, Any], play: Play, tmp_path: Path
) -> None:
    aws.fault("UpdateService", code="AccessDeniedException", message="no", status=400)
    stopped = play(hosts=STAGING)
    assert stopped.rc == 2
    assert "staging-api:2 is registered and not deployed" in stopped.flat
    assert "This run changed staging. To go on:" in stopped.flat
    resumed = play(hosts=STAGING, rotate_report_path="report.json")
    assert resumed.rc == 0, resumed.text
    (row,) = json.loads((tmp_path / "report.json").read_text())["environments"]
    assert (row["resumed"], row["actions"]) == (True, ["update_service"])
    assert writes(aws).count("RegisterTaskDefinition") == 1


@pytest.fixture
def deployment_vars(tmp_path: Path) -> Path:
    """A file as the guide's scripts write it, passwords and byte order mark included."""
    file = tmp_path / "aws-deployment-vars.json"
    content = {"PROJECT_NAME": "staging", "REGION": "us-east-1", "DB_PASSWORD": NEIGHBOUR}
    file.write_text(json.dumps(content), encoding="utf-8-sig")
    return file


def test_project_name_and_region_from_the_deployment_variables(
    aws: Simulator, environments: dict[str, Any], play: Play, deployment_vars: Path
) -> None:
    host = {"rotate_deployment_vars": deployment_vars.name, "rotate_project_name": "", "rotate_region": ""}
    run = play("-vvv", hosts={"staging": host})
    assert run.rc == 0, run.text
    assert running_values(aws, "staging") == [NEW_VALUE]
    assert_no_value(run.text)
    # An explicit name wins over the file, and over the project's name.
    other = play(hosts={"staging": {**host, "rotate_cluster": "elsewhere"}})
    assert other.rc == 2
    assert "elsewhere" in other.flat


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "does not exist on the controller"),
        (
            json.dumps({"PROJECT_NAME": "staging", "DB_PASSWORD": NEIGHBOUR}),
            "with names under the keys PROJECT_NAME and REGION",
        ),
        (json.dumps({"DB_PASSWORD": NEIGHBOUR})[:-1], "is not a JSON object"),
    ],
    ids=["no file", "no REGION", "no JSON"],
)
def test_unusable_deployment_variables_are_refused_without_being_shown(
    aws: Simulator, play: Play, deployment_vars: Path, content: str | None, complaint: str
) -> None:
    if content is None:
        deployment_vars.unlink()
    else:
        deployment_vars.write_text(content)
    run = play("-vvv", hosts={"staging": {"rotate_deployment_vars": str(deployment_vars)}})
    assert run.rc == 2
    assert complaint in run.flat
    assert_no_value(run.text)
