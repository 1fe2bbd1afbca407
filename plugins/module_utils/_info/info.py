# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole of ``ecs_env_info``: services, what their revisions say, who holds the value that is searched."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from .._aws import Aws
from .._ecs import family_of, last_part
from .._stores.reference import ENVIRONMENT, SECRETS_MANAGER, SSM
from .holders import Holder, Search, with_protection
from .identity import Identity
from .request import Request
from .revisions import ACTIVE, INACTIVE, Entry, Revision, Revisions, Wanted, list_revisions
from .secrets import Sources
from .services import Placed, check_all_there, describe_services, list_services
from .targets import rules, schedules
from .tasks import Task, live_tasks, protected_until
from .times import days, iso
from .unverified import Unverified

# A value that was replaced is a revision or version or two back; there may be hundreds.
EARLIER_READ = 10


def info(aws: Aws, options: Mapping[str, Any], now: Callable[[], float] = time.time) -> dict[str, Any]:
    """Tell who holds which value.

    Args:
        options: the validated options of ``ecs_env_info``.
        now: epoch seconds.

    Returns:
        The result as the module's RETURN documents it.

    Raises:
        KeyturnError: an option makes no sense, or the services cannot be read.
    """
    request = Request.parse(options)
    unverified = Unverified()
    placed = _placed(aws, request, unverified)
    chosen = [one for one in placed if not request.services or one.service.name in request.services]
    look = _Look(aws, request, placed, unverified, now=now())
    variables = [entry for one in chosen for entry in look.variables(one)]
    old = look.plaintext_revisions(chosen)
    holders = look.holders(placed)
    identity, unread = look.identify(chosen, variables)
    return {
        "changed": False,
        "cluster": last_part(request.cluster),
        "variable": request.variable,
        "fingerprint": request.fingerprint,
        "key_id": identity.key_id,
        "redacted_values": list(identity.alike),
        "variables": variables,
        "holders": [asdict(one) for one in holders],
        "plaintext_revisions": old,
        "unverified": unverified.lines,
        "clear": not holders and not unverified.lines if request.fingerprint else None,
        "warnings": [
            f"Which key {request.fingerprint} is could not be looked for everywhere: {line}" for line in unread
        ],
    }


def _placed(aws: Aws, request: Request, unverified: Unverified) -> tuple[Placed, ...]:
    """The services asked for; all of the cluster where holders are looked for."""
    names: Iterable[str] = request.services
    if not request.services:
        names = list_services(aws, request.cluster)
    elif request.fingerprint:
        nothing: list[str] = []
        listed = unverified.ask("other services", lambda: list_services(aws, request.cluster), nothing)
        names = dict.fromkeys([*request.services, *(last_part(arn) for arn in listed)])
    placed = describe_services(aws, request.cluster, names)
    check_all_there(aws, request.cluster, request.services, placed)
    return placed


class _Look:
    """What is read for one result, each thing once."""

    def __init__(
        self, aws: Aws, request: Request, placed: Iterable[Placed], unverified: Unverified, *, now: float
    ) -> None:
        wanted = Wanted(request.variable, request.fingerprint, Identity(request.redacted_values))
        self._account = next((one.service.arn.split(":")[4] for one in placed if one.service.arn.count(":") >= 5), "")
        self._aws = aws
        self._request = request
        self._wanted = wanted
        self._unverified = unverified
        self._now = now
        self._revisions = Revisions(aws, wanted, unverified)
        self._sources = Sources(aws, wanted, self._account, unverified)

    def variables(self, one: Placed) -> Iterator[dict[str, Any]]:
        """An entry for each container of a service that has the variable."""
        revision = self._revisions.in_use(one.running) if one.running else None
        if revision is None:
            return
        for entry in revision.settings.entries:
            if entry.name == self._request.variable:
                yield self._variable(one, revision, entry)
        own = {entry.container for entry in revision.settings.entries if entry.name == self._request.variable}
        for container, file in revision.settings.files:
            if container not in own:
                self._unverified.add(
                    f"{last_part(revision.arn)}: container {container} reads {file}, which may set the variable"
                )

    def _variable(self, one: Placed, revision: Revision, entry: Entry) -> dict[str, Any]:
        source = self._sources.now(entry.value_from) if entry.value_from is not None else None
        since = source.since if source else None
        printed = source.fingerprint if source else entry.fingerprint
        if entry.value_from is None:
            since = revision.since(entry.fingerprint)
        return {
            "service": one.service.name,
            "container": entry.container,
            "store": _store(entry),
            "fingerprint": printed,
            "key_id": revision.key_id(printed),
            "since": iso(since),
            "age_days": None if since is None else days(since, self._now),
            "task_definition": revision.arn,
            "plaintext": entry.value_from is None,
            "value_from": entry.value_from,
            "secret_arn": (source.arn or None) if source else None,
        }

    def holders(self, placed: Iterable[Placed]) -> list[Holder]:
        """What holds the searched value: first what starts tasks, then, so that none slips through, the tasks."""
        if not self._request.fingerprint:
            return []
        request, unverified = self._request, self._unverified
        cluster = last_part(request.cluster)
        search = Search(request.fingerprint or "", self._revisions, self._sources, unverified, now=self._now)
        found = list(search.services(placed))
        started = unverified.gather("EventBridge rules", rules(self._aws, self._wanted))
        started += unverified.gather("EventBridge schedules", schedules(self._aws, self._wanted))
        found += search.targets(started, cluster)
        tasks: tuple[Task, ...] = unverified.ask(
            "tasks", lambda: live_tasks(self._aws, request.cluster, self._wanted, unverified), ()
        )
        holding = list(search.tasks(tasks, cluster))
        protected = protected_until(self._aws, request.cluster, (task for task, _holder in holding))
        return [*found, *with_protection(holding, protected)]

    def identify(self, placed: Iterable[Placed], variables: Iterable[Mapping[str, Any]]) -> tuple[Identity, list[str]]:
        """Find out which key the searched value is; for that, earlier revisions and versions of secrets are read.

        What of them cannot be read is no holder, so it is nothing that is left unverified.

        Returns:
            What was found out, and what could not be read where that was nothing.
        """
        identity, ignored = self._wanted.identity, Unverified()
        revisions = Revisions(self._aws, self._wanted, ignored)
        nothing: tuple[tuple[str, ...], bool] = ((), False)
        for family in dict.fromkeys(family_of(one.running) for one in placed if one.running):
            read = functools.partial(list_revisions, self._aws, family, EARLIER_READ)
            for arn in ignored.ask("revisions", read, nothing)[0] if identity.searched else ():
                if identity.searched:
                    revisions.get(arn)
        sources = Sources(self._aws, self._wanted, self._account, ignored)
        for value_from in dict.fromkeys(one["value_from"] for one in variables if one["value_from"]):
            versions = sources.versions(value_from).versions if identity.searched else ()
            for version in reversed(versions[-EARLIER_READ:]):
                if identity.searched:
                    sources.read_by(value_from, version.id)
        return identity, ignored.lines if identity.searched else []

    def plaintext_revisions(self, placed: Iterable[Placed]) -> list[dict[str, Any]]:
        """Revisions that do not run and hold a plain value."""
        limit = self._request.max_revisions
        if limit is None:
            return []
        running = {one.running for one in placed if one.running}
        found: list[dict[str, Any]] = []
        for family in dict.fromkeys(family_of(name) for name in running):
            found.extend(self._of_family(family, limit, running))
        return found

    def _of_family(self, family: str, limit: int, running: set[str]) -> Iterator[dict[str, Any]]:
        nothing: tuple[tuple[str, ...], bool] = ((), False)
        source = f"revisions of family {family}"
        arns, more = self._unverified.ask(source, lambda: list_revisions(self._aws, family, limit), nothing)
        if more:
            self._unverified.add(f"{source}: only the newest {limit} were read (max_revisions)")
        for arn in arns:
            revision = None if arn in running else self._revisions.get(arn)
            if revision is not None and revision.status in (ACTIVE, INACTIVE):
                for printed in revision.plain(self._request.variable):
                    yield {
                        "task_definition": revision.arn,
                        "status": revision.status,
                        "fingerprint": printed,
                        "registered_at": iso(revision.registered_at),
                    }


def _store(entry: Entry) -> str:
    if entry.value_from is None:
        return ENVIRONMENT
    return SECRETS_MANAGER if ":secretsmanager:" in entry.value_from else SSM
