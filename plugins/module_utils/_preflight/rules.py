# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What would stop a rotation, or make it prove little, although rotation itself does not look at it. Pure.

Each rule is a row of :data:`RULES`. They follow
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html and
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html (size of a task definition).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .._ecs import Service
from .._rollout.judge import percent_deadlock
from .look import Seen
from .owners import owner_of

LARGEST = 64 * 1024  # bytes of a task definition
NEARLY = 0.9


@dataclass(frozen=True)
class Finding:
    """What a rule found: a problem when it has a check, otherwise a warning."""

    text: str
    remedy: str
    check: str = ""


Rule = Callable[[Seen], "Iterator[Finding]"]


def _service_of(seen: Seen) -> Service | None:
    """The service, where ECS itself would deploy to it."""
    return seen.service if seen.service and seen.deploys and seen.service.controller == "ECS" else None


def _percents(seen: Seen) -> Iterator[Finding]:
    service = _service_of(seen)
    if service is None or not percent_deadlock(service):
        return
    desired, low, high = service.desired, service.minimum_percent, service.maximum_percent
    raised, lowered = math.ceil(100 * (desired + 1) / desired), math.floor(100 * (desired - 1) / desired)
    yield Finding(
        f"No task of service {service.name} could be replaced: with desiredCount {desired}, minimumHealthyPercent "
        f"{low} and maximumPercent {high} ECS may not run {desired + 1} tasks, nor fewer than "
        f"{math.ceil(desired * low / 100)}.",
        f"Change maximumPercent from {high} to {raised} or more, or minimumHealthyPercent from {low} to "
        f"{lowered}{' or less' * bool(lowered)}.",
        "percent_deadlock",
    )


def _size(seen: Seen) -> Iterator[Finding]:
    if seen.desired is None or not seen.registers:
        return
    tags = [{"key": key, "value": value} for key, value in seen.desired.tags.items()]
    body = {**seen.desired.fields, **({"tags": tags} if tags else {})}
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    size, family = len(text.encode("utf-8")), seen.desired.fields.get("family", "")
    if size <= NEARLY * LARGEST:
        return
    over = size > LARGEST
    yield Finding(
        f"The new revision of {family} would have {size:,} bytes, and ECS takes {LARGEST:,} at most.",
        "Move long values out of the environment: into secrets, or into a file that environmentFiles names.",
        "size" * over,
    )


def _nothing_runs(seen: Seen) -> Iterator[Finding]:
    service = _service_of(seen)
    if service and service.desired == 0:
        yield Finding(
            f"desiredCount of service {service.name} is 0: nothing runs, so nothing will be proved.",
            "Verify again once it is scaled up.",
        )


def _no_health(seen: Seen) -> Iterator[Finding]:
    service = _service_of(seen)
    if service is None or seen.current is None or service.target_groups:
        return
    containers = seen.current.base.fields.get("containerDefinitions") or ()
    if not any(container.get("healthCheck") for container in containers):
        yield Finding(
            f"Service {service.name} has neither a container health check nor a load balancer: a task counts as "
            "healthy as soon as it runs, so a completed rollout proves little.",
            "Give a container a healthCheck, or prove the value with a log scan or a smoke test.",
        )


def _no_breaker(seen: Seen) -> Iterator[Finding]:
    service = _service_of(seen)
    if service and not service.breaker:
        yield Finding(
            f"Service {service.name} has no deployment circuit breaker: ECS would start failing tasks again and again.",
            "Set deploymentConfiguration.deploymentCircuitBreaker to {enable: true, rollback: true}.",
        )


def _owned(seen: Seen) -> Iterator[Finding]:
    found = owner_of(seen.tags)
    if found is None or seen.service is None:
        return
    owner, value = found
    # Tasks read an unpinned secret at their start: no revision changes with it.
    by_revision = seen.target is None or len(seen.target.unpinned) < len(seen.target.destinations)
    back = "the old value and revision" if by_revision else "the old value, if its source holds it,"
    yield Finding(
        f"By its tags service {seen.service.name} belongs to {owner.name.format(value=value)}, whose next {owner.run} "
        f"brings {back} back.",
        f"{owner.remedy[:1].upper()}{owner.remedy[1:]}.",
    )


RULES: tuple[Rule, ...] = (_percents, _size, _nothing_runs, _no_health, _no_breaker, _owned)


def judge(seen: Seen) -> Iterator[Finding]:
    """What the rules find, in their order."""
    for rule in RULES:
        yield from rule(seen)
