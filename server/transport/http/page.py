"""The page for people: static files that lie in the package under server/page.

They are read once, at the start. A browser keeps them and asks each time whether they have changed (ETag), so that nobody sees
yesterday's page with today's server, and a second look costs a few hundred bytes. The policy lets the page load and ask nothing but
this server, and run no script or style that is not one of these files: a closed cluster needs no more, and a label or a file name that
has markup in it stays text.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib import resources

from server.transport.http.asgi import Headers, HttpError
from server.transport.http.operation import BYTES, Operation, Reply, Request
from server.transport.security.access import Need

_INDEX = "index.html"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_HEADERS: Headers = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-cache"),  # keep it, and ask before using it
)
# By name, because a machine's own table of types may lack some or have others.
_MEDIA = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


@dataclass(frozen=True)
class _File:
    body: bytes
    media: str
    etag: bytes


class Page:
    """The files of the page; they are for everyone, because the page has no data in it and asks for a token where one is needed."""

    def __init__(self) -> None:
        folder = resources.files("server") / "page"
        self._files = {each.name: _file(each.name, each.read_bytes()) for each in folder.iterdir() if each.is_file()}

    @property
    def files(self) -> Mapping[str, int]:
        """Their names, and how many bytes each has."""
        return {name: len(file.body) for name, file in self._files.items()}

    def operations(self) -> list[Operation]:
        """All of them."""
        return [
            Operation(
                *("page", "GET", "/", "A page to look at all this with a browser", self._index, {"text/html": BYTES}),
                need=Need.NOTHING,
            ),
            Operation(
                *("pageFile", "GET", "/page/{file}", "A file of that page", self._one, {"*/*": BYTES}),
                refusals=(HTTPStatus.NOT_FOUND,),
                need=Need.NOTHING,
            ),
        ]

    async def _index(self, request: Request) -> Reply:
        return _reply(self._files[_INDEX], request)

    async def _one(self, request: Request) -> Reply:
        name = request.path["file"]
        if name not in self._files:
            raise HttpError(HTTPStatus.NOT_FOUND, f"the page has no file {name!r}")
        return _reply(self._files[name], request)


def _file(name: str, body: bytes) -> _File:
    media = f"{_MEDIA[name.rpartition('.')[2]]}; charset=utf-8"
    return _File(body, media, f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'.encode())


def _reply(file: _File, request: Request) -> Reply:
    """The file, or that the caller has it. The tag is a weak one: compressed or not, it is the same file."""
    headers = (*_HEADERS, (b"etag", file.etag))
    if file.etag in request.headers.get(b"if-none-match", b""):
        return Reply(b"", file.media, HTTPStatus.NOT_MODIFIED, headers)
    return Reply(file.body, file.media, headers=headers, compressible=True)
