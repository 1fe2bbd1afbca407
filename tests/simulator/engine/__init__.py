# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rollout engine: `advance(service, now)` moves a service to `now`, event by event, without sleeping.

task_life  how one task starts, dies and drains
scheduler  how many tasks to start and stop (rolling updates, DAEMON, task sets)
stages     blue/green, linear and canary deployments
outcome    completion, circuit breaker, alarms, rollback, supersession
"""

from __future__ import annotations

from ..state import Region, Service, Task
from . import scheduler, task_life


def advance(service: Service, now: float) -> None:
    """Carry out everything that happens up to `now`, in order of time. The same calls give the same state."""
    while (at := next_event(service)) is not None and at <= now:
        service.timers = [timer for timer in service.timers if timer > at]
        for task in list(service.tasks.values()):
            for step in task_life.due(task, at):
                if step.name == "EXPIRED":
                    del service.tasks[task.id]
                else:
                    task_life.apply(task, step, service)
        scheduler.schedule(service, at)


def touch(service: Service, now: float) -> None:
    """Let the scheduler react at once to a change that an operation made."""
    advance(service, now)
    scheduler.schedule(service, now)


def next_event(service: Service) -> float | None:
    times = list(service.timers)
    times.extend(task.plan[0].at for task in service.tasks.values() if task.plan)
    return min(times, default=None)


def advance_region(region: Region, now: float) -> None:
    """Advance every service and standalone task of a Region."""
    for cluster in region.clusters.values():
        for service in cluster.services.values():
            advance(service, now)
        for task in list(cluster.tasks.values()):
            for step in task_life.due(task, now):
                if step.name == "EXPIRED":
                    del cluster.tasks[task.id]
                else:
                    task_life.apply(task, step, None)


__all__ = ["Service", "Task", "advance", "advance_region", "next_event", "touch"]
