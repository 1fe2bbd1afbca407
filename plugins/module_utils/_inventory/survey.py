# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read which services have the variable, over roles and Regions, each thing once.

Follows API_ListClusters, API_ListServices and API_DescribeServices of
https://docs.aws.amazon.com/AmazonECS/latest/APIReference/
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from .._aws import Aws
from .._ecs import Service, last_part
from .._errors import AccessDeniedError, AwsError, KeyturnError
from .._fingerprint import fingerprint
from .._info.revisions import Entry, Revision, Wanted, read_revision
from .._info.secrets import Sources
from .._info.services import DESCRIBE_BATCH, Placed, TaskSet, list_services
from .._info.unverified import Unverified
from .._scrub import CENSORED, Scrubber
from .._stores.reference import ENVIRONMENT, SECRETS_MANAGER, SSM
from .request import Request

_CLUSTERS_PAGE = 100
_SIDE_BY_SIDE = 8
_SHOWN = 3  # of many warnings of one kind


@dataclass(frozen=True)
class Value:
    """What one container has as the variable.

    Attributes:
        fingerprint: None where the value may not be read.
        since: when it came there, epoch seconds; None where that is not known.
        value_from: what an entry of ``secrets`` names.
    """

    container: str
    store: str
    fingerprint: str | None
    since: float | None
    value_from: str | None


@dataclass(frozen=True)
class Found:
    """A service that has the variable.

    Attributes:
        role: ARN of the role through which it was read; empty for the caller's own account.
    """

    account: str
    region: str
    role: str
    cluster: str
    cluster_arn: str
    service: str
    service_arn: str
    controller: str
    desired: int
    task_definition: str
    tags: Mapping[str, str]
    values: tuple[Value, ...]

    def plain(self) -> dict[str, Any]:
        """The same as JSON has it."""
        return asdict(self)

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Found:
        """The inverse of :meth:`plain`."""
        return cls(**{**data, "values": tuple(Value(**one) for one in data["values"])})


@dataclass
class Survey:
    """What was found.

    Attributes:
        denied: what may not be read, a sentence each, with the permission that lacks.
        warnings: what the operator should know beside that.
        calls: ``service:Operation`` of every call.
    """

    found: list[Found] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)


def survey(request: Request) -> Survey:
    """Read every Region through every role.

    Roles are read side by side. Within one, calls follow each other: that is about the 20 DescribeTaskDefinition a
    second which ECS allows an account.

    Raises:
        KeyturnError: options make no sense, or a call failed for another reason than a missing permission.
    """
    # Sessions are not made for threads: each role gets its own, here.
    callers = [_caller(request, role) for role in request.roles]
    with ThreadPoolExecutor(max_workers=min(len(callers), _SIDE_BY_SIDE)) as pool:
        parts = list(pool.map(functools.partial(_through, request), request.roles, callers))
    result, seen = Survey(), set[str]()
    for part in parts:
        # Two roles may lead to one account: what the first one saw counts.
        result.found.extend(one for one in part.found if one.service_arn not in seen)
        seen.update(one.service_arn for one in part.found)
        result.denied.extend(part.denied)
        result.warnings.extend(part.warnings)
        result.calls.extend(part.calls)
    return result


def _caller(request: Request, role: str) -> Aws:
    region = request.regions[0] or request.connection.get("region")
    return Aws({**request.connection, "region": region, "assume_role_arn": role or None})


def _through(request: Request, role: str, aws: Aws) -> Survey:
    """What one role sees, Region by Region."""
    result = Survey(calls=aws.calls)
    for region in dict.fromkeys(name or aws.region for name in request.regions):
        place = _Place(aws.in_region(region), request, role, result)
        try:
            # ECS lists in no order of its own, and waves of a rotation go by the inventory's.
            result.found.extend(sorted(place.services(), key=lambda one: (one.cluster, one.service)))
        except AccessDeniedError as error:
            result.denied.append(f"{place.name}: {error.msg}")
            if error.operation == "sts:AssumeRole":
                break
        except AwsError as error:
            raise KeyturnError(f"{place.name}: {error.msg}") from None
        result.warnings.extend(place.warnings())
    return result


class _Place:
    """One Region of one account."""

    def __init__(self, aws: Aws, request: Request, role: str, result: Survey) -> None:
        self.name = f"Region {aws.region}" + (f", role {role}" if role else "")
        self._aws = aws
        self._request = request
        self._role = role
        self._result = result
        self._wanted = Wanted(request.variable)
        self._revisions: dict[str, Revision | None] = {}
        self._sources: Sources | None = None
        self._unread = Unverified()
        self._files: list[str] = []
        self._gone: list[str] = []

    def services(self) -> Iterator[Found]:
        """Services that have the variable."""
        for cluster in self._clusters():
            try:
                placed = list(self._placed(cluster))
            except AccessDeniedError as error:
                # These two permissions may be given for some clusters only.
                if error.operation not in ("ecs:ListServices", "ecs:DescribeServices"):
                    raise
                self._result.denied.append(f"{self.name}: {error.msg}")
                continue
            for one, tags in placed:
                revision = self._revision(one)
                if revision is not None and (values := self._values(one.service, revision)):
                    yield self._found(cluster, one, values, tags)

    def warnings(self) -> Iterator[str]:
        """What was not seen although it was allowed, or is not needed to list a service: one sentence a kind."""
        variable = self._request.variable
        kinds = (
            (self._unread.lines, f"what {variable} is could not be read, so ecs_fingerprint is null"),
            (
                self._files,
                f"environment files are not read, which may set {variable}; what has it only there is no host",
            ),
            (self._gone, "ECS does not know the task definition that runs"),
        )
        for lines, what in kinds:
            if lines:
                more = f" (and {len(lines) - _SHOWN} more)" if len(lines) > _SHOWN else ""
                yield f"{self.name}: {what}: {'; '.join(lines[:_SHOWN])}{more}"

    def _clusters(self) -> Iterator[str]:
        """ARNs of the clusters that are wanted."""
        more: dict[str, str] = {}
        while True:
            answer = self._aws.call("ecs", "ListClusters", self.name, maxResults=_CLUSTERS_PAGE, **more)
            yield from (arn for arn in answer.get("clusterArns") or () if self._request.wants(last_part(arn)))
            if not answer.get("nextToken"):
                return
            more = {"nextToken": answer["nextToken"]}

    def _placed(self, cluster: str) -> Iterator[tuple[Placed, dict[str, str]]]:
        """The ACTIVE services of a cluster, with their tags."""
        try:
            arns = list_services(self._aws, cluster)
        except AwsError as error:
            # It was deleted meanwhile, or is INACTIVE and still listed.
            if error.code == "ClusterNotFoundException":
                return
            raise
        for start in range(0, len(arns), DESCRIBE_BATCH):
            batch = arns[start : start + DESCRIBE_BATCH]
            on = f"services {', '.join(last_part(arn) for arn in batch)} in cluster {last_part(cluster)}"
            answer = self._aws.call("ecs", "DescribeServices", on, cluster=cluster, services=batch, include=["TAGS"])
            for entry in answer.get("services") or ():
                service = Service.parse({"clusterArn": cluster, **entry})
                if service.status in ("", "ACTIVE"):
                    self._aws.scrub.keep(service.arn, service.task_definition)
                    sets = tuple(TaskSet.parse(one) for one in entry.get("taskSets") or ())
                    tags = {tag.get("key", ""): tag.get("value") or "" for tag in entry.get("tags") or ()}
                    yield Placed(service, sets), tags

    def _revision(self, one: Placed) -> Revision | None:
        """The revision that a service moves towards; None where nothing was ever deployed, or it is gone."""
        name = one.running
        if name and name not in self._revisions:
            try:
                self._revisions[name] = read_revision(self._aws, name, self._wanted)
            except AwsError as error:
                # ECS's answer for a deleted revision.
                if error.code != "ClientException":
                    raise
                self._revisions[name] = None
        if name and self._revisions[name] is None:
            self._gone.append(f"service {one.service.name}: {last_part(name)}")
        return self._revisions[name] if name else None

    def _values(self, service: Service, revision: Revision) -> tuple[Value, ...]:
        """What each container that has the variable has as its value."""
        entries = revision.settings.entries
        having = {entry.container for entry in entries}
        for container, file in revision.settings.files:
            if container not in having:
                self._files.append(f"service {service.name}, container {container}: {file}")
        return tuple(self._value(entry, revision, account_of(service.arn)) for entry in entries)

    def _value(self, entry: Entry, revision: Revision, account: str) -> Value:
        if entry.value_from is None:
            since = revision.since(entry.fingerprint)
            return Value(entry.container, ENVIRONMENT, entry.fingerprint, since, None)
        if self._sources is None:
            self._sources = Sources(self._aws, self._wanted, account, self._unread)
        source = self._sources.now(entry.value_from)
        store = SECRETS_MANAGER if ":secretsmanager:" in entry.value_from else SSM
        printed, since = (source.fingerprint, source.since) if source else (None, None)
        return Value(entry.container, store, printed, since, entry.value_from)

    def _found(self, cluster: str, one: Placed, values: tuple[Value, ...], tags: Mapping[str, str]) -> Found:
        service = one.service
        return Found(
            account=account_of(service.arn),
            region=self._aws.region,
            role=self._role,
            cluster=last_part(cluster),
            cluster_arn=cluster,
            service=service.name,
            service_arn=service.arn,
            controller=service.controller,
            desired=service.desired,
            task_definition=one.running,
            tags=clean_tags(tags, self._request.variable, (value.fingerprint for value in values)),
            values=values,
        )


def account_of(arn: str) -> str:
    """The account in an ARN; empty for what is none."""
    parts = arn.split(":")
    return parts[4] if len(parts) > 5 else ""


def clean_tags(tags: Mapping[str, str], variable: str, printed: Iterable[str | None]) -> dict[str, str]:
    """Tags without the value, should somebody have put it there, and without what looks like a key. Pure."""
    values, foreign = set(printed), Scrubber().foreign
    return {
        foreign(name): CENSORED if fingerprint(variable, text) in values else foreign(text)
        for name, text in tags.items()
    }
