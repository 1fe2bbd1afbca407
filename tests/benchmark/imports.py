# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run of ansible-playbook pays once: importing the action plugin, and parsing ECS's service model with it."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from typing import Any

FRESH_PROCESSES = 5

# What ansible-playbook has imported anyway is imported before the clock starts.
_SCRIPT = """
import json, sys, time
import ansible.cli.playbook, ansible.plugins.action
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder
_AnsibleCollectionFinder(paths=[sys.argv[1]])._install()

def now():
    return time.perf_counter(), time.process_time()

at = [now()]
from ansible_collections.keyturn.ecs.plugins.module_utils import _aws
at.append(now())
ours, warm = [], _aws.warm
def timed(*services):
    ours.append(now())
    warm(*services)
    ours.append(now())
_aws.warm = timed
import ansible_collections.keyturn.ecs.plugins.action.ecs_env_rotate
at.append(now())
spent = {"_aws and boto3": (at[0], at[1]), "_aws.warm": ours, "all of the action plugin": (at[0], at[2])}
print(json.dumps({name: [end - start for start, end in zip(*pair)] for name, pair in spent.items()}))
"""


def measure(tree: str) -> dict[str, Any]:
    """Medians of wall and CPU seconds in fresh processes, by what is imported."""
    command = [sys.executable, "-c", _SCRIPT, tree]
    runs = [json.loads(subprocess.check_output(command, text=True)) for _unused in range(FRESH_PROCESSES)]
    return {
        name: {
            "wall": statistics.median(run[name][0] for run in runs),
            "cpu": statistics.median(run[name][1] for run in runs),
        }
        for name in runs[0]
    }


def table(results: dict[str, Any]) -> str:
    rows = [f"| {name} | {cost['wall']:.3f} | {cost['cpu']:.3f} |" for name, cost in results.items()]
    title = f"Paid once a run: import of `action/ecs_env_rotate` (medians of {FRESH_PROCESSES} fresh processes)"
    return "\n".join([f"### {title}", "", "| import | wall s | CPU s |", "|---|---:|---:|", *rows])
