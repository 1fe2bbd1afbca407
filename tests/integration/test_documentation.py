# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every block of the documentation parses and names only what there is; pages are walked through as a reader would.

By default the first rotation is walked, the rest with ``KEYTURN_DOCS=all``. ``-s`` prints the counts.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader

from collection_tree import copied
from documentation import blocks, checks, walk
from simulator import Simulator

PAGES = blocks.pages()
FIRST = blocks.ROOT / "docs/docsite/rst/first_rotation.rst"
# Those that begin where the first rotation ends.
WALKED = [
    page
    for page in blocks.PAGES
    if page != FIRST
    if any(isinstance(step, blocks.Command) and not why_not for step, why_not in walk.planned(page))
]
ALL = os.environ.get("KEYTURN_DOCS") == "all"


def assert_none(complaints: Iterable[str]) -> None:
    """What is wrong is told line by line, and whole."""
    told = list(complaints)
    if told:
        pytest.fail("\n".join(told), pytrace=False)


def of(language: str) -> list[blocks.Block]:
    return [block for block in PAGES if block.language == language]


def files(source: str) -> dict[str, str]:
    """What a reader of a page has written: by that page, and by the first rotation, where how-to pages begin."""
    sources = (FIRST.relative_to(blocks.ROOT).as_posix(), source)
    return {block.path: block.text for block in PAGES if block.path and block.source in sources}


@pytest.fixture(scope="module")
def checkout() -> Iterator[Path]:
    with copied() as place:
        yield place


# Parsed


def test_every_block_is_of_a_language_that_is_handled() -> None:
    handled = {"console", "yaml", "json", "ini", "text"}
    assert_none(f"{block.name}: {block.language!r}" for block in PAGES if block.language not in handled)
    assert len(PAGES) > 30  # the extractor finds what there is


def test_commands_parse_and_name_what_there_is() -> None:
    given = [command for block in of("console") for command in blocks.commands(block)] + blocks.in_comments()
    assert_none(line for command in given for line in checks.command(command, files(command.source)))


def test_yaml_is_of_a_known_kind_and_names_what_there_is() -> None:
    assert_none(line for block in [*of("yaml"), *blocks.examples()] for line in checks.yaml_block(block))


def test_json_ini_and_tables() -> None:
    assert_none(line for block in of("ini") for line in checks.ini_block(block))
    assert_none(line for block in of("json") for line in checks.json_block(block))
    assert_none(line for block in of("text") for line in checks.text_block(block))


def test_playbooks_pass_the_syntax_check(tmp_path: Path, collections_path: str) -> None:
    """All at once; tasks in a play of their own."""
    names = []
    for number, block in enumerate([*of("yaml"), *blocks.examples()]):
        kind, data = checks.kind(block), blocks.loaded(block)
        if kind in ("playbook", "tasks"):
            names.append(f"{number}.yml")
            plays = data if kind == "playbook" else [{"hosts": "localhost", "tasks": data}]
            (tmp_path / names[-1]).write_text(yaml.safe_dump(plays))
    command = [sys.executable, f"{sysconfig.get_path('scripts')}/ansible-playbook", "--syntax-check", *names]
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": collections_path, "ANSIBLE_HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("playbook: ") == len(names) > 10


def test_inventories_are_read_as_they_are_meant(tmp_path: Path) -> None:
    for block in of("yaml"):
        if checks.kind(block) == "inventory":
            file = tmp_path / "environments.yml"
            file.write_text(block.text)
            found = InventoryManager(DataLoader(), [str(file)])
            assert found.get_hosts("environments"), block.name


# Walked


def walked(page: Path, reader: walk.Reader) -> int:
    """Go through a page; the number of its commands that ran. Fails where the page promises what is not so."""
    done = []
    for ran in walk.walk(page, reader):
        assert_none(ran.complaints())
        done.append(ran)
    return len(done)


@pytest.mark.parametrize("page", [FIRST, *(WALKED if ALL else ())], ids=lambda page: page.stem)
def test_page(page: Path, tmp_path: Path, checkout: Path, collections_path: str) -> None:
    """The first rotation begins with the checkout alone and installs what it builds; the others begin after it."""
    start = walk.beginner(tmp_path, checkout) if page == FIRST else walk.user(tmp_path, checkout, collections_path)
    with start as reader:
        number = walked(page, reader)
    print(f"{page.relative_to(blocks.ROOT)}: {number} commands ran")
    assert number
    installed = (tmp_path / ".ansible/collections/ansible_collections/keyturn/ecs/MANIFEST.json").exists()
    assert installed is (page == FIRST)


# EXAMPLES that end with a task which cannot succeed here, and why. All before it are run, and it fails.
STOPS_AT = {
    "api_key_probe": "Ask Anthropic whether the new key is accepted",  # there is no such key, and nobody to ask
    "dotenv_value": "The same on every developer's machine that has the variable",  # there are no such machines
    "ecs_env_rotate": "Rotate in another account, and only if nobody did since",  # the key has another fingerprint
    "ecs_log_scan": "Accept a clean log only if there was one",  # there is none
    "ledger": "Record it in a bucket of the security account",  # there is no S3, nor anything to record
}
BEFORE = [
    {
        "name": "Let the rotation of the example before end",
        "keyturn.ecs.ecs_rollout_wait": {"cluster": "elevareai-cluster", "service": "elevareai-api"},
        "failed_when": False,
    },
    {
        "name": "Let there be a rotation",
        "keyturn.ecs.ecs_env_rotate": {
            "cluster": "elevareai-cluster", "service": "elevareai-api", "variable": "OPENAI_API_KEY",
            "value": "{{ lookup('ansible.builtin.env', 'OPENAI_API_KEY') }}",
        },
        "register": "rotation",
    },
    {
        "name": "Let it end",
        "keyturn.ecs.ecs_rollout_wait": {"cluster": "elevareai-cluster", "service": "elevareai-api"},
    },
]  # fmt: skip


@pytest.mark.parametrize("every", [True] if ALL else [False], ids=lambda every: "all" if every else "one")
def test_examples_of_modules(every: bool, tmp_path: Path, checkout: Path, collections_path: str) -> None:
    """They run as they stand, one module after the other, on the three environments. By default one of them does."""
    found = [block for block in blocks.examples() if checks.kind(block) == "tasks"]
    wanted = found if every else [block for block in found if Path(block.source).stem == "ecs_env_info"]
    with walk.user(tmp_path, checkout, collections_path) as reader:
        (tmp_path / "src/elevareai-api").mkdir(parents=True)
        (tmp_path / "src/elevareai-api/.env").touch()
        aws = Simulator(reader.variables()["AWS_ENDPOINT_URL"])
        aws.create_environment(
            "elevareai-cluster", "elevareai-worker", environment={"OPENAI_API_KEY": "sk-proj-worker"}
        )
        for block in wanted:
            name = Path(block.source).stem
            play = {"hosts": "localhost", "gather_facts": False, "tasks": [*BEFORE, *blocks.loaded(block)]}
            play["vars"] = {"ansible_python_interpreter": sys.executable, "rotate_project_name": "elevareai"}
            (reader.folder / "example.yml").write_text(yaml.safe_dump([play]))
            reader.run(blocks.Command("", f"export AWS_REGION=us-east-1 OPENAI_API_KEY={reader.new_key()}"))
            ran = reader.run(blocks.Command("", "ansible-playbook -i inventory example.yml"))
            stopped = re.findall(r"^TASK \[(.*)\]", ran.text, re.MULTILINE)[-1] if ran.code else None
            assert stopped == STOPS_AT.get(name), ran.text


# What a beginner gets wrong, all in one run: host variables, what is said, and how the page about it puts that.
MISTAKES = {
    "nowhere": ({"rotate_region": ""}, "No AWS Region is known: set", "No AWS Region is known"),
    "misspelt": (
        {"rotate_cluster": "elevaraei-cluster"},
        "Cluster not found. Check cluster, region (us-east-1)",
        "or no cluster",
    ),
    "elsewhere": (
        {"rotate_region": "eu-west-1"},
        "Check cluster, region (eu-west-1) and the account.",
        "no service, or no",
    ),
    "nobody": ({"rotate_service": "api"}, "There is no service api in cluster elevareai-cluster", "no service"),
    "copied": (
        {"rotate_value": "sk-proj-copied\n"},
        "value has white space or a newline",
        "value has white space or a newline",
    ),
    "cut-off": (
        {"rotate_value": "sk-proj-cut"},
        "refuses the key (HTTP 401, invalid_api_key)",
        "refuses the key (HTTP 401",
    ),
    "silent": ({"rotate_endpoint_url": "http://127.0.0.1:9"}, 'endpoint URL: "http://127.0.0.1:9/".', ""),
}


def test_mistakes_lead_on(tmp_path: Path, checkout: Path, collections_path: str) -> None:
    """Each message names the mistake, in the words that the page has, and ends before the next sentence begins."""
    right = {"rotate_project_name": "elevareai", "rotate_region": "us-east-1"}
    hosts = {name: {**right, **wrong} for name, (wrong, *_words) in MISTAKES.items()}
    with walk.user(tmp_path, checkout, collections_path) as reader:
        (reader.folder / "mistakes.yml").write_text(yaml.safe_dump({"environments": {"hosts": hosts}}))
        key = reader.new_key()
        ran = reader.run(
            blocks.Command("", f"OPENAI_API_KEY={key} ansible-playbook -i mistakes.yml keyturn.ecs.rotate -f 7")
        )
        cut = reader.run(
            blocks.Command(
                "", "ansible-playbook -i mistakes.yml keyturn.ecs.verify -l nobody -e rotate_reason='a laptop'"
            )
        )
    fatal = dict(re.findall(r"^fatal: \[([\w-]+)\]: FAILED! => (.*)$", ran.text, re.MULTILINE))
    for name, (_wrong, said, on_the_page) in MISTAKES.items():
        assert said in json.loads(fatal[name])["msg"], fatal[name]
        assert f". Nothing was changed in {name}. To go on: remove the cause" in fatal[name]
        assert on_the_page in FIRST.read_text()
    assert "everything behind the first blank was lost" in cut.text


def test_counts() -> None:
    """What stands under "documentation" in a report."""
    kinds: Counter[Any] = Counter(
        f"yaml, {checks.kind(block)}" if block.language == "yaml" else block.language
        for block in PAGES + blocks.examples()
    )
    reasons = Counter(
        why_not or "executed"
        for page in blocks.PAGES
        for step, why_not in walk.planned(page)
        if isinstance(step, blocks.Command)
    )
    reasons["told in a comment of an example"] = len(blocks.in_comments())
    for name, number in [*sorted(kinds.items()), *reasons.most_common()]:
        print(f"{number:5} {name}")
    assert [why for _pattern, why in walk.NOT_EXECUTED if not reasons[why]] == []
