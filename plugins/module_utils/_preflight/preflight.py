# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole of ``ecs_env_preflight``: look, judge, ask for permissions, tell everything at once. Writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._aws import Aws
from .._ecs import last_part
from .._errors import KeyturnError
from .findings import Findings, Problem
from .look import Seen, look
from .permissions import Permissions, check, identify, unasked
from .rules import judge
from .work import work_of


def preflight(aws: Aws, options: Mapping[str, Any]) -> dict[str, Any]:
    """Find out whether a rotation with these options would work, and prove anything.

    Args:
        options: the validated options of ``ecs_env_preflight``.

    Returns:
        The result as the module's RETURN documents it.

    Raises:
        KeyturnError: there are problems and ``fail_on_problems``; the result's fields come along.
    """
    aws.scrub.add(options["value"], options["value"].strip())
    findings = Findings()
    seen = look(aws, options, findings)
    for finding in judge(seen):
        if finding.check:
            findings.problem(finding.check, finding.text, finding.remedy)
        else:
            findings.warn(aws.scrub.foreign(f"{finding.text} {finding.remedy}"))
    permissions = _permissions(aws, seen, options, findings)
    result = _result(seen, options, findings, permissions)
    if findings.problems and options["fail_on_problems"]:
        raise KeyturnError(_message(result["service"], findings.problems), **result)
    return result


def _permissions(aws: Aws, seen: Seen, options: Mapping[str, Any], findings: Findings) -> Permissions:
    if seen.idle:
        return Permissions()
    if seen.request is None or not seen.reached:
        return unasked(findings, "neither the options nor the service could be read.")
    principal, unknown = identify(aws, options)
    work = work_of(aws, seen, principal, options)
    if work is None:
        return unasked(findings, unknown)
    if seen.current is None and findings.denied:
        findings.warn(
            "Which roles, secrets and logs the rotation has to do with is not known before the caller may read the "
            "service and its task definition: allow that, then run again."
        )
    return check(aws, work, principal, unknown, findings)


def _result(seen: Seen, options: Mapping[str, Any], findings: Findings, permissions: Permissions) -> dict[str, Any]:
    service = seen.service
    return {
        "changed": False,
        "cluster": (service.cluster if service else "") or last_part(options["cluster"]),
        "service": service.name if service else last_part(options["service"]),
        "task_definition": service.task_definition or None if service else None,
        "problems": [problem.result() for problem in findings.problems],
        "permissions": permissions.result(),
        "warnings": list(findings.warnings),
    }


def _message(service: str, problems: Sequence[Problem]) -> str:
    """A sentence for each problem."""
    if len(problems) == 1:
        return f"Service {service} cannot be rotated, nothing was changed: {problems[0].text}"
    told = " ".join(f"({number}) {problem.text}" for number, problem in enumerate(problems, 1))
    return f"Service {service} cannot be rotated for {len(problems)} reasons, nothing was changed: {told}"
