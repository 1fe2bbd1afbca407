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
from fakes.model import CONDITIONAL_WRITES
from integration.role_runs import ENVIRONMENTS, NEW_VALUE, OLD_VALUE, UNANSWERED, Play, Run
from integration.test_env_info import overriding
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


def rotated(play: Play, **given: Any) -> None:
    run = play(**NOTES, **given)
    assert run.rc == 0, run.text


def revoke(play: Play, provider: Provider, *arguments: str, **extra: Any) -> Run:
    place = {"rotate_openai_base_url": provider.base_url, "rotate_openai_project_id": "proj_abc"}
    given = {**UNANSWERED, **place, **NOTES, **extra}
    return play(*arguments, playbook="keyturn.ecs.revoke", value=None, admin_key=ADMIN_KEY, **given)


def pin(aws: Simulator, name: str, task_definition: str, override: str | None = None) -> Any:
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
            **({"Input": override} if override else {}),
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
    rotated(play, hosts=STAGING)
    key.last_used_at = 4_000_000_000
    run = revoke(play, provider, hosts=STAGING, rotate_old_key_id=key.id)
    assert run.rc == 2
    assert "after the last rotation ended: something that is not in these environments holds it" in run.flat
    early = revoke(play, provider, hosts=STAGING, rotate_old_key_id=key.id, rotate_revoke_grace="")
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


def test_pinned_targets_are_moved_where_that_is_wanted(
    aws: Simulator, environments: dict[str, Any], play: Play, provider: Provider
) -> None:
    """The key's id comes from OpenAI's redacted value: neither the record nor the tags know it."""
    old = provider.add_key(value=OLD_VALUE).id
    provider.add_key(value=NEW_VALUE)
    rotated(play)
    scheduler = pin(aws, "nightly", "staging-api:1")
    wanted = {"rotate_move_targets": True, "rotate_move_settle": 0}
    foretold = revoke(play, provider, "--check", "--diff", **wanted)
    assert foretold.rc == 0, foretold.text
    assert f"Key {old} would be revoked" in foretold.flat
    assert (
        "+schedule default/nightly: arn:aws:ecs:us-east-1:123456789012:task-definition/staging-api:2" in foretold.flat
    )
    # What is decided once counts for the first host.
    changes = {"staging": 1, "production": 0, "eu-production": 1}
    assert {name: foretold.changed(name) for name in ENVIRONMENTS} == changes
    target = scheduler.get_schedule(Name="nightly")["Target"]["EcsParameters"]
    assert target["TaskDefinitionArn"].endswith("/staging-api:1")

    done = revoke(play, provider, **wanted)
    assert done.rc == 0, done.text
    assert f"Key {old} is revoked" in done.flat
    target = scheduler.get_schedule(Name="nightly")["Target"]["EcsParameters"]
    assert target["TaskDefinitionArn"].endswith("/staging-api:2")
    assert old not in [key.id for key in provider.stored()]
    assert {name: done.changed(name) for name in ENVIRONMENTS} == changes
    again = revoke(play, provider, **wanted, rotate_old_key_id=old)
    assert (again.rc, sum(again.changed(name) for name in ENVIRONMENTS)) == (0, 0), again.text
    assert_no_value(foretold.text, done.text)


def test_an_override_is_not_moved(aws: Simulator, environments: dict[str, Any], play: Play, provider: Provider) -> None:
    old = provider.add_key(value=OLD_VALUE).id
    rotated(play, hosts=STAGING)
    pin(aws, "nightly", "staging-api:1", overriding(OLD_VALUE, container="staging-api"))
    run = revoke(play, provider, hosts=STAGING, rotate_move_targets=True, rotate_move_settle=0)
    assert run.rc == 2
    assert "staging: schedule default/nightly holds it: pinned to staging-api:1" in run.flat
    assert old in [key.id for key in provider.stored()]


def test_without_a_record(aws: Simulator, environments: dict[str, Any], play: Play, provider: Provider) -> None:
    """The tags of two rotations tell which key the old one is; OpenAI must not have seen it for a while."""
    middle = "sk-proj-mid-CANARY3333333333333333"
    key = provider.add_key(value=middle, id="key_middle")
    for value, name in ((middle, "key_middle"), (NEW_VALUE, "key_new")):
        run = play(hosts=STAGING, value=value, rotate_key_id=name)
        assert run.rc == 0, run.text
    given = {
        "hosts": STAGING,
        "rotate_record_path": "",
        "rotate_key_id": "",
        "rotate_old_fingerprint": fingerprint("OPENAI_API_KEY", middle),
    }
    key.last_used_at = 4_000_000_000
    used = revoke(play, provider, **given)
    assert used.rc == 2
    assert "which is less than rotate_revoke_grace (0 s) ago" in used.flat
    key.last_used_at = 1_500_000_000
    early = revoke(play, provider, **given, rotate_revoke_grace=3600)
    assert early.rc == 2
    assert "The last rotation began" in early.flat
    done = revoke(play, provider, **given)
    assert done.rc == 0, done.text
    assert "Key key_middle is revoked" in done.flat


@CONDITIONAL_WRITES
def test_a_record_in_a_bucket_is_read_back(
    aws: Simulator, environments: dict[str, Any], play: Play, provider: Provider
) -> None:
    aws.client("s3").create_bucket(Bucket="audit")
    old = provider.add_key(value=OLD_VALUE).id
    path = {"rotate_record_path": "s3://audit/2026.jsonl"}
    run = play(**{**NOTES, **path})
    assert run.rc == 0, run.text
    done = revoke(play, provider, **path, rotate_old_key_id=old)
    assert done.rc == 0, done.text
    body = aws.client("s3").get_object(Bucket="audit", Key="2026.jsonl")["Body"].read().decode()
    assert [json.loads(line)["action"] for line in body.splitlines()] == ["rotate"] * 3 + ["revoke"]
    back = play(playbook="keyturn.ecs.rollback", value=None, **path)
    assert back.rc == 0, back.text
    assert {name: row[1] for name, row in back.table.items()} == dict.fromkeys(ENVIRONMENTS, "rolled back")
    missing = play(playbook="keyturn.ecs.rollback", value=None, rotate_record_path="s3://nobody/x")
    assert missing.rc == 2
    assert "rotate_record_path: s3:GetObject on s3://nobody/x failed: NoSuchBucket" in missing.flat


def test_without_an_admin_key_it_is_left_to_the_operator(
    aws: Simulator, environments: dict[str, Any], play: Play, provider: Provider
) -> None:
    rotated(play, hosts=STAGING)
    run = play(hosts=STAGING, playbook="keyturn.ecs.revoke", value=None, rotate_old_key_id="key_old", **NOTES)
    assert run.rc == 0, run.text
    assert "revoke key_old by hand now" in run.flat


NOT_KNOWN: list[tuple[dict[str, Any], str]] = [
    ({"rotate_record_path": ""}, "is in the record, set rotate_record_path or rotate_old_fingerprint"),
    ({"rotate_old_fingerprint": "sk-x"}, "rotate_old_fingerprint must be sha256: and twelve hex digits"),
    ({}, "Which key is to be revoked is not known"),
    ({"rotate_old_key_id": "key_new"}, "key_new is the key that the last rotation put in"),
]


def test_what_is_not_known_is_named(
    aws: Simulator, environments: dict[str, Any], play: Play, provider: Provider
) -> None:
    rotated(play, hosts=STAGING)
    for extra, complaint in NOT_KNOWN:
        run = revoke(play, provider, hosts=STAGING, **extra)
        assert run.rc == 2
        assert complaint in run.flat
        assert not [call for call in provider.calls() if call.startswith("DELETE")]
