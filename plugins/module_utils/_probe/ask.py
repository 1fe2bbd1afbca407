# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask, again where that may help, and say what the answer means. Nothing that the server wrote is ever shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._errors import KeyturnError
from .._http.connection import HTTP_SPEC, Way, check_secret
from .._http.exchange import Exchange, NoReply, Reply
from .._http.patience import ATTEMPTS, Clock, pause
from .._scrub import Scrubber
from .question import DEFAULTS, MEMBERS, METHODS, Question

_STATUSES = {"type": "list", "elements": "int"}
SPEC: dict[str, dict[str, Any]] = {
    **HTTP_SPEC,
    "url": {"type": "str", "required": True},
    "value": {"type": "str", "required": True, "no_log": True},
    "headers": {"type": "dict", "required": True},
    "method": {"type": "str", "choices": list(METHODS), "default": DEFAULTS["method"]},
    "accepted": {**_STATUSES, "default": DEFAULTS["accepted"]},
    "refused": {**_STATUSES, "default": DEFAULTS["refused"]},
    "restricted": {**_STATUSES, "default": DEFAULTS["restricted"]},
}

# verdict -> valid, and what is said.
VERDICTS: dict[str, tuple[bool, str]] = {
    "accepted": (True, "{where} accepts the key (HTTP {status})."),
    "restricted": (
        True,
        (
            "{where} knows the key, which may not do what was asked (HTTP {status}): it is a restricted key. Whether it"
            " may do what the application asks for is not known."
        ),
    ),
    "refused": (
        False,
        (
            "{where} refuses the key (HTTP {status}): it is mistyped, cut off, revoked or expired. Copy the whole key"
            " again, or make a new one."
        ),
    ),
}

# cause -> what is said of an answer that tells nothing about the key, or of none.
MESSAGES = {
    "timeout": (
        "No answer from {where} within {timeout} seconds{tried}. Check the network and the proxy, or raise timeout."
    ),
    "no_connection": (
        "{where} cannot be reached{tried}: {text}. Check url, the network, and the proxy variables (use_proxy)."
    ),
    "lost_answer": "The connection to {where} broke before the whole answer was there{tried}: {text}.",
    "certificate": (
        "No trusted connection to {where}: {text}. Name the CA of its certificate, or of your proxy's, in ca_path."
    ),
    "server_error": (
        "{where} failed with HTTP {status}{tried}: the trouble is the provider's, not the key's. Run again later."
    ),
    "rate_limited": (
        "{where} takes no more requests at the moment (HTTP 429){tried}, without saying that it is for the key. Run"
        " again in a minute."
    ),
    "redirect": "{where} answered with a redirect (HTTP {status}), which is not followed with a key. Correct url.",
    "web_page": (
        "{where} answered with a web page (HTTP {status}), so it is not the API that answers: a proxy or a login page"
        " does, or url is wrong."
    ),
    "unexpected": (
        "{where} answered with HTTP {status}, which is none of the statuses that tell of a key. Check url and headers."
    ),
}


def ask(scrub: Scrubber, options: Mapping[str, Any], clock: Clock | None = None) -> dict[str, Any]:
    """``valid``, ``verdict``, ``reason`` and ``status``.

    Raises:
        KeyturnError: with ``cause``, and ``status`` where there was an answer, when it says nothing about the key; or
            an option makes no sense.
    """
    question = Question.of({name: options[name] for name in MEMBERS}, validate_certs=options["validate_certs"])
    check_secret("value", options["value"])
    scrub.add(options["value"])
    exchange = Exchange(Way.of(options))
    clock, attempt = clock or Clock(), 0
    while True:
        attempt += 1
        outcome = _send(exchange, question, options["value"])
        meaning = judge(question, outcome)
        if attempt >= ATTEMPTS.get(meaning, 1) or not pause(attempt, outcome, clock):
            break
    status = outcome.status if isinstance(outcome, Reply) else None
    told = {
        "where": question.where,
        "status": status,
        "timeout": exchange.timeout,
        "tried": f" ({attempt} attempts)" if attempt > 1 else "",
        "text": scrub.foreign(outcome.text) if isinstance(outcome, NoReply) else "",
    }
    if meaning in VERDICTS:
        valid, text = VERDICTS[meaning]
        reason = text.format(**told)
        return {"changed": False, "valid": valid, "verdict": meaning, "reason": reason, "status": status}
    known = {} if status is None else {"status": status}
    unsure = f"{MESSAGES[meaning].format(**told)} Whether the key is accepted is not known."
    raise KeyturnError(unsure, cause=meaning, **known)


def judge(question: Question, outcome: Reply | NoReply) -> str:
    """A verdict, or a cause of the messages: pure."""
    if isinstance(outcome, NoReply):
        return outcome.cause
    status = outcome.status
    if outcome.content_type.lower() in ("text/html", "application/xhtml+xml") and status < 500:
        return "web_page"
    for verdict in VERDICTS:
        if status in getattr(question, verdict):
            return verdict
    if status == 429:
        return "rate_limited"
    if status >= 500:
        return "server_error"
    return "redirect" if 300 <= status < 400 else "unexpected"


def _send(exchange: Exchange, question: Question, value: str) -> Reply | NoReply:
    try:
        return exchange.send(question.method, question.url, question.filled(value), question.secret)
    except NoReply as failure:
        return failure
