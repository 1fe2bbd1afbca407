# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: services
short_description: Every ECS service that has a variable, as a host that can be rotated
version_added: 0.1.0
description:
  - Makes one host of every Amazon ECS service whose running task definition has the variable, over Regions and
    accounts, with the variables that the role P(keyturn.ecs.rotate#role) reads, and what is known of the value.
  - The file's name ends in C(ecs_services.yml) or C(ecs_services.yaml), and it says C(plugin=keyturn.ecs.services).
  - A host's name is C(SERVICE.CLUSTER.REGION.ACCOUNT). No other service can change it.
  - All hosts are in group C(environments), which the playbooks work on, and in C(region_…), C(account_…) and
    C(cluster_…), where characters other than letters and digits are underscores, as in C(region_us_east_1).
  - No value is ever in a host's variables, in the cache or in a message. A fingerprint stands for it.
author:
  - The keyturn.ecs authors (@keyturn)
extends_documentation_fragment:
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
options:
  plugin:
    description:
      - Says that the file is meant for this plugin.
    type: str
    required: true
    choices: [keyturn.ecs.services]
  variable:
    description:
      - Name of the environment variable.
    type: str
    default: OPENAI_API_KEY
  regions:
    description:
      - The Regions to look at. By default the connection's, see O(region).
    type: list
    elements: str
    default: []
  assume_role_arns:
    description:
      - ARNs of the IAM roles to assume one after the other, so that one inventory spans accounts. By default the
        caller's own account.
      - An empty string stands for the caller's own account, so that it can be one among several.
      - Where two lead to the same account, a service is taken from the first that may read it.
    type: list
    elements: str
    default: []
    aliases: [assume_role_arn]
  assume_role_external_id:
    description:
      - External id that the roles' trust policies ask for.
    type: str
  assume_role_session_name:
    description:
      - Name of the roles' sessions, as CloudTrail shows it.
    type: str
    default: keyturn-ecs
  clusters:
    description:
      - Patterns of clusters' names, such as V(prod-*). By default all clusters.
    type: list
    elements: str
    default: []
  hostname:
    description:
      - A Jinja2 expression that makes another name of a host's variables, for example V(ecs_tags.Environment).
      - Two hosts may not get the same name. Where the expression yields nothing, the host keeps its own name; with
        O(strict=true) that is an error.
    type: str
  strict_permissions:
    description:
      - With V(false) a Region, cluster or role that may not be read is left out, with a warning. By default it is an
        error, since a service that is not seen is one that is not rotated.
      - A secret or parameter that may not be read is only warned of. Its service is a host without a fingerprint.
    type: bool
    default: true
  region:
    description:
      - The AWS Region to use where O(regions) is not given.
    type: str
    aliases: [aws_region]
    env:
      - name: AWS_DEFAULT_REGION
      - name: AWS_REGION
  profile:
    description:
      - A named profile of the AWS configuration files.
      - Mutually exclusive with O(access_key), O(secret_key) and O(session_token).
    type: str
    aliases: [aws_profile]
    env:
      - name: AWS_DEFAULT_PROFILE
      - name: AWS_PROFILE
  access_key:
    description:
      - AWS access key id.
    type: str
    aliases: [aws_access_key_id, aws_access_key]
    env:
      - name: AWS_ACCESS_KEY
      - name: AWS_ACCESS_KEY_ID
  secret_key:
    description:
      - AWS secret access key.
    type: str
    aliases: [aws_secret_access_key, aws_secret_key]
    env:
      - name: AWS_SECRET_KEY
      - name: AWS_SECRET_ACCESS_KEY
  session_token:
    description:
      - AWS session token of temporary credentials.
    type: str
    aliases: [aws_session_token]
    env:
      - name: AWS_SESSION_TOKEN
  endpoint_url:
    description:
      - URL of an endpoint to use instead of AWS's own, for every service. botocore itself reads E(AWS_ENDPOINT_URL).
    type: str
    aliases: [aws_endpoint_url]
    env:
      - name: AWS_URL
  aws_ca_bundle:
    description:
      - File with the CA certificates to check AWS's certificates against.
    type: path
    env:
      - name: AWS_CA_BUNDLE
  validate_certs:
    description:
      - V(false) does not check certificates. Set O(aws_ca_bundle) instead, if you can.
    type: bool
    default: true
  aws_config:
    description:
      - Settings of botocore's C(Config), laid over the collection's own.
    type: dict
    default: {}
  debug_botocore_endpoint_logs:
    description:
      - Tell on standard error which AWS calls were made, and how often.
    type: bool
    default: false
    env:
      - name: ANSIBLE_DEBUG_BOTOCORE_LOGS
notes:
  - Needs C(ecs:ListClusters), C(ecs:ListServices), C(ecs:DescribeServices) and C(ecs:DescribeTaskDefinition); for the
    fingerprint of a value in a secret or parameter C(secretsmanager:GetSecretValue) or C(ssm:GetParameter), with
    C(kms:Decrypt) where a customer's key protects it.
  - Of the connection, O(profile), O(endpoint_url), O(assume_role_arns) and O(assume_role_external_id) are handed on to
    the role as host variables. Keys are not; have them in a profile or in the environment, where both find them.
  - Templates such as C({{ lookup('ansible.builtin.env', 'NAME') }}) may stand in all options of this plugin that are
    strings or lists of them.
  - Ansible goes on with the other inventory sources when one fails. Set C(ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED) or
    C(any_unparsed_is_failed) in the section C(inventory) of C(ansible.cfg), so that it does not.
  - Values in environment files in S3 are not seen, and neither are services that have the variable under another name.
requirements:
  - python >= 3.10
  - boto3 >= 1.34.0
  - botocore >= 1.34.0
seealso:
  - module: keyturn.ecs.ecs_env_info
"""

EXAMPLES = r"""
# production.ecs_services.yml: two Regions of two accounts
plugin: keyturn.ecs.services
regions: [us-east-1, eu-central-1]
assume_role_arns:
  - arn:aws:iam::123456789012:role/keyturn-rotate
  - arn:aws:iam::210987654321:role/keyturn-rotate

---
# One host for each environment, by a tag of the services; groups by tag and by where the value lives
plugin: keyturn.ecs.services
clusters: ['prod-*', staging]
hostname: ecs_tags.Environment
keyed_groups:
  - key: ecs_tags.Team
    prefix: team
  - key: ecs_stores
    prefix: store
groups:
  overdue: (ecs_age_days or 0) > 90
compose:
  rotate_reason: "'quarterly, for ' ~ ecs_tags.Team"
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/keyturn
cache_timeout: 900
"""

import re
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable

from ansible_collections.keyturn.ecs.plugins.module_utils._aws import CONNECTION_SPEC
from ansible_collections.keyturn.ecs.plugins.module_utils._errors import KeyturnError
from ansible_collections.keyturn.ecs.plugins.module_utils._inventory.hosts import (
    ENVIRONMENTS,
    group_names,
    host_name,
    host_variables,
)
from ansible_collections.keyturn.ecs.plugins.module_utils._inventory.request import Request
from ansible_collections.keyturn.ecs.plugins.module_utils._inventory.survey import Found, Survey, survey
from ansible_collections.keyturn.ecs.plugins.module_utils._scrub import CENSORED, map_strings

try:
    from ansible.template import trust_as_template
except ImportError:  # ansible-core 2.18 and older, where every string is a template that is not said to be none
    from ansible.utils.unsafe_proxy import wrap_var as _no_template

    def _template(text: str) -> Any:
        return text
else:

    def _no_template(v: Any) -> Any:
        return v

    def _template(text: str) -> Any:
        return trust_as_template(text)


SUFFIXES = ("ecs_services.yml", "ecs_services.yaml")
OWN_OPTIONS = ("variable", "regions", "assume_role_arns", "clusters")
INTERPRETER = "{{ ansible_playbook_python }}"
# Text that no template can be made of: what ECS allows in names and tags.
HARMLESS = re.compile(r"[\w .:/=+@,-]*")
ALIASES = {alias for option in CONNECTION_SPEC.values() for alias in option.get("aliases", ())}


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """Options to a survey of ECS, from the cache where it has one, and its services to hosts."""

    NAME = "keyturn.ecs.services"
    inventory: Any  # the base class leaves it None until parse()

    def verify_file(self, path: str) -> bool:
        return path.endswith(SUFFIXES) and bool(BaseInventoryPlugin.verify_file(self, path))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache=cache)
        self._check_names(self._read_config_data(path))
        try:
            request = self._request()
            found = self._survey(request, path, cache)
        except KeyturnError as error:
            raise AnsibleParserError(error.msg) from None
        for warning in [*(f"Left out: {text}" for text in found.denied), *found.warnings]:
            self.display.warning(warning)
        if not found.found:
            self.display.warning(
                f"{path}: no service has {request.variable}: check variable, regions, assume_role_arns and clusters."
            )
        self._add_hosts(found, request)

    def _check_names(self, config: Mapping[str, Any]) -> None:
        """Refuse what Ansible passes over in silence: mistyped options, and any text as V(false)."""
        unknown = sorted(set(map(str, config)) - set(self._options) - ALIASES - {"assume_role_arn"})
        if unknown:
            shown = [name if re.fullmatch(r"[a-z_]{1,40}", name) else CENSORED for name in unknown]
            raise AnsibleParserError(
                f"{', '.join(shown)}: no such option. The options are {', '.join(sorted(self._options))}."
            )
        for name, definition in self.option_definitions.items():
            if name in config and definition.get("type") in ("bool", "boolean"):
                try:
                    boolean(config[name])
                except TypeError:
                    raise AnsibleParserError(f"{name} is neither true nor false.") from None

    def _request(self) -> Request:
        options = {name: self._option(name) for name in OWN_OPTIONS}
        return Request.parse(options, {name: self._option(name) for name in CONNECTION_SPEC if name in self._options})

    def _option(self, name: str) -> Any:
        """An option with its templates filled in."""
        try:
            return map_strings(self.get_option(name), lambda text: f"{self.templar.template(text) or ''}")
        except AnsibleError as error:
            raise AnsibleParserError(
                f"{name}: its template fails (in a list, each template is an element of its own): {error}"
            ) from None

    def _survey(self, request: Request, path: str, cache: bool) -> Survey:
        """What the cache holds for these options, or what AWS says now."""
        cached, strict = bool(self.get_option("cache")), self.get_option("strict_permissions")
        key = f"{self.get_cache_key(path)}_{request.digest}"
        kept = self._cache.get(key) if cached and cache else None
        if kept and not (strict and kept["denied"]):
            return Survey([Found.parse(one) for one in kept["found"]], list(kept["denied"]), list(kept["warnings"]))
        result = survey(request)
        if self.get_option("debug_botocore_endpoint_logs"):
            counted = ", ".join(f"{call} {number}" for call, number in sorted(Counter(result.calls).items()))
            self.display.display(f"{path}: {len(result.calls)} calls: {counted}", stderr=True)
        if strict and result.denied:
            raise KeyturnError(
                f"{' '.join(result.denied)} To leave out what may not be read, set strict_permissions: false."
            )
        if cached:
            plain = [one.plain() for one in result.found]
            self._cache[key] = {"found": plain, "denied": result.denied, "warnings": result.warnings}
        return result

    def _add_hosts(self, found: Survey, request: Request) -> None:
        self.inventory.add_group(ENVIRONMENTS)
        now, named = time.time(), dict[str, str]()
        for one in found.found:
            variables = map_strings(host_variables(one, request.variable, request.connection, now), _as_data)
            name = self._name(one, variables)
            if name in named:
                raise AnsibleParserError(
                    f"hostname gives both {named[name]} and {host_name(one)} the name {name}: make it tell them apart."
                )
            named[name] = host_name(one)
            self._add_host(name, one, variables)

    def _name(self, one: Found, variables: Mapping[str, Any]) -> str:
        name, expression = host_name(one), self.get_option("hostname")
        if not expression:
            return name
        try:
            wanted = self._compose(expression, variables)
        except AnsibleError as error:
            if self.get_option("strict"):
                raise AnsibleParserError(f"hostname fails for {name}: {error}") from None
            return name
        if not wanted and self.get_option("strict"):
            raise AnsibleParserError(f"hostname yields nothing for {name}.")
        if not HARMLESS.fullmatch(f"{wanted or ''}"):
            raise AnsibleParserError(f"hostname gives {name} a name with characters that no tag of ECS may have.")
        return f"{wanted or name}"

    def _add_host(self, name: str, one: Found, variables: Mapping[str, Any]) -> None:
        self.inventory.add_host(name)
        for group in group_names(one):
            self.inventory.add_child(self.inventory.add_group(group), name)
        own = {"ansible_connection": _template("local"), "ansible_python_interpreter": _template(INTERPRETER)}
        for variable, value in {**own, **variables}.items():
            self.inventory.set_variable(name, variable, value)
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), variables, name, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, name, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, name, strict=strict)


def _as_data(text: str) -> Any:
    """Text from AWS as a variable that Ansible does not take for a template, whoever wrote the tag.

    Ansible shows data that might be one as such (``__ansible_unsafe``), and AWX keeps it so; hence not all is.
    """
    return _template(text) if HARMLESS.fullmatch(text) else _no_template(text)
