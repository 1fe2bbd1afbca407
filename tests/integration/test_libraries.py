# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where boto3 is missing or too old, both doors and the inventory plugin say so, and what to do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from integration.support import OLD, VARIABLE, Playbook

NEEDED = "boto3 and botocore 1.34.0 or newer are needed. Install them with "
# What Python runs at its start, and what is said then.
LIBRARIES = {
    "too old": ("import botocore\nbotocore.__version__ = '1.33.13'\n", "botocore 1.33.13 is too old: "),
    "missing": (
        "import sys\nsys.modules['boto3'] = None\n",
        r"boto3 \S+ and botocore \S+ cannot be imported \(.+?\): ",
    ),
}


@pytest.mark.parametrize(("at_start", "says"), LIBRARIES.values(), ids=LIBRARIES)
def test_libraries_that_will_not_do(tmp_path: Path, collections_path: str, at_start: str, says: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(at_start)
    (tmp_path / "it.ecs_services.yml").write_text(f"plugin: keyturn.ecs.services\nvariable: {VARIABLE}\n")
    environment = {"PYTHONPATH": str(tmp_path), "AWS_REGION": "us-east-1", "COLUMNS": "2000"}
    options = {"cluster": "c", "service": "s", "variable": VARIABLE, "value": OLD}
    plays = [
        {"hosts": "environments", "gather_facts": False, "tasks": [{"keyturn.ecs.ecs_env_rotate": options}]},
    ]
    hosts = {name: {"ansible_connection": name} for name in ("local", "bastion")}
    with Playbook(tmp_path, collections_path, plays, hosts, environment) as process:
        assert process.finish() == 2
    script = Path(sysconfig.get_path("scripts")) / "ansible-inventory"
    listed = subprocess.run(
        [sys.executable, str(script), "-i", str(tmp_path / "it.ecs_services.yml"), "--list"],
        cwd=tmp_path, env={**Playbook.environ(tmp_path, collections_path), **environment}, capture_output=True,
        encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip
    told = re.compile(says + re.escape(NEEDED))
    for host in hosts:
        line = next(line for line in process.output.splitlines() if line.startswith((f"fatal: [{host}]", f"[{host}]")))
        assert told.search(line), process.output
    assert told.search(" ".join(listed.stderr.split())), listed.stderr
    assert "Traceback" not in process.output + listed.stderr
    assert os.path.basename(sys.executable) in listed.stderr
