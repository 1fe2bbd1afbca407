# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tests only: a connection to this machine that does not say it is local, so that the ordinary module runs."""

from __future__ import annotations

DOCUMENTATION = """
name: bastion
short_description: This machine as if it were another one
description:
  - Runs commands here, as the connection V(local) does, under another name.
author: The keyturn.ecs authors (@keyturn)
options:
  become_success_timeout:
    type: int
    default: 10
    description: As for V(local).
  become_strip_preamble:
    type: bool
    default: true
    description: As for V(local).
extends_documentation_fragment:
  - connection_pipelining
"""

from ansible.plugins.connection import local


class Connection(local.Connection):
    """A local connection with another `transport`."""

    transport = "bastion"
