# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the installed botocore knows of AWS. An old one is promised to do, and leaves a few things out."""

from __future__ import annotations

import functools
from typing import Any

import botocore.session
import pytest

# Records of service deployments: since botocore 1.35.52.
RECORDS = pytest.mark.needs("ecs:ListServiceDeployments")
# The service's own word which of them is going on, since 1.41.3; without it they are listed. What hooks wait for, since
# 1.43. What a deployment leaves running.
CURRENT = pytest.mark.needs("ecs:Service.currentServiceDeployment")
HOOKS = pytest.mark.needs("ecs:ServiceDeployment.lifecycleHookDetails")
LEFT_RUNNING = pytest.mark.needs("ecs:DeploymentConfiguration.earlySuccessCriteria")
# Writes that are refused when somebody else wrote meanwhile: since botocore 1.35.69.
CONDITIONAL_WRITES = pytest.mark.needs("s3:PutObject.IfMatch")


@functools.lru_cache
def known(what: str) -> bool:
    """Whether botocore knows an operation (``ecs:ListServiceDeployments``), or a member of its request or a shape."""
    service, called = what.split(":")
    operation, *members = called.split(".")
    model: Any = botocore.session.Session().get_service_model(service)
    if operation not in model.operation_names:
        return operation in model.shape_names and all(name in model.shape_for(operation).members for name in members)
    return all(name in model.operation_model(operation).input_shape.members for name in members)


def unverified(result: dict[str, Any]) -> list[str]:
    """What a wait could not look at, but for records that the installed botocore does not know."""
    unknown = () if known("ecs:ListServiceDeployments") else ("service deployment: The installed botocore ",)
    return [line for line in result["unverified"] if not line.startswith(unknown)]
