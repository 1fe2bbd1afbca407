# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests to OpenAI: where the key goes, and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from .._http.exchange import Exchange, Reply
from .connection import Connection


class Transport:
    """Sends requests over one connection. A key goes to ``base_url`` and nowhere else."""

    def __init__(self, connection: Connection) -> None:
        self.base_url = connection.base_url
        self.timeout = connection.timeout
        self._headers = {"Accept": "application/json"}
        if connection.organization:
            self._headers["OpenAI-Organization"] = connection.organization
        self._exchange = Exchange(connection)

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
        return self._exchange.send(method, url, headers, ["Authorization"], data)
