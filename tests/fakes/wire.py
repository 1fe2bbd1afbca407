# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The least of an ECS behind a real HTTP server on loopback, which keeps what comes and goes as it is on the wire."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ARN = "arn:aws:ecs:us-east-1:123456789012"
FAMILY = "f"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:s-a1B2c3"
CURRENT = {"11111111-2222-3333-4444-555555555555": ["AWSCURRENT"]}


class Wire:
    """One service `s` in cluster `c`; its family's revisions as JSON texts; deployments that complete at once.

    Attributes:
        url: the endpoint.
        sent: operation and raw body of each request, since the last :meth:`begin`.
    """

    def __init__(self) -> None:
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = wire.answer(self.headers.get("X-Amz-Target", "").partition(".")[2], body)
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._operations: dict[str, Callable[[dict[str, Any]], str]] = {
            "DescribeServices": lambda _body: f'{{"services": [{self._service()}]}}',
            "DescribeTaskDefinition": self._describe,
            "RegisterTaskDefinition": self._register,
            "UpdateService": self._update,
            "ListServiceDeployments": lambda _body: '{"serviceDeployments": []}',
            "ListServices": lambda _body: '{"serviceArns": []}',
            "ListTasks": lambda _body: '{"taskArns": []}',
            "DescribeSecret": lambda _body: json.dumps({"ARN": SECRET, "Name": "s", "VersionIdsToStages": CURRENT}),
            "GetSecretValue": self._secret,
            "PutSecretValue": lambda body: json.dumps({"ARN": SECRET, "VersionId": body["ClientRequestToken"]}),
        }
        self.begin("{}", "[]")

    def begin(self, definition: str, tags: str, secret: str = "") -> None:
        """Begin again with one revision, which runs: the JSON of its `taskDefinition` and of its `tags`.

        Args:
            secret: what the secret `SECRET` holds.
        """
        self.secret = secret
        self.sent: list[tuple[str, bytes]] = []
        self._revisions = [(definition, tags)]
        self._running = 1

    def answer(self, operation: str, body: bytes) -> tuple[int, bytes]:
        self.sent.append((operation, body))
        if operation not in self._operations:
            return 400, b'{"__type": "AccessDeniedException", "message": "no"}'
        try:
            return 200, self._operations[operation](json.loads(body)).encode("utf-8")
        except LookupError:
            return 400, b'{"__type": "ClientException", "message": "Unable to describe task definition."}'

    def bodies(self, operation: str) -> list[bytes]:
        return [body for name, body in self.sent if name == operation]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _secret(self, _body: dict[str, Any]) -> str:
        (version,) = CURRENT
        return json.dumps({"ARN": SECRET, "Name": "s", "VersionId": version, "SecretString": self.secret})

    def _described(self, number: int) -> str:
        definition, tags = self._revisions[number - 1]
        return f'{{"taskDefinition": {definition}, "tags": {tags}}}'

    def _describe(self, body: dict[str, Any]) -> str:
        number = body["taskDefinition"].rpartition(":")[2]
        return self._described(int(number) if number.isdigit() else len(self._revisions))

    def _register(self, body: dict[str, Any]) -> str:
        tags = body.pop("tags", [])
        number = len(self._revisions) + 1
        self._revisions.append((json.dumps({**body, **identity(number)}), json.dumps(tags)))
        return self._described(number)

    def _update(self, body: dict[str, Any]) -> str:
        self._running = int(body.get("taskDefinition", f":{self._running}").rpartition(":")[2])
        return f'{{"service": {self._service()}}}'

    def _service(self) -> str:
        arn = identity(self._running)["taskDefinitionArn"]
        deployment = {
            "id": f"ecs-svc/{self._running}",
            "status": "PRIMARY",
            "taskDefinition": arn,
            "rolloutState": "COMPLETED",
        }
        return json.dumps(
            {
                "serviceArn": f"{ARN}:service/c/s",
                "clusterArn": f"{ARN}:cluster/c",
                "serviceName": "s",
                "status": "ACTIVE",
                "taskDefinition": arn,
                "deployments": [deployment],
            }
        )


def identity(number: int) -> dict[str, Any]:
    """What ECS adds to a revision, and takes from nobody."""
    arn = f"{ARN}:task-definition/{FAMILY}:{number}"
    return {"family": FAMILY, "taskDefinitionArn": arn, "revision": number, "status": "ACTIVE"}
