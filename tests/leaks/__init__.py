# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The leak matrix: every place where a value could be seen, times every way a task can end, through both doors.

``canaries.py`` makes values and finds them again in any notation, ``cases.py`` is what tasks do, ``sinks.py`` is where
values could be seen, ``runs.py`` starts playbooks and collects, ``page.py`` writes the documentation's table.
"""

from __future__ import annotations
