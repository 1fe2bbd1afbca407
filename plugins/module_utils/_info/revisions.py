# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read revisions of task definitions, each once, and keep of every value no more than its fingerprint.

Follows https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTaskDefinition.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._aws import Aws
from .._ecs import definition_in, epoch, family_of, last_part, revision_number
from .._errors import AwsError
from .._fingerprint import fingerprint
from .._rotation.notes import FINGERPRINT, ROTATED_AT, key_id_of
from .identity import Identity
from .times import from_iso
from .unverified import Unverified

ACTIVE, INACTIVE, DELETING = "ACTIVE", "INACTIVE", "DELETE_IN_PROGRESS"
# API_DeregisterTaskDefinition: for so long new tasks may still start from an INACTIVE revision.
INACTIVE_SECONDS = 600.0
LIST_PAGE = 100


@dataclass(frozen=True)
class Entry:
    """Where a container gets a variable from: a plain value, or a reference; neither for a value that is not known.

    Attributes:
        name: the variable, or another one that holds the searched value.
        fingerprint: of a plain value.
        value_from: what an entry of ``secrets`` names.
    """

    container: str
    name: str
    fingerprint: str | None = None
    value_from: str | None = None


@dataclass(frozen=True)
class Settings:
    """What a definition, or an override, says about the variable.

    Attributes:
        files: (container, environment file) pairs; a file may set any variable.
    """

    entries: tuple[Entry, ...] = ()
    files: tuple[tuple[str, str], ...] = ()

    def under(self, override: Settings) -> Settings:
        """These settings with an override over them, which wins where both give a plain value."""
        replaced = {(entry.container, entry.name) for entry in override.entries}
        kept = (one for one in self.entries if one.value_from or (one.container, one.name) not in replaced)
        return Settings((*kept, *override.entries), (*self.files, *override.files))


NOTHING = Settings()


@dataclass(frozen=True)
class Revision:
    """One revision, as far as it concerns the variable. Times are epoch seconds."""

    arn: str
    status: str
    settings: Settings
    registered_at: float | None = None
    deregistered_at: float | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def since(self, printed: str | None) -> float | None:
        """When a plain value with this fingerprint came there.

        The tag of the rotation says so, unless the value is another than the rotation's; it is carried over to later
        revisions. Without it, the revision's own time.
        """
        rotated_at = from_iso(self.tags.get(ROTATED_AT, ""))
        tagged = rotated_at is not None and self.tags.get(FINGERPRINT, "") in ("", printed)
        return rotated_at if tagged else self.registered_at

    def key_id(self, printed: str | None) -> str | None:
        """The id of the key with this fingerprint, where a rotation wrote it down."""
        return key_id_of(self.tags, printed)

    def plain(self, variable: str) -> tuple[str, ...]:
        """Fingerprints of the variable's plain values, each once."""
        found = (one.fingerprint for one in self.settings.entries if one.name == variable)
        return tuple(dict.fromkeys(one for one in found if one is not None))

    def startable(self, now: float) -> bool:
        """Whether anything but a service that names it already could start a task from it."""
        if self.status in ("", ACTIVE):
            return True
        gone = self.deregistered_at
        return self.status == INACTIVE and (gone is None or now - gone < INACTIVE_SECONDS)


@dataclass(frozen=True)
class Wanted:
    """The variable, the fingerprint of the value that is searched, if any, and what is known of its key."""

    variable: str
    fingerprint: str | None = None
    identity: Identity = field(default_factory=Identity)

    def print(self, value: str) -> str:
        """A value's fingerprint."""
        printed = fingerprint(self.variable, value)
        if printed == self.fingerprint:
            self.identity.see(value)
        return printed


def settings_of(aws: Aws, containers: Iterable[Mapping[str, Any]], wanted: Wanted) -> Settings:
    """Read container definitions, or overrides. Every plain value is made known to the scrubber."""
    entries: list[Entry] = []
    files: list[tuple[str, str]] = []
    for container in containers:
        name = container.get("name") or ""
        plain = {entry.get("name") or "": entry.get("value") or "" for entry in container.get("environment") or ()}
        aws.scrub.add_neighbours(plain.values())
        entries.extend(Entry(name, variable, printed) for variable, printed in _telling(plain, wanted))
        entries.extend(
            Entry(name, wanted.variable, value_from=entry.get("valueFrom") or "")
            for entry in container.get("secrets") or ()
            if entry.get("name") == wanted.variable
        )
        files.extend((name, entry.get("value") or "") for entry in container.get("environmentFiles") or ())
    return Settings(tuple(entries), tuple(files))


def _telling(plain: Mapping[str, str], wanted: Wanted) -> Iterator[tuple[str, str]]:
    """The variable's own entry, and those that hold the searched value under another name."""
    for variable, value in plain.items():
        if variable == wanted.variable or wanted.fingerprint is not None:
            printed = wanted.print(value)
            if variable == wanted.variable or printed == wanted.fingerprint:
                yield variable, printed


def read_revision(aws: Aws, name: str, wanted: Wanted) -> Revision:
    """Read one revision, by ARN, ``family:revision``, or ``family`` for its latest ACTIVE one."""
    on = f"task definition {last_part(name)}"
    answer = aws.call("ecs", "DescribeTaskDefinition", on, taskDefinition=name, include=["TAGS"])
    raw = definition_in(answer, on)
    tags = {tag.get("key", ""): tag.get("value") or "" for tag in answer.get("tags") or ()}
    wanted.identity.note(tags, wanted.fingerprint)
    return Revision(
        arn=raw.get("taskDefinitionArn", ""),
        status=raw.get("status", ""),
        settings=settings_of(aws, raw.get("containerDefinitions") or (), wanted),
        registered_at=epoch(raw.get("registeredAt")),
        deregistered_at=epoch(raw.get("deregisteredAt")),
        tags=tags,
    )


class Revisions:
    """Revisions by name, each read once; what cannot be read is told as unverified."""

    def __init__(self, aws: Aws, wanted: Wanted, unverified: Unverified) -> None:
        self._aws = aws
        self._wanted = wanted
        self._unverified = unverified
        self._found: dict[str, Revision | None] = {}
        self._gone: set[str] = set()

    def get(self, name: str) -> Revision | None:
        """The revision; None where there is none, or it may not be read."""
        if name not in self._found:
            found = self._unverified.ask("task definitions", lambda: self._read(name), None)
            self._found[name] = found
            if found is not None:
                self._found[found.arn] = found
        return self._found[name]

    def in_use(self, name: str) -> Revision | None:
        """The revision of something that runs: where ECS does not know it (any more), that is unverified, too."""
        found = self.get(name)
        if name in self._gone:
            self._unverified.add(
                f"task definition {last_part(name)}: ECS does not know it, and what it holds is not seen"
            )
        return found

    def _read(self, name: str) -> Revision | None:
        try:
            return read_revision(self._aws, name, self._wanted)
        except AwsError as error:
            # ECS's answer for a deleted revision, and for a family without an ACTIVE one: nothing starts from it.
            if error.code == "ClientException":
                self._gone.add(name)
                return None
            raise


def list_revisions(aws: Aws, family: str, limit: int | None = None) -> tuple[tuple[str, ...], bool]:
    """ARNs of a family's ACTIVE and INACTIVE revisions, newest first.

    Returns:
        At most ``limit`` of them, and whether there are more.
    """
    arns: list[str] = []
    for status in (ACTIVE, INACTIVE):
        arns.extend(_listed(aws, family, status, limit))
    arns.sort(key=revision_number, reverse=True)
    return tuple(arns[:limit]), limit is not None and len(arns) > limit


def _listed(aws: Aws, family: str, status: str, limit: int | None) -> Sequence[str]:
    """One more than the limit, so that it is seen when there are more."""
    arns: list[str] = []
    more: dict[str, str] = {}
    while limit is None or len(arns) <= limit:
        answer = aws.call(
            "ecs",
            "ListTaskDefinitions",
            f"family {family}",
            familyPrefix=family,
            status=status,
            sort="DESC",
            maxResults=LIST_PAGE,
            **more,
        )
        arns.extend(arn for arn in answer.get("taskDefinitionArns") or () if family_of(arn) == family)
        if not answer.get("nextToken"):
            break
        more = {"nextToken": answer["nextToken"]}
    return arns
