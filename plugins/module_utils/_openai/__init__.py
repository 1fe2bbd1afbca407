# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""OpenAI's API: connection -> transport -> api -> keys, verdict.

Every path, parameter and member follows OpenAI's published description
(https://github.com/openai/openai-openapi, openapi.yaml, commit f85dbe2 of 2026-08-21).
"""
