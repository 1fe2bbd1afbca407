# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The front: `with Provider.start() as provider:`, and the server behind it."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from werkzeug.datastructures import Headers

from .description import Description, Request
from .state import STATUSES, Json, Refused, State, StoredKey

ADMIN_KEY = "sk-admin-0123456789abcdefABCDEF0123456789"

FAULTS = (
    "status",  # answers with `status`, and error `code` and `message`; nothing is done
    "text",  # answers with `body`, whatever that is; nothing is done
    "drop",  # closes the connection; nothing is done
    "lost_answer",  # does it, then closes the connection
    "hang",  # does nothing and answers nothing until the client is gone or the provider stops
)


@dataclass(frozen=True)
class Recorded:
    """A request as it came; ``key`` is its bearer token."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    headers: dict[str, str]
    key: str


@dataclass
class Fault:
    """`times` requests (None: all) whose "METHOD /path" matches are met, after `after` that go through.

    A request meets one fault at most, the oldest. Those behind it do not count that request.
    """

    kind: str
    match: str = ""
    times: int | None = 1
    after: int = 0
    status: int = 500
    code: str | None = None
    message: str = "An injected fault."
    body: str | Json = ""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in FAULTS:
            raise ValueError(f"unknown fault {self.kind!r}, one of: {', '.join(FAULTS)}")


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, status: int, data: Any, headers: dict[str, str] | None = None) -> Answer:
        return cls(status, json.dumps(data).encode(), headers=headers or {})


class Provider:
    """An OpenAI of one's own. Everything may be called from any thread.

    Attributes:
        base_url: for ``base_url`` or OPENAI_BASE_URL.
        requests: what came, in order.
        violations: what in a request or in the provider's own answers does not follow OpenAI's description.
    """

    def __init__(self, state: State, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.requests: list[Recorded] = []
        self.violations: list[str] = []
        self.stopping = threading.Event()
        self._state, self._faults, self._lock = state, list[Fault](), threading.RLock()
        self._description = Description()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.base_url = f"{'https' if context else 'http'}://127.0.0.1:{self._server.server_port}/v1"

    @classmethod
    @contextlib.contextmanager
    def start(
        cls,
        *,
        admin_key: str = ADMIN_KEY,
        service_account_keys: str = "deleted",
        now: Callable[[], float] = time.time,
        context: ssl.SSLContext | None = None,
        port: int = 0,
    ) -> Iterator[Provider]:
        """Serve on 127.0.0.1 until the block ends; then fails if a request or an answer broke the description.

        Args:
            service_account_keys: ``kept`` when DELETE shall refuse them, as OpenAI's description says.
            context: to serve HTTPS.
        """
        provider = cls(State(admin_key, now, service_account_keys), context, port)
        thread = threading.Thread(target=provider._server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield provider
        finally:
            provider.stopping.set()
            provider._server.shutdown()
            provider._server.server_close()
            thread.join(5)
        if provider.violations:
            raise AssertionError("Not as OpenAI describes it: " + "\n".join(provider.violations))

    # What it knows

    def add_project(self, project_id: str = "proj_abc", *service_account_ids: str) -> str:
        """A project with these service accounts (`svc_acct_abc` if none is named)."""
        with self._lock:
            self._state.projects[project_id] = list(service_account_ids or ("svc_acct_abc",))
        return project_id

    def add_key(self, project_id: str = "proj_abc", name: str = "Secret Key", **members: Any) -> StoredKey:
        """A key that is there already; see StoredKey for `members`. Without `service_account_id` a user owns it."""
        with self._lock:
            return self._state.add_key(project_id, name, **members)

    def key(self, value: str, status: str = "accepted") -> str:
        """What GET /models says to this value from now on; see STATUSES. It need not be in a project."""
        if status not in STATUSES:
            raise ValueError(f"unknown status {status!r}, one of: {', '.join(STATUSES)}")
        with self._lock:
            stored = next((key for key in self._state.keys.values() if key.value == value), None)
            if stored:
                stored.status = status
            else:
                self._state.outside[value] = status
        return value

    def stored(self, project_id: str = "proj_abc") -> list[StoredKey]:
        """The project's keys, oldest first."""
        with self._lock:
            return [key for key in self._state.keys.values() if key.project_id == project_id]

    def fault(self, kind: str, match: str = "", **members: Any) -> None:
        """The next request whose "METHOD /path" this pattern is found in fails; see Fault and FAULTS."""
        with self._lock:
            self._faults.append(Fault(kind, match, **members))

    def reset(self) -> None:
        """Forget everything but the admin key."""
        with self._lock:
            fresh = State(self._state.admin_key, self._state.now, self._state.service_account_keys)
            self._state = fresh
            self._faults.clear()
            self.requests.clear()

    def calls(self) -> list[str]:
        """``METHOD /path`` of every request."""
        return [f"{one.method} {one.path}" for one in self.requests]

    # What the server calls

    def answer(self, request: Request, key: str) -> Answer | str:
        """The answer, or how the connection ends without one: ``drop`` or ``hang``."""
        path = request.path.removeprefix("/v1")
        with self._lock:
            self.requests.append(_record(request, path, key))
            fault = self._fault(f"{request.method.upper()} {path}")
            if fault is not None and fault.kind in ("drop", "hang"):
                return fault.kind
            if fault is not None and fault.kind != "lost_answer":
                return _struck(fault, key)
            wrong = self._description.complaint_about_request(request)
            if wrong is not None:
                self.violations.append(f"{request.method} {request.path}: {wrong}")
                return Answer.of(400, Refused(400, wrong).body)
            answer = self._do(request, path, key)
            wrong = self._description.complaint_about_answer(request, answer.status, answer.body)
            if wrong is not None:
                self.violations.append(f"answer to {request.method} {request.path}: {wrong}")
        return "drop" if fault is not None else answer

    def _fault(self, call: str) -> Fault | None:
        for fault in self._faults:
            if not re.search(fault.match, call):
                continue
            if fault.after:
                fault.after -= 1
                continue
            if fault.times is not None:
                fault.times -= 1
                if not fault.times:
                    self._faults.remove(fault)
            return fault
        return None

    def _do(self, request: Request, path: str, key: str) -> Answer:
        try:
            return Answer.of(200, self._result(request, path.strip("/").split("/"), key))
        except Refused as refused:
            return Answer.of(refused.status, refused.body)

    def _result(self, request: Request, path: list[str], key: str) -> Json:
        state, query = self._state, request.parameters.query
        if path == ["models"]:
            return state.models(key)
        state.admin(key)
        project_id = path[2]
        if request.method == "post":
            return state.make_key(project_id, path[4], json.loads(request.body or b"{}").get("name"))
        if len(path) == 4:
            access = query.get("owner_project_access")
            return state.list_keys(project_id, int(query.get("limit", 20)), query.get("after"), access)
        if request.method == "delete":
            return state.delete_key(project_id, path[4])
        return state.get_key(project_id, path[4]).shown()


def _record(request: Request, path: str, key: str) -> Recorded:
    query = {name: values[-1] for name, values in parse_qs(request.query).items()}
    body = json.loads(request.body) if request.body else None
    return Recorded(request.method.upper(), path, query, body, dict(request.headers), key)


def _struck(fault: Fault, key: str) -> Answer:
    """The answer of a fault; ``{key}`` in its texts is the whole key that came, which no provider should show."""
    if fault.kind == "status":
        body = Refused(fault.status, fault.message.replace("{key}", key), code=fault.code).body
        return Answer.of(fault.status, body, fault.headers)
    text = fault.body if isinstance(fault.body, str) else json.dumps(fault.body)
    return Answer(fault.status, text.replace("{key}", key).encode(), fault.content_type, fault.headers)


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30
        wbufsize = -1  # the answer in one piece
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
            request = Request(self.command, parts.path, parts.query, Headers(self.headers.items()), body)
            answer = provider.answer(request, (self.headers.get("Authorization") or "").removeprefix("Bearer "))
            self.close_connection = True
            if isinstance(answer, str):
                self._end(answer)
                return
            self.send_response(answer.status)
            for name, value in {"Content-Type": answer.content_type, **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = _serve  # noqa: N815

        def _end(self, how: str) -> None:
            if how == "hang":
                self.connection.settimeout(0.05)
                while not provider.stopping.is_set():
                    with contextlib.suppress(TimeoutError):
                        if not self.connection.recv(1):
                            break
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing: `requests` has it."""

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError, TimeoutError, ssl.SSLError):
                super().handle()

    return Handler
