# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""ministack (PyPI), an AWS emulator that nobody here wrote, on a free port of the loopback.

    with another_endpoint.running(folder) as url: …

It starts no containers: without Docker's library it takes a task for running at once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "requirements" / "ministack.txt"
PLACE = ROOT / "build" / "ministack"
SECONDS_TO_START = 60.0


def interpreter() -> Path:
    """The Python that has ministack, installed now unless it is there at the versions that are pinned."""
    python, installed = PLACE / "bin" / "python", PLACE / "installed.txt"
    wanted = f"{sys.version}\n{REQUIREMENTS.read_text(encoding='utf-8')}"
    if not installed.exists() or installed.read_text(encoding="utf-8") != wanted:
        shutil.rmtree(PLACE, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(PLACE)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--requirement", str(REQUIREMENTS)], check=True)
        installed.write_text(wanted, encoding="utf-8")
    return python


@contextlib.contextmanager
def running(folder: Path) -> Iterator[str]:
    """A server of its own, which is gone afterwards, with its log in `folder`; gives its URL."""
    python = interpreter()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MINISTACK_", "DOCKER_"))}
    settings = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "TMPDIR": str(folder), "HOME": str(folder)}
    log = folder / "ministack.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(python), "-m", "ministack"], cwd=folder, env={**kept, **settings}, stdout=output, stderr=output
        )
    try:
        _wait_for(url, process, log)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), opener.open(f"{url}/_ministack/health", timeout=2):
            return
        time.sleep(0.1)
    raise AssertionError(f"ministack does not answer:\n{log.read_text(errors='replace')[-3000:]}")
