# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who read the value: CloudTrail's event history, which every account has for 90 days without a trail.

Follows https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html (two calls a second for an
account and Region, 50 events each) and
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._aws import Aws
from .._ecs import epoch, last_part
from .._info.times import iso
from .._info.unverified import Unverified
from .resources import WAYS, Resource, Way

PAGE = 50
BETWEEN_CALLS = 0.5  # seconds
SHOWN = 10  # sessions and addresses of a reader


@dataclass
class Reader:
    """Calls of one principal that showed one resource; times are epoch seconds."""

    who: str
    action: str
    resource: str
    count: int = 0
    refused: int = 0
    times: list[float] = field(default_factory=list)
    sessions: dict[str, None] = field(default_factory=dict)
    addresses: dict[str, None] = field(default_factory=dict)

    def add(self, at: float | None, record: Mapping[str, Any]) -> None:
        """Count a call; the newest come first."""
        if record.get("errorCode"):
            self.refused += 1
        else:
            self.count += 1
        self.times += [] if at is None else [at]
        for known, name in ((self.sessions, session(record)), (self.addresses, record.get("sourceIPAddress"))):
            if name:
                known[str(name)] = None

    def result(self) -> dict[str, Any]:
        """The form in which results show it."""
        return {
            "who": self.who,
            "action": self.action,
            "resource": self.resource,
            "count": self.count,
            "refused": self.refused,
            "first": iso(min(self.times, default=None)),
            "last": iso(max(self.times, default=None)),
            "sessions": list(self.sessions)[:SHOWN],
            "addresses": list(self.addresses)[:SHOWN],
        }


def who(record: Mapping[str, Any]) -> str:
    """Whose call it was: a role for all of its sessions, a service by its name."""
    identity = record.get("userIdentity") or {}
    issuer = (identity.get("sessionContext") or {}).get("sessionIssuer") or {}
    for name in (issuer.get("arn"), identity.get("arn"), identity.get("invokedBy"), identity.get("principalId")):
        if name:
            return str(name)
    return str(identity.get("accountId") or "unknown")


def session(record: Mapping[str, Any]) -> str:
    """Name of the role's session, which tells people and tasks apart; empty for others."""
    identity = record.get("userIdentity") or {}
    return last_part(str(identity.get("arn") or "")) if identity.get("type") == "AssumedRole" else ""


class Trail:
    """What CloudTrail remembers since a time.

    Args:
        since: epoch seconds.
        max_events: how many events of a name are read in a Region, the newest first.
        sleep: between two calls.
    """

    def __init__(
        self, aws: Aws, unverified: Unverified, since: float, max_events: int, sleep: Callable[[float], None]
    ) -> None:
        self._aws = aws
        self._unverified = unverified
        self._since = since
        self._max_events = max_events
        self._sleep = sleep
        self._called: set[str] = set()

    def readers(self, resources: Sequence[Resource]) -> list[dict[str, Any]]:
        """Who read what, those that read last first."""
        found: dict[tuple[str, str, str], Reader] = {}
        for region in dict.fromkeys(one.region for one in resources):
            here = [one for one in resources if one.region == region]
            for way in WAYS:
                mine = [one for one in here if one.kind == way.kind]
                if mine:
                    self._read(way, region, mine, found)
        return [
            one.result() for one in sorted(found.values(), key=lambda one: max(one.times, default=0.0), reverse=True)
        ]

    def _read(
        self, way: Way, region: str, resources: Sequence[Resource], found: dict[tuple[str, str, str], Reader]
    ) -> None:
        source = f"CloudTrail's {way.event} in {region}"
        for event in self._unverified.gather(source, self._events(way, region, source)):
            record = _record(event)
            if record.get("eventSource", f"{way.service}.amazonaws.com") != f"{way.service}.amazonaws.com":
                continue
            for resource in resources:
                if way.shows(resource, record.get("requestParameters") or {}):
                    key = (who(record), way.action, resource.arn)
                    found.setdefault(key, Reader(*key)).add(epoch(event.get("EventTime")), record)

    def _events(self, way: Way, region: str, source: str) -> Iterator[Mapping[str, Any]]:
        there = self._aws.in_region(region)
        seen = 0
        more: dict[str, str] = {}
        while True:
            if region in self._called:
                self._sleep(BETWEEN_CALLS)
            self._called.add(region)
            answer = there.call(
                "cloudtrail",
                "LookupEvents",
                f"the event history of {region}",
                LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": way.event}],
                StartTime=self._since,
                MaxResults=PAGE,
                **more,
            )
            events = answer.get("Events") or ()
            yield from events
            seen += len(events)
            if not answer.get("NextToken"):
                return
            if seen >= self._max_events:
                self._unverified.add(f"{source}: only the newest {seen} events were read; raise max_events for more.")
                return
            more = {"NextToken": answer["NextToken"]}


def _record(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event as CloudTrail wrote it, which is JSON in a string."""
    try:
        record = json.loads(event.get("CloudTrailEvent") or "{}")
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
