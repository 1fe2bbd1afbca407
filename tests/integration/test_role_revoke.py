# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The playbook revoke: an old key goes once, for all environments, and only when nothing holds it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint
from integration.role_runs import ENVIRONMENTS, OLD_VALUE, UNANSWERED, Play, Run
from integration.test_role_rotation import assert_no_value
from openai import ADMIN_KEY, Provider
from simulator import Simulator

OLD = fingerprint("OPENAI_API_KEY", OLD_VALUE)
STAGING: dict[str, dict[str, Any]] = {"staging": {}}
NOTES = {"rotate_record_path": "record.jsonl", "rotate_key_id": "key_new", "rotate_revoke_grace": 0}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider.start() as served:
        served.add_project()
        yield served


def rotated(play: Play) -> None:
    run = play(**NOTES)
    assert run.rc == 0, run.text


def revoke(play: Play, provider: Provider, *arguments: str, **extra: Any) -> Run:
    place = {"rotate_openai_base_url": provider.base_url, "rotate_openai_project_id": "proj_abc"}
    given = {**UNANSWERED, **place, **NOTES, **extra}
    return play(*arguments, playbook="keyturn.ecs.revoke", value=None, admin_key=ADMIN_KEY, **given)


def pin(aws: Simulator, name: str, task_definition: str) -> Any:
    """A schedule that starts a task from one revision."""
    scheduler = aws.client("scheduler")
    scheduler.create_schedule(
        Name=name,
        ScheduleExpression="rate(1 day)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": "arn:aws:ecs:us-east-1:123456789012:cluster/staging-cluster",
            "RoleArn": "arn:aws:iam::123456789012:role/scheduler",
            "EcsParameters": {
                "TaskDefinitionArn": f"arn:aws:ecs:us-east-1:123456789012:task-definition/{task_definition}"
            },
        },
    )
    return scheduler


def test_the_gate_opens_when_nothing_holds_the_old_value(
    aws: Simulator, environments: dict[str, Any], play: Play, provider: Provider, tmp_path: Path
) -> None:
    old = provider.add_key(value=OLD_VALUE).id
    rotated(play)
    scheduler = pin(aws, "nightly", "staging-api:1")
    shut = revoke(play, provider, rotate_old_key_id=old)
    assert shut.rc == 2
    assert f"The old value ({OLD}) is still held, or may be." in shut.flat
    assert "staging: schedule default/nightly holds it: pinned to staging-api:1" in shut.flat
    assert "Nothing was revoked." in shut.flat
    assert old in [key.id for key in provider.stored()]

    scheduler.delete_schedule(Name="nightly")
    foretold = revoke(play, provider, "--check", rotate_old_key_id=old)
    assert foretold.rc == 0, foretold.text
    assert f"Key {old} would be revoked" in foretold.flat
    assert old in [key.id for key in provider.stored()]
    done = revoke(play, provider, rotate_old_key_id=old)
    assert done.rc == 0, done.text
    assert f"Key {old} is revoked" in done.flat
    assert sum(done.changed(name) for name in ENVIRONMENTS) == 1, done.text
    assert old not in [key.id for key in provider.stored()]
    record = [json.loads(line) for line in (tmp_path / "record.jsonl").read_text().splitlines()]
    assert (record[-1]["action"], record[-1]["key_id"], record[-1]["previous_fingerprint"]) == ("revoke", old, OLD)

    again = revoke(play, provider, rotate_old_key_id=old)
    assert again.rc == 0, again.text
    assert sum(again.changed(name) for name in ENVIRONMENTS) == 0
    assert len((tmp_path / "record.jsonl").read_text().splitlines()) == len(record)
    assert_no_value(shut.text, done.text)


def test_a_key_that_is_still_used_is_kept(
    aws: Simulator, environments: dict[str, Any], play: Play, provider: Provider
) -> None:
    key = provider.add_key(value=OLD_VALUE)
    rotated(play)
    key.last_used_at = 4_000_000_000
    run = revoke(play, provider, rotate_old_key_id=key.id)
    assert run.rc == 2
    assert "after the last rotation ended: something that is not in these environments holds it" in run.flat
    early = revoke(play, provider, rotate_old_key_id=key.id, rotate_revoke_grace="")
    assert early.rc == 2
    assert "rotate_revoke_grace is 3600 s: wait" in early.flat
    assert key.id in [one.id for one in provider.stored()]


def test_what_cannot_be_looked_at_keeps_it_shut(
    aws: Simulator, environments: dict[str, Any], play: Play, provider: Provider
) -> None:
    old = provider.add_key(value=OLD_VALUE).id
    rotated(play)
    aws.fault("ListSchedules", "denied", times=None, service="scheduler", region="eu-central-1")
    run = revoke(play, provider, rotate_old_key_id=old)
    assert run.rc == 2
    assert "eu-production is not proved clear" in run.flat
    aws.clear_faults()
    aws.fault("DescribeServices", "denied", times=None, region="eu-central-1")
    denied = revoke(play, provider, rotate_old_key_id=old)
    assert denied.rc == 2
    assert "eu-production" in denied.flat
    assert old in [one.id for one in provider.stored()]


def test_without_an_admin_key_it_is_left_to_the_operator(
    aws: Simulator, environments: dict[str, Any], play: Play, provider: Provider
) -> None:
    rotated(play)
    run = play(playbook="keyturn.ecs.revoke", value=None, rotate_old_key_id="key_old", **NOTES)
    assert run.rc == 0, run.text
    assert "revoke key_old by hand now" in run.flat


@pytest.mark.parametrize(
    ("extra", "complaint"),
    [
        ({"rotate_record_path": ""}, "is in the record, set rotate_record_path or rotate_old_fingerprint"),
        ({"rotate_old_fingerprint": "sk-x"}, "rotate_old_fingerprint must be sha256: and twelve hex digits"),
        ({}, "Which key is to be revoked is not known"),
        ({"rotate_old_key_id": "key_new"}, "key_new is the key that the last rotation put in"),
    ],
)
def test_what_is_not_known_is_named(
    aws: Simulator,
    environments: dict[str, Any],
    play: Play,
    provider: Provider,
    extra: dict[str, Any],
    complaint: str,
) -> None:
    rotated(play)
    run = revoke(play, provider, **extra)
    assert run.rc == 2
    assert complaint in run.flat
    assert not [call for call in provider.calls() if call.startswith("DELETE")]
