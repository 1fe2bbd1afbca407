# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Does the provider accept a key? GET /models with it, and one row for each answer.

The rows follow https://platform.openai.com/docs/guides/error-codes. What says nothing about the key is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .._http.connection import check_secret
from .api import NO_QUOTA, Answer, Api, OpenAiError
from .schema import Member

_UNKNOWN = "Whether the key is accepted is not known."


@dataclass(frozen=True)
class Row:
    """One judgement; the first row that matches an answer counts.

    Attributes:
        status: HTTP status.
        verdict: its name in results; ``cause`` of the error where ``valid`` is None.
        valid: None when the answer says nothing about the key.
        text: what is said; {where} and {named} are filled in.
        codes: the error's codes that it is about; empty for all.
        phrase: what the error's text must hold, where codes do not tell.
    """

    status: int
    verdict: str
    valid: bool | None
    text: str
    codes: frozenset[str] = frozenset()
    phrase: re.Pattern[str] | None = None

    def matches(self, answer: Answer) -> bool:
        return (
            self.status == answer.status
            and (not self.codes or answer.code in self.codes)
            and (self.phrase is None or self.phrase.search(answer.message) is not None)
        )


_SCOPES = re.compile(r"missing scopes|insufficient permissions", re.IGNORECASE)
_ADDRESS = re.compile(r"\bIP\b.*(not authorized|not allowed|allowlist)", re.IGNORECASE)
_RESTRICTED = (
    "{where} knows the key, which may not list models ({named}): it is a restricted key. Whether it may do what the"
    " application asks for is not known."
)
_NOT_FROM_HERE = (
    "{where} refuses requests from this machine's address ({named}), whatever the key. Run the task"
    " from an address on the allowlist, through a proxy or delegated to another host."
)

ROWS = (
    Row(200, "accepted", True, "{where} accepts the key."),
    Row(401, "restricted", True, _RESTRICTED, phrase=_SCOPES),
    Row(401, "address_refused", None, _NOT_FROM_HERE, codes=frozenset({"ip_not_authorized"})),
    Row(401, "address_refused", None, _NOT_FROM_HERE, phrase=_ADDRESS),
    Row(
        401,
        "wrong_organization",
        None,
        "{where} says that the key does not belong to the organization that was named ({named})."
        " Correct the option organization, or leave it out.",
        codes=frozenset({"mismatched_organization", "invalid_organization"}),
    ),
    Row(
        401,
        "refused",
        False,
        "{where} refuses the key ({named}): it is mistyped, cut off, revoked or expired. Copy the whole key again, or"
        " make a new one.",
    ),
    Row(403, "restricted", True, _RESTRICTED, phrase=_SCOPES),
    Row(
        403,
        "region_refused",
        None,
        "{where} does not serve the country that this machine's address is in ({named}), whatever the key."
        " Run the task where the application runs.",
        codes=frozenset({"unsupported_country_region_territory"}),
    ),
    Row(
        403,
        "forbidden",
        None,
        "{where} forbids the request ({named}), without saying that it is for the key."
        " Look at the project's and the organization's limits, and at what stands between here and there.",
    ),
    Row(
        429,
        "no_quota",
        True,
        "{where} knows the key, but its organization has no quota left ({named}): the application's requests will fail"
        " until it is paid for, see https://platform.openai.com/settings/organization/billing.",
        codes=NO_QUOTA,
    ),
    Row(
        429,
        "rate_limited",
        True,
        "{where} knows the key, and limits the rate of its requests at the moment ({named}{tried}).",
        codes=frozenset({"rate_limit_exceeded"}),
    ),
    Row(
        429,
        "rate_limited",
        None,
        "{where} takes no more requests at the moment ({named}{tried}), without saying that it is for the key."
        " Run again in a minute.",
    ),
)
_OTHER = Row(0, "unexpected", None, "{where} answered GET /models with {named}. Check base_url.")


def check(api: Api, value: str) -> dict[str, Any]:
    """``valid``, ``verdict`` and ``reason`` of a key; raises :class:`OpenAiError` where the answer does not tell."""
    check_secret("value", value)
    api.scrub.add(value)
    try:
        answer = api.call("GET", "/models", key=value)
    except OpenAiError as error:
        raise OpenAiError(f"{error.msg} {_UNKNOWN}", cause=error.cause) from None
    row = judge(answer)
    reason = row.text.format(
        where=api.where,
        named=answer.named,
        tried=answer.tried,
    )
    if row.valid is None:
        raise OpenAiError(f"{reason} {_UNKNOWN}", cause=row.verdict)
    return {"valid": row.valid, "verdict": row.verdict, "reason": reason}


def judge(answer: Answer) -> Row:
    """The row for an answer: pure, but for a list of models that is none."""
    if answer.status == 200:
        Member(answer.data, "GET /models").members("data")
    elif not answer.is_error:
        return _OTHER
    return next((row for row in ROWS if row.matches(answer)), _OTHER)
