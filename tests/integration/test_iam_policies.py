# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The policies of docs/iam are enough, none of it is too much, and what lacks is named.

KEYTURN_IAM=all takes out all statements of all policies and every single action, too. KEYTURN_IAM_TABLE=FILE has the
messages written down.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.model import CONDITIONAL_WRITES, RECORDS
from integration.iam import BREAKER, FEATURES, Feature, Guarded, covers, listed, policy
from integration.support import Json, standing_still

EVERY_ACTION = os.environ.get("KEYTURN_IAM") == "all"
TABLE = os.environ.get("KEYTURN_IAM_TABLE")
# Evidence and no more, as ecs_env_info documents it: told as unverified, it would keep a key from being revoked.
QUIET = {("revoke", "ecs:GetTaskProtection"), ("audit", "ecs:GetTaskProtection")}
ANYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}


@pytest.fixture(scope="module")
def lab() -> Iterator[Guarded]:
    # CloudWatch Logs takes lines from at most two hours ahead of the real time, and all of this takes virtual days.
    options = {"start_at": time.time() - 5 * 86400, "timing": {"drain": 5.0, "healthy": 5.0}}
    with standing_still(enforce_callers=True, enforce_roles=True, **options) as sim:
        yield Guarded(sim)


@dataclasses.dataclass(frozen=True)
class Run:
    """What came of a feature.

    Attributes:
        said: all that its modules said.
        needed: the permissions that its calls needed.
        refused: those of them for which a call was refused.
        writes: operations that changed something.
    """

    said: str
    failed: bool
    needed: list[Json]
    refused: list[Json]
    writes: list[str]
    calls: int


def as_principal(lab: Guarded, name: str, feature: Feature, without: tuple[int, str] | None = None) -> Run:
    """Run a feature as a role with a policy.

    Args:
        without: index of a statement that is taken out, and the one action of it; all of it without one.
    """
    lab.begin()
    document = lab.policy(name)
    if without is not None:
        document["Statement"] = list(less(document["Statement"], *without))
    lab.role("keyturn", document, "/ops/")
    feature.make(lab)
    lab.sim.clear_calls()
    feature.run(lab)
    keys = ("msg", "warnings", "unverified", "problems", "denied", "diagnosis")
    said = json.dumps([{key: one[key] for key in keys if one.get(key)} for one in lab.results])
    failed = any(one.get("failed") for one in lab.results)
    return Run(said, failed, lab.needed(), lab.refused(), lab.written(), len(lab.calls()))


def less(statements: list[Json], index: int, action: str) -> Iterator[Json]:
    for number, statement in enumerate(statements):
        left = [one for one in listed(statement["Action"]) if action and one != action]
        if number != index:
            yield statement
        elif left:
            yield {**statement, "Action": left}


def takeable(name: str, statements: list[Json]) -> Iterator[tuple[int, str]]:
    """What is taken out, one after the other; not what another policy has too, of which it is taken out."""
    other = None if EVERY_ACTION else {"role": "rotate", "audit": "revoke"}.get(name)
    done = policy(other)["Statement"] if other else []
    for index, statement in enumerate(statements):
        if statement in done:
            continue
        yield index, ""
        actions = listed(statement["Action"])
        yield from ((index, action) for action in actions if EVERY_ACTION and len(actions) > 1)


NEEDS = {"rotate": RECORDS, "role": CONDITIONAL_WRITES, "caller": CONDITIONAL_WRITES, "revoke": CONDITIONAL_WRITES}


@pytest.mark.parametrize("name", [pytest.param(name, marks=NEEDS.get(name, ())) for name in FEATURES])
def test_enough_nothing_too_much_and_what_lacks_is_named(lab: Guarded, name: str) -> None:
    runs = {title: as_principal(lab, name, feature) for title, feature in FEATURES[name].items()}
    for title, run in runs.items():
        assert {one["action"] for one in run.refused} == set(FEATURES[name][title].refused), (title, run.said)
        assert "not authorized" not in run.said and " lacks " not in run.said, (title, run.said)
        assert run.failed is (title == "failed rollout"), (title, run.said)
    statements = policy(name)["Statement"]
    for statement in statements:
        for action in listed(statement["Action"]):
            used = [title for title, run in runs.items() if any(covers(statement, one, action) for one in run.needed)]
            assert used, f"{name}.json: nothing needs {action} of {statement['Sid']}"
    rows = [_without(lab, name, runs, statements, *taken) for taken in takeable(name, statements)]
    calls = sum(run.calls for run in runs.values())
    _write(
        [f"{name}.json: {len(statements)} statements, {len(runs)} runs, {calls} calls recorded", *filter(None, rows)]
    )


def _without(lab: Guarded, name: str, runs: dict[str, Run], statements: list[Json], index: int, action: str) -> str:
    """What is said when a statement, or an action of it, lacks; nothing where another statement allows the same."""
    left = list(less(statements, index, action))
    lacking: dict[str, list[Json]] = {}
    for title, run in runs.items():
        lacks = [one for one in run.needed if allowed(statements, one) and not allowed(left, one)]
        if lacks:
            lacking[title] = lacks
    taken = f"{statements[index]['Sid']} {action}".strip()
    if action and (not lacking or (name, action) in QUIET):
        return ""
    title = min(lacking, key=lambda one: runs[one].calls)
    run = as_principal(lab, name, FEATURES[name][title], (index, action))
    told = [one for one in lacking[title] if one["action"] in run.said]
    assert told, f"{name}.json without {taken}, {title}: none of {lacking[title]} is named in {run.said}"
    # A run that goes on names all that was refused, action and resource.
    for one in run.refused:
        if not run.failed and one["action"] not in FEATURES[name][title].refused:
            assert one["action"] in run.said and named(one["resource"]) in run.said, (taken, title, one, run.said)
    start = max(run.said.find(told[0]["action"]) - 90, 0)
    return f"  {taken} | {title} | {', '.join(run.writes) or 'nothing'} | {run.said[start : start + 260]}"


def allowed(statements: list[Json], permission: Json) -> bool:
    return any(covers(statement, permission) for statement in statements)


def named(resource: str) -> str:
    return "" if resource == "*" or ":kms:" in resource else resource


def _write(lines: list[str]) -> None:
    if TABLE:
        with Path(TABLE).open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


@pytest.mark.parametrize("sid", ["", "ReadTheSecret", "ReadTheParameter", "DecryptEither"])
def test_tasks_start_with_the_execution_roles_policy_and_fail_without_a_statement_of_it(lab: Guarded, sid: str) -> None:
    lab.begin()
    lab.role("keyturn", {"Version": "2012-10-17", "Statement": ANYTHING}, "/ops/")
    document = lab.policy("execution")
    taken = [one for one in document["Statement"] if one["Sid"] == sid]
    for one in ("secret", "parameter"):
        arn = lab.secret(KmsKeyId=lab.key) if one == "secret" else lab.parameter(KeyId=lab.key)
        lab.reading(arn, service=one, **BREAKER)
    left = {**document, "Statement": [one for one in document["Statement"] if one not in taken]}
    lab.iam.put_role_policy(RoleName="ecsTaskExecutionRole", PolicyName="docs", PolicyDocument=json.dumps(left))
    ended = {}
    for one in ("secret", "parameter"):
        rotation = lab.rotate(service=one)
        assert rotation["changed"] is True and "failed" not in rotation
        followed = {key: rotation[key] for key in ("deployment_id", "task_definition")}
        ended[one] = lab.wait(service=one, **followed)
    failing = {"": [], "ReadTheSecret": ["secret"], "ReadTheParameter": ["parameter"]}.get(sid, ["secret", "parameter"])
    assert [one for one, result in ended.items() if result["status"] != "completed"] == failing
    for one in failing:
        assert ended[one]["diagnosis"][0]["cause"] == "secret_access"
        assert taken[0]["Action"] in json.dumps(ended[one]["diagnosis"]), ended[one]["diagnosis"]
        _write([f"execution.json without {sid} | {one} | {ended[one]['msg']}"])


@pytest.mark.parametrize(("first", "sees"), [(5, False), pytest.param(7, True, marks=RECORDS)])
def test_a_value_in_the_environment_needs_the_first_statements_only(lab: Guarded, first: int, sees: bool) -> None:
    """As the README and the page say it."""
    lab.begin()
    document = lab.policy("rotate")
    lab.role("keyturn", {**document, "Statement": document["Statement"][:first]}, "/ops/")
    feature = FEATURES["rotate"]["environment"]
    feature.make(lab)
    feature.run(lab)
    rotation, rollout = lab.results
    assert "failed" not in rotation and rollout["status"] == "completed"
    assert bool(rollout["unverified"]) is not sees
