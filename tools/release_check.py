# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Is what lies here fit to be released? Builds the collection from what git knows, and looks at it as its users will.

    make release-check

What is built stays below build/release. Nothing is published, and nothing in the checkout is changed: where the
changelog of the version in galaxy.yml is not written yet, it is written in the copy that is built.
"""

from __future__ import annotations

import datetime
import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import yaml

import collection_tree

ROOT = collection_tree.ROOT
SCRIPTS = Path(sysconfig.get_path("scripts"))
PLACE = ROOT / "build/release"
REQUIREMENTS = ROOT / "requirements/release.txt"
LARGEST = 1_000_000  # bytes of the archive: a picture more than the README shows would be noticed

# The files that users get, and what for. Each pattern must match something, and each file match a pattern.
SHIPPED: Mapping[str, str] = {
    "MANIFEST.json": "ansible-galaxy writes it",
    "FILES.json": "ansible-galaxy writes it",
    "COPYING": "the licence",
    "README.md": "Galaxy's page of the collection",
    "CONTRIBUTING.md": "the README leads there",
    "CHANGELOG.rst": "what changed, for people",
    "changelogs/changelog.yaml": "what changed, for Galaxy and the documentation of Ansible",
    "meta/*": "the ansible-core it needs, its action group, what an execution environment installs",
    "plugins/*.py": "modules, actions, the inventory plugin, and what they are made of",
    "playbooks/*.yml": "keyturn.ecs.rotate and the others",
    "roles/rotate/*": "the role",
    "docs/docsite/*": "the guides, in the form in which the documentation of Ansible takes them",
    "docs/iam/*.json": "policies to copy; the README leads there",
    "docs/images/*": "pictures of the README and the guides",
    "examples/*": "inventories and projects to copy; the README leads there",
    ".ansible-lint": "what Galaxy lints by",
}
# Reserved names that lead nowhere (RFC 2606). Galaxy takes no collection whose galaxy.yml has no repository.
STAND_IN = "https://repository.invalid/keyturn/ecs"

MARKDOWN_LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")
RST_IMAGE = re.compile(r"^\s*\.\. (?:image|figure):: /(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Built:
    """The archive, and the names of the files in it."""

    archive: Path
    files: tuple[str, ...]

    def read(self, name: str) -> str:
        with tarfile.open(self.archive) as packed:
            found = packed.extractfile(name)
            assert found
            return found.read().decode("utf-8")


def run(command: Sequence[str | Path], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command, both its outputs in one, with the scripts of this Python before all others."""
    path = f"{SCRIPTS}{os.pathsep}{os.environ.get('PATH', '')}"
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, "PATH": path, "NO_COLOR": "1", "ANSIBLE_NOCOLOR": "1", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def script(name: str) -> list[str | Path]:
    """A command that a package has put beside this Python."""
    return [sys.executable, SCRIPTS / name]


# What is built


def metadata(place: Path) -> dict[str, object]:
    found: dict[str, object] = yaml.safe_load((place / "galaxy.yml").read_text(encoding="utf-8"))
    return found


def write_changelog(place: Path) -> list[str]:
    """Release the version of galaxy.yml in the copy, unless that was done; complaints."""
    version = str(metadata(place)["version"])
    written = place / "changelogs/changelog.yaml"
    releases = yaml.safe_load(written.read_text(encoding="utf-8"))["releases"] if written.exists() else {}
    for command in (["lint"], *([] if version in releases else [["release", "--date", _today()]])):
        done = run([*script("antsibull-changelog"), *command], place)
        if done.returncode:
            return [f"antsibull-changelog {command[0]}: {done.stdout.strip()}"]
    if any((place / "changelogs/fragments").glob("*.y*ml")):
        return [f"changelogs: {version} is released, and there are fragments still: raise version in galaxy.yml."]
    return []


def _today() -> str:
    return datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat()


def build(place: Path, into: Path) -> Built:
    into.mkdir(parents=True, exist_ok=True)
    done = run([*script("ansible-galaxy"), "collection", "build", "--force", "--output-path", into], place)
    if done.returncode:
        raise SystemExit(done.stdout)
    (archive,) = into.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        files = tuple(sorted(member.name for member in packed if not member.isdir()))
    return Built(archive, files)


# What is in it


def strangers(files: Iterable[str]) -> Iterator[str]:
    """Files that no user needs, and what users need and do not get."""
    names = list(files)
    for name in names:
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in SHIPPED):
            yield f"{name} is built in, and no user needs it: name it under build_ignore in galaxy.yml, or in SHIPPED."
    for pattern, purpose in SHIPPED.items():
        if not fnmatch.filter(names, pattern):
            yield f"{pattern} is not built in ({purpose})."


def dead_links(texts: Mapping[str, str], files: Iterable[str]) -> Iterator[str]:
    """Links in Markdown, and pictures in the guides, that lead to nothing that is built in."""
    known = {*files, *(str(folder) for name in files for folder in PurePosixPath(name).parents)}
    for name, text in texts.items():
        found = MARKDOWN_LINK.findall(text) if name.endswith(".md") else RST_IMAGE.findall(text)
        folder = os.path.dirname(name) if name.endswith(".md") else "docs"
        for target in found:
            if os.path.normpath(os.path.join(folder, target)) not in known:
                yield f"{name} leads to {target}, which is not built in."


def versions(texts: Mapping[str, str], version: str) -> Iterator[str]:
    """Places that tell another version than galaxy.yml, or one that is still to come."""
    changelog = yaml.safe_load(texts["changelogs/changelog.yaml"])
    newest = max(changelog["releases"], key=_parts, default="none")
    if newest != version:
        yield f"changelogs/changelog.yaml ends with {newest}, and galaxy.yml says {version}."
    if not re.search(rf"^v{re.escape(version)}\n=+$", texts["CHANGELOG.rst"], re.MULTILINE):
        yield f"CHANGELOG.rst has no section v{version}."
    if not changelog["releases"].get(newest, {}).get("changes", {}).get("release_summary"):
        yield f"changelogs/changelog.yaml has no release_summary for {newest}."
    for name, text in texts.items():
        for added in re.findall(r"^\s*version_added: ['\"]?([\d.]+)", text, re.MULTILINE):
            if _parts(added) > _parts(version):
                yield f"{name} has version_added {added}, and galaxy.yml says {version}."
    told = yaml.safe_load(texts["meta/runtime.yml"])["requires_ansible"]
    needed = told.removeprefix(">=").removesuffix(".0")
    for name in ("README.md", "roles/rotate/meta/main.yml"):
        if needed not in texts[name]:
            yield f"{name} does not say {needed}, and requires_ansible in meta/runtime.yml is {told}."


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


# What it does


def plugins(files: Iterable[str]) -> dict[str, list[str]]:
    """What ansible-doc must know, by its type."""
    found: dict[str, list[str]] = {"role": ["keyturn.ecs.rotate"]}
    for name in files:
        kind, *rest = name.removeprefix("plugins/").split("/", 1)
        file = rest[0] if rest else ""
        if kind in ("modules", "inventory") and file.endswith(".py"):
            found.setdefault(kind.removesuffix("s"), []).append(f"keyturn.ecs.{file.removesuffix('.py')}")
    return found


def installed(built: Built, home: Path) -> Iterator[str]:
    """Install it where nothing else is, let ansible-doc tell of all of it, and check the syntax of every playbook."""
    environment = {"ANSIBLE_COLLECTIONS_PATH": str(home), "ANSIBLE_HOME": str(home / "home")}
    options = ["collection", "install", "--offline", built.archive, "-p", home]
    done = run([*script("ansible-galaxy"), *options], home, **environment)
    if done.returncode:
        yield f"ansible-galaxy collection install: {done.stdout.strip()}"
        return
    for kind, names in plugins(built.files).items():
        done = run([*script("ansible-doc"), "--json", "--type", kind, *names], home, **environment)
        told = json.loads(done.stdout) if done.returncode == 0 and done.stdout.startswith("{") else {}
        for name in names:
            if not (told.get(name, {}).get("doc") or told.get(name, {}).get("entry_points")):
                yield f"ansible-doc --type {kind} {name}: {done.stdout.strip()[-2000:]}"
        print(f"  ansible-doc tells of {len(told)} of type {kind}")
    place = home / "ansible_collections/keyturn/ecs"
    own = [f"keyturn.ecs.{path.stem}" for path in sorted((place / "playbooks").glob("*.yml"))]
    others = [str(path) for path in sorted((place / "examples").glob("*.yml"))]
    inventory = ["-i", str(place / "examples/inventory")]
    for playbook in [*own, *others]:
        done = run([*script("ansible-playbook"), "--syntax-check", *inventory, playbook], home, **environment)
        if done.returncode or "WARNING" in done.stdout:
            yield f"ansible-playbook --syntax-check {playbook}: {done.stdout.strip()}"
    print(f"  ansible-playbook has read {len(own)} playbooks and {len(others)} examples")


# What Galaxy says of it


def importer() -> Path:
    """An environment with what requirements/release.txt names, made when it is needed; its folder of commands."""
    folder = PLACE / "venv"
    made_of = folder / REQUIREMENTS.name
    if not made_of.is_file() or made_of.read_bytes() != REQUIREMENTS.read_bytes():
        print("Installing what requirements/release.txt names ...", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        pip = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", REQUIREMENTS], check=True)
        shutil.copy(REQUIREMENTS, made_of)
    return folder / "bin"


def imported(archive: Path, commands: Path) -> tuple[str, list[str]]:
    """What galaxy-importer prints, apart from what it loads, and its complaints."""
    environment = {
        "PATH": f"{commands}{os.pathsep}{os.environ.get('PATH', '')}",
        "GALAXY_IMPORTER_CHECK_REQUIRED_TAGS": "true",
        "ANSIBLE_HOME": str(archive.parent / "home"),
    }
    done = run([commands / "python", "-m", "galaxy_importer.main", archive.name], archive.parent, **environment)
    lines = [line for line in done.stdout.splitlines() if line.strip() and not line.startswith("Loading ")]
    wrong = [line for line in lines if re.match(r"WARNING|ERROR", line)]
    if done.returncode or "Importer processing completed successfully" not in lines:
        wrong = wrong or [f"it ended with {done.returncode}: {done.stdout[-2000:]}"]
    return "\n".join(f"  {line}" for line in lines), [f"galaxy-importer: {line}" for line in wrong]


def listing(built: Built) -> str:
    """Files and bytes by what SHIPPED calls them, and the size of the archive."""
    count: Counter[str] = Counter()
    size: Counter[str] = Counter()
    with tarfile.open(built.archive) as packed:
        for member in packed:
            group = next((one for one in SHIPPED if fnmatch.fnmatchcase(member.name, one)), "others")
            count[group] += member.isfile()
            size[group] += member.size
    rows = [f"  {count[group]:4} {size[group]:9,}  {group}" for group in [*SHIPPED, "others"] if count[group]]
    total = f"  {sum(count.values()):4} {sum(size.values()):9,}  in all; packed {built.archive.stat().st_size:,} bytes"
    return "\n".join(["  files    bytes", *rows, total])


def check(place: Path) -> list[str]:
    """Build and look; every complaint."""
    wrong = write_changelog(place)
    if wrong:
        return wrong
    about = metadata(place)
    built = build(place, PLACE)
    print(f"=== {built.archive.name} ===\n{listing(built)}", flush=True)
    (PLACE / "files.txt").write_text("".join(f"{name}\n" for name in built.files), encoding="utf-8")
    texts = {name: built.read(name) for name in built.files if name.endswith((".md", ".rst", ".yml", ".yaml", ".py"))}
    wrong += [*strangers(built.files), *dead_links(texts, built.files), *versions(texts, str(about["version"]))]
    if built.archive.stat().st_size > LARGEST:
        wrong.append(f"The archive is larger than {LARGEST:,} bytes.")
    print("=== installed ===", flush=True)
    with tempfile.TemporaryDirectory(prefix="keyturn-release-") as home:
        wrong += installed(built, Path(home).resolve())
    print("=== galaxy-importer ===", flush=True)
    with tempfile.TemporaryDirectory(prefix="keyturn-release-") as home:
        archive = built.archive
        if not about.get("repository"):
            with (place / "galaxy.yml").open("a", encoding="utf-8") as file:
                file.write(f"repository: {STAND_IN}\n")
            archive = build(place, Path(home).resolve()).archive
        told, complaints = imported(archive, importer())
        print(told, flush=True)
    if not about.get("repository"):
        print("To do before the first upload: galaxy.yml names no repository, and Galaxy refuses what has none.\n"
              "It was imported with a stand-in.")  # fmt: skip
    return wrong + complaints


def main() -> int:
    """Check, report; 1 when it is not fit to be released."""
    for old in PLACE.glob("*.tar.gz"):
        old.unlink()
    changes = run(["git", "status", "--porcelain"], ROOT).stdout.splitlines()
    if changes:
        print(f"With {len(changes)} change(s) that are not committed.")
    with collection_tree.copied() as place:
        wrong = check(place)
    print("=== release ===")
    for line in wrong:
        print(f"  {line}")
    print(f"{len(wrong)} complaint(s)" if wrong else "Fit to be released.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
