# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What keyturn.ecs costs, against the embedded AWS: ``make bench``, or ``make bench ARGS="--hosts 100 --forks 20"``.

Three measurements, printed as Markdown and written to tests/output/benchmark/results.json. Nothing here passes or fails
by its time; a run fails when a playbook fails or the AWS calls are not those that it should have made.

``--only endings`` tells every ending of a rollout instead (endings.json), and fails when the doors do not agree;
``--only log_scan``, ``env_info``, ``ledger``, ``several`` and ``fleet`` measure those alone; ``--only peers`` does the
same rotation with other tools, too (peers.json), and fails when ours claims what is not so.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import runpy
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

import collection_tree
from benchmark import doors, endings, imports, rotation

# Measurements that stand alone, each a script that prints its own table.
SCRIPTS = ("log_scan", "env_info", "ledger", "several", "fleet", "peers")
OWN_CONFIG = Path(__file__).resolve().parent / "ansible.cfg"
RESULTS = ROOT / "tests" / "output" / "benchmark" / "results.json"


def clean_surroundings() -> None:
    """Forget the operator's AWS, Ansible and proxy settings: they would change what is measured."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "ANSIBLE_")) or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ.update(
        AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull, ANSIBLE_CONFIG=str(OWN_CONFIG)
    )


def tell_endings() -> str | None:
    """The table of endings; what is wrong with it, if anything is."""
    started = time.monotonic()
    with collection_tree.linked() as place:
        rows = endings.measure(str(place.parents[2]))
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.with_name("endings.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    print(f"{endings.table(rows)}\n\n{len(rows)} rollouts through each door, {time.monotonic() - started:.0f} s in all")
    return "\n".join(endings.disagreements(rows)) or None


def main() -> None:
    """Measure everything and tell."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=", description=__doc__)
    parser.add_argument("--hosts", type=int, default=40, help="environments in the inventory (40)")
    parser.add_argument("--forks", type=int, default=10, help="of them at a time (10)")
    parser.add_argument("--rotations", type=int, default=10, help="rotations whose AWS calls are counted (10)")
    parser.add_argument(
        "--only", choices=("endings", *SCRIPTS), help="the table of endings, or one of the others, alone"
    )
    arguments = parser.parse_args()
    if min(arguments.hosts, arguments.forks, arguments.rotations) < 1:
        parser.error("every number must be 1 or more")
    clean_surroundings()
    if arguments.only in SCRIPTS:
        sys.argv[1:] = []
        runpy.run_path(str(Path(__file__).with_name(f"{arguments.only}.py")), run_name="__main__")
        return
    if arguments.only:
        sys.exit(tell_endings())
    started = time.monotonic()
    results: dict[str, Any] = {
        "machine": {
            "cpus": os.cpu_count(),
            "load_before": round(os.getloadavg()[0], 1),
            "python": platform.python_version(),
        },
        "versions": {name: version(name) for name in ("ansible-core", "botocore")},
    }
    with collection_tree.linked() as place:
        tree = str(place.parents[2])
        results["imports"] = imports.measure(tree)
        results["rotation"] = rotation.measure(tree, arguments.rotations)
        results["doors"] = doors.measure(tree, arguments.hosts, arguments.forks)
    results["machine"]["load_after"] = round(os.getloadavg()[0], 1)
    results["seconds"] = round(time.monotonic() - started, 1)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    machine = ", ".join(f"{name} {value}" for name, value in {**results["machine"], **results["versions"]}.items())
    tables = (doors.table(results["doors"]), rotation.table(results["rotation"]), imports.table(results["imports"]))
    print("\n\n".join([f"{machine}; {results['seconds']} s in all", *tables]))


if __name__ == "__main__":
    main()
