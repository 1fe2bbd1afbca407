# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where moto's Parameter Store differs from API_PutParameter, mended. Imports moto: load it late."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import Any

from moto.ssm import models
from moto.ssm.exceptions import SSMException

_DEFAULT_KEY = "alias/aws/ssm"
_STANDARD_BYTES = 4096


def _refuse(message: str, code: str = "ValidationException") -> SSMException:
    return SSMException(code, message)


class Parameters(models.SimpleSystemManagerBackend):
    """One account and Region."""

    __module__ = models.__name__  # moto looks for its URLs beside it

    def put_parameter(
        self,
        name: str,
        description: str,
        value: str,
        parameter_type: str,
        allowed_pattern: str,
        keyid: str,
        overwrite: bool,
        tags: list[dict[str, str]],
        data_type: str,
        tier: str | None,
        policies: str | None,
    ) -> models.Parameter:
        _check_name(name)
        former = self.get_parameter(name)
        if former is not None and overwrite:
            _check_change(former, parameter_type, tier)
        kind = parameter_type or (former.parameter_type if former is not None else "")
        if kind == "SecureString" and not keyid:
            # "If you don't specify a key ID, the system uses the default key": on every call, not on the first only.
            keyid = _DEFAULT_KEY
        # That an overwrite without AllowedPattern or Tier keeps what was there is assumed.
        pattern = allowed_pattern or (former.allowed_pattern if former is not None else None)
        if pattern and value and not re.fullmatch(pattern, value):
            raise _refuse(
                f"Parameter value, cannot be validated against allowedPattern: {pattern}",
                "ParameterPatternMismatchException",
            )
        kept = former.tier if former is not None else None
        if value and len(value.encode()) > _STANDARD_BYTES and (tier or kept or "Standard") == "Standard":
            raise _refuse(
                f"Standard tier parameters support a maximum parameter value of {_STANDARD_BYTES} characters. To "
                "create a larger parameter value, upgrade the parameter to use the advanced-parameter tier."
            )
        return super().put_parameter(
            name,
            description,
            value,
            parameter_type,
            allowed_pattern,
            keyid,
            overwrite,
            tags,
            data_type,
            tier,
            policies,
        )


def _check_name(name: str) -> None:
    """No ARN ("You can't enter the Amazon Resource Name"), no other signs; hierarchies begin with a slash."""
    if not re.fullmatch(r"[A-Za-z0-9_.\-/]+", name):
        raise _refuse(
            'Parameter name: can\'t be prefixed with "ssm" (case-insensitive). If formed as a path, it can consist of '
            "sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the "
            "following 3 symbols .-_"
        )
    if "/" in name and not name.startswith("/"):
        raise _refuse("Parameter name must be a fully qualified name.")


def _check_change(former: models.Parameter, kind: str, tier: str | None) -> None:
    if kind and kind != former.parameter_type:
        raise _refuse(
            "Parameter Store doesn't support changing a parameter type in a hierarchy. You must create a new, unique "
            "parameter.",
            "HierarchyTypeMismatchException",
        )
    if tier == "Standard" and former.tier == "Advanced":
        raise _refuse(
            "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the "
            "advanced-parameter tier to the standard-parameter tier. If necessary, you can delete the advanced "
            "parameter and recreate it as a standard parameter."
        )


def install(now: Callable[[], float]) -> None:
    """Put the mended class in moto's place, before the first parameter is made."""
    names: dict[str, Any] = vars(models)
    names["utcnow"] = lambda: datetime.datetime.fromtimestamp(now(), datetime.timezone.utc).replace(tzinfo=None)
    models.ssm_backends.backend = Parameters
