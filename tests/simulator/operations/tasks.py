# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""ListTasks, DescribeTasks, RunTask, StopTask and task protection."""

from __future__ import annotations

from collections.abc import Iterable

from .. import engine, errors, render
from ..engine import task_life
from ..state import Cluster, Json, Task, TaskDefinition, new_hex
from ..world import Call, last_part
from .common import checked_tags, missing, page, required

_LONGEST_PROTECTION = 2880  # minutes; API_UpdateTaskProtection


def _all(cluster: Cluster) -> list[Task]:
    found = list(cluster.tasks.values())
    for service in cluster.services.values():
        found.extend(service.tasks.values())
    return found


def list_all(call: Call, body: Json) -> Json:
    """desiredStatus defaults to RUNNING; a draining task's desired status is STOPPED already."""
    cluster = call.cluster(body.get("cluster"))
    tasks: Iterable[Task] = _all(cluster)
    if body.get("serviceName"):
        service = call.service(body.get("cluster"), body["serviceName"])
        tasks = service.tasks.values()
        if call.stale and service.primary is not None:
            newest = service.primary.id
            tasks = [task for task in tasks if task.deployment_id != newest]
    wanted = body.get("desiredStatus", "RUNNING")
    found = [
        task.arn
        for task in tasks
        if task.desired_status == wanted
        and body.get("family") in (None, task.definition.family)
        and body.get("startedBy") in (None, task.started_by)
        and body.get("launchType") in (None, task.launch_type)
    ]
    return page(found, body, "taskArns", 100)


def describe(call: Call, body: Json) -> Json:
    names = required(body, "tasks")
    if len(names) > 100:
        raise errors.invalid("Tasks cannot have more than 100 elements.")
    cluster = call.cluster(body.get("cluster"))
    tags = "TAGS" in body.get("include", [])
    found, failures = [], []
    for name in names:
        task = call.task(cluster, name)
        if task is None:
            arn = name if name.startswith("arn:") else call.region.arn(f"task/{cluster.name}/{name}")
            failures.append(missing(arn))
        else:
            found.append(render.task(task, call.region, tags))
    return {"tasks": found, "failures": failures}


def run(call: Call, body: Json) -> Json:
    cluster = call.cluster(body.get("cluster"))
    definition = call.usable_definition(str(required(body, "taskDefinition")))
    count = int(body.get("count", 1))
    if not 1 <= count <= 10:
        raise errors.invalid("count should be between 1 and 10.")
    tags = checked_tags(body.get("tags"))
    started = [_start(call, cluster, definition, body, tags) for _unused in range(count)]
    return {"tasks": [render.task(task, call.region, tags=True) for task in started], "failures": []}


def _start(call: Call, cluster: Cluster, definition: TaskDefinition, body: Json, tags: list[Json]) -> Task:
    identifier = new_hex(call.region.rng)
    task = Task(
        id=identifier,
        arn=call.region.arn(f"task/{cluster.name}/{identifier}"),
        cluster=cluster.name,
        definition=definition,
        group=body.get("group", f"family:{definition.family}"),
        started_by=body.get("startedBy", ""),
        created_at=call.now,
        plan=task_life.start_plan(call.region.timing, call.region.rng, call.now, None, 0.0),
        launch_type=body.get("launchType", "FARGATE"),
        zone=call.region.name + "a",
        prepare=call.region.prepare,
        overrides=dict(body.get("overrides", {})),
        tags=tags,
    )
    cluster.tasks[identifier] = task
    return task


def stop(call: Call, body: Json) -> Json:
    cluster = call.cluster(body.get("cluster"))
    task = call.task(cluster, str(required(body, "task")))
    if task is None:
        raise errors.invalid("The referenced task was not found.")
    timing = call.region.timing
    task_life.stop(task, call.now, timing, 0.0, "UserInitiated", body.get("reason", "Task stopped by user"))
    service = next((one for one in cluster.services.values() if task.id in one.tasks), None)
    if service is not None:
        engine.touch(service, call.now)
    return {"task": render.task(task, call.region)}


def protect(call: Call, body: Json) -> Json:
    minutes = body.get("expiresInMinutes", 120)
    if not 1 <= minutes <= _LONGEST_PROTECTION:
        raise errors.invalid(f"expiresInMinutes should be between 1 and {_LONGEST_PROTECTION}.")
    cluster = call.cluster(required(body, "cluster"))
    found, failures = [], []
    for name in required(body, "tasks"):
        task = call.task(cluster, name)
        if task is None or task.deployment_id is None:
            # API failure reasons: TASK_NOT_VALID for a task that is no service's, MISSING for none at all.
            reason = "MISSING" if task is None else "TASK_NOT_VALID"
            failures.append({"arn": call.region.arn(f"task/{cluster.name}/{last_part(name)}"), "reason": reason})
            continue
        task.protected_until = call.now + 60 * minutes if body.get("protectionEnabled") else None
        found.append(_protection(task, call.now))
    for service in cluster.services.values():
        engine.touch(service, call.now)
    return {"protectedTasks": found, "failures": failures}


def protection(call: Call, body: Json) -> Json:
    cluster = call.cluster(required(body, "cluster"))
    names = body.get("tasks")
    if not names:
        return {"protectedTasks": [_protection(task, call.now) for task in _all(cluster)], "failures": []}
    tasks = [(name, call.task(cluster, name)) for name in names]
    return {
        "protectedTasks": [_protection(task, call.now) for _unused, task in tasks if task is not None],
        "failures": [missing(name) for name, task in tasks if task is None],
    }


def _protection(task: Task, now: float) -> Json:
    answer: Json = {"taskArn": task.arn, "protectionEnabled": task.protected(now)}
    if task.protected(now) and task.protected_until is not None:
        answer["expirationDate"] = render.stamp(task.protected_until)
    return answer


OPERATIONS = {
    "ListTasks": list_all,
    "DescribeTasks": describe,
    "RunTask": run,
    "StopTask": stop,
    "UpdateTaskProtection": protect,
    "GetTaskProtection": protection,
}
