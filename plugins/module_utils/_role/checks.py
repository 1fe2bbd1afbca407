# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All checks of the role's variables in their order: what the rest relies on comes first, and is refused alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._errors import KeyturnError
from .._scrub import CENSORED, Scrubber
from . import problems, providers
from .services import deployment_vars, services
from .types import wrong_types

ENTRY_POINTS = ("rotate", "verify", "rollback", "revoke", "audit")
# What is said after the complaints. The entry points that are not here have complaints of their own to add.
ENDINGS = {"rotate": " Nothing was changed in {host}.", "verify": ""}


@dataclass(frozen=True)
class Asked:
    """What the role was asked for.

    Attributes:
        given: the role's variables, templated.
        names: all variables of the host that begin as the role's do, and problems.CUT_OFF where there is one.
        known: those that the role has.
        environment: of the controller.
        read: path to content, empty where it cannot be read.
        presets: what the role knows of providers.
    """

    entry_point: str
    host: str
    given: Mapping[str, Any]
    names: Sequence[str]
    known: Sequence[str]
    environment: Mapping[str, str]
    read: Callable[[str], str]
    presets: providers.Providers

    @property
    def variable(self) -> str:
        return str(self.given.get("rotate_variable") or "OPENAI_API_KEY")

    @property
    def value(self) -> str:
        """The new value. It never leaves this module."""
        return str(self.given.get("rotate_value") or self.environment.get(self.variable, ""))


def told(asked: Asked) -> dict[str, str]:
    """What the report tells however it ends. The value, should it stand there, is refused."""
    texts = {name: str(asked.given.get(f"rotate_{name}") or "") for name in ("reason", "key_id")}
    return {name: text.replace(asked.value or CENSORED, CENSORED) for name, text in texts.items() if text}


def checked(asked: Asked) -> dict[str, Any]:
    """Return what the role goes on with.

    Raises:
        KeyturnError: something cannot work; all complaints in one message.
    """
    given = asked.given
    _refuse(asked, wrong_types(given))
    _refuse(asked, problems.patterns(given))
    _refuse(asked, providers.problems(given, asked.presets))
    provider = providers.chosen(given, asked.presets, asked.variable)
    file: dict[str, str] = {}
    if given.get("rotate_deployment_vars"):
        try:
            file = deployment_vars(given["rotate_deployment_vars"], asked.read)
        except KeyturnError as error:
            _refuse(asked, [error.msg])
    found = services(given, file)
    complaints = [
        *problems.unknown(asked.names, asked.known),
        *problems.unclear_services(given, found),
        *(_about_the_value(asked, provider) if asked.entry_point == "rotate" else ()),
        *problems.numbers_and_choices(given),
        *problems.folders(given),
        *(problems.record(given) if asked.entry_point == "rotate" else ()),
        *problems.smoke_test(given),
        *problems.settle_and_files(given),
    ]
    if asked.entry_point in ENDINGS:
        _refuse(asked, complaints, ENDINGS[asked.entry_point])
    return {
        "services": found,
        "region": given.get("rotate_region") or file.get("REGION", ""),
        "record": given.get("rotate_record_path") or "",
        "provider": provider,
        "problems": _without_values(asked, complaints),
    }


def _about_the_value(asked: Asked, provider: providers.Provider) -> Iterator[str]:
    """Complaints about it; that it is none of the provider's only where it is in its right place."""
    wrong = [*problems.value(asked.given, asked.variable, asked.value)]
    yield from wrong or providers.mismatch(provider, asked.given, asked.value)
    yield from providers.unasked(provider, asked.given)


def _refuse(asked: Asked, complaints: Iterable[str], ending: str = ENDINGS["rotate"]) -> None:
    message = " ".join(_without_values(asked, complaints))
    if message:
        raise KeyturnError(message + ending.format(host=asked.host))


def _without_values(asked: Asked, complaints: Iterable[str]) -> list[str]:
    """A path, or a name, that a complaint repeats may hold a key."""
    scrub = Scrubber([asked.value])
    return [scrub.foreign(complaint) for complaint in complaints]
