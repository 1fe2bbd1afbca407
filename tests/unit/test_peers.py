# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What ``make bench ARGS="--only peers"`` makes of what a tool said and of what is true: its verdicts are computed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from benchmark.peers import CONTAINERS, NEW, OLD, TAGS, VARIABLE, Ended, Moment, claim, flat, last_words, shown

DONE = Moment(at=100.0, record="SUCCESSFUL", records=2, revisions=2, new=2, others=0, older=0)
BACK = replace(DONE, record="ROLLBACK_SUCCESSFUL", new=0, others=2)
RUNNING = replace(DONE, record="IN_PROGRESS", new=1, others=2, older=2)
SAME = replace(DONE, records=1, revisions=1)
BEFORE = replace(SAME, new=0, others=2)


def ended(code: int, moment: Moment, output: str = "") -> Ended:
    return Ended(exit=code, output=output, argv=False, wall=1.0, cpu=1.0, moment=moment)


@pytest.mark.parametrize(
    ("code", "before", "then", "final", "output", "expected"),
    [
        (0, BEFORE, DONE, DONE, "", "right"),
        (0, SAME, SAME, SAME, "", "right, nothing to do"),
        (0, SAME, DONE, DONE, "", "right, after a rollout for nothing"),
        (0, BEFORE, replace(DONE, others=1, older=1), DONE, "", "early: old tasks still run"),
        (0, BEFORE, RUNNING, DONE, "", "does not wait: success while IN_PROGRESS"),
        (2, BEFORE, DONE, DONE, "", "WRONG: failure of what succeeds"),
        (2, BEFORE, BACK, BACK, "ECS rolled it back", "right"),
        (2, BEFORE, BACK, BACK, "Deployment failed due to timeout", "right, but does not say why"),
        (2, BEFORE, BEFORE, BEFORE, "", "fails, and deployed nothing"),
        (0, BEFORE, BACK, BACK, "", "WRONG: success after a rollback"),
        (0, BEFORE, RUNNING, BACK, "", "WRONG: does not wait, success while IN_PROGRESS, rolled back later"),
        (0, BEFORE, BEFORE, BEFORE, "", "WRONG: success, and the value is not there"),
        (0, BEFORE, DONE, replace(DONE, others=1), "", "WRONG: success, and the value is not there"),
    ],
)
def test_a_claim_is_held_against_what_is_true(
    code: int, before: Moment, then: Moment, final: Moment, output: str, expected: str
) -> None:
    assert claim(ended(code, then, output), before, final) == expected


def test_last_words_hold_no_value() -> None:
    failed = json.dumps({"changed": False, "msg": f"{OLD} |\nis not {NEW}"})
    assert last_words(f"fatal: [localhost]: FAILED! => {failed}\n\nPLAY RECAP\nlocalhost : ok=1\n") == (
        "(value) \\| is not (value)"
    )
    assert last_words(f"one\n{NEW}\n\n") == "(value)"
    assert last_words("\n") == "(nothing)"


def test_a_value_that_was_shown_is_told() -> None:
    assert shown(ended(0, DONE, f"from {OLD}")) == "yes: output"
    assert shown(replace(ended(0, DONE, NEW), argv=True)) == "yes: output, arguments"
    assert shown(ended(0, DONE, "nothing")) == "no"


def test_what_is_compared_of_a_definition_is_everything_but_the_variable() -> None:
    definition = {
        "taskDefinitionArn": "a:1",
        "revision": 1,
        "cpu": "256",
        "volumes": [],
        "containerDefinitions": CONTAINERS,
    }
    before = flat({"taskDefinition": definition, "tags": TAGS})
    assert ("tags", "team") in before
    assert ("cpu",) in before
    assert ("app", "restartPolicy") in before
    assert not {("revision",), ("volumes",)} & before.keys()
    rotated = json.loads(json.dumps(definition).replace(OLD, NEW))
    assert flat({"taskDefinition": {**rotated, "revision": 2}, "tags": TAGS}) == before
    assert VARIABLE not in before["app", "environment"]
    other = json.loads(json.dumps(definition).replace("INFO", "DEBUG"))
    assert flat({"taskDefinition": other, "tags": TAGS}) != before
