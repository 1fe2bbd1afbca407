#!/usr/bin/python
# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecs_env_rollback
short_description: Bring an ECS service back to the revision and the secret that it had before a rotation
version_added: 0.1.0
description:
  - Undoes what M(keyturn.ecs.ecs_env_rotate) did. Secrets and parameters get the version back that was current before,
    then the service is updated to the earlier revision.
  - A rollback by ECS's circuit breaker restores the revision only, so that tasks which start afterwards read the new
    value from an unpinned secret. This module brings both back.
  - What is back already is left alone. Where somebody deployed, or wrote the secret, in between, the module refuses
    unless O(force) is set.
  - The module does not wait for the rollout; M(keyturn.ecs.ecs_rollout_wait) does.
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
  task_definition:
    description:
      - The revision to go back to, ARN or C(family:revision);
        RV(keyturn.ecs.ecs_env_rotate#module:previous_task_definition)
        of the rotation. It has to be ACTIVE.
    type: str
    required: true
  expected_task_definition:
    description:
      - The revision that shall be taken back; RV(keyturn.ecs.ecs_env_rotate#module:task_definition) of the rotation.
        When
        the service runs neither this one nor O(task_definition), somebody deployed in between, and the module refuses.
    type: str
  secrets:
    description:
      - RV(keyturn.ecs.ecs_env_rotate#module:secrets) of the rotation. Each entry with a C(previous_version_id) other
        than
        its C(version_id) gets that version back; a parameter gets its earlier value as a new version.
      - What a rotation created is left there.
    type: list
    elements: dict
    default: []
    suboptions:
      store:
        description: V(secretsmanager) or V(ssm).
        type: str
      arn:
        description: Its ARN.
        type: str
        required: true
      version_id:
        description: The version that the rotation wrote.
        type: str
        required: true
      previous_version_id:
        description: The version that was current before.
        type: str
      stage:
        description: The version stage that moves back.
        type: str
  force:
    description:
      - Go back even though somebody deployed, or wrote the secret, in between.
    type: bool
    default: false
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
  - module: keyturn.ecs.ecs_env_rotate
  - module: keyturn.ecs.ecs_rollout_wait
"""

EXAMPLES = r"""
- name: Take back what a rotation did
  keyturn.ecs.ecs_env_rollback:
    cluster: elevareai-cluster
    service: elevareai-api
    region: us-east-1
    variable: OPENAI_API_KEY
    task_definition: "{{ rotation.previous_task_definition }}"
    expected_task_definition: "{{ rotation.task_definition }}"
    secrets: "{{ rotation.secrets }}"
  register: back

- name: Wait until the old revision runs everywhere again
  keyturn.ecs.ecs_rollout_wait:
    cluster: elevareai-cluster
    service: elevareai-api
    region: us-east-1
    deployment_id: "{{ back.deployment_id }}"
    task_definition: "{{ back.task_definition }}"
"""

RETURN = r"""
cluster:
  description: Name of the cluster.
  returned: once everything was read
  type: str
  sample: elevareai-cluster
service:
  description: Name of the service.
  returned: once everything was read
  type: str
  sample: elevareai-api
variable:
  description: Name of the variable.
  returned: once everything was read
  type: str
  sample: OPENAI_API_KEY
containers:
  description: Containers that have the variable in the earlier revision.
  returned: once everything was read
  type: list
  elements: str
  sample: [elevareai-api]
previous_task_definition:
  description: ARN of the revision that the service ran before the rollback.
  returned: once everything was read
  type: str
  sample: arn:aws:ecs:us-east-1:123456789012:task-definition/elevareai-api:43
task_definition:
  description: ARN of the revision that the service runs now.
  returned: once everything was read
  type: str
  sample: arn:aws:ecs:us-east-1:123456789012:task-definition/elevareai-api:42
deployment_id:
  description:
    - Id of the deployment that the update started; of the running one when nothing changed.
    - Null in check mode where the service would be updated.
  returned: once everything was read
  type: str
  sample: ecs-svc/1234567890123456789
service_deployment_arn:
  description: ARN of the service deployment that goes with RV(deployment_id); null where ECS does not tell it yet.
  returned: once everything was read
  type: str
  sample: arn:aws:ecs:us-east-1:123456789012:service-deployment/elevareai-cluster/elevareai-api/NCWGC2ZR-taawPAYrIaU5
fingerprint:
  description: Fingerprint of the value that tasks get from now on; null where the revision does not have the variable.
  returned: once everything was read
  type: str
  sample: sha256:0a1b2c3d4e5f
previous_fingerprint:
  description: Fingerprint of the value that tasks got before the rollback; null where they got none.
  returned: once everything was read
  type: str
  sample: sha256:3f9d1a0b7c22
actions:
  description:
    - What was done, or in check mode would be, in order.
    - Of V(restore_secret_version), V(put_parameter), V(update_service).
  returned: once everything was read
  type: list
  elements: str
  sample: [restore_secret_version, update_service]
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
from ansible_collections.keyturn.ecs.plugins.module_utils._rotation.rollback import rollback

SECRET = {
    "store": {"type": "str"},
    "arn": {"type": "str", "required": True},
    "version_id": {"type": "str", "required": True},
    "previous_version_id": {"type": "str"},
    "stage": {"type": "str"},
}

CAPABILITY = Capability(
    spec={
        "cluster": {"type": "str", "required": True},
        "service": {"type": "str", "required": True},
        "variable": {"type": "str", "required": True},
        "task_definition": {"type": "str", "required": True},
        "expected_task_definition": {"type": "str"},
        "secrets": {"type": "list", "elements": "dict", "default": [], "options": SECRET, "no_log": False},
        "force": {"type": "bool", "default": False},
    },
    run=lambda aws, options, check_mode, _say: rollback(aws, options, check_mode),
)


def main() -> None:
    Module(CAPABILITY).finish()


if __name__ == "__main__":
    main()
