# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The role's entry points in a real playbook: its caller, and the roles that it assumes, may do what docs/iam says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint
from fakes.model import CONDITIONAL_WRITES
from integration.iam import ACCOUNT, BUCKET, EXECUTION, LEDGER, SOUND, Guarded, policy
from integration.support import NEW, VARIABLE, Json, Playbook, assert_no_value, clean_environment
from simulator import Simulator

ROLES = {"role": "keyturn", "revoke": "keyturn-revoke", "audit": "keyturn-audit"}
LACKING = "keyturn-lacking"
APP = f"arn:aws:iam::{ACCOUNT}:role/app"


def arn(role: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/ops/{role}"


def play(entry: str, hosts: str = "production", **variables: Any) -> Json:
    return {
        "hosts": hosts,
        "connection": "local",
        "gather_facts": False,
        "vars": variables,
        "tasks": [{"ansible.builtin.include_role": {"name": "keyturn.ecs.rotate", "tasks_from": entry}}],
    }


PLAYS = [
    play("main", "environments", rotate_record_path=f"s3://{BUCKET}/{LEDGER}"),
    play("verify"),
    play("rollback", rotate_rollback_to="s:1"),
    # The variables of a play go before those of a host.
    play("revoke", rotate_assume_role_arn=arn("keyturn-revoke"), rotate_old_fingerprint=fingerprint(VARIABLE, NEW)),
    play("audit", rotate_assume_role_arn=arn("keyturn-audit"), rotate_audit_revisions=True),
]
HOSTS: dict[str, Json] = {
    "production": {"rotate_service": "s", "rotate_assume_role_arn": arn("keyturn")},
    "lacking": {"rotate_service": "other", "rotate_assume_role_arn": arn(LACKING)},
}
SETTINGS = {
    "rotate_cluster": "c",
    "rotate_region": "us-east-1",
    "rotate_verify_key": False,  # of the provider
    "rotate_poll_interval": 0.5,
}


def make_roles(lab: Guarded) -> dict[str, str]:
    """The roles with their policies; credentials of the one that runs the playbook."""
    for name, role in ROLES.items():
        text = json.dumps(lab.policy(name)).replace("ops/keyturn", f"ops/{role}")
        lab.role(role, json.loads(text), "/ops/")
    whole = lab.policy("role")
    less = [one for one in whole["Statement"] if one["Sid"] != "PassTheTasksRoles"]
    # Of another service, for which nothing else lacks.
    text = json.dumps({**whole, "Statement": less})
    for name, other in {
        "c/s": "c/other",
        "/ecs/s": "/ecs/other",
        "definition/s:": "definition/other:",
        "ops/keyturn": f"ops/{LACKING}",
    }.items():
        text = text.replace(name, other)
    lab.role(LACKING, json.loads(text), "/ops/")
    caller = policy("caller")
    assume = next(one for one in caller["Statement"] if one["Sid"] == "AssumeTheRoles")
    assume["Resource"] = [arn(role) for role in (*ROLES.values(), LACKING)]
    lab.role("runner", caller)
    found = lab.sts.assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/runner", RoleSessionName="night")["Credentials"]
    names = {"ACCESS_KEY_ID": "AccessKeyId", "SECRET_ACCESS_KEY": "SecretAccessKey", "SESSION_TOKEN": "SessionToken"}
    return {f"AWS_{name}": found[member] for name, member in names.items()}


@CONDITIONAL_WRITES
def test_every_entry_point_by_its_policy_and_one_that_lacks_a_statement(tmp_path: Path, collections_path: str) -> None:
    timing: Json = {"speed": 60, "throttling": False, "timing": {"drain": 5.0, "healthy": 5.0}}
    with clean_environment(), Simulator.start(enforce_callers=True, enforce_roles=True, **timing) as sim:
        lab = Guarded(sim)
        lab.environment(**SOUND)
        lab.environment(service="other", **SOUND)
        variables = {**make_roles(lab), "AWS_ENDPOINT_URL": sim.url, VARIABLE: NEW}
        lab.sim.clear_calls()
        with Playbook(tmp_path, collections_path, PLAYS, HOSTS, variables, ["-e", json.dumps(SETTINGS)]) as run:
            assert run.finish() == 2
        assert_no_value(run.output)
        # The one that lacks a statement is told which before anything of it is changed; all others get through.
        flat = " ".join(run.output.split())
        assert f"The caller {arn(LACKING)} lacks iam:PassRole on {EXECUTION} and {APP}." in flat, run.output
        assert (lab.revisions("other"), lab.revisions("s")) == ([1], [1, 2])
        recap = re.search(r"^production +: .* failed=(\d)", run.output, re.MULTILINE)
        assert recap is not None and recap[1] == "0", run.output
        for word in (" rotated ", " verified ", " rolled back ", "Nothing holds sha256:", "ListTaskDefinitions"):
            assert word in run.output or word in str(lab.calls()), (word, run.output)
        assert lab.refused() == []
        assert "PutObject" in lab.written()
        # Each call was one that is enforced.
        assert [call["operation"] for call in lab.calls() if not call["permissions"]] == ["GetCallerIdentity"] * 2
