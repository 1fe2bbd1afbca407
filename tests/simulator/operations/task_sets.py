# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""CreateTaskSet, DescribeTaskSets, DeleteTaskSet, UpdateServicePrimaryTaskSet: as little as EXTERNAL services need."""

from __future__ import annotations

from .. import engine, errors, render
from ..endings import Script
from ..engine import outcome
from ..state import Deployment, Json, Service
from ..world import Call, last_part
from .common import required


def _service(call: Call, body: Json) -> Service:
    service = call.active_service(required(body, "cluster"), str(required(body, "service")))
    if service.controller == "ECS":
        raise errors.invalid("Task sets are supported for services with an EXTERNAL deployment controller only.")
    return service


def create(call: Call, body: Json) -> Json:
    """The first task set is PRIMARY here; later ones are ACTIVE until UpdateServicePrimaryTaskSet."""
    service = _service(call, body)
    primary = service.primary
    made = outcome.deploy(service, call.usable_definition(str(required(body, "taskDefinition"))), call.now, Script())
    if primary is not None:
        made.status, primary.status = "ACTIVE", "PRIMARY"
    made.scale = float(body.get("scale", {}).get("value", 100.0))
    made.external_id = body.get("externalId")
    engine.touch(service, call.now)
    return {"taskSet": render.task_set(service, made)}


def _find(service: Service, name: str) -> Deployment:
    identifier = name.rsplit("/", 1)[-1]
    found = next((one for one in service.deployments if last_part(one.id) == identifier), None)
    if found is None:
        raise errors.ApiError("TaskSetNotFoundException", "The specified task set wasn't found.")
    return found


def describe(call: Call, body: Json) -> Json:
    service = _service(call, body)
    names = body.get("taskSets")
    found = [_find(service, name) for name in names] if names else service.deployments
    return {"taskSets": [render.task_set(service, one) for one in found], "failures": []}


def make_primary(call: Call, body: Json) -> Json:
    service = _service(call, body)
    chosen = _find(service, str(required(body, "primaryTaskSet")))
    for one in service.deployments:
        one.status = "PRIMARY" if one is chosen else "ACTIVE"
    return {"taskSet": render.task_set(service, chosen)}


def delete(call: Call, body: Json) -> Json:
    service = _service(call, body)
    found = _find(service, str(required(body, "taskSet")))
    found.status = "DRAINING"
    engine.touch(service, call.now)
    answer = render.task_set(service, found)
    service.deployments.remove(found)
    return {"taskSet": answer}


OPERATIONS = {
    "CreateTaskSet": create,
    "DescribeTaskSets": describe,
    "UpdateServicePrimaryTaskSet": make_primary,
    "DeleteTaskSet": delete,
}
