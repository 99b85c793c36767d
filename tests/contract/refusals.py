"""Calling what must be refused."""

from collections.abc import Callable
from typing import TypeVar

import grpc
import pytest

Request = TypeVar("Request")
Response = TypeVar("Response")


def refusal(call: Callable[[Request], Response], request: Request) -> tuple[grpc.StatusCode, str]:
    """The status code and the message with which `call` refuses `request`; fails the test when it does not."""
    with pytest.raises(grpc.RpcError) as raised:
        call(request)
    return raised.value.code(), raised.value.details() or ""
