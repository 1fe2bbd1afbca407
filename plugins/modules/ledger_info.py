#!/usr/bin/python
# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ledger_info
short_description: Read the entries of a JSON Lines ledger
version_added: 0.1.0
description:
  - Reads what M(keyturn.ecs.ledger) wrote, a file on the host that the module runs on or an object in Amazon S3.
  - A line that is no JSON, such as one that was cut off when a disk was full, is passed over with a warning.
author:
  - The keyturn.ecs authors (@keyturn)
options:
  path:
    description:
      - The ledger, a file or C(s3://BUCKET/KEY). One that is not there has no entries, which is no failure.
      - The connection options are only for objects. They need O(region) or one of its fall-backs.
    type: path
    required: true
  where:
    description:
      - Only entries with these members of exactly these values. By default all.
    type: dict
    default: {}
extends_documentation_fragment:
  - keyturn.ecs.aws
  - keyturn.ecs.reads_only
notes:
  - Needs C(s3:GetObject) on the object, and C(s3:ListBucket) on the bucket, without which S3 does not tell an object
    that is missing from one that is denied; C(kms:Decrypt) where the bucket encrypts with a customer's key.
seealso:
  - module: keyturn.ecs.ledger
"""

EXAMPLES = r"""
- name: Read which rotations there were in production
  keyturn.ecs.ledger_info:
    path: ~/rotations.jsonl
    where:
      environment: production
      variable: OPENAI_API_KEY
  register: record

- name: Show when, and why
  ansible.builtin.debug:
    msg: "{{ record.entries | map(attribute='date') | zip(record.entries | map(attribute='reason')) }}"
"""

RETURN = r"""
path:
  description: The ledger, as it was given.
  returned: always
  type: str
  sample: s3://elevareai-audit/rotations/2026.jsonl
exists:
  description: Whether the ledger is there.
  returned: success
  type: bool
  sample: true
entries:
  description: Its entries, in its order.
  returned: success
  type: list
  elements: dict
  sample:
    - id: ecs-svc/1234567890123456789
      date: "2026-11-22T10:00:00Z"
      service: elevareai-api
      variable: OPENAI_API_KEY
      fingerprint: sha256:9f86d081884c
      reason: quarterly
broken:
  description: How many lines are no JSON.
  returned: success
  type: int
  sample: 0
resource_actions:
  description: AWS calls that were made, each once; for objects only.
  returned: when O(debug_botocore_endpoint_logs=true)
  type: list
  elements: str
  sample: ["s3:GetObject"]
"""

from ansible_collections.keyturn.ecs.plugins.module_utils._ledger.ledger import INFO
from ansible_collections.keyturn.ecs.plugins.module_utils._module import Module


def main() -> None:
    Module(INFO).finish()


if __name__ == "__main__":
    main()
