# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tests only: stands for the bindings of systemd, whose journal a module writes to."""

from __future__ import annotations
