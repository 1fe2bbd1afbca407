# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Service deployments and service revisions. CODE_DEPLOY and EXTERNAL services have none (UnsupportedFeature)."""

from __future__ import annotations

from .. import engine, errors, render
from ..engine import outcome
from ..state import Json, Record, Service
from ..world import Call
from .common import missing, page, required

_ONGOING = ("PENDING", "IN_PROGRESS", "STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS")


def _supported(service: Service, operation: str) -> None:
    if service.quirks.service_deployments == "missing":
        raise errors.unknown_operation(operation)
    if service.controller != "ECS":
        # The code is documented, the sentence is not.
        raise errors.unsupported(f"{operation} is not supported for the {service.controller} deployment controller.")


def _records(call: Call, service: Service) -> list[Record]:
    if service.quirks.service_deployments == "empty":
        return []
    return service.records[1:] if call.stale else service.records


def list_all(call: Call, body: Json) -> Json:
    """Newest first. Pages of 20 unless maxResults says otherwise (API_ListServiceDeployments)."""
    service = call.service(body.get("cluster"), str(required(body, "service")))
    _supported(service, "ListServiceDeployments")
    wanted, window = body.get("status"), body.get("createdAt") or {}
    found = [
        render.record_brief(service, one)
        for one in _records(call, service)
        if (not wanted or one.status in wanted)
        and window.get("after", 0) <= one.created_at <= window.get("before", float("inf"))
    ]
    return page(found, {"maxResults": 20, **body}, "serviceDeployments", 100)


def describe(call: Call, body: Json) -> Json:
    arns = required(body, "serviceDeploymentArns")
    if len(arns) > 20:
        raise errors.invalid("At most 20 service deployments can be described at a time.")
    found, failures = [], []
    for arn in arns:
        service = _service_of(call, arn)
        if service is not None:
            _supported(service, "DescribeServiceDeployments")
        record = _find(call, arn)
        if service is None or record is None:
            failures.append(missing(arn))
        else:
            found.append(render.record(service, record, call.now))
    return {"serviceDeployments": found, "failures": failures}


def _service_of(call: Call, arn: str) -> Service | None:
    """The service named in a service deployment's or revision's ARN."""
    parts = arn.split("/")
    if len(parts) != 4 or not parts[0].startswith(call.region.arn("service-")):
        return None
    cluster = call.region.clusters.get(parts[1])
    return cluster.services.get(parts[2]) if cluster is not None else None


def _find(call: Call, arn: str) -> Record | None:
    service = _service_of(call, arn)
    if service is None:
        return None
    return next((one for one in _records(call, service) if one.arn == arn), None)


def describe_revisions(call: Call, body: Json) -> Json:
    arns = required(body, "serviceRevisionArns")
    if len(arns) > 20:
        raise errors.invalid("At most 20 service revisions can be described at a time.")
    found, failures = [], []
    for arn in arns:
        service = _service_of(call, arn)
        if service is not None:
            _supported(service, "DescribeServiceRevisions")
        revision = service.revisions.get(arn.rsplit("/", 1)[-1]) if service is not None else None
        if service is None or revision is None:
            failures.append(missing(arn))
        else:
            found.append(render.revision(service, revision))
    return {"serviceRevisions": found, "failures": failures}


def _ongoing(call: Call, arn: str, operation: str) -> tuple[Service, Record]:
    service, record = _service_of(call, arn), _find(call, arn)
    if service is None or record is None:
        raise errors.ApiError("ServiceDeploymentNotFoundException", "The service deployment was not found.")
    _supported(service, operation)
    if record.status not in _ONGOING:
        raise errors.ApiError("ConflictException", f"The service deployment is in the {record.status} status.")
    return service, record


def stop(call: Call, body: Json) -> Json:
    """ROLLBACK: goes through ROLLBACK_REQUESTED ("Stopping Amazon ECS service deployments").

    ABORT stands in the model without a document: the record ends STOPPED and the deployment FAILED.
    """
    arn = str(required(body, "serviceDeploymentArn"))
    service, record = _ongoing(call, arn, "StopServiceDeployment")
    if body.get("stopType", "ROLLBACK") == "ABORT":
        primary = service.primary
        if primary is not None and primary.id == record.target:
            primary.rollout_state = "FAILED"
        outcome.end(service, record, "STOPPED", call.now, "Service deployment stopped because of a user request.")
    elif record.status in ("PENDING", "IN_PROGRESS"):
        record.status, record.updated_at = "ROLLBACK_REQUESTED", call.now
        record.rollback = None
        service.wake(call.now + service.timing.queue)
    engine.advance(service, call.now)
    return {"serviceDeploymentArn": arn}


def resume(call: Call, body: Json) -> Json:
    """ContinueServiceDeployment: answer a PAUSE hook with CONTINUE (default) or ROLLBACK."""
    arn = str(required(body, "serviceDeploymentArn"))
    service, record = _ongoing(call, arn, "ContinueServiceDeployment")
    wanted = required(body, "hookId")
    hook = next((one for one in record.hooks if one.id == wanted and one.status == "AWAITING_ACTION"), None)
    if hook is None:
        raise errors.invalid("The lifecycle hook was not found or does not await an action.")
    hook.status = "SUCCEEDED"
    if body.get("action", "CONTINUE") == "ROLLBACK" and service.primary is not None:
        reason = "Service deployment rolled back because of a lifecycle hook action."
        outcome.roll_back(service, service.primary, call.now, reason)
    engine.touch(service, call.now)
    return {"serviceDeploymentArn": arn}


OPERATIONS = {
    "ListServiceDeployments": list_all,
    "DescribeServiceDeployments": describe,
    "DescribeServiceRevisions": describe_revisions,
    "StopServiceDeployment": stop,
    "ContinueServiceDeployment": resume,
}
