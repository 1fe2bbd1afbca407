# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One HTTP exchange, and why it failed where it did.

The only file that knows Ansible's urls: proxies, certificates and timeouts are its matter.
"""

from __future__ import annotations

import errno
import http.client
import json
import socket
import ssl
import urllib.error
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.parse import urlencode

from ansible.module_utils.urls import Request

from .connection import Connection

LARGEST_ANSWER = 16 * 1024 * 1024

# Nothing was sent when one of these stands behind the failure.
_NOT_CONNECTED = (socket.gaierror, ConnectionRefusedError, ssl.SSLCertVerificationError)
_NOT_CONNECTED_CODES = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL}


@dataclass(frozen=True)
class Reply:
    """What came back, whatever its status."""

    status: int
    headers: Message
    body: bytes

    @property
    def content_type(self) -> str:
        return (self.headers.get("Content-Type") or "no content type").partition(";")[0].strip()[:80]


class NoReply(Exception):
    """No answer, or not all of it.

    Attributes:
        cause: ``timeout``, ``certificate``, ``no_connection`` (never reached) or ``lost_answer``.
        text: what happened, in few words, from others: to be scrubbed.
        never_sent: True when the server cannot have seen the request.
    """

    def __init__(self, cause: str, text: str, *, never_sent: bool) -> None:
        super().__init__(cause)
        self.cause, self.text, self.never_sent = cause, text, never_sent


class Transport:
    """Sends requests over one connection. A key goes to ``base_url`` and nowhere else: no redirect is followed."""

    def __init__(self, connection: Connection) -> None:
        self.base_url = connection.base_url
        self.timeout = connection.timeout
        self._headers = {"Accept": "application/json"}
        if connection.organization:
            self._headers["OpenAI-Organization"] = connection.organization
        self._request = Request(
            use_proxy=connection.use_proxy,
            timeout=connection.timeout,
            validate_certs=connection.validate_certs,
            ca_path=connection.ca_path,
            http_agent="keyturn.ecs",
            follow_redirects="none",
            unredirected_headers=["Authorization"],
            decompress=False,
            use_netrc=False,  # a .netrc would replace the header that holds the key
        )

    def send(
        self,
        method: str,
        path: str,
        *,
        key: str,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Reply:
        """Send one request and return its answer, of whatever status; raises :class:`NoReply`."""
        headers = {**self._headers, "Authorization": f"Bearer {key}"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode("utf-8")
        url = f"{self.base_url}{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            answer = self._request.open(method, url, data=data, headers=headers)
            with answer:
                return Reply(answer.status, answer.headers, answer.read(LARGEST_ANSWER))
        except urllib.error.HTTPError as error:
            return Reply(error.code, error.headers, _rest(error))
        except urllib.error.URLError as error:
            raise _no_request(error.reason) from None
        except TimeoutError:
            raise NoReply("timeout", "", never_sent=False) from None
        except (ValueError, http.client.InvalidURL):
            raise NoReply("no_connection", "base_url or a proxy variable is no URL", never_sent=True) from None
        except (OSError, http.client.HTTPException) as error:
            raise NoReply("lost_answer", _told(error), never_sent=False) from None


def _rest(error: urllib.error.HTTPError) -> bytes:
    """The body of an error's answer, or nothing where it broke off: the status says enough."""
    try:
        with error:
            return error.read(LARGEST_ANSWER)
    except (OSError, http.client.HTTPException):
        return b""


def _no_request(reason: object) -> NoReply:
    """What kept urllib from sending the request, or interrupted it."""
    if isinstance(reason, TimeoutError):
        return NoReply("timeout", "", never_sent=False)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return NoReply("certificate", str(reason.verify_message), never_sent=True)
    if isinstance(reason, ssl.SSLError):
        return NoReply("certificate", str(reason.reason or "TLS failed"), never_sent=False)
    text = _told(reason)
    known = isinstance(reason, _NOT_CONNECTED) or "Tunnel connection failed" in text
    known = known or (isinstance(reason, OSError) and reason.errno in _NOT_CONNECTED_CODES)
    return NoReply("no_connection", text, never_sent=known)


def _told(reason: object) -> str:
    """An error in few words."""
    if isinstance(reason, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(reason, OSError) and reason.strerror:
        return str(reason.strerror).lower()
    if isinstance(reason, http.client.HTTPException):
        return "it was closed too early"
    return str(reason)
