# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carry a plan out: write the secret, register the revision, update the service.

Follows https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RegisterTaskDefinition.html and
API_UpdateService.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._aws import AGAIN_PAUSES, Aws
from .._ecs import Deployment, Service, describe_service, epoch, last_part, same_task_definition, without_nulls
from .._errors import AccessDeniedError, AwsError, KeyturnError, unsure
from .._stores import store
from .._stores.held import Write, Written
from .current import Current, Definition, parse_definition, read_newer
from .desired import Desired, fold
from .plan import REGISTER, UPDATE, Plan, holds, normal
from .request import Request
from .secrets import WHOLE_SECOND
from .target import Target

# Seconds before the service is read again when UpdateService's answer was older than the update itself.
STALE_PAUSES = (1.0, 2.0, 4.0)
_NOT_FOUND_YET = re.compile(
    r"(?:ClientException|InvalidParameterException): .*task ?definition.*not (?:found|exist)", re.IGNORECASE
)


@dataclass(frozen=True)
class Running:
    """What the service runs now, or will; None where only AWS can tell.

    Attributes:
        rivals: deployments that others started meanwhile and that this one took the place of, in words.
        unseen: why it could not be seen whether there are any; empty where it could.
    """

    task_definition: str | None
    deployment_id: str | None
    service_deployment_arn: str | None
    rivals: tuple[str, ...] = ()
    unseen: str = ""


@dataclass(frozen=True)
class Outcome:
    """What the service runs, where its value comes from, and what was written for that, by ARN."""

    runs: Running
    target: Target
    written: Mapping[str, Written] = field(default_factory=dict)


def apply(
    aws: Aws,
    current: Current,
    target: Target,
    desired: Desired,
    plan: Plan,
    *,
    request: Request,
    pause: Callable[[float], None],
) -> Outcome:
    """Carry the plan out.

    Args:
        pause: waits so many seconds.

    Raises:
        KeyturnError: its result tells which actions were done; the next run goes on from there.
    """
    done: list[str] = []
    written: dict[str, Written] = {}
    revision = plan.revision
    made: dict[str, Any] = {}
    try:
        for write in plan.writes:
            written[write.held.arn] = store.carry_out(aws, write, pause)
            done.append(write.action)
        if written:
            # What is deployed from now on must be younger than the secret for whoever compares whole seconds.
            if any(write.held.since is None or write.held.since.is_integer() for write in plan.writes):
                pause(WHOLE_SECOND)
            target = target.after(written)
            desired = fold(current.base, target.places, target.value_froms, request)
        if revision is None:
            revision = register(aws, current.base, desired, pause)
            done.append(REGISTER)
        made["task_definition"] = revision.arn
        if not plan.deploy:
            return Outcome(running(current.service), target, written)
        for write in plan.writes:
            store.check_alone(aws, write, written[write.held.arn], _pinned(target, write))
        runs = update_service(aws, current.service, revision.arn, plan.force, pause)
        done.append(UPDATE)
        made.update(deployment_id=runs.deployment_id, service_deployment_arn=runs.service_deployment_arn)
        check_rivals(current.service, runs)
    except KeyturnError as error:
        left = "" if UPDATE in done else _left(written, revision if REGISTER in done else None)
        error.msg = " ".join(filter(None, [f"{error.msg.rstrip('.')}.", unsure(error), left]))
        raise error.with_result(changed=bool(done), actions=done, **made) from None
    return Outcome(runs, target, written)


def _pinned(target: Target, write: Write) -> bool:
    """Tell whether every reference to what was written names the version."""
    return all(one.version for one in target.destinations if one.held and one.held.arn == write.held.arn)


def _left(written: Mapping[str, Written], revision: Definition | None) -> str:
    """Say what is done already when something fails."""
    said = [f"{made.arn} has the new value already, which tasks read at their start." for made in written.values()]
    if revision is not None:
        said.append(f"{revision.family}:{revision.revision} is registered and not deployed.")
    return " ".join([*said, "The next run goes on from there."]) if said else ""


def running(service: Service) -> Running:
    """What the service runs already."""
    primary = service.primary
    return Running(service.task_definition, primary.id if primary else None, service.current_service_deployment)


def register(aws: Aws, base: Definition, desired: Desired, pause: Callable[[float], None]) -> Definition:
    """Register the desired revision, once, whatever happens to the answers.

    Raises:
        KeyturnError: ECS refused it, or did not keep a field that the installed botocore does not know.
    """
    body: dict[str, Any] = dict(desired.fields)
    if desired.tags:
        body["tags"] = [{"key": key, "value": value} for key, value in desired.tags.items()]
    known, unknown = aws.split_known("ecs", "RegisterTaskDefinition", body)
    if unknown:
        _refuse_if_lost_before(aws, base, desired)
    for seconds in (*AGAIN_PAUSES, None):
        try:
            answer = aws.call_once(
                "ecs", "RegisterTaskDefinition", f"family {base.family}", body if unknown else None, **known
            )
        except AwsError as error:
            if not error.outcome_unknown or seconds is None:
                raise
            pause(seconds)
            found = next((revision for revision in read_newer(aws, base) if holds(revision, desired)), None)
            if found is not None:
                return found
            continue
        made = parse_definition(aws, answer)
        _refuse_lost(made, desired, unknown, changed=True, actions=[REGISTER])
        return made
    raise AssertionError("the last attempt returns or raises")


def update_service(
    aws: Aws, service: Service, task_definition: str, force: bool, pause: Callable[[float], None]
) -> Running:
    """Deploy a revision, once, whatever happens to the answers.

    Nothing else of the service is restated, so that autoscaling and others keep their say.

    Raises:
        KeyturnError: somebody else deployed since the service was read. ECS compares and swaps nothing, so it is looked
            at once more before; what happens after that stands in the answer's ``rivals``.
    """
    rivals = _rivals(service, describe_service(aws, service.cluster, service.name))
    if rivals:
        raise KeyturnError(
            f"Somebody else deployed to service {service.name} since it was read ({', '.join(rivals)}), and was not "
            "deployed over. Look at who did; when that rollout is over, run again."
        )
    change: dict[str, Any] = {"forceNewDeployment": True} if force else {}
    if task_definition != service.task_definition:
        change["taskDefinition"] = task_definition
    after = _send_update(aws, service, task_definition, change, pause)
    if "taskDefinition" not in change:
        # What the service runs is deployed again, which somebody else may have changed a moment ago.
        task_definition = after.task_definition or task_definition
    for seconds in STALE_PAUSES:
        if _made(service, after, task_definition) is not None:
            break
        pause(seconds)
        after = describe_service(aws, service.cluster, service.name)
    deployment = _made(service, after, task_definition) or after.primary
    records, unseen = _records(aws, service) if deployment else ([], "")
    return Running(
        task_definition=task_definition,
        deployment_id=deployment.id if deployment else None,
        service_deployment_arn=_service_deployment(service, after, deployment, records),
        rivals=_rivals(service, after, deployment) or _stopped_rivals(aws, service, deployment, records),
        unseen=unseen,
    )


def _records(aws: Aws, service: Service) -> tuple[list[Mapping[str, Any]], str]:
    """The service's newest service deployments, and why they may not be seen. The update itself is done by now."""
    on = f"service {service.name}"
    try:
        answer = aws.call_briefly("ecs", "ListServiceDeployments", on, cluster=service.cluster, service=service.name)
    except AccessDeniedError as error:
        return [], f"Whether somebody else deployed to {on} at the same time could not be seen: {error.msg}"
    except AwsError:
        return [], ""
    return list(answer.get("serviceDeployments") or ()), ""


def check_rivals(service: Service, runs: Running) -> None:
    """Tell of what an update took the place of without knowing it.

    Raises:
        KeyturnError: there is something.
    """
    if runs.rivals:
        raise KeyturnError(
            f"While this ran, somebody else deployed to service {service.name} ({', '.join(runs.rivals)}), and "
            f"{runs.deployment_id} of {last_part(runs.task_definition or '')} has taken the place of that: what it was "
            "to change does not run. Look at who did, and have that deployed again, on top of what runs now.",
            rivals=list(runs.rivals),
        )


def _rivals(before: Service, after: Service, own: Deployment | None = None) -> tuple[str, ...]:
    """Deployments that were not there before, apart from one's own and others of its revision, which lose nothing."""
    known = {(entry.id, entry.task_definition) for entry in before.deployments}
    new = (entry for entry in after.deployments if (entry.id, entry.task_definition) not in known)
    others = (entry for entry in new if own is None or entry.task_definition != own.task_definition)
    return tuple(f"{entry.id} of {last_part(entry.task_definition)}" for entry in others)


def _stopped_rivals(
    aws: Aws, before: Service, own: Deployment | None, records: Sequence[Mapping[str, Any]]
) -> tuple[str, ...]:
    """The same by the service deployments' records: a deployment without tasks is soon listed no more."""
    if own is None or own.created_at is None:
        return ()
    known = max((entry.created_at or 0.0 for entry in before.deployments), default=0.0)
    # A record is made at another moment than the deployment that it is of; both end in the same number.
    numbers = {last_part(entry.id) for entry in (*before.deployments, own)}
    stopped = [
        str(entry.get("targetServiceRevisionArn"))
        for entry in records
        if entry.get("status") in ("STOP_REQUESTED", "STOPPED")
        and known < (epoch(entry.get("createdAt")) or 0.0) <= own.created_at
        and last_part(str(entry.get("targetServiceRevisionArn"))) not in numbers
    ]
    if not stopped:
        return ()
    on = f"service revisions of {before.name}"
    answer = aws.call_optional("ecs", "DescribeServiceRevisions", on, serviceRevisionArns=stopped) or {}
    found = {entry["serviceRevisionArn"]: entry["taskDefinition"] for entry in answer.get("serviceRevisions") or ()}
    return tuple(
        f"ecs-svc/{last_part(arn)} of {last_part(found.get(arn, 'an unknown revision'))}"
        for arn in stopped
        if found.get(arn) != own.task_definition
    )


def _send_update(
    aws: Aws, service: Service, task_definition: str, change: Mapping[str, Any], pause: Callable[[float], None]
) -> Service:
    """Call UpdateService; again when it did not see the revision yet, or its answer was lost and nothing came of it."""
    on = f"service {service.name} in cluster {service.cluster}"
    for seconds in (*AGAIN_PAUSES, None):
        try:
            answer = aws.call_once("ecs", "UpdateService", on, cluster=service.cluster, service=service.name, **change)
        except AwsError as error:
            if seconds is None or not (error.outcome_unknown or _NOT_FOUND_YET.search(error.msg)):
                raise
        else:
            found = answer.get("service")
            return (
                Service.parse(without_nulls(found)) if found else describe_service(aws, service.cluster, service.name)
            )
        pause(seconds)
        after = describe_service(aws, service.cluster, service.name)
        if _made(service, after, task_definition) is not None:
            return after
    raise AssertionError("the last attempt returns or raises")


def _made(before: Service, after: Service, task_definition: str) -> Deployment | None:
    """The deployment that an update started: it is new, or (on an emulator) has another revision than before."""
    known = {entry.id: entry.task_definition for entry in before.deployments}
    started = [
        entry
        for entry in after.deployments
        if same_task_definition(entry.task_definition, task_definition)
        and not same_task_definition(known.get(entry.id, ""), task_definition)
    ]
    return max(started, key=lambda entry: (entry.status == "PRIMARY", entry.created_at or 0.0), default=None)


def _service_deployment(
    before: Service, after: Service, deployment: Deployment | None, records: Sequence[Mapping[str, Any]]
) -> str | None:
    """ARN of the service deployment: from the answer, else from the list; None where neither tells (yet)."""
    if after.current_service_deployment not in (None, before.current_service_deployment):
        return after.current_service_deployment
    number = last_part(deployment.id) if deployment else ""
    for entry in records:
        if number and str(entry.get("targetServiceRevisionArn", "")).rpartition("/")[2] == number:
            return str(entry.get("serviceDeploymentArn"))
    return None


def _refuse_if_lost_before(aws: Aws, base: Definition, desired: Desired) -> None:
    """Do not register again and again what ECS did not keep whole the last time."""
    known, unknown = aws.split_known("ecs", "RegisterTaskDefinition", desired.fields)
    for revision in read_newer(aws, base):
        kept, _unknown = aws.split_known("ecs", "RegisterTaskDefinition", revision.fields)
        if normal(kept) == normal(known):
            _refuse_lost(revision, desired, unknown)


def _refuse_lost(made: Definition, desired: Desired, unknown: tuple[str, ...], **result: Any) -> None:
    lost = [path for path in unknown if _at(made.fields, path) != _at(desired.fields, path)]
    if lost:
        raise KeyturnError(
            f"RegisterTaskDefinition did not keep {', '.join(lost)}, which the installed botocore does not know "
            "either. "
            f"{made.family}:{made.revision} was registered without it and is not deployed; the service is unchanged. "
            "Upgrade boto3 and run again; if the field is one that only ECS sets, report it.",
            task_definition=made.arn,
            **result,
        )


def _at(data: Any, path: str) -> Any:
    """Return what stands at a path such as ``containerDefinitions[0].healthCheck.x``; None where nothing does."""
    for part in path.replace("[", ".[").split("."):
        if part.startswith("["):
            index = int(part[1:-1])
            data = data[index] if isinstance(data, list) and index < len(data) else None
        else:
            data = data.get(part) if isinstance(data, Mapping) else None
    return data
