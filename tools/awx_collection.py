# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Puts awx.awx below build/awx, for the checks of examples/awx.

It comes out of the package that requirements/awx.txt pins. That package is downloaded and not installed: it holds a
hundred collections, half a gigabyte of them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements/awx.txt"
PLACE = ROOT / "build/awx"
COLLECTION = PLACE / "ansible_collections/awx/awx"


def main() -> None:
    """Download and unpack, unless what the requirements name is there already."""
    made_of = PLACE / REQUIREMENTS.name
    if made_of.is_file() and made_of.read_bytes() == REQUIREMENTS.read_bytes():
        return
    with tempfile.TemporaryDirectory(prefix="keyturn-awx-") as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--quiet", "--disable-pip-version-check"]
        options = ["--no-deps", "--only-binary", ":all:", "--dest", folder, "--requirement", str(REQUIREMENTS)]
        subprocess.run([*pip, *options], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as packed:
            wanted = [name for name in packed.namelist() if name.startswith("ansible_collections/awx/awx/")]
            packed.extractall(PLACE, wanted)
    made_of.write_bytes(REQUIREMENTS.read_bytes())


if __name__ == "__main__":
    main()
