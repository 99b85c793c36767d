"""Which tensors a model in service takes and gives, as the protocol's metadata."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from server.serving.jobs import ModelStatus, Running, RunningTensors, TensorInfo
from server.transport.v2.tensors import DATATYPE_OF
from server.transport.v2.values import BYTES, ModelMetadata, TensorMetadata

PIXELS, IMAGE, TARGETS = "pixels", "image", "targets"
PROBABILITIES, HEATMAPS = "probabilities", "heatmaps"

Tensors = tuple[TensorMetadata, ...]


def metadata(status: ModelStatus, running: Running | RunningTensors, served: Sequence[ModelStatus]) -> ModelMetadata:
    """What is told of a version in service; `served` are all of the model that are."""
    inputs, outputs = signature(running)
    return ModelMetadata(
        name=status.name,
        versions=tuple(str(each.version) for each in served),
        platform=f"{running.engine}_onnx",
        inputs=inputs,
        outputs=outputs,
        max_batch_size=running.max_batch,
        labels=running.labels if isinstance(running, Running) else (),
        version_labels={label: str(each.version) for each in served for label in each.version_labels},
        parameters=running.parameters if isinstance(running, RunningTensors) else {},
    )


def config_parameters(model: ModelMetadata) -> dict[str, str]:
    """The parameters of a model's configuration: what its versions are called, and what clients must know beside the tensors."""
    return {**model.parameters, **{f"version_label.{label}": each for label, each in model.version_labels.items()}}


def signature(running: Running | RunningTensors) -> tuple[Tensors, Tensors]:
    """Inputs and outputs of a model, the batch in front of each."""
    if isinstance(running, RunningTensors):
        return tuple(map(_tensor, running.inputs)), tuple(map(_tensor, running.outputs))
    return _classifier(running.input_shape, len(running.labels), running.heatmap_shape)


@lru_cache(maxsize=64)
def _classifier(
    input_shape: tuple[int, int, int], classes: int, heatmap_shape: tuple[int, int]
) -> tuple[Tensors, Tensors]:
    # `pixels` and `image` are alternatives, which the protocol cannot say. `pixels` counts as required, because tools
    # that make up inputs (perf_analyzer) fill in those and leave the optional ones out. An `image` has an axis that requests may
    # leave out, because the same tools know no input without sizes.
    inputs = (
        TensorMetadata(PIXELS, "UINT8", (-1, *input_shape)),
        TensorMetadata(IMAGE, BYTES, (-1, 1), optional=True),
        TensorMetadata(TARGETS, "INT64", (-1, -1), optional=True),
    )
    outputs = (
        TensorMetadata(PROBABILITIES, "FP32", (-1, classes)),
        TensorMetadata(HEATMAPS, "FP32", (-1, -1, *heatmap_shape)),
    )
    return inputs, outputs


def _tensor(info: TensorInfo) -> TensorMetadata:
    return TensorMetadata(info.name, DATATYPE_OF[np.dtype(info.dtype)], info.shape)
