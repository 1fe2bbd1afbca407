# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Fixtures for tests that run real ``ansible-playbook`` processes against a simulator of the test's own file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from integration.role_runs import ENVIRONMENTS, NEW_VALUE, PLAYBOOK, Play, Run, clean_environment, make_environment
from simulator import Simulator

# Files that take half a minute and more.
SLOW = (
    "test_audit",
    "test_awx_jobs",
    "test_doors",
    "test_faults",
    "test_iam_policies",
    "test_kill_and_resume",
    "test_leaks",
    "test_role_",
    "test_whole_life",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files whose tests run whole playbooks come first: a slow one at the end would leave the other workers idle."""
    items.sort(key=lambda item: not item.path.name.startswith(SLOW))


@pytest.fixture(scope="module")
def aws() -> Iterator[Simulator]:
    """A simulator, 60 virtual seconds to a real one and with short tasks; reset before every test by `environments`."""
    with Simulator.start(speed=60, throttling=False, timing={"drain": 5.0, "healthy": 5.0}) as simulator:
        yield simulator


@pytest.fixture
def environments(aws: Simulator) -> dict[str, dict[str, Any]]:
    """Three fresh environments: two in one account and Region, one in another account and Region."""
    aws.reset()
    return {name: make_environment(aws, name) for name in ENVIRONMENTS}


@pytest.fixture
def play(aws: Simulator, collections_path: str, tmp_path: Path) -> Play:
    """Run ``ansible-playbook keyturn.ecs.rotate`` (or another playbook) and return what came of it.

    ``play(*arguments, hosts=…, value=…, playbook=…, **extra)``: `hosts` maps hosts to variables beside those
    in ENVIRONMENTS (None: all three as they are), `extra` are extra variables. The value is in the process's
    environment only.
    """

    def run(
        *arguments: str,
        hosts: Mapping[str, Mapping[str, Any]] | None = None,
        inventory: Mapping[str, Any] | None = None,
        value: str | None = NEW_VALUE,
        playbook: str = "keyturn.ecs.rotate",
        admin_key: str | None = None,
        openai: str = "http://127.0.0.1:9/v1",
        **extra: Any,
    ) -> Run:
        chosen = hosts if hosts is not None else {name: {} for name in ENVIRONMENTS}
        members = {name: {**ENVIRONMENTS[name][1], **variables} for name, variables in chosen.items()}
        (tmp_path / "ansible.cfg").touch()
        file = tmp_path / "inventory.yml"
        file.write_text(yaml.safe_dump(inventory if inventory is not None else {"environments": {"hosts": members}}))
        environment = {
            **clean_environment(),
            **aws.environ(),
            "ANSIBLE_COLLECTIONS_PATH": collections_path,
            "ANSIBLE_HOME": str(tmp_path / "ansible"),
            "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
            "ANSIBLE_FORKS": "10",
            "ANSIBLE_NOCOLOR": "1",
            # Nobody answers there: a run that is not told otherwise goes on, and says so.
            "OPENAI_BASE_URL": openai,
            **({"OPENAI_ADMIN_KEY": admin_key} if admin_key is not None else {}),
            **({"OPENAI_API_KEY": value} if value is not None else {}),
        }
        # The endpoint and the credentials come from the environment; no Region, that is the environments' matter.
        for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
            environment.pop(name, None)
        command = [sys.executable, str(PLAYBOOK), playbook, "-i", str(file), *arguments]
        # Who asks no provider of its own asks none: a closed port is tried again for seconds.
        asks = {} if "rotate_openai_base_url" in extra else {"rotate_verify_key": False}
        command += ["-e", json.dumps({"rotate_poll_interval": 0.5, **asks, **extra})]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, encoding="utf-8", timeout=120, check=False,
        )  # fmt: skip
        return Run(done.returncode, done.stdout)

    return run
