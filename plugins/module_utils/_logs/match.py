# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which lines tell of an authentication error, and how they may be shown. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from .._scrub import CENSORED

LONGEST_MESSAGE = 500
_LEAD = 100

# What follows a status: no further digit or letter, no file's ending, and no unit as after a duration or an amount.
_NO_STATUS = r"(?![\w%]|,\d{3}|:\d|[./-]\w|\s*(?:[num]?s|sec\w*|min\w*|bytes?|[kmg]?i?b|rows?|items?|tokens?)\b)"

# Texts and codes of https://platform.openai.com/docs/guides/error-codes, and how servers and HTTP clients write a 401.
DEFAULT_PATTERNS: tuple[str, ...] = (
    r"\b(?:invalid_api_key|AuthenticationError|authentication_error)\b",
    r"(?i:\bincorrect api key provided\b|\byou didn['\u2019]t provide an api key\b)",
    # "GET /x HTTP/1.1" 401 12 (servers), "HTTP/1.1 401 Unauthorized" (clients)
    r"\bHTTP/\d(?:\.\d)?[\"']?\s+401" + _NO_STATUS,
    # POST /x 401 12.3 ms (morgan), [GIN] … | 401 | 12ms | … (gin)
    r"\b(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) [\"']?/\S*[\"']? 401" + _NO_STATUS,
    r"\[GIN\][^|]*\|\s*401\s*\|",
    r"(?i:\b401\W{1,3}(?:unauthorized|client error)\b|\bunauthorized\W{1,3}401\b)",
    # status=401, "statusCode": 401, Error code: 401, HTTP 401, <Response [401]>
    r"(?i:(?<![a-z])(?:http|status|error|response)(?:[ _.-]?(?:http|status|error|response))*(?:[ _-]?code)?[\"']?"
    r"(?:\s+(?:of|is|was)\b)?\s*[:=]?\s*[\"'\[(]?401" + _NO_STATUS + ")",
    r"[\"']code[\"']\s*:\s*[\"']?401\b|(?<![\w-])code=401\b",
)

# Colours, as uvicorn and others write them around a status.
_TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

# Beyond what a scrubber knows: what stands where credentials do, and keys that their provider masked in part.
_CREDENTIALS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b[spr]k[-_][A-Za-z0-9_-]*\*[A-Za-z0-9_*-]*"), CENSORED),
    (re.compile(r"(?i)\b(bearer|basic)\s+(?=[^\s\"',;]*\d)[^\s\"',;]{8,}"), rf"\1 {CENSORED}"),
    (
        re.compile(
            r"(?i)((?:api[-_ ]?key|authorization|password|passwd|secret|token)[\"']?\s*[:=]\s*[\"']?)"
            r"(?!(?:bearer|basic)\b)(?=[^\s\"',;&}]*\d)[^\s\"',;&}]{8,}"
        ),
        rf"\1{CENSORED}",
    ),
)


def plain(message: str) -> str:
    """Return a log line without colours and the line's end."""
    return _TERMINAL.sub("", message).rstrip()


def first_match(patterns: tuple[re.Pattern[str], ...], line: str) -> re.Pattern[str] | None:
    """Return the first of ``patterns`` that a line matches; None for none."""
    return next((pattern for pattern in patterns if pattern.search(line)), None)


def presentable(line: str, pattern: re.Pattern[str], clean: Callable[[str], str]) -> str:
    """Return a line as results may show it: redacted first, then cut around the match.

    Args:
        clean: takes known values, and what looks like a key, out of a text.
    """
    text = clean(line)
    for found, instead in _CREDENTIALS:
        text = found.sub(instead, text)
    text = _CONTROL.sub(" ", text)
    if len(text) <= LONGEST_MESSAGE:
        return text
    match = pattern.search(text)
    start = max(match.start() - _LEAD, 0) if match and match.end() >= LONGEST_MESSAGE else 0
    before = "…" if start else ""
    rest = text[start:]
    room = LONGEST_MESSAGE - len(before)
    return before + (rest if len(rest) <= room else rest[: room - 1] + "…")
