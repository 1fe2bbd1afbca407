# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What docs/docsite/rst/checklist.rst and statuses.rst name is there: variables, plugins, playbooks, files, columns."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = yaml.safe_load((ROOT / "roles/rotate/defaults/main.yml").read_text(encoding="utf-8"))
PAGES = {
    name: (ROOT / f"docs/docsite/rst/{name}.rst").read_text(encoding="utf-8") for name in ("checklist", "statuses")
}
PICTURE = ROOT / "docs/images/key_life.svg"


def names(text: str) -> set[str]:
    """FQCNs, without the last word for plugins' references of another form."""
    return set(re.findall(r"\bkeyturn\.ecs\.(\w+)", text)) - {"docsite"}


def there() -> set[str]:
    folders = ("plugins/modules/*.py", "plugins/inventory/*.py", "playbooks/*.yml", "roles/*")
    return {path.stem for pattern in folders for path in ROOT.glob(pattern)}


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_is_there(page: str) -> None:
    text = PAGES[page]
    assert set(re.findall(r"\brotate_\w+", text)) - {*DEFAULTS, "rotate_hosts", "rotate_serial"} == set()
    assert len(names(text)) > 3
    assert names(text) - there() == set()
    assert [path for path in re.findall(r"``(examples/[\w./-]+)``", text) if not (ROOT / path).exists()] == []


def test_every_step_of_the_list_is_there_once() -> None:
    assert re.findall(r"^   \* - (\d+)\. ", PAGES["checklist"], re.MULTILINE) == [str(step) for step in range(1, 13)]


def test_columns_of_the_table_are_the_roles() -> None:
    template = (ROOT / "roles/rotate/templates/table.txt.j2").read_text(encoding="utf-8")
    heads = re.search(r"lines=\[\[(.*?)\]\]", template)
    assert heads
    told = re.findall(r"``(\w+)`` in the table", PAGES["checklist"])
    assert len(told) > 5
    assert set(told) <= set(re.findall(r"'(\w+)'", heads[1]))


def test_members_of_the_report_are_the_roles() -> None:
    template = (ROOT / "roles/rotate/templates/rows.json.j2").read_text(encoding="utf-8")
    told = re.findall(r"``(\w+)`` in the report", PAGES["checklist"])
    assert len(told) > 3
    assert set(told) <= set(re.findall(r"^ +'(\w+)':", template, re.MULTILINE))


def test_picture_has_texts_for_those_who_do_not_see_it() -> None:
    """And it names what is there; its colours exist for a light and a dark background."""
    text = PICTURE.read_text(encoding="utf-8")
    tree = ElementTree.fromstring(text)
    space = {"svg": "http://www.w3.org/2000/svg"}
    told = {
        node.get("id"): node.text for tag in ("title", "desc") if (node := tree.find(f"svg:{tag}", space)) is not None
    }
    assert tree.get("role") == "img" and tree.get("aria-labelledby") == " ".join(told)
    assert all(told.values())
    assert names(text) - there() == set()
    light, dark = text.split("@media (prefers-color-scheme: dark)")
    classes = set(re.findall(r"\.(\w+) \{ [^}]*(?:fill|stroke): #", light.partition("<style>")[2]))
    assert classes == set(re.findall(r"\.(\w+) \{ [^}]*(?:fill|stroke): #", dark.partition("</style>")[0])) != set()
