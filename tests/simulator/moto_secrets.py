# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where moto's Secrets Manager differs from AWS's documents, mended. Imports moto: load it late.

Its dates are the simulator's virtual time, in milliseconds as AWS answers them. Labels move as API_PutSecretValue and
API_UpdateSecretVersionStage say; versions without labels are deprecated: listed only when asked for.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from moto.secretsmanager import models, responses
from moto.secretsmanager.exceptions import (
    InvalidParameterException,
    InvalidRequestException,
    OperationNotPermittedOnReplica,
    ResourceExistsException,
    ResourceNotFoundException,
    SecretHasNoValueException,
    SecretNotFoundException,
    SecretStageVersionMismatchException,
)

_CURRENT, _PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"
# Wording as AWS answers it; the documents name the code only.
_DELETED = "You can't perform this operation on the secret because it was marked for deletion."


class Secret(models.FakeSecret):
    """moto's default_version_id always is the version with AWSCURRENT."""

    def holder(self, stage: str) -> str | None:
        """The version that carries a label."""
        return next((name for name, one in self.versions.items() if stage in one["version_stages"]), None)

    def move(self, stages: Iterable[str], target: str) -> None:
        """Attach labels to one version, each taken from the version that had it; AWSPREVIOUS follows AWSCURRENT."""
        for stage in stages:
            former = self.holder(stage)
            if former == target:
                continue
            if former is not None:
                self.versions[former]["version_stages"].remove(stage)
            self.versions[target]["version_stages"].append(stage)
            if stage == _CURRENT:
                self.set_default_version_id(target)
                if former is not None:
                    self.move([_PREVIOUS], former)

    def reset_default_version(self, secret_version: dict[str, Any], version_id: str) -> None:
        stages = [*secret_version["version_stages"], _CURRENT]
        self.versions[version_id] = {**secret_version, "version_stages": []}
        self.move(dict.fromkeys(stages), version_id)

    def _form_version_ids_to_stages(self) -> dict[str, str]:
        # API_DescribeSecret: only the versions that have labels.
        return {name: stages for name, stages in super()._form_version_ids_to_stages().items() if stages}


class Secrets(models.SecretsManagerBackend):
    """One account and Region. `now` is set by `install`."""

    __module__ = models.__name__  # moto looks for its URLs beside it
    now: Callable[[], float]

    def _changed(self, secret_id: str) -> None:
        """Note a change: LastChangedDate is when the secret was "modified in any way"."""
        secret = self.secrets[secret_id]
        if isinstance(secret, Secret):
            secret.last_changed_date = self._time()

    @classmethod
    def _time(cls) -> Any:
        return round(cls.now(), 3)

    def _usable(self, secret_id: str) -> models.FakeSecret | models.ReplicaSecret:
        secret = self.secrets.get(secret_id)
        if secret is None:
            raise SecretNotFoundException
        if secret.is_deleted():
            raise InvalidRequestException(_DELETED)
        return secret

    def get_secret_value(self, secret_id: str, version_id: str, version_stage: str) -> dict[str, Any]:
        """Without id and label: AWSCURRENT. Both must name the same version (API_GetSecretValue)."""
        secret = self._usable(secret_id)
        stage = version_stage or ("" if version_id else _CURRENT)
        label = f"VersionId: {version_id}" if version_id else f"staging label: {stage}"
        holders = [name for name, one in secret.versions.items() if not stage or stage in one["version_stages"]]
        if version_id in secret.versions and version_id not in holders:
            raise SecretStageVersionMismatchException
        chosen = version_id or next(iter(holders), "")
        if chosen not in secret.versions:
            raise ResourceNotFoundException(f"Secrets Manager can't find the specified secret value for {label}")
        version = secret.versions[chosen]
        answer = {"ARN": secret.arn, "Name": secret.name, "VersionId": chosen}
        answer |= {"VersionStages": version["version_stages"], "CreatedDate": version["createdate"]}
        members = {"SecretString": "secret_string", "SecretBinary": "secret_binary"}
        values = {name: version[member] for name, member in members.items() if member in version}
        if not values:
            raise SecretHasNoValueException(stage or _CURRENT)
        return {**answer, **values}

    def create_secret(self, name: str, *arguments: Any, **options: Any) -> str:
        existing = self.secrets.get(name)
        if existing is not None and existing.is_deleted():
            raise InvalidRequestException(
                "You can't create this secret because a secret with this name is already scheduled for deletion."
            )
        return super().create_secret(name, *arguments, **options)

    def put_secret_value(self, secret_id: str, *arguments: Any, **options: Any) -> str:
        self._usable(secret_id)
        return super().put_secret_value(secret_id, *arguments, **options)

    def _check_with_existing_secrets_and_versions(
        self,
        secret_name: str,
        client_request_token: str | None,
        secret_string: str | None,
        secret_binary: str | None,
        on_create: bool = False,
    ) -> models.FakeSecret | None:
        """A version never changes, whatever its labels: moto lets one with AWSPENDING be overwritten."""
        found = self.secrets.get(secret_name)
        version = found.versions.get(client_request_token or "") if isinstance(found, Secret) else None
        if version and isinstance(found, Secret) and {"secret_string", "secret_binary"} & set(version):
            if (version.get("secret_string"), version.get("secret_binary")) == (secret_string, secret_binary):
                return found
            raise ResourceExistsException(
                f"You can't use ClientRequestToken {client_request_token} because that value is already in use for a "
                f"version of secret {found.arn}."
            )
        return super()._check_with_existing_secrets_and_versions(
            secret_name, client_request_token, secret_string, secret_binary, on_create
        )

    def _add_secret(self, secret_id: str, *arguments: Any, **options: Any) -> tuple[models.FakeSecret, bool]:
        existed = secret_id in self.secrets
        known = set(self.secrets[secret_id].versions) if existed else set()
        secret, new = super()._add_secret(secret_id, *arguments, **options)
        now = self._time()
        secret.last_changed_date = now
        if not existed:
            secret.created_date = now
        for name in set(secret.versions) - known:
            secret.versions[name]["createdate"] = now
        return secret, new

    def update_secret_version_stage(
        self, secret_id: str, version_stage: str, remove_from_version_id: str, move_to_version_id: str
    ) -> tuple[str, str]:
        """API_UpdateSecretVersionStage: a label that is attached must be named where it is, or the call fails.

        The sentences are assumed, but for the one about AWSCURRENT.
        """
        secret = self._usable(secret_id)
        if not isinstance(secret, Secret):
            raise OperationNotPermittedOnReplica
        holder = secret.holder(version_stage)
        for version in (remove_from_version_id, move_to_version_id):
            if version and version not in secret.versions:
                raise InvalidParameterException(f"Not a valid version: {version}")
        if remove_from_version_id and remove_from_version_id != holder:
            raise InvalidParameterException(
                f"Version stage {version_stage} not found in version {remove_from_version_id}"
            )
        if holder is not None and not remove_from_version_id and holder != move_to_version_id:
            raise InvalidParameterException(
                f"The parameter RemoveFromVersionId can't be empty. Staging label {version_stage} is currently "
                f"attached to version {holder}, so you must explicitly reference that version in RemoveFromVersionId."
            )
        if move_to_version_id:
            secret.move([version_stage], move_to_version_id)
        elif version_stage == _CURRENT:
            raise InvalidParameterException("You can't remove the staging label AWSCURRENT without moving it.")
        elif holder is not None:
            secret.versions[holder]["version_stages"].remove(version_stage)
        self._changed(secret_id)
        return secret.arn, secret.name

    def tag_resource(self, arn: str, tags: dict[str, str]) -> None:
        super().tag_resource(arn, tags)
        self._changed(arn)

    def untag_resource(self, arn: str, tag_keys: list[str]) -> None:
        super().untag_resource(arn, tag_keys)
        self._changed(arn)

    def put_resource_policy(self, secret_id: str, policy: str) -> tuple[str, str]:
        answer = super().put_resource_policy(secret_id, policy)
        self._changed(secret_id)
        return answer


def _list_versions(self: responses.SecretsManagerResponse) -> str:
    """ListSecretVersionIds. moto forgets when versions were made, and IncludeDeprecated."""
    secret = self.backend.describe_secret(self._get_param("SecretId"))
    deprecated = bool(self._get_param("IncludeDeprecated", if_none=False))
    versions = [
        {"VersionId": name, "VersionStages": one["version_stages"], "CreatedDate": one["createdate"]}
        for name, one in secret.versions.items()
        if deprecated or one["version_stages"]
    ]
    start = int(self._get_param("NextToken") or 0)
    size = int(self._get_param("MaxResults") or 100)
    answer = {"ARN": secret.arn, "Name": secret.name, "Versions": versions[start : start + size]}
    if start + size < len(versions):
        answer["NextToken"] = str(start + size)
    return json.dumps(answer)


def install(now: Callable[[], float]) -> None:
    """Put the mended classes in moto's place, before the first secret is made."""
    Secrets.now = staticmethod(now)
    names: dict[str, Any] = vars(models)
    names["FakeSecret"] = Secret
    names["time"] = SimpleNamespace(time=now)
    names["utcnow"] = lambda: datetime.datetime.fromtimestamp(now(), datetime.timezone.utc).replace(tzinfo=None)
    models.secretsmanager_backends.backend = Secrets
    responses.SecretsManagerResponse.list_secret_version_ids = _list_versions  # type: ignore[method-assign]
