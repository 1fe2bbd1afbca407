# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A lab with Secrets Manager and the SSM Parameter Store, and services that read from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from integration.support import ENVIRONMENT, NEIGHBOUR, OLD, VARIABLE, Json, Lab
from simulator import Simulator

JSON_TEXT = '{"db":  "' + NEIGHBOUR + '",\n "openai" : "' + OLD + '", "n": 1.50}\n'


class Stores(Lab):
    """A lab with secrets and parameters."""

    def __init__(self, sim: Simulator) -> None:
        super().__init__(sim)
        self.secrets_manager, self.ssm, self.iam = (sim.client(name) for name in ("secretsmanager", "ssm", "iam"))

    def secret(self, text: str = OLD, name: str = "prod/openai", **more: Any) -> str:
        arn: str = self.secrets_manager.create_secret(Name=name, SecretString=text, **more)["ARN"]
        self.sim.advance(60)
        return arn

    def version(self, secret: str = "prod/openai", **which: str) -> str:
        found: str = self.secrets_manager.get_secret_value(SecretId=secret, **which)["VersionId"]
        return found

    def text(self, secret: str = "prod/openai", **which: str) -> str:
        found: str = self.secrets_manager.get_secret_value(SecretId=secret, **which)["SecretString"]
        return found

    def parameter(self, name: str = "/prod/openai", value: str = OLD, **more: Any) -> str:
        self.ssm.put_parameter(Name=name, Value=value, **{"Type": "SecureString", **more})
        self.sim.advance(60)
        return f"arn:aws:ssm:us-east-1:123456789012:parameter/{name.lstrip('/')}"

    def reading(self, value_from: str, **wanted: Any) -> Json:
        """A service whose variable is a reference; its tasks started after the secret was made."""
        neighbours = {name: value for name, value in ENVIRONMENT.items() if name != VARIABLE}
        return self.environment(environment=neighbours, secrets={VARIABLE: value_from}, **{"age_seconds": 30, **wanted})

    def settle(self, result: Json) -> None:
        """Let a rotation's rollout complete."""
        followed = {name: result[name] for name in ("deployment_id", "task_definition")}
        assert self.wait(**followed)["status"] == "completed"

    def holds(self, container: str = "app") -> set[str | None]:
        """What the running tasks got at their start."""
        return {
            task["containers"][container].get(VARIABLE)
            for task in self.sim.started_with("c", "s")
            if task["last_status"] == "RUNNING"
        }

    def value_from(self, revision: str, container: int = 0) -> str | None:
        entries = self.definition(revision)["containerDefinitions"][container].get("secrets", [])
        return next((entry["valueFrom"] for entry in entries if entry["name"] == VARIABLE), None)


@dataclass(frozen=True)
class Case:
    """Where the value lives: how that is made, how another value is put there by somebody else, and what a rotation
    does."""

    make: Callable[[Stores], Any]
    put: Callable[[Stores, str], Any] | None
    write: list[str]
    register: list[str]


def _stage(lab: Stores, value: str) -> None:
    lab.secrets_manager.put_secret_value(SecretId="prod/openai", SecretString=value, VersionStages=["blue"])


def _make_stage(lab: Stores) -> None:
    arn = lab.secret("sk-current-is-of-no-interest")
    _stage(lab, OLD)
    lab.sim.advance(60)
    lab.reading(f"{arn}::blue:")


def put(lab: Stores, value: str) -> None:
    lab.secrets_manager.put_secret_value(SecretId="prod/openai", SecretString=value)


def _put_key(lab: Stores, value: str) -> None:
    put(lab, JSON_TEXT.replace(OLD, value))


def _put_parameter(lab: Stores, value: str) -> None:
    lab.ssm.put_parameter(Name="/prod/openai", Value=value, Overwrite=True, Type="SecureString")


SECRET, PARAMETER = ["put_secret_value"], ["put_parameter"]
REGISTER, UPDATE = ["register_task_definition"], ["update_service"]
CASES = {
    "environment": Case(lambda lab: lab.environment(), None, [], REGISTER),
    "whole secret": Case(lambda lab: lab.reading(lab.secret()), put, SECRET, []),
    "JSON key": Case(lambda lab: lab.reading(f"{lab.secret(JSON_TEXT)}:openai::"), _put_key, SECRET, []),
    "pinned": Case(lambda lab: lab.reading(f"{lab.secret()}:::{lab.version()}"), put, SECRET, REGISTER),
    "another stage": Case(_make_stage, _stage, SECRET, []),
    "parameter": Case(lambda lab: lab.reading(lab.parameter()), _put_parameter, PARAMETER, []),
}
