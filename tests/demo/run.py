# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``make demo``: the collection as a user gets it, on an embedded AWS, in front of your eyes.

Builds and installs the collection into a temporary folder, starts the simulator with three environments, runs the real
``ansible-playbook keyturn.ecs.rotate`` on the inventory from ``examples/``, twice, and checks what came of it: the
first run changes all three, the second nothing, and no value is ever shown. Exit code 0 when all of that holds.
"""

from __future__ import annotations

import collections
import json
import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(sysconfig.get_path("scripts"))
sys.path.insert(0, str(ROOT / "tests"))

from environments import ENVIRONMENTS, create

from simulator import Simulator

SPEED = 15.0  # seconds of the embedded AWS to one of ours: a rollout of a minute and a half takes six
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def isolated(home: Path, **more: str) -> dict[str, str]:
    """The caller's environment without anything that steers Ansible or an AWS client, and with a home of its own."""
    steering = ("ANSIBLE_", "AWS_", "AWX_", "BOTO_", "OPENAI_")
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(steering)}
    (home / "ansible.cfg").touch()
    return {
        **kept,
        "HOME": str(home),
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "ANSIBLE_CONFIG": str(home / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(home),
        "ANSIBLE_FORCE_COLOR": str(sys.stdout.isatty()),
        **more,
    }


def stream(arguments: Sequence[str], home: Path, environment: Mapping[str, str]) -> str:
    """Run a command of Ansible's, show what it prints while it prints it, and return that; exits when it fails."""
    print(f"\n$ {shlex.join(arguments)}", flush=True)
    lines = []
    with subprocess.Popen(
        [sys.executable, str(SCRIPTS / arguments[0]), *arguments[1:]],
        cwd=home, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        encoding="utf-8", errors="replace",
    ) as process:  # fmt: skip
        assert process.stdout
        try:
            for line in process.stdout:
                print(line, end="", flush=True)
                lines.append(ANSI.sub("", line))
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise SystemExit(f"{arguments[0]} ended with exit code {process.returncode}")
    return "".join(lines)


def install(home: Path) -> None:
    """Build the collection and install it below `home`, as a user would from a file."""
    environment = isolated(home)
    stream(["ansible-galaxy", "collection", "build", str(ROOT), "--output-path", str(home)], home, environment)
    (archive,) = home.glob("keyturn-ecs-*.tar.gz")
    stream(["ansible-galaxy", "collection", "install", "--offline", archive.name, "-p", str(home)], home, environment)


def rotate(aws: Simulator, home: Path, key: str, report: str) -> str:
    """One run of the playbook. The key and the credentials are in its environment, never on the command line."""
    inventory = "ansible_collections/keyturn/ecs/examples/inventory"
    environment = isolated(home, **aws.environ(), OPENAI_API_KEY=key)
    # The demo's keys are made up: no provider is asked about them.
    settings = ["-e", "rotate_poll_interval=1", "-e", f"rotate_report_path={report}", "-e", "rotate_verify_key=false"]
    aws.clear_calls()
    return stream(["ansible-playbook", "keyturn.ecs.rotate", "-i", inventory, *settings], home, environment)


def calls(aws: Simulator) -> collections.Counter[str]:
    """AWS calls since the run began, by operation."""
    return collections.Counter(f"{call['service']}:{call['operation']}" for call in aws.calls())


def changed(output: str) -> dict[str, int]:
    """The PLAY RECAP's count of changed tasks for every environment."""
    found = re.findall(r"^(\S+) +: ok=\d+ +changed=(\d+)", output, re.MULTILINE)
    return {name: int(number) for name, number in found if name in ENVIRONMENTS}


def table(rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as what stands in them."""
    widths = [max(len(str(cell)) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def revision(arn: str | None) -> str:
    return (arn or "-").rpartition(":")[2]


def environments(report: Path) -> str:
    """The table of the issue, from the report that the first run wrote."""
    rows: list[Sequence[object]] = [("environment", "service", "revision", "fingerprint", "tasks healthy", "seconds")]
    for row in json.loads(report.read_text(encoding="utf-8"))["environments"]:
        healthy = sum(task["healthStatus"] == "HEALTHY" for task in row["tasks"])
        rows.append(
            (
                row["environment"],
                row["service"],
                f"{revision(row['previous_task_definition'])} -> {revision(row['task_definition'])}",
                f"{row['previous_fingerprint']} -> {row['fingerprint']}",
                f"{healthy}/{len(row['tasks'])}",
                row["seconds"],
            )
        )
    return table(rows)


def complaints(first: str, second: str, values: Mapping[str, str]) -> list[str]:
    """What did not come out as it shall."""
    found = []
    if set(changed(first)) != set(ENVIRONMENTS) or not all(changed(first).values()):
        found.append(f"the first run did not change all three environments: {changed(first)}")
    if set(changed(second)) != set(ENVIRONMENTS) or any(changed(second).values()):
        found.append(f"the second run changed something: {changed(second)}")
    return found + [f"{name} was shown" for name, value in values.items() if value in first + second]


def demo(home: Path) -> list[str]:
    """Everything, in `home`; returns what did not come out as it shall."""
    install(home)
    old, new = (f"sk-proj-{word}-{secrets.token_hex(16)}" for word in ("old", "new"))
    password = secrets.token_hex(12)
    with Simulator.start(speed=SPEED) as aws:
        print(f"\nThe embedded AWS listens on {aws.url}; {SPEED:g} of its seconds are one of yours.")
        create(aws, old, password)
        first = rotate(aws, home, new, "first.json")
        before = calls(aws)
        print("\nThe same again: nothing is left to do.", flush=True)
        second = rotate(aws, home, new, "second.json")
        after = calls(aws)
    print("\nFirst run\n" + environments(home / "first.json"))
    operations = sorted(before | after)
    print("\n" + table([("AWS calls", "first run", "second run"), *((o, before[o], after[o]) for o in operations),
                        ("in all", before.total(), after.total())]))  # fmt: skip
    return complaints(first, second, {"the old key": old, "the new key": new, "the database's password": password})


def stop(_signal: int, _frame: object) -> NoReturn:
    raise SystemExit("stopped")


def main() -> int:
    """0 when all came out as it shall."""
    signal.signal(signal.SIGTERM, stop)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="keyturn-demo-") as home:
        found = demo(Path(home).resolve())
    for complaint in found:
        print(f"FAILED: {complaint}", file=sys.stderr)
    if not found:
        print("\nThree environments rotated, nothing to do the second time, no value shown.", end=" ")
        print(f"{time.monotonic() - begun:.0f} s.")
    return 1 if found else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
