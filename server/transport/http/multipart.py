"""multipart/form-data (RFC 7578) as curl -F and browsers send files."""

from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from server.errors import InvalidRequestError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks  # a type only

FORM = "multipart/form-data"
# Parsing takes the event loop's time, and empty parts cost next to no bytes.
_MOST_FILES = 1000


def is_form(content_type: bytes) -> bool:
    """Whether a body of this content type is a form."""
    return content_type.lower().startswith(FORM.encode())


def files(body: bytes, content_type: bytes) -> list[bytes]:
    """The contents of the files, in order, whatever the names of their fields.

    Raises InvalidRequestError when the form is broken or has a field that is not a file.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise InvalidRequestError("content-type: multipart/form-data without a boundary")
    parts = _Parts()
    try:
        MultipartParser(boundary, parts.callbacks()).write(body)
    except FormParserError as error:
        raise InvalidRequestError(f"the form is broken: {error}") from error
    if not parts.ended:
        raise InvalidRequestError("the form is broken: it ends too early")
    return [b"".join(part) for part in parts.contents]


class _Parts:
    """Collects what the parser calls out, which gives names, headers and data in pieces."""

    def __init__(self) -> None:
        self.contents: list[list[memoryview]] = []
        self.ended = False
        self._name = b""
        self._value = b""
        self._disposition = b""

    def callbacks(self) -> "MultipartCallbacks":
        """What the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._on_name,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header,
            "on_headers_finished": self._on_headers,
            "on_part_data": self._on_data,
            "on_end": self._on_end,
        }

    def _begin(self) -> None:
        if len(self.contents) == _MOST_FILES:
            raise InvalidRequestError(f"form: more than {_MOST_FILES:,} files; send less at a time")
        self.contents.append([])
        self._disposition = b""

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def _on_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"filename" not in options:
            name = options.get(b"name", b"").decode("utf-8", "replace")
            raise InvalidRequestError(f"form: field {name!r} is not a file; options go into the query string")

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self.contents[-1].append(memoryview(data)[start:end])

    def _on_end(self) -> None:
        self.ended = True
