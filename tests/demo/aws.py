# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``make aws``: an AWS and an OpenAI on this machine, with three environments that hold a key, until Ctrl-C.

What a shell needs to reach them goes into build/aws.env. ``--break ENVIRONMENT`` is for a second shell: the next
rollout there fails.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from environments import ENVIRONMENTS, create

from simulator import Simulator, SimulatorError

FILE = ROOT / "build/aws.env"
AGE = 100  # days that the old key has been there: more than the 90 of the audit's policy
CAUSES = ("container_exit", "health_check", "image_pull", "load_balancer_health", "out_of_memory", "secret_access")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="aws.py", description=__doc__)
    parser.add_argument("--speed", type=float, default=15.0, help="seconds there to one of yours (%(default)g)")
    parser.add_argument("--break", dest="broken", choices=ENVIRONMENTS, help="the next rollout in it fails")
    parser.add_argument("--cause", choices=CAUSES, default=CAUSES[0], help="and why (%(default)s)")
    return parser.parse_args()


def break_next(url: str, environment: str, cause: str) -> None:
    """Let the next rollout of an environment fail; its circuit breaker takes it back."""
    project, region, account, _tasks = ENVIRONMENTS[environment]
    place = {"region": region, "account": account}
    Simulator(url).script(f"{project}-cluster", f"{project}-api", "circuit_breaker", cause=cause, **place)
    print(f"The next rollout in {environment} fails: {cause}.")


@contextlib.contextmanager
def settings(variables: Mapping[str, str]) -> Iterator[None]:
    """A file for ``. build/aws.env`` while the block lasts; nothing of a real AWS stays in a shell that reads it."""
    FILE.parent.mkdir(exist_ok=True)
    with open(os.open(FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write("unset AWS_PROFILE AWS_SESSION_TOKEN AWS_REGION AWS_DEFAULT_REGION\n")
        file.writelines(f"export {name}='{value}'\n" for name, value in variables.items())
    try:
        yield
    finally:
        FILE.unlink(missing_ok=True)


def tell(url: str, speed: float) -> None:
    """What is there, and how to reach it."""
    line = "  {:14} {:13} {:13} {:26} {:22} {}".format
    print(f"An AWS listens on {url}; {speed:g} of its seconds are one of yours.\n")
    print(line("environment", "Region", "account", "cluster", "service", "tasks"))
    for name, (project, region, account, tasks) in ENVIRONMENTS.items():
        print(line(name, region, account, f"{project}-cluster", f"{project}-api", tasks))
    print("\nThe OpenAI beside it has project proj_abc, service account svc_acct_abc and one key, which all three use.")
    print(f"\nIn another terminal:  . {FILE.relative_to(ROOT)}\nCtrl-C ends both and forgets everything.", flush=True)


def serve(speed: float) -> None:
    """Until a signal comes."""
    from openai import ADMIN_KEY, Provider

    with Provider.start() as provider, Simulator.start(speed=speed, enforce_roles=True) as aws:
        made = int(time.time()) - AGE * 86400
        project = provider.add_project()
        old = provider.add_key(project, "elevareai", service_account_id="svc_acct_abc", created_at=made)
        create(aws, old.value, secrets.token_hex(12), AGE)
        reached = {name: value for name, value in aws.environ().items() if "REGION" not in name}
        reached |= {
            "OPENAI_BASE_URL": provider.base_url,
            "OPENAI_ADMIN_KEY": ADMIN_KEY,
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        reached["KEYTURN_CHECKOUT"] = str(ROOT)
        with settings(reached):
            tell(aws.url, speed)
            signal.pause()


def stop(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> int:
    """0; 1 with a sentence where nothing can be broken."""
    given = arguments()
    if given.broken:
        url = os.environ.get("AWS_ENDPOINT_URL")
        if url is None:
            print(
                f"There is no AWS_ENDPOINT_URL in the environment. Run `. {FILE.relative_to(ROOT)}` first.",
                file=sys.stderr,
            )
            return 1
        try:
            break_next(url, given.broken, given.cause)
        except (OSError, SimulatorError) as error:
            print(f"{url} does not answer as an embedded AWS does: {error}", file=sys.stderr)
            return 1
        return 0
    signal.signal(signal.SIGTERM, stop)
    with contextlib.suppress(KeyboardInterrupt):
        serve(given.speed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
