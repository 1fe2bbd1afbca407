# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every scripted ending."""

from __future__ import annotations

from typing import Any

import pytest

CAUSES = {
    "image_pull": ("TaskFailedToStart", "CannotPullContainerError: ", None),
    "secret_access": ("TaskFailedToStart", "ResourceInitializationError: unable to pull secrets", None),
    "out_of_memory": ("EssentialContainerExited", "Essential container in task exited", 137),
    "container_exit": ("EssentialContainerExited", "Essential container in task exited", 3),
    "health_check": ("ServiceSchedulerInitiated", "Task failed container health checks", 137),
    "load_balancer_health": ("ServiceSchedulerInitiated", "Task failed ELB health checks in (target-group ", 137),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_circuit_breaker_rolls_back(lab: Any, cause: str) -> None:
    made = lab.environment()
    exit_code = 3 if cause == "container_exit" else None
    lab.script("circuit_breaker", cause=cause, exit_code=exit_code)
    failed = lab.rotate()
    service = lab.after(600)
    (deployment,) = service["deployments"]
    assert (deployment["id"], deployment["status"]) == (made["deployment_id"], "PRIMARY")
    assert deployment["rolloutState"] == "COMPLETED"
    assert service["taskDefinition"] == made["task_definition"]
    record = lab.record()
    assert record["status"] == "ROLLBACK_SUCCESSFUL"
    assert record["rollback"]["serviceRevisionArn"].endswith(made["deployment_id"].split("/")[1])
    breaker = record["deploymentCircuitBreaker"]
    assert (breaker["status"], breaker["threshold"]) == ("TRIGGERED", 3) and breaker["failureCount"] >= 3
    stop_code, reason, code = CAUSES[cause]
    dead = [task for task in lab.tasks("STOPPED") if task["startedBy"] == failed["id"]]
    assert len([task for task in dead if task["stopCode"] == stop_code]) >= 3
    task = next(task for task in dead if task["stoppedReason"].startswith(reason))
    assert task["containers"][0].get("exitCode") == code
    assert f"(service s) (deployment {failed['id']}) deployment failed: tasks failed to start." in lab.messages()
    assert f"(service s) rolling back to deployment {made['deployment_id']}." in lab.messages()


def test_circuit_breaker_without_rollback_ends_failed(lab: Any) -> None:
    lab.environment()
    lab.script("circuit_breaker", cause="image_pull", rollback=False)
    failed = lab.rotate()
    service = lab.after(3000)
    primary, old = service["deployments"]
    assert (primary["id"], primary["rolloutState"]) == (failed["id"], "FAILED")
    assert primary["rolloutStateReason"] == "ECS deployment circuit breaker: tasks failed to start."
    assert old["status"] == "ACTIVE" and old["runningCount"] == 2
    assert lab.record()["status"] == "STOPPED"


def test_a_crash_loop_without_breaker_goes_on_for_ever(lab: Any) -> None:
    lab.environment()
    lab.script("crash_loop", cause="container_exit", exit_code=1)
    lab.rotate()
    service = lab.after(86400)
    assert service["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    assert service["deployments"][0]["failedTasks"] > 10
    assert service["deployments"][1]["runningCount"] == 2
    assert "(service s) is unable to consistently start tasks successfully." in lab.messages()


def test_a_crash_loop_that_recovers(lab: Any) -> None:
    lab.environment()
    lab.script("crash_loop", cause="out_of_memory", failing_tasks=2)
    lab.rotate()
    service = lab.after(600)
    assert service["deployments"][0]["rolloutState"] == "COMPLETED"
    assert service["deployments"][0]["failedTasks"] == 0


def test_no_capacity_waits_until_there_is_room(lab: Any) -> None:
    lab.environment(service_options={"launchType": "EC2"})
    lab.script("no_capacity", capacity_after=1000)
    lab.rotate()
    service = lab.after(900)
    assert service["deployments"][0]["runningCount"] == service["deployments"][0]["pendingCount"] == 0
    assert "was unable to place a task because no container instance met all of its requirements." in lab.messages()[0]
    assert lab.after(300)["deployments"][0]["rolloutState"] == "COMPLETED"


def test_superseded_by_someone_else(lab: Any) -> None:
    made = lab.environment()
    lab.script("superseded", after=20)
    mine = lab.rotate()
    service = lab.after(21)
    assert service["deployments"][0]["id"] not in (mine["id"], made["deployment_id"])
    assert service["taskDefinition"] == made["task_definition"]
    mine_record = lab.call("ListServiceDeployments", cluster="c", service="s")["serviceDeployments"][1]
    assert mine_record["status"] == "STOPPED"
    assert lab.after(300)["deployments"][0]["rolloutState"] == "COMPLETED"


@pytest.mark.parametrize("strategy", ["BLUE_GREEN", "LINEAR", "CANARY"])
def test_stages_of_a_blue_green_deployment(lab: Any, strategy: str) -> None:
    made = lab.environment()
    lab.script("blue_green", strategy=strategy, bake_minutes=2)
    new = lab.rotate()
    seen: list[str] = []
    service = lab.after(0)
    for _unused in range(700):
        service = lab.after(1)
        stage = lab.record().get("lifecycleStage")
        if stage and (not seen or seen[-1] != stage):
            seen.append(stage)
        if stage == "BAKE_TIME":
            assert {task["startedBy"] for task in lab.tasks()} == {new["id"], made["deployment_id"]}
        if lab.record()["status"] == "SUCCESSFUL":
            break
    assert seen[-3:] == ["POST_PRODUCTION_TRAFFIC_SHIFT", "BAKE_TIME", "CLEAN_UP"]
    assert lab.record()["status"] == "SUCCESSFUL"
    assert [one["id"] for one in service["deployments"]] == [new["id"]]


@pytest.mark.parametrize(("action", "status"), [("CONTINUE", "SUCCESSFUL"), ("ROLLBACK", "ROLLBACK_SUCCESSFUL")])
def test_a_paused_hook_waits_for_an_answer(lab: Any, action: str, status: str) -> None:
    lab.environment()
    lab.script("blue_green", bake_minutes=0, hook_stage="POST_SCALE_UP")
    lab.rotate()
    lab.after(20000)
    record = lab.record()
    (hook,) = record["lifecycleHookDetails"]
    assert (record["status"], hook["status"]) == ("IN_PROGRESS", "AWAITING_ACTION")
    arn = record["serviceDeploymentArn"]
    lab.call("ContinueServiceDeployment", serviceDeploymentArn=arn, hookId=hook["hookId"], action=action)
    lab.after(300)
    assert lab.record()["status"] == status


def test_a_paused_hook_times_out_into_a_rollback(lab: Any) -> None:
    made = lab.environment()
    lab.script("blue_green", hook_stage="PRE_SCALE_UP")
    lab.rotate()
    service = lab.after(25 * 3600)
    assert lab.record()["status"] == "ROLLBACK_SUCCESSFUL"
    assert service["deployments"][0]["id"] == made["deployment_id"]


def test_deferred_cleanup_succeeds_before_the_old_tasks_go(lab: Any) -> None:
    made = lab.environment()
    lab.script("deferred_cleanup", linger=500)
    lab.rotate()
    service = lab.after(100)
    assert lab.record()["status"] == "SUCCESSFUL" and service["deployments"][0]["rolloutState"] == "COMPLETED"
    assert made["deployment_id"] in {task["startedBy"] for task in lab.tasks()}
    assert len(service["deployments"]) == 2
    assert len(lab.after(700)["deployments"]) == 1


@pytest.mark.parametrize(("rollback", "status"), [(True, "ROLLBACK_SUCCESSFUL"), (False, "STOPPED")])
def test_an_alarm_ends_the_deployment(lab: Any, rollback: bool, status: str) -> None:
    lab.environment()
    lab.script("alarm", after=200, alarm_names=("errors",), rollback=rollback)
    failed = lab.rotate()
    lab.after(600)
    record = lab.record()
    assert record["status"] == status
    assert record["alarms"]["triggeredAlarmNames"] == ["errors"]
    assert f"(service s) (deployment {failed['id']}) deployment failed: alarm detected." in lab.messages()


def test_protected_tasks_hold_the_deployment_up(lab: Any) -> None:
    made = lab.environment()
    lab.script("task_protection", protect_minutes=60, protect_tasks=1)
    lab.rotate()
    service = lab.after(1800)
    assert service["deployments"][0]["rolloutState"] == "IN_PROGRESS"
    assert [task["startedBy"] for task in lab.tasks()].count(made["deployment_id"]) == 1
    assert lab.after(1900)["deployments"][0]["rolloutState"] == "COMPLETED"


def test_stop_service_deployment_rolls_back(lab: Any) -> None:
    made = lab.environment()
    lab.rotate()
    lab.after(10)
    arn = lab.record()["serviceDeploymentArn"]
    lab.call("StopServiceDeployment", serviceDeploymentArn=arn, stopType="ROLLBACK")
    assert lab.record()["status"] == "ROLLBACK_REQUESTED"
    service = lab.after(300)
    assert lab.record()["status"] == "ROLLBACK_SUCCESSFUL"
    assert service["deployments"][0]["id"] == made["deployment_id"]


def test_thresholds(lab: Any) -> None:
    from simulator.engine.outcome import threshold

    lab.environment(desired=10)
    breaker = {"enable": True, "rollback": True}
    for settings, wanted in (
        ({}, 5),
        ({"type": "COUNT", "value": 7}, 7),
        ({"type": "BOUNDED_PERCENT", "value": 10}, 3),
        ({"type": "UNBOUNDED_PERCENT", "value": 10}, 1),
    ):
        lab.service.configuration["deploymentCircuitBreaker"] = {**breaker, "thresholdConfiguration": settings}
        assert threshold(lab.service) == wanted


def test_unknown_endings_are_refused() -> None:
    from simulator.endings import from_json

    with pytest.raises(ValueError, match="unknown ending"):
        from_json({"ending": "explodes"})
    with pytest.raises(ValueError, match="unknown script parameters: bang"):
        from_json({"bang": 1})
