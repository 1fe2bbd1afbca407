# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""ansible-builder takes the example as it stands, and finds in the collection what it needs; no container engine."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import yaml

from collection_tree import copied

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(sysconfig.get_path("scripts"))


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / command[0]), *command[1:]],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_create_and_introspect(tmp_path: Path) -> None:
    """The commands that the example names; introspect looks at the collection as it is installed in the image."""
    folder = tmp_path / "execution-environment"
    shutil.copytree(ROOT / "examples/execution-environment", folder)
    with copied() as place:
        run(place, "ansible-galaxy", "collection", "build", "--output-path", str(folder))
    run(folder, "ansible-builder", "create")
    (archive,) = folder.glob("*.tar.gz")
    context = folder / "context"
    assert (context / "_build" / archive.name).read_bytes() == archive.read_bytes()
    installed = yaml.safe_load((context / "_build/requirements.yml").read_text())
    assert installed == {"collections": [{"name": archive.name, "type": "file"}]}

    tree = tmp_path / "image"
    run(folder, "ansible-galaxy", "collection", "install", "--offline", archive.name, "-p", str(tree))
    told = yaml.safe_load(run(folder, "ansible-builder", "introspect", "--sanitize", str(tree)))
    needed = (ROOT / "meta/ee-requirements.txt").read_text().split()
    assert told["python"] == [f"{line}  # from collection keyturn.ecs" for line in needed]
    assert told["system"] == []
