"""The OpenAPI 3.1 document, made from the operations and the types of their bodies; nothing in it is written twice.

Specification: https://spec.openapis.org/oas/v3.1.0.html, whose schemas are JSON Schema 2020-12, as msgspec makes them.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from server.transport.http.headers import REQUEST_ID_PATTERN, TIMEOUT_PATTERN
from server.transport.http.operation import JSON, OCTETS, Media, Operation
from server.transport.http.replies import Problem
from server.transport.security.access import Need
from server.transport.versions import PATTERN

Node = dict[str, Any]

_REFERENCE = "#/components/schemas/{name}"
_DESCRIPTION = (
    "Image classification with explanations, and the Open Inference Protocol (KServe V2) with its binary tensor data "
    "extension: there, `inference-header-content-length` tells how much of a body is JSON, tensors follow behind it. Bodies "
    "may be compressed by gzip or deflate."
)
_REQUEST_ID = {"type": "string", "pattern": REQUEST_ID_PATTERN}
_IN_PATH = {
    "model": {"type": "string", "minLength": 1},
    "version": {"type": "string", "pattern": PATTERN},
    "index": {"type": "integer", "minimum": 0},
    "file": {"type": "string", "minLength": 1},
}
_BEARER = {"type": "http", "scheme": "bearer"}
_NUMBER = {"type": "string", "pattern": "^[0-9]+$"}


def document(operations: Sequence[Operation], version: str, asks: Callable[[Need], bool]) -> Node:
    """The document of a server of this version, as JSON values; `asks` tells for which needs callers have to show a token."""
    schemas = _Schemas(operations)
    paths: dict[str, Node] = {}
    for operation in operations:
        node = _operation(operation, schemas)
        if asks(operation.need):
            node["security"] = [{"bearer": []}]
            statuses = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)[: 2 if operation.need is Need.ADMIN else 1]
            node["responses"] |= {str(status.value): _refusal(status, schemas) for status in statuses}
        paths.setdefault(operation.path, {})[operation.method.lower()] = node
    return {
        "openapi": "3.1.0",
        "info": {"title": "Seethrough", "version": version, "description": _DESCRIPTION},
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": {"bearer": _BEARER}},
    }


class _Schemas:
    """The schemas of all types that the operations name."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        media = [each for operation in operations for each in (operation.replies, operation.body or {})]
        types = {id(kind): kind for each in media for kind in each.values() if not isinstance(kind, Mapping)}
        kinds = [Problem, *types.values(), *{each.query for each in operations if each.query is not None}]
        made, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
        self._made = {id(kind): schema for kind, schema in zip(kinds, made, strict=True)}
        self._keep = kinds  # what an id stands for must stay
        self.components = components

    def content(self, media: Media) -> Node:
        """The content object of a body."""
        return {name: {"schema": self._schema(kind)} for name, kind in media.items()}

    def _schema(self, kind: type | Mapping[str, Any]) -> Mapping[str, Any]:
        return kind if isinstance(kind, Mapping) else self._made[id(kind)]


def _operation(operation: Operation, schemas: _Schemas) -> Node:
    node: Node = {
        "operationId": operation.id,
        "summary": operation.summary,
        "parameters": list(_parameters(operation, schemas)),
        "responses": _responses(operation, schemas),
    }
    if operation.body is not None:
        node["requestBody"] = {"required": operation.body_required, "content": schemas.content(operation.body)}
    return node


def _parameters(operation: Operation, schemas: _Schemas) -> Iterable[Node]:
    for name in re.findall(r"\{(\w+)\}", operation.path):
        yield {"name": name, "in": "path", "required": True, "schema": _IN_PATH[name]}
    if operation.query is not None:
        # The parameters stand one by one, each with its part of the type's schema.
        for name, part in schemas.components[operation.query.__name__]["properties"].items():
            yield {"name": name, "in": "query", "schema": part, "description": part.get("description", "")}
    yield _header("x-request-id", _REQUEST_ID, "Echoed and written to the log; made by the server when missing.")
    if operation.timed:
        yield _header(
            "grpc-timeout",
            {"type": "string", "pattern": TIMEOUT_PATTERN},
            "How long the caller waits, as gRPC writes it: up to eight digits and a unit (H, M, S, m, u, n); `500m` is half a "
            "second.",
        )
    if operation.body is not None and OCTETS in operation.body and JSON in operation.body:
        yield _header(
            "inference-header-content-length", _NUMBER, "How many bytes of the body are JSON; all without it."
        )


def _header(name: str, schema: Node, description: str) -> Node:
    return {"name": name, "in": "header", "schema": schema, "description": description}


def _responses(operation: Operation, schemas: _Schemas) -> Node:
    answer = schemas.content(operation.replies)
    responses = {"200": {"description": "The answer.", "headers": _reply_headers(operation), "content": answer}}
    if operation.not_yet:
        responses["503"] = {"description": "Not now.", "headers": _common_headers(), "content": answer}
    for status in sorted(set(operation.refusals)):
        responses[str(status.value)] = _refusal(status, schemas)
    return responses


def _refusal(status: HTTPStatus, schemas: _Schemas) -> Node:
    headers = _common_headers()
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        headers["retry-after"] = {"schema": _NUMBER, "description": "Seconds until there probably is room."}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = {"schema": {"const": "Bearer"}, "description": "A token is needed (RFC 6750)."}
    return {"description": status.phrase, "headers": headers, "content": schemas.content({JSON: Problem})}


def _common_headers() -> Node:
    return {"x-request-id": {"schema": _REQUEST_ID, "required": True}}


def _reply_headers(operation: Operation) -> Node:
    headers = _common_headers()
    if operation.timed:
        text = "Milliseconds of each stage: decode, queue, infer, render, total (W3C Server Timing)."
        headers["server-timing"] = {"schema": {"type": "string"}, "required": True, "description": text}
        if OCTETS in operation.replies:
            text = "How many bytes of the body are JSON."
            headers["inference-header-content-length"] = {"schema": _NUMBER, "description": text}
    return headers
