"""The one table from errors to codes."""

import inspect
from collections.abc import Iterator

import grpc
import pytest

from server import errors
from server.errors import InternalError, InvalidImageError, InvalidRequestError, OverloadedError, ServerError
from server.transport.status import CODES, grpc_code, message, to_status


def leaves(kind: type[ServerError]) -> Iterator[type[ServerError]]:
    if not kind.__subclasses__():
        yield kind
    for child in kind.__subclasses__():
        yield from leaves(child)


@pytest.mark.parametrize("kind", list(leaves(ServerError)))
def test_every_error_has_a_code(kind: type[ServerError]) -> None:
    arguments = ("text", 1.0) if kind is OverloadedError else ("text",)
    assert grpc_code(kind(*arguments)) is not grpc.StatusCode.OK


def test_the_table_names_every_branch_of_the_tree_and_nothing_else() -> None:
    assert set(CODES) == set(ServerError.__subclasses__())
    declared = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, ServerError)}
    assert set(leaves(ServerError)) <= declared


def test_a_more_special_error_takes_the_code_of_its_parent() -> None:
    assert grpc_code(InvalidImageError("x")) == grpc_code(InvalidRequestError("x")) == grpc.StatusCode.INVALID_ARGUMENT


def test_an_internal_error_tells_the_request_id_and_not_its_cause() -> None:
    assert "secret" not in message(InternalError("secret"), "id-1")
    assert "id-1" in message(InternalError("secret"), "id-1")


def test_only_overload_says_when_to_try_again() -> None:
    assert len(to_status(OverloadedError("full", 0.25), "id").details) == 1
    assert not to_status(InvalidRequestError("bad"), "id").details
