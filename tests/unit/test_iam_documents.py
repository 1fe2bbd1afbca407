# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The policies of docs/iam, the page that explains them and the README say the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "docs/iam").glob("*.json"))
PAGE = (ROOT / "docs/docsite/rst/iam.rst").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
POLICIES: dict[str, Any] = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in FILES}
# Words that stand for a name: in capitals, as no action is.
WORD = re.compile(r"\b[A-Z][A-Z_]+\b")
MOST = 6144  # characters of a managed policy, white space not counted


def test_the_page_has_every_policy_and_no_other() -> None:
    blocks = re.findall(r"\.\. code-block:: json\n\n((?:   .*\n|\n)+)", PAGE + "\n")
    shown = [json.loads(block) for block in blocks]
    assert len(shown) == len(FILES)
    assert all(document in shown for document in POLICIES.values())
    # Statements that the text names are there.
    prose = re.sub(r"\.\. code-block:: json\n\n(?:   .*\n|\n)+", "", PAGE + "\n")
    sids = {statement["Sid"] for document in POLICIES.values() for statement in document["Statement"]}
    named = set(re.findall(r"``([A-Z][a-z]+(?:[A-Z][a-z]*)*)``", prose)) - {"AmazonECSTaskExecutionRolePolicy"}
    assert named and named <= sids


def test_words_to_replace_are_explained() -> None:
    used = {word for file in FILES for word in WORD.findall(file.read_text(encoding="utf-8"))}
    explained = {word for line in re.findall(r"\* - (``.*)\n", PAGE) for word in WORD.findall(line)}
    assert used == explained


def test_the_readme_names_every_policy() -> None:
    linked = set(re.findall(r"\(docs/iam/(\w+)\.json\)", README))
    assert linked == set(POLICIES)


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_is_one_that_iam_takes(name: str) -> None:
    document = POLICIES[name]
    assert document["Version"] == "2012-10-17"
    assert len("".join(json.dumps(document).split())) < MOST
    sids = [statement["Sid"] for statement in document["Statement"]]
    assert len(set(sids)) == len(sids)
    for statement in document["Statement"]:
        assert re.fullmatch(r"[A-Za-z0-9]+", statement["Sid"])
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert all(re.fullmatch(r"[a-z0-9]+:[A-Za-z]+", action) for action in actions), "no wildcards"
