# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`PYTHONPATH=tests python -m openai`: serve on 127.0.0.1 until a signal comes; prints one line of JSON when ready."""

from __future__ import annotations

import argparse
import json
import os
import signal
import threading

from .provider import ADMIN_KEY, Provider


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m openai", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 (default): a free one")
    parser.add_argument("--admin-key", default=ADMIN_KEY)
    parser.add_argument("--project", action="append", default=[], metavar="PROJECT[:ACCOUNT,...]", help="a project")
    parser.add_argument("--accept", action="append", default=[], metavar="VALUE", help="a key that is accepted")
    parser.add_argument("--service-account-keys", choices=["deleted", "kept"], default="deleted")
    arguments = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with Provider.start(
        admin_key=arguments.admin_key,
        service_account_keys=arguments.service_account_keys,
        port=arguments.port,
    ) as provider:
        for project in arguments.project or ["proj_abc"]:
            name, _colon, accounts = project.partition(":")
            provider.add_project(name, *filter(None, accounts.split(",")))
        for value in arguments.accept:
            provider.key(value)
        print(json.dumps({"base_url": provider.base_url, "pid": os.getpid()}), flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
