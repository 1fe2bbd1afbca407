# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How the role goes back when it cannot prove a rotation, and the playbooks rollback and verify."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.role_runs import NEW_VALUE, OLD_VALUE, UNANSWERED, Play, make_environment
from integration.support import FOLDER, Playbook
from integration.test_role_proof import NEW, OLD, STAGING, Application, smoke
from integration.test_role_rotation import assert_no_value, running_values, writes
from simulator import Simulator


@pytest.fixture
def application() -> Iterator[Application]:
    served = Application()
    yield served
    served.stop()


# Several services


TOGETHER = ("api", "worker", "scheduler")
ALL_THREE = {"staging": {"rotate_services": [{"service": f"staging-{name}"} for name in TOGETHER]}}


def test_several_services_go_back_together(aws: Simulator, environments: dict[str, Any], play: Play) -> None:
    for name in TOGETHER[1:]:
        make_environment(aws, "staging", name)
    aws.script("staging-cluster", "staging-worker", "crash_loop", cause="container_exit", run_seconds=1.0)
    run = play(hosts=ALL_THREE)
    assert run.rc == 2
    for name in TOGETHER:
        assert running_values(aws, "staging", name) == [OLD_VALUE]
        assert f"Rolled back: staging-{name} runs staging-{name}:1" in run.flat
    # Each was deployed, and each went back.
    assert [call["operation"] for call in aws.calls(operation="UpdateService")] == ["UpdateService"] * 6


def test_one_service_that_is_refused_keeps_the_others_from_being_touched(
    aws: Simulator, environments: dict[str, Any], play: Play
) -> None:
    make_environment(aws, "staging", "worker")
    aws.create_environment(cluster="staging-cluster", service="staging-scheduler", environment={"LOG_LEVEL": "INFO"})
    run = play(hosts=ALL_THREE)
    assert run.rc == 2
    assert "staging-scheduler" in run.flat
    assert running_values(aws, "staging") == running_values(aws, "staging", "worker") == [OLD_VALUE]
    assert not [call for call in aws.calls() if call["operation"] in ("RegisterTaskDefinition", "UpdateService")]


def test_one_service_that_cannot_be_updated_takes_the_other_back(
    aws: Simulator, environments: dict[str, Any], play: Play
) -> None:
    make_environment(aws, "staging", "worker")
    aws.fault("UpdateService", "denied", after=1)
    services = [{"service": "staging-api"}, {"service": "staging-worker"}]
    run = play(hosts={"staging": {"rotate_services": services}})
    assert run.rc == 2
    assert running_values(aws, "staging") == running_values(aws, "staging", "worker") == [OLD_VALUE]


def test_somebody_who_deployed_in_between_is_not_overrun(
    aws: Simulator, environments: dict[str, Any], play: Play
) -> None:
    aws.script("staging-cluster", "staging-api", "superseded", after=5)
    definition = aws.client("ecs").describe_task_definition(taskDefinition="staging-api:1")["taskDefinition"]
    aws.client("ecs").register_task_definition(
        family="staging-api", containerDefinitions=definition["containerDefinitions"], cpu="512", memory="1024"
    )
    aws.script("staging-cluster", "staging-api", "superseded", after=5, task_definition="staging-api:2")
    run = play(hosts=STAGING)
    assert run.rc == 2
    assert "superseded" in run.flat
    assert "somebody deployed in between" in run.flat
    assert run.table["staging"][1] == "superseded"


# Rollback and verify, by hand


def test_rollback_by_the_record(aws: Simulator, environments: dict[str, Any], play: Play, tmp_path: Path) -> None:
    notes = {"rotate_record_path": "record.jsonl", "rotate_reason": "test"}
    assert play(**notes).rc == 0
    foretold = play("--check", "--diff", playbook="keyturn.ecs.rollback", value=None, **notes)
    assert foretold.rc == 0, foretold.text
    assert foretold.table["staging"][1:3] == ["would roll back", "2 -> 1"]
    run = play(playbook="keyturn.ecs.rollback", value=None, **notes)
    assert run.rc == 0, run.text
    for name in ("staging", "production", "eu-production"):
        assert running_values(aws, name) == [OLD_VALUE]
        assert run.table[name][1:4] == ["rolled back", "2 -> 1", f"{NEW} -> {OLD}"]
        assert run.changed(name) == 1
    again = play(playbook="keyturn.ecs.rollback", value=None, **{**UNANSWERED, **notes})
    assert again.rc == 0, again.text
    assert [again.changed(name) for name in ("staging", "production", "eu-production")] == [0, 0, 0]
    assert again.table["staging"][1] == "unchanged"
    record = [json.loads(line) for line in (tmp_path / "record.jsonl").read_text().splitlines()]
    assert [line["action"] for line in record] == ["rotate"] * 3 + ["rollback"] * 3
    assert_no_value(run.text, (tmp_path / "record.jsonl").read_text())


def test_rollback_brings_a_secret_back_too(aws: Simulator, environments: dict[str, Any], play: Play) -> None:
    secrets = aws.client("secretsmanager")
    arn = secrets.create_secret(Name="shop", SecretString=OLD_VALUE)["ARN"]
    aws.create_environment(
        cluster="staging-cluster", service="staging-shop", secrets={"OPENAI_API_KEY": arn}, desired=1, age_seconds=0
    )
    hosts = {"staging": {"rotate_service": "staging-shop"}}
    notes = {"rotate_record_path": "record.jsonl"}
    first = play(hosts=hosts, **notes)
    assert first.rc == 0, first.text
    assert secrets.get_secret_value(SecretId="shop")["SecretString"] == NEW_VALUE
    back = play(playbook="keyturn.ecs.rollback", hosts=hosts, value=None, **notes)
    assert back.rc == 0, back.text
    assert secrets.get_secret_value(SecretId="shop")["SecretString"] == OLD_VALUE
    held = {task["containers"]["app"]["OPENAI_API_KEY"] for task in aws.started_with("staging-cluster", "staging-shop")
            if task["last_status"] == "RUNNING"}  # fmt: skip
    assert held == {OLD_VALUE}


def test_what_took_the_place_of_somebody_else_s_deployment_is_not_undone(tmp_path: Path, collections_path: str) -> None:
    """Going back would go back behind both, and lose the other's as well."""
    done = {"cluster": "c", "previous_task_definition": "s:1", "task_definition": "s:2", "actions": ["update_service"]}
    results = [
        {**done, "service": "mine"},
        {**done, "service": "rivalled", "rivals": ["ecs-svc/1 of s:3"]},
        {**done, "service": "unchanged", "actions": []},
    ]
    content = "{{ _rotate_undo | map(attribute='service') | join(' ') }}"
    task = {"name": "tell", "ansible.builtin.copy": {"dest": str(tmp_path / "undone"), "content": content}}
    plays = [
        {
            "hosts": "h",
            "gather_facts": False,
            "vars_files": [str(FOLDER.parents[1] / "roles" / "rotate" / "vars" / "main.yml")],
            "vars": {"_rotate_rotation": {"results": results}},
            "tasks": [task],
        }
    ]
    with Playbook(tmp_path, collections_path, plays, {"h": {"ansible_connection": "local"}}, {}) as process:
        assert process.finish() == 0, process.output
    assert (tmp_path / "undone").read_text() == "mine"


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({}, "set rotate_record_path, or rotate_rollback_to"),
        ({"rotate_record_path": "none.jsonl"}, "rotate_record_path: none.jsonl does not exist"),
        ({"rotate_rollback_to": "staging-api:7"}, "staging-api:7"),
    ],
)
def test_rollback_to_nowhere_is_refused(
    aws: Simulator, environments: dict[str, Any], play: Play, variables: dict[str, Any], complaint: str
) -> None:
    run = play(playbook="keyturn.ecs.rollback", hosts=STAGING, value=None, **variables)
    assert run.rc == 2
    assert complaint in run.flat
    assert writes(aws) == []


def test_verify_reads_only_and_tells_with_its_exit_code(
    aws: Simulator, environments: dict[str, Any], play: Play, application: Application
) -> None:
    assert play().rc == 0
    aws.clear_calls()
    run = play(playbook="keyturn.ecs.verify", value=None, **{**UNANSWERED, "rotate_expected_fingerprint": NEW})
    assert run.rc == 0, run.text
    assert [run.table[name][1:4] for name in sorted(run.table)] == [["verified", "2", NEW]] * 3
    assert [run.changed(name) for name in run.table] == [0, 0, 0]
    assert writes(aws) == []
    other = play(playbook="keyturn.ecs.verify", value=None, hosts=STAGING, rotate_expected_fingerprint=OLD)
    assert other.rc == 2
    assert f"should have the fingerprint {OLD}, and has {NEW} in container app" in other.flat
    assert other.table["staging"][1] == "other value"
    application.statuses = [401]
    unwell = play(playbook="keyturn.ecs.verify", value=None, hosts=STAGING, rotate_smoke_test=smoke(application))
    assert unwell.rc == 2
    assert unwell.table["staging"][1] == "proof failed"
    assert_no_value(run.text, other.text, unwell.text)
