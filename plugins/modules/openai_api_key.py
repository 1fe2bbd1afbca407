#!/usr/bin/python
# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: openai_api_key
short_description: Make or revoke an API key of an OpenAI project
version_added: 0.1.0
description:
  - Makes a key for a service account of a project, or revokes a key of a project, through OpenAI's Administration API.
  - OpenAI shows a key's value once, in the answer that makes it. So this module returns RV(value) once. Ansible shows
    that result censored, as if the task had C(no_log=true). The registered variable holds the value; give
    C(no_log=true) to every task that would show it.
  - Keys are told by O(name). Where the service account has one of that name, nothing changes and RV(value) is null.
  - Making a key is not repeated when its answer is lost. The module then looks for the key and tells its id, so that it
    can be revoked.
author:
  - The keyturn.ecs authors (@keyturn)
options:
  state:
    description:
      - V(present) makes a key unless the service account has one named O(name).
      - V(absent) revokes the key O(key_id). A key that is gone already is no error.
    type: str
    choices: [present, absent]
    default: present
  project_id:
    description:
      - Id of the project, such as V(proj_abc).
    type: str
    required: true
  service_account_id:
    description:
      - Id of the service account that the key is for, such as V(svc_acct_abc). Required with O(state=present).
    type: str
  name:
    description:
      - Name of the key. Required with O(state=present).
      - Give each rotation's key a name of its own, with the date in it for example.
    type: str
  key_id:
    description:
      - Id of the key to revoke, such as V(key_abc). Required with O(state=absent).
    type: str
extends_documentation_fragment:
  - keyturn.ecs.openai
  - keyturn.ecs.http
attributes:
  check_mode:
    description: Looks for the key, and tells what would be made or revoked.
    support: full
  diff_mode:
    description: There is nothing to compare, a key is there or not.
    support: none
notes:
  - C(async) is refused, because the file of an asynchronous job would hold RV(value).
  - OpenAI's API description says that deleting a key fails when it belongs to a service account. Where it does, the
    message tells what to do instead.
  - OpenAI documents the calls at U(https://platform.openai.com/docs/api-reference/project-api-keys).
seealso:
  - module: keyturn.ecs.openai_api_key_info
  - module: keyturn.ecs.ecs_env_rotate
"""

EXAMPLES = r"""
- name: Make a key
  keyturn.ecs.openai_api_key:
    project_id: proj_abc
    service_account_id: svc_acct_abc
    name: elevareai-2026-11
  register: made

- name: Put it into the service
  keyturn.ecs.ecs_env_rotate:
    cluster: elevareai-cluster
    service: elevareai-api
    variable: OPENAI_API_KEY
    value: "{{ made.value }}"
  when: made is changed

- name: Revoke the old key
  keyturn.ecs.openai_api_key:
    state: absent
    project_id: proj_abc
    key_id: key_abc
"""

RETURN = r"""
key_id:
  description: Id of the key that was made, was there, or was revoked. Null where one would be made, in check mode.
  returned: success, and on failure where a key was made all the same
  type: str
  sample: key_abc
name:
  description: Name of the key. Null where O(key_id) was gone already.
  returned: success
  type: str
  sample: elevareai-2026-11
value:
  description: The new key itself, in the one run that makes it; null otherwise.
  returned: success
  type: str
  sample: null
created_at:
  description: When the key was made, in ISO 8601, UTC. Null where that is not known.
  returned: success
  type: str
  sample: "2026-11-22T10:00:00+00:00"
cause:
  description:
    - What went wrong.
    - V(timeout), V(no_connection), V(lost_answer), V(certificate), V(server_error), V(redirect), V(not_json),
      V(schema), V(admin_key_refused), V(rate_limited), V(not_found), V(not_revocable) or V(refused).
  returned: when a call to the provider failed
  type: str
  sample: rate_limited
msg:
  description: What was done or would be done, or what went wrong and what to do.
  returned: always
  type: str
  sample: "Made key key_abc, named 'elevareai-2026-11'."
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.keyturn.ecs.plugins.module_utils._capability import WithoutAws
from ansible_collections.keyturn.ecs.plugins.module_utils._module import Module
from ansible_collections.keyturn.ecs.plugins.module_utils._openai.api import Api
from ansible_collections.keyturn.ecs.plugins.module_utils._openai.connection import CONNECTION_SPEC
from ansible_collections.keyturn.ecs.plugins.module_utils._openai.keys import absent, present
from ansible_collections.keyturn.ecs.plugins.module_utils._scrub import Scrubber

NEEDS_NO_LOG = (
    "The module was run without its action plugin, which keeps the new key's value out of the output. Nothing was "
    "made. Call it as keyturn.ecs.openai_api_key, or add no_log: true to the task."
)


def run(scrub: Scrubber, options: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Do what the options ask for; raises KeyturnError."""
    work = absent if options["state"] == "absent" else present
    return work(Api.of(options, scrub, admin=True), options, check_mode=check_mode)


CAPABILITY = WithoutAws(
    spec={
        **CONNECTION_SPEC,
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "project_id": {"type": "str", "required": True},
        "service_account_id": {"type": "str"},
        "name": {"type": "str"},
        "key_id": {"type": "str", "no_log": False},
    },
    run=lambda scrub, options, check_mode, _say: run(scrub, options, check_mode),
    rules={"required_if": [("state", "present", ("service_account_id", "name")), ("state", "absent", ("key_id",))]},
    shown=frozenset({"value"}),
)


def main() -> None:
    module = Module(CAPABILITY)
    # What the action plugin, or the task, says: no_log is no option of this module.
    if module.params["state"] == "present" and not module.no_log:
        module.fail_json(NEEDS_NO_LOG, changed=False)
    module.finish()


if __name__ == "__main__":
    main()
