# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Through both doors, the action plugin's and the module's, the very value arrives, and Ansible templates no result.

Judged by what RegisterTaskDefinition's body holds on the wire.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint
from fakes.wire import Wire, identity
from integration.support import VARIABLE, Playbook, clean_environment
from integration.test_role_odd_inputs import AWKWARD

# Each costs the module's door a process of its own.
VALUES = {"here": list(AWKWARD), "there": ["json", "unicode"]}
TAG = "{{ 7*7 }} {% x %} é"
OLD = "old-{{ 7*7 }}-CANARY"
DEFINITION = {
    "containerDefinitions": [{"name": "{{ c }}", "environment": [{"name": VARIABLE, "value": OLD}]}],
    **identity(1),
}


@pytest.fixture
def wires() -> Iterator[dict[str, Wire]]:
    servers = {host: Wire() for host in VALUES}
    for server in servers.values():
        server.begin(json.dumps(DEFINITION), "[]")
    yield servers
    for server in servers.values():
        server.close()


def task(value: str, **more: Any) -> dict[str, Any]:
    options = {"cluster": "c", "service": "s", "variable": VARIABLE, "value": value, "tags": {"note": "{{ note }}"}}
    return {"keyturn.ecs.ecs_env_rotate": options, "register": "rotation", **more}


def test_both_doors_carry_the_very_value(tmp_path: Path, collections_path: str, wires: dict[str, Wire]) -> None:
    from_environment = task("{{ lookup('ansible.builtin.env', 'VALUE_OF_' ~ item) | string }}", loop="{{ names }}")
    shown = {"ansible.builtin.debug": {"msg": "{{ rotation.results | map(attribute='fingerprint') | list | to_json }}"}}
    plays = [{"hosts": "all", "gather_facts": False, "tasks": [from_environment, shown, task("{{ given }}")]}]
    connections = {"here": "local", "there": "bastion"}
    hosts = {
        host: {
            "ansible_connection": connections[host],
            "names": names,
            "note": {"__ansible_unsafe": TAG},
            "given": {"__ansible_unsafe": f"!unsafe {AWKWARD['expression']}"},
        }
        for host, names in VALUES.items()
    }
    with clean_environment():
        variables = {f"VALUE_OF_{name}": value for name, value in AWKWARD.items()}
        variables |= {
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret-key",
        }
        for host, server in wires.items():
            hosts[host]["endpoint"] = server.url
        plays[0]["module_defaults"] = {"group/keyturn.ecs.aws": {"endpoint_url": "{{ endpoint }}"}}
        with Playbook(tmp_path, collections_path, plays, hosts, variables, ["-vvv"]) as process:
            assert process.finish() == 0, process.output
    for host, names in VALUES.items():
        values = [*(AWKWARD[name] for name in names), f"!unsafe {AWKWARD['expression']}"]
        sent = [json.loads(body) for body in wires[host].bodies("RegisterTaskDefinition")]
        assert [body["containerDefinitions"][0]["environment"][0]["value"] for body in sent] == values
        assert {body["containerDefinitions"][0]["name"] for body in sent} == {"{{ c }}"}
        assert all(body["tags"] == [{"key": "note", "value": TAG}] for body in sent)
        printed = json.dumps(json.dumps([fingerprint(VARIABLE, value) for value in values[:-1]]))
        assert printed in process.output or printed.replace('\\"', '"')[1:-1] in process.output
    for secret in (OLD, *(AWKWARD[name] for name in ("expression", "json", "unicode", "quotes", "long"))):
        assert secret not in process.output
