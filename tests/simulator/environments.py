# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A service that stands ready at once, as if it had been deployed long ago."""

from __future__ import annotations

import copy
from typing import Any

from .endings import Script
from .engine import outcome, scheduler
from .operations import clusters, services, task_definitions
from .secret_store import SecretStore
from .state import Json, Service, TaskDefinition
from .world import Call

_IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1.4.2"


def create(call: Call, wanted: Json) -> Json:
    """Make cluster, task definition and service; answers their names and ARNs.

    `wanted`: the arguments of `Simulator.create_environment`. ApiError for what ECS would refuse.
    """
    age = float(wanted.get("age_seconds", 30 * 86400))
    past = Call(call.region, call.principal, call.now - age)
    name = wanted.get("cluster") or "c"
    clusters.create(past, {"clusterName": name})
    definition = task_definitions.store(past, _definition(call, wanted), past.now)
    body = {
        "cluster": name,
        "serviceName": wanted.get("service") or "s",
        "taskDefinition": definition.arn,
        "desiredCount": wanted.get("desired", 2),
        **copy.deepcopy(wanted.get("service_options") or {}),
        "tags": wanted.get("service_tags") or [],
    }
    if body.get("schedulingStrategy") == "DAEMON" and "desired" not in wanted:
        del body["desiredCount"]
    service = services.make(past, body)
    _settle(service, definition, past.now, call.now)
    # Here a secret that does not exist fails nothing: the value is None.
    store = SecretStore(call.region.account, call.region.name, call.region.partition)
    for task in service.tasks.values():
        store.prepare(task)
    return {
        "cluster": name,
        "service": service.name,
        "service_arn": service.arn,
        "task_definition": definition.arn,
        "deployment_id": service.deployments[0].id,
        "tasks": [task.arn for task in service.tasks.values()],
    }


def _settle(service: Service, definition: TaskDefinition, past: float, now: float) -> None:
    """Deployed in the past, complete, with running tasks."""
    deployment = outcome.deploy(service, definition, past, Script())
    for _unused in range(service.desired):
        task = scheduler.make_task(service, deployment, past)
        task.last_status, task.started_at, task.healthy = "RUNNING", min(past + 40, now), True
        task.health = "HEALTHY" if task.definition.has_health_check else "UNKNOWN"
    names = " ".join(f"(task {task.id})" for task in service.tasks.values())
    if names:
        service.say(past, f"(service {service.name}) has started {service.desired} tasks: {names}.")
    service.timers.clear()
    if deployment.record is not None:
        deployment.record.status, deployment.record.started_at = "IN_PROGRESS", past
    outcome.complete(service, deployment, min(past + 60, now))
    service.timers = [timer for timer in service.timers if timer > now]


def _definition(call: Call, wanted: Json) -> Json:
    family = wanted.get("family") or wanted.get("service") or "s"
    containers = wanted.get("containers") or [_container(call, wanted)]
    return {
        "family": family,
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "256",
        "memory": "512",
        "executionRoleArn": f"arn:aws:iam::{call.region.account}:role/ecsTaskExecutionRole",
        **copy.deepcopy(wanted.get("task_definition_options") or {}),
        "containerDefinitions": [{"image": _IMAGE, **copy.deepcopy(one)} for one in containers],
        "tags": wanted.get("tags") or [],
    }


def _container(call: Call, wanted: Json) -> Json:
    environment: dict[str, str] | list[Json] = wanted.get("environment") or {}
    secrets: dict[str, str] | list[Json] = wanted.get("secrets") or {}
    service = wanted.get("service") or "s"
    container: dict[str, Any] = {
        "name": "app",
        "portMappings": [{"containerPort": 8080, "hostPort": 8080, "protocol": "tcp"}],
        "environment": _pairs(environment, "value"),
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": f"/ecs/{service}",
                "awslogs-region": call.region.name,
                "awslogs-stream-prefix": "ecs",
            },
        },
    }
    if secrets:
        container["secrets"] = _pairs(secrets, "valueFrom")
    if wanted.get("health_check", True):
        container["healthCheck"] = {
            "command": ["CMD-SHELL", "curl -f http://localhost:8080/health || exit 1"],
            "interval": 30,
            "timeout": 5,
            "retries": 3,
        }
    return container


def _pairs(given: dict[str, str] | list[Json], member: str) -> list[Json]:
    if isinstance(given, dict):
        return [{"name": name, member: value} for name, value in given.items()]
    return list(given)
