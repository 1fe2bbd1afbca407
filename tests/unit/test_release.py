# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What `make release-check` refuses, and that what would be built from this checkout is what users need."""

from __future__ import annotations

from pathlib import Path

import pytest

import release_check
from collection_tree import copied

CHANGELOG = """
releases:
  0.9.0: {changes: {release_summary: The one before.}}
  0.10.0: {changes: {release_summary: This one.}}
"""
TEXTS = {
    "changelogs/changelog.yaml": CHANGELOG,
    "CHANGELOG.rst": "v0.10.0\n=======\n\nv0.9.0\n======\n",
    "meta/runtime.yml": "requires_ansible: '>=2.16.0'\n",
    "README.md": "ansible-core 2.16 or newer",
    "roles/rotate/meta/main.yml": "min_ansible_version: '2.16'",
    "plugins/modules/one.py": "version_added: 0.2.0\n",
}


def test_this_checkout_is_built_of_what_users_need(tmp_path: Path) -> None:
    """As the archive is built, but for the changelog, which is written when a release is made."""
    with copied() as place:
        built = release_check.build(place, tmp_path)
    files = {*built.files, "CHANGELOG.rst", "changelogs/changelog.yaml"}
    texts = {name: built.read(name) for name in built.files if name.endswith((".md", ".rst"))}
    assert [*release_check.strangers(files), *release_check.dead_links(texts, files)] == []
    assert sum("](docs/" in text for text in texts.values()), "no link was looked at"


def test_strangers() -> None:
    files = [pattern.replace("*", "x") for pattern in release_check.SHIPPED]
    assert list(release_check.strangers(files)) == []
    (added,) = release_check.strangers([*files, "tests/unit/test_x.py"])
    assert added.startswith("tests/unit/test_x.py is built in")
    (missing,) = release_check.strangers(name for name in files if name != "COPYING")
    assert missing == "COPYING is not built in (the licence)."


def test_dead_links() -> None:
    files = ["README.md", "docs/iam/role.json", "docs/images/a.svg", "docs/docsite/rst/a.rst", "roles/r/README.md"]
    fine = {
        "README.md": "[a](docs/iam/role.json) [b](docs/iam) [c](https://x.invalid/y) [d](#a) ![e](docs/images/a.svg#x)",
        "roles/r/README.md": "[a](../../docs/iam/role.json)",
        "docs/docsite/rst/a.rst": ".. image:: /images/a.svg\n",
    }
    assert list(release_check.dead_links(fine, files)) == []
    dead = {"README.md": "[a](tests)", "roles/r/README.md": "[a](docs/iam)", "a.rst": ".. image:: /images/b.svg\n"}
    assert list(release_check.dead_links(dead, files)) == [
        "README.md leads to tests, which is not built in.",
        "roles/r/README.md leads to docs/iam, which is not built in.",
        "a.rst leads to images/b.svg, which is not built in.",
    ]


def test_versions_agree() -> None:
    assert list(release_check.versions(TEXTS, "0.10.0")) == []


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("CHANGELOG.rst", "v0.9.0\n======\n", "CHANGELOG.rst has no section v0.10.0."),
        ("README.md", "ansible-core 2.15", "README.md does not say 2.16, and requires_ansible"),
        ("plugins/modules/one.py", "    version_added: '0.11.0'\n", "plugins/modules/one.py has version_added 0.11.0"),
        ("changelogs/changelog.yaml", "releases: {0.10.0: {changes: {}}}", "has no release_summary for 0.10.0"),
        ("changelogs/changelog.yaml", "releases: {0.9.0: {changes: {release_summary: x}}}", "ends with 0.9.0"),
    ],
)
def test_versions_disagree(name: str, text: str, told: str) -> None:
    (complaint,) = release_check.versions({**TEXTS, name: text}, "0.10.0")
    assert told in complaint
