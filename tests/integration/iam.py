# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The policies of docs/iam as a principal has them, and what is done as that principal: one run for each feature."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.keyturn.ecs.plugins.module_utils._access.access import access as access_function
from ansible_collections.keyturn.ecs.plugins.module_utils._fingerprint import fingerprint
from ansible_collections.keyturn.ecs.plugins.module_utils._info.info import info as info_function
from ansible_collections.keyturn.ecs.plugins.module_utils._inventory.request import Request
from ansible_collections.keyturn.ecs.plugins.module_utils._inventory.survey import survey
from ansible_collections.keyturn.ecs.plugins.module_utils._logs.scan import scan as scan_function
from ansible_collections.keyturn.ecs.plugins.module_utils._purge import purge as purge_function
from ansible_collections.keyturn.ecs.plugins.module_utils._rollout.wait import Clock
from ansible_collections.keyturn.ecs.plugins.modules import (
    ecs_env_access,
    ecs_env_info,
    ecs_env_preflight,
    ecs_log_scan,
    ecs_revision_purge,
    ledger,
)
from integration.stores import CASES, Stores, put
from integration.support import NEW, OLD, READS, VARIABLE, Json, assert_no_value
from simulator import Simulator, policies

POLICIES = Path(__file__).resolve().parents[2] / "docs/iam"
ACCOUNT = "123456789012"
ALIAS = "alias/keyturn"
BUCKET, LEDGER = "keyturn-audit", "rotations/2026.jsonl"
READER = "developers"
# What a user puts in place of the words in capitals.
PLACES = {
    "REGION": "us-east-1",
    "ACCOUNT": ACCOUNT,
    "CLUSTER": "c",
    "SERVICE": "s",
    "FAMILY": "s",
    "TASK_ROLE": "app",
    "EXECUTION_ROLE": "ecsTaskExecutionRole",
    "THIS_ROLE": "ops/keyturn",
    "READER_ROLE": f"team/{READER}",
    "SECRET": "prod/openai",
    "PARAMETER": "prod/openai",
    "KEY_ID": "KEY_ID",  # each lab has another one
    "LOG_GROUP": "/ecs/s",
    "BUCKET": BUCKET,
    "LEDGER": LEDGER,
}
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ops/keyturn"
EXECUTION = f"arn:aws:iam::{ACCOUNT}:role/ecsTaskExecutionRole"
TASK_ROLE = {"taskRoleArn": f"arn:aws:iam::{ACCOUNT}:role/app"}
NOTHING = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
}
BREAKER = {
    "service_options": {"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}}
}
SOUND = {"task_definition_options": TASK_ROLE, **BREAKER}


def policy(name: str) -> Json:
    """A policy of docs/iam, with the labs' names in place of the words in capitals."""
    text = (POLICIES / f"{name}.json").read_text(encoding="utf-8")
    found: Json = json.loads(re.sub(r"\b[A-Z][A-Z_]+\b", lambda word: PLACES[word[0]], text))
    return found


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def covers(statement: Json, permission: Mapping[str, Any], action: str = "") -> bool:
    """A statement, or one action of it, allows what a recorded call needed."""
    one = {**statement, "Action": action or statement["Action"]}
    held = [policies.Policy("", "role", (one,))]
    decision = policies.decide(held, permission["action"], permission["resource"], permission["context"])
    return decision.decision == "allowed"


class Guarded(Stores):
    """A lab whose modules run as a role with a policy, against a simulator that enforces it."""

    def __init__(self, sim: Simulator) -> None:
        super().__init__(sim)
        names = ("events", "scheduler", "kms", "s3", "sts")
        self.events, self.scheduler, self.kms, self.s3, self.sts = (sim.client(name) for name in names)
        self.begin()

    def begin(self) -> None:
        """An account in which nothing is but a bucket, a KMS key, and the execution role with its policy."""
        self.sim.reset()
        self.quirks()
        self.s3.create_bucket(Bucket=BUCKET)
        self.results: list[Json] = []
        self.session: Json = {"assume_role_arn": ROLE}
        self.key = self.kms.create_key()["KeyMetadata"]["Arn"]
        self.kms.create_alias(AliasName=ALIAS, TargetKeyId=self.key)
        self.role("ecsTaskExecutionRole", self.policy("execution"))

    def policy(self, name: str) -> Json:
        """A policy of docs/iam for this lab."""
        found: Json = json.loads(json.dumps(policy(name)).replace("KEY_ID", self.key.rpartition("/")[2]))
        return found

    def role(self, name: str, document: Json, path: str = "/") -> None:
        """Make a role that may do what a document says."""
        self.iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument="{}")
        self.iam.put_role_policy(RoleName=name, PolicyName="docs", PolicyDocument=json.dumps(document))

    def validated(self, capability: Any, given: Json) -> Json:
        return super().validated(capability, {**self.session, **given})

    def needed(self) -> list[Json]:
        """What the calls of the collection needed by IAM, each once."""
        found: dict[str, Json] = {}
        for call in self.calls():
            for one in call["permissions"]:
                found.setdefault(json.dumps(one, sort_keys=True), one)
        text = json.dumps(list(found.values())).replace(self.key.rpartition("/")[2], "KEY_ID")
        return [dict(one) for one in json.loads(text)]

    def refused(self) -> list[Json]:
        """The permissions for which calls of the collection were refused."""
        return [call["permissions"][-1] for call in self.calls() if "AccessDenied" in (call["error"] or "")]

    def written(self) -> list[str]:
        """Operations of the collection's calls that changed something."""
        reads = ("AssumeRole", "FilterLogEvents", "LookupEvents")
        made = [call["operation"] for call in self.calls() if call["error"] is None]
        return [one for one in made if not READS.match(one) and one not in reads]

    # The modules that Lab has not; each result is kept.

    def keep(self, result: Json) -> Json:
        assert_no_value(result)
        self.results.append(result)
        return result

    def rotate(self, **options: Any) -> Json:  # type: ignore[override]
        return self.keep(super().rotate(**options))

    def rollback(self, rotation: Json, **options: Any) -> Json:  # type: ignore[override]
        return self.keep(super().rollback(rotation, **options))

    def wait(self, **options: Any) -> Json:
        return self.keep(super().wait(**{"poll_interval": 60, **options}))

    def settle(self, result: Json) -> None:
        """Wait for what was rotated; nothing where that failed."""
        if "deployment_id" in result and "failed" not in result:
            self.wait(**{name: result[name] for name in ("deployment_id", "task_definition")})

    def run(self, module: Any, function: Callable[[Any, Json, bool], Json] | None = None, **options: Any) -> Json:
        """A module; `function` in place of the one behind it."""
        capability = module.CAPABILITY
        if function is not None:
            capability = dataclasses.replace(
                capability, run=lambda aws, given, check, _say: function(aws, given, check)
            )
        return self.keep(capability.answer(self.validated(capability, options), check_mode=False, diff=False))

    def preflight(self, **options: Any) -> Json:
        place = {"cluster": "c", "service": "s", "variable": VARIABLE, "value": NEW}
        return self.run(ecs_env_preflight, **{**place, **options})

    def info(self, **options: Any) -> Json:
        def function(aws: Any, given: Json, _check: bool) -> Json:
            return info_function(aws, given, now=self.sim.now)

        return self.run(ecs_env_info, function, cluster="c", variable=VARIABLE, **options)

    def scan(self, **options: Any) -> Json:
        clock = Clock(now=self.sim.now, sleep=self._pause, jitter=lambda: 1.0)

        def function(aws: Any, given: Json, _check: bool) -> Json:
            return scan_function(aws, given, clock=clock, say=lambda _text: None)

        return self.run(ecs_log_scan, function, cluster="c", service="s", **options)

    def purge(self, **options: Any) -> Json:
        def function(aws: Any, given: Json, check: bool) -> Json:
            return purge_function(aws, given, check, pause=self._pause)

        return self.run(ecs_revision_purge, function, cluster="c", service="s", variable=VARIABLE, **options)

    def access(self, **options: Any) -> Json:
        def function(aws: Any, given: Json, _check: bool) -> Json:
            return access_function(aws, given, sleep=lambda _seconds: None)

        return self.run(ecs_env_access, function, **options)

    def record(self) -> Json:
        return self.run(ledger, path=f"s3://{BUCKET}/{LEDGER}", entries=[{"id": "1", "service": "s"}])

    def inventory(self) -> Json:
        options = {"variable": VARIABLE, "regions": None, "assume_role_arns": [ROLE], "clusters": None}
        place = {"cluster": "c", "variable": VARIABLE}
        connection = {
            name: value for name, value in self.validated(ecs_env_info.CAPABILITY, place).items()
            if name in ("endpoint_url", "region", "access_key", "secret_key")
        }  # fmt: skip
        return self.keep(dataclasses.asdict(survey(Request.parse(options, connection))))


# What is done, and the AWS that it is done to. `make` is done by the account itself.


@dataclasses.dataclass(frozen=True)
class Feature:
    """`refused`: actions that are refused all the same, since a session's ARN does not tell its role's path."""

    make: Callable[[Guarded], Any]
    run: Callable[[Guarded], Any]
    refused: tuple[str, ...] = ()


def _environment(lab: Guarded) -> None:
    lab.environment(**SOUND)


def _read_by(value_from: Callable[[Guarded], str]) -> Callable[[Guarded], Any]:
    return lambda lab: lab.reading(value_from(lab), **SOUND)


def _rotated(**options: Any) -> Callable[[Guarded], Any]:
    return lambda lab: lab.settle(lab.rotate(**options))


def _failing(lab: Guarded) -> None:
    lab.environment(desired=1, **SOUND)
    lab.sim.script("c", "s", ending="circuit_breaker", cause="container_exit", run_seconds=20)


def _fails(lab: Guarded) -> None:
    """A rollout that is rolled back; then it is asked about without its id, when ECS does not list it any more."""
    result = lab.rotate()
    if "failed" in result:
        return

    def log(_at: float) -> None:
        lab.sim.log("c", "s", "Traceback: no such module", deployment_id=result["deployment_id"])

    lab.wait(before_poll=log, poll_interval=15, **{name: result[name] for name in ("deployment_id", "task_definition")})
    lab.sim.advance(1200)
    lab.wait(task_definition=result["task_definition"], timeout=60)


def _shared(lab: Guarded) -> None:
    arn = lab.secret()
    lab.reading(arn, **SOUND)
    lab.reading(arn, service="worker", **SOUND)


def _named_by_the_secret(lab: Guarded) -> None:
    """A service without the secret, which the execution role may read by the secret's own policy only."""
    lab.environment(**SOUND)
    arn = lab.secret()
    lab.iam.put_role_policy(RoleName="ecsTaskExecutionRole", PolicyName="docs", PolicyDocument=json.dumps(NOTHING))
    allowed = {"Effect": "Allow", "Principal": {"AWS": EXECUTION}, "Action": "secretsmanager:GetSecretValue"}
    text = json.dumps({"Version": "2012-10-17", "Statement": {**allowed, "Resource": "*"}})
    lab.secrets_manager.put_resource_policy(SecretId=arn, ResourcePolicy=text)


TAGS = {"secret_tags": {"a": "b"}}
TO_A_SECRET = {"store": "secretsmanager", "secret_id": "prod/openai", "secret_kms_key_id": ALIAS, **TAGS}
TO_A_PARAMETER = {"store": "ssm", "secret_id": "/prod/openai", **TAGS}

ROTATE: dict[str, Feature] = {
    "environment": Feature(_environment, _rotated(tags={"ticket": "OPS-1"})),
    **{name: Feature(case.make, _rotated()) for name, case in CASES.items() if name != "environment"},
    "secret, own key": Feature(_read_by(lambda lab: lab.secret(KmsKeyId=lab.key)), _rotated()),
    "parameter, own key": Feature(_read_by(lambda lab: lab.parameter(KeyId=lab.key)), _rotated()),
    "advanced parameter, own key": Feature(
        _read_by(lambda lab: lab.parameter(KeyId=lab.key, Tier="Advanced")), _rotated()
    ),
    "to a new secret": Feature(_environment, _rotated(**TO_A_SECRET)),
    "to a new parameter": Feature(_environment, _rotated(**TO_A_PARAMETER)),
    "to a secret that names its readers": Feature(
        _named_by_the_secret, lambda lab: lab.rotate(store="secretsmanager", secret_id="prod/openai", check_mode=True)
    ),
    "shared secret": Feature(_shared, _rotated()),
    "failed rollout": Feature(_failing, _fails),
}


def _asked(**options: Any) -> Callable[[Guarded], Any]:
    """A rotation after a preflight that has nothing against it."""

    def run(lab: Guarded) -> None:
        if not lab.preflight(**options).get("failed"):
            lab.settle(lab.rotate(**options))

    return run


def _whole(lab: Guarded) -> None:
    """What the entry points main, verify and rollback call, one after the other; none after one that failed."""
    tags = {"ticket": "OPS-1"}
    steps: list[Callable[[], Any]] = [
        lambda: lab.preflight(log_scan=True, tags=tags),
        lambda: lab.rotate(tags=tags),
        lambda: lab.settle(lab.results[1]),
        lambda: lab.sim.log("c", "s", "fine"),
        lambda: lab.scan(deployment_id=lab.results[1]["deployment_id"]),
        lambda: lab.info(services=["s"]),
        lambda: lab.rollback(lab.results[1]),
        lambda: lab.settle(lab.results[-1]),
    ]
    for step in steps:
        if not any(result.get("failed") for result in lab.results):
            step()


def _attached(lab: Guarded) -> Json:
    """The role's credentials, without its ARN: as a role that is attached to a machine has them."""
    made = lab.sts.assume_role(RoleArn=ROLE, RoleSessionName="runner")["Credentials"]
    keys = {"access_key": "AccessKeyId", "secret_key": "SecretAccessKey", "session_token": "SessionToken"}
    return {name: made[key] for name, key in keys.items()}


def _by_session(lab: Guarded) -> None:
    lab.session = _attached(lab)
    lab.preflight(log_scan=True)


def _recorded_as_another(lab: Guarded) -> None:
    lab.session = {**_attached(lab), "assume_role_arn": ROLE}
    lab.record()


def _many_revisions(lab: Guarded) -> None:
    """Old revisions, and a rule and a schedule that start tasks of another family."""
    _environment(lab)
    lab.register()
    lab.register()
    lab.ecs("UpdateService", cluster="c", service="s", taskDefinition="s:3")
    lab.sim.advance(900)
    _started_by_events(lab)


def _started_by_events(lab: Guarded) -> None:
    cluster = f"arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/c"
    parameters = {"TaskDefinitionArn": f"arn:aws:ecs:us-east-1:{ACCOUNT}:task-definition/s", "TaskCount": 1}
    target = {"Arn": cluster, "RoleArn": EXECUTION, "EcsParameters": parameters}
    lab.events.put_rule(Name="nightly", ScheduleExpression="rate(1 day)")
    lab.events.put_targets(Rule="nightly", Targets=[{"Id": "t1", **target}])
    when = {"ScheduleExpression": "rate(1 day)", "FlexibleTimeWindow": {"Mode": "OFF"}}
    lab.scheduler.create_schedule(Name="weekly", Target=target, **when)


ROLE_FEATURES: dict[str, Feature] = {
    "environment": Feature(_environment, _whole),
    "secret": Feature(_read_by(lambda lab: lab.secret(KmsKeyId=lab.key)), _whole),
    "parameter": Feature(_read_by(lambda lab: lab.parameter(KeyId=lab.key)), _whole),
    "role's own session": Feature(_environment, _by_session, ("iam:SimulatePrincipalPolicy",)),
    "to a new secret": Feature(_environment, _asked(**TO_A_SECRET)),
    "to a new parameter": Feature(_environment, _asked(**TO_A_PARAMETER)),
    "shared secret": Feature(_shared, _asked()),
    "to a secret that names its readers": ROTATE["to a secret that names its readers"],
    "failed rollout": ROTATE["failed rollout"],
    "record": Feature(_environment, Guarded.record),
    "purge": Feature(_many_revisions, lambda lab: lab.purge(keep_previous=False)),
}


def _holders(lab: Guarded) -> None:
    lab.info(fingerprint=fingerprint(VARIABLE, OLD))


def _old_revisions(lab: Guarded) -> None:
    lab.info(services=["s"], plaintext_revisions=True)


def _secret_changed(lab: Guarded) -> None:
    """Tasks that started before the secret's newest version, and a rule and a schedule."""
    lab.reading(lab.secret(KmsKeyId=lab.key), **SOUND)
    put(lab, NEW)
    _started_by_events(lab)


def _parameter_changed(lab: Guarded) -> None:
    lab.reading(lab.parameter(KeyId=lab.key), **SOUND)
    lab.ssm.put_parameter(Name="/prod/openai", Value=NEW, Overwrite=True, Type="SecureString", KeyId=lab.key)


HOLDERS = {
    "environment": Feature(_many_revisions, _holders),
    "secret": Feature(_secret_changed, _holders),
    "parameter": Feature(_parameter_changed, _holders),
}


def _readers(lab: Guarded) -> None:
    arn = lab.secret()
    lab.reading(arn, **SOUND)
    lab.role(READER, NOTHING, "/team/")


def _asked_who(lab: Guarded) -> None:
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/{READER}/alice"
    arn = lab.secrets_manager.describe_secret(SecretId="prod/openai")["ARN"]
    lab.access(resources=[arn], principals=[session], trail=True)


FEATURES: dict[str, dict[str, Feature]] = {
    "rotate": ROTATE,
    "role": ROLE_FEATURES,
    "caller": {
        "record": Feature(_environment, Guarded.record),
        "as a role": Feature(_environment, _recorded_as_another),
    },
    "revoke": {**HOLDERS, "record": Feature(_environment, Guarded.record)},
    "audit": {
        **HOLDERS,
        "old revisions": Feature(_many_revisions, _old_revisions),
        "readers": Feature(_readers, _asked_who, ("iam:SimulatePrincipalPolicy",)),
    },
    "inventory": {
        "environment": Feature(_environment, Guarded.inventory),
        "secret": Feature(_read_by(lambda lab: lab.secret(KmsKeyId=lab.key)), Guarded.inventory),
        "parameter": Feature(_read_by(lambda lab: lab.parameter(KeyId=lab.key)), Guarded.inventory),
    },
}
