#!/usr/bin/python
# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecs_env_rotate
short_description: Give an ECS service a new value for one environment variable
version_added: 0.1.0
description:
  - Reads the task definition that an Amazon ECS service runs, replaces the value of one environment variable in it,
    registers
    that as a new revision and updates the service, unless the service has the value already.
  - Everything else in the task definition is carried over, tags included. A field that the installed botocore does
    not know
    is carried over as it is, or the rotation is refused with the field's path; none is lost.
  - A revision that an interrupted run registered and did not deploy is used instead of registering another.
  - The module does not wait for the rollout; M(keyturn.ecs.ecs_rollout_wait) does.
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
      - Names of the containers to change. By default every container that has the variable.
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
      - Where the value shall live. V(keep) leaves it where it is; V(environment) is the C(environment) of the container
        definitions.
      - A variable that is a C(secrets) reference is refused in this release.
    type: str
    choices: [keep, environment]
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
      - What to do when something must be deployed while another deployment runs. V(supersede) deploys over it.
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
      - Compare and swap; fail unless the current value has this fingerprint.
    type: str
  tags:
    description:
      - Tags for the new revision, beside those carried over. They alone are no reason for a new revision.
    type: dict
    default: {}
extends_documentation_fragment:
  - keyturn.ecs.aws
attributes:
  check_mode:
    description: Can run in check mode and return the same as a real run, apart from ids that only AWS can give.
    support: full
  diff_mode:
    description: Shows names and fingerprints, never a value.
    support: full
seealso:
  - module: keyturn.ecs.ecs_rollout_wait
"""

EXAMPLES = r"""
- name: Put a new key into the service
  keyturn.ecs.ecs_env_rotate:
    cluster: elevareai-cluster
    service: elevareai-api
    region: us-east-1
    variable: OPENAI_API_KEY
    value: "{{ lookup('ansible.builtin.env', 'OPENAI_API_KEY') }}"
    value_pattern: ^sk-
  register: rotation
  no_log: true

- name: Wait until it runs everywhere
  keyturn.ecs.ecs_rollout_wait:
    cluster: elevareai-cluster
    service: elevareai-api
    region: us-east-1
    deployment_id: "{{ rotation.deployment_id }}"
    task_definition: "{{ rotation.task_definition }}"

- name: Rotate in another account, and only if nobody did since
  keyturn.ecs.ecs_env_rotate:
    cluster: elevareai-cluster
    service: elevareai-api
    region: eu-central-1
    assume_role_arn: arn:aws:iam::210987654321:role/rotate
    variable: OPENAI_API_KEY
    value: "{{ lookup('ansible.builtin.env', 'OPENAI_API_KEY') }}"
    expected_fingerprint: sha256:0a1b2c3d4e5f
  no_log: true
"""

RETURN = r"""
cluster:
  description: Name of the cluster.
  returned: once the service was read
  type: str
  sample: elevareai-cluster
service:
  description: Name of the service.
  returned: once the service was read
  type: str
  sample: elevareai-api
variable:
  description: Name of the variable.
  returned: once the service was read
  type: str
  sample: OPENAI_API_KEY
store:
  description: Where the value lives.
  returned: once the service was read
  type: str
  sample: environment
containers:
  description: Containers that have the value, in the task definition's order.
  returned: once the service was read
  type: list
  elements: str
  sample: [elevareai-api]
previous_task_definition:
  description: ARN of the revision that the service ran before.
  returned: once the service was read
  type: str
  sample: arn:aws:ecs:us-east-1:123456789012:task-definition/elevareai-api:42
task_definition:
  description:
    - ARN of the revision that the service runs now.
    - Null in check mode where a revision would be registered.
  returned: once the service was read
  type: str
  sample: arn:aws:ecs:us-east-1:123456789012:task-definition/elevareai-api:43
deployment_id:
  description:
    - Id of the deployment that the update started; of the running one when nothing changed.
    - Null in check mode where the service would be updated.
  returned: once the service was read
  type: str
  sample: ecs-svc/1234567890123456789
service_deployment_arn:
  description:
    - ARN of the service deployment that goes with RV(deployment_id).
    - Null where ECS does not tell it yet, and in check mode where the service would be updated.
  returned: once the service was read
  type: str
  sample: arn:aws:ecs:us-east-1:123456789012:service-deployment/elevareai-cluster/elevareai-api/NCWGC2ZR-taawPAYrIaU5
fingerprint:
  description: Fingerprint of the new value.
  returned: once the service was read
  type: str
  sample: sha256:3f9d1a0b7c22
previous_fingerprint:
  description:
    - Fingerprint of the value that was replaced; of the value that is there when none was.
    - Null when the variable was added.
  returned: once the service was read
  type: str
  sample: sha256:0a1b2c3d4e5f
actions:
  description: What was done, or in check mode would be, in order.
  returned: once the service was read
  type: list
  elements: str
  sample: [register_task_definition, update_service]
resumed:
  description: Part of the work was found done, such as a revision that is registered and not deployed.
  returned: once the service was read
  type: bool
  sample: false
resource_actions:
  description: AWS calls that were made, each once.
  returned: when O(debug_botocore_endpoint_logs=true)
  type: list
  elements: str
  sample: ["ecs:DescribeServices", "ecs:UpdateService"]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.keyturn.ecs.plugins.module_utils._capability import Capability
from ansible_collections.keyturn.ecs.plugins.module_utils._rotation.rotate import rotate

CAPABILITY = Capability(
    spec={
        "cluster": {"type": "str", "required": True},
        "service": {"type": "str", "required": True},
        "variable": {"type": "str", "required": True},
        "value": {"type": "str", "required": True, "no_log": True},
        "value_pattern": {"type": "str"},
        "containers": {"type": "list", "elements": "str"},
        "if_missing": {"type": "str", "choices": ["fail", "add"], "default": "fail"},
        "store": {"type": "str", "choices": ["keep", "environment"], "default": "keep"},
        "base_revision": {"type": "str", "choices": ["running", "latest"], "default": "running"},
        "in_progress": {"type": "str", "choices": ["fail", "supersede"], "default": "fail"},
        "force_new_deployment": {"type": "bool", "default": False},
        "expected_fingerprint": {"type": "str"},
        "tags": {"type": "dict", "default": {}},
    },
    run=lambda aws, options, check_mode, _say: rotate(aws, options, check_mode),
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
