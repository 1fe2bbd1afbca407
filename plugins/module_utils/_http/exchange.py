# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One HTTP exchange, and why it failed where it did.

The only file that knows Ansible's urls: proxies, certificates and timeouts are its matter.
"""

from __future__ import annotations

import errno
import http.client
import socket
import ssl
import urllib.error
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from email.message import Message

from ansible.module_utils.urls import Request

from .connection import Way

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


class Exchange:
    """Sends requests one way. A key goes where it is sent and nowhere else: no redirect is followed."""

    def __init__(self, way: Way) -> None:
        self.timeout = way.timeout
        self._request = Request(
            use_proxy=way.use_proxy,
            timeout=way.timeout,
            validate_certs=way.validate_certs,
            ca_path=way.ca_path,
            http_agent="keyturn.ecs",
            follow_redirects="none",
            decompress=False,
            use_netrc=False,  # a .netrc would replace the header that holds the key
        )

    def send(
        self, method: str, url: str, headers: Mapping[str, str], secret: Collection[str], data: bytes | None = None
    ) -> Reply:
        """Send one request and return its answer, of whatever status; raises :class:`NoReply`.

        Args:
            secret: names of headers that hold a key.
        """
        try:
            answer = self._request.open(
                method, url, data=data, headers=dict(headers), unredirected_headers=list(secret)
            )
            with answer:
                return Reply(answer.status, answer.headers, answer.read(LARGEST_ANSWER))
        except urllib.error.HTTPError as error:
            return Reply(error.code, error.headers, _rest(error))
        except urllib.error.URLError as error:
            raise _no_request(error.reason) from None
        except TimeoutError:
            raise NoReply("timeout", "", never_sent=False) from None
        except (ValueError, http.client.InvalidURL):
            raise NoReply("no_connection", "its URL or a proxy variable is no URL", never_sent=True) from None
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
