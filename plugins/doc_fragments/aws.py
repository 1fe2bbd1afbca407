# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """How a module reaches AWS: amazon.aws's options, and a role to assume."""

    DOCUMENTATION = r"""
options:
  region:
    description:
      - The AWS Region to use.
      - The environment variables E(AWS_REGION) or E(AWS_DEFAULT_REGION) are read where it is not given, then the
        profile.
    type: str
    aliases: [aws_region]
  profile:
    description:
      - A named profile of the AWS configuration files.
      - The environment variables E(AWS_PROFILE) or E(AWS_DEFAULT_PROFILE) are read where it is not given.
      - Mutually exclusive with O(access_key), O(secret_key) and O(session_token).
    type: str
    aliases: [aws_profile]
  access_key:
    description:
      - AWS access key id.
      - The environment variables E(AWS_ACCESS_KEY_ID) or E(AWS_ACCESS_KEY) are read where it is not given.
    type: str
    aliases: [aws_access_key_id, aws_access_key]
  secret_key:
    description:
      - AWS secret access key.
      - The environment variables E(AWS_SECRET_ACCESS_KEY) or E(AWS_SECRET_KEY) are read where it is not given.
    type: str
    aliases: [aws_secret_access_key, aws_secret_key]
  session_token:
    description:
      - AWS session token of temporary credentials.
      - The environment variable E(AWS_SESSION_TOKEN) is read where it is not given.
    type: str
    aliases: [aws_session_token]
  assume_role_arn:
    description:
      - ARN of an IAM role to assume with the credentials above; so that one inventory spans accounts.
      - Its credentials are renewed when a wait outlasts them.
    type: str
  assume_role_external_id:
    description:
      - External id that the role's trust policy asks for.
    type: str
  assume_role_session_name:
    description:
      - Name of the role's session, as CloudTrail shows it.
    type: str
    default: keyturn-ecs
  endpoint_url:
    description:
      - URL of an endpoint to use instead of AWS's own, for every service.
      - The environment variable E(AWS_URL) is read where it is not given; botocore itself reads E(AWS_ENDPOINT_URL).
    type: str
    aliases: [aws_endpoint_url]
  aws_ca_bundle:
    description:
      - File with the CA certificates to check AWS's certificates against.
      - The environment variable E(AWS_CA_BUNDLE) is read where it is not given.
    type: path
  validate_certs:
    description:
      - V(false) does not check certificates. Set O(aws_ca_bundle) instead, if you can.
    type: bool
    default: true
  aws_config:
    description:
      - Settings of botocore's C(Config), laid over the collection's own.
      - U(https://botocore.amazonaws.com/v1/documentation/api/latest/reference/config.html) lists them.
    type: dict
  debug_botocore_endpoint_logs:
    description:
      - Return the AWS calls that were made in RV(resource_actions), each once.
      - The environment variable E(ANSIBLE_DEBUG_BOTOCORE_LOGS) is read where it is not given.
    type: bool
    default: false
notes:
  - Least-privilege IAM policies for modules, role and inventory plugin are in the collection's folder C(docs/iam).
    R(The guide on IAM, ansible_collections.keyturn.ecs.docsite.iam) explains them.
  - Empty strings count as not given.
  - Throttled calls are retried for minutes, with jitter.
  - On a local connection the work is done in Ansible's own worker process, by the action plugin of the same name;
    elsewhere,
    for example with C(delegate_to), by the module on that host. Both return the same.
requirements:
  - python >= 3.10
  - boto3 >= 1.34.0
  - botocore >= 1.34.0
"""
