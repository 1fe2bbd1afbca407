# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask IAM what a principal may do, in one call for each service whose actions are asked about.

Follows https://docs.aws.amazon.com/IAM/latest/APIReference/ (API_SimulatePrincipalPolicy, API_EvaluationResult)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._aws import Aws
from .._errors import AccessDeniedError, AwsError
from .needs import Need

_ALLOWED = "allowed"
_NO_SUCH = "NoSuchEntity"


@dataclass(frozen=True)
class Decision:
    """What IAM says of a permission.

    Attributes:
        allowed: the policies allow it.
        depends: condition keys that a policy looks at and that only a real call has; then a denial is none.
    """

    allowed: bool
    depends: tuple[str, ...] = ()


class Simulation:
    """Asks for one principal.

    Args:
        arn: of a user or role.
        context: condition keys and their values.
    """

    def __init__(self, aws: Aws, arn: str, context: Mapping[str, str]) -> None:
        self._aws = aws
        self._arn = arn
        self._context = dict(context)

    def ask(self, needs: Sequence[Need]) -> dict[Need, Decision]:
        """Return IAM's decision on each.

        Actions of one service are asked about together, with all of their resources: IAM decides on each pair. What
        its answer does not tell apart is asked again alone.

        Raises:
            AwsError: the caller may not ask, the endpoint does not know the call, or there is no such principal.
        """
        decided: dict[Need, Decision] = {}
        groups: dict[tuple[str, str], list[Need]] = {}
        for need in needs:
            groups.setdefault((need.action.partition(":")[0], need.via), []).append(need)
        for group in groups.values():
            results = self._together(group)
            for need in group:
                decided[need] = decision(results, need, _examples(group)) or self._alone(need)
        return decided

    def _together(self, group: Sequence[Need]) -> list[dict[str, Any]]:
        resources = _examples(group)
        try:
            return self._results([need.action for need in group], resources, group[0].via)
        except AwsError as error:
            # An endpoint that refuses a resource of another kind than an action's own; nobody there is another matter.
            if len(resources) == 1 or error.code not in ("InvalidInput", "ValidationError"):
                raise
            return []

    def _alone(self, need: Need) -> Decision:
        results = self._results([need.action], [need.example], need.via)
        return decision(results, need, [need.example]) or Decision(allowed=False)

    def _results(self, actions: Iterable[str], resources: Sequence[str], via: str) -> list[dict[str, Any]]:
        """All pages of the answer."""
        context = {**self._context, **({"kms:ViaService": via} if via else {})}
        found: list[dict[str, Any]] = []
        more: dict[str, str] = {}
        while True:
            request: dict[str, Any] = {
                "PolicySourceArn": self._arn,
                "ActionNames": list(dict.fromkeys(actions)),
                "ResourceArns": list(resources),
                "ContextEntries": [
                    {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
                    for key, value in context.items()
                ],
                **more,
            }
            answer = self._aws.call_briefly("iam", "SimulatePrincipalPolicy", self._arn, **request)
            found += answer.get("EvaluationResults") or ()
            if not answer.get("IsTruncated") or not answer.get("Marker"):
                return found
            more = {"Marker": answer["Marker"]}


def _examples(needs: Iterable[Need]) -> list[str]:
    return list(dict.fromkeys(need.example for need in needs))


def perhaps_pathed(error: AwsError) -> bool:
    """IAM knows no such role, or the caller may not ask about it: its path may be missing from the ARN."""
    return error.code == _NO_SUCH or isinstance(error, AccessDeniedError)


def decision(results: Iterable[Mapping[str, Any]], need: Need, resources: Sequence[str]) -> Decision | None:
    """Find the decision on one permission. Pure.

    IAM answers one result an action with one ``ResourceSpecificResults`` entry a resource, or one result a pair; the
    decision of a result over several resources is the most restrictive one.

    Args:
        results: ``EvaluationResults``.
        resources: what was asked about.

    Returns:
        None where the results do not tell the resource apart.
    """
    mine = [one for one in results if str(one.get("EvalActionName", "")).lower() == need.action.lower()]
    for one in mine:
        for specific in one.get("ResourceSpecificResults") or ():
            if specific.get("EvalResourceName") == need.example:
                return _decision(specific.get("EvalResourceDecision"), specific)
    for one in mine:
        if one.get("EvalResourceName") == need.example and not (len(mine) == 1 < len(resources)):
            return _decision(one.get("EvalDecision"), one)
    if mine and all(one.get("EvalDecision") == _ALLOWED for one in mine):
        return Decision(allowed=True)
    return _decision(mine[0].get("EvalDecision"), mine[0]) if len(mine) == 1 == len(resources) else None


def _decision(word: object, details: Mapping[str, Any]) -> Decision:
    allowed = word == _ALLOWED
    return Decision(allowed, () if allowed else tuple(details.get("MissingContextValues") or ()))
