#!/usr/bin/python
# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecs_env_access
short_description: Tell who may read the value of an ECS environment variable, and who did
version_added: 0.1.0
description:
  - Asks IAM whether certain users and roles may read what holds a value, be it a task definition's revision that has it
    in plain text, a secret or a parameter.
  - With O(trail=true) it also asks CloudTrail who did so in the last days. Its event history is there in every account,
    without a trail.
  - Reads no value. What could not be looked at is told in RV(unverified).
author:
  - The keyturn.ecs authors (@keyturn)
options:
  resources:
    description:
      - ARNs of revisions of task definitions, secrets and parameters, as M(keyturn.ecs.ecs_env_info) returns them in
        C(task_definition) and C(secret_arn).
    type: list
    elements: str
    required: true
  principals:
    description:
      - ARNs of IAM users and roles to ask about. A session's ARN stands for its role.
      - They must be of the account that is asked, which is the caller's or that of O(assume_role_arn).
    type: list
    elements: str
  trail:
    description:
      - Look into CloudTrail's event history of the Regions of O(resources).
      - CloudTrail answers two calls a second with 50 events each, so this may take minutes in a busy account.
    type: bool
    default: false
  days:
    description:
      - How far to look back, at most 90 days.
    type: int
    default: 90
  max_events:
    description:
      - Read so many events of a name in a Region, the newest first. When there are more, RV(unverified) says so.
    type: int
    default: 2000
extends_documentation_fragment:
  - keyturn.ecs.aws
  - keyturn.ecs.reads_only
notes:
  - Needs C(iam:SimulatePrincipalPolicy), C(iam:GetRole) for sessions of roles that have a path, and
    C(cloudtrail:LookupEvents) with O(trail=true).
  - IAM's simulation counts the principal's own policies and its permissions boundary, and those policies of the
    organization that have no conditions. It leaves out the policies of secrets and KMS keys, which may allow or deny,
    too.
  - A policy cannot limit C(ecs:DescribeTaskDefinition) to certain task definitions, so who may describe one may
    describe all of the account.
  - CloudTrail tells events some minutes late. Reading a revision by its family's name counts as reading it.
seealso:
  - module: keyturn.ecs.ecs_env_info
"""

EXAMPLES = r"""
- name: Find what holds the key
  keyturn.ecs.ecs_env_info:
    cluster: elevareai-cluster
    variable: OPENAI_API_KEY
    region: us-east-1
  register: held

- name: See who may read it, and who did
  keyturn.ecs.ecs_env_access:
    resources: "{{ held.variables | map(attribute='secret_arn') | select | list }}"
    principals:
      - arn:aws:iam::123456789012:role/developers
      - arn:aws:iam::123456789012:user/alice
    trail: true
    region: us-east-1
  register: access

- name: Name those that should not
  ansible.builtin.debug:
    msg: "{{ access.may_read | rejectattr('allowed', 'false') | map(attribute='principal') | unique }}"
"""

RETURN = r"""
may_read:
  description: One entry for each principal, call and resource.
  returned: success
  type: list
  elements: dict
  contains:
    principal:
      description: ARN of the user or role.
      type: str
    action:
      description: What shows the value.
      type: str
    resource:
      description: ARN of what holds it.
      type: str
    allowed:
      description: Whether it may. Null where a policy looks at conditions that only a real call has.
      type: bool
    depends:
      description: These conditions' keys.
      type: list
      elements: str
  sample:
    - principal: arn:aws:iam::123456789012:role/developers
      action: secretsmanager:GetSecretValue
      resource: arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/openai-AbCdEf
      allowed: false
      depends: []
readers:
  description: One entry for each principal, call and resource. Who read last comes first. Empty without O(trail=true).
  returned: success
  type: list
  elements: dict
  contains:
    who:
      description: ARN of the user or role, or name of the AWS service. ECS reads secrets as the task's execution role.
      type: str
    action:
      description: What was called.
      type: str
    resource:
      description: ARN of what holds the value.
      type: str
    count:
      description: How many calls were answered.
      type: int
    refused:
      description: How many were not.
      type: int
    first:
      description: When the first of them was made, in ISO 8601, UTC.
      type: str
    last:
      description: When the last of them was made, in ISO 8601, UTC.
      type: str
    sessions:
      description: Names of the role's sessions, the newest first, at most ten.
      type: list
      elements: str
    addresses:
      description: Where the calls came from, the newest first, at most ten.
      type: list
      elements: str
  sample:
    - who: arn:aws:iam::123456789012:role/ecsTaskExecutionRole
      action: secretsmanager:GetSecretValue
      resource: arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/openai-AbCdEf
      count: 14
      refused: 0
      first: "2026-08-30T07:12:00+00:00"
      last: "2026-11-20T09:30:00+00:00"
      sessions: [5a0c1f0e8a2b4f2f9d3a]
      addresses: [10.0.3.17]
since:
  description: How far back the event history was read, in ISO 8601, UTC. Null without O(trail=true).
  returned: success
  type: str
  sample: "2026-08-24T10:00:00+00:00"
unverified:
  description: What could not be looked at, and why.
  returned: success
  type: list
  elements: str
  sample: []
resource_actions:
  description: AWS calls that were made, each once.
  returned: when O(debug_botocore_endpoint_logs=true)
  type: list
  elements: str
  sample: ["cloudtrail:LookupEvents", "iam:SimulatePrincipalPolicy"]
"""

from ansible_collections.keyturn.ecs.plugins.module_utils._access.access import access
from ansible_collections.keyturn.ecs.plugins.module_utils._capability import Capability
from ansible_collections.keyturn.ecs.plugins.module_utils._module import Module

CAPABILITY = Capability(
    spec={
        "resources": {"type": "list", "elements": "str", "required": True},
        "principals": {"type": "list", "elements": "str"},
        "trail": {"type": "bool", "default": False},
        "days": {"type": "int", "default": 90},
        "max_events": {"type": "int", "default": 2000},
    },
    run=lambda aws, options, _check_mode, _say: access(aws, options),
)


def main() -> None:
    Module(CAPABILITY).finish()


if __name__ == "__main__":
    main()
