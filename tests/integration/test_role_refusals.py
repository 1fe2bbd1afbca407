# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The playbook keyturn.ecs.rotate, run for real: what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from integration.role_runs import NEW_VALUE, UNANSWERED, Play
from simulator import Simulator

ROOT = Path(__file__).resolve().parents[2]
BASTION = {"others": {"hosts": {"bastion": {"ansible_connection": "local"}}}}
STAGING: dict[str, dict[str, Any]] = {"staging": {}}


def test_waves_that_only_the_inventory_knows_are_refused(aws: Simulator, play: Play) -> None:
    aws.clear_calls()
    run = play(inventory={"environments": {"hosts": {"staging": {}, "production": {}}, "vars": {"rotate_serial": 1}}})
    assert run.rc == 2
    assert "give it as an extra variable (-e)" in run.flat
    assert not aws.calls()


def test_mistyped_variables_are_named_with_their_nearest(aws: Simulator, play: Play) -> None:
    aws.clear_calls()
    run = play(hosts={"staging": {"rotate_projectname": "x", "rotate_value_patern": "x"}}, rotate_times_out=5)
    assert run.rc == 2
    assert "rotate_projectname is not a variable of this role: did you mean rotate_project_name?" in run.flat
    assert "rotate_value_patern is not a variable of this role: did you mean rotate_value_pattern?" in run.flat
    assert "rotate_times_out is not a variable of this role: did you mean rotate_timeout?" in run.flat
    assert run.table["staging"][1] == "refused"
    assert not aws.calls()


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"rotate_timeout": "soon", "rotate_verify_key": True}, "rotate_timeout must be a whole number, at least 1"),
        ({"rotate_log_scan": "sometimes"}, "rotate_log_scan must be auto, true or false."),
        ({"rotate_dotenv_paths": ["none/.env"]}, "rotate_dotenv_paths: none/.env does not exist"),
        ({"rotate_reason": f"key {NEW_VALUE} leaked"}, "holds the value itself"),
        ({"rotate_record_path": "nowhere/record.jsonl"}, "the folder of nowhere/record.jsonl does not exist"),
        (
            {"rotate_project_name": "", "rotate_services": [{"name": "staging-api"}]},
            "containers where they differ. No cluster and service: set rotate_project_name, or rotate_cluster and",
        ),
        ({"rotate_store": "cupboard"}, "rotate_store must be keep, environment, secretsmanager or ssm."),
    ],
)
def test_what_cannot_work_is_refused_before_any_call(
    aws: Simulator, play: Play, variables: dict[str, Any], complaint: str
) -> None:
    aws.clear_calls()
    run = play(hosts={"staging": variables})
    assert run.rc == 2
    assert complaint in run.flat
    assert not aws.calls()


def test_value_must_be_there_and_match(aws: Simulator, environments: dict[str, Any], play: Play) -> None:
    missing = play(hosts=STAGING, value=None)
    assert missing.rc == 2
    assert "There is no new value: put it into the environment variable OPENAI_API_KEY" in missing.flat
    wrong = play(hosts=STAGING, value="pk-CANARY-not-openai")
    assert wrong.rc == 2
    assert "does not match value_pattern ^sk-" in wrong.flat
    assert "pk-CANARY" not in wrong.text


def test_empty_strings_are_the_same_as_not_set(aws: Simulator, environments: dict[str, Any], play: Play) -> None:
    run = play(hosts=STAGING, **UNANSWERED)
    assert run.rc == 0, run.text
    assert run.table["staging"][1] == "rotated"


@pytest.mark.parametrize(
    ("arguments", "inventory"),
    [
        ((), {"all": {"hosts": {}}}),
        ((), BASTION),
        (
            ("--limit", "bastion"),
            {
                "environments": {"hosts": {"staging": {}}},
                "others": {"hosts": {"bastion": {"ansible_connection": "local"}}},
            },
        ),
        (("-e", "rotate_hosts=nobody"), {"environments": {"hosts": {"staging": {}}}}),
    ],
    ids=["empty inventory", "no such group", "limit leaves none", "no such pattern"],
)
def test_nothing_to_rotate_is_an_error(play: Play, arguments: tuple[str, ...], inventory: dict[str, Any]) -> None:
    run = play(*arguments, inventory=inventory)
    assert run.rc == 2
    assert "There is no environment to work on" in run.flat
