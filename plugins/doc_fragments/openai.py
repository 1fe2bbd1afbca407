# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """How a module reaches OpenAI."""

    DOCUMENTATION = r"""
options:
  admin_key:
    description:
      - An Admin API key of the organization. No project key, nor one of a user, may manage keys.
      - The environment variable E(OPENAI_ADMIN_KEY) of the host that the module runs on is read where it is not given.
    type: str
  base_url:
    description:
      - Where the API is, without a closing slash.
      - A URL beginning with C(http://) is refused for other hosts than this one, unless O(validate_certs=false),
        because it would carry keys unencrypted.
      - The environment variable E(OPENAI_BASE_URL) of the host that the module runs on is read where it is not given.
    type: str
    default: https://api.openai.com/v1
  organization:
    description:
      - Id of the organization that requests are for, where the key belongs to several.
    type: str
"""
