# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a module and the action plugin of the same name share: a name, its options, and the function behind both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ._aws import CONNECTION_SPEC, Aws
from ._errors import KeyturnError

Say = Callable[[str], None]


def _silent(_line: str) -> None:
    """Say nothing: a module cannot, while it runs."""


@dataclass(frozen=True)
class Capability:
    """One capability of the collection, behind both doors.

    Attributes:
        spec: Ansible's argument spec of its own options; the connection's are added.
        rules: further arguments of Ansible's validator, such as ``required_if``.
        run: ``(aws, options, check_mode, say)`` to the result; raises :class:`KeyturnError`.
    """

    spec: Mapping[str, Mapping[str, Any]]
    run: Callable[[Aws, Mapping[str, Any], bool, Say], dict[str, Any]]
    rules: Mapping[str, Any] = field(default_factory=dict)

    @property
    def argument_spec(self) -> dict[str, Any]:
        """The whole argument spec, made anew: Ansible writes into it."""
        return {name: dict(option) for name, option in (*CONNECTION_SPEC.items(), *self.spec.items())}

    def answer(self, options: Mapping[str, Any], *, check_mode: bool, diff: bool, say: Say = _silent) -> dict[str, Any]:
        """Run with validated options and return the result; a failure is a result with ``failed`` and ``msg``."""
        aws = None
        try:
            aws = Aws(options)
            result = self.run(aws, options, check_mode, say)
        except KeyturnError as error:
            result = {"changed": False, **error.result, "msg": error.msg, "failed": True}
        if not diff:
            result.pop("diff", None)
        if not result.get("warnings"):
            result.pop("warnings", None)
        if options["debug_botocore_endpoint_logs"]:
            result["resource_actions"] = sorted(set(aws.calls if aws else ()))
        return result
