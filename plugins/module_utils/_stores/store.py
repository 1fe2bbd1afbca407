# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Both stores behind one name: read what a reference leads to, carry out a write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .._aws import Aws
from .._errors import KeyturnError
from . import parameter_store, secrets_manager
from .held import Held, Write, Written
from .reference import SSM, Reference


def read(aws: Aws, reference: Reference, service_arn: str) -> Held:
    """Read what a reference leads to.

    Args:
        service_arn: of the ECS service, whose partition, Region and account a new secret or parameter gets.

    Raises:
        KeyturnError: it is there and cannot be used, or may not be read.
    """
    parts = service_arn.split(":")
    partition, account = (parts[1], parts[4]) if len(parts) > 5 else ("aws", "")
    prefix = f"arn:{partition}:{reference.store}:{reference.region or aws.region}:{account}"
    if reference.store == SSM:
        return parameter_store.read(aws, reference, f"{prefix}:parameter")
    return secrets_manager.read(aws, reference, f"{prefix}:secret:")


def prepare(aws: Aws, write: Write) -> Write:
    """Read what a write has to restate, before anything is changed."""
    if write.held.reference.store == SSM and write.held.exists:
        return replace(write, settings=parameter_store.kept_settings(aws, write.held))
    return write


def parameter_name(aws: Aws, held: Held) -> str:
    """The parameter's name, which its ARN does not tell for certain."""
    return str(parameter_store.kept_settings(aws, held)["Name"])


def carry_out(aws: Aws, write: Write, pause: Callable[[float], None]) -> Written:
    """Carry a write out. It may be repeated."""
    if write.held.reference.store == SSM:
        return parameter_store.write(aws, write, pause)
    return secrets_manager.write(aws, write)


def check_alone(aws: Aws, write: Write, written: Written, pinned: bool) -> None:
    """See whether somebody else wrote at the same time: neither store compares and swaps.

    Args:
        pinned: tasks read this very version, whichever is current.

    Raises:
        KeyturnError: somebody did, between the read and the write or after it.
    """
    look = parameter_store if write.held.reference.store == SSM else secrets_manager
    rival = look.rival(aws, write, written, pinned)
    if rival:
        raise KeyturnError(
            f"Somebody else wrote version {rival} of {written.arn} at the same time, and nothing was deployed. Look at "
            "who did and what, then run again."
        )
