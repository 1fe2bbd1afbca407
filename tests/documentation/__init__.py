# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the documentation shows, found and tried: blocks.py finds it, checks.py reads it, walk.py runs it."""

from __future__ import annotations
