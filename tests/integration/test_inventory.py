# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The inventory plugin against the simulator: in this process, and as ``ansible-inventory`` and playbooks meet it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import inventory_loader
from ansible.utils.display import Display

from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint
from integration import role_runs
from simulator import DEFAULT_ACCOUNT, Simulator

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples/dynamic/production.ecs_services.yml"
VARIABLE = "OPENAI_API_KEY"
VALUE, OTHER = "sk-proj-inv-CANARY0000000000000000", "not-like-a-key-CANARY11111"
NEIGHBOUR = "db-password-CANARY2222222222"
EU_ACCOUNT = "210987654321"
ROLE = f"arn:aws:iam::{EU_ACCOUNT}:role/keyturn-rotate"
OWN = {"us": ("us-east-1", DEFAULT_ACCOUNT), "eu": ("eu-central-1", DEFAULT_ACCOUNT)}
BOTH: dict[str, Any] = {"regions": ["us-east-1", "eu-central-1"], "assume_role_arns": ["", ROLE]}
PRODUCTION, STAGING, EU_PRODUCTION = (
    f"elevareai-api.elevareai-cluster.us-east-1.{DEFAULT_ACCOUNT}",
    f"elevareai-api.elevareai-staging-cluster.us-east-1.{DEFAULT_ACCOUNT}",
    f"elevareai-api.elevareai-cluster.eu-central-1.{EU_ACCOUNT}",
)
PLAIN = {"DB_PASSWORD": NEIGHBOUR, VARIABLE: VALUE}
Json = dict[str, Any]


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator.start(speed=0, throttling=False, seed=1) as sim:
        yield sim


@pytest.fixture
def aws(simulator: Simulator) -> Simulator:
    simulator.reset()
    simulator.clear_calls()
    return simulator


def two_accounts(aws: Simulator) -> None:
    """Three services with the variable in two accounts and Regions, and one without it."""
    tagged = [{"key": "Environment", "value": "production"}]
    aws.create_environment("elevareai-cluster", "elevareai-api", environment=PLAIN, service_tags=tagged)
    aws.create_environment("elevareai-cluster", "elevareai-web", environment={"LOG_LEVEL": "INFO"})
    aws.create_environment("elevareai-staging-cluster", "elevareai-api", environment=PLAIN)
    aws.create_environment(
        "elevareai-cluster", "elevareai-api", environment=PLAIN, region="eu-central-1", account=EU_ACCOUNT
    )
    aws.clear_calls()


def counted(aws: Simulator) -> Counter[str]:
    """Calls that were made, setting up left out."""
    return Counter(call["operation"] for call in aws.calls() if "keyturn.ecs/" in call["user_agent"])


# In this process


class Inventory:
    """What the plugin made of a file, and what it warned of."""

    def __init__(self, warnings: list[str], data: InventoryData) -> None:
        self.warnings = warnings
        self.hosts: dict[str, Json] = {
            str(name): {str(key): value for key, value in host.get_vars().items()} for name, host in data.hosts.items()
        }
        self.groups = {
            str(name): sorted(str(host) for host in group.get_hosts()) for name, group in data.groups.items()
        }

    @property
    def services(self) -> list[str]:
        return [f"{one['rotate_cluster']}/{one['rotate_service']}" for one in self.hosts.values()]


Read = Callable[..., Inventory]


@pytest.fixture
def read(aws: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Let the plugin read a file with these options; no value may be in what it says or makes."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "ANSIBLE_"))]:
        monkeypatch.delenv(name)
    for name, value in aws.environ().items():
        monkeypatch.setenv(name, value)
    warnings: list[str] = []
    monkeypatch.setattr(Display, "warning", lambda _self, text, **_more: warnings.append(text))

    def run(**options: Any) -> Inventory:
        file, data, loader = tmp_path / "x.ecs_services.yml", InventoryData(), DataLoader()
        file.write_text(yaml.safe_dump({"plugin": "keyturn.ecs.services", **options}))
        plugin = inventory_loader.get("keyturn.ecs.services")
        assert plugin.verify_file(str(file))
        warnings.clear()
        plugin.parse(data, loader, str(file))
        found = Inventory(list(warnings), data)
        assert "CANARY" not in repr((found.hosts, found.groups, found.warnings))
        return found

    return run


def secret(aws: Simulator, text: str, name: str = "prod/openai") -> str:
    arn: str = aws.client("secretsmanager").create_secret(Name=name, SecretString=text)["ARN"]
    return arn


def test_hosts_over_two_accounts_and_regions(aws: Simulator, read: Read) -> None:
    two_accounts(aws)
    found = read(**BOTH)
    assert list(found.hosts) == [PRODUCTION, STAGING, EU_PRODUCTION]
    assert found.groups["environments"] == sorted([PRODUCTION, STAGING, EU_PRODUCTION])
    assert found.groups["region_us_east_1"] == sorted([PRODUCTION, STAGING])
    assert found.groups[f"account_{EU_ACCOUNT}"] == [EU_PRODUCTION]
    assert found.groups["cluster_elevareai_cluster"] == sorted([PRODUCTION, EU_PRODUCTION])
    eu = found.hosts[EU_PRODUCTION]
    assert (eu["rotate_region"], eu["rotate_assume_role_arn"]) == ("eu-central-1", ROLE)
    assert (eu["ansible_connection"], eu["ecs_account"]) == ("local", EU_ACCOUNT)
    production = found.hosts[PRODUCTION]
    assert "rotate_assume_role_arn" not in production
    assert production["ecs_tags"] == {"Environment": "production"}
    assert production["ecs_fingerprint"] == fingerprint(VARIABLE, VALUE)
    assert (production["ecs_store"], production["ecs_age_days"], production["ecs_desired_count"]) == (
        "environment",
        30,
        2,
    )
    assert found.warnings == []
    # One AssumeRole for both Regions; of the cluster's two services one DescribeServices.
    assert counted(aws) == {
        "AssumeRole": 1,
        "ListClusters": 4,
        "ListServices": 3,
        "DescribeServices": 3,
        "DescribeTaskDefinition": 4,
    }


def test_few_calls(aws: Simulator, read: Read) -> None:
    """Pages of a hundred, tens of services, every revision and every secret once."""
    arn = secret(aws, OTHER)
    for number in range(101):
        aws.create_environment("big", f"s{number}", family=f"f{number}", secrets={VARIABLE: arn}, desired=0)
    aws.clear_calls()
    assert len(read().hosts) == 101
    assert counted(aws) == {
        "ListClusters": 1,
        "ListServices": 2,
        "DescribeServices": 11,
        "DescribeTaskDefinition": 101,
        "GetSecretValue": 1,
    }


def test_the_connections_region_is_the_default(aws: Simulator, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    for region in ("us-east-1", "eu-central-1", "eu-west-1"):
        aws.create_environment("c", f"in-{region}", environment=PLAIN, region=region)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert read().services == ["c/in-eu-central-1"]
    assert read(aws_region="eu-west-1").services == ["c/in-eu-west-1"]
    assert read(region="eu-west-1", regions=["us-east-1"]).services == ["c/in-us-east-1"]


def test_clusters_by_pattern(aws: Simulator, read: Read) -> None:
    for name in ("prod-a", "prod-b", "staging"):
        aws.create_environment(name, "s", environment=PLAIN)
    aws.clear_calls()
    assert read(clusters=["prod-*"]).services == ["prod-a/s", "prod-b/s"]
    assert counted(aws)["ListServices"] == 2


def test_another_variable_and_all_stores(aws: Simulator, read: Read) -> None:
    arn = secret(aws, json.dumps({"key": OTHER, "more": NEIGHBOUR}))
    aws.client("ssm").put_parameter(Name="/prod/key", Value=OTHER, Type="SecureString")
    containers = [
        {"name": "app", "environment": [{"name": "TOKEN", "value": VALUE}]},
        {"name": "side", "secrets": [{"name": "TOKEN", "valueFrom": f"{arn}:key::"}]},
        {"name": "third", "secrets": [{"name": "TOKEN", "valueFrom": "/prod/key"}]},
        {"name": "none", "environment": [{"name": VARIABLE, "value": VALUE}]},
    ]
    aws.create_environment(containers=containers)
    (host,) = read(variable="TOKEN").hosts.values()
    assert host["rotate_variable"] == "TOKEN"
    assert [(one["container"], one["store"]) for one in host["ecs_values"]] == [
        ("app", "environment"),
        ("side", "secretsmanager"),
        ("third", "ssm"),
    ]
    assert host["ecs_fingerprints"] == [fingerprint("TOKEN", VALUE), fingerprint("TOKEN", OTHER)]
    assert (host["ecs_fingerprint"], host["ecs_store"]) == (None, None)


def test_constructed_features_and_hostname(aws: Simulator, read: Read) -> None:
    two_accounts(aws)
    found = read(
        **BOTH,
        hostname="ecs_tags.Environment",
        compose={"rotate_reason": "'for ' ~ rotate_cluster", "nothing": "no_such_variable"},
        groups={"young": "ecs_age_days < 90", "old": "ecs_age_days >= 90"},
        keyed_groups=[{"key": "ecs_store", "separator": ""}, {"key": "ecs_tags", "prefix": "tag"}],
        leading_separator=False,
    )
    assert list(found.hosts) == ["production", STAGING, EU_PRODUCTION]
    assert found.hosts["production"]["rotate_reason"] == "for elevareai-cluster"
    assert "nothing" not in found.hosts["production"]
    assert len(found.groups["young"]) == 3
    assert "old" not in found.groups
    assert len(found.groups["environment"]) == 3
    assert found.groups["tag_Environment_production"] == ["production"]
    with pytest.raises(AnsibleError, match="no_such_variable"):
        read(strict=True, compose={"nothing": "no_such_variable"})
    with pytest.raises(AnsibleParserError, match=r"hostname gives elevareai-api.* a name with characters"):
        read(hostname="'{b}'")
    with pytest.raises(AnsibleParserError, match="hostname fails for elevareai-api"):
        read(strict=True, hostname="ecs_tags.Environment")


def test_two_hosts_may_not_share_a_name(aws: Simulator, read: Read) -> None:
    two_accounts(aws)
    with pytest.raises(AnsibleParserError) as caught:
        read(**BOTH, hostname="rotate_cluster")
    assert f"hostname gives both {PRODUCTION} and {EU_PRODUCTION} the name elevareai-cluster" in str(caught.value)


def test_two_roles_into_one_account_make_one_host(aws: Simulator, read: Read) -> None:
    two_accounts(aws)
    other = ROLE.replace("rotate", "audit")
    found = read(regions=["eu-central-1"], assume_role_arns=[ROLE, other])
    assert list(found.hosts) == [EU_PRODUCTION]
    assert found.hosts[EU_PRODUCTION]["rotate_assume_role_arn"] == ROLE


def test_templates_and_aliases_in_options(aws: Simulator, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    two_accounts(aws)
    monkeypatch.setenv("MY_KEY", "AKIAMINE")
    monkeypatch.setenv("MY_ROLE", ROLE)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name)
    found = read(
        aws_access_key="{{ lookup('ansible.builtin.env', 'MY_KEY') }}",
        aws_secret_key="not-a-key-CANARY333333",
        aws_endpoint_url=aws.url,
        assume_role_arns=["{{ lookup('ansible.builtin.env', 'MY_ROLE') }}"],
        regions=["{{ 'eu-central-1' }}"],
    )
    assert list(found.hosts) == [EU_PRODUCTION]
    assert found.hosts[EU_PRODUCTION]["rotate_endpoint_url"] == aws.url
    # Ansible cuts a string at commas before anything else, so that a template in it is broken: that is told.
    with pytest.raises(AnsibleParserError, match=r"assume_role_arns: its template fails \(in a list, each"):
        read(assume_role_arn="{{ lookup('ansible.builtin.env', 'MY_ROLE') }}")
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
    assert list(read(assume_role_arn=ROLE, region="eu-central-1", access_key="A", secret_key="B").hosts) == [
        EU_PRODUCTION
    ]


def test_what_stands_in_a_tag_is_no_template(aws: Simulator, tmp_path: Path, collections_path: str) -> None:
    proof = tmp_path / "proof"
    attack = f"{{{{ lookup('ansible.builtin.pipe', 'touch {proof}') }}}}"
    aws.create_environment(environment=PLAIN, service_tags=[{"key": "Team", "value": attack}])
    play = [{"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.debug": {"var": "ecs_tags.Team"}}]}]
    (tmp_path / "play.yml").write_text(yaml.safe_dump(play))
    file = written(tmp_path, keyed_groups=[{"key": "ecs_tags.Team"}], compose={"team": "ecs_tags.Team"})
    done = command(aws, tmp_path, collections_path, "ansible-playbook", "-i", str(file), "play.yml")
    assert done.returncode == 0, done.stdout
    assert "touch" in done.stdout
    assert not proof.exists()


# What may not be read, and what is wrong


def test_a_region_that_may_not_be_read(aws: Simulator, read: Read) -> None:
    two_accounts(aws)
    aws.fault("ListClusters", "denied", times=None, region="eu-central-1")
    with pytest.raises(AnsibleParserError) as caught:
        read(**BOTH)
    message = str(caught.value)
    assert f"Region eu-central-1, role {ROLE}: ecs:ListClusters" in message
    assert "allow ecs:ListClusters" in message
    assert "strict_permissions: false" in message
    found = read(**BOTH, strict_permissions=False)
    assert list(found.hosts) == [PRODUCTION, STAGING]
    assert len(found.warnings) == 2  # the caller's own account, and the other one
    assert f"Left out: Region eu-central-1, role {ROLE}: ecs:ListClusters" in found.warnings[1]


def test_a_role_that_may_not_be_assumed(aws: Simulator, read: Read) -> None:
    two_accounts(aws)
    aws.fault("AssumeRole", "denied", times=None, service="sts")
    with pytest.raises(AnsibleParserError, match=f"sts:AssumeRole on role {ROLE}.*allow sts:AssumeRole") as caught:
        read(**BOTH)
    assert str(caught.value).count("was denied") == 1
    found = read(**BOTH, strict_permissions=False)
    assert list(found.hosts) == [PRODUCTION, STAGING]
    assert len(found.warnings) == 1


@pytest.mark.parametrize("operation", ["ListServices", "DescribeServices", "DescribeTaskDefinition"])
def test_every_permission_is_named(aws: Simulator, read: Read, operation: str) -> None:
    two_accounts(aws)
    aws.fault(operation, "denied", times=None)
    with pytest.raises(AnsibleParserError, match=f"allow ecs:{operation}") as caught:
        read()
    assert "CANARY" not in str(caught.value)


def test_a_cluster_that_may_not_be_read_leaves_the_others(aws: Simulator, read: Read) -> None:
    two_accounts(aws)
    aws.fault("ListServices", "denied", times=1)
    found = read(strict_permissions=False)
    assert list(found.hosts) == [STAGING]
    assert "cluster elevareai-cluster" in found.warnings[0]


def test_a_secret_that_may_not_be_read_is_a_host_without_fingerprint(aws: Simulator, read: Read) -> None:
    aws.create_environment(secrets={VARIABLE: secret(aws, OTHER)})
    aws.fault("GetSecretValue", "denied", times=None, service="secretsmanager")
    found = read()
    (host,) = found.hosts.values()
    assert (host["ecs_fingerprint"], host["ecs_fingerprints"], host["ecs_store"]) == (None, [], "secretsmanager")
    assert "allow secretsmanager:GetSecretValue" in found.warnings[0]


def test_another_error_is_never_left_out(aws: Simulator, read: Read) -> None:
    two_accounts(aws)
    aws.fault("ListServices", "expired", times=None)
    with pytest.raises(AnsibleParserError, match=r"Region us-east-1: ecs:ListServices .*renew them"):
        read(strict_permissions=False)


def test_what_is_gone_or_elsewhere(aws: Simulator, read: Read) -> None:
    files = [{"name": "app", "environmentFiles": [{"type": "s3", "value": "arn:aws:s3:::b/prod.env"}]}]
    aws.create_environment(service="files", containers=files)
    aws.create_environment(service="gone", environment=PLAIN)
    aws.create_environment(service="here", environment=PLAIN)
    refusal = {"code": "ClientException", "message": "Unable to describe task definition.", "status": 400}
    aws.fault("DescribeTaskDefinition", "error", times=1, after=1, **refusal)
    found = read()
    assert found.services == ["c/here"]
    assert any("container app: arn:aws:s3:::b/prod.env" in text for text in found.warnings)
    assert any(
        "ECS does not know the task definition that runs: service gone: gone:1" in text for text in found.warnings
    )


def test_nothing_found_is_told(aws: Simulator, read: Read) -> None:
    aws.create_environment(environment={"LOG_LEVEL": "INFO"})
    found = read(variable="NO_SUCH")
    assert (found.hosts, found.groups["environments"]) == ({}, [])
    assert "no service has NO_SUCH" in found.warnings[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"region_s": ["us-east-1"]}, "region_s: no such option"),
        ({"regions": ["everywhere"]}, "regions: 'everywhere'"),
        ({"assume_role_arns": ["x"]}, "assume_role_arns: 'x'"),
        ({"strict_permissions": "perhaps"}, "strict_permissions"),
        ({"variable": ""}, "variable is empty"),
        ({"profile": "none-such"}, "profile"),
        ({"aws_config": {"no_such": 1}}, "aws_config"),
        ({"variable": "{{ no_such }}"}, "variable: its template fails"),
    ],
)
def test_a_bad_option_is_named(read: Read, options: Json, message: str) -> None:
    with pytest.raises(AnsibleError, match=message):
        read(**options)


def test_the_files_name_decides(tmp_path: Path) -> None:
    plugin = inventory_loader.get("keyturn.ecs.services")
    for name, mine in {"a.ecs_services.yml": True, "ecs_services.yaml": True, "services.yml": False}.items():
        (tmp_path / name).touch()
        assert plugin.verify_file(str(tmp_path / name)) is mine
    assert plugin.verify_file(str(tmp_path / "missing.ecs_services.yml")) is False


# Real processes


def written(folder: Path, **options: Any) -> Path:
    file = folder / "production.ecs_services.yml"
    file.write_text(yaml.safe_dump({"plugin": "keyturn.ecs.services", **options}))
    return file


def command(
    aws: Simulator, folder: Path, collections_path: str, name: str, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run one of Ansible's commands; no value may be in what it prints."""
    (folder / "ansible.cfg").touch()
    environment = {
        **role_runs.clean_environment(),
        **aws.environ(),
        "ANSIBLE_COLLECTIONS_PATH": collections_path,
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
        "COLUMNS": "200",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        **variables,
    }
    done = subprocess.run(
        [sys.executable, str(Path(sysconfig.get_path("scripts")) / name), *arguments],
        cwd=folder, env=environment, capture_output=True, stdin=subprocess.DEVNULL,
        encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip
    assert "CANARY" not in done.stdout + done.stderr
    return done


def test_the_example_as_graph_and_list(aws: Simulator, tmp_path: Path, collections_path: str) -> None:
    two_accounts(aws)
    graph = command(aws, tmp_path, collections_path, "ansible-inventory", "-i", str(EXAMPLE), "--graph")
    assert (graph.returncode, graph.stderr) == (0, "")
    assert (
        f"  |--@environments:\n  |  |--production\n  |  |--{STAGING}\n  |  |--{EU_PRODUCTION}\n"
        f"  |--@region_us_east_1:\n  |  |--production\n  |  |--{STAGING}\n"
    ) in graph.stdout
    listed = command(aws, tmp_path, collections_path, "ansible-inventory", "-i", str(EXAMPLE), "--list")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "__ansible_unsafe" not in listed.stdout
    hosts = json.loads(listed.stdout)["_meta"]["hostvars"]
    assert hosts[EU_PRODUCTION]["rotate_assume_role_arn"] == ROLE
    assert hosts["production"]["ansible_python_interpreter"] == "{{ ansible_playbook_python }}"
    assert hosts["production"]["ecs_fingerprint"] == fingerprint(VARIABLE, VALUE)


def test_the_second_run_comes_from_the_cache(aws: Simulator, tmp_path: Path, collections_path: str) -> None:
    two_accounts(aws)
    aws.create_environment("more", "secret", secrets={VARIABLE: secret(aws, OTHER)})
    aws.fault("ListClusters", "denied", times=None, region="eu-central-1", account=DEFAULT_ACCOUNT)
    cache = tmp_path / "cache"
    kept = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(cache)}
    arguments = ["-i", str(written(tmp_path, **BOTH, **kept, strict_permissions=False)), "--list"]
    runs = []
    flush = ("ansible-playbook", "keyturn.ecs.rotate", *arguments[:2], "--list-hosts", "--flush-cache")
    for line in (("ansible-inventory", *arguments), ("ansible-inventory", *arguments), flush):
        aws.clear_calls()
        done = command(aws, tmp_path, collections_path, *line)
        assert done.returncode == 0, done.stderr
        assert "Left out: Region eu-central-1: ecs:ListClusters" in " ".join(done.stderr.split())
        runs.append((done.stdout, sum(counted(aws).values())))
    assert runs[0][0] == runs[1][0]
    assert len(json.loads(runs[0][0])["_meta"]["hostvars"]) == 4
    assert [calls for _output, calls in runs] == [runs[0][1], 0, runs[0][1]]
    # What leaves something out does not do for who must not miss anything.
    written(tmp_path, **BOTH, **kept)
    done = command(aws, tmp_path, collections_path, "ansible-inventory", *arguments)
    assert done.returncode != 0
    assert "allow ecs:ListClusters" in " ".join(done.stderr.split())
    (file,) = cache.iterdir()
    assert fingerprint(VARIABLE, OTHER) in file.read_text()
    assert "CANARY" not in file.read_text()
    # Another question is not answered with what was kept.
    changed = written(tmp_path, **{**BOTH, "assume_role_arns": [ROLE]}, **kept)
    done = command(aws, tmp_path, collections_path, "ansible-inventory", "-i", str(changed), "--list")
    assert list(json.loads(done.stdout)["_meta"]["hostvars"]) == [EU_PRODUCTION]


def test_an_error_ends_the_command(aws: Simulator, tmp_path: Path, collections_path: str) -> None:
    two_accounts(aws)
    aws.fault("ListClusters", "denied", times=None)
    done = command(aws, tmp_path, collections_path, "ansible-inventory", "-i", str(written(tmp_path)), "--list")
    assert done.returncode != 0
    assert "allow ecs:ListClusters" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_calls_are_told_on_standard_error(aws: Simulator, tmp_path: Path, collections_path: str) -> None:
    two_accounts(aws)
    file = written(tmp_path, debug_botocore_endpoint_logs=True)
    done = command(aws, tmp_path, collections_path, "ansible-inventory", "-i", str(file), "--list")
    assert "ecs:DescribeTaskDefinition 3, ecs:ListClusters 1" in done.stderr
    json.loads(done.stdout)


def test_its_documentation_reads(aws: Simulator, tmp_path: Path, collections_path: str) -> None:
    done = command(aws, tmp_path, collections_path, "ansible-doc", "-t", "inventory", "keyturn.ecs.services")
    assert done.returncode == 0, done.stderr
    assert "strict_permissions" in done.stdout
    assert "keyed_groups" in done.stdout


def test_the_role_takes_its_hosts(aws: Simulator, tmp_path: Path, collections_path: str) -> None:
    two_accounts(aws)
    extra = {"rotate_verify_key": False, "rotate_log_scan": False}
    arguments = ["keyturn.ecs.rotate", "-i", str(EXAMPLE), "--check", "-e", json.dumps(extra)]
    done = command(
        aws, tmp_path, collections_path, "ansible-playbook", *arguments, OPENAI_API_KEY="sk-new-CANARY4444444444444444"
    )
    run = role_runs.Run(done.returncode, done.stdout)
    assert run.rc == 0, run.text + done.stderr
    assert set(run.recap) >= {"production", STAGING, EU_PRODUCTION}
    assert [run.changed(host) for host in ("production", STAGING, EU_PRODUCTION)] == [1, 1, 1], run.text
    assert counted(aws)["RegisterTaskDefinition"] == 0
