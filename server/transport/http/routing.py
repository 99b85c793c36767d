"""Finds the operation for a method and a path."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import unquote

from server.transport.http.asgi import HttpError
from server.transport.http.operation import Operation

_PARAMETER = re.compile(r"\{(\w+)\}")


class Routes:
    """The operations by path; where several paths fit, the one that was given first."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        by_path: dict[str, dict[str, Operation]] = {}
        for operation in operations:
            by_path.setdefault(operation.path, {})[operation.method] = operation
        self._paths = [(_pattern(path), methods) for path, methods in by_path.items()]
        # A server is asked the same few paths all the time.
        self._match = lru_cache(1024)(self._search)

    def find(self, method: str, raw_path: bytes) -> tuple[Operation, Mapping[str, str]]:
        """The operation and its path parameters. Raises HttpError, 404 or 405."""
        methods, parameters = self._match(raw_path)
        operation = methods.get("GET" if method == "HEAD" else method)
        if operation is None:
            allowed = ", ".join(sorted(methods))
            raise HttpError(
                HTTPStatus.METHOD_NOT_ALLOWED,
                f"{method} is not for this path; use {allowed}",
                ((b"allow", allowed.encode()),),
            )
        return operation, parameters

    def _search(self, raw_path: bytes) -> tuple[Mapping[str, Operation], Mapping[str, str]]:
        path = raw_path.decode("ascii")
        for pattern, methods in self._paths:
            if found := pattern.fullmatch(path):
                return methods, {name: unquote(value) for name, value in found.groupdict().items()}
        raise HttpError(HTTPStatus.NOT_FOUND, f"no path {unquote(path)!r}; /openapi.json lists all")


def _pattern(template: str) -> re.Pattern[str]:
    """/v1/models/{model}:classify as a regular expression; a parameter is never empty and has no slash."""
    parts = _PARAMETER.split(template)
    return re.compile("".join(f"(?P<{part}>[^/]+)" if at % 2 else re.escape(part) for at, part in enumerate(parts)))
