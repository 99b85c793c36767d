"""The one table from errors to what a caller sees, for every protocol."""

from http import HTTPStatus

import grpc
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from server.errors import (
    DeadlineError,
    InternalError,
    InvalidRequestError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ServerError,
    UnauthenticatedError,
    UnavailableError,
)

CODES: dict[type[ServerError], tuple[grpc.StatusCode, HTTPStatus]] = {
    InvalidRequestError: (grpc.StatusCode.INVALID_ARGUMENT, HTTPStatus.BAD_REQUEST),
    ModelNotFoundError: (grpc.StatusCode.NOT_FOUND, HTTPStatus.NOT_FOUND),
    UnauthenticatedError: (grpc.StatusCode.UNAUTHENTICATED, HTTPStatus.UNAUTHORIZED),
    PermissionDeniedError: (grpc.StatusCode.PERMISSION_DENIED, HTTPStatus.FORBIDDEN),
    OverloadedError: (grpc.StatusCode.RESOURCE_EXHAUSTED, HTTPStatus.TOO_MANY_REQUESTS),
    DeadlineError: (grpc.StatusCode.DEADLINE_EXCEEDED, HTTPStatus.GATEWAY_TIMEOUT),
    UnavailableError: (grpc.StatusCode.UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE),
    InternalError: (grpc.StatusCode.INTERNAL, HTTPStatus.INTERNAL_SERVER_ERROR),
}

# UTF-8 bytes of a message. gRPC sends it twice in headers, once with three characters for each byte that is not ASCII, and
# clients take 8 KiB of headers. A caller's own text, such as the name of a model, may be as long as a request.
_LONGEST_MESSAGE = 1500


def grpc_code(error: ServerError) -> grpc.StatusCode:
    """The gRPC code of an error, that of its nearest ancestor in the table."""
    return next(CODES[kind][0] for kind in type(error).__mro__ if kind in CODES)


def http_status(error: ServerError) -> HTTPStatus:
    """The HTTP status of an error, that of its nearest ancestor in the table."""
    return next(CODES[kind][1] for kind in type(error).__mro__ if kind in CODES)


def message(error: ServerError, request_id: str) -> str:
    """What the caller is told. Internal errors say nothing of their cause, only where to find it."""
    text = str(error)
    if isinstance(error, InternalError):
        text = f"internal error; the server's log has the details under request id {request_id}"
    encoded = text.encode(errors="replace")
    return text if len(encoded) <= _LONGEST_MESSAGE else f"{encoded[:_LONGEST_MESSAGE].decode(errors='ignore')}..."


def to_status(error: ServerError, request_id: str) -> Status:
    """The error as google.rpc.Status, with RetryInfo where trying again makes sense."""
    code: int = grpc_code(error).value[0]
    status = Status(code=code, message=message(error, request_id))
    if isinstance(error, OverloadedError):
        retry = RetryInfo()
        retry.retry_delay.FromNanoseconds(round(error.retry_after_seconds * 1e9))
        detail = Any()
        detail.Pack(retry)
        status.details.append(detail)
    return status
