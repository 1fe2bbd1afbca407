# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The messages in docs/docsite/rst/statuses.rst are what `ecs_rollout_wait` says, each after such a rollout."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.model import HOOKS, LEFT_RUNNING, RECORDS
from integration.support import ENVIRONMENT, Json, Lab, standing_still
from simulator import Simulator

PAGE = Path(__file__).resolve().parents[2] / "docs/docsite/rst/statuses.rst"
PLACE = {"cluster": "elevareai-cluster", "service": "elevareai-api"}
SOON = {"options": {"timeout": 300, "poll_interval": 60}}
TASKS_ARE_UNSEEN = ("ListTasks", "DescribeTasks")


def breaks(cause: str, **more: Any) -> Json:
    return {"ending": "circuit_breaker", "cause": cause, **more}


# Section of the page to what happens: the simulator's script; what differs in `service`, the wait's `options`, and
# operations that are `denied`.
EXAMPLES: dict[str, Json] = {
    "superseded": {"ending": "superseded"},
    "timed_out": {"options": {"timeout": 10}},
    "image_pull": breaks("image_pull"),
    "secret_access": breaks("secret_access"),
    "out_of_memory": breaks("out_of_memory"),
    "container_exit": breaks("container_exit", rollback=False),
    "health_check": breaks("health_check"),
    "load_balancer_health": breaks("load_balancer_health"),
    "no_capacity": {"ending": "no_capacity"},
    "percent_deadlock": {"service": {"minimumHealthyPercent": 100, "maximumPercent": 100}},
    "circuit_breaker": {**breaks("container_exit"), "denied": TASKS_ARE_UNSEEN},
    "alarm": {"ending": "alarm", "alarm_names": ["elevareai-api-5xx"]},
    "paused_hook": {"ending": "blue_green", "hook_stage": "POST_SCALE_UP", **SOON},
    "task_protection": {"ending": "task_protection", **SOON},
    "other": {"ending": "deferred_cleanup", "linger": 5000, **SOON},
}


# As the page has them: they differ from run to run.
IDS = {
    r"\b[0-9a-f]{32}\b": "0a1b2c3d4e5f67890a1b2c3d4e5f6789",
    r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b": "0a1b2c3d-4e5f-6789-0a1b-2c3d4e5f6789",
    r"ecs-svc/\d+": "ecs-svc/1234567890123456789",
    r"2027-\d\d-\d\dT\d\d:\d\d:\d\d": "2027-01-16T08:16:01",
}


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with standing_still() as sim:
        yield sim


def said(lab: Lab, section: str) -> str:
    """What the wait says when this happens; ids, which differ, as the page has them."""
    script = dict(EXAMPLES[section])
    service, options, denied = (script.pop(name, {}) for name in ("service", "options", "denied"))
    secret = {"DB_PASSWORD": "arn:aws:secretsmanager:us-east-1:123456789012:secret:elevareai/db-a1B2c3"}
    role = {"executionRoleArn": "arn:aws:iam::123456789012:role/elevareai-execution"}
    lab.environment(
        **PLACE,
        desired=1,
        environment=ENVIRONMENT,
        secrets=secret,
        task_definition_options=role,
        service_options={"deploymentConfiguration": service} if service else {},
    )
    if script:
        lab.sim.script(**PLACE, **script)
    rotation = lab.rotate(**PLACE)
    # The tasks wrote no log. Without this the simulator would load moto to say so.
    lab.sim.fault("*", "error", times=None, service="logs", code="ResourceNotFoundException")
    for operation in denied:
        lab.sim.fault(operation, "denied", times=None)
    followed = {name: rotation[name] for name in ("deployment_id", "task_definition")}
    result = lab.wait(**PLACE, **followed, **options)
    assert section in (result["status"], result["diagnosis"][0]["cause"])
    text: str = result["msg"]
    for pattern, shown in IDS.items():
        text = re.sub(pattern, shown, text)
    return text


# What the installed botocore must know for the words of the page.
NEEDED = {"circuit_breaker": RECORDS, "alarm": RECORDS, "blue_green": HOOKS, "deferred_cleanup": LEFT_RUNNING}


@pytest.mark.parametrize(
    "section", [pytest.param(name, marks=NEEDED.get(case.get("ending"), ())) for name, case in EXAMPLES.items()]
)
def test_the_message_is_the_pages(simulator: Simulator, section: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    found = re.search(rf"^{section}\n~+\n.*?^\.\. code-block:: text\n\n(.*?)\n\n\S", page, re.MULTILINE | re.DOTALL)
    assert found
    assert " ".join(found[1].split()) == said(Lab(simulator), section)
