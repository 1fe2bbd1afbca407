# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The playbooks against an AWS that nobody here wrote: ministack.

What it does otherwise than AWS's documents say, and what becomes of it:

- A rollout is over when UpdateService answers. Nothing has to be waited for, and nothing can be seen to go wrong.
- ListServiceDeployments answers an empty list, as the real one does for services that were made before it came. The
  rollout is judged by DescribeServices' rolloutState instead, and the report says so under `unverified`.
- `startedBy` of a task is the service's name, not `ecs-svc/…` of its deployment. Tasks are told apart by their task
  definition; `unverified` says so.
- SimulatePrincipalPolicy answers for a role that does not exist, where AWS knows no such entity. IAM is asked for the
  role before anybody is told that it lacks a permission.
- Without a health check `healthStatus` is UNKNOWN, as it is at AWS.
- The credentials that people give it, `test` and `test`, are part of many names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

import another_endpoint
from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint
from integration.role_runs import NEIGHBOUR, NEW_VALUE, OLD_VALUE, PLAYBOOK, Run, clean_environment

VARIABLE = "OPENAI_API_KEY"
OLD, NEW = (fingerprint(VARIABLE, value) for value in (OLD_VALUE, NEW_VALUE))
CLUSTER = "test-cluster"
SECRET_NAME = "latest/openai"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
HOSTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "reference": {},
    "moved": {"rotate_store": "secretsmanager", "rotate_secret_id": "latest/moved"},
}


class Ministack:
    """What the tests make there and look at, by requests of their own."""

    def __init__(self, url: str) -> None:
        self.url = url
        given = {"endpoint_url": url, "region_name": "us-east-1"}
        session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test")
        self.ecs, self.secrets = session.client("ecs", **given), session.client("secretsmanager", **given)

    def make(self) -> None:
        """One service for each host: one value in plain text to stay there, one by reference, one to be moved."""
        self.ecs.create_cluster(clusterName=CLUSTER)
        secret = self.secrets.create_secret(Name=SECRET_NAME, SecretString=OLD_VALUE)["ARN"]
        for name in HOSTS:
            held = (
                {"secrets": [{"name": VARIABLE, "valueFrom": secret}]}
                if name == "reference"
                else {"environment": [{"name": "DB", "value": NEIGHBOUR}, {"name": VARIABLE, "value": OLD_VALUE}]}
            )
            container = {"name": "app", "image": "scratch", "essential": True, "memory": 64, **held}
            self.ecs.register_task_definition(
                family=f"{name}-test",
                executionRoleArn="arn:aws:iam::000000000000:role/execution",
                containerDefinitions=[container],
            )
            self.ecs.create_service(
                cluster=CLUSTER, serviceName=f"{name}-test", taskDefinition=f"{name}-test", desiredCount=2
            )

    def container(self, name: str) -> dict[str, Any]:
        """The container in the revision that the service runs, and that all its tasks have."""
        (service,) = self.ecs.describe_services(cluster=CLUSTER, services=[f"{name}-test"])["services"]
        tasks = self.ecs.list_tasks(cluster=CLUSTER, serviceName=f"{name}-test", desiredStatus="RUNNING")["taskArns"]
        described = self.ecs.describe_tasks(cluster=CLUSTER, tasks=tasks)["tasks"]
        assert [task["taskDefinitionArn"] for task in described] == [service["taskDefinition"]] * 2
        answer = self.ecs.describe_task_definition(taskDefinition=service["taskDefinition"])
        (found,) = answer["taskDefinition"]["containerDefinitions"]
        return dict(found)

    def value(self, name: str) -> str:
        """What the service's containers get: from their environment, or where their reference leads."""
        container = self.container(name)
        held = {one["name"]: one["value"] for one in container.get("environment", [])}
        for one in container.get("secrets", []):
            held[one["name"]] = self.secrets.get_secret_value(SecretId=one["valueFrom"])["SecretString"]
        return str(held[VARIABLE])

    def values(self) -> dict[str, str]:
        return {name: self.value(name) for name in HOSTS}


@pytest.fixture(scope="module")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ministack]:
    with another_endpoint.running(tmp_path_factory.mktemp("ministack")) as url:
        made = Ministack(url)
        made.make()
        yield made


@pytest.fixture
def run(ministack: Ministack, collections_path: str, tmp_path: Path) -> Callable[..., Run]:
    """``ansible-playbook keyturn.ecs.NAME`` as an operator runs it: the endpoint is in the environment."""
    (tmp_path / "ansible.cfg").touch()
    common = {
        "rotate_cluster": CLUSTER,
        "rotate_region": "us-east-1",
        "rotate_service": "{{ inventory_hostname }}-test",
    }
    inventory = {"environments": {"hosts": HOSTS, "vars": {**common, "rotate_record_path": "record.jsonl"}}}
    (tmp_path / "inventory.yml").write_text(yaml.safe_dump(inventory))

    def play(playbook: str, value: str = NEW_VALUE, **extra: Any) -> Run:
        environment = {
            **clean_environment(),
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": ministack.url,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
            "ANSIBLE_COLLECTIONS_PATH": collections_path,
            "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
            "ANSIBLE_HOME": str(tmp_path / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
            VARIABLE: value,
        }
        given = {"rotate_verify_key": False, "rotate_poll_interval": 0.1, "rotate_report_path": "report.json", **extra}
        command = [sys.executable, str(PLAYBOOK), f"keyturn.ecs.{playbook}", "-i", "inventory.yml"]
        done = subprocess.run(
            [*command, "-e", json.dumps(given)], cwd=tmp_path, env=environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, encoding="utf-8", timeout=120, check=False,
        )  # fmt: skip
        assert [value for value in (OLD_VALUE, NEW_VALUE, NEIGHBOUR) if value in done.stdout] == []
        return Run(done.returncode, done.stdout)

    return play


def results(run: Run) -> dict[str, str]:
    assert run.rc == 0, run.text
    return {host: row[1] for host, row in run.table.items()}


def test_a_rotation_there_and_back(ministack: Ministack, run: Callable[..., Run], tmp_path: Path) -> None:
    """Plain text, a reference, and a move to Secrets Manager: rotated, unchanged, verified, rolled back."""
    assert ministack.values() == dict.fromkeys(HOSTS, OLD_VALUE)

    rotated = run("rotate")
    assert results(rotated) == dict.fromkeys(HOSTS, "rotated")
    assert ministack.values() == dict.fromkeys(HOSTS, NEW_VALUE)
    assert {"name": "DB", "value": NEIGHBOUR} in ministack.container("plain")["environment"]
    (reference,) = ministack.container("moved")["secrets"]
    assert reference["valueFrom"] == ministack.secrets.describe_secret(SecretId="latest/moved")["ARN"]
    assert [one["name"] for one in ministack.container("moved")["environment"]] == ["DB"]
    report = json.loads((tmp_path / "report.json").read_text())
    for row in report["environments"]:
        assert (row["previous_fingerprint"], row["fingerprint"], len(row["tasks"])) == (OLD, NEW, 2)
        assert [line.partition(":")[0] for line in row["unverified"]][:2] == ["service deployment", "tasks"]
    assert "Whether the execution role arn:aws:iam::000000000000:role/execution may read the secret" in rotated.flat
    families = ministack.ecs.list_task_definitions()["taskDefinitionArns"]

    again = run("rotate")
    assert results(again) == dict.fromkeys(HOSTS, "unchanged")
    assert {counters["changed"] for counters in again.recap.values()} == {0}
    assert ministack.ecs.list_task_definitions()["taskDefinitionArns"] == families

    assert results(run("verify", rotate_expected_fingerprint=NEW)) == dict.fromkeys(HOSTS, "verified")

    assert results(run("rollback")) == dict.fromkeys(HOSTS, "rolled back")
    assert ministack.values() == dict.fromkeys(HOSTS, OLD_VALUE)
    assert ministack.container("moved").get("secrets", []) == []
