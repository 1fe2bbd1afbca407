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
  cluster:
    description:
      - Name or ARN of the cluster.
    type: str
    required: true
  service:
    description:
      - Name or ARN of the service.
    type: str
    required: true
  variable:
    description:
      - Name of the environment variable, for example V(OPENAI_API_KEY).
    type: str
    required: true
  value:
    description:
      - The new value. White space or a newline around it is an error, since it was probably copied with it.
    type: str
    required: true
  value_pattern:
    description:
      - Regular expression that O(value) must match somewhere; anchor it with V(^) and V($) as needed.
    type: str
  containers:
    description:
      - Names of the containers that would be changed. By default every container that has the variable.
    type: list
    elements: str
  if_missing:
    description:
      - What to do when a container does not have the variable. V(add) adds it and needs O(containers).
    type: str
    choices: [fail, add]
    default: fail
  store:
    description:
      - Where the value shall live. V(keep) leaves it where each container has it now; V(environment) is the
        C(environment) of the container definitions, V(secretsmanager) and V(ssm) a secret or parameter that their
        C(secrets) name.
      - Another store than today's would migrate the variable in one revision. IAM is asked whether the task's execution
        role may read the secret; where it may not, that is a problem.
    type: str
    choices: [keep, environment, secretsmanager, ssm]
    default: keep
  secret_id:
    description:
      - Name or ARN of the secret or parameter, with O(store=secretsmanager) or O(store=ssm). By default the one that
        the
        task definition names already.
      - A name that does not exist yet would be created, a parameter as a SecureString.
    type: str
  secret_json_key:
    description:
      - Key of the secret's JSON object that holds the value, with O(store=secretsmanager). By default the current
        reference's; without one, the secret holds the value alone.
      - Everything else in the object stays byte for byte.
    type: str
  secret_kms_key_id:
    description:
      - KMS key of a secret or parameter that is created. By default AWS's own. What exists keeps its key.
    type: str
  secret_tags:
    description:
      - Tags of a secret or parameter that is created.
    type: dict
  pin_secret_version:
    description:
      - Whether C(valueFrom) names the secret's version id. V(keep) does as the current reference does.
      - Pinned, each rotation is a new revision, and a rollback by ECS brings the key back together with the revision.
        Not pinned, every task that starts reads the newest version, after a rollback too.
      - A pinned reference names no version stage. Parameters cannot be pinned.
    type: str
    choices: ["keep", "true", "false"]
    default: keep
  base_revision:
    description:
      - The revision to start from. V(running) is the service's own; V(latest) is the latest ACTIVE one of its family,
        which may
        hold changes that were never deployed.
    type: str
    choices: [running, latest]
    default: running
  in_progress:
    description:
      - With V(fail), another deployment that runs is a problem when something must be deployed.
      - A running deployment that carries the value already is no obstacle.
    type: str
    choices: [fail, supersede]
    default: fail
  force_new_deployment:
    description:
      - Deploy even when nothing differs. A deployment of the value that is running already counts.
    type: bool
    default: false
  expected_fingerprint:
    description:
      - It is a problem when the current value has another fingerprint.
    type: str
  tags:
    description:
      - Tags for the new revision, beside those carried over. They alone are no reason for a new revision.
    type: dict
    default: {}
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
attributes:
  check_mode:
    description: It only reads, in check mode and otherwise.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
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

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.keyturn.ecs.plugins.module_utils._capability import Capability
from ansible_collections.keyturn.ecs.plugins.module_utils._preflight.preflight import preflight

CAPABILITY = Capability(
    spec={
        "cluster": {"type": "str", "required": True},
        "service": {"type": "str", "required": True},
        "variable": {"type": "str", "required": True},
        "value": {"type": "str", "required": True, "no_log": True},
        "value_pattern": {"type": "str"},
        "containers": {"type": "list", "elements": "str"},
        "if_missing": {"type": "str", "choices": ["fail", "add"], "default": "fail"},
        "store": {"type": "str", "choices": ["keep", "environment", "secretsmanager", "ssm"], "default": "keep"},
        "secret_id": {"type": "str", "no_log": False},
        "secret_json_key": {"type": "str", "no_log": False},
        "secret_kms_key_id": {"type": "str", "no_log": False},
        "secret_tags": {"type": "dict", "no_log": False},
        "pin_secret_version": {"type": "str", "choices": ["keep", "true", "false"], "default": "keep", "no_log": False},
        "base_revision": {"type": "str", "choices": ["running", "latest"], "default": "running"},
        "in_progress": {"type": "str", "choices": ["fail", "supersede"], "default": "fail"},
        "force_new_deployment": {"type": "bool", "default": False},
        "expected_fingerprint": {"type": "str"},
        "tags": {"type": "dict", "default": {}},
        "log_scan": {"type": "bool", "default": False},
        "rollback": {"type": "bool", "default": True},
        "fail_on_problems": {"type": "bool", "default": True},
    },
    run=lambda aws, options, _check_mode, _say: preflight(aws, options),
    rules={"required_if": [("if_missing", "add", ["containers"])]},
)


def main() -> None:
    module = AnsibleModule(argument_spec=CAPABILITY.argument_spec, supports_check_mode=True, **CAPABILITY.rules)
    result = CAPABILITY.answer(module.params, check_mode=module.check_mode, diff=module._diff)
    for warning in result.pop("warnings", []):
        module.warn(warning)
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
