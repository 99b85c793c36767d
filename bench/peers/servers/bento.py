"""A BentoML service with adaptive batching. It has no gRPC, and takes arrays from outside as JSON only: these descriptors read and
write the raw body instead, which is many times cheaper.
"""

import bentoml
import numpy as np
from _bentoml_sdk.io_models import IODescriptor
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from bench.peers.servers.graph import Graph, Options

OPTIONS = Options.from_environment()
LONGEST_SECONDS = 60


class Pixels(IODescriptor):  # type: ignore[misc]  # BentoML is not installed where types are checked
    """The body is one picture."""

    __root_input__ = True

    @classmethod
    async def from_http_request(cls, request: Request, serde: object) -> NDArray[np.uint8]:  # noqa: ARG003
        """pixels [1, H, W, C]"""
        return np.frombuffer(await request.body(), np.uint8).reshape(1, *OPTIONS.shape)


class Probabilities(IODescriptor):  # type: ignore[misc]
    """The body is one row of float32."""

    @classmethod
    async def to_http_response(cls, obj: NDArray[np.float32], serde: object) -> Response:  # noqa: ARG003
        """Bytes as they are."""
        return Response(np.ascontiguousarray(obj).tobytes(), media_type="application/octet-stream")


@bentoml.service(
    name="classifier",
    workers=1,
    traffic={"timeout": LONGEST_SECONDS, "max_concurrency": 4096},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class Classifier:
    """One worker process."""

    def __init__(self) -> None:
        self._graph = Graph(OPTIONS)

    @bentoml.api(  # type: ignore[untyped-decorator]
        batchable=True,
        max_batch_size=OPTIONS.max_batch,
        max_latency_ms=1000 * LONGEST_SECONDS,
        input_spec=Pixels,
        output_spec=Probabilities,
        route="/predict",
    )
    def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """One batch."""
        return self._graph.run(pixels)
