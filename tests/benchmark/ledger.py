# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``ledger``: writers that append to one ledger at the same time, and whether every line is there afterwards.

    python tests/benchmark/ledger.py [LINES [LINES_IN_S3]]      one line; exit code 1 unless every line is there once

Two processes, 500 appends of one line each, first to a file, then to an object in moto's S3. What S3 takes to answer is
not in it. A write that is refused is one whose object the other writer had changed since it was read.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

if __name__ in ("__main__", "__mp_main__"):
    sys.path[:0] = [str(Path(__file__).resolve().parents[2])]
    __import__("conftest")  # makes the checkout importable

WRITERS, LINES = 2, 500
BUCKET, KEY = "ledgers", "rotations/2026.jsonl"
PATH = f"s3://{BUCKET}/{KEY}"


@dataclass
class Server:
    """An S3, and how many writes it has refused."""

    url: str = ""
    refused: int = 0


@contextlib.contextmanager
def s3_server() -> Iterator[Server]:
    """moto's S3 with one request at a time: it looks at a condition first and stores the object later.

    In S3 that is one step; the embedded AWS passes requests to moto side by side.
    """
    from moto.core.model_instances import reset_model_data
    from moto.moto_api._internal.models import moto_api_backend
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Silent(WSGIRequestHandler):
        def log(self, *_: Any) -> None:
            """Nothing."""

    application, one, found = DomainDispatcherApplication(create_backend_app), threading.Lock(), Server()

    def in_turn(environ: Any, start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, *more: Any) -> Any:
            found.refused += status.startswith("412")
            return start_response(status, *more)

        with one:
            return list(application(environ, start))

    server = make_server("127.0.0.1", 0, in_turn, threaded=True, request_handler=Silent)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        found.url = f"http://127.0.0.1:{server.server_port}"
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        reset_model_data()
        moto_api_backend.reset()


def connection(url: str) -> dict[str, Any]:
    """Options that reach it."""
    keys = {"access_key": "AKIAEXAMPLE000000000", "secret_key": "the-secret-key"}
    return {"endpoint_url": url, "region": "us-east-1", "validate_certs": True, **keys}


def client(url: str) -> Any:
    """A client of boto3's own."""
    import boto3

    make: Any = boto3.client
    return make(
        "s3", region_name="us-east-1", endpoint_url=url, aws_access_key_id="AKIAEXAMPLE000000000",
        aws_secret_access_key="the-secret-key",
    )  # fmt: skip


def entry(writer: int, number: int) -> dict[str, Any]:
    """Longer than a pipe's buffer would pass in one piece."""
    text = f"{writer}-{number} " * 1000 if number % 50 == 0 else "quarterly"
    return {"id": f"{writer}-{number}", "service": "elevareai-api", "reason": text}


def write(path: str, options: dict[str, Any], writer: int, lines: int) -> None:
    """One writer: a run for every line."""
    from ansible_collections.keyturn.ecs.plugins.module_utils._ledger.ledger import CAPABILITY

    given = dict.fromkeys(CAPABILITY.argument_spec)
    for number in range(lines):
        wanted = {**given, "debug_botocore_endpoint_logs": False, **options, "path": path}
        result = CAPABILITY.answer({**wanted, "entries": [entry(writer, number)]}, check_mode=False, diff=False)
        if result.get("appended") != 1:
            raise SystemExit(f"writer {writer}, line {number}: {result}")


@dataclass(frozen=True)
class Outcome:
    """How many lines there are, how many of those that were written are there as they were, and how long it took."""

    lines: int
    intact: int
    wanted: int
    seconds: float
    refused: int = 0

    @property
    def right(self) -> bool:
        return self.lines == self.intact == self.wanted


def race(path: str, options: dict[str, Any], read: Callable[[], str], lines: int = LINES) -> Outcome:
    """Let the writers write, and look."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=write, args=(path, options, writer, lines)) for writer in range(WRITERS)]
    begun = time.perf_counter()
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        if process.is_alive():
            process.kill()
    seconds = time.perf_counter() - begun
    found = read().splitlines()
    expected = {json.dumps(entry(writer, number)) for writer in range(WRITERS) for number in range(lines)}
    return Outcome(len(found), len(expected & set(found)), len(expected), seconds)


def in_file(folder: Path, lines: int = LINES) -> Outcome:
    path = folder / "ledger.jsonl"
    return race(str(path), {}, path.read_text, lines)


def in_bucket(server: Server, lines: int = LINES) -> Outcome:
    s3 = client(server.url)
    s3.create_bucket(Bucket=BUCKET)

    def read() -> str:
        text: str = s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read().decode()
        return text

    return replace(race(PATH, connection(server.url), read, lines), refused=server.refused)


def line(outcomes: dict[str, Outcome]) -> str:
    parts = [
        f"{name}: {one.intact} of {one.wanted} lines intact, {one.lines} in all, {one.seconds:.1f} s"
        + (f", {one.refused} writes refused and repeated" if one.refused else "")
        for name, one in outcomes.items()
    ]
    return f"ledger, {WRITERS} writers at once: {'; '.join(parts)}"


if __name__ == "__main__":
    COUNTS = [int(argument) for argument in sys.argv[1:]] or [LINES]
    with tempfile.TemporaryDirectory() as FOLDER, s3_server() as SERVER:
        OUTCOMES = {"file": in_file(Path(FOLDER), COUNTS[0]), "S3": in_bucket(SERVER, COUNTS[-1])}
    print(line(OUTCOMES))
    sys.exit(not all(one.right for one in OUTCOMES.values()))
