# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the services of a cluster, and which revisions they name.

Follows API_ListServices and API_DescribeServices of https://docs.aws.amazon.com/AmazonECS/latest/APIReference/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .._aws import Aws
from .._ecs import Service, last_part
from .._errors import GoneError

LIST_PAGE = 100
DESCRIBE_BATCH = 10


@dataclass(frozen=True)
class TaskSet:
    """A task set of a service that CodeDeploy or an external controller deploys."""

    id: str
    arn: str
    status: str  # PRIMARY, ACTIVE, DRAINING
    task_definition: str

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> TaskSet:
        return cls(
            id=answer.get("id", ""),
            arn=answer.get("taskSetArn", ""),
            status=answer.get("status", ""),
            task_definition=answer.get("taskDefinition", ""),
        )


@dataclass(frozen=True)
class Placed:
    """A service, and its task sets."""

    service: Service
    task_sets: tuple[TaskSet, ...] = ()

    @property
    def running(self) -> str:
        """The revision that it moves towards; empty where nothing was ever deployed."""
        primary = next((one.task_definition for one in self.task_sets if one.status == "PRIMARY"), "")
        return self.service.task_definition or primary

    def named(self, starting: bool = False) -> dict[str, str]:
        """Every revision that it names, with what names it.

        Args:
            starting: without those of deployments that are INACTIVE, "completely replaced", which start no tasks.
        """
        found = {self.running: "the service"} if self.running else {}
        for deployment in self.service.deployments:
            if not starting or deployment.status != "INACTIVE":
                found[deployment.task_definition] = f"deployment {deployment.id} ({deployment.status})"
        for one in self.task_sets:
            found[one.task_definition] = f"task set {one.id} ({one.status})"
        return found


def list_services(aws: Aws, cluster: str) -> list[str]:
    """ARNs of all services of a cluster."""
    arns: list[str] = []
    more: dict[str, str] = {}
    while True:
        on = f"cluster {last_part(cluster)}"
        answer = aws.call("ecs", "ListServices", on, cluster=cluster, maxResults=LIST_PAGE, **more)
        arns.extend(answer.get("serviceArns") or ())
        if not answer.get("nextToken"):
            return arns
        more = {"nextToken": answer["nextToken"]}


def describe_services(aws: Aws, cluster: str, names: Iterable[str]) -> tuple[Placed, ...]:
    """Read services, ten a call; those that are gone, or on their way, are left out: their tasks are seen as tasks."""
    wanted, found = list(names), []
    for start in range(0, len(wanted), DESCRIBE_BATCH):
        batch = wanted[start : start + DESCRIBE_BATCH]
        on = f"services {', '.join(last_part(name) for name in batch)} in cluster {last_part(cluster)}"
        answer = aws.call("ecs", "DescribeServices", on, cluster=cluster, services=batch)
        for entry in answer.get("services") or ():
            service = Service.parse({"clusterArn": cluster, **entry})
            if service.status in ("", "ACTIVE"):
                aws.scrub.keep(service.arn, service.task_definition)
                found.append(Placed(service, tuple(TaskSet.parse(one) for one in entry.get("taskSets") or ())))
    return tuple(found)


def check_all_there(aws: Aws, cluster: str, names: Iterable[str], found: Iterable[Placed]) -> None:
    """Refuse names that are no service.

    Raises:
        GoneError: names them.
    """
    there = {one.service.name for one in found}
    missing = [name for name in names if name not in there]
    if missing:
        raise GoneError(
            f"services: there is no ACTIVE service {', '.join(missing)} in cluster {last_part(cluster)} in Region "
            f"{aws.region}: check services, cluster, region and the account."
        )
