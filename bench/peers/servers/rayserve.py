"""Ray Serve: one replica with `serve.batch`, behind its gRPC proxy, which was faster than its HTTP one."""

import signal

import numpy as np
import ray
from ray import serve
from ray.serve.config import HTTPOptions, gRPCOptions

from bench.peers.servers.graph import Graph, Options
from proto import open_inference_pb2 as v2

OPTIONS = Options.from_environment()
STORE_BYTES = 200 << 20


@serve.deployment(  # Ray is not installed where types are checked
    num_replicas=1,
    max_ongoing_requests=1024,
    ray_actor_options={"num_cpus": 1},
    logging_config={"enable_access_log": False, "log_level": "WARNING"},
)
class Classifier:
    """One process; the proxy is another."""

    def __init__(self) -> None:
        self._graph = Graph(OPTIONS)

    @serve.batch(max_batch_size=OPTIONS.max_batch, batch_wait_timeout_s=OPTIONS.delay_seconds)  # type: ignore[untyped-decorator]
    async def classify(self, pictures: list[bytes]) -> list[bytes]:
        """Each answer is a row of float32."""
        pixels = np.frombuffer(b"".join(pictures), np.uint8).reshape(-1, *OPTIONS.shape)
        return [row.tobytes() for row in self._graph.run(pixels)]

    async def ModelInfer(self, request: v2.ModelInferRequest) -> v2.ModelInferResponse:  # noqa: N802
        """The method of the Open Inference Protocol, for one picture."""
        row = await self.classify(request.raw_input_contents[0])
        response = v2.ModelInferResponse(model_name=request.model_name, raw_output_contents=[row])
        response.outputs.add(name="probabilities", datatype="FP32", shape=[1, OPTIONS.classes])
        return response


def main() -> None:
    """Serves until it is stopped."""
    ray.init(
        address="local",
        num_cpus=4,
        include_dashboard=False,
        _node_ip_address="127.0.0.1",
        log_to_driver=False,
        object_store_memory=STORE_BYTES,
    )
    servicer = "proto.open_inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server"
    serve.start(
        http_options=HTTPOptions(host="127.0.0.1", port=OPTIONS.other_port),
        grpc_options=gRPCOptions(port=OPTIONS.port, grpc_servicer_functions=[servicer]),
    )
    serve.run(Classifier.bind(), name="classifier")  # type: ignore[attr-defined]  # the decorator makes it
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
