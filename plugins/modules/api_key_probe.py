#!/usr/bin/python
# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: api_key_probe
short_description: Ask any provider whether it accepts an API key
version_added: 0.1.0
description:
  - Sends one request that reads and costs nothing, with the key in a header, and tells by the status of the answer
    whether the provider accepts the key.
  - The key goes to O(url) and nowhere else. No redirect is followed, since it would carry the key to another host, and
    nothing that the server writes is shown, since it may repeat the key.
  - A key that is refused is no failure, but RV(valid=false). Whatever says nothing about the key (no network, a
    timeout, too many requests, trouble at the provider, a proxy's login page) fails, each with a message of its own.
  - What is passing is asked again, a few times, with pauses as long as the provider asks for.
  - The role P(keyturn.ecs.rotate#role) knows how to ask some providers; its C(rotate_provider) names them.
author:
  - The keyturn.ecs authors (@keyturn)
options:
  value:
    description:
      - The key.
    type: str
    required: true
  url:
    description:
      - What to ask for. It must not hold the key, and should be something that every key may read.
      - A URL beginning with C(http://) is refused for other hosts than this one, unless O(validate_certs=false),
        because it would carry the key unencrypted.
    type: str
    required: true
  headers:
    description:
      - A mapping. The request's headers. C({value}) stands for the key, and must be in one of them.
      - Nothing but the key is hidden, so put no other secret here.
    type: dict
    required: true
  method:
    description:
      - How to ask. There is no body.
    type: str
    choices: [GET, HEAD]
    default: GET
  accepted:
    description:
      - HTTP statuses of an answer to a key that is accepted.
      - Of these three lists, no two may have a status in common, and only statuses that can tell of a key may be in
        them, which those of too many requests or of a failing server cannot. An answer that is a web page never tells.
    type: list
    elements: int
    default: [200]
  refused:
    description:
      - HTTP statuses of an answer to a key that is not accepted.
    type: list
    elements: int
    default: [401]
  restricted:
    description:
      - HTTP statuses of an answer to a key that the provider knows, and that may not do what was asked. Such a key is
        valid.
    type: list
    elements: int
    default: []
extends_documentation_fragment:
  - keyturn.ecs.http
  - keyturn.ecs.reads_only
notes:
  - Accepted means that the provider knows the key. Whether it may do what the application asks for is not asked.
seealso:
  - module: keyturn.ecs.openai_api_key_info
    description: Knows more about OpenAI's answers.
"""

EXAMPLES = r"""
- name: Ask Anthropic whether the new key is accepted
  keyturn.ecs.api_key_probe:
    url: https://api.anthropic.com/v1/models
    headers:
      x-api-key: "{value}"
      anthropic-version: "2023-06-01"
    value: "{{ lookup('ansible.builtin.env', 'ANTHROPIC_API_KEY') }}"
  register: new
  failed_when: new is failed or not new.valid

- name: Ask a provider of your own, which answers 404 to a key that it does not know
  keyturn.ecs.api_key_probe:
    url: https://api.example.com/v1/account
    method: HEAD
    headers:
      Authorization: "Bearer {value}"
    accepted: [200, 204]
    refused: [401, 404]
    restricted: [403]
    value: "{{ lookup('ansible.builtin.env', 'EXAMPLE_TOKEN') }}"
  register: token
"""

RETURN = r"""
valid:
  description: Whether the provider accepts O(value).
  returned: success
  type: bool
  sample: true
verdict:
  description:
    - Why, in one word.
    - With RV(valid=true) V(accepted) or V(restricted). With RV(valid=false) V(refused).
  returned: success
  type: str
  sample: accepted
reason:
  description: Why, in words, and what to do.
  returned: success
  type: str
  sample: https://api.anthropic.com/v1/models accepts the key (HTTP 200).
status:
  description: HTTP status of the answer.
  returned: when there was an answer
  type: int
  sample: 200
cause:
  description:
    - Why nothing is known about the key.
    - V(timeout), V(no_connection), V(lost_answer), V(certificate), V(server_error), V(rate_limited), V(redirect),
      V(web_page) or V(unexpected).
  returned: when the provider could not be asked, or its answer says nothing about the key
  type: str
  sample: timeout
"""

from ansible_collections.keyturn.ecs.plugins.module_utils._capability import WithoutAws
from ansible_collections.keyturn.ecs.plugins.module_utils._module import Module
from ansible_collections.keyturn.ecs.plugins.module_utils._probe.ask import SPEC, ask

CAPABILITY = WithoutAws(spec=SPEC, run=lambda scrub, options, _check_mode, _say: ask(scrub, options))


def main() -> None:
    Module(CAPABILITY).finish()


if __name__ == "__main__":
    main()
