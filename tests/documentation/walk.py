# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A page as its reader goes through it: files are written, commands run, in order, on what ``make aws`` starts."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import re
import subprocess
import sys
import sysconfig
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import blocks

# Seconds of the embedded AWS to one of the test's.
SPEED = 60
# What is not run as it stands: pattern, and why. Such a command is still parsed.
NOT_EXECUTED = (
    (r"\. (\.venv|venv)/bin/activate", "the environment that runs the tests is active"),
    (r"make (?!aws)", "CI runs these targets, or takes them apart into what the tests run"),
    (r"(HYPOTHESIS_PROFILE|KEYTURN_DOCS)=", "a search takes as long as one lets it"),
    (r"\S*python tools/leak_matrix.py", "minutes; `tests/integration/test_leaks.py` runs its cases"),
    (r"ansible-galaxy collection build --output-path examples/", "`test_execution_environment.py` runs it"),
    (r"ansible-builder build", "needs a container engine; `test_execution_environment.py` runs `create`"),
    (r"ansible-playbook (awx|aap)\.yml", "needs a controller; `make awx` holds it against awx.awx's argument specs"),
    (r"cd (configure|examples/execution-environment|keyturn)", "only for a command that is not run"),
)
# Pages that are parsed only.
NOT_WALKED = {
    "howto_other_providers": "the embedded environments have no such variables; `test_role_providers.py` has",
}
# The end of a revocation that comes within an hour of the rotation, and no test waits for that to pass.
TOO_EARLY = "rotate_revoke_grace is 3600 s: wait, then run again. Nothing was revoked."
# From here on a page speaks of the reader's own account: nothing is written or run.
OWN_ACCOUNT = "export AWS_PROFILE="


@dataclasses.dataclass(frozen=True)
class Ran:
    """One command, run."""

    command: blocks.Command
    code: int
    text: str

    def complaints(self) -> list[str]:
        """Where page and truth differ."""
        name = f"{self.command.source}: `{self.command.text}`"
        fails = any(re.search(r"fatal: \[|FAILED!|failed=[1-9]", line) for line in self.command.output)
        if TOO_EARLY in self.text and self.code:
            return []
        if bool(self.code) != fails:
            return [f"{name} ended with {self.code}:\n{self.text}"]
        missing = _missing(self.command.output, self.text)
        return [] if missing is None else [f"{name} did not print\n{missing}\nin what it printed:\n{self.text}"]


def _missing(shown: Sequence[str], text: str) -> str | None:
    """The first line that the page shows and the output lacks, in this order; None when all are there."""
    printed = iter(plain(line) for line in text.splitlines())
    before = ""
    for line in shown:
        wanted = plain(line)
        if wanted in ("", "...", before):  # of several lines of progress one is enough: a quick rollout tells no more
            continue
        before = wanted
        parts = [re.escape(part.strip()) for part in wanted.split("...")]
        pattern = re.compile(".*".join(parts))
        if not any(pattern.search(one) for one in printed):
            return line
    return None


def plain(line: str) -> str:
    """A line without what differs from run to run, and without the quotes and commas of a list in JSON."""
    line = re.sub(r'^\s*"|",?\s*$', "", line)
    line = re.sub(r"sha256:[0-9a-f]{12}", "sha256:FINGERPRINT", line)
    line = re.sub(r"\b\d{4}-\d\d-\d\d(T[\d:]+Z)?\b", "DATE", line)
    line = re.sub(r"(\[[\w-]+\]) .*tasks on revision.*", r"\1 PROGRESS", line)
    line = re.sub(r"\bkey_\d+\b", "KEY_ID", line)
    line = re.sub(r"\b\d+(\.\d+)? (s|of its seconds)\b", r"N \2", line)
    line = re.sub(r"\b(\d/\d) +\d+\b", r"\1 SECONDS", line)
    return re.sub(r"\s+", " ", line).strip()


class Reader:
    """Somebody with an empty home, a checkout and a shell, who types what a page says.

    Args:
        home: an empty folder.
        checkout: a copy of the repository, whose build/ may be written to.
    """

    def __init__(self, home: Path, checkout: Path, collections: str = "") -> None:
        self.home, self.checkout = home, checkout
        self.folder = checkout
        self._state = home / ".state"
        self._aws: subprocess.Popen[str] | None = None
        self._said = ""
        scripts = sysconfig.get_path("scripts")
        kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TMPDIR") if name in os.environ}
        self._environment = {
            **kept,
            "HOME": str(home),
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORKS": "5",
            **({"ANSIBLE_COLLECTIONS_PATH": collections} if collections else {}),
        }
        self._state.write_text("")

    def aws(self) -> str:
        """What ``make aws`` does, in a terminal of its own; what it says."""
        if self._aws is not None:
            return self._said
        command = [sys.executable, "tests/demo/aws.py", f"--speed={SPEED}"]
        self._aws = subprocess.Popen(
            command,
            cwd=self.checkout,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._aws.stdout is not None
        for line in self._aws.stdout:
            self._said += line
            if line.startswith("Ctrl-C"):
                return self._said
        raise AssertionError(f"make aws did not start: {self._said}")

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._aws is not None:
            self._aws.terminate()
            self._aws.wait(10)
            assert self._aws.stdout is not None
            self._aws.stdout.close()

    def run(self, command: blocks.Command) -> Ran:
        """In a shell that goes on where the last one ended: same folder, same variables."""
        if re.match(r"make aws\b", command.text):
            return Ran(command, 0, self.aws())
        typed = self._typed(command.text)
        script = (
            f". {self._state}\n{command.text}\ncode=$?\nexport -p > {self._state}\npwd > {self._state}.cwd\nexit $code"
        )
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.folder, env=self._environment, input=typed,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", timeout=180, check=False,
        )  # fmt: skip
        self.folder = Path(Path(f"{self._state}.cwd").read_text().strip())
        return Ran(command, done.returncode, done.stdout)

    def write(self, block: blocks.Block) -> None:
        assert block.path
        file = self.folder / block.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.text + "\n")

    def _typed(self, text: str) -> str:
        """What the reader types when the shell reads a variable: a new key, or the admin key."""
        name = re.search(r"\bread -rs (\w+)", text)
        if name is None:
            return ""
        return (self.variables()["OPENAI_ADMIN_KEY"] if "ADMIN" in name[1] else self.new_key()) + "\n"

    def variables(self) -> dict[str, str]:
        """Of build/aws.env."""
        return dict(re.findall(r"^export (\w+)='(.*)'$", (self.checkout / "build/aws.env").read_text(), re.MULTILINE))

    def new_key(self) -> str:
        """One that the embedded OpenAI makes, as its web page would."""
        given = self.variables()
        url = f"{given['OPENAI_BASE_URL']}/organization/projects/proj_abc/service_accounts/svc_acct_abc/api_keys"
        headers = {"Authorization": f"Bearer {given['OPENAI_ADMIN_KEY']}", "Content-Type": "application/json"}
        request = urllib.request.Request(url, b'{"name": "elevareai-new"}', headers)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return str(json.load(answer)["value"])


def reason(command: blocks.Command) -> str:
    """Why a command is not executed; empty when it is."""
    return next((why for pattern, why in NOT_EXECUTED if re.match(pattern, command.text)), "")


def steps(page: Path) -> Iterator[blocks.Block | blocks.Command]:
    """What its reader does: blocks to write into a file, and commands."""
    for block in blocks.of_page(page):
        if block.language == "console":
            yield from blocks.commands(block)
        elif block.path:
            yield block


def planned(page: Path) -> Iterator[tuple[blocks.Block | blocks.Command, str]]:
    """Steps, each with the reason why it is not done; empty where it is."""
    why_not = NOT_WALKED.get(page.stem, "")
    for step in steps(page):
        if step.text.startswith(OWN_ACCOUNT):
            why_not = why_not or "the reader's own account"
        yield step, why_not or (reason(step) if isinstance(step, blocks.Command) else "")


def walk(page: Path, reader: Reader) -> Iterator[Ran]:
    """Do it: what ran."""
    for step, why_not in planned(page):
        if why_not:
            continue
        if isinstance(step, blocks.Block):
            reader.write(step)
        else:
            yield reader.run(step)


@contextlib.contextmanager
def beginner(home: Path, checkout: Path) -> Iterator[Reader]:
    """Who has nothing but the checkout."""
    with Reader(home, checkout) as reader:
        yield reader


@contextlib.contextmanager
def user(home: Path, checkout: Path, collections: str) -> Iterator[Reader]:
    """Who has made the first rotation's preparations: collection, embedded AWS, a folder with the inventory, a key."""
    with Reader(home, checkout, collections) as reader:
        reader.aws()
        reader.run(blocks.Command("", "set -a; . build/aws.env; set +a; mkdir -p ~/rotation; cd ~/rotation"))
        first = blocks.ROOT / "docs/docsite/rst/first_rotation.rst"
        for step in itertools.takewhile(lambda step: OWN_ACCOUNT not in step.text, steps(first)):
            if isinstance(step, blocks.Block):
                reader.write(step)
        reader.run(blocks.Command("", f"export OPENAI_API_KEY={reader.new_key()}"))
        yield reader
