# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What must hold for any service, ending and rhythm of polling."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.endings import CAUSES, ENDINGS

_OVER = ("SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED")
_QUIET = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
_percentages = st.tuples(st.integers(0, 100), st.integers(100, 200))
_rhythm = st.lists(st.floats(0.1, 200), min_size=1, max_size=25)


def _prepare(new_lab: Any, desired: int, bounds: tuple[int, int], ending: str, cause: str, breaker: bool) -> Any:
    lab = new_lab()
    configuration = {
        "minimumHealthyPercent": bounds[0],
        "maximumPercent": bounds[1],
        "deploymentCircuitBreaker": {"enable": breaker, "rollback": breaker},
    }
    lab.environment(desired=desired, service_options={"deploymentConfiguration": configuration})
    lab.script(ending, cause=cause, bake_minutes=1.0)
    lab.rotate()
    return lab


_case = {
    "desired": st.integers(0, 6),
    "bounds": _percentages,
    "ending": st.sampled_from(ENDINGS),
    "cause": st.sampled_from(sorted(CAUSES)),
    "breaker": st.booleans(),
}


@_QUIET
@given(**_case, rhythm=_rhythm)
def test_how_often_one_looks_changes_nothing(new_lab: Any, rhythm: list[float], **case: Any) -> None:
    watched, left_alone = _prepare(new_lab, **case), _prepare(new_lab, **case)
    for pause in rhythm:
        watched.after(pause)
    left_alone.now = watched.now
    assert watched.after(0) == left_alone.after(0)
    assert watched.record() == left_alone.record()
    assert watched.tasks("STOPPED") == left_alone.tasks("STOPPED")


@_QUIET
@given(**_case, rhythm=_rhythm, again=st.integers(0, 24))
def test_what_every_answer_satisfies(new_lab: Any, rhythm: list[float], again: int, **case: Any) -> None:
    lab = _prepare(new_lab, **case)
    ended: dict[str, str] = {}
    for position, pause in enumerate(rhythm):
        if position == again:
            lab.rotate()
        service = lab.after(pause)
        statuses = [one["status"] for one in service["deployments"]]
        assert statuses[0] == "PRIMARY" and statuses.count("PRIMARY") == 1
        assert service["taskDefinition"] == service["deployments"][0]["taskDefinition"]
        ids = {one["id"] for one in service["deployments"]}
        assert {task["startedBy"] for task in lab.tasks()} <= ids
        for one in lab.call("ListServiceDeployments", cluster="c", service="s")["serviceDeployments"]:
            arn = one["serviceDeploymentArn"]
            assert ended.get(arn, one["status"]) == one["status"]
            if one["status"] in _OVER:
                ended[arn] = one["status"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_later_deployment_mends_every_ending(lab: Any, ending: str) -> None:
    lab.environment()
    lab.script(ending, cause="image_pull", rollback=False)
    lab.rotate()
    lab.after(100)
    final = lab.rotate()
    service = lab.after(4 * 3600)
    assert [(one["id"], one["rolloutState"]) for one in service["deployments"]] == [(final["id"], "COMPLETED")]
