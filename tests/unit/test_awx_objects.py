# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The objects of examples/awx fit together, and fit the role. tests/awx checks them against awx.awx itself."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from dateutil.rrule import rrulestr
from dateutil.tz import gettz

from ansible_collections.keyturn.ecs.plugins.module_utils import _aws
from ansible_collections.keyturn.ecs.plugins.module_utils._role.problems import CHOICES
from awx_objects import PROJECT, Json, objects, one, surveys

ROOT = Path(__file__).resolve().parents[2]
SPECS = yaml.safe_load((ROOT / "roles/rotate/meta/argument_specs.yml").read_text())["argument_specs"]

# What awx.awx and AWX itself bring along.
BUILT_IN = {"credential_types": {"Amazon Web Services"}}
# Option of an object to the variable that names what it refers to.
REFERENCES = {
    "organization": "aap_organizations",
    "credential_type": "controller_credential_types",
    "credentials": "controller_credentials",
    "project": "controller_projects",
    "source_project": "controller_projects",
    "inventory": "controller_inventories",
    "execution_environment": "controller_execution_environments",
    "default_environment": "controller_execution_environments",
}
# AWX's types of questions, to the type that a default must have.
TYPES: dict[str, type] = {"text": str, "password": str, "integer": int, "multiplechoice": str}


def names(variable: str) -> set[str]:
    return {item["name"] for item in objects()[variable]}


def test_what_an_object_refers_to_is_there() -> None:
    known = {variable: names(variable) for variable in objects()}
    known["controller_credential_types"] |= BUILT_IN["credential_types"]
    seen = set()
    for items in objects().values():
        for item in items:
            for option in REFERENCES.keys() & item.keys():
                wanted = item[option] if isinstance(item[option], list) else [item[option]]
                assert set(wanted) <= known[REFERENCES[option]], (item["name"], option)
                seen.add(option)
    assert seen == set(REFERENCES)
    launched = {item["unified_job_template"] for item in objects()["controller_schedules"]}
    assert launched <= known["controller_templates"] | known["controller_workflows"]


def test_every_template_has_its_playbook_which_imports_ours() -> None:
    playbooks = {item["playbook"] for item in objects()["controller_templates"]}
    assert playbooks == {file.name for file in PROJECT.glob("*.yml")} == {f"{file.stem}.yml" for file in ours()}
    for file in ours():
        (play,) = yaml.safe_load((PROJECT / file.name).read_text())
        assert play.keys() == {"name", "ansible.builtin.import_playbook"}
        assert play["ansible.builtin.import_playbook"] == f"keyturn.ecs.{file.stem}"
    (source,) = objects()["controller_inventory_sources"]
    assert (PROJECT / source["source_path"]).is_file()


def ours() -> list[Path]:
    return [file for file in (ROOT / "playbooks").glob("*.yml") if file.stem != "environments"]


@pytest.mark.parametrize("template", sorted(surveys()))
def test_a_survey_asks_for_what_the_role_knows(template: str) -> None:
    """By the rules of AWX's API, too: what a question must have, and what its default may be."""
    questions = surveys()[template]
    known = {name: option for entry in SPECS.values() for name, option in entry["options"].items()}
    assert len({question["variable"] for question in questions}) == len(questions)
    for question in questions:
        variable = question["variable"]
        assert {"question_name", "type", "required", "default"} <= question.keys()
        # Schedules and workflows answer nothing.
        assert question["required"] is False
        # A value, and nothing else, is never shown.
        assert (question["type"] == "password") == known[variable].get("no_log", False), variable
        assert isinstance(question["default"], TYPES[question["type"]])
        if question["type"] == "multiplechoice":
            assert question["default"] in question["choices"]
            assert set(question["choices"]) <= set(CHOICES.get(variable, ["true", "false"]))
        # The default in a survey is the role's own.
        assert str(question["default"]) in ("", str(known[variable].get("default")).lower())


def test_no_question_means_two_things_in_one_workflow() -> None:
    """AWX gives a workflow's answers to all of its jobs: rotate and verify expect different fingerprints."""
    (workflow,) = (item["name"] for item in objects()["controller_workflows"])
    assert "rotate_expected_fingerprint" not in {question["variable"] for question in surveys()[workflow]}


ROTATE, VERIFY, REVOKE, ROLLBACK = "keyturn rotate", "keyturn verify", "keyturn revoke", "keyturn rollback"


@pytest.mark.parametrize(
    ("fails", "denied", "runs"),
    [
        (None, False, [ROTATE, VERIFY, "Revoke the old key?", REVOKE]),
        (None, True, [ROTATE, VERIFY, "Revoke the old key?"]),
        (ROTATE, False, [ROTATE, "Bring the old value back everywhere?", ROLLBACK]),
        (ROTATE, True, [ROTATE, "Bring the old value back everywhere?"]),
        (VERIFY, False, [ROTATE, VERIFY, "Bring the old value back everywhere?", ROLLBACK]),
        (REVOKE, False, [ROTATE, VERIFY, "Revoke the old key?", REVOKE]),
    ],
)
def test_ways_through_the_workflow(fails: str | None, denied: bool, runs: list[str]) -> None:
    """Nothing is revoked or taken back unless a person said so; an approval that is denied counts as failed."""
    (workflow,) = objects()["controller_workflows"]
    nodes: dict[str, Json] = {node["identifier"]: node for node in workflow["workflow_nodes"]}
    led_to = {to["identifier"] for node in nodes.values() for ways in node.get("related", {}).values() for to in ways}
    assert led_to < nodes.keys()
    (at,) = nodes.keys() - led_to
    seen = []
    for _step in nodes:
        node = nodes[at]
        template = node["unified_job_template"]
        asks = template["type"] == "workflow_approval"
        assert asks == (template["name"] not in names("controller_templates"))
        assert not asks or template["timeout"] > 0, "an approval without an end holds up the next run"
        seen.append(template["name"])
        failed = template["name"] == fails or (asks and denied)
        following = node.get("related", {}).get("failure_nodes" if failed else "success_nodes", [])
        if not following:
            break
        at = following[0]["identifier"]
    assert seen == runs


def test_the_gate_sees_all_environments() -> None:
    revoke = one("controller_templates", REVOKE)
    assert not {"ask_limit_on_launch", "limit", "job_slice_count", "ask_job_slice_count_on_launch"} & revoke.keys()


def test_credentials_inject_what_the_collection_reads() -> None:
    """As environment variables: extra variables can be printed by any task."""
    injected: dict[str, Any] = {}
    for item in objects()["controller_credential_types"]:
        fields = {field["id"]: field for field in item["inputs"]["fields"]}
        assert item["injectors"].keys() == {"env"}
        for name, text in item["injectors"]["env"].items():
            (field,) = re.findall(r"{{ (\w+) }}", text)
            injected[name] = fields[field].get("secret", False)
    assert injected == {"OPENAI_API_KEY": True, "OPENAI_ADMIN_KEY": True, "OPENAI_BASE_URL": False}
    assert SPECS["main"]["options"]["rotate_variable"]["default"] in injected
    read = (ROOT / "plugins/module_utils/_openai/connection.py").read_text()
    assert '"OPENAI_ADMIN_KEY"' in read and '"OPENAI_BASE_URL"' in read


def test_admin_keys_go_to_those_jobs_only_that_use_them() -> None:
    holding = {
        item["name"] for item in objects()["controller_templates"] if "keyturn OpenAI admin" in item["credentials"]
    }
    assert holding == {REVOKE, "keyturn audit"}


@pytest.mark.parametrize(("schedule", "days"), [("keyturn every 90 days", 90), ("keyturn audit every Monday", 7)])
def test_schedules_keep_local_time_when_clocks_change(schedule: str, days: int) -> None:
    text = one("controller_schedules", schedule)["rrule"]
    assert re.fullmatch(r"DTSTART;TZID=\S+ RRULE:\S+", text)
    rule = rrulestr(text.replace(" ", "\n"), tzids=gettz)
    times = list(rule.xafter(dt.datetime(2027, 1, 1, tzinfo=dt.timezone.utc), count=60))
    assert {later.date() - earlier.date() for earlier, later in itertools.pairwise(times)} == {dt.timedelta(days)}
    assert len({time.time() for time in times}) == 1
    assert len({time.utcoffset() for time in times}) == 2


def test_the_execution_environment_is_of_this_version() -> None:
    folder = ROOT / "examples/execution-environment"
    described = yaml.safe_load((folder / "execution-environment.yml").read_text())
    (collection,) = described["dependencies"]["galaxy"]["collections"]
    assert collection == {"name": f"keyturn-ecs-{_aws.COLLECTION_VERSION}.tar.gz", "type": "file"}
    assert [file["src"] for file in described["additional_build_files"]] == [collection["name"]]
    assert one("controller_execution_environments", "keyturn")["image"].endswith(f":{_aws.COLLECTION_VERSION}")
    minimum = ".".join(map(str, _aws.MINIMUM_BOTOCORE))
    assert (ROOT / "meta/ee-requirements.txt").read_text().split() == [f"boto3>={minimum}", f"botocore>={minimum}"]
