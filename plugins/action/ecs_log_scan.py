# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.keyturn.ecs.plugins.module_utils import _aws
from ansible_collections.keyturn.ecs.plugins.modules.ecs_log_scan import CAPABILITY
from ansible_collections.keyturn.ecs.plugins.plugin_utils._direct import DirectAction

# What is parsed here, in the process that forks the workers, every one of them inherits.
_aws.warm("logs")


class ActionModule(DirectAction):
    """M(keyturn.ecs.ecs_log_scan) without a new process."""

    capability = CAPABILITY
    services = ("logs",)
