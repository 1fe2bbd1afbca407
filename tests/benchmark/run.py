# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What keyturn.ecs costs, against the embedded AWS: ``make bench``, or ``make bench ARGS="--hosts 100 --forks 20"``.

Three measurements, printed as Markdown and written to tests/output/benchmark/results.json. Nothing here passes or fails
by its time; a run fails when a playbook fails or the AWS calls are not those that it should have made.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

import collection_tree
from benchmark import doors, imports, rotation

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


def main() -> None:
    """Measure everything and tell."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=", description=__doc__)
    parser.add_argument("--hosts", type=int, default=40, help="environments in the inventory (40)")
    parser.add_argument("--forks", type=int, default=10, help="of them at a time (10)")
    parser.add_argument("--rotations", type=int, default=10, help="rotations whose AWS calls are counted (10)")
    arguments = parser.parse_args()
    if min(vars(arguments).values()) < 1:
        parser.error("every number must be 1 or more")
    clean_surroundings()
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
