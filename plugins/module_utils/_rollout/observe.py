# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take one snapshot: the service, the deployment's record, the tasks. Each source may be denied or missing.

Follows API_DescribeServices, API_DescribeServiceDeployments, API_ListTasks and API_DescribeTasks of
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from .._aws import Aws
from .._ecs import (
    TASKS_BATCH,
    Deployment,
    Service,
    describe_tasks,
    epoch,
    last_part,
    list_tasks,
    same_task_definition,
    service_in_words,
    told_service,
)
from .._errors import AccessDeniedError, AwsError, GoneError, KeyturnError, NotSupportedError
from .evidence import ContainerSpec, Deployed, learn_values
from .judge import FINAL, still_counted, succeeded
from .snapshot import CLOCK_SECONDS, NOT_DESCRIBED, Record, Snapshot, Target, Task
from .together import RECORDS_BATCH, Reads

T = TypeVar("T")

# What ECS answers when something is not there, or not there yet.
_NOT_THERE = {"ClientException", "InvalidParameterException", "ServiceDeploymentNotFoundException"}
# Tasks may change while every count stays the same, and an alarm may stop a deployment before any count tells.
IDLE_SECONDS = 180.0
# How soon after a move the lifecycle stage of a blue/green, linear or canary deployment is looked up, and then ever
# more seldom. Every stage lasts minutes, and DescribeServices tells the deployment's end.
STAGE_SECONDS = 30.0
# While old tasks drain only they are looked at, but for the service after so many seconds: another deployment may
# begin.
DRAIN_SECONDS = 120.0
# A deployment that was over so long ago has left no task behind: a target group drains for an hour at most, and a
# container that was told to stop has two minutes.
SETTLED_SECONDS = 7200.0


class Observer:
    """Looks at one service. Keeps what does not change between polls, and which source was refused.

    Args:
        reads: what others of the same wait read as well.
        epoch: seconds since 1970.
    """

    def __init__(
        self, aws: Aws, reads: Reads, cluster: str, service: str, epoch: Callable[[], float] = time.time
    ) -> None:
        self._aws = aws
        self._reads = reads
        self._epoch = epoch
        self._cluster = cluster
        self._service = service
        self._refused: dict[str, str] = {}
        self._ids: set[str] = set()
        self._definitions: dict[str, Deployed | None] = {}
        self._read_first: Service | None = None
        self._last: Snapshot | None = None
        self._deployments: tuple[Deployment, ...] = ()
        self._moved_at = 0.0
        self._looked_at = 0.0
        self._drained: tuple[Task, ...] | None = None
        self._record: Record | None = None
        self._record_arn = ""
        self._record_read_at = 0.0
        self._guessed_record = False
        self._tasks: tuple[Task, ...] | None = None
        self._tasks_read_for: tuple[object, ...] = (0, True, 0)
        self._falls = 0
        self._tasks_read_at = 0.0

    def first(self, deployment_id: str, task_definition: str) -> Target:
        """Fill in what the operator did not say: the running deployment, or the named one's revision."""
        service = self._read_first = self.service()
        if service.controller != "ECS":
            raise KeyturnError(
                f"Service {service.name} has the deploymentController {service.controller}: ECS itself deploys nothing "
                "there, so there is no rollout to wait for. Wait with the tool that deploys it."
            )
        if not deployment_id:
            deployment_id = self._deployment_of(service, task_definition)
        if not task_definition:
            mine = service.deployment(deployment_id)
            task_definition = mine.task_definition if mine else self._deployed_by(service, deployment_id)
        return Target(service.cluster or last_part(self._cluster), service.name, deployment_id, task_definition)

    def service(self) -> Service:
        """Read the service.

        Raises:
            GoneError: it is not there (any more).
            AwsError: DescribeServices, the least that a wait needs, failed.
        """
        on = service_in_words(self._cluster, self._service)
        answer = self._reads.services.read(on, self._cluster, [self._service])[self._service]
        service = told_service(self._aws, self._cluster, self._service, answer)
        self._ids.update(deployment.id for deployment in service.deployments)
        return service

    def next_records(self) -> list[str]:
        """ARN of the record that the next look may read."""
        if "service deployment" in self._refused:
            return []
        current = self._last.service.current_service_deployment if self._last and self._last.service else None
        return [arn for arn in (self._record_arn or current,) if arn]

    def next_tasks(self, target: Target) -> list[str]:
        """ARNs of the tasks that the next look may read without a list of them: old ones that drain, and new ones."""
        return self._only_draining(self._last, target) if self._last else []

    def look(self, target: Target, at: float, full: bool = False) -> Snapshot:
        """Take a snapshot at ``at`` seconds since the wait began, with as few calls as tell what is new.

        DescribeServices tells that something moves. The record is read when that leaves the ending open, the tasks when
        the ending hangs on them and when some failed; both for a ``full`` snapshot, one of them when nothing moved for
        long.
        While nothing is left but old tasks that drain, only tasks are looked at.
        """
        self._drained = None
        if not full and self._last is not None and at - self._looked_at < DRAIN_SECONDS:
            draining = self._draining(self._last, target)
            if draining is not None:
                self._last = replace(self._last, at=at, tasks=draining, fresh=True)
                return self._last
        self._last = self._look(target, at, full)
        self._looked_at = at
        return self._last

    def _look(self, target: Target, at: float, full: bool) -> Snapshot:
        try:
            service, self._read_first = self._read_first or self.service(), None
        except GoneError:
            return Snapshot(at, None, None, self._tasks, None, ())
        if self._last is None and not full and (settled := self._long_settled(service, target, at)):
            return settled
        moved = service.deployments != self._deployments
        failing = self._failing(service, target)
        if moved:
            self._deployments, self._moved_at = service.deployments, at
        quiet = _later(at, max(self._tasks_read_at, self._record_read_at), self._moved_at, IDLE_SECONDS)
        quiet = quiet and not (self._final and still_counted(service, target))
        if full or quiet or self._wants_record(service, target, at, failing):
            self._read_record(service, target, at)
        definition = self.definition(target)
        checked = definition.health_checked if definition else None
        snapshot = Snapshot(at, service, self._record, self._tasks, checked, ())
        # While the service still counts tasks of others, the tasks have nothing to add.
        over, counted = succeeded(snapshot, target), still_counted(service, target)
        unsaid = (quiet and self._record is None) or failing != self._tasks_read_for
        fresh = full or (not counted if over else unsaid)
        if fresh:
            if self._drained and _all_up(service, target, self._drained):
                self._tasks = self._drained
            else:
                # Old tasks were told to stop, all of them, and have stopped: there is no other to look for among these.
                self._tasks = self._ask("tasks", lambda: self._read_tasks(stopping=self._drained is None), None)
            self._tasks_read_for, self._tasks_read_at = failing, at
        return replace(snapshot, tasks=self._tasks, unverified=self._unverified(service, self._record), fresh=fresh)

    def _long_settled(self, service: Service, target: Target, at: float) -> Snapshot | None:
        """A snapshot of a deployment that ended long ago and whose tasks are all as they should be; None otherwise.

        Its record, and tasks that were told to stop, have nothing to add; nor has the definition while ECS calls every
        task healthy.
        """
        mine = service.deployment(target.deployment_id)
        if mine is None or mine.rollout_state != "COMPLETED" or not _settled(service, target):
            return None
        if service.deferred_cleanup:  # old tasks are told to stop at any time after it
            return None
        if mine.updated_at is None or self._epoch() - mine.updated_at < SETTLED_SECONDS:
            return None
        tasks = self._ask("tasks", lambda: self._read_tasks(stopping=False), None)
        if tasks is None or len(tasks) != mine.running:
            return None
        fine = all(
            task.names_deployment and target.owns(task) and task.health == "HEALTHY" and task.last_status == "RUNNING"
            for task in tasks
        )
        return Snapshot(at, service, None, tasks, ()) if fine else None

    def _failing(self, service: Service, target: Target) -> tuple[object, ...]:
        """What changes when tasks of the deployment fail: ECS counts them, or fewer run or start than before."""
        mine = service.deployment(target.deployment_id)
        before = next((entry for entry in self._deployments if entry.id == target.deployment_id), None)
        if mine is not None and before is not None:
            self._falls += mine.running + mine.pending < before.running + before.pending
        return (mine.failed if mine else 0, _under_way(service, mine), self._falls)

    def _wants_record(self, service: Service, target: Target, at: float, failing: tuple[object, ...]) -> bool:
        """The record tells more than DescribeServices: at an unusual state, at failures, now and then at stages."""
        if self._final:
            return False
        if not failing[1] or failing != self._tasks_read_for or _settled(service, target):
            return True
        # After the bake time the counts move.
        bakes = self._record is not None and self._record.lifecycle_stage == "BAKE_TIME"
        due = _later(at, self._record_read_at, self._moved_at, STAGE_SECONDS)
        return service.strategy != "ROLLING" and due and not bakes

    @property
    def _final(self) -> bool:
        """The record says how it ended, and surely is this deployment's."""
        return self._record is not None and self._record.status in FINAL and not self._guessed_record

    def _read_record(self, service: Service, target: Target, at: float) -> None:
        before, self._record_read_at = self._record, at
        self._record = self._ask("service deployment", lambda: self._find_record(service, target), None)
        if before is not None and self._record is not None and before.lifecycle_stage != self._record.lifecycle_stage:
            self._moved_at = at

    def _draining(self, last: Snapshot, target: Target) -> tuple[Task, ...] | None:
        """The tasks, when nothing was left at the last look but old tasks that drain, and some still do."""
        arns = self._only_draining(last, target)
        if not arns:
            return None
        now = self._ask("tasks", lambda: {task.id: task for task in self._told(arns)}, dict[str, Task]())
        left = tuple(now.get(task.id, task) for task in last.tasks or ())
        made = last.made_at(target)
        if any(task.live and not target.owns(task, made) for task in now.values()):
            return left
        if len(now) == len(arns) < TASKS_BATCH:  # of which a call could ask, all
            self._drained = tuple(now.values())
        return None

    def _only_draining(self, last: Snapshot, target: Target) -> list[str]:
        """ARNs of the old tasks, a call's worth, when nothing was left at the last look but old tasks that drain.

        Those of the new tasks come along where they fit into the call: it may be the last.
        """
        if last.service is None or last.tasks is None or "tasks" in self._refused:
            return []
        old = last.old_tasks(target)
        only = old and all(task.draining and task.last_status != NOT_DESCRIBED for task in old)
        if not only or not succeeded(last, target) or still_counted(last.service, target):
            return []
        both = [task.arn for task in (*old, *last.new_tasks(target))]
        return both if len(both) < TASKS_BATCH else both[: min(len(old), TASKS_BATCH)]

    def _ask(self, source: str, read: Callable[[], T], otherwise: T) -> T:
        """Read a source that may be denied or missing; once refused it is not asked again."""
        if source in self._refused:
            return otherwise
        try:
            return read()
        except (AccessDeniedError, NotSupportedError) as error:
            self._refused[source] = error.msg
            return otherwise
        except AwsError as error:
            if error.code in _NOT_THERE:
                return otherwise
            raise

    def _unverified(self, service: Service, record: Record | None) -> tuple[str, ...]:
        lines = [f"{source}: {why}" for source, why in self._refused.items()]
        if record is None and "service deployment" not in self._refused:
            lines.append(
                "service deployment: ECS lists none for this deployment; judged by DescribeServices' rolloutState"
            )
        if self._guessed_record:
            lines.append(
                "service deployment: matched by its task definition, since its id does not name the deployment"
            )
        live = [task for task in self._tasks or () if task.live and task.last_status != NOT_DESCRIBED]
        if not all(task.names_deployment for task in live):
            lines.append("tasks: startedBy does not name a deployment; told apart by their task definition")
        primary = service.primary
        if primary is not None and primary.rollout_state is None and record is None:
            lines.append("rolloutState: ECS gives none for this service; judged by task counts")
        return tuple(lines)

    # The record

    def _find_record(self, service: Service, target: Target) -> Record | None:
        if self._record_arn:
            return next(iter(self._records([self._record_arn])), None)
        current = service.current_service_deployment
        mine = service.deployment(target.deployment_id)
        made = mine.created_at if mine else None
        found = self._matching(self._records([current]), target, made) if current else None
        if found is None:
            found = self._matching(self._records(self._listed()), target, made)
        if found is not None and (made is not None or not self._guessed_record):
            self._record_arn = found.arn
        return found

    def _listed(self) -> list[str]:
        on = f"service {last_part(self._service)}"
        answer = self._aws.call("ecs", "ListServiceDeployments", on, cluster=self._cluster, service=self._service)
        entries = sorted(
            answer.get("serviceDeployments") or (), key=lambda entry: epoch(entry.get("createdAt")) or 0.0, reverse=True
        )
        return [str(arn) for entry in entries if (arn := entry.get("serviceDeploymentArn"))]

    def _records(self, arns: list[str]) -> list[Record]:
        on = f"service deployments of {last_part(self._service)}"
        told = self._reads.records.read(on, "", arns[:RECORDS_BATCH])
        return [Record.parse(entry) for entry in told.values()]

    def _matching(self, records: list[Record], target: Target, made: float | None) -> Record | None:
        """The record of the deployment: its target revision's ARN ends in the deployment's number.

        Where ARNs do not end so, on an endpoint that is not AWS's, the record of the same task definition that was made
        with the deployment (``made``, epoch seconds), or the newest where that is not known.
        """
        number = target.deployment_id.rpartition("/")[2]
        mine = next((record for record in records if number and last_part(record.target) == number), None)
        numbers = {deployment_id.rpartition("/")[2] for deployment_id in self._ids}
        if mine or not target.task_definition or any(last_part(record.target) in numbers for record in records):
            return mine
        same = self._deploying(records, target.task_definition)
        if made is None:
            guessed = _newest(same)
        else:
            young = [record for record in same if (record.created_at or 0.0) >= made - CLOCK_SECONDS]
            guessed = min(young, key=lambda record: record.created_at or 0.0, default=None)
        self._guessed_record = guessed is not None
        return guessed

    def _deploying(self, records: list[Record], task_definition: str) -> list[Record]:
        """The records that deploy this task definition."""
        deployed = self._definitions_of([record.target for record in records if record.target])
        return [record for record in records if same_task_definition(deployed.get(record.target, ""), task_definition)]

    def _definitions_of(self, revision_arns: list[str]) -> dict[str, str]:
        """Task definitions by ARN of the service revision that names them."""
        if not revision_arns:
            return {}
        on = f"service revisions of {last_part(self._service)}"
        answer = self._aws.call("ecs", "DescribeServiceRevisions", on, serviceRevisionArns=revision_arns)
        return {
            entry["serviceRevisionArn"]: entry.get("taskDefinition", "")
            for entry in answer.get("serviceRevisions") or ()
        }

    def _deployment_of(self, service: Service, task_definition: str) -> str:
        """Id of the newest deployment of a revision (of any, without one); empty when there never was one."""
        listed = [
            entry
            for entry in service.deployments
            if not task_definition or same_task_definition(entry.task_definition, task_definition)
        ]
        primary = service.primary
        if primary in listed and primary is not None:
            return primary.id
        if listed:
            return max(listed, key=lambda entry: entry.created_at or 0.0).id
        over = self._ask(
            "service deployment", lambda: _newest(self._deploying(self._records(self._listed()), task_definition)), None
        )
        return f"ecs-svc/{last_part(over.target)}" if over else ""

    def _deployed_by(self, service: Service, deployment_id: str) -> str:
        """The task definition of a deployment that the service does not list any more, by its record."""
        gone = Target(service.cluster, service.name, deployment_id, "")
        record = self._ask("service deployment", lambda: self._find_record(service, gone), None)
        if record is None:
            return ""
        nothing: dict[str, str] = {}
        deployed = self._ask("service revision", lambda: self._definitions_of([record.target]), nothing)
        return deployed.get(record.target, "")

    # The tasks

    def _read_tasks(self, stopping: bool = True) -> tuple[Task, ...]:
        """Tasks that shall run, and those that were told to stop."""
        on = service_in_words(self._cluster, self._service)
        which = {"cluster": self._cluster, "serviceName": last_part(self._service)}
        running = list_tasks(self._aws, on, desiredStatus="RUNNING", **which)
        told_to_stop = list_tasks(self._aws, on, desiredStatus="STOPPED", **which) if stopping else []
        # A task that is told to stop in between stands in both lists.
        arns = list(dict.fromkeys([*running, *told_to_stop]))
        tasks = tuple(Task.parse(task) for task in describe_tasks(self._aws, f"tasks of {on}", self._cluster, arns))
        known = {task.arn for task in tasks}
        missing = [arn for arn in running if arn not in known]
        return (*tasks, *(Task.parse({"taskArn": arn, "lastStatus": NOT_DESCRIBED}) for arn in missing))

    def _told(self, arns: list[str]) -> tuple[Task, ...]:
        """Tasks of which others may have asked as well."""
        on = f"tasks of {service_in_words(self._cluster, self._service)}"
        return tuple(Task.parse(task) for task in self._reads.tasks.read(on, self._cluster, arns).values())

    def definition(self, target: Target) -> Deployed | None:
        """The deployed revision, read once; None where it may not be read."""
        name = target.task_definition
        if name and name not in self._definitions:
            self._definitions[name] = self._ask("health checks", lambda: self._read_definition(name), None)
        return self._definitions.get(name)

    def _read_definition(self, name: str) -> Deployed:
        on = f"task definition {last_part(name)}"
        answer = self._aws.call("ecs", "DescribeTaskDefinition", on, taskDefinition=name).get("taskDefinition") or {}
        containers = answer.get("containerDefinitions") or ()
        learn_values(self._aws, containers)
        return Deployed(
            execution_role=answer.get("executionRoleArn") or "",
            containers=tuple(ContainerSpec.parse(container) for container in containers),
        )


def _later(at: float, read_at: float, moved_at: float, least: float) -> bool:
    """Tell whether to read again what changes seldom: after ``least`` seconds, then after ever more without a move."""
    return at - max(read_at, moved_at) >= max(least, 2 * (read_at - moved_at))


def _settled(service: Service, target: Target) -> bool:
    """Tell whether the counts are those of a deployment that is over."""
    mine = service.deployment(target.deployment_id)
    return mine is not None and len(service.deployments) == 1 and mine.running == mine.desired and not mine.pending


def _all_up(service: Service, target: Target, tasks: tuple[Task, ...]) -> bool:
    """Tell whether those that live of these tasks, all the deployment's, run, and are all that ECS counts."""
    mine, live = service.deployment(target.deployment_id), [task for task in tasks if task.live]
    running = all(task.last_status == task.desired_status == "RUNNING" for task in live)
    return running and mine is not None and _settled(service, target) and 0 < len(live) == mine.running


def _under_way(service: Service, mine: Deployment | None) -> bool:
    """Tell whether DescribeServices alone shows that the deployment is not over, and nothing unusual."""
    if mine is None or mine.status != "PRIMARY":
        return False
    if mine.rollout_state is None:
        return len(service.deployments) > 1 or mine.running != mine.desired
    return mine.rollout_state == "IN_PROGRESS"


def _newest(records: list[Record]) -> Record | None:
    return max(records, key=lambda record: record.created_at or 0.0, default=None)
