# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What shall be rotated, and how: the options of ecs_env_rotate."""

    DOCUMENTATION = r"""
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
      - A pattern that tries for ever, such as V(^(a+\)+$), is ended by the task's C(timeout) alone.
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
      - Where the value shall live. V(keep) leaves it where each container has it now; V(environment) is the
        C(environment) of the container definitions, V(secretsmanager) and V(ssm) a secret or parameter that their
        C(secrets) name.
      - Another store than today's migrates the variable in one revision. Before anything is written, IAM is asked
        whether
        the task's execution role may read the secret; if not, the module fails with the policy statement to add. Where
        the caller may not call C(iam:SimulatePrincipalPolicy), there is a warning instead.
    type: str
    choices: [keep, environment, secretsmanager, ssm]
    default: keep
  secret_id:
    description:
      - Name or ARN of the secret or parameter, with O(store=secretsmanager) or O(store=ssm). By default the one that
        the task definition names already.
      - A name that does not exist yet is created, a parameter as a SecureString.
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
        which may hold changes that were never deployed.
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
  record:
    description:
      - Write the rotation down in tags of the new revision. C(keyturn:fingerprint) and C(keyturn:rotated-at) (in ISO
        8601, UTC) are always among them. M(keyturn.ecs.ecs_env_info) tells by them since when a value is there.
      - Characters that AWS does not allow in tags become C(_). What an earlier rotation wrote down is not carried over.
        A revision has room for 50 tags; when they do not all fit, a warning names those that are left out.
      - Where the containers read an unpinned secret, no revision is registered, and so none is tagged.
    type: dict
    suboptions:
      reason:
        description: Why the value is rotated, for C(keyturn:reason).
        type: str
      key_id:
        description: Id (never the value) of the new key, for C(keyturn:key-id).
        type: str
      by:
        description: Who rotates it, for C(keyturn:by).
        type: str
"""
