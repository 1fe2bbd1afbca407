# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read what a rotation would read, and plan what it would do: its own functions, one after another, none of its writes.

Follows https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServices.html (include=TAGS)
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .._aws import Aws
from .._ecs import Service, last_part
from .._errors import AccessDeniedError, AwsError, KeyturnError
from .._logs.streams import NotScannable
from .._logs.streams import Place as LogPlace
from .._logs.streams import places as log_places
from .._rotation.current import Current, read_current, read_definition, read_newer
from .._rotation.desired import Desired, check_expected, fold
from .._rotation.plan import Plan, make_plan
from .._rotation.request import Request
from .._rotation.rotate import aim, check_target
from .._rotation.secrets import outdated
from .._rotation.target import Target
from .._stores import store
from .findings import Findings


@dataclass(frozen=True)
class Seen:
    """What there is and what a rotation would make of it; None from where it could not be found out.

    Attributes:
        service: the service, also when it is one that cannot be rotated.
        plan: what would be done, as if no other deployment were running.
        tags: of the service and of the task definition that it runs, those of AWS included.
        logs: where the containers concerned log to; empty unless asked for.
        reached: AWS answered.
    """

    request: Request | None = None
    service: Service | None = None
    current: Current | None = None
    target: Target | None = None
    desired: Desired | None = field(default=None, repr=False)
    plan: Plan | None = None
    tags: tuple[tuple[str, str], ...] = ()
    logs: tuple[LogPlace, ...] = ()
    reached: bool = True

    @property
    def idle(self) -> bool:
        """There is nothing to do, so nothing needs to be asked."""
        return self.plan is not None and not self.plan.actions

    @property
    def registers(self) -> bool:
        """A revision would be registered; unknown counts as yes."""
        return self.plan is None or self.plan.register

    @property
    def deploys(self) -> bool:
        """The service would be updated; unknown counts as yes."""
        return self.plan is None or self.plan.deploy


def look(aws: Aws, options: Mapping[str, Any], findings: Findings) -> Seen:
    """Read and plan as far as it goes.

    Args:
        options: the validated options of ``ecs_env_preflight``.
    """
    request = _request(options, findings)
    if request is None:
        return Seen()
    try:
        current, service = _current(aws, request, findings)
    except AwsError as error:
        findings.problem("assume_role" if error.operation == "sts:AssumeRole" else "aws", error.msg)
        return Seen(request, reached=False)
    if service is None or current is None:
        return Seen(request, service)
    seen = _planned(aws, Seen(request, service, current), request, findings)
    if seen.idle:
        return seen
    seen = replace(seen, tags=_tags(aws, service, findings))
    return _with_logs(aws, seen, findings) if options["log_scan"] else seen


def _request(options: Mapping[str, Any], findings: Findings) -> Request | None:
    """Parse the options. With a value that cannot be used, a stand-in lets the other checks go on."""
    request = findings.attempt("options", lambda: Request.parse(options, time.time()))
    if request is None and options["variable"]:
        value = options["value"].strip() or "-"
        stand_in = {**options, "value": value, "value_pattern": None}
        request = findings.attempt("options", lambda: Request.parse(stand_in, time.time()))
    return request


def _current(aws: Aws, request: Request, findings: Findings) -> tuple[Current | None, Service | None]:
    """Read the service and its revision, also where rotation refuses the deployment controller.

    Raises:
        AwsError: AWS cannot be reached, or does not know the credentials: nothing else could be looked at.
    """
    try:
        current = read_current(aws, request)
        return current, current.service
    except AccessDeniedError as error:
        if error.operation == "sts:AssumeRole":
            raise
        findings.denied.append(error)
        return None, _service(aws, request)
    except AwsError as error:
        if error.code != "ClusterNotFoundException":
            raise
        findings.problem("service", error.msg)
        return None, None
    except KeyturnError as error:
        service = _service(aws, request)
        refused = service is not None and service.controller != "ECS"
        findings.problem("deployment_controller" if refused else "service", error.msg)
    if service is None or not service.task_definition:
        return None, service
    base = findings.attempt("service", lambda: read_definition(aws, service.task_definition))
    return Current(service, base) if base else None, service


def _service(aws: Aws, request: Request) -> Service | None:
    """The service as it is, refused or not."""
    on = f"service {last_part(request.service)}"
    answer = aws.call_optional("ecs", "DescribeServices", on, cluster=request.cluster, services=[request.service])
    found = [entry for entry in (answer or {}).get("services") or () if entry.get("status", "ACTIVE") == "ACTIVE"]
    return Service.parse(found[0]) if found else None


def _planned(aws: Aws, seen: Seen, request: Request, findings: Findings) -> Seen:
    """Plan as rotation does, and go on after what it would stop at."""
    current = seen.current
    if current is None:
        return seen
    # Without the expected fingerprint first: one that is wrong hides nothing else.
    anyway = replace(request, expected_fingerprint=None, supersede=True)
    target = findings.attempt("variable", lambda: aim(aws, current, anyway))
    if target is None:
        return seen
    findings.attempt("expected_fingerprint", lambda: check_expected(target.places, request))
    desired = fold(current.base, target.places, target.value_froms, request)
    plan = findings.attempt("secret", lambda: _plan(aws, current, target, desired, request=request, findings=findings))
    writes = plan.writes if plan else ()
    prepared = findings.attempt("secret", lambda: tuple(store.prepare(aws, write) for write in writes))
    if plan and prepared:
        plan = replace(plan, writes=prepared)
    checked = findings.attempt("execution_role", lambda: check_target(aws, current, target, request))
    findings.warn(*(checked[0] if checked else ()))
    return replace(seen, target=target, desired=desired, plan=plan)


def _plan(
    aws: Aws, current: Current, target: Target, desired: Desired, *, request: Request, findings: Findings
) -> Plan:
    newer = read_newer(aws, current.base, current.latest) if desired.differs else ()
    old, unseen = (False, ()) if target.writes or desired.differs else outdated(aws, current.service, target.unpinned)
    plan = make_plan(current, target, desired, replace(request, supersede=True), newer=newer, outdated=old)
    findings.attempt("in_progress", lambda: make_plan(current, target, desired, request, newer=newer, outdated=old))
    findings.warn(*plan.warnings, *unseen)
    return plan


def _tags(aws: Aws, service: Service, findings: Findings) -> tuple[tuple[str, str], ...]:
    """Tags of the service and of the revision that it runs, those of AWS included, which rotation does not need."""
    on = f"service {service.name}"
    try:
        described = aws.call(
            "ecs", "DescribeServices", on, cluster=service.cluster, services=[service.arn], include=["TAGS"]
        )
        definition = aws.call(
            "ecs",
            "DescribeTaskDefinition",
            f"task definition {last_part(service.task_definition)}",
            taskDefinition=service.task_definition,
            include=["TAGS"],
        )
    except AwsError as error:
        findings.warn(f"Whether Terraform or CloudFormation own the service cannot be seen in its tags: {error.msg}")
        return ()
    of_service = [tag for entry in described.get("services") or () for tag in entry.get("tags") or ()]
    listed = [*of_service, *(definition.get("tags") or ())]
    return tuple((str(tag.get("key", "")), str(tag.get("value") or "")) for tag in listed)


def _with_logs(aws: Aws, seen: Seen, findings: Findings) -> Seen:
    """Where the containers that hold the variable log to; what cannot be scanned is a warning."""
    current = seen.current
    if current is None:
        return seen
    found = findings.attempt("log_scan", lambda: log_places(aws, current.base.arn, ""))
    scannable, others = found or ((), ())
    concerned = {place.container for place in seen.target.places} if seen.target else set()

    def chosen(one: LogPlace | NotScannable) -> bool:
        return not concerned or one.container in concerned

    for one in filter(chosen, others):
        findings.warn(f"The log of container {one.container} cannot be scanned: {one.reason}.")
    return replace(seen, logs=tuple(filter(chosen, scannable)))
