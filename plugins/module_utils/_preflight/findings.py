# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a preflight finds: problems, warnings, and calls that AWS denied on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TypeVar

from .._errors import AccessDeniedError, KeyturnError

T = TypeVar("T")

# What to do about a problem that rotation's own words tell; by check.
_REMEDIES = {
    "aws": "Look at the credentials, the Region and the endpoint, then run again.",
    "assume_role": "Allow sts:AssumeRole on the role to the caller, and the caller in the role's trust policy.",
    "options": "Correct the option that the text names.",
    "service": "Check cluster, service, region and the account.",
    "deployment_controller": "Bring the new value in with the tool that deploys the service.",
    "variable": "Correct the option, the secret or the task definition that the text names.",
    "expected_fingerprint": "Look at who changed the value, then run with the current fingerprint.",
    "in_progress": "Wait for the other deployment with ecs_rollout_wait, or set in_progress=supersede.",
    "execution_role": "Let the task's execution role read the secret.",
    "secret": "Let the caller read the secret or parameter that the text names.",
    "log_scan": "Correct the containers' logConfiguration, or set log_scan=false.",
}


@dataclass(frozen=True)
class Problem:
    """Something that would stop the rotation.

    Attributes:
        check: what was looked at, a word that programs can go by.
        text: what is wrong, a sentence.
        remedy: what to do.
    """

    check: str
    text: str
    remedy: str

    def result(self) -> dict[str, str]:
        """The form in which results show it."""
        return asdict(self)


@dataclass
class Findings:
    """Collects while the preflight goes on; the only mutable thing in it."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    denied: list[AccessDeniedError] = field(default_factory=list)

    def attempt(self, check: str, step: Callable[[], T]) -> T | None:
        """Do one step of a rotation; its refusal becomes a problem, and the preflight goes on with None.

        A call that AWS denied is kept apart: it is told together with the other permissions that are missing.
        """
        try:
            return step()
        except AccessDeniedError as error:
            self.denied.append(error)
        except KeyturnError as error:
            self.problem(check, error.msg)
        return None

    def problem(self, check: str, text: str, remedy: str = "") -> None:
        """Add a problem, once."""
        found = Problem(check, text, remedy or _REMEDIES[check])
        if found not in self.problems:
            self.problems.append(found)

    def warn(self, *texts: str) -> None:
        """Add warnings, each once."""
        self.warnings += [text for text in dict.fromkeys(texts) if text not in self.warnings]
