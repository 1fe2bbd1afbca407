# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One call for several rollouts: what is asked for one of them is asked for those that are looked at next as well.

Each rollout gets the answer that it would get alone: a call that fails for several, which one of them may be the
reason of, and what a call for several does not tell, is asked again for the one. Where AWS cannot be reached even for
the one, the others are told so, if they can go on, rather than that each tries for minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .._aws import Aws
from .._ecs import SERVICES_BATCH, TASKS_BATCH, describe_tasks
from .._errors import AwsError

RECORDS_BATCH = 20

Answer = dict[str, Any]
# What the call is about, the cluster, names of things in it; what is told of each.
Ask = Callable[[str, str, list[str]], dict[str, Answer]]


class Together:
    """Things of one kind, of which a call tells several.

    Args:
        size: of how many.
    """

    def __init__(self, size: int, ask: Ask) -> None:
        self._size = size
        self._ask = ask
        self._kept: dict[tuple[str, str], Answer] = {}
        self._expected: dict[tuple[str, str], None] = {}
        self._failed: dict[tuple[str, str], AwsError] = {}
        self._patient = False

    def begin(self, expected: Iterable[tuple[str, str]], patient: bool) -> None:
        """Forget what was told.

        Args:
            expected: clusters and names that may be read next, in that order.
            patient: whoever reads them goes on where AWS cannot be reached.
        """
        self._kept.clear()
        self._failed.clear()
        self._expected, self._patient = dict.fromkeys(expected), patient

    def anew(self) -> None:
        """What was told and not read yet is asked again: it is older than what is read now."""
        self._expected = {**dict.fromkeys(self._kept), **self._expected}
        self._kept.clear()

    def read(self, on: str, cluster: str, names: Sequence[str]) -> dict[str, Answer]:
        """What is told by name, at most once of each since :meth:`begin`: who asks again wants it new.

        Raises:
            AwsError: the call for these names failed.
        """
        for name in names:
            if (cluster, name) in self._failed:
                raise self._failed.pop((cluster, name))
        self._read_ahead(on, cluster, [name for name in names if (cluster, name) not in self._kept])
        found = {name: self._kept.pop((cluster, name)) for name in names if (cluster, name) in self._kept}
        left = [name for name in names if name not in found]
        if left:
            found.update(self._ask(on, cluster, left))
            self._failed.clear()
        return found

    def _read_ahead(self, on: str, cluster: str, names: list[str]) -> None:
        for name in names:
            self._expected.pop((cluster, name), None)
        room = max(self._size - len(names), 0)
        others = [name for place, name in self._expected if place == cluster][:room]
        if not names or not others:
            return
        for name in others:
            del self._expected[cluster, name]
        try:
            told = self._ask(f"{on} and {len(others)} more", cluster, [*names, *others])
        except AwsError as error:
            self._expected.clear()
            if error.transient and self._patient:
                self._failed.update({(cluster, name): error for name in others})
            return
        self._kept.update({(cluster, name): answer for name, answer in told.items()})


class Reads:
    """What several rollouts of one wait read together. Names are those of services, and the ARNs of the others."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self.services = Together(SERVICES_BATCH, self._services)
        self.records = Together(RECORDS_BATCH, self._records)
        self.tasks = Together(TASKS_BATCH, self._tasks)

    def anew(self) -> None:
        """See :meth:`Together.anew`."""
        for kind in (self.services, self.records, self.tasks):
            kind.anew()

    def _services(self, on: str, cluster: str, names: list[str]) -> dict[str, Answer]:
        """An answer of DescribeServices for each, as if it were asked alone."""
        answer = self._aws.call("ecs", "DescribeServices", on, cluster=cluster, services=names)
        if len(names) == 1:
            return {names[0]: answer}
        told = {}
        for entry in answer.get("services") or ():
            told[entry.get("serviceArn")] = told[entry.get("serviceName")] = {"services": [entry]}
        return {name: told[name] for name in names if name in told}

    def _records(self, on: str, _cluster: str, arns: list[str]) -> dict[str, Answer]:
        answer = self._aws.call("ecs", "DescribeServiceDeployments", on, serviceDeploymentArns=arns)
        return {entry.get("serviceDeploymentArn", ""): entry for entry in answer.get("serviceDeployments") or ()}

    def _tasks(self, on: str, cluster: str, arns: list[str]) -> dict[str, Answer]:
        return {task.get("taskArn", ""): task for task in describe_tasks(self._aws, on, cluster, arns)}
