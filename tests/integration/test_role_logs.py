# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the role reads in the new tasks' logs.

Apart from other tests of the role, since CloudWatch Logs take nothing from more than two hours ahead of real time: two
minutes after a simulator of this speed was started.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from integration.role_runs import NEW_VALUE, OLD_VALUE, Play, Run
from integration.test_role_proof import OLD, STAGING
from integration.test_role_rotation import assert_no_value, running_values
from simulator import Simulator

REFUSED = "openai.AuthenticationError: Error code: 401 - Incorrect API key provided: " + NEW_VALUE


@pytest.fixture(autouse=True)
def _logs(aws: Simulator) -> None:
    """The simulator has loaded CloudWatch Logs; a rollout would be over meanwhile."""
    aws.client("logs").describe_log_groups()


def logging(aws: Simulator, run: Future[Run], *messages: str, name: str = "staging") -> Run:
    """Write lines into the new tasks' streams once they run, while the playbook goes on."""
    ecs = aws.client("ecs")
    while not run.done():
        found = ecs.describe_services(cluster=f"{name}-cluster", services=[f"{name}-api"])["services"][0]
        primary = found["deployments"][0]
        if primary["taskDefinition"].endswith(":2") and primary["runningCount"]:
            aws.log(f"{name}-cluster", f"{name}-api", *messages, deployment_id=primary["id"])
            break
        time.sleep(0.05)
    return run.result()


def test_a_401_in_the_new_tasks_logs_rolls_back(aws: Simulator, environments: dict[str, Any], play: Play) -> None:
    with ThreadPoolExecutor() as pool:
        run = logging(aws, pool.submit(play, hosts=STAGING, rotate_settle=5), "started", REFUSED)
    assert run.rc == 2, run.text
    assert "Incorrect API key provided: ********" in run.flat
    assert f"with {OLD} again" in run.flat
    assert running_values(aws, "staging") == [OLD_VALUE]
    assert_no_value(run.text)


def test_a_401_of_the_old_tasks_is_of_no_interest(aws: Simulator, environments: dict[str, Any], play: Play) -> None:
    aws.log("staging-cluster", "staging-api", REFUSED.replace(NEW_VALUE, OLD_VALUE))
    with ThreadPoolExecutor() as pool:
        run = logging(aws, pool.submit(play, hosts=STAGING, rotate_settle=1), "started", "ready")
    assert run.rc == 0, run.text
    assert run.table["staging"][6] == "clean"


def test_logs_that_may_not_be_read(aws: Simulator, environments: dict[str, Any], play: Play, tmp_path: Path) -> None:
    aws.fault("FilterLogEvents", "denied", times=None, service="logs")
    run = play(hosts=STAGING, rotate_report_path="report.json")
    assert run.rc == 0, run.text
    (row,) = json.loads((tmp_path / "report.json").read_text())["environments"]
    assert any("logs:FilterLogEvents" in line for line in row["unverified"])
    demanded = play(hosts=STAGING, rotate_log_scan=True)
    assert demanded.rc == 2
    assert "logs:FilterLogEvents" in demanded.flat
