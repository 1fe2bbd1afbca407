# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What ECS remembers, per account and Region. Plain data; the rules that move it stand in engine/.

Names follow the ECS API reference's data types; times are virtual epoch seconds.
"""

from __future__ import annotations

import math
import random
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .endings import Cause, Script

Json = dict[str, Any]


@dataclass(frozen=True)
class Timing:
    """How long things take, in virtual seconds. No document promises any of these: they are typical of Fargate."""

    provisioning: float = 5.0
    pending: float = 10.0
    activating: float = 3.0
    healthy: float = 15.0  # RUNNING to HEALTHY, or to being counted as steady where no health check exists
    drain: float = 30.0  # DEACTIVATING: a load balancer's deregistration delay
    stopping: float = 5.0
    deprovisioning: float = 5.0
    jitter: float = 3.0  # added to provisioning and pending, drawn from the seed
    queue: float = 2.0  # a service deployment's PENDING
    complete: float = 5.0  # a deployment takes at least so long
    describable: float = 3600.0  # STOPPED tasks vanish after an hour
    shift: float = 5.0  # one traffic shift of a blue/green deployment
    backoff: float = 10.0  # first wait after a failed start, doubled up to `backoff_max`
    backoff_max: float = 300.0


@dataclass(frozen=True)
class Quirks:
    """How emulators other than this one differ from ECS."""

    started_by: str = "deployment"  # or "service_name"
    service_deployments: str = "full"  # or "empty", "missing"


@dataclass
class TaskDefinition:
    arn: str
    family: str
    revision: int
    body: Json  # the request's raw JSON, tags and read-only fields taken out
    tags: list[Json]
    registered_at: float
    registered_by: str
    status: str = "ACTIVE"
    deregistered_at: float | None = None
    delete_requested_at: float | None = None

    @property
    def containers(self) -> list[Json]:
        found: list[Json] = self.body.get("containerDefinitions", [])
        return found

    @property
    def has_health_check(self) -> bool:
        return any(container.get("healthCheck") for container in self.containers)


@dataclass(frozen=True)
class Step:
    """A change that will befall a task at `at`."""

    at: float
    name: str


@dataclass
class Task:
    id: str
    arn: str
    cluster: str
    definition: TaskDefinition
    group: str
    started_by: str
    created_at: float
    plan: list[Step]
    launch_type: str
    zone: str
    deployment_id: str | None = None
    last_status: str = "PROVISIONING"
    desired_status: str = "RUNNING"
    health: str = "UNKNOWN"
    healthy: bool = False  # counts as healthy for the scheduler
    cause: Cause | None = None
    started_at: float | None = None
    stopping_at: float | None = None
    stopped_at: float | None = None
    stop_code: str | None = None
    stopped_reason: str | None = None
    exit_code: int | None = None
    container_reason: str | None = None
    started_with: dict[str, dict[str, str | None]] | None = None  # container to variables; None: not started yet
    prepare: Callable[[Task], str | None] | None = None  # fills started_with, or answers why it cannot
    protected_until: float | None = None
    overrides: Json = field(default_factory=dict)
    tags: list[Json] = field(default_factory=list)

    @property
    def alive(self) -> bool:
        """Meant to go on running."""
        return self.desired_status == "RUNNING"

    @property
    def gone(self) -> bool:
        return self.last_status in ("DEPROVISIONING", "STOPPED")

    def protected(self, now: float) -> bool:
        return self.protected_until is not None and now < self.protected_until


@dataclass
class Hook:
    id: str
    stage: str
    status: str
    expires_at: float
    action: str


@dataclass
class Record:
    """A service deployment (API_ServiceDeployment)."""

    arn: str
    target: str  # deployment id
    sources: list[str]  # deployment ids
    created_at: float
    updated_at: float
    status: str = "PENDING"
    status_reason: str | None = None
    started_at: float | None = None
    finished_at: float | None = None
    stopped_at: float | None = None
    stage: str | None = None
    stage_since: float = 0.0
    hooks: list[Hook] = field(default_factory=list)
    failures: int = 0
    breaker_tripped: bool = False
    alarms_triggered: list[str] = field(default_factory=list)
    rollback: Json | None = None
    requested: int = 0
    final_counts: tuple[int, int] | None = None  # running, pending when it ended


@dataclass
class Deployment:
    """One entry of a service's deployments (API_Deployment), or a task set for CODE_DEPLOY and EXTERNAL."""

    id: str
    definition: TaskDefinition
    created_at: float
    updated_at: float
    script: Script
    status: str = "PRIMARY"
    failed: int = 0  # failedTasks
    attempts: int = 0  # starts so far
    next_start: float = 0.0
    rollout_state: str = "IN_PROGRESS"
    rollout_reason: str = ""
    completed_at: float | None = None
    cleanup_at: float | None = None  # deferred clean-up of older tasks begins
    record: Record | None = None
    scale: float = 100.0  # task sets only
    external_id: str | None = None

    @property
    def digits(self) -> str:
        return self.id.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Revision:
    """A service revision (API_ServiceRevision)."""

    digits: str
    task_definition: str
    created_at: float
    settings: Json


@dataclass
class Service:
    name: str
    arn: str
    cluster: str
    cluster_arn: str
    created_at: float
    created_by: str
    settings: Json  # the request's other members, answered as they came
    desired: int
    configuration: Json  # deploymentConfiguration
    rng: random.Random
    timing: Timing
    quirks: Quirks
    controller: str = "ECS"
    prepare: Callable[[Task], str | None] | None = None  # for its tasks
    scheduling: str = "REPLICA"
    status: str = "ACTIVE"
    deployments: list[Deployment] = field(default_factory=list)
    last_good: Deployment | None = None
    records: list[Record] = field(default_factory=list)
    revisions: dict[str, Revision] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    events: list[Json] = field(default_factory=list)
    tags: list[Json] = field(default_factory=list)
    script: Script | None = None  # the next deployment's
    superseder: TaskDefinition | None = None  # what the ending `superseded` deploys
    timers: list[float] = field(default_factory=list)
    next_at: float | None = None
    said: dict[str, float] = field(default_factory=dict)  # messages not repeated while their cause lasts

    @property
    def primary(self) -> Deployment | None:
        return next((one for one in self.deployments if one.status == "PRIMARY"), None)

    @property
    def strategy(self) -> str:
        found: str = self.configuration.get("strategy", "ROLLING")
        return found

    @property
    def classic_load_balancer(self) -> bool:
        return any("loadBalancerName" in balancer for balancer in self.settings.get("loadBalancers", []))

    def tasks_of(self, deployment: Deployment) -> list[Task]:
        return [task for task in self.tasks.values() if task.deployment_id == deployment.id]

    def wake(self, at: float) -> None:
        """Ask the engine to look at this service at `at`."""
        if at not in self.timers:
            self.timers.append(at)

    def say(self, now: float, message: str, once: bool = False) -> None:
        """Add a service event, newest first, at most 100.

        `once`: left out when it was said less than six hours ago and its cause lasts. Both rules: ECS developer
        guide, "View Amazon ECS service event messages".
        """
        if once and now < self.said.get(message, -math.inf) + 6 * 3600:
            return
        if once:
            self.said[message] = now
        self.events.insert(0, {"id": new_uuid(self.rng), "createdAt": now, "message": message})
        del self.events[100:]


@dataclass
class Cluster:
    name: str
    arn: str
    tags: list[Json]
    settings: Json
    status: str = "ACTIVE"
    services: dict[str, Service] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)  # standalone ones


@dataclass
class Region:
    """Everything of one account in one Region."""

    account: str
    name: str
    rng: random.Random
    timing: Timing
    quirks: Quirks
    seed: str = "0"
    prepare: Callable[[Task], str | None] | None = None  # for its tasks
    clusters: dict[str, Cluster] = field(default_factory=dict)
    families: dict[str, list[TaskDefinition]] = field(default_factory=dict)
    deleting: list[TaskDefinition] = field(default_factory=list)  # DELETE_IN_PROGRESS

    @property
    def partition(self) -> str:
        if self.name.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if self.name.startswith("us-gov-") else "aws"

    def arn(self, resource: str) -> str:
        return f"arn:{self.partition}:ecs:{self.name}:{self.account}:{resource}"

    def all_services(self) -> list[Service]:
        return [service for cluster in self.clusters.values() for service in cluster.services.values()]


def new_hex(rng: random.Random) -> str:
    """A task's id: 32 hexadecimal digits."""
    return f"{rng.getrandbits(128):032x}"


def new_digits(rng: random.Random) -> str:
    """The 19 digits of `ecs-svc/…`."""
    return str(rng.randint(10**18, 10**19 - 1))


def new_uuid(rng: random.Random) -> str:
    text = new_hex(rng)
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def new_record_id(rng: random.Random) -> str:
    """A service deployment's id: 21 characters, as in the examples of "Stopping Amazon ECS service deployments"."""
    return "".join(rng.choices(string.ascii_letters + string.digits + "-_", k=21))
