# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One task's life (ECS developer guide, "Task lifecycle states").

PROVISIONING, PENDING, ACTIVATING, RUNNING, DEACTIVATING, STOPPING, DEPROVISIONING, STOPPED.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator

from ..endings import CAUSES, Cause
from ..state import Service, Step, Task, Timing


def start_plan(timing: Timing, rng: random.Random, now: float, cause: Cause | None, run_seconds: float) -> list[Step]:
    """The steps of a task created at `now`, which dies of `cause` if there is one."""
    pending = now + timing.provisioning + rng.uniform(0, timing.jitter)
    activating = pending + timing.pending + rng.uniform(0, timing.jitter)
    running = activating + timing.activating
    if cause is not None and not cause.starts:
        return [Step(pending, "PENDING"), Step(activating, "FAIL")]
    steps = [Step(pending, "PENDING"), Step(activating, "ACTIVATING"), Step(running, "RUNNING")]
    if cause is not None:
        return [*steps, Step(running + run_seconds, "FAIL")]
    return [*steps, Step(running + timing.healthy, "HEALTHY")]


def due(task: Task, now: float) -> Iterator[Step]:
    """Take the steps that are due off the task's plan, one by one: a step may change the plan."""
    while task.plan and task.plan[0].at <= now:
        yield task.plan.pop(0)


def apply(task: Task, step: Step, service: Service | None) -> None:
    """Carry out one step; tells the service's deployment of health and failure. Secrets are read before ACTIVATING."""
    if step.name == "HEALTHY":
        task.healthy = True
        task.health = "HEALTHY" if task.definition.has_health_check else "UNKNOWN"
        if service is not None:
            _count_healthy(task, service)
    elif step.name == "FAIL":
        _fail(task, step.at, service)
    elif step.name == "ACTIVATING" and (reason := task.prepare(task) if task.prepare is not None else None):
        task.cause = dataclasses.replace(CAUSES["secret_access"], stopped_reason=reason)
        _fail(task, step.at, service)
    else:
        task.last_status = step.name
        if step.name == "RUNNING":
            task.started_at = step.at
        if step.name == "STOPPED":
            task.stopped_at = step.at
        if step.name in ("STOPPING", "DEPROVISIONING") and task.started_at is not None and task.exit_code is None:
            task.exit_code = 0


def stop(task: Task, now: float, timing: Timing, drain: float, code: str, reason: str) -> None:
    """Ask a task to stop: it drains for `drain` seconds, then goes through STOPPING and DEPROVISIONING."""
    if not task.alive:
        return
    task.desired_status = "STOPPED"
    task.stopping_at = now
    task.stop_code, task.stopped_reason = code, reason
    started = task.last_status in ("ACTIVATING", "RUNNING")
    task.last_status = "DEACTIVATING" if started else "DEPROVISIONING"
    stopping = now + (drain if started else 0.0)
    steps = [Step(stopping, "STOPPING")] if started else []
    _plan_end(task, steps, stopping + (timing.stopping if started else 0.0), timing)


def _plan_end(task: Task, steps: list[Step], deprovisioning: float, timing: Timing) -> None:
    stopped = deprovisioning + timing.deprovisioning
    task.plan = [
        *steps,
        Step(deprovisioning, "DEPROVISIONING"),
        Step(stopped, "STOPPED"),
        Step(stopped + timing.describable, "EXPIRED"),
    ]


def _fail(task: Task, now: float, service: Service | None) -> None:
    cause = task.cause
    assert cause is not None
    timing = service.timing if service is not None else Timing()
    task.desired_status = "STOPPED"
    task.healthy = False
    task.stopping_at = now
    task.stop_code, task.stopped_reason = cause.stop_code, cause.stopped_reason
    task.container_reason, task.exit_code = cause.container_reason, cause.exit_code
    if cause.stopped_reason.startswith("Task failed container health checks"):
        task.health = "UNHEALTHY"
    task.last_status = "DEPROVISIONING"
    _plan_end(task, [], now, timing)
    if service is not None:
        _count_failure(task, now, service)


def _count_failure(task: Task, now: float, service: Service) -> None:
    """A start that failed; the next one waits, longer each time ("service throttle logic"; the lengths are assumed)."""
    deployment = next((one for one in service.deployments if one.id == task.deployment_id), None)
    if deployment is None:
        return
    deployment.failed += 1
    deployment.updated_at = now
    if deployment.record is not None:
        deployment.record.failures += 1
    if not service.configuration.get("deploymentCircuitBreaker", {}).get("enable"):
        timing = service.timing
        wait = min(timing.backoff * 2 ** min(deployment.failed - 1, 10), timing.backoff_max)
        deployment.next_start = max(deployment.next_start, now + wait)
        service.wake(deployment.next_start)
        if deployment.failed >= 3:
            service.say(now, f"(service {service.name}) is unable to consistently start tasks successfully.", once=True)
    reason = task.stopped_reason or ""
    if reason.startswith("Task failed ELB health checks"):
        group = reason.removeprefix("Task failed ELB health checks in ")
        service.say(
            now,
            f"(service {service.name}) (port 8080) is unhealthy in {group} due to (reason Health checks failed).",
        )
    elif task.health == "UNHEALTHY":
        service.say(now, f"(service {service.name}) (task {task.id}) failed container health checks.")


def _count_healthy(task: Task, service: Service) -> None:
    """`resetOnHealthyTask` (API_DeploymentCircuitBreaker) defaults to true: one healthy task forgives the failures."""
    deployment = next((one for one in service.deployments if one.id == task.deployment_id), None)
    if deployment is None:
        return
    if service.configuration.get("deploymentCircuitBreaker", {}).get("resetOnHealthyTask", True):
        deployment.failed = 0
        if deployment.record is not None:
            deployment.record.failures = 0
