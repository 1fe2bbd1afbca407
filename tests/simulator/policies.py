# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a role's policies in moto's IAM allow an action on a resource, and iam:SimulatePrincipalPolicy, which moto
lacks.

Rules: IAM user guide, "Policy evaluation logic": an explicit deny wins, an allow is needed. Identity policies of the
role only: no boundaries, no resource policies, no SCPs. moto's own evaluator (`moto.iam.access_control`) cannot be
used: it has neither "?" nor NotResource, takes a pattern for a regular expression, and a condition for a denial.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from .errors import ApiError
from .state import Json

# Service authorization reference; "*" stands for every action that is not here.
_TEMPLATES = {
    "secretsmanager": "arn:${Partition}:secretsmanager:${Region}:${Account}:secret:${SecretId}",
    "ssm": "arn:${Partition}:ssm:${Region}:${Account}:parameter/${ParameterNameWithoutLeadingSlash}",
    "kms": "arn:${Partition}:kms:${Region}:${Account}:key/${KeyId}",
}
_SEVERITY = ("allowed", "implicitDeny", "explicitDeny")


@dataclass(frozen=True)
class Policy:
    name: str
    kind: str  # PolicySourceType of the API
    statements: tuple[Json, ...]


@dataclass(frozen=True)
class Decision:
    decision: str  # allowed, implicitDeny, explicitDeny
    matched: tuple[Policy, ...] = ()
    missing_context: tuple[str, ...] = ()


def policies_of(role_arn: str) -> list[Policy] | None:
    """The policies of a role, inline and attached; None when there is no such role."""
    match = re.fullmatch(r"arn:([^:]+):iam::(\d+):role/.+", role_arn)
    if match is None or "moto.iam.models" not in sys.modules:
        return None
    from moto.iam.exceptions import NotFoundException
    from moto.iam.models import iam_backends

    try:
        role = iam_backends[match[2]][match[1]].get_role_by_arn(role_arn)
    except NotFoundException:
        return None
    found = [_policy(name, "role", document) for name, document in role.policies.items()]
    for arn, policy in role.managed_policies.items():
        document = next(version.document for version in policy.versions if version.is_default)
        found.append(_policy(arn, "aws-managed" if ":iam::aws:" in arn else "user-managed", document))
    return found


def _policy(name: str, kind: str, document: str) -> Policy:
    statements = json.loads(document)["Statement"]
    return Policy(name, kind, tuple(statements if isinstance(statements, list) else [statements]))


def decide(policies: Iterable[Policy], action: str, resource: str) -> Decision:
    """Conditions are not evaluated: a statement that has one allows nothing, and denies whatever else it matches."""
    allow, deny, missing = [], [], []
    for policy in policies:
        for statement in policy.statements:
            if not (_covers(statement, "Action", action) and _covers(statement, "Resource", resource)):
                continue
            conditions = statement.get("Condition") or {}
            missing += [key for operator in conditions.values() for key in operator]
            if statement["Effect"] == "Deny":
                deny.append(policy)
            elif not conditions:
                allow.append(policy)
    keys = tuple(dict.fromkeys(missing))
    if deny:
        return Decision("explicitDeny", tuple(deny), keys)
    return Decision("allowed" if allow else "implicitDeny", tuple(allow), keys)


def _covers(statement: Json, element: str, value: str) -> bool:
    """Action and Resource, or NotAction and NotResource. Actions are compared without case."""
    negated = f"Not{element}"
    patterns = statement.get(negated if negated in statement else element, [])
    patterns = [patterns] if isinstance(patterns, str) else patterns
    flags = re.IGNORECASE if element == "Action" else 0
    matched = any(re.fullmatch(_expression(one), value, flags) for one in patterns)
    return matched != (negated in statement)


def _expression(pattern: str) -> str:
    return re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")


def simulate(body: bytes) -> str:
    """The answer to SimulatePrincipalPolicy, for a role: one result an action, and in it one a resource.

    API_EvaluationResult: the decision of a result is the most restrictive one, its resource a template.
    """
    fields = parse_qs(body.decode())
    arn = fields.get("PolicySourceArn", [""])[0]
    actions, resources = _members(fields, "ActionNames"), _members(fields, "ResourceArns")
    if not actions:
        raise ApiError("ValidationError", "ActionNames must not be empty.")
    if not re.fullmatch(r"arn:[^:]+:iam::\d+:role/.+", arn):
        raise ApiError("InvalidInput", f"{arn} is no role, and this simulator simulates roles only.")
    policies = policies_of(arn)
    if policies is None:
        name = arn.rsplit("/", 1)[-1]
        raise ApiError("NoSuchEntity", f"The role with name {name} cannot be found.", 404)
    results = [_result(policies, action, resources) for action in actions]
    return (
        '<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
        f"<SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated>{_list('EvaluationResults', results)}"
        "</SimulatePrincipalPolicyResult><ResponseMetadata><RequestId>simulator</RequestId></ResponseMetadata>"
        "</SimulatePrincipalPolicyResponse>"
    )


def _members(fields: dict[str, list[str]], name: str) -> list[str]:
    found = [
        (int(key.rsplit(".", 1)[1]), values[0]) for key, values in fields.items() if key.startswith(f"{name}.member.")
    ]
    return [value for _unused, value in sorted(found)]


def _result(policies: Sequence[Policy], action: str, resources: Sequence[str]) -> str:
    each = [(resource, decide(policies, action, resource)) for resource in resources or ["*"]]
    worst = max((decision.decision for _unused, decision in each), key=_SEVERITY.index)
    counting = [decision for _unused, decision in each if decision.decision == worst]
    total = Decision(
        worst,
        tuple(_unique(counting)),
        tuple(dict.fromkeys(key for _unused, decision in each for key in decision.missing_context)),
    )
    text = _element("EvalActionName", action)
    text += _element("EvalResourceName", _TEMPLATES.get(action.partition(":")[0], "*"))
    text += _element("EvalDecision", total.decision) + _details(total)
    if resources:
        specific = [
            _element("EvalResourceName", resource)
            + _element("EvalResourceDecision", decision.decision)
            + _details(decision)
            for resource, decision in each
        ]
        text += "<EvalDecisionDetails/>" + _list("ResourceSpecificResults", specific)
    return text


def _unique(decisions: Iterable[Decision]) -> list[Policy]:
    return list({policy.name: policy for decision in decisions for policy in decision.matched}.values())


def _details(decision: Decision) -> str:
    """Which policies decided; where in them (StartPosition, EndPosition) is left out."""
    matched = [
        _element("SourcePolicyId", policy.name) + _element("SourcePolicyType", policy.kind)
        for policy in _unique([decision])
    ]
    missing = [escape(key) for key in decision.missing_context]
    return _list("MatchedStatements", matched) + _list("MissingContextValues", missing)


def _element(name: str, text: str) -> str:
    return f"<{name}>{escape(text)}</{name}>"


def _list(name: str, members: Iterable[str]) -> str:
    return f"<{name}>{''.join(f'<member>{one}</member>' for one in members)}</{name}>"
