# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who still holds a value: what runs, and what would start tasks with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from .._ecs import last_part
from .revisions import NOTHING, Entry, Revision, Revisions, Settings
from .secrets import Sources, readings
from .services import Placed
from .targets import RULE, Target
from .tasks import Task
from .times import iso
from .unverified import Unverified

TASK, TASK_SET, SERVICE = "task", "task_set", "service"


@dataclass(frozen=True)
class Holder:
    """Something that holds the value, and what shows it.

    Attributes:
        group: event bus of a rule, group of a schedule.
        target_id: of a rule's target.
        override: an override of the task, rule or schedule itself holds it.
    """

    kind: str
    id: str
    arn: str
    cluster: str
    service: str | None
    task_definition: str
    evidence: str
    group: str | None = None
    target_id: str | None = None
    override: bool = False


@dataclass(frozen=True)
class When:
    """When a task read its secrets: between two times, epoch seconds; ``begun`` None where that is not known."""

    begun: float | None
    ended: float


class Search:
    """Looks for what holds one value.

    Args:
        fingerprint: the value's.
        now: epoch seconds.
    """

    def __init__(
        self, fingerprint: str, revisions: Revisions, sources: Sources, unverified: Unverified, *, now: float
    ) -> None:
        self._fingerprint = fingerprint
        self._revisions = revisions
        self._sources = sources
        self._unverified = unverified
        self._now = now

    def services(self, placed: Iterable[Placed]) -> Iterator[Holder]:
        """Services and task sets whose revisions hold it: at desired 0 as well, and those that are on their way out."""
        for one in placed:
            service, sets = one.service, {task_set.task_definition for task_set in one.task_sets}
            for name, by in one.named(starting=True).items():
                if name in sets and name != service.task_definition:
                    continue
                held = self._held_by(name, f"service {service.name}")
                if held:
                    count = f"desired {service.desired}" + ("" if service.desired else ", and more once it scales up")
                    yield Holder(
                        kind=SERVICE,
                        id=service.name,
                        arn=service.arn,
                        cluster=service.cluster,
                        service=service.name,
                        task_definition=name,
                        evidence=f"{by}, {count}; {held}",
                    )
            for task_set in one.task_sets:
                held = self._held_by(task_set.task_definition, f"task set {task_set.id} of service {service.name}")
                if held:
                    yield Holder(
                        kind=TASK_SET,
                        id=task_set.id,
                        arn=task_set.arn,
                        cluster=service.cluster,
                        service=service.name,
                        task_definition=task_set.task_definition,
                        evidence=f"it is {task_set.status}; {held}",
                    )

    def _held_by(self, task_definition: str, who: str) -> str:
        """How tasks that start now from a revision hold it; empty when they do not."""
        revision = self._revisions.in_use(task_definition)
        return self._evidence(revision, revision.settings, who) if revision else ""

    def targets(self, targets: Iterable[Target], cluster: str) -> Iterator[Holder]:
        """Rules and schedules that start tasks which hold it, disabled ones as well."""
        for target in targets:
            revision = self._revisions.get(target.task_definition) if target.task_definition else None
            if revision is not None and not revision.startable(self._now):
                continue
            name = last_part(revision.arn if revision else target.task_definition)
            held = self._started(target, revision, cluster)
            if held:
                pinned = "pinned to" if ":" in last_part(target.task_definition) else "its latest ACTIVE revision is"
                state = "" if target.enabled else ", disabled"
                yield Holder(
                    kind=target.kind,
                    id=f"{target.group}/{target.name}",
                    arn=target.arn,
                    cluster=last_part(target.cluster) or cluster,
                    service=None,
                    task_definition=revision.arn if revision else target.task_definition,
                    evidence=f"{pinned} {name}{state}; {held}",
                    group=target.group,
                    target_id=target.target_id if target.kind == RULE else None,
                    override=self._in(target.overrides),
                )

    def _started(self, target: Target, revision: Revision | None, cluster: str) -> str:
        """How tasks that a target starts hold it. What is not known of another cluster's is no matter of this one."""
        own = revision.settings if revision else NOTHING
        who = f"{target.kind} {target.group}/{target.name}"
        if last_part(target.cluster) != cluster and not own.entries:
            known = tuple(entry for entry in target.overrides.entries if entry.fingerprint is not None)
            return self._evidence(revision, Settings(known), who)
        if target.unknown:
            self._unverified.add(f"{who}: {target.unknown}")
        return self._evidence(revision, own.under(target.overrides), who)

    def tasks(self, tasks: Iterable[Task], cluster: str) -> Iterator[tuple[Task, Holder]]:
        """Tasks that hold it, standalone ones and those that drain as well."""
        for task in tasks:
            who = f"tasks of service {task.service}" if task.service else f"task {task.id}"
            when = When(task.created_at, task.started_at or self._now)
            revision = self._revisions.in_use(task.task_definition)
            settings = (revision.settings if revision else NOTHING).under(task.overrides)
            held = self._evidence(revision, settings, who, when)
            if held:
                state = f"{task.last_status}, told to stop (draining)" if task.draining else task.last_status
                alone = "" if task.service else ", standalone"
                holder = Holder(
                    kind=TASK,
                    id=task.id,
                    arn=task.arn,
                    cluster=cluster,
                    service=task.service,
                    task_definition=task.task_definition,
                    evidence=f"{state}{alone}, made {iso(task.created_at) or 'at an unknown time'}; {held}",
                    override=self._in(task.overrides),
                )
                yield task, holder

    def _in(self, override: Settings) -> bool:
        return any(entry.fingerprint == self._fingerprint for entry in override.entries)

    def _evidence(self, revision: Revision | None, settings: Settings, who: str, when: When | None = None) -> str:
        """What shows that a task with these settings holds it; what cannot be told is kept as unverified."""
        found = [text for entry in settings.entries if (text := self._shown_by(entry, revision, who, when))]
        own = {entry.container for entry in settings.entries}
        for container, file in settings.files:
            if container not in own:
                name = last_part(revision.arn) if revision else who
                self._unverified.add(f"{name}: container {container} reads {file}, which may set the variable")
        return "; ".join(found)

    def _shown_by(self, entry: Entry, revision: Revision | None, who: str, when: When | None) -> str:
        where = f"container {entry.container}"
        if entry.value_from is not None:
            return self._read_by(entry.value_from, f"{who}: {where}", where, when)
        if entry.fingerprint is None:
            self._unverified.add(f"{who}: an override of {where} sets {entry.name} to something that is not known")
        if entry.fingerprint != self._fingerprint:
            return ""
        own = revision is not None and entry in revision.settings.entries
        of = f"the environment of {last_part(revision.arn)}" if own and revision else "an override"
        return f"{where} has it as {entry.name} from {of}"

    def _read_by(self, value_from: str, who: str, where: str, when: When | None) -> str:
        source = self._sources.now(value_from)
        if source is None:
            return ""
        if when is None:
            return f"{where} reads it from {value_from}" if source.fingerprint == self._fingerprint else ""
        history = self._sources.history(value_from)
        read = readings(history, when.begun, when.ended)
        if not read.certain:
            history = self._sources.versions(value_from)
            read = readings(history, when.begun, when.ended)
        printed = [self._sources.read_by(value_from, version) for version in read.ids]
        matches = [one == self._fingerprint for one in printed]
        if read.ids and all(matches) and not read.others:
            current = read.ids == (history.current,)
            return f"{where} read it from {value_from}" + ("" if current else f", which changed {iso(history.changed)}")
        if any(matches) or read.others:
            self._unverified.add(
                f"{who} may have read another value of {value_from}: made before it last changed, "
                f"{iso(history.changed) or 'at an unknown time'}"
            )
        return ""


def with_protection(holders: Sequence[tuple[Task, Holder]], protected: dict[str, float | None]) -> list[Holder]:
    """Say in the evidence which tasks are protected from scale-in: a deployment does not stop those."""
    found = []
    for task, holder in holders:
        if task.arn in protected:
            until = iso(protected[task.arn])
            text = f"{holder.evidence}; protected from scale-in" + (f" until {until}" if until else "")
            found.append(replace(holder, evidence=text))
        else:
            found.append(holder)
    return found
