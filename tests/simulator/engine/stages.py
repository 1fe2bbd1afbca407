# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Blue/green, linear and canary deployments: the lifecycle stages of a service deployment.

ECS developer guide, "Lifecycle stages for Amazon ECS blue/green service deployments". The stages and their order are
documented, their lengths are not (Timing.shift stands for one traffic shift); bake times and steps are the service's.
"""

from __future__ import annotations

import math

from ..state import Deployment, Hook, Json, Record, Service, new_uuid
from . import outcome, scheduler

STAGES = (
    "RECONCILE_SERVICE",
    "PRE_SCALE_UP",
    "SCALE_UP",
    "POST_SCALE_UP",
    "TEST_TRAFFIC_SHIFT",
    "POST_TEST_TRAFFIC_SHIFT",
    "PRODUCTION_TRAFFIC_SHIFT",
    "POST_PRODUCTION_TRAFFIC_SHIFT",
    "BAKE_TIME",
    "CLEAN_UP",
)


def step(service: Service, green: Deployment, now: float) -> None:
    """Move through as many stages as are over by `now`."""
    record = green.record
    if record is None or record.status != "IN_PROGRESS":
        return
    if record.stage is None:
        _enter(record, STAGES[0], now)
    while record.stage != "CLEAN_UP":
        assert record.stage is not None
        _keep_scale(service, green, record.stage, now)
        if not _hook_passed(service, green, record, now) or not _over(service, green, record, now):
            return
        _enter(record, STAGES[STAGES.index(record.stage) + 1], now)
    _keep_scale(service, green, record.stage, now)
    for task in service.tasks.values():
        if task.alive and task.deployment_id != green.id and not task.protected(now):
            scheduler.stop_task(service, task, now)


def production_share(service: Service, record: Record, now: float) -> float:
    """Percent of the production traffic that the new revision gets."""
    index = STAGES.index(record.stage) if record.stage in STAGES else 0
    if index < STAGES.index("PRODUCTION_TRAFFIC_SHIFT"):
        return 0.0
    if record.stage != "PRODUCTION_TRAFFIC_SHIFT":
        return 100.0
    elapsed = now - record.stage_since
    if service.strategy == "LINEAR":
        linear = service.configuration.get("linearConfiguration", {})
        percent, minutes = linear.get("stepPercent", 10.0), linear.get("stepBakeTimeInMinutes", 6.0)
        return float(min(100.0, percent * (1 + math.floor(elapsed / max(minutes * 60, 1)))))
    if service.strategy == "CANARY":
        return float(service.configuration.get("canaryConfiguration", {}).get("canaryPercent", 5.0))
    return 0.0


def _enter(record: Record, stage: str, now: float) -> None:
    record.stage, record.stage_since, record.updated_at = stage, now, now


def _keep_scale(service: Service, green: Deployment, stage: str, now: float) -> None:
    """From SCALE_UP on the new revision runs at full strength beside the old one."""
    if STAGES.index(stage) < STAGES.index("SCALE_UP"):
        return
    need = service.desired - sum(1 for task in service.tasks_of(green) if task.alive)
    if need > 0 and scheduler.may_start(service, green, now):
        scheduler.start_tasks(service, green, need, now)


def _hook_passed(service: Service, green: Deployment, record: Record, now: float) -> bool:
    """False while a PAUSE hook of this stage waits. Lambda hooks succeed at once here."""
    hook = next((one for one in record.hooks if one.stage == record.stage), None)
    if hook is None:
        settings = _pause_hook(service, record.stage)
        if settings is None:
            return True
        timeout = settings.get("timeoutConfiguration", {})
        hook = Hook(
            id=new_uuid(service.rng),
            stage=record.stage or "",
            status="AWAITING_ACTION",
            expires_at=now + 60 * timeout.get("timeoutInMinutes", 1440),
            action=timeout.get("action", "ROLLBACK"),
        )
        record.hooks.append(hook)
    if hook.status != "AWAITING_ACTION":
        return hook.status in ("SUCCEEDED", "TIMED_OUT")
    if now < hook.expires_at:
        service.wake(hook.expires_at)
        return False
    hook.status = "TIMED_OUT"
    if hook.action == "CONTINUE":
        return True
    outcome.roll_back(service, green, now, "Service deployment rolled back because of a lifecycle hook timeout.")
    return False


def _pause_hook(service: Service, stage: str | None) -> Json | None:
    for hook in service.configuration.get("lifecycleHooks", []):
        if hook.get("targetType") == "PAUSE" and stage in hook.get("lifecycleStages", []):
            found: Json = hook
            return found
    return None


def _over(service: Service, green: Deployment, record: Record, now: float) -> bool:
    if record.stage == "SCALE_UP":
        healthy = sum(1 for task in service.tasks_of(green) if task.alive and task.healthy)
        return healthy >= service.desired
    end = record.stage_since + _length(service, record.stage or "")
    if now < end:
        service.wake(end)
    return now >= end


def _length(service: Service, stage: str) -> float:
    """Seconds that a stage lasts."""
    shift = service.timing.shift
    if stage == "TEST_TRAFFIC_SHIFT":
        return shift
    if stage == "BAKE_TIME":
        return float(service.configuration.get("bakeTimeInMinutes", 15)) * 60
    if stage != "PRODUCTION_TRAFFIC_SHIFT":
        return 1.0
    if service.strategy == "LINEAR":
        linear = service.configuration.get("linearConfiguration", {})
        steps = math.ceil(100 / float(linear.get("stepPercent", 10.0))) - 1
        return shift + steps * float(linear.get("stepBakeTimeInMinutes", 6)) * 60
    if service.strategy == "CANARY":
        canary = service.configuration.get("canaryConfiguration", {})
        return shift + float(canary.get("canaryBakeTimeInMinutes", 10)) * 60
    return shift
