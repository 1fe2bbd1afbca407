# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Anthropic, Stripe, GitHub and a provider of one's own on loopback, as far as they answer the question about a key.

Paths, headers and errors follow the providers' documents, and not what the collection sends:
https://platform.claude.com/docs/en/api/models/list, https://platform.claude.com/docs/en/api/errors,
https://docs.stripe.com/api/balance, https://docs.stripe.com/api/errors,
https://docs.github.com/en/rest/rate-limit, https://docs.github.com/en/rest/authentication/authenticating-to-the-rest-api
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Headers = Mapping[str, str]
Answer = tuple[int, dict[str, Any]]


def _bearer(headers: Headers) -> str:
    kind, _blank, key = headers.get("Authorization", "").partition(" ")
    return key if kind == "Bearer" else ""


def _anthropic(key: str, known: str | None, headers: Headers) -> Answer:
    def error(status: int, kind: str, message: str) -> Answer:
        return status, {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}

    if "anthropic-version" not in headers:
        return error(400, "invalid_request_error", "anthropic-version: header is required")
    if known is None:
        return error(401, "authentication_error", f"invalid x-api-key {key}")
    return 200, {"data": [], "has_more": False, "first_id": None, "last_id": None}


def _stripe(key: str, known: str | None, headers: Headers) -> Answer:
    if known is None:
        message = f"Invalid API Key provided: {key}" if key else "You did not provide an API key."
        return 401, {"error": {"message": message, "type": "invalid_request_error"}}
    if known == "restricted":
        message = (
            f"The provided key '{key}' does not have the required permissions for this endpoint on account 'acct_1'."
        )
        # https://docs.stripe.com/changelog/2016-10-19/insufficient-permissions-throw-403-error
        status = 403 if headers.get("Stripe-Version", "2011-01-01") >= "2016-10-19" else 401
        return status, {"error": {"message": message, "type": "invalid_request_error"}}
    return 200, {"object": "balance", "available": []}


def _github(key: str, known: str | None, headers: Headers) -> Answer:
    if "User-Agent" not in headers:
        return 403, {"message": "Request forbidden by administrative rules."}
    if key and known is None:
        return 401, {"message": f"Bad credentials {key}", "status": "401"}
    return 200, {"resources": {"core": {"limit": 5000 if key else 60}}}


def _own(key: str, known: str | None, headers: Headers) -> Answer:
    return (204, {}) if known else (404, {"message": f"no account for {key}"})


Reply = Callable[[str, "str | None", Headers], Answer]
# path -> where the key stands, and what is answered.
SERVED: dict[str, tuple[Callable[[Headers], str], Reply]] = {
    "/v1/models": (lambda headers: headers.get("x-api-key", ""), _anthropic),
    "/v1/balance": (_bearer, _stripe),
    "/rate_limit": (_bearer, _github),
    "/own": (lambda headers: headers.get("X-Token", ""), _own),
}

BUSY = {"status": 529, "headers": {"Retry-After": "0"}}  # the answer to whoever asks for …?busy


@dataclass
class Providers:
    """A server for all of them.

    Attributes:
        keys: those that are known, to "full" or "restricted".
        faults: ``status``, ``type`` (of the content) and ``headers`` of the next answers, whose body holds the key.
        requests: method, path with query, and headers of each.
    """

    url: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    faults: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def answer(self, method: str, path: str, headers: Headers) -> tuple[int, str, Headers, bytes]:
        """Status, type of the content, further headers and body."""
        self.requests.append((method, path, dict(headers)))
        key_of, reply = SERVED[path.partition("?")[0]]
        key = key_of(headers)
        if self.faults or path.endswith("?busy"):
            fault = self.faults.pop(0) if self.faults else BUSY
            body = json.dumps({"error": f"for {key}"}).encode()
            return fault["status"], fault.get("type", "application/json"), fault.get("headers", {}), body
        status, told = reply(key, self.keys.get(key), headers)
        return status, "application/json; charset=utf-8", {}, json.dumps(told).encode()


@contextmanager
def serving() -> Iterator[Providers]:
    providers = Providers()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            status, kind, headers, body = providers.answer(self.command, self.path, self.headers)
            self.send_response(status)
            for name, text in {"Content-Type": kind, **headers}.items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(0 if status == 204 else len(body)))
            self.end_headers()
            if self.command != "HEAD" and status != 204:
                self.wfile.write(body)

        do_GET = do_HEAD = _serve  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    providers.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield providers
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
