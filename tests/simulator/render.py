# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""State to the JSON that ECS answers. Shapes: the ECS API reference's data types."""

from __future__ import annotations

from .engine import outcome, stages
from .state import Cluster, Deployment, Json, Record, Region, Revision, Service, Task, TaskDefinition

_TIMES = 3  # ECS answers epoch seconds with milliseconds


def stamp(at: float) -> float:
    return round(at, _TIMES)


def _given(**members: object) -> Json:
    """The members that have a value: ECS leaves absent ones out."""
    return {name: value for name, value in members.items() if value is not None}


def _maybe(at: float | None) -> float | None:
    return None if at is None else stamp(at)


def cluster(found: Cluster, tags: bool = False) -> Json:
    tasks = [*found.tasks.values(), *(task for one in found.services.values() for task in one.tasks.values())]
    answer = {
        "clusterArn": found.arn,
        "clusterName": found.name,
        "status": found.status,
        "registeredContainerInstancesCount": 0,
        "runningTasksCount": sum(task.last_status == "RUNNING" for task in tasks),
        "pendingTasksCount": sum(task.alive and task.last_status != "RUNNING" for task in tasks),
        "activeServicesCount": sum(one.status == "ACTIVE" for one in found.services.values()),
        "statistics": [],
        "settings": found.settings.get("settings", [{"name": "containerInsights", "value": "disabled"}]),
        "capacityProviders": found.settings.get("capacityProviders", []),
        "defaultCapacityProviderStrategy": found.settings.get("defaultCapacityProviderStrategy", []),
    }
    return {**answer, "tags": found.tags if tags else []}


def task_definition(found: TaskDefinition) -> Json:
    compatibilities = ["EC2", "FARGATE"] if found.body.get("networkMode") == "awsvpc" else ["EC2"]
    return {
        **found.body,
        "taskDefinitionArn": found.arn,
        "family": found.family,
        "revision": found.revision,
        "status": found.status,
        "compatibilities": compatibilities,
        "requiresAttributes": [{"name": "com.amazonaws.ecs.capability.docker-remote-api.1.18"}],
        "registeredAt": stamp(found.registered_at),
        "registeredBy": found.registered_by,
        **_given(
            deregisteredAt=_maybe(found.deregistered_at),
            deleteRequestedAt=_maybe(found.delete_requested_at),
        ),
    }


def _counts(service: Service, found: Deployment) -> tuple[int, int]:
    """(running, pending). runningCount: tasks in RUNNING (API_Deployment); draining ones are not counted here."""
    tasks = service.tasks_of(found)
    running = sum(task.last_status == "RUNNING" for task in tasks)
    pending = sum(task.alive and task.last_status in ("PROVISIONING", "PENDING", "ACTIVATING") for task in tasks)
    return running, pending


def deployment(service: Service, found: Deployment) -> Json:
    running, pending = _counts(service, found)
    answer = {
        "id": found.id,
        "status": found.status,
        "taskDefinition": found.definition.arn,
        "desiredCount": service.desired if found.status == "PRIMARY" else _old_desired(service, found),
        "pendingCount": pending,
        "runningCount": running,
        "failedTasks": found.failed,
        "createdAt": stamp(found.created_at),
        "updatedAt": stamp(found.updated_at),
        **_given(
            launchType=service.settings.get("launchType"),
            platformVersion=service.settings.get("platformVersion"),
            networkConfiguration=service.settings.get("networkConfiguration"),
            serviceConnectConfiguration=service.settings.get("serviceConnectConfiguration"),
        ),
    }
    if not service.classic_load_balancer:
        answer["rolloutState"] = found.rollout_state
        answer["rolloutStateReason"] = found.rollout_reason
    return answer


def _old_desired(service: Service, found: Deployment) -> int:
    return sum(task.alive for task in service.tasks_of(found))


def task_set(service: Service, found: Deployment) -> Json:
    running, pending = _counts(service, found)
    wanted = round(service.desired * found.scale / 100)
    return {
        "id": found.id,
        "taskSetArn": f"{service.arn.replace(':service/', ':task-set/')}/{found.id}",
        "serviceArn": service.arn,
        "clusterArn": service.cluster_arn,
        "startedBy": "CODE_DEPLOY" if service.controller == "CODE_DEPLOY" else found.id,
        "status": found.status,
        "taskDefinition": found.definition.arn,
        "computedDesiredCount": wanted,
        "pendingCount": pending,
        "runningCount": running,
        "createdAt": stamp(found.created_at),
        "updatedAt": stamp(found.updated_at),
        "launchType": service.settings.get("launchType", "FARGATE"),
        "scale": {"value": found.scale, "unit": "PERCENT"},
        "stabilityStatus": "STEADY_STATE" if running == wanted and not pending else "STABILIZING",
        "stabilityStatusAt": stamp(found.updated_at),
        **_given(externalId=found.external_id),
    }


def service(found: Service, tags: bool = False, stale: bool = False) -> Json:
    """`stale` hides the newest deployment, as an eventually consistent answer would."""
    deployments = list(found.deployments)
    hidden = stale and len(deployments) > 1 and deployments[0].status == "PRIMARY"
    if hidden:
        deployments = deployments[1:]
    answer = {
        **found.settings,
        "serviceArn": found.arn,
        "serviceName": found.name,
        "clusterArn": found.cluster_arn,
        "status": found.status,
        "desiredCount": found.desired,
        "runningCount": sum(task.last_status == "RUNNING" for task in found.tasks.values()),
        "pendingCount": sum(_counts(found, one)[1] for one in found.deployments),
        "deploymentConfiguration": found.configuration,
        "deploymentController": {"type": found.controller},
        "schedulingStrategy": found.scheduling,
        "deployments": [],
        "events": [{**event, "createdAt": stamp(event["createdAt"])} for event in found.events],
        "createdAt": stamp(found.created_at),
        "createdBy": found.created_by,
        "enableECSManagedTags": found.settings.get("enableECSManagedTags", False),
        "enableExecuteCommand": found.settings.get("enableExecuteCommand", False),
        "propagateTags": found.settings.get("propagateTags", "NONE"),
        "loadBalancers": found.settings.get("loadBalancers", []),
        "serviceRegistries": found.settings.get("serviceRegistries", []),
        "placementConstraints": found.settings.get("placementConstraints", []),
        "placementStrategy": found.settings.get("placementStrategy", []),
    }
    answer.update(_what_runs(found, deployments, hidden))
    if tags:
        answer["tags"] = found.tags
    return answer


def _what_runs(found: Service, deployments: list[Deployment], hidden: bool) -> Json:
    if found.controller != "ECS":
        sets = {"taskSets": [task_set(found, one) for one in deployments]}
        primary = found.primary
        # API_Service: an EXTERNAL service has its task definitions in its task sets only.
        if found.controller == "CODE_DEPLOY" and primary is not None:
            return {**sets, "taskDefinition": primary.definition.arn}
        return sets
    rendered = [deployment(found, one) for one in deployments]
    if hidden:
        rendered[0]["status"], rendered[0]["desiredCount"] = "PRIMARY", found.desired
    answer: Json = {"deployments": rendered}
    if rendered:
        answer["taskDefinition"] = rendered[0]["taskDefinition"]
    if found.quirks.service_deployments == "full" and found.records:
        record = found.records[min(1, len(found.records) - 1)] if hidden else found.records[0]
        answer["currentServiceDeployment"] = record.arn
        answer["currentServiceRevisions"] = [_revision_summary(found, one.digits) for one in deployments]
    return answer


def task(found: Task, region: Region, tags: bool = False) -> Json:
    container_status = found.last_status
    if container_status in ("PROVISIONING", "ACTIVATING"):
        container_status = "PENDING"
    elif container_status in ("DEACTIVATING", "STOPPING"):
        container_status = "RUNNING"
    elif found.gone:
        container_status = "STOPPED"
    return {
        "taskArn": found.arn,
        "clusterArn": region.arn(f"cluster/{found.cluster}"),
        "taskDefinitionArn": found.definition.arn,
        "group": found.group,
        "lastStatus": found.last_status,
        "desiredStatus": found.desired_status,
        "healthStatus": found.health,
        "launchType": found.launch_type,
        "availabilityZone": found.zone,
        "connectivity": "CONNECTED",
        "cpu": found.definition.body.get("cpu", "256"),
        "memory": found.definition.body.get("memory", "512"),
        "createdAt": stamp(found.created_at),
        "attachments": [],
        "attributes": [],
        "overrides": found.overrides or {"containerOverrides": [], "inferenceAcceleratorOverrides": []},
        "enableExecuteCommand": False,
        "version": 1,
        "containers": [_container(found, one, container_status, region) for one in found.definition.containers],
        "tags": found.tags if tags else [],
        **_given(
            startedBy=found.started_by or None,
            startedAt=_maybe(found.started_at),
            stoppingAt=_maybe(found.stopping_at),
            stoppedAt=_maybe(found.stopped_at),
            stopCode=found.stop_code,
            stoppedReason=found.stopped_reason,
        ),
    }


def _container(found: Task, definition: Json, status: str, region: Region) -> Json:
    ended = found.gone
    failed_to_start = found.stop_code == "TaskFailedToStart"
    checked = bool(definition.get("healthCheck"))
    essential_reason = found.stopped_reason if failed_to_start and definition.get("essential", True) else None
    return {
        "containerArn": region.arn(f"container/{found.cluster}/{found.id}/{definition['name']}"),
        "taskArn": found.arn,
        "name": definition["name"],
        "image": definition.get("image", ""),
        "lastStatus": status,
        "healthStatus": found.health if checked else "UNKNOWN",
        "networkInterfaces": [],
        "networkBindings": [],
        "cpu": str(definition.get("cpu", 0)),
        **_given(
            runtimeId=f"{found.id}-{sum(definition['name'].encode())}" if found.started_at is not None else None,
            exitCode=found.exit_code if ended and found.started_at is not None else None,
            reason=(found.container_reason or essential_reason) if ended else None,
        ),
    }


def _revision_arn(found: Service, digits: str) -> str:
    return f"{found.arn.replace(':service/', ':service-revision/')}/{digits}"


def _revision_summary(found: Service, digits: str) -> Json:
    one = next((item for item in found.deployments if item.digits == digits), None)
    running, pending = _counts(found, one) if one is not None else (0, 0)
    wanted = found.desired if one is not None and one.status == "PRIMARY" else 0
    return {
        "arn": _revision_arn(found, digits),
        "requestedTaskCount": wanted,
        "runningTaskCount": running,
        "pendingTaskCount": pending,
    }


def record_brief(found: Service, record: Record) -> Json:
    return {
        "serviceDeploymentArn": record.arn,
        "serviceArn": found.arn,
        "clusterArn": found.cluster_arn,
        "createdAt": stamp(record.created_at),
        "targetServiceRevisionArn": _revision_arn(found, record.target.rsplit("/", 1)[-1]),
        "status": record.status,
        **_given(
            startedAt=_maybe(record.started_at),
            finishedAt=_maybe(record.finished_at),
            statusReason=record.status_reason,
        ),
    }


def record(found: Service, one: Record, now: float) -> Json:
    target = _revision_summary(found, one.target.rsplit("/", 1)[-1])
    target["requestedTaskCount"] = one.requested
    if one.final_counts is not None:
        target["runningTaskCount"], target["pendingTaskCount"] = one.final_counts
    sources = [_revision_summary(found, source.rsplit("/", 1)[-1]) for source in one.sources]
    if one.stage is not None:
        share = stages.production_share(found, one, now)
        target["requestedProductionTrafficWeight"] = share
        for source in sources:
            source["requestedProductionTrafficWeight"] = 100.0 - share
    brief = record_brief(found, one)
    del brief["targetServiceRevisionArn"]
    return {
        **brief,
        "updatedAt": stamp(one.updated_at),
        "targetServiceRevision": target,
        "sourceServiceRevisions": sources,
        "deploymentConfiguration": found.configuration,
        "deploymentCircuitBreaker": _breaker(found, one),
        "alarms": _alarms(found, one),
        **_given(
            stoppedAt=_maybe(one.stopped_at),
            lifecycleStage=one.stage,
            lifecycleHookDetails=_hooks(one),
            rollback=_rollback(found, one),
        ),
    }


def _monitor(enabled: bool, tripped: bool, one: Record) -> str:
    """API_ServiceDeploymentCircuitBreaker and API_ServiceDeploymentAlarms: the four statuses."""
    if not enabled:
        return "DISABLED"
    if tripped:
        return "TRIGGERED"
    return "MONITORING" if one.finished_at is None and one.rollback is None else "MONITORING_COMPLETE"


def _breaker(found: Service, one: Record) -> Json:
    enabled = bool(found.configuration.get("deploymentCircuitBreaker", {}).get("enable"))
    return {
        "status": _monitor(enabled, one.breaker_tripped, one),
        "failureCount": one.failures,
        "threshold": outcome.threshold(found),
    }


def _alarms(found: Service, one: Record) -> Json:
    settings = found.configuration.get("alarms", {})
    answer: Json = {"status": _monitor(bool(settings.get("enable")), bool(one.alarms_triggered), one)}
    if settings.get("enable"):
        answer |= {"alarmNames": settings.get("alarmNames", []), "triggeredAlarmNames": one.alarms_triggered}
    return answer


def _hooks(one: Record) -> list[Json] | None:
    return [
        {
            "hookId": hook.id,
            "targetType": "PAUSE",
            "status": hook.status,
            "expiresAt": stamp(hook.expires_at),
            "timeoutAction": hook.action,
        }
        for hook in one.hooks
    ] or None


def _rollback(found: Service, one: Record) -> Json | None:
    if one.rollback is None:
        return None
    return {
        "reason": one.rollback["reason"],
        "startedAt": stamp(one.rollback["startedAt"]),
        "serviceRevisionArn": _revision_arn(found, one.rollback["target"]),
    }


def revision(found: Service, one: Revision) -> Json:
    names = ("launchType", "platformVersion", "networkConfiguration", "loadBalancers", "serviceRegistries")
    return {
        "serviceRevisionArn": _revision_arn(found, one.digits),
        "serviceArn": found.arn,
        "clusterArn": found.cluster_arn,
        "taskDefinition": one.task_definition,
        "createdAt": stamp(one.created_at),
        "guardDutyEnabled": False,
        **{name: one.settings[name] for name in names if name in one.settings},
    }
