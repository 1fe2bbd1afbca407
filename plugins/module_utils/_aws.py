# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options to AWS clients: credentials, assumed roles, retries, raw answers, errors in our words.

The only file that knows boto3 and botocore. Options, aliases and environment variables are those of amazon.aws.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import importlib.metadata
import json
import os
import random
import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from ansible.module_utils.common.parameters import env_fallback

from ._errors import AccessDeniedError, AwsError, KeyturnError, NotSupportedError
from ._pace import Pace
from ._scrub import MIN_NEIGHBOUR, Scrubber

try:
    import boto3
    import botocore.config
    import botocore.credentials
    import botocore.exceptions
    import botocore.hooks
    import botocore.parsers
    import botocore.response
    import botocore.session

    HAS_BOTO3, _IMPORT_ERROR = True, ""
except ImportError as no_boto3:
    HAS_BOTO3, _IMPORT_ERROR = False, str(no_boto3)

COLLECTION_VERSION = "0.1.0"
MINIMUM_BOTOCORE = (1, 34, 0)
CONDITIONAL_WRITES = (1, 35, 69)

# A throttled call is tried for minutes: ECS registers one revision a second in an account, and a fleet queues for it.
THROTTLED_ATTEMPTS = 40
MAX_BACKOFF = 20.0
# A call that failed otherwise (no connection, 5xx) is tried for some seconds: a wrong endpoint is told soon.
OTHER_ATTEMPTS = 8
# Seconds before what must not be repeated blindly is looked at, and tried again where nothing came of it.
AGAIN_PAUSES = (1.0, 2.0, 5.0, 10.0, 20.0)

# How a client tries: REPEAT as above, ONCE for what must not be repeated blindly, OPTIONAL for what is merely useful.
REPEAT, ONCE, OPTIONAL = "repeat", "once", "optional"

CONNECTION_SPEC: dict[str, dict[str, Any]] = {
    "access_key": {
        "type": "str",
        "aliases": ["aws_access_key_id", "aws_access_key"],
        "fallback": (env_fallback, ["AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"]),
        "no_log": False,
    },
    "secret_key": {
        "type": "str",
        "aliases": ["aws_secret_access_key", "aws_secret_key"],
        "fallback": (env_fallback, ["AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"]),
        "no_log": True,
    },
    "session_token": {
        "type": "str",
        "aliases": ["aws_session_token"],
        "fallback": (env_fallback, ["AWS_SESSION_TOKEN"]),
        "no_log": True,
    },
    "profile": {
        "type": "str",
        "aliases": ["aws_profile"],
        "fallback": (env_fallback, ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]),
    },
    "endpoint_url": {
        "type": "str",
        "aliases": ["aws_endpoint_url"],
        "fallback": (env_fallback, ["AWS_URL"]),
    },
    "aws_ca_bundle": {"type": "path", "fallback": (env_fallback, ["AWS_CA_BUNDLE"])},
    "validate_certs": {"type": "bool", "default": True},
    "aws_config": {"type": "dict"},
    "debug_botocore_endpoint_logs": {
        "type": "bool",
        "default": False,
        "fallback": (env_fallback, ["ANSIBLE_DEBUG_BOTOCORE_LOGS"]),
    },
    "region": {
        "type": "str",
        "aliases": ["aws_region"],
        "fallback": (env_fallback, ["AWS_REGION", "AWS_DEFAULT_REGION"]),
    },
    "assume_role_arn": {"type": "str"},
    "assume_role_external_id": {"type": "str"},
    "assume_role_session_name": {"type": "str", "default": "keyturn-ecs"},
}

_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized"}
_UNSUPPORTED = {"UnsupportedFeatureException", "UnknownOperationException", "InvalidAction", "NotImplemented"}
_BAD_CREDENTIALS = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_THROTTLED = {
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
}
# Members of aws_config that botocore takes as text without looking.
_TEXTS = ("region_name", "signature_version", "user_agent", "user_agent_extra", "user_agent_appid")
_ACTION_IN_MESSAGE = re.compile(r"not authorized to perform: ([A-Za-z0-9-]+:[A-Za-z]+)(?: on resource: (\S+))?")
# All that Secrets Manager says when the caller may not use a secret's key; what it calls KMS for, by its own operation.
_NO_KMS = "Access to KMS is not allowed"
_KMS_FOR = {"GetSecretValue": "kms:Decrypt"}
_KMS_OTHERWISE = "kms:GenerateDataKey and kms:Decrypt"


class _Shared:
    """What all sessions of a process and its forks share, made once."""

    @functools.cached_property
    def loader(self) -> Any:
        """Service models and endpoint rules, parsed."""
        return botocore.session.Session().get_component("data_loader")

    @functools.cached_property
    def handlers(self) -> Any:
        """botocore's own event handlers, registered; a session takes a copy."""
        handlers = botocore.hooks.HierarchicalEmitter()
        botocore.session.Session(event_hooks=handlers)
        return handlers


_shared = _Shared()
pace = Pace()


def warm(*services: str) -> None:
    """Parse what clients of ``services`` need, so that forked workers inherit it. Opens no connection."""
    if not HAS_BOTO3:
        return
    # Without a place for temporary files every worker finds its own pace.
    with contextlib.suppress(OSError):
        pace.share()
    _forget_empty_variables()
    # A configuration that cannot be used is told by the tasks that need it.
    with contextlib.suppress(botocore.exceptions.BotoCoreError):
        session = _new_session(None)
        for service in services:
            session.client(
                service,
                region_name="us-east-1",
                aws_access_key_id="-",
                aws_secret_access_key="-",
                aws_session_token="-",
            )


def _forget_empty_variables() -> None:
    """AWX sets what nobody filled in to an empty string, which botocore takes for a profile without a name."""
    for name in [name for name, value in os.environ.items() if name.startswith("AWS_") and not value]:
        del os.environ[name]


def _new_session(profile: str | None, *static: Any) -> Any:
    """Make a session on the shared loader; ``static`` is access key, secret key and session token, where given."""
    core = botocore.session.Session(
        profile=profile, event_hooks=copy.copy(_shared.handlers), include_builtin_handlers=False
    )
    core.register_component("data_loader", _shared.loader)
    if any(static):
        core.set_credentials(*static)
    return boto3.session.Session(botocore_session=core)


def _config(options: Mapping[str, Any], mode: str) -> Any:
    """Merge the operator's ``aws_config`` over ours, except for what the mode is about.

    A call that is sent once keeps our retries; what it sends came from ECS itself, so an older model does not veto it.
    """
    ours: Any = {"mode": "standard", "total_max_attempts": OTHER_ATTEMPTS if mode == REPEAT else 1}
    odd = [name for name in _TEXTS if not isinstance(options.get(name, ""), str)]
    if odd:
        raise KeyturnError(f"aws_config: {', '.join(odd)} must be text.")
    base = botocore.config.Config(user_agent_extra=f"keyturn.ecs/{COLLECTION_VERSION}", retries=ours)
    try:
        merged = base.merge(botocore.config.Config(**options))
    except (TypeError, AttributeError, botocore.exceptions.BotoCoreError) as error:
        raise KeyturnError(f"aws_config: {_config_complaint(error, options)}") from None
    if mode == ONCE:
        return merged.merge(botocore.config.Config(retries=ours, parameter_validation=False))
    if mode == OPTIONAL:
        return merged.merge(botocore.config.Config(retries=ours, connect_timeout=3, read_timeout=10))
    return merged


def _config_complaint(error: Exception, options: Mapping[str, Any]) -> str:
    """Which member botocore does not take; what was given may be a proxy's password."""
    names = [name for name in options if re.fullmatch(r"\w+", name) and name in str(error)]
    return f"botocore does not take {', '.join(names) or 'what is given'} ({type(error).__name__})."


class Aws:
    """Calls to AWS with one set of connection options.

    Args:
        options: validated options of :data:`CONNECTION_SPEC`; empty strings count as not given.
        scrub: takes values out of what AWS says before it becomes one of our messages.

    Raises:
        KeyturnError: options contradict each other, a library or the Region is missing.
    """

    def __init__(self, options: Mapping[str, Any], scrub: Scrubber | None = None) -> None:
        _check_libraries()
        _forget_empty_variables()
        self._options = {name: options.get(name) or None for name in CONNECTION_SPEC}
        self._options["validate_certs"] = options.get("validate_certs", True)
        self.scrub = scrub or Scrubber()
        credentials = (self._options["secret_key"], self._options["session_token"])
        self.scrub.add(*(one for one in credentials if one and len(one) >= MIN_NEIGHBOUR))
        self.calls: list[str] = []
        # Once this is true, what AWS refuses is not tried again for minutes.
        self.over: Callable[[], bool] = lambda: False
        self._clients: dict[tuple[str, str], Any] = {}
        self._elsewhere: dict[str, Aws] = {}
        self._raw: Any = None
        self._body: tuple[str, dict[str, Any]] | None = None
        self._session = self._make_session()
        self.region: str = self._options["region"] or self._default_region or ""
        if not self.region:
            raise KeyturnError(
                "No AWS Region is known: set the region option (of role rotate: rotate_region), AWS_REGION, or a Region"
                " in the profile's configuration."
            )
        if self._options["assume_role_arn"]:
            self._assume_role()

    def in_region(self, region: str) -> Aws:
        """The same caller in another Region; an empty one is this one's own."""
        if region in ("", self.region):
            return self
        if region not in self._elsewhere:
            other = copy.copy(self)
            other.region, other._clients, other._elsewhere = region, {}, {}
            self._elsewhere[region] = other
        return self._elsewhere[region]

    def call(self, service: str, operation: str, on: str, /, **params: Any) -> dict[str, Any]:
        """Call an operation and return botocore's parsed answer.

        Args:
            service: botocore's name, ``ecs``.
            operation: the API's name, ``UpdateService``.
            on: what the call is about, for the message of an error: ``service web in cluster prod``.
            params: the request.

        Raises:
            AccessDeniedError, NotSupportedError, AwsError: with the call's name, what it was on, and what to do.
        """
        return self._call(service, operation, on, params, REPEAT)

    def call_raw(self, service: str, operation: str, on: str, /, **params: Any) -> dict[str, Any]:
        """Call an operation and return the answer's JSON as it came, unknown members included."""
        self._raw = None
        parsed = self._call(service, operation, on, params, REPEAT)
        return self._raw_or(parsed)

    def call_once(
        self, service: str, operation: str, on: str, /, body: dict[str, Any] | None = None, **params: Any
    ) -> dict[str, Any]:
        """Like :meth:`call_raw`, for calls that must not be repeated blindly: only refusals by throttling are retried.

        Args:
            body: the JSON to send instead of what botocore makes of ``params``, when it holds members botocore does
            not know.

        Raises:
            AwsError: with ``outcome_unknown`` when AWS may have carried it out.
        """
        self._raw, self._body = None, (operation, body) if body is not None else None
        try:
            parsed = self._call(service, operation, on, params, ONCE)
        finally:
            self._body = None
        return self._raw_or(parsed)

    def call_optional(self, service: str, operation: str, on: str, /, **params: Any) -> dict[str, Any] | None:
        """Like :meth:`call`, for what is good to know and no more: tried once, shortly; None when it fails."""
        return self.call_or_why(service, operation, on, **params)[0]

    def call_or_why(self, service: str, operation: str, on: str, /, **params: Any) -> tuple[dict[str, Any] | None, str]:
        """Like :meth:`call_optional`, and why there is no answer."""
        try:
            return self._call(service, operation, on, params, OPTIONAL), ""
        except AwsError as error:
            return None, error.msg

    def call_briefly(self, service: str, operation: str, on: str, /, **params: Any) -> dict[str, Any]:
        """Like :meth:`call_optional`, but tells why there is no answer; throttled, it is tried as long as any other.

        Private networks often have no way to IAM or STS.

        Raises:
            AwsError: as :meth:`call` does.
        """
        try:
            return self._call(service, operation, on, params, OPTIONAL)
        except AwsError as error:
            if error.code not in _THROTTLED:
                raise
        return self.call(service, operation, on, **params)

    def split_known(
        self, service: str, operation: str, data: Mapping[str, Any]
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Split ``data`` by the installed botocore's model of the operation's request.

        Returns:
            What the model knows, and the paths (``containerDefinitions[0].x``) of what it does not.
        """
        unknown: list[str] = []
        shape = self._client(service, REPEAT).meta.service_model.operation_model(operation).input_shape
        return _known_part(data, shape, "", unknown), tuple(unknown)

    def output_members(self, service: str, operation: str, member: str) -> frozenset[str]:
        """Names that the installed botocore's model knows below ``member`` of an operation's answer."""
        shape = self._client(service, REPEAT).meta.service_model.operation_model(operation).output_shape
        return frozenset(shape.members[member].members)

    def _raw_or(self, parsed: dict[str, Any]) -> dict[str, Any]:
        return self._raw if isinstance(self._raw, dict) else parsed

    def _call(self, service: str, operation: str, on: str, params: dict[str, Any], mode: str) -> dict[str, Any]:
        client = self._client(service, mode)
        method = getattr(client, botocore.xform_name(operation), None)
        if method is None:
            raise NotSupportedError(
                f"The installed botocore {botocore.__version__} does not know {service}:{operation}; upgrade boto3.",
                operation=f"{service}:{operation}",
                code="UnknownOperation",
            )
        try:
            answer: dict[str, Any] = method(**params)
            # A stream is read to its end here, where a connection that breaks becomes one of our errors.
            for name, member in answer.items():
                if isinstance(member, botocore.response.StreamingBody):
                    answer[name] = member.read()
        except botocore.exceptions.ClientError as error:
            raise self._from_answer(error, service, operation, on) from None
        except (botocore.exceptions.BotoCoreError, botocore.parsers.ResponseParserError) as error:
            raise self._from_botocore(error, service, operation, on) from None
        return answer

    def _client(self, service: str, mode: str) -> Any:
        key = (service, mode)
        if key not in self._clients:
            self._clients[key] = self._new_client(self._session, service, mode)
        return self._clients[key]

    def _new_client(self, session: Any, service: str, mode: str, **credentials: Any) -> Any:
        options = self._options
        try:
            client = session.client(
                service,
                region_name=self.region,
                endpoint_url=options["endpoint_url"],
                verify=options["aws_ca_bundle"] if options["validate_certs"] else False,
                config=_config(options["aws_config"] or {}, mode),
                **credentials,
            )
        except (botocore.exceptions.BotoCoreError, ValueError) as error:
            raise KeyturnError(f"No client for {service} can be made: {self.scrub.text(str(error))}") from None
        except (TypeError, AttributeError) as error:
            # botocore checks few of the types: what is a list or a number there meets it here.
            raise KeyturnError(f"aws_config holds something of the wrong type, so botocore says: {error}.") from None
        events, name = client.meta.events, client.meta.service_model.service_id.hyphenize()
        events.register(f"before-call.{name}", self._before_call)
        events.register(f"response-received.{name}", self._keep_raw)
        if mode != OPTIONAL:
            events.register_first(f"needs-retry.{name}", self._wait_for_turn)
            retry = functools.partial(_retry_refused, once=mode == ONCE, over=self._is_over)
            events.register_last(f"needs-retry.{name}", retry)
        return client

    @property
    def _account(self) -> str:
        """Whose limits count: the account's where it is known, else those of whoever calls, in this Region."""
        options = self._options
        role = str(options["assume_role_arn"] or "").split(":")
        caller = role[4] if len(role) > 4 else options["access_key"] or options["profile"] or ""
        return f"{caller} {self.region} {options['endpoint_url'] or ''}"

    def _wait_for_turn(self, response: Any, attempts: int, operation: Any, **_more: Any) -> float | None:
        """Seconds after which a call that AWS refused for its limits is made again; None for every other reason."""
        refused = bool(response) and response[1].get("Error", {}).get("Code") in _THROTTLED
        if not refused or attempts >= THROTTLED_ATTEMPTS or self._is_over():
            return None
        return pace.refused(self._account, operation.service_model.service_name, operation.name)

    def _is_over(self) -> bool:
        return self.over()

    def _before_call(self, model: Any, params: dict[str, Any], **_more: Any) -> None:
        self.calls.append(f"{model.service_model.service_name}:{model.name}")
        seconds = pace.turn(self._account, model.service_model.service_name, model.name)
        if seconds > 0:
            time.sleep(seconds)
        if self._body is not None and self._body[0] == model.name:
            params["body"] = json.dumps(self._body[1]).encode("utf-8")

    def _keep_raw(self, response_dict: Mapping[str, Any] | None, **_more: Any) -> None:
        body = response_dict.get("body") if response_dict else None
        if isinstance(body, bytes) and body[:1] == b"{":
            self._raw = json.loads(body)

    def _make_session(self) -> Any:
        options = self._options
        static = {name: options[name] for name in ("access_key", "secret_key", "session_token")}
        if options["profile"] and any(static.values()):
            raise KeyturnError(
                "profile and access_key/secret_key/session_token are mutually exclusive, wherever they come from "
                "(options, module_defaults, AWS_PROFILE, AWS_ACCESS_KEY_ID): give one of them."
            )
        if any(static.values()) and not (options["access_key"] and options["secret_key"]):
            raise KeyturnError("access_key and secret_key belong together: give both, or neither.")
        odd = [name for name, text in static.items() if text and not (text.isascii() and text.isprintable())]
        if odd:
            raise KeyturnError(
                f"{odd[0]} holds a character that no credential has, such as a newline or an accent: copy it again."
            )
        try:
            session = _new_session(options["profile"], *static.values())
            # Reads the configuration files: a profile that does not exist is told here.
            self._default_region = session.region_name
        except botocore.exceptions.BotoCoreError as error:
            raise KeyturnError(f"The AWS configuration cannot be used: {self.scrub.text(str(error))}") from None
        return session

    def _assume_role(self) -> None:
        """Replace the session's credentials by the role's: fetched at the first call, renewed before they expire."""
        options, source = self._options, self._session
        role: Any = options["assume_role_arn"]
        credentials = source.get_credentials()
        if credentials is None:
            raise self._from_botocore(botocore.exceptions.NoCredentialsError(), "sts", "AssumeRole", "the role")
        extra = {"RoleSessionName": options["assume_role_session_name"] or "keyturn-ecs"}
        if options["assume_role_external_id"]:
            extra["ExternalId"] = options["assume_role_external_id"]

        def sts(service: str, **static: Any) -> Any:
            return self._new_client(source, service, REPEAT, **static)

        fetcher = botocore.credentials.AssumeRoleCredentialFetcher(
            client_creator=sts, source_credentials=credentials, role_arn=role, extra_args=extra
        )
        self._session = _new_session(None)
        self._session._session._credentials = botocore.credentials.DeferredRefreshableCredentials(
            method="assume-role", refresh_using=fetcher.fetch_credentials
        )

    def _from_answer(self, error: Any, service: str, operation: str, on: str) -> AwsError:
        """Turn an error that AWS answered into ours."""
        answer = error.response.get("Error", {})
        code, text = str(answer.get("Code", "")), self.scrub.text(str(answer.get("Message", "")))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if error.operation_name == "AssumeRole" and operation != "AssumeRole":
            service, operation, on = (
                "sts",
                "AssumeRole",
                f"role {self._options['assume_role_arn']} (for {service}:{operation})",
            )
        call = f"{service}:{operation}"
        if code in _DENIED:
            named = _ACTION_IN_MESSAGE.search(text)
            permission = named.group(1) if named else call
            wanted = permission
            if _NO_KMS in text:
                wanted = f"{_KMS_FOR.get(operation, _KMS_OTHERWISE)} on the KMS key of the {on}"
                permission = wanted.partition(" ")[0]
            return AccessDeniedError(
                f"{call} on {on} was denied: allow {wanted} to the caller. AWS says: {text}",
                permission=permission,
                resource=(named.group(2) or "") if named else "",
                operation=call,
                code=code,
            )
        if code in _UNSUPPORTED:
            return NotSupportedError(f"{call} on {on} is not supported there: {text}", operation=call, code=code)
        advice = ""
        if code in _BAD_CREDENTIALS:
            advice = " The credentials are expired or wrong: renew them and run again."
        elif code in _THROTTLED:
            advice = " The account's request limit stayed exhausted for minutes: run fewer environments at once."
        elif code == "ClusterNotFoundException":
            advice = f" Check cluster, region ({self.region}) and the account."
        return AwsError(
            f"{call} on {on} failed: {code}: {text}{advice}",
            operation=call,
            code=code,
            outcome_unknown=status >= 500,
            transient=status >= 500 or code in _THROTTLED,
        )

    def _from_botocore(self, error: Exception, service: str, operation: str, on: str) -> AwsError:
        """Turn an error that botocore raised without an answer into ours. Its text may hold parameters."""
        call, code = f"{service}:{operation}".rstrip(":"), type(error).__name__
        text = self.scrub.text(str(error))
        if isinstance(error, botocore.exceptions.ParamValidationError):
            text = "a parameter is not what the API takes: " + _paths_only(text)
        elif isinstance(error, botocore.exceptions.NoCredentialsError):
            text = (
                "no AWS credentials were found: set profile, access_key and secret_key, or run where a role is attached"
            )
        no_answer = isinstance(error, (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError))
        return AwsError(
            f"{call} on {on} failed: {code}: {text}",
            operation=call,
            code=code,
            outcome_unknown=no_answer and not isinstance(error, _unsent_errors()),
            transient=no_answer,
        )


def _unsent_errors() -> tuple[type[Exception], ...]:
    """Errors of a request that did not reach AWS."""
    return (botocore.exceptions.EndpointConnectionError, botocore.exceptions.ConnectTimeoutError)


def _check_libraries() -> None:
    """Refuse libraries that are missing, too old, or cannot be imported, as an old one beside a newer urllib3."""
    if not HAS_BOTO3:
        found = f"{_installed('boto3')} and {_installed('botocore')} cannot be imported ({_IMPORT_ERROR})"
    elif _version() < MINIMUM_BOTOCORE:
        found = f"botocore {botocore.__version__} is too old"
    else:
        return
    wanted = ".".join(str(part) for part in MINIMUM_BOTOCORE)
    raise KeyturnError(
        f"{found}: boto3 and botocore {wanted} or newer are needed. Install them with {sys.executable} -m pip install "
        f"--upgrade 'boto3>={wanted}', or let ansible_python_interpreter name a Python that has them."
    )


def writes_on_conditions() -> bool:
    """Whether botocore knows the conditions of s3:PutObject, by its version: its model of S3 takes long to load."""
    return HAS_BOTO3 and _version() >= CONDITIONAL_WRITES


def _version() -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", botocore.__version__)[:3])


def _installed(package: str) -> str:
    """The package with its version, where there is one."""
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return package


def _retry_refused(
    response: Any,
    attempts: int,
    caught_exception: Exception | None,
    *,
    once: bool,
    uniform: Callable[[float, float], float] = random.uniform,
    over: Callable[[], bool] = lambda: False,
    **_more: Any,
) -> float | None:
    """Say after how many seconds a call that AWS refused is tried again; None for not at all.

    Goes on where botocore's own retries end (they count every kind of failure alike), and covers what those pass over:
    two writers registering in one family at once, which ECS tells with a ClientException that only its message tells
    from others. For calls that are sent once, also those that did not reach AWS.
    """
    error = response[1].get("Error", {}) if response else {}
    refused = error.get("Code") in _THROTTLED or "Too many concurrent attempts" in error.get("Message", "")
    unsent = isinstance(caught_exception, _unsent_errors())
    if (refused and attempts < THROTTLED_ATTEMPTS and not over()) or (once and unsent and attempts < OTHER_ATTEMPTS):
        return uniform(0.0, min(2.0 ** (attempts - 1), MAX_BACKOFF))
    return None


def _known_part(data: Any, shape: Any, path: str, unknown: list[str]) -> Any:
    """Return the part of ``data`` that ``shape`` models, and append the paths of the rest to ``unknown``."""
    if shape.type_name == "structure" and isinstance(data, Mapping):
        known = {}
        for name, value in data.items():
            below = f"{path}.{name}" if path else name
            if name in shape.members:
                if value is not None:
                    known[name] = _known_part(value, shape.members[name], below, unknown)
            else:
                unknown.append(below)
        return known
    if shape.type_name == "list" and isinstance(data, list):
        return [_known_part(item, shape.member, f"{path}[{index}]", unknown) for index, item in enumerate(data)]
    return data


def _paths_only(report: str) -> str:
    """Keep of botocore's validation report which parameters it is about, not what they hold."""
    paths = re.findall(r"for parameter ([\w.\[\]]+)|parameter in [\w.\[\]]+: \"(\w+)\"", report)
    return ", ".join(sorted({path for found in paths for path in found if path})) or "not named"
