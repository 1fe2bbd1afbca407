#!/usr/bin/python
# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecs_revision_purge
short_description: Delete old revisions of a task definition that hold a value in plain text
version_added: 0.1.0
description:
  - A value in the C(environment) of a container stays readable in every revision that ever held it, for everyone who
    may call C(ecs:DescribeTaskDefinition), after C(DeregisterTaskDefinition) as well. This module deletes such
    revisions of the task definition that an Amazon ECS service runs.
  - Only revisions with a plain value of the variable are deleted, and only those that are older than the one that runs.
  - Never touched are the revision that runs, those that a deployment or task set of any service in the cluster names,
    those that a rule or schedule of EventBridge starts tasks from, those in O(keep), and, unless
    O(keep_previous=false), the newest ACTIVE one before the one that runs. What of them holds a plain value is
    listed in RV(kept).
  - Tasks that run from a deleted revision go on; ECS itself removes a revision only when nothing uses it any more.
  - A deleted revision cannot be restored. No value is ever shown; its fingerprint stands for it.
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
  keep:
    description:
      - Revisions never to touch, as ARN or C(family:revision), for example those that services of other clusters run.
    type: list
    elements: str
  keep_previous:
    description:
      - Keep the newest ACTIVE revision before the one that runs, to which a rollback returns.
    type: bool
    default: true
  max_revisions:
    description:
      - Delete at most so many revisions in one run, the newest first. RV(remaining) tells how many more there are.
      - C(DeregisterTaskDefinition) takes from the one call a second that an account has for C(RegisterTaskDefinition),
        so there is a pause of a second between them.
    type: int
    default: 20
extends_documentation_fragment:
  - keyturn.ecs.aws
attributes:
  check_mode:
    description: Can run in check mode and return the same as a real run.
    support: full
  diff_mode:
    description: Shows names of revisions and fingerprints, never a value.
    support: full
notes:
  - Needs C(ecs:DescribeServices), C(ecs:ListServices), C(ecs:ListTaskDefinitions), C(ecs:DescribeTaskDefinition),
    C(ecs:DeregisterTaskDefinition) and C(ecs:DeleteTaskDefinitions). Where C(events:ListEventBuses),
    C(events:ListRules), C(events:ListTargetsByRule), C(scheduler:ListSchedules) or C(scheduler:GetSchedule) is not
    allowed, there is a warning, since a rule or schedule may need a revision.
  - Every revision of the family is read, at up to 20 a second.
  - Other clusters are not looked at.
seealso:
  - module: keyturn.ecs.ecs_env_info
  - module: keyturn.ecs.ecs_env_rotate
"""

EXAMPLES = r"""
- name: See what would be deleted
  keyturn.ecs.ecs_revision_purge:
    cluster: elevareai-cluster
    service: elevareai-api
    variable: OPENAI_API_KEY
    region: us-east-1
  check_mode: true
  diff: true

- name: Delete all but the revision that runs, after the variable moved into Secrets Manager
  keyturn.ecs.ecs_revision_purge:
    cluster: elevareai-cluster
    service: elevareai-api
    variable: OPENAI_API_KEY
    keep_previous: false
    max_revisions: 100
    region: us-east-1
"""

RETURN = r"""
cluster:
  description: Name of the cluster.
  returned: when the service was found
  type: str
  sample: elevareai-cluster
service:
  description: Name of the service.
  returned: when the service was found
  type: str
  sample: elevareai-api
variable:
  description: Name of the variable.
  returned: when the service was found
  type: str
  sample: OPENAI_API_KEY
task_definition:
  description: ARN of the revision that runs.
  returned: when the service was found
  type: str
  sample: arn:aws:ecs:us-east-1:123456789012:task-definition/elevareai-api:43
purged:
  description: Revisions that were deleted, or in check mode would be, newest first.
  returned: when the service was found
  type: list
  elements: dict
  contains:
    task_definition:
      description: ARN of the revision.
      type: str
    fingerprint:
      description: Of the plain value, that of the first container that has one.
      type: str
  sample:
    - task_definition: arn:aws:ecs:us-east-1:123456789012:task-definition/elevareai-api:41
      fingerprint: sha256:9f86d081884c
kept:
  description: Revisions that hold a plain value and were not touched.
  returned: when the service was found
  type: list
  elements: dict
  contains:
    task_definition:
      description: ARN of the revision.
      type: str
    fingerprint:
      description: Of the plain value, that of the first container that has one.
      type: str
    reason:
      description: Why it was not touched.
      type: str
  sample:
    - task_definition: arn:aws:ecs:us-east-1:123456789012:task-definition/elevareai-api:43
      fingerprint: sha256:2c26b46b68ff
      reason: it runs
remaining:
  description: How many more revisions the next runs will delete.
  returned: when the service was found
  type: int
  sample: 0
actions:
  description:
    - What was done, or in check mode would be, in order; V(deregister_task_definition) and V(delete_task_definitions).
  returned: when the service was found
  type: list
  elements: str
  sample: ["deregister_task_definition", "delete_task_definitions"]
resource_actions:
  description: AWS calls that were made, each once.
  returned: when O(debug_botocore_endpoint_logs=true)
  type: list
  elements: str
  sample: ["ecs:DeleteTaskDefinitions", "ecs:DescribeServices"]
"""

from ansible_collections.keyturn.ecs.plugins.module_utils._capability import Capability
from ansible_collections.keyturn.ecs.plugins.module_utils._module import Module
from ansible_collections.keyturn.ecs.plugins.module_utils._purge import purge

CAPABILITY = Capability(
    spec={
        "cluster": {"type": "str", "required": True},
        "service": {"type": "str", "required": True},
        "variable": {"type": "str", "required": True},
        "keep": {"type": "list", "elements": "str"},
        "keep_previous": {"type": "bool", "default": True},
        "max_revisions": {"type": "int", "default": 20},
    },
    run=lambda aws, options, check_mode, _say: purge(aws, options, check_mode),
)


def main() -> None:
    Module(CAPABILITY).finish()


if __name__ == "__main__":
    main()
