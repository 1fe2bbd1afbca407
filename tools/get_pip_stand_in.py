# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Does for ansible-test what get-pip.py does, where only a package index can be reached.

ansible-test fills its own environments with a bootstrap script that it downloads once and keeps. `install` puts this
file in that place when there is none; run as that script, it takes pip from the interpreter itself and then installs
what ansible-test asks for from the package index, with pip's own settings.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

CACHE = Path("~/.ansible/test/cache").expanduser()


def install() -> None:
    """Put this file where ansible-test looks for its bootstrap script, unless one is there."""
    package = importlib.util.find_spec("ansible_test")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("ansible-test is not installed")
    source = Path(package.submodule_search_locations[0], "_internal", "python_requirements.py")
    # The name carries the version of pip that this ansible-core has pinned, with underscores.
    for version in set(re.findall(r"\bpip='([0-9.]+)'", source.read_text(encoding="utf-8"))):
        place = CACHE / f"get_pip_{version.replace('.', '_')}.py"
        if not place.exists():
            CACHE.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(__file__, place)


def main() -> None:
    """Stand in for get-pip.py: the arguments are those of ``pip install``, and two that only get-pip.py knows."""
    wanted = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
    subprocess.check_call([sys.executable, "-m", "ensurepip", "--default-pip"], stdout=subprocess.DEVNULL)
    subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", *wanted])


if __name__ == "__main__":
    main()
