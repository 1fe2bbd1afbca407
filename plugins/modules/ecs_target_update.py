#!/usr/bin/python
# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecs_target_update
short_description: Move EventBridge rules and schedules to another revision of a task definition
version_added: 0.1.0
description:
  - A rule of Amazon EventBridge, or a schedule of EventBridge Scheduler, that names one revision of a task definition
    starts tasks from it for ever, with the value that this revision holds. This module points such targets at another
    revision of the same family. Nothing else of them changes.
  - A target that names a family without a revision is left alone, since it starts the latest ACTIVE revision anyway.
    So is one whose own override holds the value. RV(targets[].reason) says so.
  - Between the two revisions more may differ than the value. Look at the diff of check mode first.
author:
  - The keyturn.ecs authors (@keyturn)
options:
  targets:
    description:
      - Rules and schedules, as M(keyturn.ecs.ecs_env_info) returns them in RV(keyturn.ecs.ecs_env_info#module:holders).
        Entries of another kind are passed over.
      - Read from each are C(kind) (V(rule) or V(schedule)), C(group) (event bus or schedule group), C(id)
        (C(GROUP/NAME)), C(target_id) (for a rule) and C(override).
    type: list
    elements: dict
    required: true
  task_definitions:
    description:
      - Revisions to move to, as ARN or C(family:revision), one for a family. Targets of other families are left alone.
    type: list
    elements: str
    required: true
extends_documentation_fragment:
  - keyturn.ecs.aws
attributes:
  check_mode:
    description: Can run in check mode and return the same as a real run.
    support: full
  diff_mode:
    description: Shows names of targets and revisions.
    support: full
notes:
  - Needs C(events:ListTargetsByRule) and C(events:PutTargets) for rules, C(scheduler:GetSchedule) and
    C(scheduler:UpdateSchedule) for schedules, and C(iam:PassRole) for the roles with which they start tasks.
  - EventBridge Scheduler refuses an update with a C(StartDate) in the past, although GetSchedule answers with it. It is
    left out then, with a warning; a C(rate()) expression counts from the update on.
  - A rule that another AWS service manages cannot be changed, and fails.
seealso:
  - module: keyturn.ecs.ecs_env_info
"""

EXAMPLES = r"""
- name: Look for whatever still holds the old value
  keyturn.ecs.ecs_env_info:
    cluster: elevareai-cluster
    variable: OPENAI_API_KEY
    fingerprint: sha256:9f86d081884c
    region: us-east-1
  register: old

- name: Let rules and schedules start what the services run
  keyturn.ecs.ecs_target_update:
    targets: "{{ old.holders }}"
    task_definitions: "{{ old.variables | map(attribute='task_definition') | unique }}"
    region: us-east-1
"""

RETURN = r"""
targets:
  description: The rules and schedules among O(targets), in their order.
  returned: when all of them could be read
  type: list
  elements: dict
  contains:
    kind:
      description: V(rule) or V(schedule).
      type: str
    id:
      description: C(BUS/RULE) or C(GROUP/SCHEDULE).
      type: str
    arn:
      description: ARN of the rule or schedule, where O(targets) has it; else null.
      type: str
    group:
      description: Event bus of the rule, group of the schedule.
      type: str
    target_id:
      description: Id of the rule's target; null for a schedule.
      type: str
    previous_task_definition:
      description: What it named before; null where it is not there any more.
      type: str
    task_definition:
      description: What it names now, or in check mode would name; null where it is not there any more.
      type: str
    changed:
      description: Whether it was moved, or in check mode would be.
      type: bool
    reason:
      description: Why it was left alone; null where it was not.
      type: str
  sample:
    - kind: schedule
      id: default/nightly-report
      arn: arn:aws:scheduler:us-east-1:123456789012:schedule/default/nightly-report
      group: default
      target_id: null
      previous_task_definition: arn:aws:ecs:us-east-1:123456789012:task-definition/elevareai-api:41
      task_definition: arn:aws:ecs:us-east-1:123456789012:task-definition/elevareai-api:42
      changed: true
      reason: null
actions:
  description: What was done, or in check mode would be, in order; V(put_targets) and V(update_schedule).
  returned: when all targets could be read
  type: list
  elements: str
  sample: ["update_schedule"]
resource_actions:
  description: AWS calls that were made, each once.
  returned: when O(debug_botocore_endpoint_logs=true)
  type: list
  elements: str
  sample: ["scheduler:GetSchedule", "scheduler:UpdateSchedule"]
"""

from ansible_collections.keyturn.ecs.plugins.module_utils._capability import Capability
from ansible_collections.keyturn.ecs.plugins.module_utils._module import Module
from ansible_collections.keyturn.ecs.plugins.module_utils._targets import move

CAPABILITY = Capability(
    spec={
        "targets": {"type": "list", "elements": "dict", "required": True},
        "task_definitions": {"type": "list", "elements": "str", "required": True},
    },
    run=lambda aws, options, check_mode, _say: move(aws, options, check_mode),
)


def main() -> None:
    Module(CAPABILITY).finish()


if __name__ == "__main__":
    main()
