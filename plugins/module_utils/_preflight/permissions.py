# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All permissions that a rotation needs and the caller lacks, named at once.

What was called on the way is proof, one way or the other; the rest is asked of IAM.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._aws import Aws
from .._errors import AwsError
from .findings import Findings
from .needs import Need, Work, needs
from .principal import Principal, assumed, parse, with_path
from .simulate import Decision, Simulation, perhaps_pathed
from .statements import PASSED_TO, statements


@dataclass(frozen=True)
class Permissions:
    """What the caller may do of what the rotation needs.

    Attributes:
        unchecked: why IAM could not be asked; empty when it was.
    """

    allowed: tuple[str, ...] = ()
    missing: tuple[Need, ...] = ()
    unchecked: str = ""

    def result(self) -> dict[str, Any]:
        """The form in which results show it."""
        return {
            "allowed": list(self.allowed),
            "missing": [{"action": need.action, "resource": need.resource} for need in self.missing],
            "unchecked": self.unchecked or None,
        }


def identify(aws: Aws, options: Mapping[str, Any]) -> tuple[Principal | None, str]:
    """Who calls; and why that is not known."""
    try:
        answer = aws.call_briefly("sts", "GetCallerIdentity", "the caller")
    except AwsError as error:
        return None, error.msg
    arn = str(answer.get("Arn", ""))
    found = parse(arn)
    if found is None:
        return None, f"sts:GetCallerIdentity answered {arn or 'no ARN'}, which is no principal's."
    return assumed(found, options.get("assume_role_arn")), ""


def check(aws: Aws, work: Work, principal: Principal | None, unknown: str, findings: Findings) -> Permissions:
    """Find what is missing, and tell it as one problem.

    Args:
        unknown: why there is no principal.
    """
    wanted = needs(work)
    denied = {error.permission for error in findings.denied}
    open_ones = [need for need in wanted if not need.proven and need.action not in denied]
    decided = {need: Decision(allowed=need.action not in denied) for need in wanted if need not in open_ones}
    asked, unchecked = _ask(aws, work, open_ones, principal, unknown)
    decided |= asked
    lacking = [need for need in wanted if need in decided and not decided[need].allowed]
    unsure = [
        need for need in lacking if need in asked and (decided[need].depends or _by_resource(aws, need, principal))
    ]
    missing = [need for need in lacking if need not in unsure]
    _tell(findings, missing, principal, unchecked)
    findings.warn(*_doubts({need: decided[need].depends for need in unsure}))
    not_allowed = {need.action for need in wanted if need not in decided or not decided[need].allowed}
    allowed = dict.fromkeys(need.action for need in wanted if need.action not in not_allowed)
    return Permissions(tuple(allowed), tuple(missing), unchecked)


def _ask(
    aws: Aws, work: Work, wanted: Sequence[Need], principal: Principal | None, unknown: str
) -> tuple[dict[Need, Decision], str]:
    """IAM's decisions, and why there are none."""
    if principal is None:
        return {}, unknown
    if principal.root:
        return {need: Decision(allowed=True) for need in wanted}, ""
    if not principal.simulated:
        return {}, f"IAM simulates policies of users and roles only, and the caller is {principal.arn}."
    try:
        return _simulated(aws, work, wanted, principal), ""
    except AwsError as error:
        return {}, error.msg


def _simulated(aws: Aws, work: Work, wanted: Sequence[Need], principal: Principal) -> dict[Need, Decision]:
    region = work.scope.split(":")[3]
    context = {
        **PASSED_TO,
        "ecs:CreateAction": "RegisterTaskDefinition",
        "ecs:cluster": f"{work.scope}:cluster/{work.cluster}",
        "aws:RequestedRegion": region,
        "aws:PrincipalArn": principal.arn,
    }
    try:
        return Simulation(aws, principal.arn, context).ask(wanted)
    except AwsError as error:
        # GetCallerIdentity does not tell a role's path, and names of roles are unique without it.
        if not perhaps_pathed(error):
            raise
        found = with_path(aws, principal, error)
    return Simulation(aws, found.arn, {**context, "aws:PrincipalArn": found.arn}).ask(wanted)


def _by_resource(aws: Aws, need: Need, principal: Principal | None) -> bool:
    """A secret's or key's own policy names the caller: IAM's simulation leaves those out."""
    if principal is None:
        return False
    service, region = need.resource.split(":")[2:4] if need.resource.startswith("arn:") else ("", "")
    there, on = aws.in_region(region), need.resource
    answer: Mapping[str, Any] | None = None
    if service == "secretsmanager" and "??????" not in need.resource:
        answer = there.call_optional(service, "GetResourcePolicy", on, SecretId=on)
    elif service == "kms":
        answer = there.call_optional(service, "GetKeyPolicy", on, KeyId=on, PolicyName="default")
    text = str((answer or {}).get("ResourcePolicy") or (answer or {}).get("Policy") or "")
    return f'"{principal.arn}"' in text


def _doubts(unsure: Mapping[Need, Sequence[str]]) -> Iterator[str]:
    """A sentence for each reason why it cannot be said.

    Args:
        unsure: permission to the condition keys that it depends on.
    """
    by_reason: dict[str, list[Need]] = {}
    for need, keys in unsure.items():
        why = f"a policy depends on {', '.join(keys)}" if keys else "only the resource's own policy names the caller"
        by_reason.setdefault(why, []).append(need)
    for why, needs_of_one_kind in by_reason.items():
        words = _listed(needs_of_one_kind)
        yield f"Whether the caller has this cannot be said before the real call, since {why}: {words}."


def _tell(findings: Findings, missing: Sequence[Need], principal: Principal | None, unchecked: str) -> None:
    """Missing permissions as one problem, optional ones as a warning."""
    who = f"The caller {principal.arn}" if principal else "The caller"
    required, optional = ([need for need in missing if need.optional is kind] for kind in (False, True))
    where = f"Add to the policy of {principal.arn}: " if principal else "Add to the caller's policy: "
    if required:
        findings.problem("permissions", f"{who} lacks {_listed(required)}.", where + statements(required))
    if optional:
        findings.warn(
            f"{who} lacks {_listed(optional)}, without which less of a rollout can be verified. "
            f"{where}{statements(optional)}"
        )
    told = {need.action for need in required}
    for error in findings.denied:
        if error.permission not in told:
            remedy = where + statements([Need(error.permission, error.resource or "*")])
            findings.problem("permissions", error.msg, remedy)
    if unchecked:
        findings.warn(f"The caller's permissions could not be checked beforehand: {unchecked}")


def _listed(needs_of_one_kind: Sequence[Need]) -> str:
    """``2 permissions: A on X, B on Y and Z``."""
    on: dict[str, list[str]] = {}
    for need in needs_of_one_kind:
        on.setdefault(need.action, []).append(need.resource)
    words = ", ".join(f"{action} on {' and '.join(resources)}" for action, resources in on.items())
    return words if len(on) == 1 else f"{len(on)} permissions: {words}"


def unasked(findings: Findings, why: str) -> Permissions:
    """Nobody could be asked; what AWS denied on the way is told all the same."""
    _tell(findings, (), None, why)
    return Permissions(unchecked=why)
