# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One variable of a local ``.env`` file: look -> edit (pure) -> replace. Check mode stops before the last."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._errors import KeyturnError
from .._fingerprint import fingerprint
from .._scrub import Scrubber
from .file import MODE, Found, Pause, explained, left_behind, look, replace, temporary
from .text import Edited, edit, has_reference

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
ADD, FAIL, IGNORE = "add", "fail", "ignore"


@dataclass(frozen=True)
class Request:
    """What the operator asks for."""

    path: str
    variable: str
    value: str = field(repr=False)
    create: bool = False
    if_missing: str = ADD

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> Request:
        """Check the options.

        Raises:
            KeyturnError: names the option and what to do; never holds the value.
        """
        request = cls(**{name: options[name] for name in ("path", "variable", "value", "create", "if_missing")})
        if not _NAME.fullmatch(request.variable):
            raise KeyturnError("variable is no name: letters, digits and underscores, as in OPENAI_API_KEY.")
        if not request.value:
            raise KeyturnError("value is empty: give the new value.")
        if "\0" in request.value or any("\ud800" <= char <= "\udfff" for char in request.value):
            raise KeyturnError("value holds a NUL or half a character, which no environment takes: copy it again.")
        if not _is_path(request.path):
            raise KeyturnError("path holds a NUL or half a character: give the path of a file.")
        return request


def _is_path(text: str) -> bool:
    """Whether the system could take it for one; bytes that are no UTF-8 may stand in it."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


@dataclass(frozen=True)
class Plan:
    """What has to be done.

    Attributes:
        text: the whole file with the new value; None to leave its content as it is.
        narrow: whether its permissions have to be taken from others.
        there: whether the variable has the new value afterwards.
    """

    found: Found
    edited: Edited
    text: str | None = field(repr=False)
    narrow: bool
    there: bool

    @property
    def changes(self) -> bool:
        return self.text is not None or self.narrow

    @property
    def mode(self) -> int | None:
        """The file's permissions afterwards."""
        return MODE if self.changes else self.found.mode


def set_value(
    options: Mapping[str, Any], *, check_mode: bool, scrub: Scrubber | None = None, pause: Pause = time.sleep
) -> dict[str, Any]:
    """Give the variable its value and return the result.

    Raises:
        KeyturnError: with ``path`` and ``variable``.
    """
    request = Request.parse(options)
    try:
        with explained(request.path):
            plan = make_plan(look(request.path), request)
            if not check_mode and (plan.changes or left_behind(plan.found.target)):
                plan = _apply(plan.found.target, request, pause)
        if scrub:
            scrub.add(*(statement.plain for statement in plan.edited.before))
    except KeyturnError as error:
        raise error.with_result(path=request.path, variable=request.variable) from None
    return _result(request, plan)


def make_plan(found: Found, request: Request) -> Plan:
    """Compare what is there with what is wanted. A pure function.

    Raises:
        KeyturnError: there is no such file or variable, and it may not be made; or the file cannot be read.
    """
    if found.text is None and not request.create:
        raise KeyturnError(f"There is no file {request.path}: correct path, or set create=true.")
    old = found.text or ""
    edited = edit(request.path, old, request.variable, request.value, add=request.if_missing == ADD)
    if not edited.found and request.if_missing == FAIL:
        raise KeyturnError(f"{request.path} does not set {request.variable}: correct variable, or set if_missing=add.")
    there = edited.found or request.if_missing == ADD
    wider = found.mode is not None and bool(found.mode & ~MODE & 0o7777)
    return Plan(found, edited, None if edited.text == old else edited.text, wider and there, there)


def _apply(target: str, request: Request, pause: Pause) -> Plan:
    """Look once more while no other run can write, and do what has to be done."""
    with temporary(request.path, target, pause) as descriptor:
        plan = make_plan(look(request.path), request)
        if plan.found.target != target:
            raise KeyturnError(f"{request.path} leads elsewhere than a moment ago. Nothing was written; run again.")
        if plan.text is not None:
            replace(plan.found, plan.text, descriptor)
        elif plan.narrow:
            os.chmod(target, MODE)
    return plan


def _result(request: Request, plan: Plan) -> dict[str, Any]:
    variable = request.variable
    earlier = [
        None if statement.plain is None else fingerprint(variable, statement.plain) for statement in plan.edited.before
    ]
    now = fingerprint(variable, request.value) if plan.there else None
    later = [now] * max(len(earlier), plan.there)
    before, after = _octal(plan.found.mode), _octal(plan.mode)
    warnings = []
    if plan.text is not None and has_reference(request.value):
        warnings.append(
            f"The value of {variable} holds ${{, which python-dotenv takes for another variable's name. It was written "
            "so that python-dotenv reads it; another program, or python-dotenv with interpolate=False, does not."
        )
    return {
        "changed": plan.changes,
        "path": request.path,
        "variable": variable,
        "fingerprint": now,
        "previous_fingerprint": earlier[-1] if earlier else None,
        "mode": after,
        "warnings": warnings,
        "diff": {
            "before": {"path": request.path, "mode": before, "fingerprints": {variable: earlier}},
            "after": {"path": request.path, "mode": after, "fingerprints": {variable: later}},
        },
    }


def _octal(mode: int | None) -> str | None:
    return None if mode is None else f"{mode:04o}"
