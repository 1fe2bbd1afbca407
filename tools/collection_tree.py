# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""This checkout as Ansible wants to see it: below ``ansible_collections/keyturn/ecs``, wherever it was cloned to."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMESPACE, NAME = "keyturn", "ecs"

# What a checkout without git metadata leaves out of a copy; with git, .gitignore decides.
LOCAL_ONLY = shutil.ignore_patterns(".git", ".*cache", ".venv", ".nox", ".ansible", ".hypothesis", "__pycache__",
                                    "build", "output", "*.tar.gz")  # fmt: skip


def link(parent: Path) -> Path:
    """Put a symbolic link to the checkout below `parent`; returns the link, ``…/ansible_collections/keyturn/ecs``."""
    place = parent / "ansible_collections" / NAMESPACE / NAME
    place.parent.mkdir(parents=True)
    place.symlink_to(ROOT, target_is_directory=True)
    return place


@contextlib.contextmanager
def linked() -> Iterator[Path]:
    """A temporary tree that holds a link to the checkout: enough for playbooks, ansible-doc, ansible-lint and mypy."""
    with tempfile.TemporaryDirectory(prefix="keyturn-tree-") as parent:
        yield link(Path(parent).resolve())


@contextlib.contextmanager
def copied() -> Iterator[Path]:
    """A temporary tree that holds a copy of the checkout, uncommitted files too: ansible-test refuses links."""
    with tempfile.TemporaryDirectory(prefix="keyturn-tree-") as parent:
        place = Path(parent).resolve() / "ansible_collections" / NAMESPACE / NAME
        place.parent.mkdir(parents=True)
        files = _known_to_git()
        if files is None:
            shutil.copytree(ROOT, place, symlinks=True, ignore=LOCAL_ONLY)
        for file in files or ():
            target = place / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, target, follow_symlinks=False)
        yield place


def _known_to_git() -> list[str] | None:
    """Tracked and new files, without ignored and deleted ones; None where git cannot tell."""
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "-co", "--exclude-standard"]
    try:
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    names = [name for name in listing.split("\0") if name]
    return [name for name in names if (ROOT / name).is_symlink() or (ROOT / name).is_file()] or None
