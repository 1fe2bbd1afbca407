# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An AWS endpoint on loopback for tests and the demo: an ECS of its own, moto for the rest. See README.md."""

from __future__ import annotations

from .front import DEFAULT_ACCOUNT, Simulator, SimulatorError

__all__ = ["DEFAULT_ACCOUNT", "Simulator", "SimulatorError"]
