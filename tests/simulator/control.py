# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Control over HTTP: JSON in, JSON out, under `/_simulator/`. See README.md for the list."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import endings, engine, environments
from .errors import ApiError
from .faults import Fault
from .identity import DEFAULT_ACCOUNT
from .state import Json, Quirks, Service, TaskDefinition
from .world import Call

if TYPE_CHECKING:
    from .moto_bridge import Environ
    from .server import Answer, Endpoint

_SERVICE_FIELDS = {
    "desiredCount": "desired",
    "deploymentConfiguration": "configuration",
    "tags": "tags",
}


def answer(endpoint: Endpoint, environ: Environ) -> Answer:
    """Carry out one control request. 400 with `message` for what makes no sense."""
    from .server import Answer

    length = int(environ.get("CONTENT_LENGTH") or 0)
    name = environ["PATH_INFO"].removeprefix("/_simulator/").strip("/")
    handler = _HANDLERS.get(name)
    if handler is None:
        return Answer(404, json.dumps({"message": f"no such control: {name}"}).encode(), "application/json")
    try:
        body = json.loads(environ["wsgi.input"].read(length) or b"{}") if length else {}
        with endpoint.world.lock:
            result = handler(endpoint, body)
    except (ApiError, ValueError, KeyError, TypeError, IndexError) as error:
        text = json.dumps({"message": f"{type(error).__name__}: {error}"}).encode()
        return Answer(400, text, "application/json")
    return Answer(200, json.dumps(result).encode(), "application/json")


def _call(endpoint: Endpoint, body: Json) -> Call:
    account = body.get("account") or DEFAULT_ACCOUNT
    region = endpoint.world.region(account, body.get("region") or "us-east-1")
    now = endpoint.clock.now()
    engine.advance_region(region, now)
    return Call(region, f"arn:aws:iam::{account}:user/simulator", now)


def _service(call: Call, body: Json) -> Service:
    return call.service(body.get("cluster"), body["service"])


def _status(endpoint: Endpoint, body: Json) -> Json:
    return {
        "ready": True,
        "now": endpoint.clock.now(),
        "speed": endpoint.clock.speed,
        "hanging": endpoint.faults.hanging,
    }


def _environments(endpoint: Endpoint, body: Json) -> Json:
    return environments.create(_call(endpoint, body), body)


def _script(endpoint: Endpoint, body: Json) -> Json:
    call = _call(endpoint, body)
    service = _service(call, body)
    own = {name: value for name, value in body.items() if name not in ("account", "region", "cluster", "service")}
    script = endings.from_json(own)
    if script.task_definition is not None:
        service.superseder = call.usable_definition(script.task_definition)
    script.configure(service.configuration)
    service.script = script
    return {"script": dataclasses.asdict(script)}


def _faults(endpoint: Endpoint, body: Json) -> Json:
    endpoint.faults.add(Fault(**body))
    return {}


def _clear_faults(endpoint: Endpoint, body: Json) -> Json:
    endpoint.faults.clear()
    return {}


def _definition(call: Call, name: str) -> TaskDefinition:
    found = call.definition(name)
    if found is None:
        raise ValueError(f"no such task definition: {name}")
    return found


def _patch(endpoint: Endpoint, body: Json) -> Json:
    """Set one member, at any depth, of a stored task definition."""
    found = _definition(_call(endpoint, body), body["task_definition"])
    *parents, last = body["path"]
    place: Any = found.body
    for part in parents:
        place = place[part]
    place[last] = body["value"]
    return {}


def _set_service(endpoint: Endpoint, body: Json) -> Json:
    """Change a service behind ECS's back: no deployment starts, the scheduler reacts to the new numbers."""
    call = _call(endpoint, body)
    service = _service(call, body)
    for name, value in copy.deepcopy(body["changes"]).items():
        if name == "quirks":
            service.quirks = dataclasses.replace(service.quirks, **value)
        elif name == "deploymentConfiguration":
            service.configuration.update(value)
        elif name in ("desiredCount", "tags", "status"):
            setattr(service, _SERVICE_FIELDS.get(name, name), value)
        else:
            service.settings[name] = value
    engine.touch(service, call.now)
    return {}


def _started_with(endpoint: Endpoint, body: Json) -> Json:
    """The values that tasks hold: for tests, which have no other way to prove them."""
    call = _call(endpoint, body)
    place = call.cluster(body.get("cluster")) if body.get("service") is None else _service(call, body)
    return {
        "tasks": [
            {
                "task_id": task.id,
                "task_definition": task.definition.arn,
                "started_by": task.started_by,
                "last_status": task.last_status,
                "started_at": task.started_at,
                "containers": task.started_with or {},
            }
            for task in sorted(place.tasks.values(), key=lambda one: one.created_at)
        ]
    }


def _calls(endpoint: Endpoint, body: Json) -> Json:
    return {"calls": endpoint.log.read()}


def _clear_calls(endpoint: Endpoint, body: Json) -> Json:
    endpoint.log.clear()
    return {}


def _advance(endpoint: Endpoint, body: Json) -> Json:
    now = endpoint.clock.advance(float(body["seconds"]))
    for region in endpoint.world.regions():
        engine.advance_region(region, now)
    return {"now": now}


def _speed(endpoint: Endpoint, body: Json) -> Json:
    endpoint.clock.set_speed(float(body["speed"]))
    return {"speed": endpoint.clock.speed}


def _throttling(endpoint: Endpoint, body: Json) -> Json:
    endpoint.buckets.enabled = bool(body["enabled"])
    endpoint.buckets.reset()
    return {}


def _timing(endpoint: Endpoint, body: Json) -> Json:
    """Other durations for a service (`cluster`, `service`), or for all that are made from now on."""
    changes = body["timing"]
    if "service" in body:
        service = _service(_call(endpoint, body), body)
        service.timing = dataclasses.replace(service.timing, **changes)
        return {}
    endpoint.world.timing = dataclasses.replace(endpoint.world.timing, **changes)
    for region in endpoint.world.regions():
        region.timing = dataclasses.replace(region.timing, **changes)
    return {}


def _quirks(endpoint: Endpoint, body: Json) -> Json:
    endpoint.world.quirks = Quirks(**body)
    for region in endpoint.world.regions():
        region.quirks = endpoint.world.quirks
    return {}


def _reset(endpoint: Endpoint, body: Json) -> Json:
    endpoint.world.reset()
    endpoint.faults.clear()
    endpoint.log.clear()
    endpoint.buckets.reset()
    endpoint.moto.reset()
    return {}


_HANDLERS: dict[str, Callable[[Endpoint, Json], Json]] = {
    "status": _status,
    "environments": _environments,
    "script": _script,
    "faults": _faults,
    "faults/clear": _clear_faults,
    "patch-task-definition": _patch,
    "set-service": _set_service,
    "started-with": _started_with,
    "calls": _calls,
    "calls/clear": _clear_calls,
    "advance": _advance,
    "speed": _speed,
    "throttling": _throttling,
    "timing": _timing,
    "quirks": _quirks,
    "reset": _reset,
}
