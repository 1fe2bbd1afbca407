#!/usr/bin/python
# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dotenv_value
short_description: Give one variable of a local .env file a new value
version_added: 0.1.0
description:
  - Developers keep the keys of their own runs in C(.env) files. This module gives one variable of such a file a new
    value, and leaves everything else in the file as it is, byte by byte.
  - Every statement that sets the variable is replaced, also C(export NAME=...), values in quotes and values over
    several lines. Comments are kept, also those behind the value; an old value within a comment stays.
  - Statements are read as python-dotenv 1.2 reads them. The value is written unquoted where that is safe, else
    between single quotes, else between double quotes with escapes, so that python-dotenv reads exactly the value. Other
    readers, shells among them, agree for values without quotes, backslashes, dollar signs and newlines; keys are such.
  - The file is replaced as a whole or not at all, and has mode V(0600) afterwards, whatever it had before. Its owner
    stays. Where O(path) is a symbolic link, the file that it leads to is replaced and the link stays.
  - There is no option for a backup, since it would keep the old value.
author:
  - The keyturn.ecs authors (@keyturn)
options:
  path:
    description:
      - The C(.env) file, on the host that the module runs on.
      - Directories, other things than files, files with NUL bytes, with a second name (a hard link), and those that the
        user may not write or does not own are refused.
    type: path
    required: true
  variable:
    description:
      - Name of the variable.
    type: str
    required: true
  value:
    description:
      - The new value. It may hold every character but NUL, and must not be empty.
      - Do not write it on the command line, where every process of the machine can read it.
    type: str
    required: true
  create:
    description:
      - Make the file, with mode V(0600), where there is none. Its folder must be there.
    type: bool
    default: false
  if_missing:
    description:
      - What to do when the file does not set the variable.
      - V(add) appends a line, V(fail) fails, V(ignore) leaves the file as it is, its mode included.
    type: str
    choices: [add, fail, ignore]
    default: add
attributes:
  check_mode:
    description: Reads the file and returns what would be done.
    support: full
  diff_mode:
    description: Shows fingerprints, and the mode; never a value.
    support: full
notes:
  - The new content is written into a file of the same folder whose name ends in C(.keyturn-new), with mode V(0600)
    from its beginning on. A run that is killed can leave it behind, with the new value in it. The next run on the same
    O(path) removes it. Two runs at once take turns.
  - A line that names the variable and cannot be read, for a quote that is not closed for example, is an error, because
    an old value may stand in it.
  - python-dotenv replaces C(${NAME}) in every kind of quotes. A value that holds such a thing is written in a way that
    only python-dotenv understands, and a warning says so.
  - Programs read the file when they start; those that run keep the old value.
seealso:
  - module: keyturn.ecs.ecs_env_rotate
  - module: keyturn.ecs.ledger
"""

EXAMPLES = r"""
- name: Put the new key into the .env file of this checkout
  keyturn.ecs.dotenv_value:
    path: ~/src/elevareai-api/.env
    variable: OPENAI_API_KEY
    value: "{{ lookup('ansible.builtin.env', 'OPENAI_API_KEY') }}"

- name: The same on every developer's machine that has the variable
  keyturn.ecs.dotenv_value:
    path: /srv/dev/.env
    variable: OPENAI_API_KEY
    value: "{{ lookup('ansible.builtin.env', 'OPENAI_API_KEY') }}"
    if_missing: ignore
  delegate_to: "{{ item }}"
  loop: "{{ groups.workstations }}"
"""

RETURN = r"""
path:
  description: The file, as it was given.
  returned: always
  type: str
  sample: /home/kim/src/elevareai-api/.env
variable:
  description: Name of the variable.
  returned: always
  type: str
  sample: OPENAI_API_KEY
fingerprint:
  description:
    - Fingerprint of the value that the variable has now.
    - Null when the file does not set it and O(if_missing=ignore).
  returned: success
  type: str
  sample: sha256:295a257b25e0
previous_fingerprint:
  description:
    - Fingerprint of the value that it had before; of the last one, where it was set several times.
    - Null when the file did not set it, or when the value hung on other variables, as in C(NAME=${OTHER}).
  returned: success
  type: str
  sample: sha256:5842814f939e
mode:
  description:
    - The file's mode now, in octal digits.
    - Null when there is no file, which happens with O(create=true) and O(if_missing=ignore).
  returned: success
  type: str
  sample: "0600"
"""

from ansible_collections.keyturn.ecs.plugins.module_utils._capability import WithoutAws
from ansible_collections.keyturn.ecs.plugins.module_utils._dotenv.value import set_value
from ansible_collections.keyturn.ecs.plugins.module_utils._module import Module

CAPABILITY = WithoutAws(
    spec={
        "path": {"type": "path", "required": True},
        "variable": {"type": "str", "required": True},
        "value": {"type": "str", "required": True, "no_log": True},
        "create": {"type": "bool", "default": False},
        "if_missing": {"type": "str", "choices": ["add", "fail", "ignore"], "default": "add"},
    },
    run=lambda scrub, options, check_mode, _say: set_value(options, check_mode=check_mode, scrub=scrub),
)


def main() -> None:
    Module(CAPABILITY).finish()


if __name__ == "__main__":
    main()
