# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The service scheduler: starts and stops tasks, then judges the deployment.

Follows the ECS developer guide, "Deploy Amazon ECS services by replacing tasks": minimumHealthyPercent (rounded up)
of desiredCount stays healthy, maximumPercent (rounded down) bounds what may exist at once.
"""

from __future__ import annotations

import math

from ..endings import Script
from ..state import Deployment, Service, Task, new_hex
from . import outcome, stages, task_life

_ZONES = ("a", "b", "c")


def schedule(service: Service, now: float) -> None:
    """One round. It may be called at any time and as often as one likes; only time and tasks change its result."""
    primary = service.primary
    if service.status == "ACTIVE" and primary is not None:
        if service.controller == "ECS":
            outcome.start_due(service, primary, now)
            outcome.scripted(service, primary, now)
            primary = service.primary
            assert primary is not None
            if service.strategy != "ROLLING" and primary.rollout_state == "IN_PROGRESS" and not _rolling_back(primary):
                stages.step(service, primary, now)
            else:
                _roll(service, primary, now)
            outcome.judge(service, now)
        else:
            for task_set in service.deployments:
                _fit(service, task_set, math.ceil(service.desired * task_set.scale / 100), now)
    elif service.status == "DRAINING":
        for task in list(service.tasks.values()):
            stop_task(service, task, now)
    outcome.drop_empty(service, now)
    if service.status == "DRAINING" and all(task.gone for task in service.tasks.values()):
        service.status = "INACTIVE"
        service.deployments.clear()


def _rolling_back(deployment: Deployment) -> bool:
    return deployment.record is not None and deployment.record.status.startswith("ROLLBACK")


def bounds(service: Service) -> tuple[int, int]:
    """(fewest healthy, most existing) tasks during a deployment."""
    daemon = service.scheduling == "DAEMON"
    lower = service.configuration.get("minimumHealthyPercent", 0 if daemon else 100)
    upper = service.configuration.get("maximumPercent", 100 if daemon else 200)
    return math.ceil(service.desired * lower / 100), math.floor(service.desired * upper / 100)


def _roll(service: Service, primary: Deployment, now: float) -> None:
    """One round of a rolling update, which is also what keeps a steady service at its desired count."""
    lower, upper = bounds(service)
    primary_alive = [task for task in service.tasks_of(primary) if task.alive]
    old = [task for task in service.tasks.values() if task.alive and task.deployment_id != primary.id]
    existing = sum(1 for task in service.tasks.values() if not task.gone)
    need = service.desired - len(primary_alive)
    if not old:
        upper = max(upper, service.desired)
    if need < 0:
        for task in sorted(primary_alive, key=lambda one: one.created_at)[:-need]:
            stop_task(service, task, now)
    room = min(need, upper - existing)
    started = start_tasks(service, primary, room, now) if room > 0 and may_start(service, primary, now) else 0
    stopped = _stop_old(service, primary, old, lower, room, now)
    waiting = primary.next_start > now
    in_flight = any(task.plan and task.plan[0].name != "EXPIRED" for task in service.tasks.values())
    if need > 0 and not (started or stopped or waiting or in_flight) and room <= 0:
        # ECS developer guide, service event messages: said when the percentages leave no way to move.
        service.say(
            now,
            f"(service {service.name}) was unable to stop or start tasks during a deployment because of the service "
            "deployment configuration. Update the minimumHealthyPercent or maximumPercent value and try again.",
            once=True,
        )


def _stop_old(service: Service, primary: Deployment, old: list[Task], lower: int, room: int, now: float) -> list[Task]:
    """Stop as many older tasks as the lower bound allows; a FAILED deployment replaces nothing."""
    if primary.rollout_state == "FAILED" or not old:
        return []
    if outcome.cleans_up_later(service, primary) and not _cleanup_due(service, primary, room, now):
        return []
    healthy = sum(1 for task in service.tasks.values() if task.alive and task.healthy)
    stopped: list[Task] = []
    for task in sorted(old, key=lambda one: (one.healthy, one.created_at)):
        if task.protected(now):
            service.wake(task.protected_until or now)
            service.say(
                now,
                # No document gives this sentence; only that protected tasks are not stopped by a deployment.
                f"(service {service.name}) was unable to stop tasks during a deployment because they are protected "
                "from scale-in.",
                once=True,
            )
            continue
        if task.healthy and healthy <= lower:
            continue
        healthy -= 1 if task.healthy else 0
        stop_task(service, task, now)
        stopped.append(task)
    if stopped:
        names = " ".join(f"(task {task.id})" for task in stopped)
        service.say(now, f"(service {service.name}) has stopped {len(stopped)} running tasks: {names}.")
    return stopped


def _cleanup_due(service: Service, primary: Deployment, room: int, now: float) -> bool:
    """Deferred clean-up: older tasks go after success, or earlier when the new ones find no room."""
    if primary.rollout_state == "COMPLETED":
        at = primary.cleanup_at or now
        if at > now:
            service.wake(at)
        return at <= now
    return room <= 0 and len([one for one in service.tasks_of(primary) if one.alive]) < service.desired


def _fit(service: Service, task_set: Deployment, wanted: int, now: float) -> None:
    """Bring a task set to its computed desired count."""
    alive = [task for task in service.tasks_of(task_set) if task.alive]
    if task_set.status == "DRAINING":
        wanted = 0
    if len(alive) < wanted and may_start(service, task_set, now):
        start_tasks(service, task_set, wanted - len(alive), now)
    for task in alive[wanted:]:
        stop_task(service, task, now)


def may_start(service: Service, deployment: Deployment, now: float) -> bool:
    """Whether this deployment may start tasks now: not FAILED, not backing off, room in the cluster."""
    if deployment.rollout_state == "FAILED":
        return False
    if deployment.record is not None and deployment.record.status == "PENDING":
        return False
    if deployment.next_start > now:
        service.wake(deployment.next_start)
        return False
    return _has_capacity(service, deployment, now)


def _has_capacity(service: Service, deployment: Deployment, now: float) -> bool:
    script = deployment.script
    if script.ending != "no_capacity":
        return True
    if script.capacity_after is not None:
        free_at = deployment.created_at + script.capacity_after
        if now >= free_at:
            return True
        service.wake(free_at)
    reason = script.message or (
        "The closest matching (container-instance 0123456789abcdef0123456789abcdef) has insufficient memory available."
    )
    service.say(
        now,
        f"(service {service.name}) was unable to place a task because no container instance met all of its "
        f"requirements. Reason: {reason} For more information, see the Troubleshooting section of the Amazon ECS "
        "Developer Guide.",
        once=True,
    )
    return False


def start_tasks(service: Service, deployment: Deployment, count: int, now: float) -> int:
    """Start `count` tasks of a deployment and say so."""
    names = " ".join(f"(task {_start(service, deployment, now).id})" for _unused in range(count))
    service.say(now, f"(service {service.name}) has started {count} tasks: {names}.")
    deployment.updated_at = now
    return count


def _start(service: Service, deployment: Deployment, now: float) -> Task:
    script: Script = deployment.script
    deployment.attempts += 1
    fails = script.failing_tasks is None or deployment.attempts <= script.failing_tasks
    cause = script.failure if fails else None
    task = make_task(service, deployment, now)
    task.cause = cause
    task.plan = task_life.start_plan(service.timing, service.rng, now, cause, script.run_seconds)
    return task


def make_task(service: Service, deployment: Deployment, now: float) -> Task:
    """A new task of the deployment, without a plan yet."""
    identifier = new_hex(service.rng)
    region = service.arn.split(":")[3]
    quirky = service.quirks.started_by == "service_name"
    task = Task(
        id=identifier,
        arn=f"{service.cluster_arn.replace(':cluster/', ':task/')}/{identifier}",
        cluster=service.cluster,
        definition=deployment.definition,
        group=f"service:{service.name}",
        started_by=service.name if quirky else deployment.id,
        created_at=now,
        plan=[],
        launch_type=str(service.settings.get("launchType", "FARGATE")),
        zone=region + _ZONES[len(service.tasks) % len(_ZONES)],
        deployment_id=deployment.id,
        prepare=service.prepare,
    )
    service.tasks[identifier] = task
    return task


def stop_task(service: Service, task: Task, now: float) -> None:
    """Stop a task on the scheduler's behalf."""
    # Wording: ECS developer guide, "Stopped tasks error messages"; the deployment's id stands in it.
    reason = f"Scaling activity initiated by (deployment {task.deployment_id})"
    task_life.stop(task, now, service.timing, service.timing.drain, "ServiceSchedulerInitiated", reason)
