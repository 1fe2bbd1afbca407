# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tests only: systemd runs here, modules are told."""

from __future__ import annotations


def booted() -> bool:
    return True
