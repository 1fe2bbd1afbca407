# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which revisions are deleted, and what happens when ECS refuses one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.keyturn.ecs.plugins.module_utils._aws import Aws
from ansible_collections.keyturn.ecs.plugins.module_utils._info.revisions import Entry, Revision, Settings
from ansible_collections.keyturn.ecs.plugins.module_utils._purge import Done, Found, Request, _delete, decide
from fakes.network import OPTIONS, InTurn, error

VARIABLE = "OPENAI_API_KEY"
ARN = "arn:aws:ecs:us-east-1:123456789012:task-definition/s"
STILL_ACTIVE = "The specified task definition is still in ACTIVE status."


def revision(number: int, status: str = "ACTIVE", name: str = VARIABLE, **where: str) -> Revision:
    entry = Entry("app", name, **(where or {"fingerprint": "sha256:0123456789ab"}))
    return Revision(f"{ARN}:{number}", status, Settings((entry,)))


def request(**options: Any) -> Request:
    given: dict[str, Any] = {"cluster": "c", "service": "s", "variable": VARIABLE, "keep": None, "keep_previous": False}
    return Request.parse({**given, "max_revisions": 20, **options})


def chosen(revisions: list[Revision], running: int, named: dict[str, str] | None = None, **options: Any) -> list[int]:
    found = Found("c", "s", f"{ARN}:{running}", named or {}, tuple(revisions))
    return [int(one.arn.rpartition(":")[2]) for one in decide(found, request(**options)).purge]


def test_what_is_deleted() -> None:
    revisions = [
        revision(9),
        revision(8),
        revision(7, "DELETE_IN_PROGRESS"),
        revision(6, "INACTIVE"),
        revision(5, value_from="arn:aws:secretsmanager:us-east-1:1:secret:x"),
        revision(4, name="OTHER"),
        revision(3),
        revision(2),
        revision(1),
    ]
    assert chosen(revisions, running=8) == [6, 3, 2, 1]
    assert chosen(revisions, running=8, keep=[f"{ARN}:3", "s:1"]) == [6, 2]
    assert chosen(revisions, running=8, named={"s:6": "deployment x names it"}) == [3, 2, 1]
    assert chosen(revisions, running=8, max_revisions=2) == [6, 3]
    assert chosen(revisions, running=2) == [1]


def test_the_one_before_is_the_newest_that_a_rollback_can_return_to() -> None:
    """ECS starts no deployment of an INACTIVE one; whether it holds the variable does not matter."""
    revisions = [revision(5), revision(4, "INACTIVE"), revision(3), revision(2), revision(1)]
    assert chosen(revisions, running=5, keep_previous=True) == [4, 2, 1]
    revisions[2] = revision(3, name="OTHER")
    assert chosen(revisions, running=5, keep_previous=True) == [4, 2, 1]


STATUSES = st.sampled_from(["ACTIVE", "INACTIVE", "DELETE_IN_PROGRESS"])


@given(
    statuses=st.lists(STATUSES, min_size=1, max_size=12),
    running=st.integers(1, 12),
    named=st.sets(st.integers(1, 12)),
    keep=st.sets(st.integers(1, 12)),
    limit=st.integers(0, 12),
)
def test_what_is_needed_is_never_deleted(
    statuses: list[str], running: int, named: set[int], keep: set[int], limit: int
) -> None:
    running = min(running, len(statuses))
    revisions = [revision(number, status) for number, status in enumerate(statuses, 1)][::-1]
    found = Found("c", "s", f"{ARN}:{running}", {f"s:{one}": "x" for one in named}, tuple(revisions))
    wanted = request(keep=[f"s:{one}" for one in keep], keep_previous=True, max_revisions=limit)
    plan = decide(found, wanted)
    numbers = {int(one.arn.rpartition(":")[2]) for one in plan.purge}
    assert numbers.isdisjoint({running, *named, *keep})
    assert all(number < running for number in numbers)
    assert len(plan.purge) <= limit
    standing = [one for one in revisions if one.status != "DELETE_IN_PROGRESS"]
    assert len(plan.purge) + len(plan.kept) + plan.remaining == len(standing)


# Failures of a 200 answer


def failing(number: int, reason: str = STILL_ACTIVE) -> dict[str, str]:
    return {"arn": f"{ARN}:{number}", "reason": reason}


def deleted(*answers: Any) -> tuple[Done, list[float]]:
    aws, done, paused = Aws(OPTIONS), Done(), list[float]()
    InTurn(aws, *answers)
    _delete(aws, [revision(3), revision(2), revision(1)], done, paused.append)
    return done, paused


def numbers_of(revisions: list[Revision]) -> list[int]:
    return [int(one.arn.rpartition(":")[2]) for one in revisions]


def test_what_ecs_takes_for_active_still_is_tried_again() -> None:
    done, paused = deleted((200, {"failures": [failing(2)]}), (200, {"failures": []}))
    assert (numbers_of(done.purged), done.failures, paused) == ([3, 1, 2], [], [2.0])


def test_what_is_gone_already_counts_as_deleted() -> None:
    done, paused = deleted((200, {"failures": [failing(2, "MISSING")]}))
    assert (numbers_of(done.purged), done.failures, paused) == ([3, 2, 1], [], [])


def test_what_stays_is_told() -> None:
    done, paused = deleted(*[(200, {"failures": [{**failing(1, "Busy."), "detail": "Wait."}]})] * 4)
    assert numbers_of(done.purged) == [3, 2]
    assert [(one.arn, reason) for one, reason in done.failures] == [(f"{ARN}:1", "Busy. Wait.")]
    assert paused == [2.0] * 3


def test_an_error_comes_after_what_was_done() -> None:
    from ansible_collections.keyturn.ecs.plugins.module_utils._errors import AwsError

    aws, done = Aws(OPTIONS), Done()
    InTurn(aws, (200, {"failures": [failing(1)]}), error("ClientException", "no more"))
    with pytest.raises(AwsError, match="no more"):
        _delete(aws, [revision(2), revision(1)], done, lambda _seconds: None)
    assert numbers_of(done.purged) == [2]
