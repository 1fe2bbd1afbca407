# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What becomes of a deployment: begun, completed, failed, rolled back, superseded.

Statuses: API_ServiceDeployment and the ECS developer guide, "View service history using Amazon ECS service
deployments". Circuit breaker: "How the Amazon ECS deployment circuit breaker detects failures".
"""

from __future__ import annotations

import math

from ..endings import Script
from ..state import Deployment, Record, Revision, Service, TaskDefinition, new_digits, new_record_id

_OVER = ("SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED")


def deploy(service: Service, definition: TaskDefinition, now: float, script: Script | None = None) -> Deployment:
    """Make a new PRIMARY deployment. A running one is superseded: it becomes ACTIVE and its record STOPPED."""
    if script is None:
        script, service.script = service.script or Script(), None
    previous = service.primary
    sources = [one.id for one in service.deployments if service.tasks_of(one) or one is previous]
    for one in service.deployments:
        one.status = "ACTIVE"
    if previous is not None and previous.record is not None and previous.record.status not in _OVER:
        # No document says how this record's statusReason reads.
        end(service, previous.record, "STOPPED", now, "Service deployment stopped because of a new deployment.")
    deployment = Deployment(f"ecs-svc/{new_digits(service.rng)}", definition, now, now, script)
    deployment.rollout_reason = f"ECS deployment {deployment.id} in progress."
    service.deployments.insert(0, deployment)
    service.said.clear()
    service.revisions[deployment.digits] = Revision(deployment.digits, definition.arn, now, dict(service.settings))
    if service.controller == "ECS":
        arn = service.arn.replace(":service/", ":service-deployment/") + "/" + new_record_id(service.rng)
        deployment.record = Record(arn, deployment.id, sources, now, now, requested=service.desired)
        service.records.insert(0, deployment.record)
        service.wake(now + service.timing.queue)
    _prepare(service, deployment, now)
    return deployment


def _prepare(service: Service, deployment: Deployment, now: float) -> None:
    script = deployment.script
    if script.ending in ("superseded", "alarm"):
        service.wake(now + script.after)
    if script.ending == "task_protection":
        old = [task for task in service.tasks.values() if task.alive]
        for task in old[: script.protect_tasks]:
            task.protected_until = now + 60 * script.protect_minutes


def start_due(service: Service, deployment: Deployment, now: float) -> None:
    """PENDING becomes IN_PROGRESS, ROLLBACK_REQUESTED becomes ROLLBACK_IN_PROGRESS."""
    record = deployment.record
    if record is not None and record.status == "PENDING":
        if now < record.created_at + service.timing.queue:
            service.wake(record.created_at + service.timing.queue)
            return
        record.status, record.started_at, record.updated_at = "IN_PROGRESS", now, now
    if record is not None and record.status == "ROLLBACK_REQUESTED" and record.target == deployment.id:
        roll_back(service, deployment, now, "Service deployment rolled back because of a user request.")


def scripted(service: Service, primary: Deployment, now: float) -> None:
    """Failures: the breaker's threshold, an alarm, or someone else's deployment."""
    if primary.rollout_state != "IN_PROGRESS" or primary.record is None or primary.record.target != primary.id:
        return
    script = primary.script
    if script.ending == "superseded" and now >= primary.created_at + script.after:
        _supersede(service, primary, now)
    elif script.ending == "alarm" and now >= primary.created_at + script.after:
        primary.record.alarms_triggered = list(script.alarm_names)
        _give_up(service, primary, now, "alarm detected", service.configuration.get("alarms", {}).get("rollback", True))
    elif _breaker_trips(service, primary):
        primary.record.breaker_tripped = True
        breaker = service.configuration["deploymentCircuitBreaker"]
        _give_up(service, primary, now, "tasks failed to start", bool(breaker.get("rollback")))


def threshold(service: Service) -> int:
    """Failed tasks that trip the breaker (API_DeploymentCircuitBreaker, API_ThresholdConfiguration)."""
    breaker = service.configuration.get("deploymentCircuitBreaker", {})
    settings = breaker.get("thresholdConfiguration", {})
    kind, value = settings.get("type", "BOUNDED_PERCENT"), int(settings.get("value", 50))
    if kind == "COUNT":
        return value
    share = math.ceil(service.desired * value / 100)
    # The least a breaker needs is one failure: assumed for UNBOUNDED_PERCENT.
    return max(share, 1) if kind == "UNBOUNDED_PERCENT" else min(max(share, 3), 200)


def _breaker_trips(service: Service, deployment: Deployment) -> bool:
    enabled = service.configuration.get("deploymentCircuitBreaker", {}).get("enable", False)
    return bool(enabled) and deployment.failed >= threshold(service)


def _give_up(service: Service, deployment: Deployment, now: float, why: str, rollback: bool) -> None:
    reason = "ECS deployment circuit breaker: tasks failed to start."
    if why != "tasks failed to start":
        reason = f"ECS deployment failed: {why}."
    deployment.rollout_state, deployment.rollout_reason, deployment.updated_at = "FAILED", reason, now
    service.say(now, f"(service {service.name}) (deployment {deployment.id}) deployment failed: {why}.")
    record = deployment.record
    assert record is not None
    cause = "the circuit breaker threshold was exceeded" if record.breaker_tripped else "an alarm was triggered"
    if rollback:
        roll_back(service, deployment, now, f"Service deployment rolled back because {cause}.")
    else:
        # The API has no FAILED for a service deployment; that a failure without rollback ends STOPPED is inferred.
        end(service, record, "STOPPED", now, f"Service deployment stopped because {cause}.")


def roll_back(service: Service, deployment: Deployment, now: float, reason: str) -> None:
    """Make the last completed deployment PRIMARY again; the given one drains and vanishes."""
    record = deployment.record
    assert record is not None
    target = service.last_good
    if target is None:
        deployment.rollout_state = "FAILED"
        end(service, record, "ROLLBACK_FAILED", now, "There is no completed deployment to roll back to.")
        return
    record.status, record.status_reason, record.updated_at = "ROLLBACK_IN_PROGRESS", reason, now
    record.rollback = {"reason": reason, "startedAt": now, "target": target.digits}
    for hook in record.hooks:
        hook.status = "FAILED" if hook.status == "AWAITING_ACTION" else hook.status
    deployment.status, deployment.rollout_state = "ACTIVE", "FAILED"
    target.status, target.rollout_state, target.updated_at = "PRIMARY", "IN_PROGRESS", now
    target.rollout_reason = f"ECS deployment circuit breaker: rolling back to deploymentId {target.id}."
    target.record, target.script, target.failed, target.next_start = record, Script(), 0, 0.0
    service.deployments = [target, *(one for one in service.deployments if one is not target)]
    service.said.clear()
    service.say(now, f"(service {service.name}) rolling back to deployment {target.id}.")
    service.wake(now)


def _supersede(service: Service, primary: Deployment, now: float) -> None:
    """Someone else deploys: the named definition, or what ran before."""
    chosen, service.superseder = service.superseder, None
    if chosen is None:
        chosen = service.last_good.definition if service.last_good is not None else primary.definition
    deploy(service, chosen, now, Script())


def cleans_up_later(service: Service, deployment: Deployment) -> bool:
    """earlySuccessCriteria with DEFERRED clean-up (API_DeploymentEarlySuccessCriteria)."""
    criteria = service.configuration.get("earlySuccessCriteria", {})
    return bool(criteria.get("enable")) and criteria.get("sourceServiceRevisionCleanup") == "DEFERRED"


def judge(service: Service, now: float) -> None:
    """Complete the PRIMARY deployment when it stands: enough healthy tasks and, normally, no older ones."""
    primary = service.primary
    if primary is None or primary.rollout_state != "IN_PROGRESS" or not _ripe(service, primary, now):
        return
    tasks = [task for task in service.tasks_of(primary) if task.alive]
    healthy = sum(1 for task in tasks if task.healthy)
    later = cleans_up_later(service, primary)
    criteria = service.configuration.get("earlySuccessCriteria", {})
    wanted = math.ceil(service.desired * criteria.get("healthyPercent", 100) / 100) if later else service.desired
    old = any(not task.gone and task.deployment_id != primary.id for task in service.tasks.values())
    if healthy < wanted or (old and not later) or (not later and len(tasks) != service.desired):
        return
    complete(service, primary, now)


def _ripe(service: Service, primary: Deployment, now: float) -> bool:
    """Not before its time: the shortest deployment, a scripted alarm, the stages of a blue/green one."""
    record = primary.record
    if record is not None and record.status in ("PENDING", "ROLLBACK_REQUESTED"):
        return False
    if record is not None and record.status == "IN_PROGRESS" and service.strategy != "ROLLING":
        return record.stage == "CLEAN_UP"
    earliest = primary.updated_at if record is not None and record.rollback else primary.created_at
    earliest += service.timing.complete
    if primary.script.ending == "alarm":
        earliest = max(earliest, primary.created_at + primary.script.after + 1)
    if now < earliest:
        service.wake(earliest)
    return now >= earliest


def complete(service: Service, deployment: Deployment, now: float) -> None:
    """COMPLETED, and the record SUCCESSFUL (or ROLLBACK_SUCCESSFUL)."""
    deployment.rollout_state, deployment.updated_at, deployment.completed_at = "COMPLETED", now, now
    deployment.rollout_reason = f"ECS deployment {deployment.id} completed."
    if cleans_up_later(service, deployment):
        deployment.cleanup_at = now + deployment.script.linger
        service.wake(deployment.cleanup_at)
    service.last_good = deployment
    record = deployment.record
    if record is not None and record.status not in _OVER:
        status = "ROLLBACK_SUCCESSFUL" if record.rollback else "SUCCESSFUL"
        end(service, record, status, now, record.status_reason)
    service.say(now, f"(service {service.name}) has reached a steady state.")
    service.say(now, f"(service {service.name}) (deployment {deployment.id}) deployment completed.")


def end(service: Service, record: Record, status: str, now: float, reason: str | None) -> None:
    """Close a service deployment's record."""
    record.status, record.status_reason = status, reason
    record.finished_at = record.updated_at = now
    if status == "STOPPED":
        record.stopped_at = now
    target = next((one for one in service.deployments if one.id == record.target), None)
    tasks = service.tasks_of(target) if target is not None else []
    running = sum(1 for task in tasks if task.last_status == "RUNNING")
    record.final_counts = (running, sum(1 for task in tasks if task.alive) - running)


def drop_empty(service: Service, now: float) -> None:
    """Deployments that are not PRIMARY vanish with their last task."""
    if service.controller != "ECS":
        return
    kept = [
        one
        for one in service.deployments
        if one.status == "PRIMARY" or any(not task.gone for task in service.tasks_of(one))
    ]
    service.deployments = kept
