# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole of ``ecs_log_scan``: find the streams, look, look again as long as asked, and say what was seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .._aws import Aws
from .._errors import KeyturnError
from .._rollout.wait import Clock
from .look import Look
from .read import Reader
from .report import message, report, shown, warnings
from .request import Request
from .streams import Deployed, Place, find, own_tasks, places, streams

# Pause between two looks while a settle period lasts.
LOOK_SECONDS = 10.0


class Scan:
    """The looks at one deployment's logs.

    Args:
        found: where its containers log to.
        since: epoch seconds.
        clock: ``now`` is epoch seconds here, to compare with ECS's times.
    """

    def __init__(
        self, aws: Aws, request: Request, deployed: Deployed, found: Sequence[Place], *, reader: Reader, clock: Clock
    ) -> None:
        self._aws = aws
        self._request = request
        self._found = found
        self._reader = reader
        self._clock = clock
        self.deployed = deployed
        self.since = (deployed.created_at or 0.0) if request.since is None else request.since
        self.look = Look(reader, request.patterns, int(self.since * 1000))

    def run(self, say: Callable[[str], None]) -> None:
        """Look, and look again until a line matches or the settle period is over.

        The period counts from when the newest task of the first look became running; one that does not run yet counts
        as becoming so now. Tasks that ECS starts later are looked at, too, and do not prolong it.
        """
        end = self._newest_start() + self._request.settle
        while True:
            count = self._look()
            left = end - self._clock.now()
            nothing = not self._found or not self.deployed.tasks
            if nothing or self.look.matches_total or left <= 0:
                return
            lines = sum(self.look.lines.values())
            say(f"{self.deployed.target.service}: no match in {lines} lines of {count} log streams, {left:.0f} s to go")
            self._clock.sleep(min(LOOK_SECONDS * self._clock.jitter(), left))
            self._add_tasks()

    def _newest_start(self) -> float:
        now = self._clock.now()
        started = [now if ran.started_at is None else ran.started_at for ran in self.deployed.tasks if ran.may_log]
        return min(max(started, default=now), now)

    def _look(self) -> int:
        """Read once more; how many streams there were to read."""
        stopped = {ran.task.id for ran in self.deployed.tasks if not ran.task.live}
        wanted = [
            stream
            for stream in streams(self._found, self.deployed.tasks)
            # What a stopped task did not begin, it never will.
            if not (stream in self._reader.missing and stream.task in stopped)
        ]
        self.look.again(wanted, int(self._clock.now() * 1000))
        return len(wanted)

    def _add_tasks(self) -> None:
        """Learn of tasks that started or stopped meanwhile; those that ECS forgets are kept."""
        now = own_tasks(self._aws, self._request.cluster, self.deployed.target)
        seen = {ran.task.id: ran for ran in (*self.deployed.tasks, *now)}
        self.deployed = replace(self.deployed, tasks=tuple(seen.values()))


def scan(
    aws: Aws, options: Mapping[str, Any], clock: Clock | None = None, say: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Scan the logs of a deployment's own tasks.

    Args:
        options: the validated options of ``ecs_log_scan``.
        clock: ``now`` is epoch seconds here, to compare with ECS's times.
        say: takes a line while a settle period lasts.

    Returns:
        The result as the module's RETURN documents it.

    Raises:
        KeyturnError: lines match and ``fail_on_match`` (the result's fields come along), or an option makes no sense,
            or the service, the deployment or a log cannot be looked at.
    """
    clock = clock or Clock(now=time.time)
    request = Request.parse(options, clock.now())
    deployed = find(aws, request)
    logs = places(aws, deployed.target.task_definition, request.variable)
    reader = Reader(aws)
    done = Scan(aws, request, deployed, logs[0], reader=reader, clock=clock)
    done.run(say or _silent)
    result = report(done.deployed, logs, done.look, reader, done.since)
    result["matches"] = [shown(match, aws.scrub.foreign) for match in done.look.oldest_matches()]
    result["warnings"] = warnings(result, done.deployed.tasks)
    if done.look.matches_total and request.fail_on_match:
        raise KeyturnError(message(result), **result)
    return result


def _silent(_line: str) -> None:
    return None
