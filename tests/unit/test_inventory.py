# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The inventory plugin's pure part: names, groups, variables, options."""

from __future__ import annotations

import json
import re
import string
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.keyturn.ecs.plugins.module_utils._errors import KeyturnError
from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint
from ansible_collections.keyturn.ecs.plugins.module_utils._inventory.hosts import (
    group_names,
    host_name,
    host_variables,
)
from ansible_collections.keyturn.ecs.plugins.module_utils._inventory.request import Request
from ansible_collections.keyturn.ecs.plugins.module_utils._inventory.survey import Found, Value, clean_tags

DAY = 86400.0
NOW = 1_800_000_000.0
ROLE = "arn:aws:iam::210987654321:role/keyturn-rotate"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/openai-AbCdEf"
PLAIN = Value("app", "environment", "sha256:9f86d081884c", NOW - 30 * DAY, None)
FROM_SECRET = Value("worker", "secretsmanager", "sha256:0123456789ab", NOW - 100 * DAY, SECRET)
UNREAD = Value("app", "ssm", None, None, "/prod/openai")
FOUND = Found(
    account="123456789012",
    region="us-east-1",
    role="",
    cluster="elevareai-cluster",
    cluster_arn="arn:aws:ecs:us-east-1:123456789012:cluster/elevareai-cluster",
    service="elevareai-api",
    service_arn="arn:aws:ecs:us-east-1:123456789012:service/elevareai-cluster/elevareai-api",
    controller="ECS",
    desired=2,
    task_definition="arn:aws:ecs:us-east-1:123456789012:task-definition/elevareai-api:7",
    tags={"Environment": "production"},
    values=(PLAIN,),
)
ASKED: dict[str, Any] = {"variable": "OPENAI_API_KEY", "regions": [], "assume_role_arns": [], "clusters": []}

# API_CreateService, API_CreateCluster: letters, numbers, underscores and hyphens.
names = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=20)
places = st.builds(
    lambda service, cluster, region, account: replace(
        FOUND, service=service, cluster=cluster, region=region, account=account
    ),
    names,
    names,
    st.sampled_from(["us-east-1", "us-gov-west-1", "eu-central-1"]),
    st.integers(10**11, 10**12 - 1).map(str),
)


def parse(**changes: Any) -> Request:
    return Request.parse({**ASKED, **changes}, {"region": "us-east-1", "secret_key": "hidden"})


@given(places, places)
def test_two_services_have_one_name_only_when_they_are_one(one: Found, other: Found) -> None:
    where = [(it.service, it.cluster, it.region, it.account) for it in (one, other)]
    assert (host_name(one) == host_name(other)) is (where[0] == where[1])


@given(places)
def test_groups_are_names_that_ansible_takes(one: Found) -> None:
    assert [name for name in group_names(one) if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)] == []


def test_name_and_groups() -> None:
    assert host_name(FOUND) == "elevareai-api.elevareai-cluster.us-east-1.123456789012"
    assert group_names(FOUND) == (
        "environments",
        "region_us_east_1",
        "account_123456789012",
        "cluster_elevareai_cluster",
    )


def test_variables_of_one_value() -> None:
    found = host_variables(FOUND, "OPENAI_API_KEY", {"region": "us-east-1", "secret_key": "hidden"}, NOW)
    assert {name: value for name, value in found.items() if name.startswith("rotate_")} == {
        "rotate_cluster": "elevareai-cluster",
        "rotate_service": "elevareai-api",
        "rotate_region": "us-east-1",
        "rotate_variable": "OPENAI_API_KEY",
    }
    assert (found["ecs_fingerprint"], found["ecs_store"], found["ecs_age_days"]) == (
        "sha256:9f86d081884c",
        "environment",
        30.0,
    )
    assert found["ecs_tags"] == {"Environment": "production"}
    assert "hidden" not in json.dumps(found)


def test_variables_of_several_values() -> None:
    found = host_variables(replace(FOUND, values=(PLAIN, FROM_SECRET)), "OPENAI_API_KEY", {}, NOW)
    assert found["ecs_fingerprint"] is None
    assert found["ecs_fingerprints"] == ["sha256:9f86d081884c", "sha256:0123456789ab"]
    assert found["ecs_store"] is None
    assert found["ecs_stores"] == ["environment", "secretsmanager"]
    assert found["ecs_age_days"] == 100.0
    assert found["ecs_values"][1] == {
        "container": "worker",
        "store": "secretsmanager",
        "fingerprint": "sha256:0123456789ab",
        "since": "2026-10-07T08:00:00+00:00",
        "age_days": 100.0,
        "value_from": SECRET,
    }


def test_a_value_that_was_not_read_is_not_the_same_as_one_that_was() -> None:
    alone = host_variables(replace(FOUND, values=(UNREAD,)), "OPENAI_API_KEY", {}, NOW)
    assert (alone["ecs_fingerprint"], alone["ecs_fingerprints"], alone["ecs_age_days"]) == (None, [], None)
    both = host_variables(replace(FOUND, values=(PLAIN, UNREAD)), "OPENAI_API_KEY", {}, NOW)
    assert (both["ecs_fingerprint"], both["ecs_fingerprints"]) == (None, ["sha256:9f86d081884c"])


def test_what_is_handed_on_to_the_role() -> None:
    connection = {
        "profile": "p",
        "endpoint_url": "http://127.0.0.1:1",
        "assume_role_external_id": "x",
        "access_key": "",
    }
    own = host_variables(FOUND, "V", connection, NOW)
    assert (own["rotate_profile"], own["rotate_endpoint_url"]) == ("p", "http://127.0.0.1:1")
    assert "rotate_assume_role_arn" not in own
    assert "rotate_assume_role_external_id" not in own
    other = host_variables(replace(FOUND, role=ROLE), "V", connection, NOW)
    assert (other["rotate_assume_role_arn"], other["rotate_assume_role_external_id"]) == (ROLE, "x")


def test_no_further_variable_begins_as_the_roles_do() -> None:
    """The role refuses names that it does not know."""
    found = host_variables(FOUND, "V", {}, NOW)
    assert {name.partition("_")[0] for name in found} == {"rotate", "ecs"}


def test_what_the_cache_keeps_comes_back() -> None:
    found = replace(FOUND, role=ROLE, values=(PLAIN, FROM_SECRET, UNREAD))
    assert Found.parse(json.loads(json.dumps(found.plain()))) == found


def test_a_value_in_a_tag_is_taken_out() -> None:
    tags = {"a": "hunter2", "b": "sk-proj-0123456789abcdefghij", "c": "prod", "sk-proj-0123456789abcdefghij": "d"}
    cleaned = clean_tags(tags, "V", [fingerprint("V", "hunter2"), None])
    assert cleaned == {"a": "********", "b": "********", "c": "prod", "********": "d"}


def test_defaults_are_the_connection_and_the_caller() -> None:
    asked = parse()
    assert (asked.regions, asked.roles) == (("",), ("",))
    assert asked.wants("any")
    assert "hidden" not in repr(asked)


def test_patterns_of_clusters() -> None:
    asked = parse(clusters=["prod-*", "staging", ""])
    assert [name for name in ("prod-a", "staging", "Prod-a", "staging-2", "my-prod-a") if asked.wants(name)] == [
        "prod-a",
        "staging",
    ]


def test_each_place_once_and_the_callers_own_account_among_roles() -> None:
    asked = parse(regions=["us-east-1", " us-east-1", "eu-central-1"], assume_role_arns=["", ROLE, ROLE])
    assert asked.regions == ("us-east-1", "eu-central-1")
    assert asked.roles == ("", ROLE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variable": ""}, "variable is empty"),
        ({"regions": ["us-east-1 eu-central-1"]}, "regions: 'us-east-1 eu-central-1' is no Region's name"),
        ({"regions": ["all"]}, "regions: 'all'"),
        ({"assume_role_arns": ["keyturn-rotate"]}, "assume_role_arns: 'keyturn-rotate' is no role's ARN"),
        ({"assume_role_arns": ["arn:aws:iam::1:user/x"]}, "assume_role_arns"),
    ],
)
def test_a_bad_option_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(KeyturnError, match=re.escape(message)):
        parse(**options)


def test_the_cache_tells_questions_apart_and_not_logins() -> None:
    def digest(connection: dict[str, Any], **options: Any) -> str:
        return Request.parse({**ASKED, **options}, connection).digest

    base = digest({"profile": "a", "session_token": "one"})
    assert base == digest({"session_token": "two", "profile": "a"})
    others = [
        digest({"profile": "b"}),
        digest({"profile": "a"}, variable="OTHER"),
        digest({"profile": "a"}, regions=["us-east-1"]),
        digest({"profile": "a"}, assume_role_arns=[ROLE]),
        digest({"profile": "a"}, clusters=["prod-*"]),
    ]
    assert len({base, *others}) == 6
