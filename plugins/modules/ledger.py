#!/usr/bin/python
# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ledger
short_description: Append entries to a JSON Lines ledger that several runs write at once
version_added: 0.1.0
description:
  - Keeps what was rotated, when and why, in a file to which lines are only ever appended, one JSON object each. The
    file is on the host that the module runs on, or an object in Amazon S3 for execution environments that keep no
    files.
  - Runs that write at the same time lose nothing. A file is locked while one write appends all lines, and is on the
    disk when the module returns. An object is read and written again, on the condition that nobody has written it
    since; otherwise the module reads once more, up to 40 times.
  - An entry whose member C(id) is that of an entry in the ledger is skipped, so that a task may be repeated. Give
    entries an C(id) that tells them from all others, such as a deployment's. Without one an entry is always appended.
  - Entries never hold a value. One with a text that looks like an API key (C(sk-), C(pk-) or C(rk-) and 16 characters
    or more) is refused.
author:
  - The keyturn.ecs authors (@keyturn)
options:
  path:
    description:
      - The ledger, a file or C(s3://BUCKET/KEY).
      - A file that is not there is made with mode V(0600), one that is there keeps its mode. Its folder must be there.
      - The connection options are only for objects. They need O(region) or one of its fall-backs, and boto3 1.35.69 or
        newer; a file needs neither.
    type: path
    required: true
  entries:
    description:
      - Entries to append, in this order. Their members are free.
    type: list
    elements: dict
    required: true
extends_documentation_fragment:
  - keyturn.ecs.aws
attributes:
  check_mode:
    description: Reads the ledger and returns what would be appended.
    support: full
  diff_mode:
    description: Shows the appended lines.
    support: full
notes:
  - Needs C(s3:GetObject) and C(s3:PutObject) on the object, and C(s3:ListBucket) on the bucket, without which S3 does
    not tell an object that is missing from one that is denied. Where the bucket encrypts with a customer's key, also
    C(kms:Decrypt) and C(kms:GenerateDataKey).
  - The bucket decides on encryption. Turn its versioning on, and every state of the ledger is kept. An object keeps its
    content type and metadata; its tags are not kept.
  - An object is read and written as a whole, so begin a new one each year. A line of a rotation has less than one
    kilobyte.
  - Programs that append to the same file without a lock, like C(tee -a), are no danger to its lines. One that rewrites
    the file is.
  - Locks reach as far as the file system's. NFS has them unless it is mounted with C(nolock) or C(local_lock).
seealso:
  - module: keyturn.ecs.ecs_env_rotate
  - module: keyturn.ecs.dotenv_value
"""

EXAMPLES = r"""
- name: Record a rotation in a file
  keyturn.ecs.ledger:
    path: ~/rotations.jsonl
    entries:
      - id: "{{ rotation.deployment_id }}"
        date: "{{ now(utc=true).strftime('%Y-%m-%dT%H:%M:%SZ') }}"
        service: "{{ rotation.service }}"
        variable: "{{ rotation.variable }}"
        fingerprint: "{{ rotation.fingerprint }}"
        reason: quarterly

- name: Record it in a bucket of the security account
  keyturn.ecs.ledger:
    path: s3://elevareai-audit/rotations/2026.jsonl
    entries: "{{ rows }}"
    region: us-east-1
    assume_role_arn: arn:aws:iam::210987654321:role/keyturn-ledger
"""

RETURN = r"""
path:
  description: The ledger, as it was given.
  returned: always
  type: str
  sample: s3://elevareai-audit/rotations/2026.jsonl
appended:
  description: How many lines were appended.
  returned: success
  type: int
  sample: 3
already_there:
  description: How many entries were left out, because one of the same C(id) is in the ledger, or earlier in O(entries).
  returned: success
  type: int
  sample: 0
resource_actions:
  description: AWS calls that were made, each once; for objects only.
  returned: when O(debug_botocore_endpoint_logs=true)
  type: list
  elements: str
  sample: ["s3:GetObject", "s3:PutObject"]
"""

from ansible_collections.keyturn.ecs.plugins.module_utils._ledger.ledger import CAPABILITY
from ansible_collections.keyturn.ecs.plugins.module_utils._module import Module


def main() -> None:
    Module(CAPABILITY).finish()


if __name__ == "__main__":
    main()
