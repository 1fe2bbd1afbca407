# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """How a module reaches whoever gave out a key."""

    DOCUMENTATION = r"""
options:
  timeout:
    description:
      - Seconds to wait for the connection, and for the answer.
      - After a timeout a request that only reads is sent once more.
    type: int
    default: 30
  validate_certs:
    description:
      - V(false) does not check certificates. Set O(ca_path) instead, if you can.
    type: bool
    default: true
  ca_path:
    description:
      - File with the CA certificates in PEM to check the provider's, or your proxy's, certificate against.
    type: path
  use_proxy:
    description:
      - V(false) ignores the environment variables E(HTTP_PROXY), E(HTTPS_PROXY) and E(NO_PROXY).
    type: bool
    default: true
"""
