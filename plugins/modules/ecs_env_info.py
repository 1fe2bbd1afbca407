#!/usr/bin/python
# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecs_env_info
short_description: Tell which ECS services hold which value of an environment variable, and who still holds one
version_added: 0.1.0
description:
  - Reads the services of an Amazon ECS cluster and tells for each container that has the variable where its value
    lives, since when, and the value's fingerprint.
  - With O(fingerprint) it also looks for everything in the cluster that still holds that value, or would start tasks
    with it, so that a key is revoked only when nothing needs it any more. A value is found under other names, too,
    where it stands in plain text.
  - What could not be looked at is told in RV(unverified), and then RV(clear) is not V(true).
  - No value is ever shown. What stands for it is its fingerprint, C(sha256:) and the first 12 hex digits of
    HMAC-SHA256 with the variable's name as key.
author:
  - The keyturn.ecs authors (@keyturn)
options:
  cluster:
    description:
      - Name or ARN of the cluster.
    type: str
    required: true
  services:
    description:
      - Names or ARNs of the services that RV(variables) and RV(plaintext_revisions) tell of. By default all of the
        cluster.
      - Holders are looked for in the whole cluster all the same.
    type: list
    elements: str
  variable:
    description:
      - Name of the environment variable, for example V(OPENAI_API_KEY).
    type: str
    required: true
  fingerprint:
    description:
      - Look for holders of the value with this fingerprint, as RV(variables) and M(keyturn.ecs.ecs_env_rotate) tell it.
    type: str
  redacted_values:
    description:
      - Keys as their provider shows them, such as C(redacted_value) of M(keyturn.ecs.openai_api_key_info). Which of
        them the value with O(fingerprint) looks like is told in RV(redacted_values). Given, if only as an empty list,
        RV(key_id) is looked for in earlier revisions as well.
      - Up to ten earlier revisions of each task definition, and up to ten versions of each secret, are read until one
        holds the value.
    type: list
    elements: str
  plaintext_revisions:
    description:
      - Look at the other revisions of the services' task definitions, too, and list those that hold a plain value.
      - This takes a C(DescribeTaskDefinition) for each revision, of which an account may make 20 a second.
    type: bool
    default: false
  max_revisions:
    description:
      - Read so many revisions of a family, the newest first, with O(plaintext_revisions=true). When there are more,
        RV(unverified) says so.
    type: int
    default: 100
extends_documentation_fragment:
  - keyturn.ecs.aws
  - keyturn.ecs.reads_only
notes:
  - Needs C(ecs:ListServices), C(ecs:DescribeServices) and C(ecs:DescribeTaskDefinition), for values in secrets and
    parameters C(secretsmanager:GetSecretValue) or C(ssm:GetParameter), with C(kms:Decrypt) where a customer's key
    protects them.
  - With O(fingerprint) also C(ecs:ListTasks), C(ecs:DescribeTasks), C(events:ListEventBuses), C(events:ListRules),
    C(events:ListTargetsByRule), C(scheduler:ListSchedules) and C(scheduler:GetSchedule); where tasks read secrets,
    C(secretsmanager:DescribeSecret), C(secretsmanager:ListSecretVersionIds) and C(ssm:GetParameterHistory); where it is
    allowed, C(ecs:GetTaskProtection) for the evidence. With O(plaintext_revisions) C(ecs:ListTaskDefinitions).
  - Not looked at are other clusters, Regions and accounts (except for what EventBridge starts there in this Region),
    Step Functions, Lambda functions and other programs that start tasks themselves.
seealso:
  - module: keyturn.ecs.ecs_env_rotate
  - module: keyturn.ecs.ecs_revision_purge
  - module: keyturn.ecs.ecs_target_update
"""

EXAMPLES = r"""
- name: See which services hold which key, and for how long
  keyturn.ecs.ecs_env_info:
    cluster: elevareai-cluster
    variable: OPENAI_API_KEY
    region: us-east-1
  register: held

- name: Name the services whose key is older than 90 days
  ansible.builtin.debug:
    msg: "{{ held.variables | selectattr('age_days', 'gt', 90) | map(attribute='service') | unique }}"

- name: Is the old key still needed?
  keyturn.ecs.ecs_env_info:
    cluster: elevareai-cluster
    variable: OPENAI_API_KEY
    fingerprint: "{{ rotation.previous_fingerprint }}"
    region: us-east-1
  register: old

- name: Go on only when nothing holds it any more
  ansible.builtin.assert:
    that: old['clear']
    fail_msg: "{{ old.holders | map(attribute='evidence') | list + old.unverified }}"
"""

RETURN = r"""
cluster:
  description: Name of the cluster.
  returned: success
  type: str
  sample: elevareai-cluster
variable:
  description: Name of the variable.
  returned: success
  type: str
  sample: OPENAI_API_KEY
fingerprint:
  description: The fingerprint whose holders were looked for; null for none.
  returned: success
  type: str
  sample: sha256:9f86d081884c
key_id:
  description:
    - Id of the key with O(fingerprint), from the tag C(keyturn:key-id) of a revision whose tag C(keyturn:fingerprint)
      is that fingerprint. Null where no such tag was seen.
  returned: success
  type: str
  sample: key_abc
redacted_values:
  description: Those of O(redacted_values) that the value with O(fingerprint) looks like. Empty where it was not met.
  returned: success
  type: list
  elements: str
  sample: [sk-svc...9xQA]
variables:
  description: One entry for each container that has the variable, in the revision that its service runs or moves to.
  returned: success
  type: list
  elements: dict
  contains:
    service:
      description: Name of the service.
      type: str
    container:
      description: Name of the container.
      type: str
    store:
      description: V(environment), V(secretsmanager) or V(ssm).
      type: str
    fingerprint:
      description: Of the value; null where it may not be read, with the reason in RV(unverified).
      type: str
    key_id:
      description:
        - Id of the key, from the revision's tag C(keyturn:key-id), where its tag C(keyturn:fingerprint) tells that it
          is this value's. Null where it does not.
      type: str
    since:
      description:
        - When the value came there, in ISO 8601, UTC; null where that is not known.
        - In C(environment) this is the tag C(keyturn:rotated-at) of the revision, unless its tag C(keyturn:fingerprint)
          tells another value, else when the revision was registered. A revision that was registered for another reason
          and has no such tags makes a value look younger than it is.
        - In Secrets Manager it is when the version was made, in the Parameter Store when the parameter was last
          modified.
      type: str
    age_days:
      description: Days since then; null where that is not known.
      type: float
    task_definition:
      description: ARN of the revision.
      type: str
    plaintext:
      description: V(true) when the value stands in the revision itself, for everyone who may describe it.
      type: bool
    value_from:
      description: The reference to a secret or parameter; null without one.
      type: str
    secret_arn:
      description: ARN of the secret or parameter; null without one.
      type: str
  sample:
    - service: elevareai-api
      container: app
      store: environment
      fingerprint: sha256:9f86d081884c
      key_id: key_abc
      since: "2026-08-20T09:30:00+00:00"
      age_days: 94.02
      task_definition: arn:aws:ecs:us-east-1:123456789012:task-definition/elevareai-api:42
      plaintext: true
      value_from:
      secret_arn:
holders:
  description: What holds the value with O(fingerprint), or would start tasks with it. Empty without O(fingerprint).
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description:
        - V(service) for a service one of whose deployments names such a revision, at desired 0 as well; V(task_set)
          for a task set; V(rule) for an EventBridge rule and V(schedule) for an EventBridge Scheduler schedule,
          disabled or not; V(task) for a task that has not stopped, be it a service's or standalone, draining or
          protected.
        - A secret's value counts as a task's when the task was made while that value was the current one.
      type: str
    id:
      description: The service's name, the id of a task or task set, C(bus/name) of a rule, C(group/name) of a schedule.
      type: str
    arn:
      description: Its ARN.
      type: str
    cluster:
      description: Name of the cluster that it runs or starts tasks in.
      type: str
    service:
      description: Name of the service it belongs to; null for none.
      type: str
    task_definition:
      description: ARN of the revision.
      type: str
    evidence:
      description: What shows that it holds the value.
      type: str
    group:
      description: Event bus of a rule, or group of a schedule; null for others.
      type: str
    target_id:
      description: Id of a rule's target; null for others.
      type: str
    override:
      description:
        - Whether an override of the task, rule or schedule itself holds the value. M(keyturn.ecs.ecs_target_update)
          leaves such a rule or schedule alone.
      type: bool
  sample:
    - kind: schedule
      id: default/nightly-report
      arn: arn:aws:scheduler:us-east-1:123456789012:schedule/default/nightly-report
      cluster: elevareai-cluster
      service:
      task_definition: arn:aws:ecs:us-east-1:123456789012:task-definition/elevareai-api:41
      evidence: >-
        pinned to elevareai-api:41; container app has it as OPENAI_API_KEY from the environment of elevareai-api:41
      group: default
      target_id:
      override: false
plaintext_revisions:
  description:
    - Revisions of the services' families, ACTIVE or INACTIVE, that hold a plain value of the variable and do not run,
      once for each value. Empty without O(plaintext_revisions=true).
    - M(keyturn.ecs.ecs_revision_purge) deletes them.
  returned: success
  type: list
  elements: dict
  contains:
    task_definition:
      description: ARN of the revision.
      type: str
    status:
      description: V(ACTIVE) or V(INACTIVE).
      type: str
    fingerprint:
      description: Of the value.
      type: str
    registered_at:
      description: When it was registered, in ISO 8601, UTC.
      type: str
  sample: []
unverified:
  description: What could not be looked at, and why.
  returned: success
  type: list
  elements: str
  sample: []
clear:
  description:
    - V(true) when nothing holds the value with O(fingerprint) and RV(unverified) is empty. Null without O(fingerprint).
  returned: success
  type: bool
  sample: false
resource_actions:
  description: AWS calls that were made, each once.
  returned: when O(debug_botocore_endpoint_logs=true)
  type: list
  elements: str
  sample: ["ecs:DescribeServices", "ecs:DescribeTaskDefinition"]
"""

from ansible_collections.keyturn.ecs.plugins.module_utils._capability import Capability
from ansible_collections.keyturn.ecs.plugins.module_utils._info.info import info
from ansible_collections.keyturn.ecs.plugins.module_utils._module import Module

CAPABILITY = Capability(
    spec={
        "cluster": {"type": "str", "required": True},
        "services": {"type": "list", "elements": "str"},
        "variable": {"type": "str", "required": True},
        "fingerprint": {"type": "str"},
        "redacted_values": {"type": "list", "elements": "str"},
        "plaintext_revisions": {"type": "bool", "default": False},
        "max_revisions": {"type": "int", "default": 100},
    },
    run=lambda aws, options, _check_mode, _say: info(aws, options),
)


def main() -> None:
    Module(CAPABILITY).finish()


if __name__ == "__main__":
    main()
