"""Models that take and give arrays, asked by the Open Inference Protocol (KServe V2): between arrays and messages, pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from bundle.preprocess import PreprocessSpec
from proto import open_inference_pb2 as pb

Array = NDArray[Any]

_DTYPES = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}
_DATATYPES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a model."""

    name: str
    datatype: str  # by the protocol's name, for example UINT8
    shape: tuple[int, ...]  # of one row, without the batch in front; -1 is a size that varies


@dataclass(frozen=True)
class TensorModel:
    """A model that is asked with arrays."""

    name: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    labels: tuple[str, ...]  # what the numbers of an answer stand for; empty where they are no classes
    preprocess: PreprocessSpec | None  # how a picture becomes the input; None where it takes no pictures


def to_config_request(model: str, version: int | str) -> pb.ModelConfigRequest:
    """The question what a model takes and gives."""
    return pb.ModelConfigRequest(name=model, version=_version(version))


def from_config(response: pb.ModelConfigResponse) -> TensorModel:
    """What a model takes and gives."""
    config = response.config
    told = {name: parameter.string_value for name, parameter in config.parameters.items()}
    return TensorModel(
        name=config.name,
        inputs=tuple(TensorInfo(each.name, _datatype(each.data_type), tuple(each.dims)) for each in config.input),
        outputs=tuple(TensorInfo(each.name, _datatype(each.data_type), tuple(each.dims)) for each in config.output),
        labels=tuple(msgspec.json.decode(told["labels"], type=list[str])) if "labels" in told else (),
        preprocess=msgspec.json.decode(told["preprocess"], type=PreprocessSpec) if "preprocess" in told else None,
    )


def to_infer_request(inputs: Mapping[str, Array], model: str, version: int | str) -> pb.ModelInferRequest:
    """The request for the rows `inputs`. Raises ValueError for an array of a type that the protocol lacks."""
    request = pb.ModelInferRequest(model_name=model, model_version=_version(version))
    for name, array in inputs.items():
        if array.dtype not in _DATATYPES:
            raise ValueError(f"{name}: {array.dtype} cannot be sent; there are {', '.join(sorted(_DTYPES.values()))}")
        request.inputs.add(name=name, datatype=_DATATYPES[array.dtype], shape=array.shape)
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        request.raw_input_contents.append(np.ascontiguousarray(little).tobytes())
    return request


def from_infer_response(response: pb.ModelInferResponse) -> dict[str, Array]:
    """The answer's arrays by name. They cannot be written to."""
    found = {}
    for output, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        dtype = np.dtype(_DTYPES[output.datatype]).newbyteorder("<")
        found[output.name] = np.frombuffer(raw, dtype).reshape(tuple(output.shape))
    return found


def _version(version: int | str) -> str:
    return str(version) if version else ""


def _datatype(number: "pb.DataType.ValueType") -> str:
    return pb.DataType.Name(number).removeprefix("TYPE_")
