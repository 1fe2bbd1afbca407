# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`ecs_env_rotate` changes one value and nothing else, once, whatever AWS answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint
from fakes.model import CURRENT, RECORDS
from integration.support import (
    ENVIRONMENT,
    NEIGHBOUR,
    NEW,
    OLD,
    THIRD,
    VARIABLE,
    Json,
    Lab,
    environment_of,
    forgetful,
    standing_still,
    with_value,
)
from simulator import Simulator

READ_ONLY = ("taskDefinitionArn", "revision", "registeredAt", "registeredBy")
BOTH = ["register_task_definition", "update_service"]


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with standing_still() as sim:
        yield sim


@pytest.fixture
def lab(simulator: Simulator) -> Lab:
    return Lab(simulator)


def container(name: str, **environment: str) -> Json:
    return {"name": name, "environment": [{"name": key, "value": value} for key, value in environment.items()]}


def only_the_value_differs(lab: Lab, before: str = "s:1", after: str = "s:2", value: str = NEW) -> None:
    """The raw JSON of two revisions is the same, members and order, but for the value and what ECS counts."""
    old, new = lab.definition(before), lab.definition(after)
    old["containerDefinitions"] = with_value(old, value)
    for name in READ_ONLY:
        old.pop(name), new.pop(name)
    assert new == old
    for one, other in zip(old["containerDefinitions"], new["containerDefinitions"], strict=True):
        assert [entry["name"] for entry in one["environment"]] == [entry["name"] for entry in other["environment"]]


# Lossless


def test_one_value_changes_and_nothing_else(lab: Lab) -> None:
    made = lab.environment()
    result = lab.rotate()
    assert (result["changed"], result["resumed"], result["actions"]) == (True, False, BOTH)
    assert result["previous_task_definition"] == made["task_definition"]
    assert result["task_definition"].endswith("/s:2")
    assert result["deployment_id"] == lab.service()["deployments"][0]["id"] != made["deployment_id"]
    assert result["service_deployment_arn"] == lab.service()["currentServiceDeployment"]
    assert (result["fingerprint"], result["previous_fingerprint"]) == (
        fingerprint(VARIABLE, NEW),
        fingerprint(VARIABLE, OLD),
    )
    assert lab.service()["taskDefinition"] == result["task_definition"]
    assert environment_of(lab.definition("s:2")) == {**ENVIRONMENT, VARIABLE: NEW}
    only_the_value_differs(lab)


@pytest.mark.needs("ecs:RegisterTaskDefinition.enableFaultInjection")
def test_a_rich_definition_is_carried_over(lab: Lab) -> None:
    """Members of every kind and depth that RegisterTaskDefinition takes."""
    rich = {
        **container("app", A="1", **ENVIRONMENT, Z="9"),
        "secrets": [{"name": "DB", "valueFrom": "arn:aws:ssm:us-east-1:123456789012:parameter/db"}],
        "dependsOn": [{"containerName": "sidecar", "condition": "HEALTHY"}],
        "healthCheck": {"command": ["CMD", "true"], "interval": 5, "startPeriod": 0},
        "linuxParameters": {"initProcessEnabled": False, "capabilities": {"add": [], "drop": ["ALL"]}},
        "ulimits": [{"name": "nofile", "softLimit": 1024, "hardLimit": 4096}],
        "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/ecs/s", "mode": "non-blocking"}},
        "dockerLabels": {"a": "", "b": "2"},
        "restartPolicy": {"enabled": True, "ignoredExitCodes": [0], "restartAttemptPeriod": 60},
        "stopTimeout": 0,
        "versionConsistency": "disabled",
    }
    options = {
        "taskRoleArn": "arn:aws:iam::123456789012:role/task",
        "volumes": [{"name": "data", "efsVolumeConfiguration": {"fileSystemId": "fs-1", "rootDirectory": "/"}}],
        "ephemeralStorage": {"sizeInGiB": 30},
        "runtimePlatform": {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"},
        "enableFaultInjection": False,
    }
    lab.environment(containers=[rich, container("sidecar", X="y")], task_definition_options=options)
    result = lab.rotate()
    assert (result["containers"], result.get("warnings")) == (["app"], None)
    only_the_value_differs(lab)


INVENTED: dict[str, list[tuple[list[str | int], Any]]] = {
    "at the top": [(["inventedAtTop"], {"deep": [1, {"deeper": None}], "flag": False})],
    "in a container": [(["containerDefinitions", 0, "inventedInContainer"], "text")],
    "nested": [(["containerDefinitions", 0, "healthCheck", "inventedNested"], 1.5)],
    "in an entry of the environment": [(["containerDefinitions", 0, "environment", 0, "inventedInEntry"], True)],
    "everywhere": [
        (["inventedAtTop"], []),
        (["containerDefinitions", 0, "inventedInContainer"], {"é": "ü"}),
        (["containerDefinitions", 0, "healthCheck", "inventedNested"], 0),
    ],
}


@pytest.mark.parametrize("patches", INVENTED.values(), ids=INVENTED)
def test_fields_that_botocore_does_not_know_are_carried_over(lab: Lab, patches: list[tuple[list[Any], Any]]) -> None:
    lab.environment()
    for path, value in patches:
        lab.sim.patch_task_definition("s:1", path, value)
    result = lab.rotate()
    assert result["actions"] == BOTH
    only_the_value_differs(lab)
    for path, _value in patches:
        assert str(path[-1]) in result["warnings"][0]
    assert lab.rotate()["changed"] is False


PATHS = {
    "at the top": (["invented"], "invented"),
    "in a container": (["containerDefinitions", 0, "invented"], "containerDefinitions[0].invented"),
    "nested": (["containerDefinitions", 0, "healthCheck", "invented"], "containerDefinitions[0].healthCheck.invented"),
}


@pytest.mark.parametrize(("path", "named"), PATHS.values(), ids=PATHS)
def test_a_field_that_ecs_does_not_keep_is_refused_by_its_path_and_once(lab: Lab, path: list[Any], named: str) -> None:
    lab.environment()
    lab.sim.patch_task_definition("s:1", path, {"x": 1})
    with forgetful(lab.sim.url, "invented") as url:
        first = lab.rotate(endpoint_url=url)
        second = lab.rotate(endpoint_url=url)
    for result in (first, second):
        assert result["failed"] is True
        assert f"did not keep {named}," in result["msg"]
    assert (first["changed"], first["actions"]) == (True, ["register_task_definition"])
    assert (second["changed"], second["actions"]) == (False, [])
    assert lab.revisions() == [1, 2]
    assert lab.service()["taskDefinition"].endswith(":1")


def test_tags_are_carried_over_without_those_of_aws_and_with_the_operators(lab: Lab) -> None:
    lab.environment(tags=[{"key": "team", "value": "search"}, {"key": "tier", "value": ""}])
    lab.rotate(tags={"team": "api", "ticket": "OPS-1"})
    assert lab.tags("s:2") == {"team": "api", "tier": "", "ticket": "OPS-1"}


def test_tags_alone_are_no_reason_for_a_revision(lab: Lab) -> None:
    lab.environment()
    assert lab.rotate(value=OLD, tags={"ticket": "OPS-1"})["changed"] is False


def test_the_tags_that_aws_sets_are_dropped(lab: Lab) -> None:
    """The simulator refuses to store such tags, so they are put into the answer."""
    lab.environment(tags=[{"key": "team", "value": "search"}])
    with tagged_by_aws(lab) as url:
        result = lab.rotate(endpoint_url=url)
    assert result["actions"] == BOTH
    assert lab.tags("s:2") == {"team": "search"}


def tagged_by_aws(lab: Lab) -> Any:
    """An endpoint whose DescribeTaskDefinition answers a tag of CloudFormation's, too."""

    def add(operation: str, answer: Json) -> Json:
        if operation == "DescribeTaskDefinition":
            answer["tags"] = [{"key": "aws:cloudformation:stack-name", "value": "x"}, *answer.get("tags", [])]
        return answer

    return forgetful(lab.sim.url, "", change=add)


# Idempotent


@CURRENT
def test_the_second_run_changes_nothing(lab: Lab) -> None:
    lab.environment()
    first = lab.rotate()
    lab.sim.clear_calls()
    second = lab.rotate()
    assert (second["changed"], second["actions"], second["resumed"]) == (False, [], False)
    for name in ("task_definition", "deployment_id", "service_deployment_arn", "fingerprint"):
        assert second[name] == first[name]
    assert second["previous_fingerprint"] == second["fingerprint"]
    assert lab.writes() == []
    assert len(lab.calls()) == 2


def test_by_arns_it_is_the_same(lab: Lab) -> None:
    made = lab.environment()
    cluster = lab.service()["clusterArn"]
    result = lab.rotate(cluster=cluster, service=made["service_arn"])
    assert (result["cluster"], result["service"], result["actions"]) == ("c", "s", BOTH)


def test_forcing_deploys_the_same_revision(lab: Lab) -> None:
    made = lab.environment()
    result = lab.rotate(value=OLD, force_new_deployment=True)
    assert (result["changed"], result["actions"], result["resumed"]) == (True, ["update_service"], False)
    assert result["task_definition"] == made["task_definition"]
    assert result["deployment_id"] != made["deployment_id"]
    assert lab.revisions() == [1]


def test_forcing_what_rolls_out_already_does_nothing(lab: Lab) -> None:
    lab.environment()
    first = lab.rotate()
    second = lab.rotate(force_new_deployment=True)
    assert (second["changed"], second["deployment_id"]) == (False, first["deployment_id"])


# Containers


TWO = [container("app", **ENVIRONMENT), container("worker", **{VARIABLE: OLD}), container("proxy", PORT="80")]


def test_every_container_that_has_the_variable_gets_the_value(lab: Lab) -> None:
    lab.environment(containers=TWO)
    result = lab.rotate()
    assert result["containers"] == ["app", "worker"]
    assert result.get("warnings") is None
    only_the_value_differs(lab)


def test_containers_that_are_named_are_the_only_ones(lab: Lab) -> None:
    lab.environment(containers=TWO)
    result = lab.rotate(containers=["worker"])
    assert result["containers"] == ["worker"]
    new = lab.definition("s:2")
    assert [environment_of(new, index).get(VARIABLE) for index in range(3)] == [OLD, NEW, None]


def test_different_values_are_told_by_fingerprint(lab: Lab) -> None:
    lab.environment(containers=[container("app", **{VARIABLE: OLD}), container("worker", **{VARIABLE: THIRD})])
    result = lab.rotate()
    told = [warning for warning in result["warnings"] if "different values" in warning]
    assert len(told) == 1
    assert fingerprint(VARIABLE, OLD) in told[0] and fingerprint(VARIABLE, THIRD) in told[0]
    assert lab.rotate()["changed"] is False


def test_a_half_rotated_service_is_completed(lab: Lab) -> None:
    lab.environment(containers=[container("app", **{VARIABLE: NEW}), container("worker", **{VARIABLE: OLD})])
    result = lab.rotate()
    assert result["actions"] == BOTH
    assert result["previous_fingerprint"] == fingerprint(VARIABLE, OLD)
    only_the_value_differs(lab)


def test_a_missing_variable_is_added_last_where_asked(lab: Lab) -> None:
    lab.environment(containers=TWO)
    result = lab.rotate(containers=["proxy"], if_missing="add")
    assert (result["containers"], result["previous_fingerprint"]) == (["proxy"], None)
    assert list(environment_of(lab.definition("s:2"), 2).items()) == [("PORT", "80"), (VARIABLE, NEW)]
    assert lab.rotate(containers=["proxy"], if_missing="add")["changed"] is False


# Resuming


def test_a_registered_revision_is_deployed_instead_of_another(lab: Lab) -> None:
    lab.environment()
    lab.register(containerDefinitions=with_value(lab.definition("s:1"), NEW))
    result = lab.rotate()
    assert (result["changed"], result["resumed"], result["actions"]) == (True, True, ["update_service"])
    assert result["task_definition"].endswith(":2")
    assert lab.revisions() == [1, 2]
    assert result.get("warnings") is None


def test_it_is_found_behind_newer_revisions_of_others(lab: Lab) -> None:
    lab.environment()
    lab.register(containerDefinitions=with_value(lab.definition("s:1"), NEW))
    lab.register(cpu="1024", memory="2048")
    lab.register(cpu="512", memory="1024")
    result = lab.rotate()
    assert (result["resumed"], result["actions"]) == (True, ["update_service"])
    assert result["task_definition"].endswith(":2")
    assert lab.revisions() == [1, 2, 3, 4]


def test_a_revision_that_differs_otherwise_is_not_used(lab: Lab) -> None:
    lab.environment()
    lab.register(containerDefinitions=with_value(lab.definition("s:1"), NEW), cpu="1024", memory="2048")
    result = lab.rotate()
    assert (result["resumed"], result["actions"]) == (False, BOTH)
    assert result["task_definition"].endswith(":3")
    only_the_value_differs(lab, after="s:3")


def test_a_revision_without_the_wanted_tags_is_not_used(lab: Lab) -> None:
    lab.environment()
    lab.register(containerDefinitions=with_value(lab.definition("s:1"), NEW))
    result = lab.rotate(tags={"ticket": "OPS-1"})
    assert (result["resumed"], result["actions"]) == (False, BOTH)
    assert lab.tags("s:3") == {"ticket": "OPS-1"}


def test_a_deregistered_revision_is_not_used(lab: Lab) -> None:
    lab.environment()
    lab.register(containerDefinitions=with_value(lab.definition("s:1"), NEW))
    lab.ecs("DeregisterTaskDefinition", taskDefinition="s:2")
    result = lab.rotate()
    assert (result["resumed"], result["actions"]) == (False, BOTH)


def test_the_search_for_it_ends_in_a_family_of_many_revisions(lab: Lab) -> None:
    lab.environment()
    for memory in range(40):
        lab.register(memory=str(1024 + memory))
    lab.sim.clear_calls()
    assert lab.rotate()["actions"] == BOTH
    assert len(lab.calls("DescribeTaskDefinition")) <= 7


def test_after_a_rollback_the_revision_is_used_again(lab: Lab) -> None:
    lab.environment()
    lab.sim.script("c", "s", ending="circuit_breaker")
    first = lab.rotate()
    lab.sim.advance(1200)
    assert lab.service()["taskDefinition"].endswith(":1")
    again = lab.rotate()
    assert (again["resumed"], again["actions"]) == (True, ["update_service"])
    assert again["task_definition"] == first["task_definition"]
    assert again["deployment_id"] != first["deployment_id"]
    assert lab.revisions() == [1, 2]


def test_a_deployment_that_ecs_gave_up_is_deployed_again(lab: Lab) -> None:
    lab.environment()
    lab.sim.script("c", "s", ending="circuit_breaker", rollback=False)
    first = lab.rotate()
    lab.sim.advance(1200)
    assert lab.service()["deployments"][0]["rolloutState"] == "FAILED"
    again = lab.rotate()
    assert (again["changed"], again["resumed"], again["actions"]) == (True, True, ["update_service"])
    assert again["task_definition"] == first["task_definition"]
    assert again["deployment_id"] != first["deployment_id"]
    assert lab.revisions() == [1, 2]


# Others at work


def test_a_deployment_of_another_value_is_no_ground_to_stand_on(lab: Lab) -> None:
    lab.environment()
    other = lab.rotate(value=THIRD)
    result = lab.rotate()
    assert result["failed"] is True
    assert other["deployment_id"] in result["msg"] and "in_progress=supersede" in result["msg"]
    assert lab.revisions() == [1, 2]
    assert lab.service()["deployments"][0]["id"] == other["deployment_id"]


def test_it_is_superseded_when_asked(lab: Lab) -> None:
    lab.environment()
    lab.rotate(value=THIRD)
    result = lab.rotate(in_progress="supersede")
    assert result["actions"] == BOTH
    assert result["previous_fingerprint"] == fingerprint(VARIABLE, THIRD)
    assert lab.service()["deployments"][0]["id"] == result["deployment_id"]


def test_a_running_deployment_of_the_value_is_no_obstacle(lab: Lab) -> None:
    lab.environment()
    first = lab.rotate()
    result = lab.rotate()
    assert (result["changed"], result["deployment_id"]) == (False, first["deployment_id"])


@pytest.mark.parametrize("controller", ["CODE_DEPLOY", "EXTERNAL"])
def test_other_controllers_are_refused_before_anything_is_registered(lab: Lab, controller: str) -> None:
    lab.environment(service_options={"deploymentController": {"type": controller}})
    result = lab.rotate()
    assert result["failed"] is True
    assert controller in result["msg"] and "nothing was changed" in result["msg"]
    assert lab.writes() == []
    assert lab.revisions() == [1]


def test_a_newer_revision_that_does_not_run_is_told(lab: Lab) -> None:
    lab.environment()
    lab.register(cpu="1024", memory="2048")
    result = lab.rotate()
    assert any("base_revision=latest" in warning for warning in result["warnings"])
    only_the_value_differs(lab, after="s:3")


def test_the_latest_revision_is_the_base_when_asked(lab: Lab) -> None:
    lab.environment()
    lab.register(cpu="1024", memory="2048")
    result = lab.rotate(base_revision="latest")
    assert result.get("warnings") is None
    assert result["previous_task_definition"].endswith(":1")
    assert lab.definition("s:3")["cpu"] == "1024"
    only_the_value_differs(lab, before="s:2", after="s:3")


def test_nothing_runs_and_still_the_value_is_changed(lab: Lab) -> None:
    lab.environment(desired=0)
    assert lab.rotate()["actions"] == BOTH


def test_only_what_changes_is_sent_to_update_service(lab: Lab) -> None:
    """Restating desiredCount would fight autoscaling."""
    lab.environment(desired=2)
    lab.sim.set_service("c", "s", desiredCount=5)
    lab.rotate()
    assert lab.service()["desiredCount"] == 5


# Compare and swap


def test_the_expected_value_may_be_replaced(lab: Lab) -> None:
    lab.environment()
    assert lab.rotate(expected_fingerprint=fingerprint(VARIABLE, OLD))["changed"] is True


def test_another_value_than_the_expected_may_not(lab: Lab) -> None:
    lab.environment()
    result = lab.rotate(expected_fingerprint=fingerprint(VARIABLE, THIRD))
    assert result["failed"] is True
    assert fingerprint(VARIABLE, OLD) in result["msg"]
    assert lab.writes() == []


# Failing calls

QUICKLY_OVER = ["throttle", "internal", "reset"]


@pytest.mark.parametrize("kind", QUICKLY_OVER)
@pytest.mark.parametrize("operation", ["DescribeServices", "DescribeTaskDefinition", "UpdateService"])
def test_a_call_that_fails_for_a_while_is_tried_again(lab: Lab, operation: str, kind: str) -> None:
    lab.environment()
    lab.sim.fault(operation, kind, times=3)
    with lab.quick_retries() as waited:
        result = lab.rotate()
    assert result["actions"] == BOTH
    # By botocore, or by the collection where a call must not be repeated blindly.
    assert len(waited) + len(lab.paused) == 3
    assert lab.revisions() == [1, 2]
    assert len(lab.service()["deployments"]) == 2


@pytest.mark.parametrize("operation", ["DescribeServices", "RegisterTaskDefinition", "UpdateService"])
def test_throttling_is_outlasted_for_minutes(lab: Lab, operation: str) -> None:
    lab.environment()
    lab.sim.fault(operation, "throttle", times=20)
    with lab.quick_retries() as waited:
        result = lab.rotate()
    assert result["actions"] == BOTH
    assert len(waited) == 20
    assert max(waited) <= 20
    assert lab.revisions() == [1, 2]


def test_throttling_without_end_is_told(lab: Lab) -> None:
    lab.environment()
    lab.sim.fault("RegisterTaskDefinition", "throttle", times=None)
    with lab.quick_retries() as waited:
        result = lab.rotate()
    assert "run fewer environments at once" in result["msg"]
    assert len(waited) > 30
    assert (result["changed"], result["actions"]) == (False, [])


@pytest.mark.parametrize("kind", ["lost_answer", "internal", "reset", "timeout"])
@pytest.mark.parametrize("times", [1, 3])
def test_a_registration_without_an_answer_makes_one_revision(lab: Lab, kind: str, times: int) -> None:
    lab.environment()
    parameters = {"seconds": 0.05} if kind == "timeout" else {}
    lab.sim.fault("RegisterTaskDefinition", kind, times=times, **parameters)
    result = lab.rotate()
    assert result["actions"] == BOTH
    assert result["task_definition"].endswith(":2")
    assert lab.revisions() == [1, 2]
    only_the_value_differs(lab)
    # What was done is looked for; what was not is tried again.
    assert len(lab.paused) == (1 if kind == "lost_answer" else times)


def test_a_registration_that_never_answers_is_told(lab: Lab) -> None:
    lab.environment()
    lab.sim.fault("RegisterTaskDefinition", "internal", times=None)
    result = lab.rotate()
    assert result["failed"] is True
    assert "ecs:RegisterTaskDefinition on family s failed" in result["msg"]
    assert (result["changed"], result["actions"]) == (False, [])


@RECORDS
@pytest.mark.parametrize("times", [1, 2])
def test_an_update_without_an_answer_makes_one_deployment(lab: Lab, times: int) -> None:
    lab.environment()
    lab.sim.fault("UpdateService", "lost_answer", times=times)
    with lab.quick_retries():
        result = lab.rotate()
    assert result["actions"] == BOTH
    deployments = lab.service()["deployments"]
    assert [one["status"] for one in deployments] == ["PRIMARY", "ACTIVE"]
    assert deployments[0]["id"] == result["deployment_id"]
    records = lab.ecs("ListServiceDeployments", cluster="c", service="s")["serviceDeployments"]
    assert [record["status"] for record in records] == ["PENDING", "SUCCESSFUL"]
    assert records[0]["serviceDeploymentArn"] == result["service_deployment_arn"]


def test_a_forced_update_without_an_answer_makes_one_deployment(lab: Lab) -> None:
    lab.environment()
    lab.sim.fault("UpdateService", "lost_answer")
    with lab.quick_retries():
        result = lab.rotate(value=OLD, force_new_deployment=True)
    records = lab.ecs("ListServiceDeployments", cluster="c", service="s")["serviceDeployments"]
    assert [record["status"] for record in records] == ["PENDING", "SUCCESSFUL"]
    assert lab.service()["deployments"][0]["id"] == result["deployment_id"]


def test_two_writers_of_one_family_get_along(lab: Lab) -> None:
    lab.environment()
    lab.sim.fault("RegisterTaskDefinition", "concurrent_revision", times=4)
    with lab.quick_retries() as waited:
        result = lab.rotate()
    assert result["actions"] == BOTH
    assert len(waited) == 4
    assert lab.revisions() == [1, 2]


@pytest.mark.parametrize("times", [1, 3])
def test_a_revision_that_update_service_does_not_see_yet_is_waited_for(lab: Lab, times: int) -> None:
    lab.environment()
    lab.sim.fault("UpdateService", "stale", times=times)
    result = lab.rotate()
    assert result["actions"] == BOTH
    assert len(lab.paused) == times
    assert lab.revisions() == [1, 2]
    assert len(lab.service()["deployments"]) == 2


def test_an_update_that_is_not_answered_with_the_new_deployment_names_it_all_the_same(lab: Lab) -> None:
    made = lab.environment()
    lab.sim.fault("UpdateService", "stale")
    result = lab.rotate(value=OLD, force_new_deployment=True)
    assert result["deployment_id"] != made["deployment_id"]


OPERATIONS = ["DescribeServices", "DescribeTaskDefinition", "RegisterTaskDefinition", "UpdateService"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_missing_permission_is_named(lab: Lab, operation: str) -> None:
    lab.environment()
    lab.sim.fault(operation, "denied", times=None)
    result = lab.rotate()
    assert result["failed"] is True
    assert f"allow ecs:{operation} to the caller" in result["msg"]
    done = ["register_task_definition"] if operation == "UpdateService" else []
    assert (result["changed"], result.get("actions", [])) == (bool(done), done)


def test_after_a_denied_update_the_next_run_resumes(lab: Lab) -> None:
    lab.environment()
    lab.sim.fault("UpdateService", "denied")
    first, second = lab.rotate(), lab.rotate()
    assert "s:2 is registered and not deployed. The next run goes on from there" in first["msg"]
    assert (second["resumed"], second["actions"]) == (True, ["update_service"])
    assert lab.revisions() == [1, 2]


def test_without_the_permission_to_list_service_deployments_the_rotation_is_done(lab: Lab) -> None:
    lab.environment()
    lab.sim.fault("ListServiceDeployments", "denied", times=None)
    assert lab.rotate()["actions"] == BOTH


@pytest.mark.parametrize("operation", OPERATIONS)
def test_expired_credentials_are_told(lab: Lab, operation: str) -> None:
    lab.environment()
    lab.sim.fault(operation, "expired", times=None)
    result = lab.rotate()
    assert "renew them and run again" in result["msg"]
    assert f"ecs:{operation}" in result["msg"]


# Before the definition is read, the new value is the only one that is known, and that an answer can repeat.
REPEATED = [(operation, NEW) for operation in OPERATIONS]
REPEATED += [(operation, value) for operation in OPERATIONS[2:] for value in (OLD, NEIGHBOUR)]


@pytest.mark.parametrize(("operation", "value"), REPEATED)
def test_no_value_that_aws_repeats_is_passed_on(lab: Lab, operation: str, value: str) -> None:
    """Lab.rotate looks for values in every result."""
    lab.environment()
    lab.sim.fault(operation, "error", code="InvalidParameterException", message=f"Invalid: {value} is bad, {value}!")
    result = lab.rotate()
    assert result["failed"] is True
    assert "********" in result["msg"] and "is bad" in result["msg"]


# Where, and as whom


def test_an_assumed_role_reaches_the_other_account(lab: Lab) -> None:
    lab.environment()
    lab.environment(account="210987654321", region="eu-central-1")
    role = lab.sim.role_arn("210987654321", "rotate")
    lab.sim.clear_calls()
    result = lab.rotate(assume_role_arn=role, region="eu-central-1", assume_role_session_name="ops")
    assert "arn:aws:ecs:eu-central-1:210987654321:" in result["task_definition"]
    ecs = [call for call in lab.calls() if call["service"] == "ecs"]
    assert {(call["account"], call["region"]) for call in ecs} == {("210987654321", "eu-central-1")}
    assert [call["account"] for call in lab.calls("AssumeRole")] == ["123456789012"]
    assert lab.revisions() == [1]


def test_a_role_that_may_not_be_assumed_is_told(lab: Lab) -> None:
    lab.environment()
    lab.sim.fault("AssumeRole", "denied", service="sts", times=None)
    role = lab.sim.role_arn("210987654321", "rotate")
    result = lab.rotate(assume_role_arn=role)
    assert "sts:AssumeRole" in result["msg"] and role in result["msg"]


@RECORDS
def test_every_call_names_the_collection(lab: Lab) -> None:
    lab.environment()
    lab.sim.clear_calls()
    lab.rotate()
    # Set-up and look-ups of the test itself do not go through the collection; here there are none.
    assert [call["operation"] for call in lab.sim.calls() if "keyturn.ecs/" not in call["user_agent"]] == []
    assert [call["operation"] for call in lab.calls()] == [
        "DescribeServices",
        "DescribeTaskDefinition",
        "RegisterTaskDefinition",
        "DescribeServices",
        "UpdateService",
        "ListServiceDeployments",
    ]


def test_an_endpoint_that_nobody_answers_is_told(lab: Lab) -> None:
    with lab.quick_retries():
        result = lab.rotate(endpoint_url="http://127.0.0.1:9")
    assert "ecs:DescribeServices on service s in cluster c failed: EndpointConnectionError" in result["msg"]


# Check mode predicts


@dataclasses.dataclass(frozen=True)
class State:
    """What a run may find, and with which options it is run."""

    name: str
    prepare: Callable[[Lab], Any] = lambda lab: lab.environment()
    options: Json = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def _registered(lab: Lab) -> None:
    lab.environment()
    lab.register(containerDefinitions=with_value(lab.definition("s:1"), NEW))


def _rotated(lab: Lab, ending: Json | None = None, value: str = NEW, seconds: float = 1200) -> None:
    lab.environment()
    if ending:
        lab.sim.script("c", "s", **ending)
    lab.rotate(value=value)
    lab.sim.advance(seconds)


STATES = [
    State("another value"),
    State("the value", options={"value": OLD}),
    State("the value, forced", options={"value": OLD, "force_new_deployment": True}),
    State("another value, forced", options={"force_new_deployment": True}),
    State("rotated", _rotated),
    State("rolling out", lambda lab: _rotated(lab, seconds=5)),
    State("rolling out, forced", lambda lab: _rotated(lab, seconds=5), {"force_new_deployment": True}),
    State("another rolls out", lambda lab: _rotated(lab, value=THIRD, seconds=5)),
    State(
        "another rolls out, to be superseded",
        lambda lab: _rotated(lab, value=THIRD, seconds=5),
        {
            "in_progress": "supersede",
        },
    ),
    State("registered", _registered),
    State("registered, with other tags", _registered, {"tags": {"ticket": "OPS-1"}}),
    State("rolled back", lambda lab: _rotated(lab, {"ending": "circuit_breaker"})),
    State("given up", lambda lab: _rotated(lab, {"ending": "circuit_breaker", "rollback": False})),
    State("two containers", lambda lab: lab.environment(containers=TWO)),
    State("one of two containers", lambda lab: lab.environment(containers=TWO), {"containers": ["worker"]}),
    State("to be added", lambda lab: lab.environment(containers=TWO), {"containers": ["proxy"], "if_missing": "add"}),
    State("missing", options={"variable": "OTHER"}),
    State("unexpected", options={"expected_fingerprint": fingerprint(VARIABLE, THIRD)}),
    State("latest", lambda lab: (lab.environment(), lab.register(cpu="1024")), {"base_revision": "latest"}),
    State("newer", lambda lab: (lab.environment(), lab.register(cpu="1024"))),
    State("scaled to 0", lambda lab: lab.environment(desired=0)),
    State("CodeDeploy", lambda lab: lab.environment(service_options={"deploymentController": {"type": "CODE_DEPLOY"}})),
    State("no such service", options={"service": "other"}),
    State("a newline", options={"value": NEW + "\n"}),
]
# Only AWS can give these: check mode has null where something would be made.
GIVEN_BY_AWS = {"task_definition", "deployment_id", "service_deployment_arn"}


@pytest.mark.parametrize("state", STATES, ids=str)
def test_check_mode_predicts_what_a_run_does(lab: Lab, state: State) -> None:
    state.prepare(lab)
    lab.sim.clear_calls()
    predicted = lab.rotate(check_mode=True, **state.options)
    assert lab.writes() == []
    real = lab.rotate(**state.options)
    assert predicted.keys() == real.keys()
    for name in predicted.keys() - GIVEN_BY_AWS:
        assert predicted[name] == real[name], name
    for name in predicted.keys() & GIVEN_BY_AWS:
        assert predicted[name] in (None, real[name]), name
    performed = {"RegisterTaskDefinition": "register_task_definition", "UpdateService": "update_service"}
    assert [performed[operation] for operation in lab.writes()] == real.get("actions", [])


def test_the_diff_has_names_and_fingerprints(lab: Lab) -> None:
    lab.environment()
    diff = lab.rotate(check_mode=True, diff=True)["diff"]
    assert diff == {
        "before": {"task_definition": "s:1", "environment": {f"app/{VARIABLE}": fingerprint(VARIABLE, OLD)}},
        "after": {
            "task_definition": "s (new revision)",
            "environment": {f"app/{VARIABLE}": fingerprint(VARIABLE, NEW)},
        },
    }
    assert "diff" not in lab.rotate(diff=False)


# What makes no sense is refused before anything is called


REFUSED = [
    ({"value": NEW + "\n"}, "white space or a newline"),
    ({"value": " " + NEW}, "white space or a newline"),
    ({"value": ""}, "value is empty"),
    ({"value_pattern": "^pk-"}, "value does not match value_pattern ^pk-"),
    ({"value_pattern": "("}, "value_pattern is not a regular expression"),
    ({"variable": ""}, "variable is empty"),
    ({"expected_fingerprint": "sha256:xyz"}, "expected_fingerprint is not a fingerprint"),
    ({"tags": {"aws:x": "1"}}, "aws:x cannot be set"),
    ({"containers": [], "if_missing": "add"}, "if_missing=add needs containers"),
]


@pytest.mark.parametrize(("options", "says"), REFUSED, ids=[says for _options, says in REFUSED])
def test_options_that_make_no_sense_are_refused(lab: Lab, options: Json, says: str) -> None:
    lab.environment()
    lab.sim.clear_calls()
    result = lab.rotate(**options)
    assert result["failed"] is True
    assert says in result["msg"]
    assert lab.calls() == []
