"""LitServe: an HTTP process and one worker. Bodies are raw: annotated so, they pass LitServe's JSON by."""

from typing import Annotated

import litserve
import numpy as np
from fastapi import Depends, Request
from numpy.typing import NDArray
from starlette.responses import Response

from bench.peers.servers.graph import Graph, Options

LONGEST_SECONDS = 60


async def body(request: Request) -> bytes:
    """The whole body."""
    whole: bytes = await request.body()
    return whole


class Classifier(litserve.LitAPI):  # type: ignore[misc]  # LitServe is not installed where types are checked
    """What LitServe calls for each request and each batch."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        """Called once in the worker."""
        self._options = Options.from_environment()
        self._graph = Graph(self._options)

    def decode_request(self, request: Annotated[bytes, Depends(body)]) -> NDArray[np.uint8]:
        """pixels [H, W, C]"""
        return np.frombuffer(request, np.uint8).reshape(self._options.shape)

    def batch(self, inputs: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """pixels [N, H, W, C]"""
        return np.stack(inputs)

    def predict(self, x: NDArray[np.uint8]) -> NDArray[np.float32]:
        """probabilities [N, classes]"""
        return self._graph.run(x)

    def unbatch(self, output: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Row by row."""
        return list(output)

    def encode_response(self, output: NDArray[np.float32]) -> Response:
        """Bytes as they are."""
        return Response(output.tobytes(), media_type="application/octet-stream")


def main() -> None:
    """Serves until it is stopped."""
    options = Options.from_environment()
    api = Classifier(max_batch_size=options.max_batch, batch_timeout=options.delay_seconds, enable_async=False)
    server = litserve.LitServer(
        api, accelerator="cpu", devices=1, workers_per_device=1, timeout=LONGEST_SECONDS, fast_queue=True
    )
    server.run(
        host="127.0.0.1",
        port=options.port,
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main()
