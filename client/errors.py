"""What a server, or the way to it, can answer instead of a classification."""

from typing import cast

import grpc
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class ClassifyError(Exception):
    """A call or one image of it failed.

    code         as the comment at the top of proto/classifier.proto lists them
    message      what was wrong and what to do, for a person
    retry_after  seconds after which trying again makes sense (google.rpc.RetryInfo); None when the server did not say
    """

    def __init__(self, code: grpc.StatusCode, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message
        self.retry_after = retry_after


def from_status(status: Status) -> ClassifyError:
    """The error that a google.rpc.Status with a code other than OK stands for."""
    return ClassifyError(_CODES.get(status.code, grpc.StatusCode.UNKNOWN), status.message, _retry_after(status))


def from_rpc(error: grpc.RpcError) -> ClassifyError:
    """The error that a failed gRPC call stands for, with the details that came along with it."""
    call = cast(grpc.Call, error)  # which every error that a call raises is, though grpc's types do not say so
    status = rpc_status.from_call(call)
    if status is not None:
        return from_status(status)
    return ClassifyError(call.code(), call.details() or "")


def _retry_after(status: Status) -> float | None:
    info = RetryInfo()
    for detail in status.details:
        if detail.Unpack(info):
            return float(info.retry_delay.ToTimedelta().total_seconds())
    return None
