# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""CreateService, UpdateService, DeleteService, DescribeServices, ListServices."""

from __future__ import annotations

import copy
import random

from .. import engine, errors, render
from ..engine import outcome
from ..state import Cluster, Json, Service, TaskDefinition
from ..world import Call, last_part
from .common import checked_tags, missing, page, required

# Kept as named fields of Service; every other member of the request is kept in `settings`.
_OWN = {
    "cluster",
    "service",
    "serviceName",
    "taskDefinition",
    "desiredCount",
    "deploymentConfiguration",
    "deploymentController",
    "schedulingStrategy",
    "tags",
    "clientToken",
    "forceNewDeployment",
}
# API_UpdateService: changing one of these starts a deployment.
_DEPLOYING = {
    "networkConfiguration",
    "platformVersion",
    "loadBalancers",
    "serviceRegistries",
    "serviceConnectConfiguration",
    "capacityProviderStrategy",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
}


def create(call: Call, body: Json) -> Json:
    service = make(call, body)
    definition = body.get("taskDefinition")
    if definition is not None:
        outcome.deploy(service, call.usable_definition(definition), call.now)
    engine.touch(service, call.now)
    return {"service": render.service(service, tags=True)}


def make(call: Call, body: Json) -> Service:
    """Check a CreateService request and keep the service, with nothing deployed yet."""
    cluster = call.cluster(body.get("cluster"))
    name = str(required(body, "serviceName"))
    existing = cluster.services.get(name)
    if existing is not None and existing.status != "INACTIVE":
        if existing.status == "DRAINING":
            raise errors.invalid("Unable to Start a service that is still Draining.")
        raise errors.invalid("Creation of service was not idempotent.")
    controller = body.get("deploymentController", {}).get("type", "ECS")
    if body.get("taskDefinition") is None and controller != "EXTERNAL":
        raise errors.invalid("TaskDefinition can not be blank.")
    if body.get("taskDefinition") is not None:
        call.usable_definition(body["taskDefinition"])
    service = _new(call, cluster, name, controller, body)
    _check_percentages(service)
    cluster.services[name] = service
    return service


def _new(call: Call, cluster: Cluster, name: str, controller: str, body: Json) -> Service:
    scheduling = body.get("schedulingStrategy", "REPLICA")
    settings = {key: copy.deepcopy(value) for key, value in body.items() if key not in _OWN}
    settings.setdefault("launchType", "EC2" if scheduling == "DAEMON" else "FARGATE")
    configuration: Json = {
        "deploymentCircuitBreaker": {"enable": False, "rollback": False},
        "maximumPercent": 100 if scheduling == "DAEMON" else 200,
        "minimumHealthyPercent": 0 if scheduling == "DAEMON" else 100,
        "strategy": "ROLLING",
        "bakeTimeInMinutes": 0,
    }
    configuration.update(copy.deepcopy(body.get("deploymentConfiguration", {})))
    # A DAEMON service has no desiredCount: one task a node. There are two nodes here unless the request says otherwise.
    desired = int(body.get("desiredCount", 2 if scheduling == "DAEMON" else 0))
    return Service(
        name=name,
        arn=call.region.arn(f"service/{cluster.name}/{name}"),
        cluster=cluster.name,
        cluster_arn=cluster.arn,
        created_at=call.now,
        created_by=call.principal,
        settings=settings,
        desired=desired,
        configuration=configuration,
        rng=random.Random(f"{call.region.seed}/{cluster.name}/{name}"),
        timing=call.region.timing,
        quirks=call.region.quirks,
        controller=controller,
        prepare=call.region.prepare,
        scheduling=scheduling,
        tags=checked_tags(body.get("tags")),
    )


def _check_percentages(service: Service) -> None:
    """API_DeploymentConfiguration: a DAEMON's maximum is 100, and both bounds at 100 leave no way to move."""
    lower = service.configuration.get("minimumHealthyPercent", 100)
    upper = service.configuration.get("maximumPercent", 200)
    if service.scheduling == "DAEMON" and upper != 100:
        raise errors.invalid("The daemon scheduling strategy only supports a maximumPercent of 100.")
    if not 0 <= lower <= 200 or not 0 <= upper <= 1000:
        raise errors.invalid("Invalid deployment configuration.")


def update(call: Call, body: Json) -> Json:
    service = call.active_service(body.get("cluster"), str(required(body, "service")))
    definition = call.usable_definition(body["taskDefinition"]) if body.get("taskDefinition") else None
    if service.controller != "ECS":
        _refuse_foreign(service, body)
    if "desiredCount" in body and service.scheduling == "DAEMON":
        raise errors.invalid("The daemon scheduling strategy does not support a desired count for services.")
    primary = service.primary
    deploys = bool(body.get("forceNewDeployment"))
    if definition is not None and (primary is None or definition is not primary.definition):
        deploys = True
    if any(name in body and body[name] != service.settings.get(name) for name in _DEPLOYING):
        deploys = True
    if body.get("desiredCount") is not None:
        service.desired = int(body["desiredCount"])
    service.configuration.update(copy.deepcopy(body.get("deploymentConfiguration") or {}))
    _check_percentages(service)
    service.settings.update({key: copy.deepcopy(value) for key, value in body.items() if key not in _OWN})
    if deploys and service.controller == "ECS":
        chosen: TaskDefinition | None = definition or (primary.definition if primary is not None else None)
        if chosen is not None:
            outcome.deploy(service, chosen, call.now)
    engine.touch(service, call.now)
    return {"service": render.service(service, stale=call.stale)}


def _refuse_foreign(service: Service, body: Json) -> None:
    """API_UpdateService: what CODE_DEPLOY and EXTERNAL services do not take."""
    if service.controller == "CODE_DEPLOY":
        if body.get("taskDefinition"):
            raise errors.invalid(
                "Unable to update task definition on services with a CODE_DEPLOY deployment controller. "
                "Use AWS CodeDeploy to trigger a new deployment."
            )
        if body.get("forceNewDeployment"):
            raise errors.invalid(
                "Cannot force a new deployment on services with a CODE_DEPLOY deployment controller. "
                "Use AWS CodeDeploy to trigger a new deployment."
            )
    # The sentence for EXTERNAL is not documented; the refusal is.
    elif body.get("taskDefinition") or body.get("forceNewDeployment"):
        raise errors.invalid(
            "Unable to update task definition on services with an EXTERNAL deployment controller. Use CreateTaskSet."
        )


def delete(call: Call, body: Json) -> Json:
    service = call.active_service(body.get("cluster"), str(required(body, "service")))
    if service.desired > 0 and service.scheduling != "DAEMON" and not body.get("force"):
        raise errors.invalid("The service cannot be stopped while it is scaled above 0.")
    service.status, service.desired = "DRAINING", 0
    engine.touch(service, call.now)
    return {"service": render.service(service)}


def describe(call: Call, body: Json) -> Json:
    names = required(body, "services")
    if len(names) > 10:
        raise errors.invalid("Services cannot have more than 10 elements.")
    cluster = call.cluster(body.get("cluster"))
    tags = "TAGS" in body.get("include", [])
    found, failures = [], []
    for name in names:
        one = cluster.services.get(last_part(name))
        if one is None or (name.startswith("arn:") and name != one.arn):
            arn = name if name.startswith("arn:") else call.region.arn(f"service/{cluster.name}/{name}")
            failures.append(missing(arn))
        else:
            found.append(render.service(one, tags, call.stale))
    return {"services": found, "failures": failures}


def list_all(call: Call, body: Json) -> Json:
    cluster = call.cluster(body.get("cluster"))
    found = [
        one.arn
        for one in cluster.services.values()
        if one.status != "INACTIVE"
        and body.get("launchType") in (None, one.settings.get("launchType"))
        and body.get("schedulingStrategy") in (None, one.scheduling)
    ]
    # API_ListServices: pages of 10 unless maxResults (1 to 100) says otherwise.
    return page(found, {"maxResults": 10, **body}, "serviceArns", 100)


OPERATIONS = {
    "CreateService": create,
    "UpdateService": update,
    "DeleteService": delete,
    "DescribeServices": describe,
    "ListServices": list_all,
}
