#!/usr/bin/python
# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecs_rollout_wait
short_description: Wait until an ECS rollout is really over, and say why when it is not
version_added: 0.1.0
description:
  - Follows one deployment of an Amazon ECS service by its id and by the service deployment that ECS keeps about it,
    so that it is right when the revision did not change, when the circuit breaker rolled back, and when another
    deployment took over.
  - RV(status=completed) means that the deployment succeeded, every running task belongs to it and is healthy, and no
    task of an older deployment is left.
  - RV(status=completed) and RV(status=nothing_running) succeed; every other status fails the task, with the cause and
    what to do in C(msg) and RV(diagnosis).
  - RV(status=stuck) is told when waiting on is of no use. That C(minimumHealthyPercent) and C(maximumPercent) leave no
    way out is told after 2 seconds. That ECS says in the service's events that it cannot go on, for want of capacity
    for example, is told when nothing moved for 120 seconds (or for half of O(timeout), where that is less), since
    autoscaling may bring room.
  - Only C(ecs:DescribeServices) is needed. What cannot be looked at is listed in RV(unverified), with the permission
    that lacks.
  - On a local connection a line is shown whenever something changes.
author:
  - The keyturn.ecs authors (@keyturn)
options:
  cluster:
    description:
      - Name or ARN of the cluster.
    type: str
  service:
    description:
      - Name or ARN of the service.
    type: str
  deployment_id:
    description:
      - Id of the deployment, as M(keyturn.ecs.ecs_env_rotate) returns it. By default the one that is PRIMARY.
    type: str
  task_definition:
    description:
      - The revision that must be running, as ARN or C(family:revision). By default the deployment's.
    type: str
  services:
    description:
      - Several rollouts to wait for in one process, instead of the single options. Each has its own result; one that
        cannot be watched, since its name is wrong for example, is RV(status=failed), and the others are waited for.
      - Services whose O(services[].cluster) is written alike are looked at together, ten in a call. Where a policy
        refuses a call because of one of them, each is asked for alone.
    type: list
    elements: dict
    suboptions:
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
      deployment_id:
        description:
          - Id of the deployment.
        type: str
      task_definition:
        description:
          - The revision that must be running.
        type: str
  timeout:
    description:
      - Seconds after which the wait ends with RV(status=timed_out).
    type: int
    default: 900
  poll_interval:
    description:
      - Upper bound of the seconds between two polls. Polling starts at one second, slows down, and quickens when
        something moves.
    type: float
    default: 15
  max_failed_tasks:
    description:
      - Fail early after so many failed tasks. V(0) leaves it to the circuit breaker.
      - Where the service's circuit breaker trips at that count, its ending is waited for, so that a rollback is told.
    type: int
    default: 3
  require_healthy:
    description:
      - V(auto) demands HEALTHY where an essential container has a health check, and that no task is UNHEALTHY
        elsewhere.
      - V(true) demands HEALTHY of every task; V(false) takes any.
    type: str
    choices: ['auto', 'true', 'false']
    default: auto
  progress:
    description:
      - Show a line whenever something changes, on a local connection.
    type: bool
    default: true
extends_documentation_fragment:
  - keyturn.ecs.aws
  - keyturn.ecs.reads_only
seealso:
  - module: keyturn.ecs.ecs_env_rotate
"""

EXAMPLES = r"""
- name: Wait for the deployment that runs now
  keyturn.ecs.ecs_rollout_wait:
    cluster: elevareai-cluster
    service: elevareai-api
    region: us-east-1

- name: Wait for two services of one environment
  keyturn.ecs.ecs_rollout_wait:
    region: us-east-1
    timeout: 1800
    services:
      - cluster: elevareai-cluster
        service: elevareai-api
      - cluster: elevareai-cluster
        service: elevareai-worker
"""

RETURN = r"""
cluster:
  description: Name of the cluster.
  returned: without O(services)
  type: str
  sample: elevareai-cluster
service:
  description: Name of the service.
  returned: without O(services)
  type: str
  sample: elevareai-api
status:
  description:
    - How the rollout ended.
    - V(completed), V(rolled_back), V(failed), V(superseded), V(stuck), V(timed_out) or V(nothing_running).
  returned: without O(services)
  type: str
  sample: completed
elapsed:
  description: Seconds that were waited.
  returned: without O(services)
  type: float
  sample: 141.2
deployment_id:
  description: Id of the deployment that was waited for.
  returned: without O(services)
  type: str
  sample: ecs-svc/1234567890123456789
task_definition:
  description: ARN of the revision that it deploys.
  returned: without O(services)
  type: str
  sample: arn:aws:ecs:us-east-1:123456789012:task-definition/elevareai-api:43
tasks:
  description: Live tasks of the deployment.
  returned: without O(services)
  type: list
  elements: dict
  contains:
    id:
      description: Id of the task.
      type: str
    revision:
      description: Number of its task definition's revision.
      type: int
    lastStatus:
      description: ECS's last known status of the task.
      type: str
    healthStatus:
      description: HEALTHY, UNHEALTHY or UNKNOWN.
      type: str
  sample:
    - id: 5f1c0d5d0f1e4a0f9a7c6f0c2b1d3e4f
      revision: 43
      lastStatus: RUNNING
      healthStatus: HEALTHY
old_tasks:
  description: Live tasks of other deployments, in the form of RV(tasks).
  returned: without O(services)
  type: list
  elements: dict
  sample: []
events:
  description: The service's events since the deployment began, oldest first.
  returned: without O(services)
  type: list
  elements: dict
  contains:
    created_at:
      description: Time in ISO 8601, UTC.
      type: str
    message:
      description: ECS's text.
      type: str
  sample:
    - created_at: "2026-11-22T10:00:00+00:00"
      message: (service elevareai-api) has reached a steady state.
unverified:
  description: What could not be looked at, and why.
  returned: without O(services)
  type: list
  elements: str
  sample: []
diagnosis:
  description: Why the rollout did not complete, most telling first. Empty when it did.
  returned: without O(services)
  type: list
  elements: dict
  contains:
    cause:
      description:
        - One of V(image_pull), V(secret_access), V(out_of_memory), V(container_exit), V(health_check),
          V(load_balancer_health), V(no_capacity), V(percent_deadlock), V(circuit_breaker), V(alarm), V(superseded),
          V(paused_hook), V(task_protection), V(other).
      type: str
    evidence:
      description: What shows it, mostly in ECS's words, with the last log lines of a task that failed. Known values
        and what looks like a key are taken out.
      type: str
    remedy:
      description: What to do.
      type: str
  sample: []
results:
  description: One result as above for each entry, in order.
  returned: with O(services)
  type: list
  elements: dict
  sample: []
resource_actions:
  description: AWS calls that were made, each once.
  returned: when O(debug_botocore_endpoint_logs=true)
  type: list
  elements: str
  sample: ["ecs:DescribeServices"]
"""

from ansible_collections.keyturn.ecs.plugins.module_utils._capability import Capability
from ansible_collections.keyturn.ecs.plugins.module_utils._module import Module
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.wait import wait

CAPABILITY = Capability(
    spec={
        "cluster": {"type": "str"},
        "service": {"type": "str"},
        "deployment_id": {"type": "str"},
        "task_definition": {"type": "str"},
        "services": {
            "type": "list",
            "elements": "dict",
            "options": {
                "cluster": {"type": "str", "required": True},
                "service": {"type": "str", "required": True},
                "deployment_id": {"type": "str"},
                "task_definition": {"type": "str"},
            },
        },
        "timeout": {"type": "int", "default": 900},
        "poll_interval": {"type": "float", "default": 15},
        "max_failed_tasks": {"type": "int", "default": 3},
        "require_healthy": {"type": "str", "choices": ["auto", "true", "false"], "default": "auto"},
        "progress": {"type": "bool", "default": True},
    },
    run=lambda aws, options, _check_mode, say: wait(aws, options, say=say),
    rules={"required_one_of": [("service", "services")], "required_together": [("cluster", "service")]},
)


def main() -> None:
    Module(CAPABILITY).finish()


if __name__ == "__main__":
    main()
