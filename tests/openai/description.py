# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Requests and answers against OpenAI's published description, by openapi-core."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import yaml
from openapi_core import OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from werkzeug.datastructures import Headers, ImmutableMultiDict

FILE = Path(__file__).with_name("openapi.yaml")
HOST = "https://api.openai.com"


@dataclass
class Request:
    """A request in the form that openapi-core asks for; ``path`` begins with ``/v1``."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes | None
    host_url: str = HOST
    parameters: RequestParameters = field(init=False)

    def __post_init__(self) -> None:
        query: ImmutableMultiDict[str, str] = ImmutableMultiDict(parse_qsl(self.query, keep_blank_values=True))
        self.parameters = RequestParameters(query=query, header=self.headers)
        self.method = self.method.lower()

    @property
    def content_type(self) -> str:
        return self.headers.get("Content-Type") or ""


@dataclass(frozen=True)
class Response:
    """An answer, likewise."""

    status_code: int
    data: bytes
    content_type: str = "application/json"
    headers: Headers = field(default_factory=Headers)


class Description:
    """The excerpt in openapi.yaml.

    Two things are stricter or wider than it: parameters and members of a body that it does not name are refused, and
    every operation may answer with its ErrorResponse, which it names for one of them only.
    """

    def __init__(self) -> None:
        self._plain: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
        whole = copy.deepcopy(self._plain)
        error = {"schema": {"$ref": "#/components/schemas/ErrorResponse"}}
        for operations in whole["paths"].values():
            for operation in operations.values():
                operation["responses"]["default"] = {"description": "An error.", "content": {"application/json": error}}
        self._openapi = OpenAPI.from_dict(whole)

    def complaint_about_request(self, request: Request) -> str | None:
        """What does not follow the description, or None."""
        try:
            self._openapi.validate_request(request)
        except OpenAPIError as error:
            return _told(error)
        operation = self._operation(request)
        known = {one["name"] for one in operation.get("parameters", []) if one["in"] == "query"}
        unknown = sorted(set(request.parameters.query) - known)
        if unknown:
            return f"query parameters that the description does not name: {', '.join(unknown)}"
        if request.body and "requestBody" not in operation:
            return "a body, where the description has none"
        return self._unknown_members(operation, request.body)

    def complaint_about_answer(self, request: Request, status: int, body: bytes) -> str | None:
        try:
            self._openapi.validate_response(request, Response(status, body))
        except OpenAPIError as error:
            return _told(error)
        return None

    def _operation(self, request: Request) -> dict[str, Any]:
        parts = request.path.removeprefix("/v1").split("/")
        for pattern, operations in self._plain["paths"].items():
            wanted = pattern.split("/")
            pairs = zip(wanted, parts, strict=False)
            if len(wanted) == len(parts) and all(one == two or one.startswith("{") for one, two in pairs):
                found: dict[str, Any] = operations[request.method]
                return found
        raise LookupError(request.path)

    def _unknown_members(self, operation: dict[str, Any], body: bytes | None) -> str | None:
        if not body:
            return None
        reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        schema = self._plain["components"]["schemas"][reference.rpartition("/")[2]]
        unknown = sorted(set(yaml.safe_load(body)) - set(schema["properties"]))
        return f"members of the body that the description does not name: {', '.join(unknown)}" if unknown else None


def _told(error: BaseException) -> str:
    """The error and what is behind it, on one line."""
    texts = []
    one: BaseException | None = error
    while one is not None:
        texts.append(str(one).splitlines()[0] if str(one) else type(one).__name__)
        texts += [schema_error.message for schema_error in getattr(one, "schema_errors", ())]
        one = one.__cause__
    return "; ".join(dict.fromkeys(texts))
