# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every call of a run, each with every fault: what was really done, what the result says, and how it is after one more.

The calls are those of a real run, recorded, so a new call is covered by itself. `python -m pytest
tests/integration/test_faults.py` takes some of the cells; with the environment variable FAULT_TABLE naming a file it
takes all of them and writes the table there.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

from ansible_collections.keyturn.ecs.plugins.module_utils._aws import Aws
from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint
from ansible_collections.keyturn.ecs.plugins.module_utils._info.info import info as info_function
from ansible_collections.keyturn.ecs.plugins.module_utils._logs.scan import scan as scan_function
from ansible_collections.keyturn.ecs.plugins.module_utils._preflight.preflight import preflight as preflight_function
from ansible_collections.keyturn.ecs.plugins.module_utils._purge import purge as purge_function
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.wait import Clock
from ansible_collections.keyturn.ecs.plugins.modules import (
    ecs_env_info,
    ecs_env_preflight,
    ecs_log_scan,
    ecs_revision_purge,
)
from integration.stores import CASES, Stores
from integration.support import NEW, OLD, THIRD, VARIABLE, Json, assert_no_value, with_value

OURS = "keyturn.ecs/"
SECRET_ACTIONS = {"create_secret", "put_secret_value", "put_parameter", "restore_secret_version"}
UNKNOWN = "is not known"
Step = Callable[[Stores, Json], Json]


@dataclass(frozen=True)
class Fault:
    """What happens to a call, and for how many attempts (None: until the next run).

    Attributes:
        everywhere: to this call and to every one after it.
        kills: the process dies at that moment.
    """

    name: str
    kind: str
    times: int | None = 1
    everywhere: bool = False
    kills: bool = False


# A client that waits for an answer gives up sooner than the endpoint hangs.
READ_TIMEOUT, HANGS = 0.4, 0.6
FAULTS = (
    Fault("throttled 20 times", "throttle", 20),
    Fault("500", "internal"),
    Fault("500 lasting", "internal", None),
    Fault("reset", "reset"),
    Fault("reset lasting", "reset", None),
    Fault("time-out", "timeout"),
    Fault("answer lost", "lost_answer"),
    Fault("answers lost", "lost_answer", None),
    Fault("denied", "denied", None),
    Fault("token expired", "expired", None, everywhere=True),
    Fault("killed before", "timeout", kills=True),
    Fault("killed after", "no_answer", kills=True),
)


@dataclass(frozen=True)
class Spot:
    """The ``nth`` call of an operation, from 1; ``place`` calls come before it."""

    service: str
    operation: str
    nth: int
    place: int

    @property
    def call(self) -> str:
        return f"{self.service}:{self.operation}"

    @property
    def changes(self) -> bool:
        return re.match(r"(Describe|List|Get|Filter|Simulate|Lookup)[A-Z]", self.operation) is None


@dataclass(frozen=True)
class State:
    """What AWS really has.

    Attributes:
        revisions: of the family, with their status.
        deployments: that the service ever had.
        secrets: current version and number of versions, by name.
    """

    revisions: Mapping[int, str]
    deployments: int
    secrets: Mapping[str, tuple[str, int]]

    @property
    def counts(self) -> tuple[int, int, int]:
        return len(self.revisions), self.deployments, sum(count for _current, count in self.secrets.values())

    def done_since(self, before: State) -> set[str]:
        """The contract's names of what was done; one name stands for all kinds of writes to a secret."""
        left = {number for number, status in before.revisions.items() if status == "ACTIVE"}
        gone = {number for number, status in self.revisions.items() if status == "DELETE_IN_PROGRESS"}
        was_gone = {number for number, status in before.revisions.items() if status == "DELETE_IN_PROGRESS"}
        done = {
            "register_task_definition": bool(set(self.revisions) - set(before.revisions)),
            "update_service": self.deployments > before.deployments,
            "secret": self.secrets != before.secrets,
            "deregister_task_definition": any(self.revisions.get(number) != "ACTIVE" for number in left),
            "delete_task_definitions": bool(gone - was_gone) or not set(before.revisions) <= set(self.revisions),
        }
        return {name for name, is_so in done.items() if is_so}


def state(lab: Stores, secrets: bool) -> State:
    """Look, without the collection."""
    revisions = {}
    for status in ("ACTIVE", "INACTIVE", "DELETE_IN_PROGRESS"):
        listed = lab.ecs("ListTaskDefinitions", familyPrefix="s", status=status)["taskDefinitionArns"]
        revisions.update({int(arn.rpartition(":")[2]): status for arn in listed})
    records = lab.ecs("ListServiceDeployments", cluster="c", service="s")["serviceDeployments"]
    found: dict[str, tuple[str, int]] = {}
    if secrets:
        for secret in lab.secrets_manager.list_secrets()["SecretList"]:
            answer = lab.secrets_manager.list_secret_version_ids(SecretId=secret["ARN"], IncludeDeprecated=True)
            stages = {stage: one["VersionId"] for one in answer["Versions"] for stage in one.get("VersionStages") or ()}
            moved = "/".join(stages[stage] for stage in sorted(stages) if stage != "AWSPREVIOUS")
            found[secret["Name"]] = (moved, len(answer["Versions"]))
        for parameter in lab.ssm.describe_parameters()["Parameters"]:
            found[parameter["Name"]] = (str(parameter["Version"]), parameter["Version"])
    return State(revisions, len(records), found)


@dataclass(frozen=True)
class Scenario:
    """A run of one or more modules.

    Attributes:
        make: brings the environment about; what it answers, the steps are given.
        steps: the modules, one after the other; the first that fails is the last.
        wrong: what is not as it shall be in the end.
        secrets: Secrets Manager or SSM take part.
    """

    make: Callable[[Stores], Json]
    steps: Sequence[Step]
    wrong: Callable[[Stores], list[str]]
    secrets: bool = True


@dataclass(frozen=True)
class Reading:
    """A run of a module that proves something and changes nothing.

    Attributes:
        make: brings the environment about, once for all cells.
        read: the module.
        proof: what it proves.
        doubt: what it could not look at.
    """

    make: Callable[[Stores], Any]
    read: Callable[[Stores], Json]
    proof: Callable[[Json], object]
    doubt: Callable[[Json], object]


@dataclass(frozen=True)
class Did:
    """What one module said, and what was really done."""

    result: Json
    before: State
    after: State


@dataclass
class Outcome:
    """How a cell of the table ended.

    Attributes:
        runs: that were needed.
        told: the first run failed, or was killed.
        problems: what should not be so.
    """

    runs: int = 1
    told: str = ""
    problems: list[str] = field(default_factory=list)


# The modules


def rotate(**options: Any) -> Step:
    def step(lab: Stores, given: Json) -> Json:
        result = lab.rotate(**options)
        given.update({name: result.get(name) for name in ("deployment_id", "task_definition")})
        return result

    return step


def wait(lab: Stores, given: Json) -> Json:
    """For what the step before returned."""
    return lab.wait(
        deployment_id=given["deployment_id"], task_definition=given["task_definition"], timeout=400, poll_interval=30
    )


def back(lab: Stores, given: Json) -> Json:
    result = lab.rollback(given["rotation"])
    given.update({name: result.get(name) for name in ("deployment_id", "task_definition")})
    return result


def runs(value: str) -> Callable[[Stores], list[str]]:
    """Every task runs with this value, in one deployment that is over."""

    def wrong(lab: Stores) -> list[str]:
        deployments = [(one["status"], one["rolloutState"]) for one in lab.service()["deployments"]]
        found = [] if deployments == [("PRIMARY", "COMPLETED")] else [f"deployments are {deployments}"]
        return found if lab.holds() == {value} else [*found, "tasks hold another value"]

    return wrong


def rotation(case: Callable[[Stores], Any], secrets: bool = True, **options: Any) -> Scenario:
    """A rotation and the wait for it; in the end another run would change nothing."""

    def make(lab: Stores) -> Json:
        case(lab)
        return {}

    def wrong(lab: Stores) -> list[str]:
        again = lab.rotate(check_mode=True, **options)
        return [*runs(NEW)(lab), *([f"the next run would do {again.get('actions')}"] if again["changed"] else [])]

    return Scenario(make, (rotate(**options), wait), wrong, secrets)


def way_back(case: Callable[[Stores], Any], secrets: bool = True) -> Scenario:
    """A rollback and the wait for it, after a rotation."""

    def make(lab: Stores) -> Json:
        case(lab)
        result = lab.rotate()
        lab.settle(result)
        return {"rotation": result}

    return Scenario(make, (back, wait), runs(OLD), secrets)


SCENARIOS: dict[str, Scenario] = {
    **{f"rotate: {name}": rotation(case.make, name != "environment") for name, case in CASES.items()},
    "rotate: environment to a secret": rotation(CASES["environment"].make, store="secretsmanager", secret_id="p/o"),
    "rotate: environment to a pinned secret": rotation(
        CASES["environment"].make, store="secretsmanager", secret_id="p/o", pin_secret_version="true"
    ),
    "rotate: environment to a parameter": rotation(CASES["environment"].make, store="ssm", secret_id="/p/o"),
    **{f"roll back: {name}": way_back(case.make, name != "environment") for name, case in CASES.items()},
}


def asked(lab: Stores, of: ModuleType, run: Callable[[Aws, Json], Json], **given: Any) -> Json:
    """A module's result, with another function behind it that lets the simulator's time pass."""
    capability = replace(of.CAPABILITY, run=lambda aws, options, _check, _say: run(aws, options))
    options = lab.validated(capability, {"cluster": "c", "variable": VARIABLE, **given})
    result: Json = capability.answer(options, check_mode=False, diff=False)
    assert_no_value(result)
    return result


def old_revisions(lab: Stores) -> Json:
    """Five revisions, of which the last two are needed."""
    lab.environment()
    for value in (NEW, OLD, THIRD, NEW):
        lab.register(containerDefinitions=with_value(lab.definition("s:1"), value))
    lab.ecs("UpdateService", cluster="c", service="s", taskDefinition="s:5")
    lab.sim.advance(900)
    return {}


def purge(lab: Stores, _given: Json) -> Json:
    def run(aws: Aws, options: Json) -> Json:
        return purge_function(aws, options, False, pause=lambda seconds: lab.sim.advance(seconds) and None)

    return asked(lab, ecs_revision_purge, run, service="s")


def purged(lab: Stores) -> list[str]:
    left = {number for number, status in state(lab, False).revisions.items() if status != "DELETE_IN_PROGRESS"}
    return [] if left == {4, 5} else [f"left are {sorted(left)}"]


SCENARIOS["purge"] = Scenario(old_revisions, (purge,), purged, secrets=False)


def rolling_out(lab: Stores) -> None:
    """Old tasks and new ones, and a line in the new ones' log."""
    lab.environment()
    lab.rotate()
    lab.sim.advance(45)
    lab.sim.log("c", "s", "openai.AuthenticationError: Error code: 401 - Incorrect API key provided")


def deadlocked(lab: Stores) -> None:
    """A service with one problem, and nothing to be warned of."""
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    percents = {"minimumHealthyPercent": 100, "maximumPercent": 100}
    lab.environment(service_options={"deploymentConfiguration": {**breaker, **percents}})


def info(lab: Stores) -> Json:
    def run(aws: Aws, options: Json) -> Json:
        return info_function(aws, options, now=lab.sim.now)

    return asked(lab, ecs_env_info, run, fingerprint=fingerprint(VARIABLE, OLD))


def scan(lab: Stores) -> Json:
    def run(aws: Aws, options: Json) -> Json:
        return scan_function(aws, options, clock=Clock(now=lab.sim.now))

    return asked(lab, ecs_log_scan, run, service="s", fail_on_match=False)


def preflight(lab: Stores) -> Json:
    return asked(lab, ecs_env_preflight, preflight_function, service="s", value=NEW, fail_on_problems=False)


READINGS = {
    "info": Reading(
        lambda lab: lab.environment(),
        info,
        lambda result: (
            sorted((one["kind"], one["id"]) for one in result["holders"]),
            [one["fingerprint"] for one in result["variables"]],
        ),
        lambda result: result["unverified"] and not result["clear"],
    ),
    "log scan": Reading(
        rolling_out,
        scan,
        lambda result: (result["matches_total"], result["scanned_streams"]),
        lambda result: result["unverified"] or result.get("warnings"),
    ),
    "preflight": Reading(
        deadlocked,
        preflight,
        lambda result: [one["check"] for one in result["problems"]],
        lambda result: result["permissions"]["unchecked"] or len(result["problems"]) > 1 or result.get("warnings"),
    ),
}


# One cell


def perform(lab: Stores, scenario: Scenario, given: Json) -> list[Did]:
    """One run: the modules up to the first that fails."""
    done: list[Did] = []
    for step in scenario.steps:
        before = state(lab, scenario.secrets)
        done.append(Did(step(lab, given), before, state(lab, scenario.secrets)))
        if done[-1].result.get("failed"):
            break
    return done


def recorded(lab: Stores) -> list[Spot]:
    """The collection's calls so far."""
    spots, seen = list[Spot](), Counter[tuple[str, str]]()
    for call in lab.calls():
        name = call["service"], call["operation"]
        seen[name] += 1
        spots.append(Spot(*name, seen[name], len(spots)))
    return spots


def record(lab: Stores, scenario: Scenario) -> tuple[list[Spot], tuple[int, int, int]]:
    """The calls of an undisturbed run, and how much there is afterwards."""
    given = prepared(lab, scenario)
    done = perform(lab, scenario, given)
    spots = recorded(lab)
    assert [one.result.get("msg") for one in done] == [None] * len(scenario.steps)
    assert scenario.wrong(lab) == []
    return spots, done[-1].after.counts


def prepared(lab: Stores, scenario: Scenario) -> Json:
    lab.sim.reset()
    given = scenario.make(lab)
    lab.sim.clear_calls()
    return given


def cell(lab: Stores, scenario: Scenario, spot: Spot, fault: Fault, counts: tuple[int, int, int]) -> Outcome:
    """Run with the fault, and once more where that fails."""
    given, outcome = prepared(lab, scenario), Outcome()
    before = state(lab, scenario.secrets)
    with struck(lab, spot, fault):
        first = perished(lab, scenario, given, fault) if fault.kills else perform(lab, scenario, given)
    for did in first:
        outcome.problems += dishonest(did, spot, fault)
    if fault.kills or first[-1].result.get("failed"):
        outcome.told = "killed" if fault.kills else str(first[-1].result["msg"])
        outcome.runs = 2
        lab.sim.advance(5)
        middle = state(lab, scenario.secrets)
        second = perform(lab, scenario, given)
        for did in second:
            outcome.problems += dishonest(did, spot, fault)
        if second[-1].result.get("failed"):
            outcome.problems.append(f"the second run failed: {second[-1].result['msg']}")
        outcome.problems += not_resumed(middle.done_since(before), second[0].result)
    outcome.problems += scenario.wrong(lab)
    after = state(lab, scenario.secrets).counts
    if after != counts:
        outcome.problems.append(f"revisions, deployments, versions are {after}, should be {counts}")
    return outcome


def reading_cell(lab: Stores, reading: Reading, spot: Spot, fault: Fault, proof: object) -> Outcome:
    """The same for what changes nothing: the proof, or that there is none, and the proof with the next run."""
    outcome = Outcome()
    with struck(lab, spot, fault):
        result = reading.read(lab)
    named = "ExpiredToken" if fault.everywhere else spot.call
    if result.get("failed") and named not in result["msg"]:
        outcome.problems.append(f"does not name {named}: {result['msg']}")
    if not result.get("failed") and reading.proof(result) != proof and not reading.doubt(result):
        outcome.problems.append(f"proves {reading.proof(result)} instead of {proof}")
    if result.get("failed") or reading.proof(result) != proof:
        outcome.runs, outcome.told = 2, str(result.get("msg") or reading.doubt(result))
        if reading.proof(reading.read(lab)) != proof:
            outcome.problems.append("the second run does not prove it either")
    return outcome


@contextlib.contextmanager
def struck(lab: Stores, spot: Spot, fault: Fault) -> Iterator[None]:
    """The fault strikes at the spot, and ends with this."""
    seconds = 600.0 if fault.kills else HANGS
    more: Json = {"after": spot.nth - 1, "seconds": seconds, "agent": OURS}
    if fault.everywhere:
        lab.sim.fault("*", fault.kind, times=None, service="*", **{**more, "after": spot.place})
    else:
        lab.sim.fault(spot.operation, fault.kind, times=fault.times, service=spot.service, **more)
    lab.connection = (
        {"aws_config": {"read_timeout": READ_TIMEOUT}} if fault.kind == "timeout" and not fault.kills else {}
    )
    try:
        with lab.quick_retries():
            yield
    finally:
        lab.connection = {}
        lab.sim.clear_faults()


def perished(lab: Stores, scenario: Scenario, given: Json, fault: Fault) -> list[Did]:
    """The run in a process of its own, which gets a SIGKILL as soon as a call hangs; it leaves no result."""
    process = os.fork()
    if process == 0:
        try:
            perform(lab, scenario, given)
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(0)
    until = time.monotonic() + 30
    while not lab.sim.hanging():
        assert time.monotonic() < until and os.waitpid(process, os.WNOHANG) == (0, 0), "it was over before"
        time.sleep(0.005)
    os.kill(process, signal.SIGKILL)
    assert os.waitpid(process, 0) == (process, signal.SIGKILL)
    return []


def dishonest(did: Did, spot: Spot, fault: Fault) -> list[str]:
    """What a result says otherwise than it is."""
    result, really = did.result, did.after.done_since(did.before)
    said = {"secret" if action in SECRET_ACTIONS else action for action in result.get("actions", [])}
    problems = []
    if said - really:
        problems.append(f"says {sorted(said - really)}, which was not done")
    if really - said and UNKNOWN not in result.get("msg", ""):
        problems.append(f"does not say that it did {sorted(really - said)}")
    if result["changed"] is not bool(result.get("actions")):
        problems.append(f"changed is {result['changed']} with actions {result.get('actions')}")
    if not result.get("failed"):
        return problems
    named = "ExpiredToken" if fault.everywhere else spot.call
    if named not in result["msg"]:
        problems.append(f"does not name {named}: {result['msg']}")
    if (
        said
        and "update_service" not in said
        and not re.search(r"next run goes on|run it again|[Rr]un again", result["msg"])
    ):
        problems.append(f"does not say how to go on: {result['msg']}")
    return problems


def not_resumed(done: set[str], second: Json) -> list[str]:
    """A run that goes on from what was done says so."""
    if not done or not second.get("actions") or "resumed" not in second or second["resumed"]:
        return []
    return [f"{sorted(done)} was found done, and resumed is false"]


# The table


@dataclass
class Row:
    """One fault in one scenario, over all of its calls."""

    scenario: str
    fault: str
    runs: Counter[int] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def add(self, spot: Spot, outcome: Outcome) -> None:
        self.runs[outcome.runs] += 1
        self.problems += [f"{self.fault} at {spot.call} no. {spot.nth}: {problem}" for problem in outcome.problems]


def worth(spots: Sequence[Spot]) -> list[Spot]:
    """The first and the last call of each operation: the polls of a wait between find the same."""
    last = {spot.call: spot.nth for spot in spots}
    return [spot for spot in spots if spot.nth in (1, last[spot.call])]


def some(spots: Sequence[Spot], fault: Fault, scenario: str) -> list[Spot]:
    """A few cells, the same ones every time, by their names: every lost answer to a store (those to ECS have tests in
    test_env_rotate.py), and more of what changes something than of what reads."""

    def chosen(spot: Spot) -> bool:
        if spot.changes and spot.service != "ecs" and fault.name == "answer lost":
            return True
        return zlib.crc32(f"{scenario}/{spot.call}/{fault.name}".encode()) % (48 if spot.changes else 240) == 0

    return [spot for spot in spots if spot.nth == 1 and chosen(spot)]


def markdown(rows: Sequence[Row], spots: Mapping[str, int]) -> str:
    """Scenarios down, faults across; a cell tells how many calls ended right after one run, and after two."""
    names = [fault.name for fault in FAULTS]
    lines = [f"| scenario (calls) | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for scenario, count in spots.items():
        cells = {row.fault: row for row in rows if row.scenario == scenario}
        shown = [
            f"{cells[name].runs[1]} + {cells[name].runs[2]}"
            + f" ({len(cells[name].problems)} wrong)" * bool(cells[name].problems)
            if name in cells
            else "-"
            for name in names
        ]
        lines.append(f"| {scenario} ({count}) | {' | '.join(shown)} |")
    return "\n".join(lines)
