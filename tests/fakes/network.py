# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Answers to botocore's requests without a network: botocore signs, serializes and parses as ever."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.awsrequest import AWSResponse

from ansible_collections.keyturn.ecs.plugins.module_utils._aws import ONCE, OPTIONAL, REPEAT, Aws

# What a test does not answer itself is refused at once, on loopback.
OPTIONS: dict[str, Any] = {
    "endpoint_url": "http://127.0.0.1:9",
    "region": "us-east-1",
    "access_key": "AKIAEXAMPLE",
    "secret_key": "the-secret-key",
    "validate_certs": True,
}

# The options of ecs_env_rotate as its argument spec fills them in, but for variable and value.
ROTATE_OPTIONS: dict[str, Any] = {
    "store": "keep",
    "secret_id": None,
    "secret_json_key": None,
    "secret_kms_key_id": None,
    "secret_tags": None,
    "pin_secret_version": "keep",
    "cluster": "c",
    "service": "s",
    "value_pattern": None,
    "containers": None,
    "if_missing": "fail",
    "base_revision": "running",
    "in_progress": "fail",
    "force_new_deployment": False,
    "expected_fingerprint": None,
    "tags": {},
    "record": None,
}

Answer = tuple[int, dict[str, Any]] | Exception


def error(code: str, message: str = "no") -> tuple[int, dict[str, Any]]:
    """An ECS error as it comes over the wire."""
    return 400, {"__type": code, "message": message}


class Network:
    """Passes ECS's requests to a function of operation and body; keeps what was sent."""

    def __init__(self, aws: Aws, answer: Callable[[str, dict[str, Any]], Answer]) -> None:
        self.sent: list[Any] = []
        self._answer = answer
        for mode in (REPEAT, ONCE, OPTIONAL):
            aws._client("ecs", mode).meta.events.register("before-send.ecs", self._send)

    @property
    def operations(self) -> list[str]:
        return [request.headers["X-Amz-Target"].decode().partition(".")[2] for request in self.sent]

    def _send(self, request: Any, **_more: Any) -> AWSResponse:
        self.sent.append(request)
        answer = self._answer(self.operations[-1], json.loads(request.body))
        if isinstance(answer, Exception):
            raise answer
        status, body = answer
        response = AWSResponse("http://x", status, {"content-type": "application/x-amz-json-1.1"}, None)
        response._content = json.dumps(body).encode()
        return response


class InTurn(Network):
    """Answers each request with the next of a list."""

    def __init__(self, aws: Aws, *answers: Answer) -> None:
        left = list(answers)
        super().__init__(aws, lambda operation, body: left.pop(0))


class OneService(Network):
    """The least of an ECS: one service, its family's revisions, deployments that complete at once."""

    def __init__(self, aws: Aws, fields: dict[str, Any]) -> None:
        operations = {
            "RegisterTaskDefinition": self.register,
            "DescribeTaskDefinition": self.describe,
            "DescribeServices": lambda body: {"services": [self._service()]},
            "UpdateService": self.update,
            "ListServiceDeployments": lambda body: {"serviceDeployments": []},
        }
        super().__init__(aws, lambda operation, body: (200, operations[operation](body)))
        self.reset(fields)

    def reset(self, fields: dict[str, Any]) -> None:
        """Begin again with one revision, which runs."""
        self.sent.clear()
        self.revisions: list[dict[str, Any]] = []
        self.tags: list[list[dict[str, str]]] = []
        self.register(fields)
        self.running = self._arn(1)

    def _arn(self, revision: int) -> str:
        return f"arn:aws:ecs:us-east-1:123456789012:task-definition/f:{revision}"

    def _described(self, revision: int) -> dict[str, Any]:
        return {
            **self.revisions[revision - 1],
            "taskDefinitionArn": self._arn(revision),
            "revision": revision,
            "status": "ACTIVE",
            "registeredAt": 1.5,
            "requiresAttributes": [{"name": "x"}],
        }

    def register(self, body: dict[str, Any]) -> dict[str, Any]:
        tags = body.pop("tags", [])
        self.revisions.append(body)
        self.tags.append(tags)
        return {"taskDefinition": self._described(len(self.revisions)), "tags": tags}

    def describe(self, body: dict[str, Any]) -> dict[str, Any]:
        number = body["taskDefinition"].rpartition(":")[2]
        revision = int(number) if number.isdigit() else len(self.revisions)
        return {"taskDefinition": self._described(revision), "tags": self.tags[revision - 1]}

    def update(self, body: dict[str, Any]) -> dict[str, Any]:
        self.running = body["taskDefinition"]
        return {"service": self._service()}

    def _service(self) -> dict[str, Any]:
        deployment = {
            "id": f"ecs-svc/{self.running.rpartition(':')[2]}",
            "status": "PRIMARY",
            "taskDefinition": self.running,
            "rolloutState": "COMPLETED",
        }
        return {
            "serviceArn": "arn:aws:ecs:us-east-1:123456789012:service/c/s",
            "clusterArn": "arn:aws:ecs:us-east-1:123456789012:cluster/c",
            "serviceName": "s",
            "status": "ACTIVE",
            "taskDefinition": self.running,
            "deployments": [deployment],
        }
