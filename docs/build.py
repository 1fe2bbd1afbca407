# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Build the documentation site: plugins' and role's pages from their own documentation, guides from docs/docsite."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import collection_tree  # noqa: E402

SOURCE, SITE = ROOT / "build/docs-source", ROOT / "build/docs"


def main() -> int:
    """Write reStructuredText below build/docs-source, then HTML below build/docs; a warning fails the build."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    SOURCE.mkdir(parents=True, mode=0o700)
    scripts = sysconfig.get_path("scripts")
    generator = os.path.join(scripts, "antsibull-docs")
    with collection_tree.linked() as place:
        path = f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}"  # it calls ansible-doc
        environment = {**os.environ, "PATH": path, "ANSIBLE_COLLECTIONS_PATH": str(place.parents[2])}
        generate = [sys.executable, generator, "collection", "--use-current", "--squash-hierarchy", "--fail-on-error"]
        subprocess.run([*generate, "--dest-dir", str(SOURCE), "keyturn.ecs"], cwd=place, env=environment, check=True)
    shutil.copytree(ROOT / "docs" / "images", SOURCE / "images")
    render = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "-b", "html"]
    render += ["-c", str(ROOT / "docs"), *sys.argv[1:], str(SOURCE), str(SITE)]
    code = subprocess.run(render, check=False).returncode
    if code == 0:
        print(f"Built {SITE / 'index.html'}")
    return code


if __name__ == "__main__":
    sys.exit(main())
