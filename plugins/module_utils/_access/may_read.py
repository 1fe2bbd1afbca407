# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may read the value: IAM is asked about principals that are named.

Follows https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .._aws import Aws
from .._errors import AwsError, KeyturnError
from .._info.unverified import Unverified
from .._preflight.needs import Need
from .._preflight.principal import Principal, parse, with_path
from .._preflight.simulate import Decision, Simulation, perhaps_pathed
from .resources import WAYS, Resource


def principals(arns: Sequence[str]) -> tuple[Principal, ...]:
    """Read ARNs of users, roles or sessions of roles; each once.

    Raises:
        KeyturnError: one is none of these.
    """
    found = []
    for arn in dict.fromkeys(arns):
        principal = parse(arn)
        if principal is None or not (principal.simulated or principal.root):
            raise KeyturnError(
                f"principals: {arn or 'nothing'} is no ARN of an IAM user or role: IAM simulates the policies "
                "of these only."
            )
        found.append(principal)
    return tuple(found)


def may_read(
    aws: Aws, asked: Sequence[Principal], resources: Sequence[Resource], unverified: Unverified
) -> list[dict[str, Any]]:
    """IAM's decision on each principal, action and resource.

    Identity policies, their boundary and the organization's policies count; policies of secrets and keys do not.
    """
    return [one for principal in asked for one in _of_one(aws, principal, resources, unverified)]


def _of_one(
    aws: Aws, principal: Principal, resources: Sequence[Resource], unverified: Unverified
) -> Iterator[dict[str, Any]]:
    strangers = sorted({one.account for one in resources if one.account != principal.account})
    if strangers:
        unverified.add(
            f"{principal.arn} belongs to account {principal.account}, and IAM decides there: what it may read in "
            f"{', '.join(strangers)} was not asked."
        )
    pairs = [(way.need(one), one) for one in resources for way in WAYS if (way.kind, principal.account) == _place(one)]
    nothing: Mapping[Need, Decision] = {}
    needs = list(dict.fromkeys(need for need, _one in pairs))
    regions = {need: one.region for need, one in pairs}
    decided = nothing
    if needs:
        decided = unverified.ask(principal.arn, lambda: _decide(aws, principal, needs, regions), nothing)
    for need, resource in pairs:
        decision = decided.get(need)
        if decision is not None:
            yield {
                "principal": principal.arn,
                "action": need.action,
                "resource": resource.arn,
                "allowed": None if decision.depends else decision.allowed,
                "depends": list(decision.depends),
            }


def _place(resource: Resource) -> tuple[str, str]:
    return (resource.kind, resource.account)


def _decide(aws: Aws, principal: Principal, needs: Sequence[Need], regions: Mapping[Need, str]) -> dict[Need, Decision]:
    if principal.root:
        return {need: Decision(allowed=True) for need in needs}
    decided: dict[Need, Decision] = {}
    for region in dict.fromkeys(regions.values()):
        group = [need for need in needs if regions[need] == region]
        decided |= _simulate(aws, principal, group, region)
    return decided


def _simulate(aws: Aws, principal: Principal, needs: Sequence[Need], region: str) -> dict[Need, Decision]:
    try:
        return _ask(aws, principal.arn, needs, region)
    except AwsError as error:
        # A session's ARN does not tell its role's path, and names of roles are unique without it.
        if not perhaps_pathed(error):
            raise
        found = with_path(aws, principal, error)
    return _ask(aws, found.arn, needs, region)


def _ask(aws: Aws, arn: str, needs: Sequence[Need], region: str) -> dict[Need, Decision]:
    return Simulation(aws, arn, {"aws:RequestedRegion": region, "aws:PrincipalArn": arn}).ask(needs)
