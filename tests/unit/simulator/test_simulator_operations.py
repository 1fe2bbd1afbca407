# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Operations beside deployments: task definitions, tags, tasks, paging, failures, staleness, quirks."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from simulator.errors import ApiError


def _refused(lab: Any, operation: str, **body: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        lab.call(operation, **body)
    return caught.value


def test_raw_json_survives_at_any_depth(lab: Any) -> None:
    lab.register(inventedField={"deep": [1, {"er": True}]})
    answer = lab.call("DescribeTaskDefinition", taskDefinition="s")
    (container,) = answer["taskDefinition"]["containerDefinitions"]
    assert container["inventedField"] == {"deep": [1, {"er": True}]}
    assert container["essential"] is True
    assert answer["taskDefinition"]["status"] == "ACTIVE" and "tags" not in answer


def test_read_only_members_are_dropped_and_revisions_grow(lab: Any) -> None:
    body = lab.call("DescribeTaskDefinition", taskDefinition=lab.register())["taskDefinition"]
    again = lab.call("RegisterTaskDefinition", **body)["taskDefinition"]
    assert (body["revision"], again["revision"]) == (1, 2)


def test_tags_stand_beside_the_definition(lab: Any) -> None:
    containers = [{"name": "app", "image": "i"}]
    tags = [{"key": "a", "value": "b"}]
    made = lab.call("RegisterTaskDefinition", family="t", containerDefinitions=containers, tags=tags)
    assert made["tags"] == tags and "tags" not in made["taskDefinition"]
    arn = made["taskDefinition"]["taskDefinitionArn"]
    lab.call("TagResource", resourceArn=arn, tags=[{"key": "c", "value": "d"}])
    lab.call("UntagResource", resourceArn=arn, tagKeys=["a"])
    assert lab.call("DescribeTaskDefinition", taskDefinition="t", include=["TAGS"])["tags"] == [
        {"key": "c", "value": "d"}
    ]
    reserved = [{"key": "aws:x", "value": "y"}]
    error = _refused(lab, "RegisterTaskDefinition", family="t", containerDefinitions=containers, tags=reserved)
    assert error.code == "InvalidParameterException"


@pytest.mark.parametrize(
    ("container", "message"),
    [
        ({"secrets": [{"name": "OPENAI_API_KEY", "valueFrom": "x"}]}, "must be unique and not shared"),
        ({"secrets": [{"name": "OTHER", "valueFrom": "x"}]}, "must also specify a value for 'executionRoleArn'"),
        ({"image": ""}, "image should not be null"),
        ({"command": ["x" * 70000]}, "Max allowed length is '65536' bytes"),
    ],
)
def test_registrations_that_are_refused(lab: Any, container: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError, match=message) as caught:
        lab.register(**container)
    assert caught.value.code == "ClientException"


def test_deregistered_and_deleted_revisions(lab: Any) -> None:
    first, second = lab.register("1"), lab.register("2")
    lab.call("DeregisterTaskDefinition", taskDefinition=second)
    assert lab.call("DescribeTaskDefinition", taskDefinition="s")["taskDefinition"]["taskDefinitionArn"] == first
    assert lab.call("DescribeTaskDefinition", taskDefinition=second)["taskDefinition"]["status"] == "INACTIVE"
    assert lab.call("ListTaskDefinitions", familyPrefix="s", status="INACTIVE")["taskDefinitionArns"] == [second]
    assert lab.call("DeleteTaskDefinitions", taskDefinitions=[first])["failures"]
    lab.call("DeleteTaskDefinitions", taskDefinitions=[second])
    assert _refused(lab, "DescribeTaskDefinition", taskDefinition=second).code == "ClientException"
    assert lab.register("3").endswith(":3")


def test_a_deleted_revision_lives_as_long_as_somebody_uses_it(lab: Any) -> None:
    old = lab.environment(desired=1)["task_definition"]
    (alone,) = lab.call("RunTask", cluster="c", taskDefinition="s")["tasks"]
    lab.rotate()
    lab.call("DeregisterTaskDefinition", taskDefinition=old)

    def status() -> str:
        return str(lab.call("DescribeTaskDefinition", taskDefinition=old)["taskDefinition"]["status"])

    def listed(wanted: str) -> Any:
        return lab.call("ListTaskDefinitions", familyPrefix="s", status=wanted)["taskDefinitionArns"]

    (deleted,) = lab.call("DeleteTaskDefinitions", taskDefinitions=[old])["taskDefinitions"]
    assert (deleted["status"], status(), listed("DELETE_IN_PROGRESS")) == (*["DELETE_IN_PROGRESS"] * 2, [old])
    assert listed("INACTIVE") == []
    error = _refused(lab, "UpdateService", cluster="c", service="s", taskDefinition=old)
    assert (error.code, error.message) == ("ClientException", "TaskDefinition is inactive")
    lab.after(300)
    assert status() == "DELETE_IN_PROGRESS"
    lab.call("StopTask", cluster="c", task=alone["taskArn"])
    lab.after(300)
    assert _refused(lab, "DescribeTaskDefinition", taskDefinition=old).code == "ClientException"
    assert listed("DELETE_IN_PROGRESS") == []


def test_what_can_not_be_deleted(lab: Any) -> None:
    arn = lab.register()
    active, missing = lab.call("DeleteTaskDefinitions", taskDefinitions=[arn, "none:1"])["failures"]
    assert active["arn"] == arn and "still in ACTIVE status" in active["reason"]
    assert missing == {"arn": "none:1", "reason": "MISSING"}
    assert _refused(lab, "DeleteTaskDefinitions", taskDefinitions=[arn] * 11).code == "InvalidParameterException"
    lab.call("DeregisterTaskDefinition", taskDefinition=arn)
    lab.call("DeleteTaskDefinitions", taskDefinitions=[arn])
    assert lab.call("ListTaskDefinitionFamilies", status="ALL")["families"] == []


def test_pages(lab: Any) -> None:
    for index in range(5):
        lab.register(str(index))
    first = lab.call("ListTaskDefinitions", familyPrefix="s", sort="DESC", maxResults=3)
    rest = lab.call("ListTaskDefinitions", familyPrefix="s", sort="DESC", maxResults=3, nextToken=first["nextToken"])
    arns = first["taskDefinitionArns"] + rest["taskDefinitionArns"]
    assert [arn.rsplit(":", 1)[1] for arn in arns] == ["5", "4", "3", "2", "1"] and "nextToken" not in rest


def test_failures_come_in_the_answer(lab: Any) -> None:
    lab.environment()
    assert lab.call("DescribeServices", cluster="c", services=["s", "nope"])["failures"] == [
        {"arn": "arn:aws:ecs:us-east-1:123456789012:service/c/nope", "reason": "MISSING"}
    ]
    assert lab.call("DescribeTasks", cluster="c", tasks=["0" * 32])["failures"][0]["reason"] == "MISSING"
    assert lab.call("DescribeServiceDeployments", serviceDeploymentArns=["nope"])["failures"]
    assert _refused(lab, "DescribeServices", cluster="c", services=["s"] * 11).code == "InvalidParameterException"
    assert _refused(lab, "DescribeServices", cluster="no", services=["s"]).code == "ClusterNotFoundException"
    assert _refused(lab, "UpdateService", cluster="c", service="no").code == "ServiceNotFoundException"
    assert _refused(lab, "Explode").code == "UnknownOperationException"


def test_a_deleted_service_drains_and_refuses_updates(lab: Any) -> None:
    lab.environment()
    assert _refused(lab, "DeleteService", cluster="c", service="s").code == "InvalidParameterException"
    lab.call("DeleteService", cluster="c", service="s", force=True)
    assert _refused(lab, "UpdateService", cluster="c", service="s").code == "ServiceNotActiveException"
    assert lab.after(100)["status"] == "INACTIVE"


def test_standalone_tasks(lab: Any) -> None:
    lab.environment()
    overrides = {"containerOverrides": [{"name": "app", "environment": [{"name": "A", "value": "b"}]}]}
    (task,) = lab.call("RunTask", cluster="c", taskDefinition="s", startedBy="me", overrides=overrides)["tasks"]
    assert task["group"] == "family:s" and task["overrides"] == overrides
    lab.after(60)
    assert lab.call("ListTasks", cluster="c", startedBy="me")["taskArns"] == [task["taskArn"]]
    assert len(lab.call("ListTasks", cluster="c", family="s")["taskArns"]) == 3
    lab.call("StopTask", cluster="c", task=task["taskArn"])
    lab.after(60)
    assert lab.call("DescribeTasks", cluster="c", tasks=[task["taskArn"]])["tasks"][0]["lastStatus"] == "STOPPED"


def test_task_protection(lab: Any) -> None:
    lab.environment(desired=1)
    arn = lab.tasks()[0]["taskArn"]
    answer = lab.call("UpdateTaskProtection", cluster="c", tasks=[arn, "0" * 32], protectionEnabled=True)
    assert answer["protectedTasks"][0]["protectionEnabled"] and answer["failures"][0]["reason"] == "MISSING"
    lab.rotate()
    assert len(lab.after(1000)["deployments"]) == 2
    lab.call("UpdateTaskProtection", cluster="c", tasks=[arn], protectionEnabled=False)
    assert len(lab.after(100)["deployments"]) == 1


def test_a_stale_answer_hides_the_newest(lab: Any) -> None:
    made = lab.environment()
    new = lab.rotate()
    lab.stale = True
    service = lab.after(0)
    assert service["taskDefinition"] == made["task_definition"]
    assert [one["id"] for one in service["deployments"]] == [made["deployment_id"]]
    assert lab.record()["status"] == "SUCCESSFUL"
    assert _refused(lab, "DescribeTaskDefinition", taskDefinition="s:2").code == "ClientException"
    lab.stale = False
    assert lab.after(0)["deployments"][0]["id"] == new["id"]


def test_emulators_quirks(lab: Any) -> None:
    region = lab.context.region
    region.quirks = dataclasses.replace(region.quirks, started_by="service_name", service_deployments="empty")
    lab.environment()
    assert {task["startedBy"] for task in lab.tasks()} == {"s"}
    assert lab.call("ListServiceDeployments", cluster="c", service="s")["serviceDeployments"] == []
    assert "currentServiceDeployment" not in lab.after(0)
    lab.service.quirks = dataclasses.replace(region.quirks, service_deployments="missing")
    assert _refused(lab, "ListServiceDeployments", cluster="c", service="s").code == "UnknownOperationException"


def test_task_sets_of_an_external_service(lab: Any) -> None:
    options = {"deploymentController": {"type": "EXTERNAL"}}
    made = lab.environment(service_options=options)
    lab.call("CreateTaskSet", cluster="c", service="s", taskDefinition=lab.register(), externalId="x")
    lab.after(100)
    first, second = lab.call("DescribeTaskSets", cluster="c", service="s")["taskSets"][::-1]
    assert (first["status"], second["status"]) == ("PRIMARY", "ACTIVE")
    assert first["taskDefinition"] == made["task_definition"] and second["runningCount"] == 2
    assert "taskDefinition" not in lab.after(0)


def test_service_revisions(lab: Any) -> None:
    made = lab.environment()
    arn = f"arn:aws:ecs:us-east-1:123456789012:service-revision/c/s/{made['deployment_id'].split('/')[1]}"
    (revision,) = lab.call("DescribeServiceRevisions", serviceRevisionArns=[arn])["serviceRevisions"]
    assert revision["taskDefinition"] == made["task_definition"]
