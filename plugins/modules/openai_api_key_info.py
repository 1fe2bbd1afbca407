#!/usr/bin/python
# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: openai_api_key_info
short_description: List a project's OpenAI API keys, or ask whether a key is accepted
version_added: 0.1.0
description:
  - With O(project_id) lists the project's keys through OpenAI's Administration API, all pages. A key's value is never
    among what OpenAI shows.
  - With O(value) asks the provider whether that key is accepted, by listing models with it. That costs nothing.
  - With both, tells the id of the key as well.
  - A key that is refused is no failure, but RV(valid=false). Whatever says nothing about the key (no network, a
    timeout, trouble at the provider, a proxy's login page) fails, each with a message of its own.
author:
  - The keyturn.ecs authors (@keyturn)
options:
  project_id:
    description:
      - Id of the project whose keys to list, such as V(proj_abc). Needs O(admin_key).
    type: str
  value:
    description:
      - A key to ask about. It is sent to O(base_url) and nowhere else.
    type: str
extends_documentation_fragment:
  - keyturn.ecs.openai
  - keyturn.ecs.http
  - keyturn.ecs.reads_only
notes:
  - Accepted means that the provider knows the key. Whether it may use a certain model is not asked.
  - OpenAI documents the calls at U(https://platform.openai.com/docs/api-reference/project-api-keys) and
    U(https://platform.openai.com/docs/api-reference/models).
seealso:
  - module: keyturn.ecs.openai_api_key
"""

EXAMPLES = r"""
- name: List the keys of a project
  keyturn.ecs.openai_api_key_info:
    project_id: proj_abc
  register: project

- name: Name those that were never used
  ansible.builtin.debug:
    msg: "{{ project['keys'] | rejectattr('last_used_at') | map(attribute='name') }}"

- name: Ask whether the new key is accepted
  keyturn.ecs.openai_api_key_info:
    value: "{{ lookup('ansible.builtin.env', 'OPENAI_API_KEY') }}"
  register: new
  failed_when: new is failed or not new.valid
"""

RETURN = r"""
keys:
  description: The project's keys, as OpenAI orders them.
  returned: with O(project_id)
  type: list
  elements: dict
  contains:
    id:
      description: Id of the key.
      type: str
    name:
      description: Its name, or null.
      type: str
    created_at:
      description: When it was made, in ISO 8601, UTC.
      type: str
    last_used_at:
      description: When it was last used, in ISO 8601, UTC; null where it never was.
      type: str
    redacted_value:
      description: Its value as OpenAI redacts it.
      type: str
    owner:
      description: Whose key it is. RV(keys[].owner.type) is V(service_account) or V(user).
      type: dict
      contains:
        type:
          description: V(service_account) or V(user).
          type: str
        id:
          description: Id of the service account or user.
          type: str
        name:
          description: Name of the service account or user.
          type: str
    owner_project_access:
      description: V(active) or V(inactive). Whether the owner has access to the project at present.
      type: str
  sample:
    - id: key_abc
      name: elevareai-2026-11
      created_at: "2026-11-22T10:00:00+00:00"
      last_used_at: null
      redacted_value: sk-svc...9xQA
      owner:
        type: service_account
        id: svc_acct_abc
        name: elevareai
      owner_project_access: active
valid:
  description: Whether the provider accepts O(value).
  returned: with O(value)
  type: bool
  sample: true
key_id:
  description:
    - Id of the one key of the project that begins and ends as O(value) does. Null where none does, or several do.
  returned: with O(project_id) and O(value)
  type: str
  sample: key_abc
verdict:
  description:
    - Why, in one word.
    - With RV(valid=true) V(accepted), V(restricted) (the key may not list models), V(rate_limited) or V(no_quota) (the
      application's requests will fail until the organization pays). With RV(valid=false) V(refused).
  returned: with O(value)
  type: str
  sample: accepted
reason:
  description: Why, in words, and what to do.
  returned: with O(value)
  type: str
  sample: https://api.openai.com/v1 accepts the key.
cause:
  description:
    - What went wrong.
    - V(timeout), V(no_connection), V(lost_answer), V(certificate), V(server_error), V(redirect), V(not_json),
      V(schema), V(admin_key_refused), V(rate_limited), V(not_found), V(refused), V(address_refused),
      V(wrong_organization), V(region_refused), V(forbidden) or V(unexpected).
  returned: when a call to the provider failed
  type: str
  sample: timeout
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.keyturn.ecs.plugins.module_utils._capability import WithoutAws
from ansible_collections.keyturn.ecs.plugins.module_utils._errors import KeyturnError
from ansible_collections.keyturn.ecs.plugins.module_utils._module import Module
from ansible_collections.keyturn.ecs.plugins.module_utils._openai.api import Api
from ansible_collections.keyturn.ecs.plugins.module_utils._openai.connection import CONNECTION_SPEC
from ansible_collections.keyturn.ecs.plugins.module_utils._openai.keys import id_of, list_keys
from ansible_collections.keyturn.ecs.plugins.module_utils._openai.verdict import check
from ansible_collections.keyturn.ecs.plugins.module_utils._scrub import Scrubber


def run(scrub: Scrubber, options: Mapping[str, Any]) -> dict[str, Any]:
    """Do what the options ask for; raises KeyturnError, with the keys where the check of the value failed."""
    project_id, value = options["project_id"], options["value"]
    api = Api.of(options, scrub, admin=project_id is not None)
    result: dict[str, Any] = {"changed": False}
    if project_id is not None:
        keys = list_keys(api, project_id)
        result["keys"] = [key.shown for key in keys]
        if value is not None:
            result["key_id"] = id_of(value, keys)
    if value is not None:
        try:
            result.update(check(api, value))
        except KeyturnError as error:
            raise error.with_result(**result) from None
    return result


CAPABILITY = WithoutAws(
    spec={**CONNECTION_SPEC, "project_id": {"type": "str"}, "value": {"type": "str", "no_log": True}},
    run=lambda scrub, options, _check_mode, _say: run(scrub, options),
    rules={"required_one_of": [("project_id", "value")]},
)


def main() -> None:
    Module(CAPABILITY).finish()


if __name__ == "__main__":
    main()
