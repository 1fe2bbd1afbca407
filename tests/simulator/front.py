# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Python front: start a simulator as a process, drive it over HTTP."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DEFAULT_ACCOUNT = "123456789012"
ACCESS_KEY, SECRET_KEY = "AKIASIMULATOR0000000", "simulator-secret-key"
_FOLDER = Path(__file__).resolve().parent.parent
# No proxy may come between: the endpoint is on loopback. Made once, since Python reads all certificates for it.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class SimulatorError(RuntimeError):
    """A control request was refused, or the process did not start."""


class Simulator:
    """A running simulator. Use `Simulator.start(...)` as a context manager, or `Simulator(url)` for one that runs."""

    def __init__(self, url: str, process: subprocess.Popen[str] | None = None) -> None:
        self.url = url
        self._process = process

    @classmethod
    def start(
        cls,
        *,
        speed: float = 60.0,
        throttling: bool | str = True,
        seed: int = 0,
        drain: float | None = None,
        timing: dict[str, float] | None = None,
        started_by: str = "deployment",
        service_deployments: str = "full",
        check_secrets: bool = False,
        enforce_roles: bool = False,
        enforce_callers: bool = False,
        start_at: float | None = None,
        port: int = 0,
        python: str = sys.executable,
        wait: float = 20.0,
    ) -> Simulator:
        """Start a process on a free loopback port and wait until it answers.

        speed: virtual seconds per real one. throttling: True (real time), "virtual", False. drain: seconds in
        DEACTIVATING; timing: any field of `state.Timing`. started_by, service_deployments: emulator quirks.
        check_secrets: tasks fail whose secrets or parameters do not exist here. enforce_roles: and those whose
        execution role, in IAM here, does not allow it. enforce_callers: a call by the session of a role that IAM here
        knows is refused unless the role's policies allow it.
        Raises SimulatorError when it does not come up within `wait` seconds.
        """
        durations = {**(timing or {}), **({} if drain is None else {"drain": drain})}
        command = [python, "-m", "simulator", "--print-ready", f"--parent-pid={os.getpid()}", f"--port={port}"]
        command += [f"--speed={speed}", f"--seed={seed}", f"--timing={json.dumps(durations)}"]
        command += [f"--started-by={started_by}", f"--service-deployments={service_deployments}"]
        if check_secrets:
            command.append("--check-secrets")
        if enforce_roles:
            command.append("--enforce-roles")
        if enforce_callers:
            command.append("--enforce-callers")
        if start_at is not None:
            command.append(f"--start-at={start_at}")
        if throttling is False:
            command.append("--no-throttling")
        elif throttling == "virtual":
            command.append("--virtual-throttling")
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": str(_FOLDER)},
        )
        return cls(_ready(process, wait), process)

    def __enter__(self) -> Simulator:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the process, by its own handle. Harmless when it is gone or was never ours."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def environ(self, region: str = "us-east-1") -> dict[str, str]:
        """The variables that point boto3, the AWS CLI or Ansible here."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
        }

    def client(self, service: str, region: str = "us-east-1", account: str = DEFAULT_ACCOUNT, **options: Any) -> Any:
        """A boto3 client; for another account than the default one through AssumeRole of `role_arn(account)`."""
        import boto3
        from botocore.config import Config

        keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
        if account != DEFAULT_ACCOUNT:
            answer = self.client("sts", region).assume_role(RoleArn=self.role_arn(account), RoleSessionName="simulator")
            credentials = answer["Credentials"]
            keys = {
                "aws_access_key_id": credentials["AccessKeyId"],
                "aws_secret_access_key": credentials["SecretAccessKey"],
                "aws_session_token": credentials["SessionToken"],
            }
        options.setdefault("config", Config(retries={"total_max_attempts": 1, "mode": "standard"}))
        make: Any = boto3.client
        return make(service, region_name=region, endpoint_url=self.url, **keys, **options)

    @staticmethod
    def role_arn(account: str, name: str = "simulator") -> str:
        """A role of that account that may be assumed; it need not be created."""
        return f"arn:aws:iam::{account}:role/{name}"

    def create_environment(
        self,
        cluster: str = "c",
        service: str = "s",
        family: str | None = None,
        containers: Sequence[dict[str, Any]] | None = None,
        environment: dict[str, str] | Sequence[dict[str, str]] | None = None,
        secrets: dict[str, str] | Sequence[dict[str, str]] | None = None,
        desired: int = 2,
        region: str = "us-east-1",
        account: str = DEFAULT_ACCOUNT,
        health_check: bool = True,
        service_options: dict[str, Any] | None = None,
        task_definition_options: dict[str, Any] | None = None,
        tags: Sequence[dict[str, str]] = (),
        service_tags: Sequence[dict[str, str]] = (),
        age_seconds: float = 30 * 86400,
    ) -> dict[str, Any]:
        """A steady service at once, deployed `age_seconds` ago.

        Either `containers` (container definitions; `image` may be left out), or one container `app` with
        `environment` and `secrets` (name to value, name to valueFrom). `tags` go to the task definition.
        Answers cluster, service, service_arn, task_definition, deployment_id, tasks.
        """
        return self._post(
            "environments",
            cluster=cluster,
            service=service,
            family=family,
            containers=list(containers) if containers else None,
            environment=_plain(environment),
            secrets=_plain(secrets),
            desired=desired,
            region=region,
            account=account,
            health_check=health_check,
            service_options=service_options,
            task_definition_options=task_definition_options,
            tags=list(tags),
            service_tags=list(service_tags),
            age_seconds=age_seconds,
        )

    def script(
        self,
        cluster: str,
        service: str,
        ending: str = "completes",
        *,
        region: str = "us-east-1",
        account: str = DEFAULT_ACCOUNT,
        **parameters: Any,
    ) -> None:
        """How the service's next deployment ends; `parameters` are fields of `endings.Script`."""
        place = {"cluster": cluster, "service": service, "region": region, "account": account}
        self._post("script", **place, ending=ending, **parameters)

    def fault(
        self, operation: str = "*", kind: str = "error", times: int | None = 1, service: str = "ecs", **parameters: Any
    ) -> None:
        """A fault for the next calls; `parameters`: after, code, message, status, seconds, account, region, agent."""
        self._post("faults", operation=operation, kind=kind, times=times, service=service, **parameters)

    def hanging(self) -> int:
        """How many calls hang now, by `timeout` or `no_answer`."""
        return int(self._post("status")["hanging"])

    def clear_faults(self) -> None:
        """No more faults; the calls that hang are over."""
        self._post("faults/clear")

    def patch_task_definition(
        self,
        task_definition: str,
        path: Sequence[str | int],
        value: Any,
        region: str = "us-east-1",
        account: str = DEFAULT_ACCOUNT,
    ) -> None:
        """Set one member of a stored task definition (`family:revision` or ARN), known to any model or not."""
        self._post(
            "patch-task-definition",
            task_definition=task_definition,
            path=list(path),
            value=value,
            region=region,
            account=account,
        )

    def set_service(
        self, cluster: str, service: str, *, region: str = "us-east-1", account: str = DEFAULT_ACCOUNT, **changes: Any
    ) -> None:
        """Change a service without a deployment: desiredCount, deploymentConfiguration (merged), loadBalancers, …

        `quirks={"started_by": …, "service_deployments": …}` makes this one service behave as emulators do.
        """
        self._post("set-service", cluster=cluster, service=service, region=region, account=account, changes=changes)

    def set_timing(self, **timing: float) -> None:
        """Other durations (fields of `state.Timing`) for services that are made from now on."""
        self._post("timing", timing=timing)

    def set_throttling(self, enabled: bool) -> None:
        """Turn the token buckets on (full) or off."""
        self._post("throttling", enabled=enabled)

    def set_speed(self, speed: float) -> None:
        self._post("speed", speed=speed)

    def advance(self, seconds: float) -> float:
        """Jump the virtual clock ahead; answers its time."""
        return float(self._post("advance", seconds=seconds)["now"])

    def now(self) -> float:
        """The virtual time, epoch seconds."""
        return float(self._post("status")["now"])

    def calls(self, service: str | None = None, operation: str | None = None) -> list[dict[str, Any]]:
        """The call log, oldest first, optionally of one service or operation only."""
        found: list[dict[str, Any]] = self._post("calls")["calls"]
        return [call for call in found if service in (None, call["service"]) and operation in (None, call["operation"])]

    def log(
        self,
        cluster: str,
        service: str,
        *messages: str,
        deployment_id: str | None = None,
        region: str = "us-east-1",
        account: str = DEFAULT_ACCOUNT,
    ) -> list[str]:
        """Write log lines, at the virtual time, for each running task of a deployment (default: the PRIMARY one).

        Group and stream follow the containers' awslogs options (`prefix/container/task-id`). Answers the streams.
        These calls stand in the call log, too.
        """
        ecs, logs = (self.client(name, region, account) for name in ("ecs", "logs"))
        if deployment_id is None:
            found = ecs.describe_services(cluster=cluster, services=[service])["services"][0]
            deployment_id = found["deployments"][0]["id"]
        arns = ecs.list_tasks(cluster=cluster, startedBy=deployment_id)["taskArns"]
        tasks = ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"] if arns else []
        at = round(self.now() * 1000)
        streams = []
        for task in tasks:
            name = task["taskDefinitionArn"]
            definition = ecs.describe_task_definition(taskDefinition=name)["taskDefinition"]
            for container in definition["containerDefinitions"]:
                options = container.get("logConfiguration", {}).get("options", {})
                if "awslogs-group" not in options:
                    continue
                prefix = options.get("awslogs-stream-prefix", "ecs")
                stream = f"{prefix}/{container['name']}/{task['taskArn'].rsplit('/', 1)[1]}"
                _put_log(logs, options["awslogs-group"], stream, at, messages)
                streams.append(stream)
        return streams

    def started_with(
        self, cluster: str, service: str | None, *, region: str = "us-east-1", account: str = DEFAULT_ACCOUNT
    ) -> list[dict[str, Any]]:
        """What the containers of a service's tasks got at their start, stopped tasks included, oldest first.

        Each: task_id, task_definition, started_by, last_status, started_at and containers, {container: {NAME: value}}:
        empty before the containers start, None for a value that could not be read. `service` None: standalone tasks.
        """
        place = {"cluster": cluster, "service": service, "region": region, "account": account}
        found: list[dict[str, Any]] = self._post("started-with", **place)["tasks"]
        return found

    def clear_calls(self) -> None:
        self._post("calls/clear")

    def reset(self) -> None:
        """Forget everything: ECS, moto, faults, calls, buckets. The clock goes on."""
        self._post("reset")

    def _post(self, name: str, **body: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.url}/_simulator/{name}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with _OPENER.open(request, timeout=60) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            raise SimulatorError(f"{name}: {json.load(error).get('message')}") from None


def _put_log(logs: Any, group: str, stream: str, at: int, messages: Sequence[str]) -> None:
    exists = logs.exceptions.ResourceAlreadyExistsException
    with contextlib.suppress(exists):
        logs.create_log_group(logGroupName=group)
    with contextlib.suppress(exists):
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
    events = [{"timestamp": at + index, "message": message} for index, message in enumerate(messages)]
    answer = logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
    if answer.get("rejectedLogEventsInfo"):
        # CloudWatch Logs takes nothing from more than two hours ahead, and moto's time is real.
        raise SimulatorError("the virtual clock is too far from real time for CloudWatch Logs")


def _plain(given: dict[str, str] | Sequence[dict[str, str]] | None) -> dict[str, str] | list[dict[str, str]] | None:
    return given if given is None or isinstance(given, dict) else list(given)


def _ready(process: subprocess.Popen[str], wait: float) -> str:
    """The URL from the process's first line."""
    assert process.stdout is not None
    readable, _unused, _unused2 = select.select([process.stdout], [], [], wait)
    line = process.stdout.readline() if readable else ""
    if not line:
        process.kill()
        process.wait(5)
        process.stdout.close()
        raise SimulatorError("the simulator did not start")
    return str(json.loads(line)["url"])
