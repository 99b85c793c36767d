"""The query string as a typed value."""

from typing import TypeVar
from urllib.parse import parse_qs

import msgspec

from server.errors import InvalidRequestError

T = TypeVar("T", bound=msgspec.Struct)

_MOST_FIELDS = 100


def read(query: bytes, kind: type[T]) -> T:
    """The query as `kind`, whose list fields may be given several times, the others once.

    Raises InvalidRequestError naming what is wrong, an unknown name included.
    """
    several = {field.encode_name for field in msgspec.structs.fields(kind) if isinstance(field.default_factory, type)}
    try:
        values = parse_qs(query.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        return msgspec.convert({name: _one(name, given, several) for name, given in values.items()}, kind, strict=False)
    except ValueError as error:  # msgspec.ValidationError is one
        raise InvalidRequestError(f"query: {error}") from error


def _one(name: str, given: list[str], several: set[str]) -> list[str] | str:
    if name in several:
        return given
    if len(given) > 1:
        raise InvalidRequestError(f"query: {name} is given {len(given)} times")
    return given[0]
