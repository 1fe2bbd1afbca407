# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""OpenAI on loopback: the operations that the collection calls, checked against OpenAI's own description."""

from __future__ import annotations

from .provider import ADMIN_KEY, Provider
from .state import StoredKey

__all__ = ["ADMIN_KEY", "Provider", "StoredKey"]
