# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The second door: the module's own function, run inside Ansible's worker process.

A module call starts a new Python and imports boto3, 0.85 s of CPU each time. On a local connection that buys nothing,
so the action plugin of the same name validates the same options and calls the same function here. Elsewhere it runs the
module.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

from ansible.module_utils.ansible_release import __version__ as ansible_version
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.keyturn.ecs.plugins.module_utils import _aws
from ansible_collections.keyturn.ecs.plugins.module_utils._capability import Capability, complaint
from ansible_collections.keyturn.ecs.plugins.plugin_utils._board import DONE, FAILING, UNDER_WAY, Board

display = Display()

HOSTS_SHOWN_IN_FULL = 20

# Before 2.19 no_log takes a task's warnings away as well.
WARNINGS_SURVIVE_NO_LOG = tuple(int(part) for part in ansible_version.split(".")[:2]) >= (2, 19)

# Ansible imports action plugins in the process that forks the workers: what is parsed here, every worker inherits.
_aws.warm("ecs", "sts")
# A worker that collects garbage walks, and so copies, all that it inherited: most of what a task costs. Python's manual
# names this remedy for processes that fork (https://docs.python.org/3/library/gc.html#gc.freeze).
gc.collect()
gc.freeze()

# Without a place for temporary files there is no progress with many hosts.
board: Board | None = None
with suppress(OSError):
    board = Board()


class DirectAction(ActionBase):
    """Base of every action plugin; a subclass names the capability of the module of its own name."""

    capability: ClassVar[Capability]
    services: ClassVar[tuple[str, ...]] = ()  # of AWS, that it asks beside ECS
    counts_hosts: ClassVar[bool] = False  # tells with many hosts how many are done
    _supports_check_mode = True
    _supports_async = True

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        _aws.warm(*cls.services)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        if not self._runs_here():
            result.update(self._elsewhere(task_vars))
        else:
            with self._task_environment():
                result.update(self._answer(task_vars or {}))
        if self._task.no_log and not WARNINGS_SURVIVE_NO_LOG:
            for line in result.pop("warnings", ()):
                display.warning(line)
        return result

    def _elsewhere(self, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """The ordinary module's result."""
        result: dict[str, Any] = self._execute_module(task_vars=task_vars, wrap_async=self._task.async_val)
        return result

    def _runs_here(self) -> bool:
        """The controller is where the module would run, as the same user, and has the library."""
        become = self._connection.become
        other_user = become is not None and bool(self._play_context.become)
        has_library = _aws.HAS_BOTO3 or not self.capability.needs_boto3
        return self._connection.transport == "local" and not other_user and not self._task.async_val and has_library

    def _answer(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        validator = ArgumentSpecValidator(self.capability.argument_spec, **self.capability.rules)
        checked = validator.validate(self._task.args)
        secrets = checked._no_log_values | self.capability.secrets(self._task.args)
        secrets -= self.capability.no_secrets(checked.validated_parameters)
        if checked.error_messages:
            return _censored({"failed": True, "msg": complaint(checked.errors[0], self._task.action)}, secrets)
        answer = self.capability.answer(
            checked.validated_parameters,
            check_mode=self._task.check_mode,
            diff=self._task.diff,
            say=self._say(task_vars, secrets),
        )
        if self._is_one_of_many(task_vars) and checked.validated_parameters.get("progress"):
            self._mark(task_vars, FAILING if answer.get("failed") else DONE)
        doubled = [f"Both option {one['option']} and its alias {one['alias']} are set." for one in checked._warnings]
        if doubled:
            answer["warnings"] = [*doubled, *answer.get("warnings", [])]
        return _censored(answer, secrets)

    def _say(self, task_vars: dict[str, Any], secrets: set[str]) -> Callable[[str], None]:
        """Show a line with the host's name; with many hosts, how far all of them are."""
        host = task_vars.get("inventory_hostname", "localhost")
        if self._is_one_of_many(task_vars):
            return lambda _line: self._mark(task_vars, UNDER_WAY)
        return lambda line: display.display(f"[{host}] {remove_values(line, secrets)}")

    def _is_one_of_many(self, task_vars: dict[str, Any]) -> bool:
        return len(task_vars.get("ansible_play_hosts_all") or ()) > HOSTS_SHOWN_IN_FULL

    def _mark(self, task_vars: dict[str, Any], state: int) -> None:
        hosts, host = task_vars["ansible_play_hosts_all"], task_vars["inventory_hostname"]
        if board is not None and self.counts_hosts and host in hosts:
            line = board.mark(self._task._uuid, hosts, host, state)
            if line:
                display.display(line)

    @contextmanager
    def _task_environment(self) -> Iterator[None]:
        """Let the task's ``environment:`` reach the options' fall-backs and botocore, as it would reach a module."""
        wanted: dict[str, Any] = {}
        self._compute_environment_string(wanted)
        before = {name: os.environ.get(name) for name in wanted}
        os.environ.update({name: str(value) for name, value in wanted.items()})
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _censored(result: dict[str, Any], secrets: set[str]) -> dict[str, Any]:
    """Take the values of no_log options out of a result, as AnsibleModule does."""
    clean: dict[str, Any] = remove_values(result, secrets)
    return clean
