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
  - The value may live in the C(environment) of the containers, or in a Secrets Manager secret or an SSM parameter that
    their C(secrets) name. There a new version is written first. Tasks read secrets only when they start, so the service
    is deployed, too, unless every running task was started after the value came there.
  - No value is ever shown. What stands for it is its fingerprint, C(sha256:) and the first 12 hex digits of
    HMAC-SHA256 with the variable's name as key.
author:
  - The keyturn.ecs authors (@keyturn)
extends_documentation_fragment:
  - keyturn.ecs.aws
  - keyturn.ecs.rotation
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

- name: Put a new key into the service, and write down why
  keyturn.ecs.ecs_env_rotate:
    cluster: elevareai-cluster
    service: elevareai-api
    region: us-east-1
    variable: OPENAI_API_KEY
    value: "{{ lookup('ansible.builtin.env', 'OPENAI_API_KEY') }}"
    record:
      key_id: key_def
      reason: a laptop was lost
      by: "{{ lookup('ansible.builtin.env', 'USER') }}"
  register: rotation
  no_log: true

- name: Wait until it runs everywhere
  keyturn.ecs.ecs_rollout_wait:
    cluster: elevareai-cluster
    service: elevareai-api
    region: us-east-1
    deployment_id: "{{ rotation.deployment_id }}"
    task_definition: "{{ rotation.task_definition }}"

- name: Move the key out of the task definition into Secrets Manager, and rotate it
  keyturn.ecs.ecs_env_rotate:
    cluster: elevareai-cluster
    service: elevareai-api
    region: us-east-1
    variable: OPENAI_API_KEY
    value: "{{ lookup('ansible.builtin.env', 'OPENAI_API_KEY') }}"
    store: secretsmanager
    secret_id: prod/elevareai/openai
    pin_secret_version: true
  no_log: true

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
  description:
    - Where the value lives, V(environment), V(secretsmanager) or V(ssm).
    - Several, with commas between, where the containers differ.
  returned: once the service was read
  type: str
  sample: environment
secrets:
  description: Each secret and parameter that holds the value; empty for O(store=environment).
  returned: once the service was read
  type: list
  elements: dict
  contains:
    store:
      description: V(secretsmanager) or V(ssm).
      returned: always
      type: str
      sample: secretsmanager
    arn:
      description: Its ARN. In check mode C(??????) stands for the suffix of a secret that would be created.
      returned: always
      type: str
      sample: arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/elevareai/openai-a1B2c3
    version_id:
      description:
        - Version that holds the value; of a parameter its number.
        - Null in check mode for a parameter that would be written.
      returned: always
      type: str
      sample: 6f1d3c0a-8c5e-4f5b-9b0a-1c2d3e4f5a6b
    previous_version_id:
      description: Version that was current before; the same when nothing was written, null for what was created.
      returned: always
      type: str
      sample: 0b7e5c1d-2a3f-4d6e-8f90-a1b2c3d4e5f6
    stage:
      description: Version stage that the containers read or that keeps a pinned version; null for a parameter.
      returned: always
      type: str
      sample: AWSCURRENT
shared_with:
  description:
    - Other services of the cluster whose task definitions name a secret that was written. Their tasks get the new value
      when they start.
    - Looked for only where an existing secret is written, and in clusters with up to 50 services.
  returned: once the service was read
  type: list
  elements: str
  sample: [elevareai-worker]
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
    - Null where ECS does not tell it yet, in check mode if the service would be updated, and of an unchanged service
      with botocore before 1.41.3.
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
previous_key_id:
  description:
    - Id of the key with RV(previous_fingerprint), from the tag C(keyturn:key-id) of the revision that the rotation
      started from, where its tag C(keyturn:fingerprint) tells that it is that value's. Null where it does not.
  returned: once the service was read
  type: str
  sample: key_abc
actions:
  description:
    - What was done, or in check mode would be, in order.
    - Of V(create_secret), V(put_secret_value), V(put_parameter), V(register_task_definition), V(update_service).
  returned: once the service was read
  type: list
  elements: str
  sample: [register_task_definition, update_service]
resumed:
  description:
    - Part of the work was found done, such as a revision that is registered and not deployed, or a secret that holds
      the value already.
  returned: once the service was read
  type: bool
  sample: false
rivals:
  description: Deployments that somebody else started at the same time, and that this one took the place of.
  returned: when there are any; the task fails then
  type: list
  elements: str
  sample: ["ecs-svc/2345678901234567890 of elevareai-api:44"]
resource_actions:
  description: AWS calls that were made, each once.
  returned: when O(debug_botocore_endpoint_logs=true)
  type: list
  elements: str
  sample: ["ecs:DescribeServices", "ecs:UpdateService"]
"""

from ansible_collections.keyturn.ecs.plugins.module_utils._capability import Capability
from ansible_collections.keyturn.ecs.plugins.module_utils._module import Module
from ansible_collections.keyturn.ecs.plugins.module_utils._rotation.request import OPTIONS, RULES
from ansible_collections.keyturn.ecs.plugins.module_utils._rotation.rotate import rotate

CAPABILITY = Capability(
    spec=OPTIONS,
    run=lambda aws, options, check_mode, _say: rotate(aws, options, check_mode),
    rules=RULES,
)


def main() -> None:
    Module(CAPABILITY).finish()


if __name__ == "__main__":
    main()
