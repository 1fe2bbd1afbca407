# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a deployment ends: the script that a test writes for a service's next deployment."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

ENDINGS = (
    "completes",
    "circuit_breaker",
    "crash_loop",
    "no_capacity",
    "superseded",
    "blue_green",
    "deferred_cleanup",
    "alarm",
    "task_protection",
)


@dataclass(frozen=True)
class Cause:
    """How a task of a failing deployment dies.

    Wording: ECS developer guide, "Stopped tasks error messages" and "Stopped task error codes".
    """

    stop_code: str
    stopped_reason: str
    container_reason: str | None = None
    exit_code: int | None = None
    starts: bool = True  # reaches RUNNING first


_TARGET_GROUP = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/simulator/0123456789abcdef"
CAUSES: dict[str, Cause] = {
    "image_pull": Cause(
        "TaskFailedToStart",
        "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref "
        "docker.io/library/app:1: docker.io/library/app:1: not found",
        starts=False,
    ),
    "secret_access": Cause(
        "TaskFailedToStart",
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
        "unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret from "
        "secrets manager: AccessDeniedException",
        starts=False,
    ),
    "out_of_memory": Cause(
        "EssentialContainerExited",
        "Essential container in task exited",
        "OutOfMemoryError: Container killed due to memory usage",
        137,
    ),
    "container_exit": Cause("EssentialContainerExited", "Essential container in task exited", None, 1),
    "health_check": Cause("ServiceSchedulerInitiated", "Task failed container health checks", None, 137),
    "load_balancer_health": Cause(
        "ServiceSchedulerInitiated", f"Task failed ELB health checks in (target-group {_TARGET_GROUP})", None, 137
    ),
}


@dataclass(frozen=True)
class Script:
    """Parameters are seconds of virtual time unless they say otherwise; each ending reads only its own."""

    ending: str = "completes"
    cause: str | None = None  # circuit_breaker, crash_loop: a key of CAUSES
    exit_code: int | None = None  # circuit_breaker, crash_loop: instead of the cause's
    message: str | None = None  # circuit_breaker, crash_loop: stoppedReason; no_capacity: the event's reason
    run_seconds: float = 10.0  # circuit_breaker, crash_loop: RUNNING for so long before it dies
    failing_tasks: int | None = None  # circuit_breaker, crash_loop: only the first N starts fail (None: all)
    rollback: bool = True  # circuit_breaker, alarm
    after: float = 30.0  # superseded, alarm: seconds after the deployment's start
    task_definition: str | None = None  # superseded: what the other person deploys (None: what ran before)
    alarm_names: tuple[str, ...] = ("simulated-alarm",)  # alarm
    strategy: str = "BLUE_GREEN"  # blue_green: or LINEAR, CANARY
    bake_minutes: float = 5.0  # blue_green
    step_percent: float = 25.0  # blue_green: LINEAR's step, CANARY's first share
    step_minutes: float = 1.0  # blue_green: LINEAR's and CANARY's bake between steps
    hook_stage: str | None = None  # blue_green: a PAUSE hook stands here
    hook_timeout_minutes: float = 1440.0  # blue_green
    hook_timeout_action: str = "ROLLBACK"  # blue_green: or CONTINUE
    linger: float = 300.0  # deferred_cleanup: old tasks live on so long after SUCCESSFUL
    protect_minutes: float = 120.0  # task_protection
    protect_tasks: int | None = None  # task_protection: how many of the old tasks (None: all)
    capacity_after: float | None = None  # no_capacity: there is room after all, later

    def __post_init__(self) -> None:
        if self.ending not in ENDINGS:
            raise ValueError(f"unknown ending {self.ending!r}, one of: {', '.join(ENDINGS)}")
        if self.cause is not None and self.cause not in CAUSES:
            raise ValueError(f"unknown cause {self.cause!r}, one of: {', '.join(CAUSES)}")

    @property
    def failure(self) -> Cause | None:
        """How this deployment's tasks die, None when they live."""
        if self.ending not in ("circuit_breaker", "crash_loop"):
            return None
        cause = CAUSES[self.cause or "container_exit"]
        if self.exit_code is not None:
            cause = dataclasses.replace(cause, exit_code=self.exit_code)
        if self.message is not None:
            if cause.container_reason is not None:
                cause = dataclasses.replace(cause, container_reason=self.message)
            else:
                cause = dataclasses.replace(cause, stopped_reason=self.message)
        return cause

    def configure(self, configuration: dict[str, Any]) -> None:
        """Write what this ending needs into a service's deploymentConfiguration, as its owner would have."""
        if self.ending == "circuit_breaker":
            configuration["deploymentCircuitBreaker"] = {
                **configuration.get("deploymentCircuitBreaker", {}),
                "enable": True,
                "rollback": self.rollback,
            }
        elif self.ending == "alarm":
            configuration["alarms"] = {
                "alarmNames": list(self.alarm_names),
                "rollback": self.rollback,
                "enable": True,
            }
        elif self.ending == "deferred_cleanup":
            configuration["earlySuccessCriteria"] = {
                "enable": True,
                "healthyPercent": 100,
                "sourceServiceRevisionCleanup": "DEFERRED",
            }
        elif self.ending == "blue_green":
            configuration.update(self._staged_configuration())

    def _staged_configuration(self) -> dict[str, Any]:
        settings: dict[str, Any] = {"strategy": self.strategy, "bakeTimeInMinutes": self.bake_minutes}
        if self.strategy == "LINEAR":
            settings["linearConfiguration"] = {
                "stepPercent": self.step_percent,
                "stepBakeTimeInMinutes": self.step_minutes,
            }
        if self.strategy == "CANARY":
            settings["canaryConfiguration"] = {
                "canaryPercent": self.step_percent,
                "canaryBakeTimeInMinutes": self.step_minutes,
            }
        if self.hook_stage is not None:
            settings["lifecycleHooks"] = [
                {
                    "targetType": "PAUSE",
                    "lifecycleStages": [self.hook_stage],
                    "timeoutConfiguration": {
                        "timeoutInMinutes": self.hook_timeout_minutes,
                        "action": self.hook_timeout_action,
                    },
                }
            ]
        return settings


def from_json(data: dict[str, Any]) -> Script:
    """A Script from the control API's JSON; ValueError for what it does not know."""
    known = {field.name for field in dataclasses.fields(Script)}
    unknown = sorted(set(data) - known)
    if unknown:
        raise ValueError(f"unknown script parameters: {', '.join(unknown)}")
    if "alarm_names" in data:
        data = {**data, "alarm_names": tuple(data["alarm_names"])}
    return Script(**data)
