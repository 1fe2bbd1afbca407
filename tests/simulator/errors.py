# Copyright: Contributors to the keyturn.ecs project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Errors as ECS words them. Shapes: ECS API reference, "Common Errors" and each operation's "Errors" section."""

from __future__ import annotations


class ApiError(Exception):
    """An AWS error answer: `code` goes to `__type`, `status` is the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def client(message: str) -> ApiError:
    return ApiError("ClientException", message)


def invalid(message: str) -> ApiError:
    return ApiError("InvalidParameterException", message)


def cluster_not_found() -> ApiError:
    return ApiError("ClusterNotFoundException", "Cluster not found.")


def service_not_found() -> ApiError:
    return ApiError("ServiceNotFoundException", "Service not found.")


def service_not_active() -> ApiError:
    return ApiError("ServiceNotActiveException", "Service was not ACTIVE.")


def unsupported(message: str) -> ApiError:
    return ApiError("UnsupportedFeatureException", message)


def unknown_operation(operation: str) -> ApiError:
    # The documents name the code only; the sentence is assumed.
    return ApiError("UnknownOperationException", f"The requested operation {operation} is not recognized.")


def throttled() -> ApiError:
    """ECS developer guide, "Request throttling for the Amazon ECS API": HTTP 400, ThrottlingException."""
    return ApiError("ThrottlingException", "Rate exceeded")


def denied(principal: str, service: str, operation: str, resource: str) -> ApiError:
    """IAM user guide, "Troubleshoot access denied error messages": the implicit-deny wording."""
    action = f"{service}:{operation}"
    return ApiError(
        "AccessDeniedException",
        f"User: {principal} is not authorized to perform: {action} on resource: {resource} "
        f"because no identity-based policy allows the {action} action",
    )


def expired() -> ApiError:
    return ApiError("ExpiredTokenException", "The security token included in the request is expired")


_QUERY_CODES = {
    "AccessDeniedException": ("AccessDenied", 403),
    "ExpiredTokenException": ("ExpiredToken", 403),
    "ThrottlingException": ("Throttling", 400),
}


def in_query_protocol(error: ApiError) -> ApiError:
    """The same error as IAM and STS name it (IAM API reference, "Common Errors")."""
    code, status = _QUERY_CODES.get(error.code, (error.code, error.status))
    return ApiError(code, error.message, status)


def concurrent_revision() -> ApiError:
    return client("Too many concurrent attempts to create a new revision of the specified family.")
