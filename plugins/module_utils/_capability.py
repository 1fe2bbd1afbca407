# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a module and the action plugin of the same name share: a name, its options, and the function behind both.

Whatever leaves :meth:`Capability.answer` has passed the scrubber, through either door.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, ClassVar

from ._aws import CONNECTION_SPEC, Aws
from ._errors import KeyturnError
from ._scrub import CENSORED, MIN_NEIGHBOUR, Scrubber, secret_by_looks, strings

Say = Callable[[str], None]

# A shorter value may be a plain word, and stand in a name rightly.
LONG = 16


def _silent(_line: str) -> None:
    """Say nothing: a module cannot, while it runs."""


@dataclass(frozen=True)
class Capability:
    """One capability of the collection, behind both doors.

    Attributes:
        spec: Ansible's argument spec of its own options; the connection's are added.
        run: ``(aws, options, check_mode, say)`` to the result; raises :class:`KeyturnError`.
        rules: further arguments of Ansible's validator, such as ``required_if``.
        shown: members of the result that are there to hold a value.
        needs_boto3: where boto3 is missing the module's host may have it.
    """

    spec: Mapping[str, Mapping[str, Any]]
    run: Callable[[Any, Mapping[str, Any], bool, Say], dict[str, Any]]
    rules: Mapping[str, Any] = field(default_factory=dict)
    shown: frozenset[str] = frozenset()
    connection: ClassVar[Mapping[str, Mapping[str, Any]]] = CONNECTION_SPEC
    needs_boto3: ClassVar[bool] = True

    @property
    def argument_spec(self) -> dict[str, Any]:
        """The whole argument spec, made anew: Ansible writes into it."""
        return {name: dict(option) for name, option in (*self.connection.items(), *self.spec.items())}

    def secrets(self, given: Mapping[str, Any]) -> set[str]:
        """What nobody may show of the options as they were given, beside those that the spec calls secret."""
        return secret_by_looks(given)

    def no_secrets(self, options: Mapping[str, Any]) -> set[str]:
        """What the spec calls secret and is none: credentials too short for AWS's, such as an emulator's ``test``.

        Taken out of results, they would leave names that nobody knows, of ``test-cluster`` for example.
        """
        own = {options.get(name) for name, option in self.spec.items() if option.get("no_log")}
        hidden = {name for name, option in self.connection.items() if option.get("no_log") and options.get(name)}
        return {options[name] for name in hidden if len(options[name]) < MIN_NEIGHBOUR} - own

    def answer(self, options: Mapping[str, Any], *, check_mode: bool, diff: bool, say: Say = _silent) -> dict[str, Any]:
        """Run with validated options and return the result; a failure is a result with ``failed`` and ``msg``."""
        hidden = {name for name, option in self.argument_spec.items() if option.get("no_log") and options.get(name)}
        scrub = Scrubber({*self.secrets(options), *(options[name] for name in hidden)} - self.no_secrets(options))
        try:
            _check_places(options, hidden)
            with Unexpected():
                result = self.perform(scrub, options, check_mode, lambda line: say(scrub.text(line)))
        except KeyturnError as error:
            result = {"changed": False, **error.result, "msg": error.msg, "failed": True}
        if not diff:
            result.pop("diff", None)
        if not result.get("warnings"):
            result.pop("warnings", None)
        return scrub.result(result, () if result.get("failed") else self.shown)

    def perform(self, scrub: Scrubber, options: Mapping[str, Any], check_mode: bool, say: Say) -> dict[str, Any]:
        """Run against AWS; with ``debug_botocore_endpoint_logs``, tell which calls were made."""
        calls: list[str] = []

        def called() -> dict[str, Any]:
            return {"resource_actions": sorted(set(calls))} if options["debug_botocore_endpoint_logs"] else {}

        try:
            aws = Aws(options, scrub)
            calls = aws.calls
            return {**self.run(aws, options, check_mode, say), **called()}
        except KeyturnError as error:
            raise error.with_result(**called()) from None


@dataclass(frozen=True)
class WithoutAws(Capability):
    """A capability that calls no AWS: ``run`` gets the scrubber instead."""

    connection: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    needs_boto3: ClassVar[bool] = False

    def perform(self, scrub: Scrubber, options: Mapping[str, Any], check_mode: bool, say: Say) -> dict[str, Any]:
        return self.run(scrub, options, check_mode, say)


def _check_places(options: Mapping[str, Any], hidden: set[str]) -> None:
    """Refuse a secret in an option that is shown and sent as a name, of which a part may come back alone."""
    for secret in sorted(hidden):
        value = options[secret]
        for name, given in options.items():
            if name not in hidden and len(value) >= LONG and any(value in text for text in strings(given)):
                raise KeyturnError(
                    f"{name} holds the value itself, that of {secret}: correct {name}. Nothing was done."
                )


class Unexpected(AbstractContextManager[None]):
    """Tells of an error that nobody foresaw by its kind and place. Its text, which may hold a value, is dropped.

    On ansible-core 2.19 and newer, ``no_log`` does not hide the text of an exception, nor that of its causes.
    """

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or not isinstance(error, Exception) or isinstance(error, KeyturnError):
            return
        places = traceback.extract_tb(trace)
        ours = [place for place in places if "plugins/module_utils/" in place.filename.replace("\\", "/")]
        place = (ours or places)[-1]
        file = re.sub(r".*plugins[\\/]module_utils[\\/]", "", place.filename)
        raise KeyturnError(
            f"Unexpected {kind.__name__} in {place.name} ({file}, line {place.lineno}). This is a mistake in "
            "keyturn.ecs: please report it with this message. What was done until then can be found out by running "
            "the same task in check mode."
        ) from None


# Options, as Ansible's validator complains about them

_WHOLE = re.compile(r"(Required(By|If|OneOf|Together)?|MutuallyExclusive|SubParameterType)Error")
_TYPE = re.compile(r"'(\w+)' is of type .*? unable to convert to (\w+)")
_CHOICE = re.compile(r"value of \w+ must be one( or more)? of: .*?(?=, got: |\. Got no match for: )")
_NAMES = re.compile(r"(.*?)(\. Supported parameters include: .*)", re.DOTALL)


def complaint(error: Exception, module: str) -> str:
    """What the validator found wrong, without what was given: a key may have got into the wrong option."""
    kind, text = type(error).__name__, str(error)
    if _WHOLE.fullmatch(kind):
        return text
    if kind == "UnsupportedError" and (found := _NAMES.fullmatch(text)):
        names = [name if re.fullmatch(r"[a-z_]{1,40}", name) else CENSORED for name in found[1].split(", ")]
        return f"Unsupported parameters for ({module}) module: {', '.join(names)}{found[2]}"
    if wrong := _CHOICE.match(text):
        return wrong[0]
    if wrong := _TYPE.search(text):
        return f"value of {wrong[1]} must be of type {wrong[2]}, and what was given cannot be taken for one"
    return "an option has a value that it cannot have"
