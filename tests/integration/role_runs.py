# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Real ``ansible-playbook`` processes, and what they print, for the tests of role and playbooks."""

from __future__ import annotations

import dataclasses
import os
import re
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from simulator import DEFAULT_ACCOUNT, Simulator

PLAYBOOK = Path(sysconfig.get_path("scripts")) / "ansible-playbook"
OLD_VALUE = "sk-proj-old-CANARY0000000000000000"
NEW_VALUE = "sk-proj-new-CANARY1111111111111111"
NEIGHBOUR = "db-password-CANARY2222222222"
EU_ACCOUNT = "210987654321"

# host -> (account, host variables)
ENVIRONMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "staging": (DEFAULT_ACCOUNT, {"rotate_region": "us-east-1", "rotate_project_name": "staging"}),
    "production": (DEFAULT_ACCOUNT, {"rotate_region": "us-east-1", "rotate_project_name": "production"}),
    "eu-production": (
        EU_ACCOUNT,
        {
            "rotate_region": "eu-central-1",
            "rotate_project_name": "eu-production",
            "rotate_assume_role_arn": Simulator.role_arn(EU_ACCOUNT),
        },
    ),
}


# Every variable of the role but the inventory's own, as AWX gives it for a question that nobody answered.
_SPECS = yaml.safe_load((Path(__file__).resolve().parents[2] / "roles/rotate/meta/argument_specs.yml").read_text())
UNANSWERED: dict[str, Any] = {
    name: ""
    for entry in _SPECS["argument_specs"].values()
    for name in entry["options"]
    if not any(name in variables for _account, variables in ENVIRONMENTS.values())
}


@dataclasses.dataclass(frozen=True)
class Run:
    """What one ansible-playbook process did."""

    rc: int
    text: str  # stdout and stderr together

    @property
    def recap(self) -> dict[str, dict[str, int]]:
        """The PLAY RECAP: host to counter to number."""
        lines = re.findall(r"^(\S+)\s+: (ok=.*)$", self.text, re.MULTILINE)
        return {
            host: {name: int(number) for name, number in (part.split("=") for part in counters.split())}
            for host, counters in lines
        }

    @property
    def table(self) -> dict[str, list[str]]:
        """Lines of the closing table that belong to an environment; columns are at least two spaces apart."""
        rows = re.findall(r'^\s+"([a-z][\w-]+)  +(.*?)",?$', self.text, re.MULTILINE)
        return {name: re.split(r"  +", rest) for name, rest in rows if name != "environment"}

    @property
    def flat(self) -> str:
        """The text with every run of white space as one space: messages are wrapped."""
        return re.sub(r"\s+", " ", self.text)

    def changed(self, host: str) -> int:
        return self.recap[host]["changed"]


def clean_environment() -> dict[str, str]:
    """The caller's environment without anything that would steer Ansible, AWS clients or the playbook."""
    steering = ("ANSIBLE_", "AWS_", "OPENAI_", "AWX_")
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(steering)}


def make_environment(aws: Simulator, name: str, service: str = "api", desired: int = 1) -> dict[str, Any]:
    """Cluster ``NAME-cluster`` with service ``NAME-SERVICE`` that has the old value."""
    account, variables = ENVIRONMENTS[name]
    return aws.create_environment(
        cluster=f"{name}-cluster",
        service=f"{name}-{service}",
        environment={"DB_PASSWORD": NEIGHBOUR, "OPENAI_API_KEY": OLD_VALUE, "LOG_LEVEL": "INFO"},
        desired=desired,
        region=variables["rotate_region"],
        account=account,
    )


Play = Callable[..., Run]
