#!/usr/bin/python
# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecs_env_preflight
short_description: Tell everything that would stop the rotation of a variable of an ECS service, at once
version_added: 0.1.0
description:
  - Plans what M(keyturn.ecs.ecs_env_rotate) would do with the same options, and looks at what could stop it, without
    writing anything. All problems are told together, not one at a time.
  - Looked at are the options and the value's form; the service, its deployment controller and whether another
    deployment is running; the containers, secrets and parameters concerned, and whether the task's execution role may
    read them; the size of the new revision; and percents between which ECS could not replace a task.
  - IAM is asked, by C(sts:GetCallerIdentity) and C(iam:SimulatePrincipalPolicy), for every permission that the
    rotation, the watching of its rollout and a rollback need, and all that is missing is named in one message, with
    the policy statements to add. What was read on the way counts as allowed. Where the caller may not ask IAM, or the
    endpoint does not know the call, there is a warning instead.
  - Conditions that depend on the real call (address, MFA), session policies, and resource policies of other accounts
    are beyond what can be told beforehand.
  - Warnings tell what would let a rotation prove little (no health check, nothing running, no circuit breaker), and
    that Terraform, CloudFormation, CDK, Copilot or Pulumi own the service by its tags, so that their next run would
    bring the old value back.
  - No value is ever shown.
author:
  - The keyturn.ecs authors (@keyturn)
options:
  log_scan:
    description:
      - Also look at what M(keyturn.ecs.ecs_log_scan) needs, permissions and log configuration.
    type: bool
    default: false
  rollback:
    description:
      - Also look at what M(keyturn.ecs.ecs_env_rollback) would need afterwards.
    type: bool
    default: true
  fail_on_problems:
    description:
      - Fail when there is a problem. Otherwise it is only returned, in RV(problems).
    type: bool
    default: true
extends_documentation_fragment:
  - keyturn.ecs.aws
  - keyturn.ecs.rotation
  - keyturn.ecs.reads_only
seealso:
  - module: keyturn.ecs.ecs_env_rotate
  - module: keyturn.ecs.ecs_env_rollback
  - module: keyturn.ecs.ecs_log_scan
"""

EXAMPLES = r"""
- name: Know before anything is written whether the rotation can work
  keyturn.ecs.ecs_env_preflight:
    cluster: elevareai-cluster
    service: elevareai-api
    region: us-east-1
    variable: OPENAI_API_KEY
    value: "{{ lookup('ansible.builtin.env', 'OPENAI_API_KEY') }}"
    value_pattern: ^sk-
  no_log: true

- name: Before a migration to Secrets Manager that a log scan shall prove
  keyturn.ecs.ecs_env_preflight:
    cluster: elevareai-cluster
    service: elevareai-api
    region: us-east-1
    variable: OPENAI_API_KEY
    value: "{{ lookup('ansible.builtin.env', 'OPENAI_API_KEY') }}"
    store: secretsmanager
    secret_id: prod/elevareai/openai
    log_scan: true
    fail_on_problems: false
  register: preflight
  no_log: true

- name: What is missing
  ansible.builtin.debug:
    var: preflight.permissions.missing
"""

RETURN = r"""
cluster:
  description: Name of the cluster.
  returned: once the options were read
  type: str
  sample: elevareai-cluster
service:
  description: Name of the service.
  returned: once the options were read
  type: str
  sample: elevareai-api
task_definition:
  description: ARN of the revision that the service runs; null where the service cannot be read.
  returned: once the options were read
  type: str
  sample: arn:aws:ecs:us-east-1:123456789012:task-definition/elevareai-api:42
problems:
  description:
    - What would stop the rotation, all of it.
    - The texts are in C(msg), too, when the module fails.
  returned: once the options were read
  type: list
  elements: dict
  contains:
    check:
      description:
        - What was looked at.
        - One of V(options), V(aws), V(assume_role), V(service), V(deployment_controller), V(variable),
          V(expected_fingerprint), V(secret), V(execution_role), V(in_progress), V(percent_deadlock), V(size),
          V(log_scan), V(permissions).
      returned: always
      type: str
      sample: percent_deadlock
    text:
      description: What is wrong.
      returned: always
      type: str
      sample: >-
        No task of service elevareai-api could be replaced: with desiredCount 1, minimumHealthyPercent 100 and
        maximumPercent 100 ECS may not run 2 tasks, nor fewer than 1.
    remedy:
      description: What to do. For V(permissions) it ends in the policy statements to add, as JSON.
      returned: always
      type: str
      sample: Change maximumPercent from 100 to 200 or more, or minimumHealthyPercent from 100 to 0.
permissions:
  description: What the caller may do of what this rotation needs.
  returned: once the options were read
  type: dict
  contains:
    allowed:
      description: Actions that are allowed on every resource that they are needed on.
      returned: always
      type: list
      elements: str
      sample: ["ecs:DescribeServices", "ecs:DescribeTaskDefinition", "ecs:UpdateService"]
    missing:
      description: Permissions that the caller lacks, those included without which only less can be verified.
      returned: always
      type: list
      elements: dict
      contains:
        action:
          description: The action.
          returned: always
          type: str
          sample: ecs:RegisterTaskDefinition
        resource:
          description: The ARN to allow it on; C(*) and C(?) stand for what is not known beforehand.
          returned: always
          type: str
          sample: arn:aws:ecs:us-east-1:123456789012:task-definition/elevareai-api:*
    unchecked:
      description: Why IAM could not be asked; null when it was.
      returned: always
      type: str
      sample: null
resource_actions:
  description: AWS calls that were made, each once.
  returned: when O(debug_botocore_endpoint_logs=true)
  type: list
  elements: str
  sample: ["ecs:DescribeServices", "iam:SimulatePrincipalPolicy"]
"""

from ansible_collections.keyturn.ecs.plugins.module_utils._capability import Capability
from ansible_collections.keyturn.ecs.plugins.module_utils._module import Module
from ansible_collections.keyturn.ecs.plugins.module_utils._preflight.preflight import preflight
from ansible_collections.keyturn.ecs.plugins.module_utils._rotation.request import OPTIONS, RULES

CAPABILITY = Capability(
    spec={
        **OPTIONS,
        "log_scan": {"type": "bool", "default": False},
        "rollback": {"type": "bool", "default": True},
        "fail_on_problems": {"type": "bool", "default": True},
    },
    run=lambda aws, options, _check_mode, _say: preflight(aws, options),
    rules=RULES,
)


def main() -> None:
    Module(CAPABILITY).finish()


if __name__ == "__main__":
    main()
