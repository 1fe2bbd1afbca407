# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a container's ``secrets`` entry names as ``valueFrom``. Pure.

Follows https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html and
secrets-envvar-ssm-paramstore.html
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .._errors import KeyturnError

ENVIRONMENT = "environment"
SECRETS_MANAGER = "secretsmanager"
SSM = "ssm"
STORES = (ENVIRONMENT, SECRETS_MANAGER, SSM)

CURRENT, PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"

_SECRET_PARTS = 7  # arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME
_PARAMETER_PARTS = 6  # arn:PARTITION:ssm:REGION:ACCOUNT:parameter/NAME
_SELECTORS = 3  # json-key, version-stage, version-id
# Parameters below this are Secrets Manager's: they can be read through SSM, and not written.
_BORROWED = "/aws/reference/secretsmanager/"


@dataclass(frozen=True)
class Reference:
    """A secret or parameter, and which part of it.

    Attributes:
        store: ``secretsmanager`` or ``ssm``.
        name: what the store is asked for: a secret's name or ARN (its suffix may be missing), a parameter's name or
            ARN.
        region: where it lives; empty for the service's own Region.
        json_key: key of the secret's JSON; empty for the whole secret.
        stage: version stage; empty for AWSCURRENT.
        version: version id; a reference that has one is pinned.
    """

    store: str
    name: str
    region: str = ""
    json_key: str = ""
    stage: str = ""
    version: str = ""

    @property
    def pinned(self) -> bool:
        """It names a version, so that another version is another ``valueFrom``."""
        return bool(self.version)

    @property
    def written_stage(self) -> str:
        """The version stage that a new version gets."""
        return self.stage or CURRENT

    @property
    def text(self) -> str:
        """The ``valueFrom``. All colons are needed once one selector is used."""
        if self.store == SSM or not (self.json_key or self.stage or self.version):
            return self.name
        return f"{self.name}:{self.json_key}:{self.stage}:{self.version}"

    def pin(self, version: str) -> Reference:
        """The reference to one version.

        Without the stage: ECS asks for both when both are named, and the stage moves on.
        """
        return replace(self, stage="", version=version)

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a ``valueFrom``.

        Raises:
            KeyturnError: it names neither a secret nor a parameter, or one that cannot be written.
        """
        parts = text.split(":")
        if not text.startswith("arn:"):
            if text.startswith(_BORROWED):
                raise KeyturnError(
                    f"valueFrom {text} reads a Secrets Manager secret through SSM, which cannot write it: set "
                    "store=secretsmanager with secret_id."
                )
            return cls(SSM, text)
        if len(parts) >= _PARAMETER_PARTS and parts[2] == SSM and parts[5].startswith("parameter"):
            return cls(SSM, text, region=parts[3])
        selectors = parts[_SECRET_PARTS:]
        if len(parts) >= _SECRET_PARTS and parts[2] == SECRETS_MANAGER and len(selectors) <= _SELECTORS:
            key, stage, version = [*selectors, "", "", ""][:_SELECTORS]
            name = ":".join(parts[:_SECRET_PARTS])
            return cls(SECRETS_MANAGER, name, parts[3], key, stage, version)
        raise KeyturnError(
            f"valueFrom {text} is neither a secret's ARN (arn:…:secretsmanager:…:secret:NAME with up to three "
            "selectors) "
            "nor a parameter's."
        )


def parameter_names(reference: Reference) -> tuple[str, ...]:
    """The names that a parameter may have: an ARN does not tell ``prod`` from ``/prod``."""
    if not reference.name.startswith("arn:"):
        return (reference.name,)
    path = reference.name.partition(":parameter")[2]
    return (path,) if "/" in path.strip("/") else (path.strip("/"), path)
