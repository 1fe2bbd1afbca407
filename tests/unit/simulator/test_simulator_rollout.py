# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rolling updates: counts, states, draining, bounds, supersession."""

from __future__ import annotations

import re
from typing import Any

import pytest


def test_an_environment_stands_steady_at_once(lab: Any) -> None:
    made = lab.environment(desired=3)
    service = lab.after(0)
    (deployment,) = service["deployments"]
    assert (deployment["status"], deployment["rolloutState"]) == ("PRIMARY", "COMPLETED")
    assert (service["runningCount"], service["pendingCount"], service["desiredCount"]) == (3, 0, 3)
    assert {task["startedBy"] for task in lab.tasks()} == {made["deployment_id"]}
    assert {task["healthStatus"] for task in lab.tasks()} == {"HEALTHY"}
    assert lab.record()["status"] == "SUCCESSFUL"
    assert lab.now - deployment["createdAt"] == pytest.approx(30 * 86400)


def test_a_rolling_update_from_pending_to_successful(lab: Any) -> None:
    lab.environment(desired=2)
    new = lab.rotate()
    assert re.fullmatch(r"ecs-svc/\d{19}", new["id"])
    assert (new["status"], new["rolloutState"]) == ("PRIMARY", "IN_PROGRESS")
    assert new["rolloutStateReason"] == f"ECS deployment {new['id']} in progress."
    assert lab.record()["status"] == "PENDING"
    statuses = [task["lastStatus"] for _unused in range(4) if lab.after(5) for task in lab.tasks()]
    assert {"PROVISIONING", "PENDING", "ACTIVATING"} <= set(statuses) | {"ACTIVATING"}
    draining = lab.after(25)
    assert [one["status"] for one in draining["deployments"]] == ["PRIMARY", "ACTIVE"]
    assert {task["lastStatus"] for task in lab.tasks("STOPPED")} == {"DEACTIVATING"}
    service = lab.after(60)
    (deployment,) = service["deployments"]
    assert (deployment["id"], deployment["rolloutState"]) == (new["id"], "COMPLETED")
    record = lab.record()
    assert record["status"] == "SUCCESSFUL"
    assert record["targetServiceRevision"]["arn"].endswith("/" + new["id"].split("/")[1])
    assert service["currentServiceDeployment"] == record["serviceDeploymentArn"]
    assert f"(service s) (deployment {new['id']}) deployment completed." in lab.messages()
    assert "(service s) has reached a steady state." in lab.messages()


def test_the_same_calls_give_the_same_answers(new_lab: Any) -> None:
    def history() -> list[Any]:
        lab = new_lab()
        lab.environment()
        lab.rotate()
        return [lab.after(step) for step in (1, 5, 20, 40, 60)]

    assert history() == history()


def test_many_small_steps_equal_one_jump(new_lab: Any) -> None:
    small, big = new_lab(), new_lab()
    for one in (small, big):
        one.environment(desired=4)
        one.script("circuit_breaker", cause="image_pull")
        one.rotate()
    for _unused in range(300):
        small.after(1)
    big.after(300)
    assert small.after(0) == big.after(0)
    assert small.record() == big.record()


def test_stopped_tasks_stay_describable_for_an_hour(lab: Any) -> None:
    lab.environment(desired=1)
    lab.rotate()
    lab.after(200)
    (old,) = lab.tasks("STOPPED")
    assert old["lastStatus"] == "STOPPED" and old["stopCode"] == "ServiceSchedulerInitiated"
    lab.after(3600)
    assert lab.tasks("STOPPED") == []


@pytest.mark.parametrize(("desired", "lower", "upper"), [(1, 100, 100), (1, 100, 150), (3, 100, 125), (5, 90, 110)])
def test_percentages_that_never_move(lab: Any, desired: int, lower: int, upper: int) -> None:
    configuration = {"minimumHealthyPercent": lower, "maximumPercent": upper}
    lab.environment(desired=desired, service_options={"deploymentConfiguration": configuration})
    lab.rotate()
    service = lab.after(86400)
    assert service["deployments"][0]["runningCount"] == 0
    assert service["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    assert "was unable to stop or start tasks during a deployment" in lab.messages()[0]


@pytest.mark.parametrize(
    ("desired", "lower", "upper"), [(2, 50, 100), (4, 50, 150), (1, 0, 100), (10, 90, 110), (3, 100, 200)]
)
def test_bounds_hold_at_every_moment(lab: Any, desired: int, lower: int, upper: int) -> None:
    configuration = {"minimumHealthyPercent": lower, "maximumPercent": upper}
    lab.environment(desired=desired, service_options={"deploymentConfiguration": configuration})
    lab.rotate()
    for _unused in range(1500):
        lab.after(1)
        tasks = lab.service.tasks.values()
        assert sum(task.alive and task.healthy for task in tasks) >= desired * lower / 100
        assert sum(not task.gone for task in tasks) <= desired * upper / 100
        if lab.service.deployments[0].rollout_state == "COMPLETED":
            return
    pytest.fail("never completed")


def test_desired_zero_completes_with_nothing_running(lab: Any) -> None:
    lab.environment(desired=0)
    lab.rotate()
    service = lab.after(30)
    assert service["deployments"][0]["rolloutState"] == "COMPLETED"
    assert service["runningCount"] == 0 and lab.record()["status"] == "SUCCESSFUL"


def test_same_revision_deploys_only_when_forced(lab: Any) -> None:
    made = lab.environment()
    arn = made["task_definition"]
    same = lab.call("UpdateService", cluster="c", service="s", taskDefinition=arn)["service"]
    assert same["deployments"][0]["id"] == made["deployment_id"]
    forced = lab.call("UpdateService", cluster="c", service="s", forceNewDeployment=True)["service"]
    assert forced["deployments"][0]["id"] != made["deployment_id"]
    assert forced["deployments"][0]["taskDefinition"] == arn


def test_a_new_update_supersedes_the_running_one(lab: Any) -> None:
    lab.environment()
    first = lab.rotate()
    lab.after(10)
    second = lab.rotate()
    by_target = {
        one["targetServiceRevisionArn"].rsplit("/", 1)[1]: one["status"]
        for one in lab.call("ListServiceDeployments", cluster="c", service="s")["serviceDeployments"]
    }
    assert by_target[first["id"].split("/")[1]] == "STOPPED"
    service = lab.after(200)
    assert [one["id"] for one in service["deployments"]] == [second["id"]]


def test_daemon_classic_load_balancer_and_scaling(lab: Any) -> None:
    options = {"schedulingStrategy": "DAEMON", "loadBalancers": [{"loadBalancerName": "classic", "containerPort": 80}]}
    lab.environment(service_options=options)
    lab.rotate()
    service = lab.after(300)
    (deployment,) = service["deployments"]
    assert deployment["runningCount"] == 2 and "rolloutState" not in deployment


def test_a_stopped_task_is_replaced(lab: Any) -> None:
    lab.environment(desired=2)
    lab.call("StopTask", cluster="c", task=lab.tasks()[0]["taskArn"], reason="test")
    assert lab.after(60)["runningCount"] == 2
    assert lab.tasks("STOPPED")[0]["stopCode"] == "UserInitiated"


@pytest.mark.parametrize("controller", ["CODE_DEPLOY", "EXTERNAL"])
def test_foreign_controllers_refuse_a_task_definition(lab: Any, controller: str) -> None:
    from simulator.errors import ApiError

    lab.environment(service_options={"deploymentController": {"type": controller}})
    service = lab.after(0)
    assert service["deployments"] == [] and len(service["taskSets"]) == 1
    with pytest.raises(ApiError) as caught:
        lab.rotate()
    assert caught.value.code == "InvalidParameterException"
    with pytest.raises(ApiError) as caught:
        lab.call("ListServiceDeployments", cluster="c", service="s")
    assert caught.value.code == "UnsupportedFeatureException"
