# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A play over more hosts than ECS lets register at once: workers take turns, and one line tells of all of them."""

from __future__ import annotations

import re
from pathlib import Path

from integration.support import NEW, OLD, VARIABLE, Json, Playbook, assert_no_value
from simulator import Simulator

HOSTS = [f"env{number:02d}" for number in range(26)]
FAILING = "env05"
PLACE = {"cluster": "{{ inventory_hostname }}", "service": "{{ inventory_hostname }}"}
PLAYS: list[Json] = [
    {
        "hosts": "environments",
        "connection": "local",
        "gather_facts": False,
        "tasks": [
            {
                "keyturn.ecs.ecs_env_rotate": {
                    **PLACE,
                    "variable": VARIABLE,
                    "value": "{{ lookup('ansible.builtin.env', 'NEW_KEY') }}",
                },
                "register": "rotated",
            },
            {
                "keyturn.ecs.ecs_rollout_wait": {
                    **PLACE,
                    "deployment_id": "{{ rotated.deployment_id }}",
                    "task_definition": "{{ rotated.task_definition }}",
                },
            },
        ],
    }
]


def test_workers_take_turns_and_one_line_tells_of_all(tmp_path: Path, collections_path: str) -> None:
    with Simulator.start(speed=60, throttling=True, timing={"drain": 5.0}) as sim:
        for host in HOSTS:
            sim.create_environment(cluster=host, service=host, environment={VARIABLE: OLD}, desired=1)
        sim.script(FAILING, FAILING, ending="circuit_breaker", cause="container_exit")
        variables = {**sim.environ(), "NEW_KEY": NEW}
        with Playbook(tmp_path, collections_path, PLAYS, {host: {} for host in HOSTS}, variables, ["-f26"]) as run:
            code, output = run.finish(), run.output
        registered = [call["error"] for call in sim.calls("ecs", "RegisterTaskDefinition")]
    assert code == 2, output
    assert_no_value(output)
    told = re.findall(r"^(\d+/26 rolled out.*)$", output, re.MULTILINE)
    assert told[-1] == f"25/26 rolled out, 1 failing: {FAILING}"
    assert re.findall(r"^\[env\d\d\] ", output, re.MULTILINE) == []
    # Refused were those that had called before anybody knew, and each of them once.
    assert registered.count(None) == 26
    assert registered.count("ThrottlingException") <= 6
