# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The endpoint as a WSGI application: ECS is answered here, everything else by moto, `/_simulator/` by control.

Order of a call: who is it, fault, throttle, operation, log.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from . import authorization, engine, errors, identity, moto_bridge, operations, policies
from .calls import CallLog, LoggedCall
from .clock import VirtualClock
from .errors import ApiError
from .faults import Fault, Faults
from .moto_bridge import Environ, Moto, Request, StartResponse
from .state import Json
from .throttle import Buckets
from .world import Call, World, last_part

_ECS_TARGET = "AmazonEC2ContainerServiceV20141113"
# What tasks read at their start: before it changes, every task that starts earlier must have read it.
_READ_BY_TASKS = ("secretsmanager", "ssm", "iam", "kms")
_REASONS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 500: "Internal Server Error"}


class Dropped(ConnectionResetError):
    """The connection was closed on purpose; werkzeug takes it for a client that went away."""


@dataclass
class Answer:
    status: int
    body: bytes
    content_type: str = "application/x-amz-json-1.1"
    headers: Json | None = None
    error: str | None = None

    def send(self, start_response: StartResponse) -> Iterable[bytes]:
        headers = [("Content-Type", self.content_type), ("Content-Length", str(len(self.body)))]
        headers += [("x-amzn-RequestId", f"{time.time_ns():032x}"), *(self.headers or {}).items()]
        start_response(f"{self.status} {_REASONS.get(self.status, 'Status')}", headers)
        return [self.body]


class Endpoint:
    """The AWS of one process. `enforce_callers`: a session of a role that IAM knows may do what its policies allow."""

    def __init__(self, world: World, clock: VirtualClock, buckets: Buckets, enforce_callers: bool = False) -> None:
        self._enforce_callers = enforce_callers
        self.world, self.clock, self.buckets = world, clock, buckets
        self.faults, self.log, self.moto = Faults(), CallLog(), Moto(self._moto_time)
        self._moto_now: float | None = None  # while a call to moto lasts

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO", "").startswith("/_simulator/"):
            from . import control

            return control.answer(self, environ).send(start_response)
        started = time.time()
        body = _read(environ)
        caller = identity.read(environ.get("HTTP_AUTHORIZATION", ""))
        prefix, _unused, operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")
        ecs = prefix == _ECS_TARGET
        request = Request("ecs", operation, "json") if ecs else moto_bridge.recognise(environ, caller.service, body)
        status, error = 0, "ConnectionClosed"
        permissions: list[authorization.Permission] = []
        try:
            answer = self._answer(request, caller, body, environ, permissions)
            status, error = answer.status, answer.error or ""
            return answer.send(start_response)
        finally:
            self.log.add(
                LoggedCall(
                    time=time.time(),
                    duration=time.time() - started,
                    service=request.service,
                    operation=request.operation,
                    account=caller.account,
                    region=caller.region,
                    access_key=caller.access_key,
                    user_agent=environ.get("HTTP_USER_AGENT", ""),
                    status=status,
                    error=error or None,
                    permissions=tuple(permissions),
                )
            )

    def _answer(
        self,
        request: Request,
        caller: identity.Caller,
        body: bytes,
        environ: Environ,
        permissions: list[authorization.Permission],
    ) -> Answer:
        """`permissions` is filled with what the call needs, up to what is refused, where policies are enforced."""
        agent = environ.get("HTTP_USER_AGENT", "")
        fault = self.faults.take(request.service, request.operation, caller.account, caller.region, agent)
        kind = fault.kind if fault else ""
        if fault is not None and kind == "timeout":
            self.faults.hang(fault)
            drop(environ)
        try:
            if fault is not None:
                _strike(fault, request, caller, body, environ)
            self._authorize(request, caller, body, environ, permissions)
            answer = self._carry_out(request, caller, body, environ, kind == "stale")
        except ApiError as error:
            if request.protocol in ("query", "rest-xml"):
                error = errors.in_query_protocol(error)
            content_type, text, headers = moto_bridge.error_answer(error, request.protocol)
            answer = Answer(error.status, text, content_type, headers, error.code)
        if fault is not None and kind == "no_answer":
            self.faults.hang(fault)
        if kind in ("lost_answer", "no_answer"):
            drop(environ)
        return answer

    def _authorize(
        self,
        request: Request,
        caller: identity.Caller,
        body: bytes,
        environ: Environ,
        permissions: list[authorization.Permission],
    ) -> None:
        """Throttled, or AccessDenied for what the caller's policies do not allow, where they are enforced."""
        if not self.buckets.allow(caller.account, caller.region, request.service, request.operation):
            raise errors.throttled()
        held = policies.policies_of_session(caller.principal) if self._enforce_callers else None
        if held is not None:
            for one in authorization.needed(request, caller, body, environ):
                permissions.append(one)
                authorization.check(one, caller, held)

    def _carry_out(
        self, request: Request, caller: identity.Caller, body: bytes, environ: Environ, stale: bool
    ) -> Answer:
        if request.service == "ecs":
            return self._ecs(request.operation, caller, body, stale)
        if (request.service, request.operation) == ("sts", "GetCallerIdentity") and caller.static:
            return Answer(200, moto_bridge.root_identity(caller.account).encode(), "text/xml")
        if (request.service, request.operation) == ("cloudtrail", "LookupEvents"):
            return Answer(200, b'{"Events": []}')  # moto does not know it, and nothing is written down here
        if request.service in _READ_BY_TASKS:
            return self._read_by_tasks(request, environ, body)
        return self._moto(environ, body)

    def _ecs(self, operation: str, caller: identity.Caller, body: bytes, stale: bool) -> Answer:
        try:
            parsed = json.loads(body or b"{}")
        except ValueError as error:
            raise ApiError("SerializationException", "The request body is no JSON.") from error
        with self.world.lock:
            region = self.world.region(caller.account, caller.region)
            call = Call(region, caller.principal, self.clock.now(), stale)
            answer = operations.call(call, operation, parsed)
            return Answer(200, json.dumps(answer).encode())

    def _moto_time(self) -> float:
        return self.clock.now() if self._moto_now is None else self._moto_now

    def _read_by_tasks(self, request: Request, environ: Environ, body: bytes) -> Answer:
        """A call of moto's that happens at one moment of the virtual time."""
        with self.world.lock:
            self._moto_now = self.clock.now()
            try:
                for region in self.world.regions():
                    engine.advance_region(region, self._moto_now)
                if (request.service, request.operation) == ("iam", "SimulatePrincipalPolicy"):
                    return Answer(200, policies.simulate(body).encode(), "text/xml")
                return self._moto(environ, body)
            finally:
                self._moto_now = None

    def _moto(self, environ: Environ, body: bytes) -> Answer:
        moto_bridge.rewind(environ, body)
        caught: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
            caught[:] = [status, headers]

        text = b"".join(self.moto(environ, start))
        status = int(str(caught[0]).split(" ", 1)[0])
        headers = {name: value for name, value in caught[1] if name.lower() not in ("content-length", "content-type")}
        content_type = next((value for name, value in caught[1] if name.lower() == "content-type"), "text/plain")
        return Answer(status, text, content_type, headers, _moto_error(status, text))


def _moto_error(status: int, text: bytes) -> str | None:
    if status < 400:
        return None
    try:
        parsed = json.loads(text)
        return str(parsed.get("__type", f"HTTP {status}")) if isinstance(parsed, dict) else f"HTTP {status}"
    except ValueError:
        code = text.partition(b"<Code>")[2].partition(b"</Code>")[0]
        return code.decode() or f"HTTP {status}"


def _read(environ: Environ) -> bytes:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    return bytes(environ["wsgi.input"].read(length)) if length else b""


def _strike(fault: Fault, request: Request, caller: identity.Caller, body: bytes, environ: Environ) -> None:
    """Let a fault happen that comes before the operation; the others (`lost_answer`, `no_answer`, `stale`) pass."""
    if fault.kind == "throttle":
        raise errors.throttled()
    if fault.kind == "error":
        raise ApiError(fault.code, fault.message, fault.status)
    if fault.kind == "internal":
        raise ApiError("ServerException", "Service Unavailable. Please try again later.", 500)
    if fault.kind == "denied":
        raise errors.denied(caller.principal, request.service, request.operation, _resource(caller, body))
    if fault.kind == "expired":
        raise errors.expired()
    if fault.kind == "concurrent_revision":
        raise errors.concurrent_revision()
    if fault.kind == "reset":
        drop(environ)


def _resource(caller: identity.Caller, body: bytes) -> str:
    """The resource that an access-denied message names, as well as it can be told from the request."""
    try:
        parsed = json.loads(body or b"{}")
    except ValueError:
        return "*"
    if not isinstance(parsed, dict):
        return "*"
    prefix = f"arn:aws:ecs:{caller.region}:{caller.account}"
    cluster = last_part(str(parsed.get("cluster") or "default"))
    service = parsed.get("service") or next(iter(parsed.get("services") or []), None)
    if service:
        return f"{prefix}:service/{cluster}/{last_part(str(service))}"
    secret = parsed.get("SecretId")
    if secret:
        name = str(secret)
        return (
            name
            if name.startswith("arn:")
            else f"arn:aws:secretsmanager:{caller.region}:{caller.account}:secret:{name}"
        )
    return "*"


def drop(environ: Environ) -> None:
    """Close the connection without an answer."""
    connection = environ.get("werkzeug.socket")
    if isinstance(connection, socket.socket):
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    raise Dropped("closed on purpose")
