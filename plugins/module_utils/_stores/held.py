# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A secret or parameter as it is, and a write that is wanted of it. Immutable data, the same for both stores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .reference import Reference


@dataclass(frozen=True)
class Held:
    """What a reference leads to.

    Attributes:
        reference: where it was looked for.
        arn: the full ARN; of a secret that is to be created, with ``??????`` for the suffix that only AWS can give.
        exists: false for what is to be created.
        value: what the reference reads; None where it reads nothing.
        text: the whole content of the version that a write replaces.
        version: id of that version (a parameter's is its number); empty without one.
        since: when what an unpinned reference reads became that, at the latest; epoch seconds, None when unknown.
        kms_key: id, ARN or alias of its KMS key; empty for AWS's own.
        known: ids of a secret's versions that have a stage.
        warnings: what the operator should know of it.
    """

    reference: Reference
    arn: str
    exists: bool = True
    value: str | None = field(default=None, repr=False)
    text: str = field(default="", repr=False)
    version: str = ""
    since: float | None = None
    kms_key: str = ""
    known: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Write:
    """A new version of a secret or parameter.

    Attributes:
        action: the contract's name for it.
        text: the whole content.
        stage: the version stage that the new version gets.
        version: id of the new version; as ClientRequestToken it makes a second attempt harmless. Empty for parameters,
            which AWS counts.
        kms_key: of a new secret or parameter; empty for AWS's own.
        tags: of a new secret or parameter.
        settings: what a write of an existing parameter has to restate.
    """

    action: str
    held: Held
    text: str = field(repr=False)
    stage: str = ""
    version: str = ""
    kms_key: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Written:
    """What AWS made of a write."""

    arn: str
    version: str
