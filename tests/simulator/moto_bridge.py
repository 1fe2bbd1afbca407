# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Everything that is not ECS goes to moto, which is loaded with the first such request."""

from __future__ import annotations

import io
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from .errors import ApiError
from .state import Json

Environ = dict[str, Any]
StartResponse = Callable[..., Any]

# AWS's X-Amz-Target prefixes, to the names that faults and the call log use.
_TARGETS = {
    "secretsmanager": "secretsmanager",
    "AmazonSSM": "ssm",
    "Logs_20140328": "logs",
    "AWSEvents": "events",
    "AWSStepFunctions": "stepfunctions",
    "CodeDeploy_20141006": "codedeploy",
}
_OBJECT_VERBS = {"GET": "Get", "PUT": "Put"}
_SCHEDULER_VERBS = {"POST": "Create", "GET": "Get", "PUT": "Update", "DELETE": "Delete"}


@dataclass(frozen=True)
class Request:
    """What a request to moto asks for, and in which protocol errors must be answered."""

    service: str
    operation: str
    protocol: str  # "json", "query", "rest-json" or "rest-xml"


class Moto:
    """moto's server application, made when first needed. `now`: the time of secrets and parameters."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._application: Any = None

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        answer: Iterable[bytes] = self._load()(environ, start_response)
        return answer

    def _load(self) -> Any:
        with self._lock:
            if self._application is None:
                from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

                from . import moto_parameters, moto_secrets

                moto_secrets.install(self._now)
                moto_parameters.install(self._now)
                self._application = DomainDispatcherApplication(create_backend_app)
            return self._application

    def reset(self) -> None:
        """Forget all state; a no-op while moto is not loaded."""
        if self._application is None:
            return
        from moto.core.model_instances import reset_model_data
        from moto.moto_api._internal.models import moto_api_backend

        reset_model_data()
        moto_api_backend.reset()


def recognise(environ: Environ, signing_name: str, body: bytes) -> Request:
    """The service and operation of a request that is not ECS's."""
    prefix, _unused, operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")
    if prefix:
        return Request(_TARGETS.get(prefix, signing_name or prefix), operation, "json")
    if b"Action=" in body:
        action = parse_qs(body.decode(errors="replace")).get("Action", ["?"])[0]
        return Request(signing_name or "sts", action, "query")
    protocol = "rest-xml" if signing_name == "s3" else "rest-json"
    return Request(signing_name, _rest_operation(environ, signing_name), protocol)


def _rest_operation(environ: Environ, service: str) -> str:
    method, path = str(environ.get("REQUEST_METHOD", "GET")), str(environ.get("PATH_INFO", "/"))
    if service == "s3" and method in _OBJECT_VERBS and "/" in path.strip("/"):
        return _OBJECT_VERBS[method] + "Object"
    match = re.fullmatch(r"/(schedules|schedule-groups)(/[^/]+)?/?", path)
    if service == "scheduler" and match is not None:
        noun = "Schedule" if match[1] == "schedules" else "ScheduleGroup"
        return _SCHEDULER_VERBS.get(method, method) + noun if match[2] else f"List{noun}s"
    return f"{method} {path}"


def rewind(environ: Environ, body: bytes) -> None:
    """Give moto a body that was read already."""
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))


def error_answer(error: ApiError, protocol: str) -> tuple[str, bytes, Json]:
    """(content type, body, further headers) of an error in the protocol of the service."""
    if protocol == "rest-xml":
        text = f"<Error><Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message></Error>"
        return "application/xml", text.encode(), {}
    if protocol == "query":
        text = (
            "<ErrorResponse><Error><Type>Sender</Type>"
            f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
            "</Error><RequestId>simulator</RequestId></ErrorResponse>"
        )
        return "text/xml", text.encode(), {}
    from json import dumps

    body = dumps({"__type": error.code, "message": error.message, "Message": error.message}).encode()
    return "application/x-amz-json-1.1", body, {"x-amzn-ErrorType": error.code}


def root_identity(account: str) -> str:
    """GetCallerIdentity's answer for the account's root user, in place of moto's invented one."""
    return (
        '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
        f"<Arn>arn:aws:iam::{account}:root</Arn><UserId>{account}</UserId><Account>{account}</Account>"
        "</GetCallerIdentityResult><ResponseMetadata><RequestId>simulator</RequestId></ResponseMetadata>"
        "</GetCallerIdentityResponse>"
    )
