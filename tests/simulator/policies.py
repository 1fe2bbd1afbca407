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
from collections.abc import Iterable, Mapping, Sequence
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


def policies_of_session(principal: str) -> list[Policy] | None:
    """The policies of the role behind a session's ARN; None when there is no such role, or it is no session."""
    match = re.fullmatch(r"arn:[^:]+:sts::(\d+):assumed-role/(.+)/[^/]+", principal)
    arn = role_arn(match[1], match[2].rpartition("/")[2]) if match else None
    return policies_of(arn) if arn else None


def role_arn(account: str, name: str) -> str | None:
    """The ARN, with its path, of the role with this name; None when there is no such role."""
    if "moto.iam.models" not in sys.modules:
        return None
    from moto.iam.exceptions import NotFoundException
    from moto.iam.models import iam_backends

    try:
        return str(iam_backends[account]["aws"].get_role(name).arn)
    except NotFoundException:
        return None


def _policy(name: str, kind: str, document: str) -> Policy:
    statements = json.loads(document)["Statement"]
    return Policy(name, kind, tuple(statements if isinstance(statements, list) else [statements]))


def decide(
    policies: Iterable[Policy], action: str, resource: str, context: Mapping[str, str] | None = None
) -> Decision:
    """A statement whose condition cannot be evaluated allows nothing, and denies whatever else it matches.

    context: the values of condition keys. A key that is missing is told; so is one behind an operator that is not here.
    """
    known = {key.lower(): value for key, value in (context or {}).items()}
    allow, deny, missing = [], [], []
    for policy in policies:
        for statement in policy.statements:
            if not (_covers(statement, "Action", action) and _covers(statement, "Resource", resource)):
                continue
            results = [
                (key, _met(operator, known.get(key.lower()), values))
                for operator, keys in (statement.get("Condition") or {}).items()
                for key, values in keys.items()
            ]
            missing += [key for key, met in results if met is None]
            if statement["Effect"] == "Deny" and all(met is not False for _key, met in results):
                deny.append(policy)
            elif statement["Effect"] == "Allow" and all(met for _key, met in results):
                allow.append(policy)
    keys = tuple(dict.fromkeys(missing))
    if deny:
        return Decision("explicitDeny", tuple(deny), keys)
    return Decision("allowed" if allow else "implicitDeny", tuple(allow), keys)


def _met(operator: str, value: str | None, wanted: str | Sequence[str]) -> bool | None:
    """Whether one value of a key is among those of a condition; None where that cannot be said."""
    patterns = [wanted] if isinstance(wanted, str) else wanted
    if value is None:
        return None
    if operator == "StringEquals":
        return value in patterns
    if operator in ("StringLike", "ArnLike", "ArnEquals"):  # the last two are the same: both know wildcards
        return any(re.fullmatch(_expression(one), value) for one in patterns)
    return None


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
    context = _context(fields)
    results = [_result(policies, action, resources, context) for action in actions]
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


def _context(fields: dict[str, list[str]]) -> dict[str, str]:
    """ContextEntries, the first value of each."""
    names = [key for key in fields if re.fullmatch(r"ContextEntries\.member\.\d+\.ContextKeyName", key)]
    places = {fields[key][0]: key.removesuffix("ContextKeyName") for key in names}
    return {name: fields[f"{place}ContextKeyValues.member.1"][0] for name, place in places.items()}


def _result(policies: Sequence[Policy], action: str, resources: Sequence[str], context: Mapping[str, str]) -> str:
    each = [(resource, decide(policies, action, resource, context)) for resource in resources or ["*"]]
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
