#!/usr/bin/python
# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecs_log_scan
short_description: Look for authentication errors in the logs of an ECS deployment's own tasks
version_added: 0.1.0
description:
  - A rollout that completes proves that containers start, not that the new key works. This module reads what the tasks
    of one deployment of an Amazon ECS service have logged, and fails when a line tells of an authentication error.
  - Only the log streams of the deployment's own tasks are read, those of tasks that stopped within the last hour
    included, so that an old task's complaint about the old key is no false alarm. They are found through the C(awslogs)
    options of the task definition, also where these name another Region than the service's.
  - A container whose streams cannot be told is listed in RV(not_scannable). Where nothing can be scanned, no task
    runs, or the logs are empty, the module succeeds with a warning; RV(scanned_streams) and RV(scanned_events) tell a
    clean log from one that nobody could look at. A log that exists and may not be read is an error.
  - Needs C(ecs:DescribeServices), C(ecs:ListTasks), C(ecs:DescribeTasks), C(ecs:DescribeTaskDefinition), and
    C(logs:FilterLogEvents) on the log groups.
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
  deployment_id:
    description:
      - Id of the deployment, as M(keyturn.ecs.ecs_env_rotate) returns it. By default the one that is PRIMARY.
      - One that was rolled back can be scanned while ECS still describes its tasks.
    type: str
  patterns:
    description:
      - Python regular expressions; a line matches when one of them is found anywhere in it, upper and lower case being
        different unless the expression begins with C((?i)).
      - By default OpenAI's errors (C(invalid_api_key), C(Incorrect API key provided), C(AuthenticationError) and the
        like), and a status 401 as access logs, HTTP clients, exceptions and JSON logs write it. A 401 that is part of a
        longer number or word, an amount or a duration does not match.
      - A 401 that the application itself answers to a client is in its access log, too. Where that is ordinary, give
        patterns for the provider's errors only.
      - Patterns that are given stand instead of the default ones. Give a list, since a single text is split at its
        commas. Colours are taken out of a line before.
    type: list
    elements: str
  more_patterns:
    description:
      - Further regular expressions, which stand beside those of O(patterns) or the default ones.
    type: list
    elements: str
    default: []
  since:
    description:
      - Ignore lines from before this time, given in ISO 8601 with a zone, as in V(2026-11-22T10:00:00Z), or in epoch
        seconds.
      - By default when the deployment was created. All lines since then are read, so for a deployment that has run for
        days give a later time.
    type: str
  variable:
    description:
      - Scan only containers that hold this variable in their C(environment) or C(secrets). By default all.
    type: str
  settle:
    description:
      - Seconds that must pass without a match after the newest task became running. The module waits so long, reads
        what is new every ten seconds, and ends at the first match.
      - Lines reach CloudWatch Logs some seconds late, and many applications use a key only with the first request, so
        right after a rollout V(30) or more finds what V(0) misses.
    type: int
    default: 0
  fail_on_match:
    description:
      - Fail when a line matches. With V(false) the caller decides by RV(matches_total).
    type: bool
    default: true
extends_documentation_fragment:
  - keyturn.ecs.aws
  - keyturn.ecs.reads_only
seealso:
  - module: keyturn.ecs.ecs_env_rotate
  - module: keyturn.ecs.ecs_rollout_wait
"""

EXAMPLES = r"""
- name: Fail when the new tasks complain about their key within half a minute
  keyturn.ecs.ecs_log_scan:
    cluster: elevareai-cluster
    service: elevareai-api
    deployment_id: "{{ rotation.deployment_id }}"
    variable: OPENAI_API_KEY
    settle: 30
    region: us-east-1

- name: Count refusals of another provider in the last ten minutes
  keyturn.ecs.ecs_log_scan:
    cluster: elevareai-cluster
    service: elevareai-api
    patterns:
      - '(?i)stripe.*invalid api key'
    since: "{{ now().timestamp() | int - 600 }}"
    fail_on_match: false
    region: us-east-1
  register: scan

- name: Accept a clean log only if there was one
  ansible.builtin.assert:
    that:
      - scan.matches_total == 0
      - scan.scanned_events > 0
"""

RETURN = r"""
cluster:
  description: Name of the cluster.
  returned: when the logs could be looked at
  type: str
  sample: elevareai-cluster
service:
  description: Name of the service.
  returned: when the logs could be looked at
  type: str
  sample: elevareai-api
deployment_id:
  description: Id of the deployment whose tasks' logs were scanned.
  returned: when the logs could be looked at
  type: str
  sample: ecs-svc/1234567890123456789
task_definition:
  description: ARN of the revision that it deploys.
  returned: when the logs could be looked at
  type: str
  sample: arn:aws:ecs:us-east-1:123456789012:task-definition/elevareai-api:43
since:
  description: Time in ISO 8601, UTC, from which on lines were read.
  returned: when the logs could be looked at
  type: str
  sample: "2026-11-22T10:00:00+00:00"
matches:
  description: The first 50 lines that a pattern matches, oldest first.
  returned: when the logs could be looked at
  type: list
  elements: dict
  contains:
    time:
      description: The line's own time in ISO 8601, UTC.
      type: str
    stream:
      description: Name of its log stream.
      type: str
    group:
      description: Name of its log group.
      type: str
    container:
      description: Name of the container that wrote it.
      type: str
    task:
      description: Id of the task.
      type: str
    message:
      description:
        - The line without values of the task definition's variables and what looks like a credential, cut to 500
          characters around the match.
      type: str
    pattern:
      description: The pattern that it matches.
      type: str
  sample:
    - time: "2026-11-22T10:02:07.311+00:00"
      stream: ecs/app/5f1c0d5d0f1e4a0f9a7c6f0c2b1d3e4f
      group: /ecs/elevareai-api
      container: app
      task: 5f1c0d5d0f1e4a0f9a7c6f0c2b1d3e4f
      message: "openai.AuthenticationError: Error code: 401 - Incorrect API key provided: ********"
      pattern: \b(?:invalid_api_key|AuthenticationError|authentication_error)\b
matches_total:
  description: How many lines match, those beyond RV(matches) included.
  returned: when the logs could be looked at
  type: int
  sample: 1
scanned_streams:
  description: How many log streams were read; those that do not exist are not counted.
  returned: when the logs could be looked at
  type: int
  sample: 2
scanned_events:
  description: How many lines were read.
  returned: when the logs could be looked at
  type: int
  sample: 1204
streams:
  description: The log streams of the deployment's tasks.
  returned: when the logs could be looked at
  type: list
  elements: dict
  contains:
    name:
      description: Its name, C(prefix/container/task-id).
      type: str
    group:
      description: Name of its log group.
      type: str
    region:
      description: Region of its log group.
      type: str
    container:
      description: Name of the container.
      type: str
    task:
      description: Id of the task.
      type: str
    exists:
      description: V(false) when CloudWatch Logs does not know it, because the container has logged nothing.
      type: bool
    events:
      description: How many lines of it were read.
      type: int
  sample:
    - name: ecs/app/5f1c0d5d0f1e4a0f9a7c6f0c2b1d3e4f
      group: /ecs/elevareai-api
      region: us-east-1
      container: app
      task: 5f1c0d5d0f1e4a0f9a7c6f0c2b1d3e4f
      exists: true
      events: 602
not_scannable:
  description: Containers whose logs could not be scanned, for example for another log driver than C(awslogs).
  returned: when the logs could be looked at
  type: list
  elements: dict
  contains:
    container:
      description: Name of the container.
      type: str
    reason:
      description: Why.
      type: str
  sample:
    - container: worker
      reason: its log driver is awsfirelens, whose router decides where the log goes
unverified:
  description: What could not be looked at, and why.
  returned: when the logs could be looked at
  type: list
  elements: str
  sample: []
resource_actions:
  description: AWS calls that were made, each once.
  returned: when O(debug_botocore_endpoint_logs=true)
  type: list
  elements: str
  sample: ["ecs:DescribeServices", "logs:FilterLogEvents"]
"""

from ansible_collections.keyturn.ecs.plugins.module_utils._capability import Capability
from ansible_collections.keyturn.ecs.plugins.module_utils._logs.scan import scan
from ansible_collections.keyturn.ecs.plugins.module_utils._module import Module

CAPABILITY = Capability(
    spec={
        "cluster": {"type": "str", "required": True},
        "service": {"type": "str", "required": True},
        "deployment_id": {"type": "str"},
        "patterns": {"type": "list", "elements": "str"},
        "more_patterns": {"type": "list", "elements": "str", "default": []},
        "since": {"type": "str"},
        "variable": {"type": "str"},
        "settle": {"type": "int", "default": 0},
        "fail_on_match": {"type": "bool", "default": True},
    },
    run=lambda aws, options, _check_mode, say: scan(aws, options, say=say),
)


def main() -> None:
    Module(CAPABILITY).finish()


if __name__ == "__main__":
    main()
