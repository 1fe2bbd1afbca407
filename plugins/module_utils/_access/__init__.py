# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may read a value, as IAM decides, and who did, as CloudTrail remembers. Nothing here reads a value."""

from __future__ import annotations
