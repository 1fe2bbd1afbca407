# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What references read now, and what they read when a task started; each secret and parameter is read once.

A secret that replicates, or that Lambda rotates, can be read here like any other: nothing is written.

Follows API_GetSecretValue, API_DescribeSecret and API_ListSecretVersionIds of
https://docs.aws.amazon.com/secretsmanager/latest/apireference/, and API_GetParameter and API_GetParameterHistory of
https://docs.aws.amazon.com/systems-manager/latest/APIReference/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._aws import Aws
from .._ecs import epoch
from .._errors import AwsError, KeyturnError
from .._stores import json_text
from .._stores.reference import CURRENT, SECRETS_MANAGER, SSM, Reference, parameter_names
from .revisions import Wanted
from .unverified import Unverified

# Since when a pinned reference reads its version.
ALWAYS = float("-inf")


@dataclass(frozen=True)
class Source:
    """What a reference reads now.

    Attributes:
        fingerprint: None where it cannot be told.
        since: when the version was made that it reads; epoch seconds.
        version: id of that version, a parameter's number.
    """

    reference: Reference
    arn: str
    fingerprint: str | None
    since: float | None
    version: str


@dataclass(frozen=True)
class Version:
    """One version of a secret or parameter, and when it was made, epoch seconds."""

    id: str
    since: float


@dataclass(frozen=True)
class History:
    """What a reference has read.

    Attributes:
        current: the version that it reads now.
        changed: when it came to read that, at the latest.
        versions: oldest first; empty where they are not known.
    """

    current: str
    changed: float | None
    versions: tuple[Version, ...] = ()


@dataclass(frozen=True)
class Readings:
    """The versions that a task may have read; more than one where that cannot be told.

    Attributes:
        others: it may have read one that is not known, too.
    """

    ids: tuple[str, ...]
    others: bool = False

    @property
    def certain(self) -> bool:
        return len(self.ids) == 1 and not self.others


def readings(history: History, begun: float | None, ended: float) -> Readings:
    """Tell which versions a task may have read that read between two times (epoch seconds).

    Versions are taken to have been read in the order in which they were made, each until the next was. When the
    current one came to be read is known only within bounds: it may have waited (AWSPENDING), or be an old one to which
    the stage was moved back. Within them, the one before it counts, too. Pure.
    """
    if history.changed is not None and (ALWAYS if begun is None else begun) >= history.changed:
        return Readings((history.current,))
    if not history.versions or begun is None or history.changed is None:
        return Readings((history.current,), others=True)
    ids = [version.id for version in history.versions]
    ends = [*(version.since for version in history.versions[1:]), float("inf")]
    found = [
        version.id
        for version, end in zip(history.versions, ends, strict=True)
        if version.since <= ended and begun < end
    ]
    at = ids.index(history.current) if history.current in ids else -1
    if at > 0 and history.current in found:
        found.append(ids[at - 1])
    elif ended >= history.changed or at != len(ids) - 1:
        found.append(history.current)
    return Readings(tuple(dict.fromkeys(found)), others=begun < history.versions[0].since or at < 0)


class Sources:
    """What references read, by their ``valueFrom``.

    Args:
        account: of the services; a parameter of another one is asked for by its ARN.
    """

    def __init__(self, aws: Aws, wanted: Wanted, account: str, unverified: Unverified) -> None:
        self._aws = aws
        self._wanted = wanted
        self._account = account
        self._unverified = unverified
        self._sources: dict[str, Source | None] = {}
        self._histories: dict[str, History] = {}
        self._answers: dict[tuple[str, ...], dict[str, Any]] = {}
        self._lists: dict[tuple[str, str], tuple[Version, ...]] = {}
        self._changes: dict[tuple[str, str], float | None] = {}

    def now(self, value_from: str) -> Source | None:
        """What a reference reads now; None where it may not be read, which is told as unverified."""
        if value_from not in self._sources:
            self._sources[value_from] = self._unverified.ask(
                _source_name(value_from), lambda: self._source(value_from), None
            )
        return self._sources[value_from]

    def history(self, value_from: str) -> History:
        """What a reference has read, without its versions."""
        source = self.now(value_from)
        if source is None:
            return History("", None)
        if value_from not in self._histories:
            self._histories[value_from] = History(source.version, self._changed(source))
        return self._histories[value_from]

    def versions(self, value_from: str) -> History:
        """What a reference has read, with its versions."""
        history, source = self.history(value_from), self.now(value_from)
        # A version stage of one's own: where it stood before is not told anywhere.
        if source is None or source.reference.stage not in ("", CURRENT):
            return history
        key = _place(source.reference)
        if key not in self._lists:
            name = _source_name(value_from)
            self._lists[key] = self._unverified.ask(f"versions of {name}", lambda: self._versions(source), ())
        return History(history.current, history.changed, self._lists[key])

    def read_by(self, value_from: str, version: str) -> str | None:
        """Fingerprint of what a reference read while a version was current; None where it cannot be told."""
        source = self.now(value_from)
        if source is None or version == source.version:
            return source.fingerprint if source else None
        name = f"version {version} of {_source_name(value_from)}"
        return self._unverified.ask(name, lambda: self._fingerprint(source.reference, version, name), None)

    def _source(self, value_from: str) -> Source | None:
        try:
            reference = Reference.parse(value_from) if value_from.startswith("arn:") else Reference(SSM, value_from)
        except KeyturnError as error:
            self._unverified.add(error.msg)
            return None
        answer = self._answer(reference, "")
        version = str(answer.get("VersionId") or answer.get("Version") or "")
        return Source(
            reference=reference,
            arn=answer.get("ARN") or (reference.name if reference.name.startswith("arn:") else ""),
            fingerprint=self._fingerprint(reference, "", _source_name(value_from)),
            since=epoch(answer.get("CreatedDate") or answer.get("LastModifiedDate")),
            version=version,
        )

    def _changed(self, source: Source) -> float | None:
        """When the reference came to read its version, at the latest: stages move without a new version, too."""
        reference = source.reference
        if reference.store == SSM:
            return source.since
        if reference.pinned:
            return ALWAYS
        key = _place(reference)
        if key not in self._changes:
            name = f"last change of secret {reference.name}"
            self._changes[key] = self._unverified.ask(name, lambda: self._last_changed(reference), None)
        dates = [at for at in (self._changes[key], source.since) if at is not None]
        return max(dates, default=None)

    def _last_changed(self, reference: Reference) -> float | None:
        there, on = self._aws.in_region(reference.region), f"secret {reference.name}"
        return epoch(there.call("secretsmanager", "DescribeSecret", on, SecretId=reference.name).get("LastChangedDate"))

    def _versions(self, source: Source) -> tuple[Version, ...]:
        listed = self._secret_versions if source.reference.store == SECRETS_MANAGER else self._parameter_versions
        return tuple(sorted(listed(source.reference), key=lambda version: version.since))

    def _secret_versions(self, reference: Reference) -> list[Version]:
        there, on = self._aws.in_region(reference.region), f"secret {reference.name}"
        found: list[Version] = []
        more: dict[str, str] = {}
        while True:
            answer = there.call(
                "secretsmanager",
                "ListSecretVersionIds",
                on,
                SecretId=reference.name,
                IncludeDeprecated=True,
                MaxResults=100,
                **more,
            )
            found.extend(
                Version(entry["VersionId"], epoch(entry.get("CreatedDate")) or 0.0)
                for entry in answer.get("Versions") or ()
                # What was not made current yet, nothing has read.
                if list(entry.get("VersionStages") or ()) != ["AWSPENDING"]
            )
            if not answer.get("NextToken"):
                return found
            more = {"NextToken": answer["NextToken"]}

    def _parameter_versions(self, reference: Reference) -> list[Version]:
        there = self._aws.in_region(reference.region)
        name = str(self._answer(reference, "").get("Name") or reference.name)
        found: list[Version] = []
        more: dict[str, str] = {}
        while True:
            on = f"parameter {name}"
            answer = there.call("ssm", "GetParameterHistory", on, Name=name, WithDecryption=True, MaxResults=50, **more)
            for entry in answer.get("Parameters") or ():
                version = str(entry.get("Version", ""))
                self._keep((*_place(reference), version), entry)
                found.append(Version(version, epoch(entry.get("LastModifiedDate")) or 0.0))
            if not answer.get("NextToken"):
                return found
            more = {"NextToken": answer["NextToken"]}

    def _fingerprint(self, reference: Reference, version: str, name: str) -> str | None:
        """Of what a reference reads in a version; an empty one is the version that it names."""
        answer = self._answer(reference, version)
        text = answer.get("SecretString", answer.get("Value"))
        if text is None:
            self._unverified.add(f"{name}: it holds binary data, and ECS injects text")
            return None
        if not reference.json_key:
            return self._wanted.print(text)
        try:
            value = json_text.get(text, reference.json_key)
        except ValueError:
            value = None
        if value is None:
            self._unverified.add(f"{name}: it is no JSON object with the key {reference.json_key}")
            return None
        return self._wanted.print(value)

    def _answer(self, reference: Reference, version: str) -> dict[str, Any]:
        """AWS's answer with the content of a version; each is asked for once."""
        which = version or f"{reference.stage}:{reference.version}"
        key = (*_place(reference), which)
        if key not in self._answers:
            there = self._aws.in_region(reference.region)
            self._keep(
                key, self._parameter(there, reference) if reference.store == SSM else _secret(there, reference, version)
            )
        return self._answers[key]

    def _keep(self, key: tuple[str, ...], answer: dict[str, Any]) -> None:
        """Keep an answer; what it holds is made known to the scrubber."""
        self._answers[key] = answer
        text = answer.get("SecretString", answer.get("Value")) or ""
        names = json_text.keys(text)
        self._aws.scrub.keep(answer.get("ARN") or "")
        self._aws.scrub.add_neighbours([text, *(json_text.get(text, name) or "" for name in names or ())])

    def _parameter(self, there: Aws, reference: Reference) -> dict[str, Any]:
        """The parameter; one of another account's is shared, and known by its ARN only."""
        arn = reference.name.split(":")
        shared = len(arn) > 4 and arn[4] != self._account
        names = (reference.name,) if shared else parameter_names(reference)
        for name in names:
            try:
                answer = there.call("ssm", "GetParameter", f"parameter {name}", Name=name, WithDecryption=True)
            except AwsError as error:
                if error.code == "ParameterNotFound" and name != names[-1]:
                    continue
                raise
            found: dict[str, Any] = answer["Parameter"]
            return {**found, "Name": name}
        raise KeyturnError(f"{reference.name} is no parameter's name: check valueFrom.")


def _secret(there: Aws, reference: Reference, version: str) -> dict[str, Any]:
    which: Mapping[str, str] = {}
    if version or reference.version:
        which = {"VersionId": version or reference.version}
    elif reference.stage:
        which = {"VersionStage": reference.stage}
    return there.call("secretsmanager", "GetSecretValue", f"secret {reference.name}", SecretId=reference.name, **which)


def _place(reference: Reference) -> tuple[str, str]:
    return (reference.region, reference.name)


def _source_name(value_from: str) -> str:
    """What messages call a reference."""
    kind = "secret" if ":secretsmanager:" in value_from else "parameter"
    return f"{kind} {value_from}"
