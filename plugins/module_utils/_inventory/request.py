# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is asked for, checked before anything is read. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from .._errors import KeyturnError

# What is cached changes its form with this number.
FORMAT = 1

_REGION = re.compile(r"[a-z]{2,}(-[a-z0-9]+)+")
_ROLE = re.compile(r"arn:[\w-]+:iam::\d{12}:role/\S+")
# Not told apart in the cache: they change with every login, and say nothing that access_key does not.
_SECRET = ("secret_key", "session_token")


@dataclass(frozen=True)
class Request:
    """The options of the inventory plugin that say what is read.

    Attributes:
        regions: names; an empty one is the connection's own.
        roles: ARNs of roles to assume; an empty one is the caller's own account.
        clusters: patterns of clusters' names; empty for all.
        connection: options of ``_aws.CONNECTION_SPEC``.
    """

    variable: str
    regions: tuple[str, ...]
    roles: tuple[str, ...]
    clusters: tuple[str, ...]
    connection: Mapping[str, Any] = field(repr=False)

    @classmethod
    def parse(cls, options: Mapping[str, Any], connection: Mapping[str, Any]) -> Request:
        """Check the options and make a request of them.

        Raises:
            KeyturnError: names the option and what to do.
        """
        variable = options["variable"]
        if not variable:
            raise KeyturnError("variable is empty: name the environment variable, for example OPENAI_API_KEY.")
        regions, roles = _each_once(options["regions"]), _each_once(options["assume_role_arns"])
        for name in regions:
            if name and not _REGION.fullmatch(name):
                raise KeyturnError(f"regions: {name!r} is no Region's name, such as us-east-1.")
        for arn in roles:
            if arn and not _ROLE.fullmatch(arn):
                raise KeyturnError(
                    f"assume_role_arns: {arn!r} is no role's ARN, such as arn:aws:iam::ACCOUNT:role/NAME."
                )
        clusters = tuple(name for name in _each_once(options["clusters"]) if name)
        return cls(variable, regions or ("",), roles or ("",), clusters, connection)

    def wants(self, cluster: str) -> bool:
        """Whether a cluster of this name is looked at; case counts, as it does for ECS."""
        return not self.clusters or any(fnmatchcase(cluster, pattern) for pattern in self.clusters)

    @property
    def digest(self) -> str:
        """Tells what was read for other options apart, in the cache. Holds no secret."""
        connection = {name: value for name, value in self.connection.items() if name not in _SECRET}
        asked = [FORMAT, self.variable, self.regions, self.roles, self.clusters, sorted(connection.items())]
        return hashlib.sha256(json.dumps(asked, default=str).encode("utf-8")).hexdigest()[:16]


def _each_once(values: Iterable[str] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value.strip() for value in values or ()))
