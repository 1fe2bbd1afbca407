# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: validate_rotation
short_description: Check the variables of the role keyturn.ecs.rotate
version_added: 0.1.0
description:
  - The first thing that every entry point of the role P(keyturn.ecs.rotate#role) does. Playbooks that call the role
    need not call it.
  - Reads the host's variables that begin with C(rotate_), and fails where something cannot work, with one message
    that tells all of it. An argument spec cannot say that a folder has to exist, that a text is a regular expression,
    or that a variable is mistyped.
  - Runs on the controller and asks nobody. The new value of the key is neither shown nor returned.
author:
  - The keyturn.ecs authors (@keyturn)
options:
  entry_point:
    description:
      - What shall be done. V(rotate) is the role's entry point C(main), the others are named as the entry points are.
      - V(rotate) and V(verify) fail on every complaint. The others have more to complain about once the record was
        read. They fail on what that relies on, types for example, and get the rest as RV(problems).
    type: str
    choices: [rotate, verify, rollback, revoke, audit]
    default: rotate
attributes:
  action:
    description: It is an action; no module is sent to the host.
    support: full
  check_mode:
    description: It changes nothing.
    support: full
  diff_mode:
    description: It changes nothing.
    support: none
"""

EXAMPLES = r"""
- name: Check what was asked for
  keyturn.ecs.validate_rotation:
    entry_point: rotate
"""

RETURN = r"""
services:
  description: The services of the environment, each with C(cluster), C(service) and C(containers).
  returned: success
  type: list
  elements: dict
  sample:
    - cluster: staging-cluster
      service: staging-api
      containers: []
region:
  description: Their Region; empty where no variable tells it.
  returned: success
  type: str
  sample: us-east-1
record:
  description: What C(rotate_record_path) is.
  returned: success
  type: str
  sample: rotations.jsonl
provider:
  description: What is known of the provider of the key, from the role and from C(rotate_providers).
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      type: str
    variables:
      description: Names of C(rotate_variable) for which it is chosen.
      type: list
      elements: str
    value_pattern:
      description: What a value must match; empty for anything.
      type: str
    probe:
      description:
        - Options of M(keyturn.ecs.api_key_probe), or the name of another module that asks. Null for a provider that is
          not asked.
      type: raw
    log_patterns:
      description: How a log tells that the key was refused.
      type: list
      elements: str
    keys_at:
      description: Where keys are made and revoked by hand.
      type: str
  sample:
    name: generic
    variables: []
    value_pattern: ""
    probe: null
    log_patterns: []
    keys_at: ""
reason:
  description: What C(rotate_reason) is.
  returned: when it is set
  type: str
  sample: quarterly rotation
key_id:
  description: What C(rotate_key_id) is.
  returned: when it is set
  type: str
  sample: key_abc123
problems:
  description: Complaints that O(entry_point) has to add its own to.
  returned: success
  type: list
  elements: str
  sample: ["rotate_store must be keep, environment, secretsmanager or ssm."]
"""
