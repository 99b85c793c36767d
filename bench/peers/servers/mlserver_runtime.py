"""MLServer's custom runtime (there is none for ONNX). Pictures come as tensors of UINT8, or in the variant `bytes` as one BYTES
element each: MLServer makes a Python list of a raw tensor, one number at a time.
"""

import numpy as np
from mlserver import MLModel, types
from mlserver.codecs import NumpyCodec

from bench.peers.servers.graph import Graph, Options


class OnnxRuntime(MLModel):  # type: ignore[misc]  # MLServer is not installed where types are checked
    """Named in model-settings.json."""

    async def load(self) -> bool:
        """Called once."""
        self._options = Options.from_environment()
        self._graph = Graph(self._options)
        return True

    async def predict(self, payload: types.InferenceRequest) -> types.InferenceResponse:
        """One batch, as MLServer's own batching has made it."""
        given = payload.inputs[0]
        if self._options.variant == "bytes":
            pixels = np.frombuffer(b"".join(given.data.root), np.uint8).reshape(-1, *self._options.shape)
            rows = self._graph.run(pixels)
            data = [row.tobytes() for row in rows]
            output = types.ResponseOutput(name="probabilities", shape=[len(rows)], datatype="BYTES", data=data)
        else:
            output = NumpyCodec.encode_output("probabilities", self._graph.run(NumpyCodec.decode_input(given)))
        return types.InferenceResponse(model_name=self.name, id=payload.id, outputs=[output])
