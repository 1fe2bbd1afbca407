# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.keyturn.ecs.plugins.modules.api_key_probe import CAPABILITY
from ansible_collections.keyturn.ecs.plugins.plugin_utils._direct import DirectAction


class ActionModule(DirectAction):
    """M(keyturn.ecs.api_key_probe) without a new process."""

    capability = CAPABILITY
