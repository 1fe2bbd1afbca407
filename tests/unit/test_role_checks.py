# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The checks of the role's variables. What Ansible gives them is in tests/integration/test_role_odd_inputs.py."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.keyturn.ecs.plugins.action.validate_rotation import KNOWN, PROVIDERS
from ansible_collections.keyturn.ecs.plugins.module_utils._errors import KeyturnError
from ansible_collections.keyturn.ecs.plugins.module_utils._role.checks import ENTRY_POINTS, Asked, checked, told
from ansible_collections.keyturn.ecs.plugins.module_utils._role.problems import CHOICES, WHOLE_NUMBERS
from ansible_collections.keyturn.ecs.plugins.module_utils._role.types import LISTS, MAPPINGS, TEXTS, TEXTS_ONLY

ROLE = Path(__file__).resolve().parents[2] / "roles/rotate"
DEFAULTS: dict[str, Any] = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
SPECS: dict[str, Any] = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]
NEW = "sk-proj-new-CANARY1111111111111111"


def asked(entry_point: str = "rotate", content: str = "", **given: Any) -> Asked:
    variables = {**DEFAULTS, "rotate_project_name": "staging", "rotate_region": "us-east-1", **given}
    return Asked(
        entry_point, "staging", variables, list(variables), KNOWN, {"OPENAI_API_KEY": NEW}, lambda _: content, PROVIDERS
    )


def complaint(entry_point: str = "rotate", **given: Any) -> str:
    with pytest.raises(KeyturnError) as raised:
        checked(asked(entry_point, **given))
    return raised.value.msg


def test_names_are_those_of_the_argument_specs() -> None:
    assert set(KNOWN) == {name for entry in SPECS.values() for name in entry["options"]}
    assert {*TEXTS_ONLY, *TEXTS, *LISTS, *MAPPINGS, *CHOICES, *WHOLE_NUMBERS} <= set(KNOWN)
    # What has a type in the specs already, or is checked here: a name that was forgotten would not be.
    texts = {name for entry in SPECS.values() for name, option in entry["options"].items() if option["type"] == "str"}
    assert texts - {*TEXTS_ONLY, *TEXTS, *CHOICES} == {"rotate_hosts"}


def test_what_the_command_line_cut_off_is_told_and_not_shown() -> None:
    told_of_it = complaint(_raw_params="laptop was lost")
    assert "everything behind the first blank was lost" in told_of_it
    assert "laptop" not in told_of_it


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_defaults_are_fine_and_empty_strings_are_the_same(entry_point: str) -> None:
    wanted = {
        "services": [{"cluster": "staging-cluster", "service": "staging-api", "containers": []}],
        "region": "us-east-1",
        "record": "",
        "provider": {"name": "openai", **PROVIDERS["openai"]},
        "problems": [],
    }
    assert checked(asked(entry_point)) == wanted
    empty = dict.fromkeys(DEFAULTS, "") | {"rotate_project_name": "staging", "rotate_region": "us-east-1"}
    assert checked(asked(entry_point, **empty)) == wanted


@pytest.mark.parametrize(
    ("entry_point", "ending"),
    [("rotate", " Nothing was changed in staging."), ("verify", "")],
)
def test_complaints_come_all_at_once_and_in_their_order(entry_point: str, ending: str) -> None:
    assert complaint(entry_point, rotate_store="cupboard", rotate_settle=86401, rotate_tiemout=5) == (
        "rotate_tiemout is not a variable of this role: did you mean rotate_timeout?"
        " rotate_store must be keep, environment, secretsmanager or ssm."
        f" rotate_settle must be a whole number of seconds, at most 86400 (a day).{ending}"
    )


@pytest.mark.parametrize("entry_point", ["rollback", "revoke", "audit"])
def test_others_get_complaints_to_add_to_but_not_those_that_the_rest_relies_on(entry_point: str) -> None:
    assert checked(asked(entry_point, rotate_timeout=0))["problems"] == [
        "rotate_timeout must be a whole number, at least 1 and less than ten million."
    ]
    assert complaint(entry_point, rotate_timeout=0, rotate_cluster=["c"]) == (
        "rotate_cluster must be text: put quotes around it. Nothing was changed in staging."
    )


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        ({}, ("file-cluster", "file-api", "eu-west-1")),
        ({"rotate_project_name": "p"}, ("p-cluster", "p-api", "eu-west-1")),
        ({"rotate_project_name": "p", "rotate_service": "s", "rotate_region": "r"}, ("p-cluster", "s", "r")),
        ({"rotate_services": [{"service": "a"}]}, ("file-cluster", "a", "eu-west-1")),
    ],
)
def test_the_nearest_name_wins(variables: dict[str, Any], names: tuple[str, str, str], tmp_path: Path) -> None:
    path = tmp_path / "vars.json"
    path.touch()
    unset = {"rotate_project_name": "", "rotate_region": "", "rotate_deployment_vars": str(path)}
    content = '\ufeff{"PROJECT_NAME": "file", "REGION": "eu-west-1", "PASSWORD": "hunter2"}'
    found = checked(asked(content=content, **{**unset, **variables}))
    (service,) = found["services"]
    assert (service["cluster"], service["service"], found["region"]) == names
    assert "hunter2" not in str(found)


def smoke(**test: Any) -> dict[str, Any]:
    return {"rotate_smoke_test": {"url": "https://x", **test}}


FINE: list[dict[str, Any]] = [
    {"rotate_reason": 5},
    {"rotate_report_path": "report.json"},
    {"rotate_verify_key": True, "rotate_pin_secret_version": False, "rotate_log_scan": "AUTO"},
    {"rotate_poll_interval": "0.1", "rotate_max_failed_tasks": 0, "rotate_settle": 86400},
    {
        "rotate_value": "staging-cluster",
        "rotate_cluster": "staging-cluster",
        "rotate_value_pattern": ".",
    },  # a short one may be a plain word
    {"rotate_dotenv_paths": ["", str(ROLE / "README.md")], "rotate_log_patterns": [""]},
    smoke(status=[200, [201, "304"]], retries=None, delay="0.5", timeout=""),
]
NO_NAMES = {"rotate_project_name": ""}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"rotate_reason": True}, "rotate_reason must be text: put quotes around it."),
    ({"rotate_report_path": 5}, "rotate_report_path must be text: put quotes around it."),
    ({"rotate_containers": "app"}, "rotate_containers must be a list."),
    ({"rotate_services": {"service": "a"}}, "rotate_services must be a list."),
    ({"rotate_smoke_test": ["x"]}, "rotate_smoke_test must be a mapping with url."),
    ({"rotate_log_patterns": ["fine", "("]}, "rotate_log_patterns holds something that is no regular expression"),
    (smoke(body_pattern="("), "body_pattern of rotate_smoke_test holds something that is no regular expression"),
    ({"rotate_poll_interval": 0.05}, "rotate_poll_interval must be a number, at least 0.1"),
    ({"rotate_record_path": "none/record"}, "rotate_record_path: the folder of none/record does not exist"),
    ({"rotate_dotenv_paths": ["none/.env"]}, "rotate_dotenv_paths: none/.env does not exist on the controller."),
    ({"rotate_services": [{"service": "a", "name": "b"}]}, "rotate_services must be a list of mappings with service"),
    ({**NO_NAMES, "rotate_cluster": "c"}, "No cluster and service: set rotate_project_name, or rotate_cluster and"),
    ({**NO_NAMES, "rotate_services": [{"cluster": "c"}]}, ", or complete every entry of rotate_services."),
    (smoke(url="ftp://x"), "rotate_smoke_test must have a url that begins with http:// or https://."),
    (smoke(verify=True), "rotate_smoke_test: verify is none of url, method, headers,"),
    (smoke(retries="soon"), "rotate_smoke_test: retries must be a number."),
    (smoke(status=[200, [99]]), "rotate_smoke_test: status must be a code such as 200, or a list of codes."),
    ({"rotate_deployment_vars": str(ROLE)}, f"rotate_deployment_vars: {ROLE} is no file on the controller"),
]


@pytest.mark.parametrize("variables", FINE, ids=lambda variables: next(iter(variables)))
def test_what_can_work_passes(variables: dict[str, Any]) -> None:
    assert checked(asked(**variables))["problems"] == []


@pytest.mark.parametrize(("variables", "wanted"), WRONG, ids=lambda part: next(iter(part)) if part else "")
def test_what_cannot_work_is_named(variables: dict[str, Any], wanted: str) -> None:
    assert wanted in complaint(**variables)


def test_a_record_that_could_not_be_written_is_told_before_anything_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    place = {"rotate_record_path": "s3://bucket/none/record"}
    monkeypatch.setattr("botocore.__version__", "1.35.69")
    assert checked(asked(**place))["problems"] == []
    monkeypatch.setattr("botocore.__version__", "1.35.68")
    assert "a record in S3 needs boto3 1.35.69 or newer on the controller." in complaint(**place)
    assert checked(asked("verify", **place))["problems"] == []


def test_services_have_what_they_do_not_share() -> None:
    several = [{"service": "a"}, {"service": "b", "cluster": "d", "containers": ["", "web"]}]
    found = checked(asked(rotate_services=several, rotate_cluster="c", rotate_containers=["app"]))
    assert found["services"] == [
        {"cluster": "c", "service": "a", "containers": ["app"]},
        {"cluster": "d", "service": "b", "containers": ["web"]},
    ]


def test_complaints_to_add_to_hold_no_value() -> None:
    (found,) = checked(asked("audit", rotate_dotenv_paths=[NEW]))["problems"]
    assert found == "rotate_dotenv_paths: ******** does not exist on the controller."


@pytest.mark.parametrize(
    "content",
    ["[" * 100_000, '["PROJECT_NAME", "REGION"]', '{"PROJECT_NAME": "p"}', '{"PROJECT_NAME": "p", "REGION": "r\\n"}'],
    ids=["deep", "list", "no Region", "newline"],
)
def test_deployment_variables_without_names_are_refused(content: str) -> None:
    with pytest.raises(KeyturnError, match="with names under the keys PROJECT_NAME and REGION"):
        checked(asked(content=content, rotate_deployment_vars=__file__))


PLACES = sorted(set(DEFAULTS) - {"rotate_value", "rotate_smoke_test"})


@pytest.mark.parametrize("name", PLACES)
def test_a_value_is_refused_wherever_it_is_shown_and_never_repeated(name: str) -> None:
    for place in (NEW, f"a/{NEW}", [NEW], {NEW: "x"}, [{"service": NEW}]):
        odd = asked(**{name: place})
        try:
            said = f"{checked(odd)}"
        except KeyturnError as error:
            said = error.msg
        assert "problems" not in said
        assert NEW not in said
        assert NEW not in str(told(odd))


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["(", "s3://x", "http://x"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["url", "status", "a"]), inner),
    max_leaves=4,
)


@example(odd={"rotate_record_path": "a\0/b", "rotate_report_path": "\ud83d/c"})
@example(odd={"rotate_dotenv_paths": ["a\0", "\ud83d"], "rotate_log_patterns": ["a{99999999999999999999}", None]})
@given(odd=st.dictionaries(st.sampled_from(sorted(set(DEFAULTS) - {"rotate_deployment_vars"})), ODD, max_size=3))
def test_nothing_odd_is_a_traceback(odd: dict[str, Any]) -> None:
    with contextlib.suppress(KeyturnError):
        assert {*checked(asked(**odd))} == {"services", "region", "record", "provider", "problems"}
