"""What one would write by hand: grpcio, a pool of two threads, ONNX Runtime, each request by itself. No batches, no checks."""

from concurrent import futures

import grpc
import numpy as np

from bench.peers.servers.graph import Graph, Options
from proto import open_inference_pb2 as v2

WORKERS = 2


class Service:
    """ModelInfer of one model."""

    def __init__(self, options: Options) -> None:
        self._graph = Graph(options)

    def infer(self, request: v2.ModelInferRequest, context: grpc.ServicerContext) -> v2.ModelInferResponse:  # noqa: ARG002
        """pixels u8 [N, H, W, C] -> probabilities f32 [N, classes]"""
        pixels = np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(request.inputs[0].shape)
        probabilities = self._graph.run(pixels)
        response = v2.ModelInferResponse(model_name=request.model_name, raw_output_contents=[probabilities.tobytes()])
        response.outputs.add(name="probabilities", datatype="FP32", shape=probabilities.shape)
        return response


def main() -> None:
    """Serves until it is stopped."""
    options = Options.from_environment()
    handler = grpc.unary_unary_rpc_method_handler(
        Service(options).infer, v2.ModelInferRequest.FromString, v2.ModelInferResponse.SerializeToString
    )
    service = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", {"ModelInfer": handler})
    server = grpc.server(futures.ThreadPoolExecutor(WORKERS), [service])
    server.add_insecure_port(f"127.0.0.1:{options.port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
