# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What tasks do: each way a task can end, with values wherever an operator, AWS, a log or a provider may put them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import Any

from openai import Provider
from simulator import Simulator

from .canaries import (
    ADMIN_KEY,
    NEIGHBOUR,
    NEW,
    OLD,
    PROVIDER_KEY,
    PROXY_PASSWORD,
    SECRET_KEY,
    SESSION_TOKEN,
    echoes,
)

Json = dict[str, Any]
VARIABLE = "OPENAI_API_KEY"
ENVIRONMENT = {"LOG_LEVEL": "INFO", VARIABLE: OLD, "DATABASE_PASSWORD": NEIGHBOUR}

# Values reach a play from the environment, as an operator's do.
PASSED = {
    "THE_NEW": NEW,
    "THE_OLD": OLD,
    "THE_ADMIN": ADMIN_KEY,
    "THE_PROVIDER_KEY": PROVIDER_KEY,
    "THE_SECRET_KEY": SECRET_KEY,
    "THE_TOKEN": SESSION_TOKEN,
    "THE_PASSWORD": PROXY_PASSWORD,
}
GIVEN = {name: f"{{{{ lookup('ansible.builtin.env', '{name}') }}}}" for name in PASSED}
THE_NEW, THE_OLD, THE_ADMIN, THE_PROVIDER_KEY, THE_SECRET_KEY, THE_TOKEN, THE_PASSWORD = GIVEN.values()
CREDENTIALS = {"access_key": "AKIASIMULATOR0000000", "secret_key": THE_SECRET_KEY, "session_token": THE_TOKEN}


@dataclasses.dataclass(frozen=True)
class World:
    """What a case finds: AWS, a provider, and a folder for files."""

    sim: Simulator
    provider: Provider
    folder: Path
    cluster: str

    def environment(self, **wanted: Any) -> Json:
        wanted.setdefault("environment", ENVIRONMENT)
        return self.sim.create_environment(cluster=self.cluster, family=self.cluster, **wanted)

    def rollout(self, **script: Any) -> None:
        """Somebody starts a rollout."""
        self.environment()
        if script:
            self.sim.script(self.cluster, "s", **script)
        self.sim.client("ecs").update_service(cluster=self.cluster, service="s", forceNewDeployment=True)


Prepare = Callable[[World], "Json | None"]


@dataclasses.dataclass(frozen=True)
class Case:
    """A task. `says` stands in the message of one that fails."""

    name: str
    kind: str  # how it ends, one word for the page
    options: Json = field(default_factory=dict)
    prepare: Prepare = lambda world: world.environment() and None
    module: str = "ecs_env_rotate"
    task: Json = field(default_factory=dict)
    says: str = ""

    def __str__(self) -> str:
        return self.name

    @property
    def variable(self) -> str:
        return "r_" + re.sub(r"\W+", "_", self.name)


def faulty(region: str, operation: str, *known: str, **fault: Any) -> Prepare:
    """A Region of its own where an operation fails, and AWS repeats what it knows in every notation."""
    known = known or (NEW, OLD, NEIGHBOUR)

    def prepare(world: World) -> Json:
        world.environment(region=region)
        given = {"kind": "error", "message": f"Bad request: {echoes(*known)}"}
        world.sim.fault(operation, times=None, region=region, **{**given, **fault})
        return {"region": region}

    return prepare


def malformed(world: World) -> None:
    """AWS answers what no document describes."""
    made = world.environment()["task_definition"]
    world.sim.patch_task_definition(made, ["containerDefinitions", 0, "environment"], [[NEW, OLD, NEIGHBOUR]])


def failing_rollout(world: World) -> None:
    world.rollout(ending="circuit_breaker", cause="container_exit", message=f"Exited: {echoes(OLD, NEIGHBOUR)}")


def logging(world: World) -> Json:
    world.environment()
    for value in (OLD, NEIGHBOUR):
        world.sim.log(world.cluster, "s", f"401 Unauthorized: {echoes(value)}", f"401 for key {value}")
    return {"patterns": ["401"], "variable": VARIABLE}


def provider(world: World) -> Json:
    return {"base_url": world.provider.base_url}


def any_provider(world: World) -> Json:
    """The same provider, asked as one that the collection does not know."""
    return {"url": f"{world.provider.base_url}/models", "headers": {"Authorization": "Bearer {value}"}}


def failing_any(world: World) -> Json:
    return {**(breaking("GET /models", status=400, after=2)(world) or {}), **any_provider(world)}


def breaking(match: str, **fault: Any) -> Prepare:
    """The provider fails once, and its answer repeats the key."""

    def prepare(world: World) -> Json:
        world.provider.fault(match=match, **{"kind": "status", "message": "key {key}", **fault})
        return {"base_url": world.provider.base_url}

    return prepare


def dotenv(content: str) -> Prepare:
    def prepare(world: World) -> Json:
        path = world.folder / f"{world.cluster}.env"
        path.write_text(content)
        return {"path": str(path), "cluster": None, "service": None}

    return prepare


def in_secret(world: World) -> Json:
    """The JSON of a secret holds more than the key, and AWS repeats what it was sent."""
    made = world.sim.client("secretsmanager", "eu-west-1").create_secret(
        Name=world.cluster, SecretString=f'{{"db": "{NEIGHBOUR[:8]}{NEIGHBOUR[-12:]}", "key": "sk-before-this"}}'
    )
    world.environment(region="eu-west-1", environment={}, secrets={VARIABLE: f"{made['ARN']}:key::"})
    text = f"SecretString is not valid: {echoes(NEW)}"
    world.sim.fault("PutSecretValue", times=None, region="eu-west-1", service="secretsmanager", message=text)
    return {"region": "eu-west-1"}


PROXY = {"proxies": {"http": f"http://user:{THE_PASSWORD}@127.0.0.1:9"}, "retries": {"max_attempts": 0}}
MAKE = {"project_id": "proj_abc", "service_account_id": "svc_acct_abc", "admin_key": THE_ADMIN}
BOTH = {"check_mode": True, "diff": True}
_WAIT, _INFO, _KEY, _ASK, _PROBE, _DOTENV = (
    "ecs_rollout_wait",
    "ecs_env_info",
    "openai_api_key",
    "openai_api_key_info",
    "api_key_probe",
    "dotenv_value",
)

CASES = [
    Case("change", "success"),
    Case("no change", "success", {"value": THE_OLD}),
    Case("check mode and diff", "check and diff", task=BOTH),
    Case("calls are listed", "success", {"debug_botocore_endpoint_logs": True}, task=BOTH),
    Case(
        "AWS refuses and repeats",
        "AWS error",
        prepare=faulty("eu-west-2", "RegisterTaskDefinition"),
        says="Bad request",
    ),
    Case(
        "AWS denies and repeats",
        "AWS error",
        prepare=faulty("eu-west-3", "UpdateService", code="AccessDeniedException"),
        says="denied",
    ),
    Case(
        "AWS repeats credentials",
        "AWS error",
        CREDENTIALS,
        faulty("eu-north-1", "DescribeServices", NEW, SECRET_KEY, SESSION_TOKEN),
        says="Bad request",
    ),
    Case("AWS repeats a secret's JSON", "AWS error", prepare=in_secret, says="SecretString is not valid"),
    Case(
        "AWS cuts its text off",
        "AWS error",
        prepare=faulty("eu-central-1", "UpdateService", message=f"{OLD} or {NEW[:17]}..."),
        says="failed",
    ),
    Case("AWS answers nonsense", "unforeseen exception", prepare=malformed, says="Unexpected "),
    Case("other value than expected", "refusal", {"expected_fingerprint": "sha256:0123456789ab"}, says="sha256:"),
    Case("value that does not match", "refusal", {"value_pattern": "^pk-"}, says="does not match"),
    Case("value with a newline", "refusal", {"value": f"{THE_NEW}\n"}, says="white space"),
    Case(
        "value as a choice",
        "bad parameter",
        {"in_progress": THE_NEW, "value": "sk-x"},
        says="must be one of: fail, supersede",
    ),
    Case(
        "value as a boolean",
        "bad parameter",
        {"force_new_deployment": THE_NEW, "value": "sk-x"},
        says="must be of type bool",
    ),
    Case(
        "value as a dictionary",
        "bad parameter",
        {"tags": THE_PROVIDER_KEY, "value": "sk-x"},
        says="must be of type dict",
    ),
    Case(
        "dictionary for a value",
        "bad parameter",
        {"value": {"key": THE_NEW}, "value_pattern": "^sk-"},
        says="does not match",
    ),
    Case("list for a value", "bad parameter", {"value": [THE_NEW], "value_pattern": "^sk-"}, says="does not match"),
    Case("value as a pattern", "bad parameter", {"value_pattern": THE_NEW, "value": "sk-x"}, says="value_pattern"),
    Case("value as a service", "bad parameter", {"service": THE_NEW}, says="service holds the value itself"),
    Case(
        "a provider's key as a service",
        "bad parameter",
        {"service": THE_PROVIDER_KEY, "value": "sk-x"},
        says="There is no service",
    ),
    Case("proxy with a password", "bad parameter", {"aws_config": PROXY}, says="ecs:DescribeServices"),
    Case(
        "password as a setting",
        "bad parameter",
        {"aws_config": {"s3": {"addressing_style": THE_PASSWORD}}},
        says="aws_config",
    ),
    Case(
        "rollout that fails",
        "failed rollout",
        {"variable": None, "value": None},
        failing_rollout,
        _WAIT,
        says="circuit breaker",
    ),
    Case("values in the log", "evidence", {"value": None}, logging, "ecs_log_scan", says="401"),
    Case("who holds what", "success", {"value": None, "service": None}, module=_INFO),
    Case(
        "AWS refuses to tell",
        "AWS error",
        {"value": None, "service": None},
        faulty("eu-south-1", "DescribeTaskDefinition", NEIGHBOUR),
        _INFO,
    ),
    Case("asked first", "refusal", {"value_pattern": "^pk-"}, module="ecs_env_preflight", says="does not match"),
    Case("a key is made", "success", {**MAKE, "name": "made"}, provider, _KEY),
    Case(
        "a key is lost",
        "provider error",
        {**MAKE, "name": "lost"},
        breaking("POST", kind="lost_answer", after=1),
        _KEY,
        says="was made",
    ),
    Case(
        "the admin key is refused",
        "provider error",
        {**MAKE, "name": "refused"},
        breaking("GET /org", status=401, after=3),
        _KEY,
        says="admin_key",
    ),
    Case("a key is checked", "success", {"value": THE_NEW}, provider, _ASK),
    Case(
        "the provider fails and repeats",
        "provider error",
        {"value": THE_NEW},
        breaking("GET /models", status=400, after=1),
        _ASK,
        says="HTTP 400",
    ),
    Case("any provider is asked", "success", {"value": THE_NEW}, any_provider, _PROBE),
    Case("any provider fails and repeats", "provider error", {"value": THE_NEW}, failing_any, _PROBE, says="HTTP 400"),
    Case(
        "value in a URL",
        "bad parameter",
        {"value": THE_NEW, "url": f"https://127.0.0.1:9/?key={THE_NEW}"},
        any_provider,
        _PROBE,
        says="url holds the value itself",
    ),
    Case(
        "a .env file",
        "success",
        {"value": THE_NEW},
        dotenv(f"{VARIABLE}=sk-before-this\n"),
        _DOTENV,
        task={"diff": True},
    ),
    Case(
        "a .env file that cannot be read", "refusal", {}, dotenv(f"{VARIABLE}='{OLD}\n"), _DOTENV, says="cannot be read"
    ),
]

# What the modules beside `ecs_env_rotate` do not take.
_ONLY = {
    _KEY: set(MAKE) | {"name", "base_url"},
    _ASK: {"value", "base_url"},
    _PROBE: {"value", "url", "headers"},
    _DOTENV: {"path", "variable", "value"},
}


def tasks(sim: Simulator, provider: Provider, folder: Path, cases: list[Case]) -> list[Json]:
    """The cases as tasks, and a world in which they find what they need."""
    found = []
    for case in cases:
        world = World(sim, provider, folder, re.sub(r"\W+", "-", case.name))
        prepared = case.prepare(world) or {}
        found.append(_task(case, {"cluster": world.cluster, "service": "s", **prepared}))
    sim.advance(1200)
    return found


def _task(case: Case, prepared: Json) -> Json:
    given = {"variable": VARIABLE, "value": THE_NEW, **prepared, **case.options}
    options = {name: value for name, value in given.items() if value is not None}
    if case.module in _ONLY:
        options = {name: value for name, value in options.items() if name in _ONLY[case.module]}
    module = f"keyturn.ecs.{case.module}"
    return {"name": case.name, module: options, "ignore_errors": True, "register": case.variable, **case.task}
