# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Task definitions: register, describe, list, deregister, delete.

The request's JSON is kept as it came, at any depth, so that members newer than the client's model survive as they do
in ECS. Only ECS's own defaults are added (API_ContainerDefinition).
"""

from __future__ import annotations

import copy
import json
import re

from .. import errors, render
from ..state import Json, Region, TaskDefinition
from ..world import Call
from .common import checked_tags, missing, page, required

READ_ONLY = (
    "compatibilities",
    "deleteRequestedAt",
    "deregisteredAt",
    "registeredAt",
    "registeredBy",
    "requiresAttributes",
    "revision",
    "status",
    "taskDefinitionArn",
)
_LARGEST = 64 * 1024
_FAMILY = re.compile(r"[A-Za-z0-9_-]{1,255}")
_CONTAINER_DEFAULTS: Json = {
    "cpu": 0,
    "portMappings": [],
    "essential": True,
    "environment": [],
    "mountPoints": [],
    "volumesFrom": [],
    "systemControls": [],
}


def register(call: Call, body: Json) -> Json:
    found = store(call, body, call.now)
    answer: Json = {"taskDefinition": render.task_definition(found)}
    if found.tags:
        answer["tags"] = found.tags
    return answer


def store(call: Call, body: Json, now: float) -> TaskDefinition:
    """Check and keep a new revision, registered at `now`."""
    family = str(required(body, "family"))
    tags = checked_tags(body.get("tags"))
    body = {name: copy.deepcopy(value) for name, value in body.items() if name != "tags" and name not in READ_ONLY}
    _check(family, body)
    for container in body["containerDefinitions"]:
        for name, value in _CONTAINER_DEFAULTS.items():
            container.setdefault(name, copy.deepcopy(value))
    body.setdefault("volumes", [])
    body.setdefault("placementConstraints", [])
    known = call.region.families.setdefault(family, [])
    revision = known[-1].revision + 1 if known else 1
    arn = call.region.arn(f"task-definition/{family}:{revision}")
    found = TaskDefinition(arn, family, revision, body, tags, now, call.principal)
    known.append(found)
    return found


def _check(family: str, body: Json) -> None:
    if not _FAMILY.fullmatch(family):
        raise errors.client("Invalid 'family' setting for task definition.")
    size = len(json.dumps(body, separators=(",", ":")).encode())
    if size > _LARGEST:
        raise errors.client(f"Actual length: '{size}'. Max allowed length is '{_LARGEST}' bytes.")
    containers = body.get("containerDefinitions")
    if not isinstance(containers, list) or not containers:
        raise errors.client("Container list cannot be empty.")
    if len(containers) > 10:
        raise errors.client("Too many containers in the task definition, at most 10 are allowed.")
    names = [container.get("name") for container in containers]
    if len(set(names)) != len(names) or not all(names):
        raise errors.client("Container.name must be set and unique.")
    for container in containers:
        _check_container(container)
    if not body.get("executionRoleArn") and any(container.get("secrets") for container in containers):
        # No document has this sentence; ECS says it.
        raise errors.client(
            "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."
        )


def _check_container(container: Json) -> None:
    if not container.get("image"):
        raise errors.client("Container.image should not be null or empty.")
    plain = {one.get("name") for one in container.get("environment") or []}
    secret_names = [one.get("name") for one in container.get("secrets") or []]
    for position, name in enumerate(secret_names):
        if name in plain or name in secret_names[:position]:
            raise errors.client(
                "The secret name must be unique and not shared with any new or existing environment variables set on "
                f"the container, such as '{name}'."
            )


def describe(call: Call, body: Json) -> Json:
    found = call.definition(str(required(body, "taskDefinition")))
    if found is None:
        raise errors.client("Unable to describe task definition.")
    answer: Json = {"taskDefinition": render.task_definition(found)}
    if "TAGS" in body.get("include", []):
        answer["tags"] = found.tags
    return answer


def list_all(call: Call, body: Json) -> Json:
    prefix, status = body.get("familyPrefix"), body.get("status", "ACTIVE")
    found: list[str] = []
    for family in sorted(call.region.families):
        # API_ListTaskDefinitions calls it a prefix, but "the full family name".
        if prefix and family != prefix:
            continue
        known = call.region.families[family]
        known = known[:-1] if call.stale else known
        found.extend(one.arn for one in known if one.status == status)
    if body.get("sort", "ASC") == "DESC":
        found.reverse()
    return page(found, body, "taskDefinitionArns", 100)


def list_families(call: Call, body: Json) -> Json:
    prefix, status = body.get("familyPrefix", ""), body.get("status", "ACTIVE")
    found = []
    for family, revisions in sorted(call.region.families.items()):
        known = [one for one in revisions if one.status != "DELETED"]
        active = any(one.status == "ACTIVE" for one in known)
        if known and family.startswith(prefix) and (status == "ALL" or active == (status == "ACTIVE")):
            found.append(family)
    return page(found, body, "families", 100)


def deregister(call: Call, body: Json) -> Json:
    name = str(required(body, "taskDefinition"))
    if ":" not in name:
        raise errors.invalid("Task definition must have a revision.")
    found = call.fresh().definition(name)
    if found is None:
        raise errors.client("The specified task definition does not exist.")
    if found.status == "ACTIVE":
        found.status, found.deregistered_at = "INACTIVE", call.now
    return {"taskDefinition": render.task_definition(found)}


def delete(call: Call, body: Json) -> Json:
    """At most 10, INACTIVE ones only. They vanish when no service, deployment or task uses them (`sweep`)."""
    names = required(body, "taskDefinitions")
    if len(names) > 10:
        raise errors.invalid("At most 10 task definitions can be deleted at a time.")
    found, failures = [], []
    for name in names:
        one = call.fresh().definition(name)
        if one is None:
            failures.append(missing(name))
        elif one.status == "ACTIVE":
            reason = (
                "The specified task definition is still in ACTIVE status. Please deregister the target and try again."
            )
            failures.append({"arn": one.arn, "reason": reason})
        else:
            if one.status == "INACTIVE":
                one.status, one.delete_requested_at = "DELETE_IN_PROGRESS", call.now
                call.region.deleting.append(one)
            found.append(render.task_definition(one))
    return {"taskDefinitions": found, "failures": failures}


def sweep(region: Region) -> None:
    """Forget what is to be deleted and no longer used. ECS looks "periodically"; here with each call (assumed)."""
    for one in list(region.deleting):
        if not _in_use(region, one):
            region.deleting.remove(one)
            one.status = "DELETED"  # its stopped tasks are still described


def _in_use(region: Region, definition: TaskDefinition) -> bool:
    """By a deployment, by what a rollback would return to, or by a task that has not stopped."""
    for service in region.all_services():
        target = service.last_good if service.deployments else None
        if any(one is not None and one.definition is definition for one in [*service.deployments, target]):
            return True
    tasks = [task for place in region.clusters.values() for task in place.tasks.values()]
    tasks += [task for place in region.all_services() for task in place.tasks.values()]
    return any(task.definition is definition and task.last_status != "STOPPED" for task in tasks)


OPERATIONS = {
    "RegisterTaskDefinition": register,
    "DescribeTaskDefinition": describe,
    "ListTaskDefinitions": list_all,
    "ListTaskDefinitionFamilies": list_families,
    "DeregisterTaskDefinition": deregister,
    "DeleteTaskDefinitions": delete,
}
