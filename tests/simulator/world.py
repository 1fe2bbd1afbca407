# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All accounts and Regions of the endpoint, and the context of one call."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, replace

from . import errors
from .secret_store import SecretStore
from .state import Cluster, Quirks, Region, Service, Task, TaskDefinition, Timing


class World:
    """State per (account, Region). Hold `lock` while you use it."""

    def __init__(
        self,
        seed: int = 0,
        timing: Timing | None = None,
        quirks: Quirks | None = None,
        check_secrets: bool = False,
        enforce_roles: bool = False,
    ) -> None:
        self.lock = threading.RLock()
        self.timing = timing or Timing()
        self.quirks = quirks or Quirks()
        self._seed = seed
        self._check_secrets = check_secrets or enforce_roles
        self._enforce_roles = enforce_roles
        self._regions: dict[tuple[str, str], Region] = {}

    def region(self, account: str, name: str) -> Region:
        key = (account, name)
        if key not in self._regions:
            seed = f"{self._seed}/{account}/{name}"
            region = Region(account, name, random.Random(seed), self.timing, self.quirks, seed)
            store = SecretStore(account, name, region.partition, self._check_secrets, self._enforce_roles)
            region.prepare = store.prepare
            self._regions[key] = region
        return self._regions[key]

    def regions(self) -> list[Region]:
        return list(self._regions.values())

    def reset(self) -> None:
        self._regions.clear()


@dataclass(frozen=True)
class Call:
    """One ECS call: whose, where, when (virtual time), and whether an eventually consistent answer is asked for."""

    region: Region
    principal: str
    now: float
    stale: bool = False

    def cluster(self, name: str | None) -> Cluster:
        """The ACTIVE cluster with this name or ARN, `default` when none is given."""
        found = self.region.clusters.get(last_part(name or "default"))
        if found is None or (name and name.startswith("arn:") and name != found.arn):
            raise errors.cluster_not_found()
        if found.status != "ACTIVE":
            raise errors.ApiError("ClusterNotFoundException", "The referenced cluster was inactive.")
        return found

    def service(self, cluster: str | None, name: str) -> Service:
        """The service with this name or ARN, in any status."""
        if name.startswith("arn:") and cluster is None and name.count("/") == 2:
            cluster = name.split("/")[1]
        found = self.cluster(cluster).services.get(last_part(name))
        if found is None or (name.startswith("arn:") and name != found.arn):
            raise errors.service_not_found()
        return found

    def active_service(self, cluster: str | None, name: str) -> Service:
        found = self.service(cluster, name)
        if found.status != "ACTIVE":
            raise errors.service_not_active()
        return found

    def definition(self, name: str) -> TaskDefinition | None:
        """By ARN, family:revision, or family (its latest ACTIVE revision)."""
        if name.startswith("arn:"):
            if not name.startswith(self.region.arn("task-definition/")):
                return None
            name = last_part(name)
        family, _unused, number = name.partition(":")
        known = self.region.families.get(family, [])
        if self.stale:
            known = known[:-1]
        known = [one for one in known if one.status != "DELETED"]
        if number:
            return next((one for one in known if str(one.revision) == number), None)
        return next((one for one in reversed(known) if one.status == "ACTIVE"), None)

    def usable_definition(self, name: str) -> TaskDefinition:
        """A definition that a service or task may start from."""
        found = self.definition(name)
        if found is None:
            raise errors.client("TaskDefinition not found.")
        if found.status != "ACTIVE":
            raise errors.client("TaskDefinition is inactive")
        return found

    def task(self, cluster: Cluster, name: str) -> Task | None:
        identifier = last_part(name)
        if identifier in cluster.tasks:
            return cluster.tasks[identifier]
        found = (one.tasks.get(identifier) for one in cluster.services.values())
        return next((task for task in found if task is not None), None)

    def fresh(self) -> Call:
        return replace(self, stale=False)


def last_part(name: str) -> str:
    """The name at the end of an ARN or path."""
    return name.rsplit("/", 1)[-1]
