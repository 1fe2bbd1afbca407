# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The three environments that ``make demo`` rotates and ``make aws`` keeps: as examples/inventory has them."""

from __future__ import annotations

import json
from typing import Any

from simulator import DEFAULT_ACCOUNT, Simulator

EU_ACCOUNT = "210987654321"
ROLE = "keyturn-rotate"
# environment: project, Region, account, tasks.
ENVIRONMENTS = {
    "staging": ("elevareai-staging", "us-east-1", DEFAULT_ACCOUNT, 1),
    "production": ("elevareai", "us-east-1", DEFAULT_ACCOUNT, 2),
    "eu-production": ("elevareai", "eu-central-1", EU_ACCOUNT, 2),
}
BREAKER = {"enable": True, "rollback": True}


def task_definition(project: str, region: str, key: str, password: str) -> dict[str, Any]:
    """The one container of the guide that this collection replaces."""
    environment = {
        "DB_HOST": f"{project}.cluster.{region}.rds.amazonaws.com",
        "DB_PORT": "5432",
        "DB_NAME": "elevareai",
        "DB_USER": "elevareai_admin",
        "DB_PASSWORD": password,
        "COGNITO_REGION": region,
        "OPENAI_API_KEY": key,
        "ENVIRONMENT": "production",
        "LOG_LEVEL": "INFO",
    }
    return {
        "name": f"{project}-api",
        "essential": True,
        "portMappings": [{"containerPort": 8000, "protocol": "tcp"}],
        "environment": [{"name": name, "value": value} for name, value in environment.items()],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": f"/ecs/{project}-api",
                "awslogs-region": region,
                "awslogs-stream-prefix": "ecs",
            },
        },
        "healthCheck": {
            "command": ["CMD-SHELL", "curl -f http://localhost:8000/health || exit 1"],
            "interval": 30,
            "timeout": 5,
            "retries": 3,
            "startPeriod": 60,
        },
    }


def create(aws: Simulator, key: str, password: str, age_days: float = 30) -> None:
    """All three, with this key, deployed so long ago; and the role that the inventory names in the other account."""
    for project, region, account, tasks in ENVIRONMENTS.values():
        aws.create_environment(
            cluster=f"{project}-cluster", service=f"{project}-api", desired=tasks, region=region, account=account,
            containers=[task_definition(project, region, key, password)],
            task_definition_options={"executionRoleArn": f"arn:aws:iam::{account}:role/{project}-execution"},
            service_options={"deploymentConfiguration": {"deploymentCircuitBreaker": BREAKER}},
            age_seconds=age_days * 86400,
        )  # fmt: skip
        place = {"region": region, "account": account}
        aws.log(f"{project}-cluster", f"{project}-api", "Application startup complete.", **place)
    _grant(aws)


def _grant(aws: Simulator) -> None:
    """The caller's role in the other account may do everything there; the tasks' execution roles may read secrets."""
    _role(aws, EU_ACCOUNT, ROLE, "*")
    for project, _region, account, _tasks in ENVIRONMENTS.values():
        _role(aws, account, f"{project}-execution", ["secretsmanager:GetSecretValue", "ssm:GetParameters"])


def _role(aws: Simulator, account: str, name: str, actions: str | list[str]) -> None:
    allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
    iam = aws.client("iam", account=account)
    iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=json.dumps(allowed))
