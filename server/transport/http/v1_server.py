"""What a caller may want to know of the server itself: where its other port is, and how much it takes at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from server.transport.http import replies
from server.transport.http.operation import JSON, Operation, Reply, Request


class ServerBody(msgspec.Struct):
    """The server itself."""

    version: str
    grpc_port: Annotated[int, Meta(description="As the server listens; a proxy before it may have another.")]
    max_request_bytes: int
    max_images: Annotated[int, Meta(description="Most images in one request.")]
    image_formats: list[str]


@dataclass(frozen=True)
class V1Server:
    """One operation; not counted, because it asks nothing of a model. `grpc_port` is known once the server listens."""

    version: str
    grpc_port: Callable[[], int]
    max_request_bytes: int
    max_images: int
    image_formats: tuple[str, ...]

    def operations(self) -> list[Operation]:
        """All of them."""
        return [Operation("server", "GET", "/v1/server", "The server itself", self._tell, {JSON: ServerBody})]

    async def _tell(self, _: Request) -> Reply:
        formats = [name.lower() for name in self.image_formats]
        port = self.grpc_port()
        return replies.json(ServerBody(self.version, port, self.max_request_bytes, self.max_images, formats))
