# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a service is to Ansible: a host's name, its groups, its variables. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from .._info.times import days, iso
from .survey import Found, Value

ENVIRONMENTS = "environments"
# Variable of the role -> option of the connection that it hands on.
HANDED_ON = {"rotate_profile": "profile", "rotate_endpoint_url": "endpoint_url"}

T = TypeVar("T")


def host_name(one: Found) -> str:
    """``SERVICE.CLUSTER.REGION.ACCOUNT``: always all four, so that no other service can change a host's name.

    Neither a service's nor a cluster's name may hold a dot.
    """
    return f"{one.service}.{one.cluster}.{one.region}.{one.account}"


def group_names(one: Found) -> tuple[str, ...]:
    """Groups of a host, for letters, digits and underscores only."""
    named = {"region": one.region, "account": one.account, "cluster": one.cluster}
    return (ENVIRONMENTS, *(re.sub(r"[^A-Za-z0-9_]", "_", f"{kind}_{name}") for kind, name in named.items()))


def host_variables(one: Found, variable: str, connection: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Variables of a host: those of the role, and what is known of the value.

    Args:
        connection: the options with which the service was read.
        now: epoch seconds.
    """
    handed_on = {name: connection.get(option) for name, option in HANDED_ON.items()}
    if one.role:
        handed_on["rotate_assume_role_arn"] = one.role
        handed_on["rotate_assume_role_external_id"] = connection.get("assume_role_external_id")
    sinces = [value.since for value in one.values if value.since is not None]
    fingerprints = _each_once(value.fingerprint for value in one.values)
    stores = _each_once(value.store for value in one.values)
    return {
        "rotate_cluster": one.cluster,
        "rotate_service": one.service,
        "rotate_region": one.region,
        "rotate_variable": variable,
        **{name: value for name, value in handed_on.items() if value},
        "ecs_account": one.account,
        "ecs_cluster_arn": one.cluster_arn,
        "ecs_service_arn": one.service_arn,
        "ecs_task_definition": one.task_definition,
        "ecs_deployment_controller": one.controller,
        "ecs_desired_count": one.desired,
        "ecs_tags": dict(one.tags),
        "ecs_fingerprint": _the_only(fingerprints),
        "ecs_fingerprints": [name for name in fingerprints if name is not None],
        "ecs_store": _the_only(stores),
        "ecs_stores": stores,
        "ecs_age_days": days(min(sinces), now) if sinces else None,
        "ecs_values": [_shown(value, now) for value in one.values],
    }


def _shown(value: Value, now: float) -> dict[str, Any]:
    return {
        "container": value.container,
        "store": value.store,
        "fingerprint": value.fingerprint,
        "since": iso(value.since),
        "age_days": None if value.since is None else days(value.since, now),
        "value_from": value.value_from,
    }


def _each_once(values: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(values))


def _the_only(values: list[T]) -> T | None:
    return values[0] if len(values) == 1 else None
