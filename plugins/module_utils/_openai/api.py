# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One call: sent, tried again where that is safe, read as JSON, and its failure told in our words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._errors import KeyturnError
from .._http.exchange import NoReply, Reply
from .._http.patience import ATTEMPTS, Clock, pause
from .._scrub import CENSORED, Scrubber
from .connection import Connection
from .transport import Transport

# A 429 that no waiting cures (https://platform.openai.com/docs/guides/error-codes).
NO_QUOTA = frozenset({"insufficient_quota", "billing_not_active", "billing_hard_limit_reached"})

_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MASKED = re.compile(r"\S*\*{3,}\S*")  # a key as OpenAI itself masks it still shows its last characters
_LONGEST_TEXT = 300

# cause -> message; {where} is the base URL, {text} what was said about it, {tried} "" or " (4 attempts)".
_MESSAGES = {
    "timeout": (
        "No answer from {where} within {timeout} seconds{tried}. Check the network and the proxy, or raise timeout."
    ),
    "no_connection": (
        "{where} cannot be reached{tried}: {text}. Check base_url, the network, and the proxy variables (use_proxy)."
    ),
    "lost_answer": "The connection to {where} broke before the whole answer was there{tried}: {text}.",
    "certificate": (
        "No trusted connection to {where}: {text}. Name the CA of its certificate, or of your proxy's, in ca_path."
    ),
    "server_error": (
        "{where} failed with HTTP {status}{tried}: the trouble is the provider's. Run again later;"
        " https://status.openai.com tells about disturbances."
    ),
    "redirect": "{where} answered with a redirect (HTTP {status}), which no API does. Correct base_url.",
    "not_json": (
        "The answer from {where} (HTTP {status}, {text}) is no JSON, so it does not come from the API: a proxy or a"
        " login page answered, or base_url is wrong."
    ),
}


class OpenAiError(KeyturnError):
    """A call failed.

    Attributes:
        cause: a key of the messages above, or the name that the caller gave; in the result too.
        outcome_unknown: True when the provider may have carried out the call.
    """

    def __init__(self, msg: str, *, cause: str, outcome_unknown: bool = False, **result: Any) -> None:
        super().__init__(msg, cause=cause, **result)
        self.cause = cause
        self.outcome_unknown = outcome_unknown


@dataclass(frozen=True)
class Answer:
    """An answer in JSON, of any status below 500.

    Attributes:
        data: the whole JSON document.
        code: ``error.code``, or ``error.type`` where there is none.
        message: ``error.message``, scrubbed and cut.
        attempts: how often the request was sent.
        perhaps_done: True when an attempt before this one may have been carried out.
    """

    status: int
    data: Any
    code: str = ""
    message: str = ""
    attempts: int = 1
    perhaps_done: bool = False

    @property
    def is_error(self) -> bool:
        """It holds OpenAI's error object."""
        return isinstance(self.data, dict) and isinstance(self.data.get("error"), dict)

    @property
    def named(self) -> str:
        """For messages: ``HTTP 401, invalid_api_key``."""
        return f"HTTP {self.status}, {self.code}" if self.code else f"HTTP {self.status}"

    @property
    def tried(self) -> str:
        """For messages: ``, 4 attempts``, or nothing where there was one."""
        return f", {self.attempts} attempts" if self.attempts > 1 else ""


class Api:
    """Calls to one provider. Every text that came from outside passes ``scrub`` before it gets into a message."""

    def __init__(self, transport: Transport, scrub: Scrubber, clock: Clock, admin_key: str | None = None) -> None:
        self.scrub = scrub
        self.where = transport.base_url
        self._transport, self._clock, self._admin_key = transport, clock, admin_key

    @classmethod
    def of(cls, options: Mapping[str, Any], scrub: Scrubber, *, admin: bool, clock: Clock | None = None) -> Api:
        """From a module's options; ``admin`` when the admin key is needed."""
        connection = Connection.of(options)
        if admin:
            connection.needs_admin_key()
        scrub.add(connection.admin_key)
        return cls(Transport(connection), scrub, clock or Clock(), connection.admin_key)

    def call(self, method: str, path: str, *, key: str, once: bool = False, **content: Any) -> Answer:
        """Send, and try again where that is safe; returns any JSON answer below 500.

        Args:
            once: the call is not idempotent: send it again only when the provider cannot have carried it out.
            content: ``query`` and ``body``.

        Raises:
            OpenAiError: no answer, a 5xx, a redirect, or no JSON.
        """
        attempt, perhaps_done = 0, False
        while True:
            attempt += 1
            outcome = self._send(method, path, key=key, **content)
            cause, unknown = _cause(outcome), _may_be_done(outcome)
            again = attempt < ATTEMPTS.get(cause, 1) and not (once and unknown)
            if again and pause(attempt, outcome, self._clock):
                perhaps_done = perhaps_done or unknown
            elif isinstance(outcome, NoReply) or cause in _MESSAGES:
                raise self._error(cause, outcome, attempt, unknown or perhaps_done)
            else:
                return self._answer(outcome, attempt, perhaps_done)

    def admin(self, method: str, path: str, *, expected: tuple[int, ...] = (), **content: Any) -> Answer:
        """A call with the admin key; returns an answer of status 2xx, or of one ``expected``. Raises OpenAiError."""
        answer = self.call(method, path, key=self._admin_key or "", **content)
        if answer.status < 300 or (answer.status in expected and answer.is_error):
            return answer
        cause, text = _REFUSALS.get(answer.status, _OTHER_REFUSAL)
        # What a 401 says quotes the key, as far as the provider shows it.
        said = f" It says: {answer.message}" if answer.message and answer.status != 401 else ""
        raise OpenAiError(text.format(where=self.where, named=answer.named, tried=answer.tried) + said, cause=cause)

    def _send(self, method: str, path: str, **content: Any) -> Reply | NoReply:
        try:
            return self._transport.send(method, path, **content)
        except NoReply as failure:
            return failure

    def _answer(self, reply: Reply, attempts: int, perhaps_done: bool) -> Answer:
        data = _json(reply.body)
        error = data.get("error") if isinstance(data, dict) else None
        message = error.get("message") if isinstance(error, dict) else None
        text = " ".join(self.scrub.foreign(message).split()) if isinstance(message, str) else ""
        return Answer(
            status=reply.status,
            data=data,
            code=self.scrub.foreign(_code(data)),
            message=_MASKED.sub(CENSORED, text)[:_LONGEST_TEXT],
            attempts=attempts,
            perhaps_done=perhaps_done,
        )

    def _error(self, cause: str, outcome: Reply | NoReply, attempts: int, unknown: bool) -> OpenAiError:
        msg = _MESSAGES[cause].format(
            where=self.where,
            status=outcome.status if isinstance(outcome, Reply) else "",
            timeout=self._transport.timeout,
            tried=f" ({attempts} attempts)" if attempts > 1 else "",
            text=self.scrub.foreign(outcome.content_type if isinstance(outcome, Reply) else outcome.text),
        )
        return OpenAiError(msg, cause=cause, outcome_unknown=unknown)


def _cause(outcome: Reply | NoReply) -> str:
    """What an attempt came to: "answered", "quota", or a key of ATTEMPTS or of the messages."""
    if isinstance(outcome, NoReply):
        return outcome.cause
    if outcome.status >= 500:
        return "server_error"
    if 300 <= outcome.status < 400:
        return "redirect"
    data = _json(outcome.body)
    if outcome.status == 429:
        return "quota" if _code(data) in NO_QUOTA else "rate_limited"
    return "not_json" if data is None else "answered"


def _may_be_done(outcome: Reply | NoReply) -> bool:
    """The provider may have carried out what came to this."""
    if isinstance(outcome, NoReply):
        return not outcome.never_sent
    return outcome.status >= 500 or (outcome.status < 300 and _json(outcome.body) is None)


# status -> cause and message, for calls with the admin key.
_REFUSALS = {
    401: (
        "admin_key_refused",
        (
            "{where} refuses admin_key ({named}). It must be a whole Admin API key (sk-admin-...), not revoked; owners"
            " of the organization make one at https://platform.openai.com/settings/organization/admin-keys."
        ),
    ),
    403: (
        "admin_key_refused",
        (
            "{where} knows admin_key, but does not allow it this ({named}). Give the key the permission to manage the"
            " project's API keys."
        ),
    ),
    404: (
        "not_found",
        (
            "{where} does not know what was asked for ({named}). Check project_id, service_account_id and base_url,"
            " which ends in /v1 at OpenAI."
        ),
    ),
    429: ("rate_limited", "{where} limits the rate of admin_key's calls ({named}{tried}). Run again in a minute."),
}
_OTHER_REFUSAL = ("refused", "{where} refuses the request ({named}).")


def _json(body: bytes) -> Any:
    """The document, or None where it is none (``null`` is no answer either)."""
    try:
        return json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return None


def _code(data: Any) -> str:
    """The error's code, or its type where it has none; nothing that is not shaped like one."""
    error = data.get("error") if isinstance(data, dict) else None
    if not isinstance(error, dict):
        return ""
    for member in (error.get("code"), error.get("type")):
        if isinstance(member, str) and _CODE.fullmatch(member):
            return member
    return ""
