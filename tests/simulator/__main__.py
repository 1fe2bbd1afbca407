# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`PYTHONPATH=tests python -m simulator`: serve on 127.0.0.1 until the parent dies or a signal comes."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import signal
import sys
import threading
import time
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

from .clock import VirtualClock
from .server import Endpoint
from .state import Quirks, Timing
from .throttle import Buckets
from .world import World


class _Quiet(WSGIRequestHandler):
    """No access log: the call log has it."""

    def log(self, kind: str, message: str, *args: Any) -> None:
        if kind == "error" and "closed on purpose" not in (message % args if args else message):
            sys.stderr.write(f"simulator: {message % args if args else message}\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 (default): a free one")
    parser.add_argument("--speed", type=float, default=1.0, help="simulated seconds per real second")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start-at", type=float, help="epoch seconds at which the virtual clock starts (now)")
    parser.add_argument("--no-throttling", action="store_true", help="no token buckets")
    parser.add_argument("--virtual-throttling", action="store_true", help="token buckets run on the virtual clock")
    parser.add_argument("--timing", type=json.loads, default={}, help="durations as JSON, e.g. '{\"drain\": 5}'")
    parser.add_argument("--started-by", choices=("deployment", "service_name"), default="deployment")
    parser.add_argument("--service-deployments", choices=("full", "empty", "missing"), default="full")
    parser.add_argument("--check-secrets", action="store_true", help="tasks fail whose secrets moto does not have")
    parser.add_argument("--enforce-roles", action="store_true", help="and those that the execution role may not read")
    parser.add_argument("--enforce-callers", action="store_true", help="sessions of a role do what its policies allow")
    parser.add_argument("--parent-pid", type=int, help="exit when this process is gone")
    parser.add_argument("--print-ready", action="store_true", help="print one line of JSON with the URL when ready")
    return parser.parse_args()


def _watch(parent: int) -> None:
    """Exit with the parent: when its pid is gone or this process was given to another parent."""
    direct = os.getppid() == parent
    while True:
        time.sleep(0.5)
        try:
            os.kill(parent, 0)
        except ProcessLookupError:
            os._exit(0)
        except PermissionError:
            pass
        if direct and os.getppid() != parent:
            os._exit(0)


def endpoint(arguments: argparse.Namespace) -> Endpoint:
    clock = VirtualClock(arguments.speed, arguments.start_at)
    timing = dataclasses.replace(Timing(), **arguments.timing)
    quirks = Quirks(arguments.started_by, arguments.service_deployments)
    now = clock.now if arguments.virtual_throttling else time.monotonic
    return Endpoint(
        World(arguments.seed, timing, quirks, arguments.check_secrets, arguments.enforce_roles),
        clock,
        Buckets(not arguments.no_throttling, now),
        arguments.enforce_callers,
    )


def main() -> None:
    arguments = _arguments()
    # Whatever the surroundings say, moto must never reach for a real AWS or a real account's keys.
    os.environ.update(AWS_ACCESS_KEY_ID="simulator", AWS_SECRET_ACCESS_KEY="simulator")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    server = make_server("127.0.0.1", arguments.port, endpoint(arguments), threaded=True, request_handler=_Quiet)
    if arguments.parent_pid:
        threading.Thread(target=_watch, args=(arguments.parent_pid,), daemon=True).start()
    if arguments.print_ready:
        print(json.dumps({"url": f"http://127.0.0.1:{server.server_port}", "pid": os.getpid()}), flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
