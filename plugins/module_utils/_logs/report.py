# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make the result, as the module's RETURN documents it, of what was seen. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from .look import Look, Match
from .match import presentable
from .read import Reader
from .streams import Deployed, NotScannable, Place, Ran, Stream, streams

REMEDY = (
    "Check that the new key is active, whole and of the right project, with the permissions that the application "
    "needs, and that the key it replaces was not revoked while something still uses it; roll back to the previous "
    "revision if that takes long. If such lines are ordinary there, give patterns, or fail_on_match=false."
)


def report(
    deployed: Deployed, logs: tuple[Sequence[Place], Sequence[NotScannable]], look: Look, reader: Reader, since: float
) -> dict[str, Any]:
    """Everything but the matches and the warnings.

    Args:
        deployed: with all tasks that were seen.
        logs: where the containers log to, and those whose logs cannot be scanned.
        since: epoch seconds.
    """
    found, refused = logs
    scanned = [one for one in streams(found, deployed.tasks) if (one.region, one.group) not in reader.missing_groups]
    gone = (
        NotScannable(place.container, f"its log group {place.group} does not exist in Region {place.region}")
        for place in found
        if (place.region, place.group) in reader.missing_groups
    )
    return {
        "changed": False,
        "cluster": deployed.target.cluster,
        "service": deployed.target.service,
        "deployment_id": deployed.target.deployment_id,
        "task_definition": deployed.target.task_definition,
        "since": _iso(since),
        "matches_total": look.matches_total,
        "scanned_streams": sum(one not in reader.missing for one in scanned),
        "scanned_events": sum(look.lines.values()),
        "streams": [_described(one, look.lines[one], one not in reader.missing) for one in scanned],
        "not_scannable": [{"container": one.container, "reason": one.reason} for one in (*refused, *gone)],
        "unverified": unverified(deployed.tasks),
    }


def unverified(tasks: Sequence[Ran]) -> list[str]:
    if any(ran.in_doubt for ran in tasks):
        return ["tasks: startedBy does not name a deployment; told apart by their task definition"]
    return []


def warnings(result: Mapping[str, Any], tasks: Sequence[Ran]) -> list[str]:
    """What keeps an empty list of matches from proving anything."""
    what = f"Service {result['service']}, deployment {result['deployment_id']}:"
    if not tasks:
        return [f"{what} no task of it runs or stopped within the last hour, so no log was scanned."]
    if not result["streams"]:
        reasons = "; ".join(f"{one['container']}: {one['reason']}" for one in result["not_scannable"])
        return [f"{what} no log of its containers can be scanned, so errors would not be seen ({reasons})."]
    if not result["scanned_events"]:
        return [f"{what} its {len(result['streams'])} log streams hold no line since {result['since']}."]
    return []


def message(result: Mapping[str, Any]) -> str:
    """How many lines, where, the first of them, and what to do."""
    total, first = result["matches_total"], result["matches"][0]
    where = sorted({match["stream"] for match in result["matches"]})
    listed = ", ".join(where[:5]) + (f" and {len(where) - 5} more" if len(where) > 5 else "")
    return (
        f"{result['service']}: {total} log line{'' if total == 1 else 's'} of deployment {result['deployment_id']} "
        f"tell{'s' if total == 1 else ''} of an authentication error, in {listed}. First, at {first['time']}: "
        f"{' '.join(first['message'].split())} - {REMEDY}"
    )


def shown(match: Match, clean: Callable[[str], str]) -> dict[str, Any]:
    """A match in the form in which results show it."""
    stream = match.event.stream
    return {
        "time": _iso(match.event.at / 1000, "milliseconds"),
        "stream": stream.name,
        "group": stream.group,
        "container": stream.container,
        "task": stream.task,
        "message": presentable(match.line, match.pattern, clean),
        "pattern": clean(match.pattern.pattern),
    }


def _described(stream: Stream, events: int, exists: bool) -> dict[str, Any]:
    return {
        "name": stream.name,
        "group": stream.group,
        "region": stream.region,
        "container": stream.container,
        "task": stream.task,
        "exists": exists,
        "events": events,
    }


def _iso(at: float, precision: str = "seconds") -> str:
    return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec=precision)
