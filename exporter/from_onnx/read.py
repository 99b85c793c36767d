"""Reading an ONNX file: whole, valid and runnable, or a reason why not; and what its input and output are."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import external_data_helper
from onnx.numpy_helper import to_array

from exporter.errors import ExportError

Layout = Literal["nchw", "nhwc"]

_LARGEST = 2**31 - 1  # bytes that one protobuf message can hold
_TYPES: dict[int, np.dtype[np.generic]] = {
    onnx.TensorProto.FLOAT: np.dtype(np.float32),
    onnx.TensorProto.FLOAT16: np.dtype(np.float16),
    onnx.TensorProto.DOUBLE: np.dtype(np.float64),
    onnx.TensorProto.UINT8: np.dtype(np.uint8),
}


@dataclass(frozen=True)
class ImageInput:
    """The one input of a classifier: a batch of pictures."""

    name: str
    dtype: np.dtype[np.generic]
    layout: Layout
    height: int
    width: int
    channels: int  # 1 or 3
    batch: int | None  # the only number of pictures it takes at a time; None when it takes any

    @property
    def shape(self) -> tuple[int, int, int]:
        """The sizes of one picture in the order of `layout`."""
        height, width, channels = self.height, self.width, self.channels
        return (channels, height, width) if self.layout == "nchw" else (height, width, channels)

    def arranged(self, pictures: NDArray[np.generic]) -> NDArray[np.generic]:
        """Numbers [N, H, W, C] in the layout and type that this input takes."""
        ordered = np.moveaxis(pictures, -1, 1) if self.layout == "nchw" else pictures
        return np.ascontiguousarray(ordered, self.dtype)


def load(path: Path) -> onnx.ModelProto:
    """The model in `path` with its external weights read in; raises ExportError when it is not a whole, valid one."""
    try:
        model = onnx.load_model(path, load_external_data=False)
    except DecodeError as error:
        raise ExportError(f"{path}: is not an ONNX file, or only a part of one") from error
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror}") from error
    if not model.graph.node or not any(entry.domain in ("", "ai.onnx") for entry in model.opset_import):
        raise ExportError(f"{path}: is not an ONNX model: it has no operators of the standard")
    _read_weights(path, model)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ExportError(f"{path}: is not valid ONNX: {' '.join(str(error).split())}") from error
    _refuse_training(path, model)
    return model


def image_input(model: onnx.ModelProto, size: tuple[int, int] | None, layout: Layout | None) -> ImageInput:
    """The picture that `model` takes, of `size` (height, width) where the graph leaves it open.

    The channels are the axis of size 1 or 3; `layout` says which one where both are. Raises ExportError for several
    inputs, one that is no picture, and a size that is open or contradicts `size`.
    """
    name, tensor = _only_input(model)
    sizes = [dim.dim_value or None for dim in tensor.shape.dim]
    told = f"input {name!r} is {onnx.TensorProto.DataType.Name(tensor.elem_type).lower()} {_shape(tensor)}"
    if tensor.elem_type not in _TYPES or len(sizes) != 4:
        raise ExportError(
            f"{told}, which is no picture; a batch of pictures is float, float16, double or uint8 with 4 axes"
        )
    found = layout or _layout(sizes, told)
    batch, channels, height, width = sizes if found == "nchw" else (sizes[0], sizes[3], *sizes[1:3])
    if channels not in (1, 3):
        raise ExportError(f"{told}, so that as {found} it has {channels or 'an open number of'} channels, not 1 or 3")
    height, width = _size((height, width), size, told)
    return ImageInput(name, _TYPES[tensor.elem_type], found, height, width, channels, batch)


def class_output(model: onnx.ModelProto, name: str | None) -> str:
    """The output with the classes: `name`, or the only one; raises ExportError naming the outputs to choose from."""
    names = [output.name for output in model.graph.output]
    if name is None and len(names) == 1:
        return names[0]
    choice = ", ".join(f"{output.name} {_shape(output.type.tensor_type)}" for output in model.graph.output)
    if name in names and name is not None:
        return name
    wrong = f"has no output {name!r}" if name else f"has {len(names)} outputs, and a classifier has one"
    raise ExportError(f"the model {wrong}; say which is a number per class with --output: {choice}")


def _only_input(model: onnx.ModelProto) -> tuple[str, onnx.TypeProto.Tensor]:
    """Files of IR version 3 list the weights among the inputs; they are none."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        told = ", ".join(f"{value.name} {_shape(value.type.tensor_type)}" for value in inputs)
        raise ExportError(
            f"the model has {len(inputs)} inputs ({told or 'none'}); a classifier takes pictures and nothing else: fix the "
            "others to constants when you export it"
        )
    return inputs[0].name, inputs[0].type.tensor_type


def _layout(sizes: list[int | None], told: str) -> Layout:
    first, last = (sizes[axis] in (1, 3) for axis in (1, 3))
    if first == last:
        raise ExportError(
            f"{told}: {'axes 1 and 3 could both be' if first else 'neither axis 1 nor axis 3 is'} the channels (1 or 3); "
            "say which with --layout nchw or nhwc"
        )
    return "nchw" if first else "nhwc"


def _size(found: tuple[int | None, int | None], wanted: tuple[int, int] | None, told: str) -> tuple[int, int]:
    height, width = (size or (wanted and wanted[axis]) for axis, size in enumerate(found))
    if not height or not width:
        raise ExportError(f"{told}: height and width are open; say which to use with --size, such as --size 224x224")
    if wanted and (height, width) != wanted:
        raise ExportError(f"{told}: its size is fixed, --size {wanted[0]}x{wanted[1]} cannot be had; leave --size away")
    return height, width


def _shape(tensor: onnx.TypeProto.Tensor) -> str:
    return f"[{', '.join(dim.dim_param or str(dim.dim_value or '?') for dim in tensor.shape.dim)}]"


def _read_weights(path: Path, model: onnx.ModelProto) -> None:
    external = [tensor for tensor in model.graph.initializer if external_data_helper.uses_external_data(tensor)]
    size = path.stat().st_size + sum(_bytes(tensor) for tensor in external)
    if size > _LARGEST:
        raise ExportError(
            f"{path}: is {size / 1e9:.1f} GB with its weights; more than 2.1 GB cannot be handled. Export it with fewer "
            "or with half-precision weights"
        )
    try:
        external_data_helper.load_external_data_for_model(model, str(path.parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ExportError(
            f"{path}: its weights lie in another file, which is missing or broken: {error}; put both into the same folder"
        ) from error


def _bytes(tensor: onnx.TensorProto) -> int:
    return math.ceil(math.prod(tensor.dims) * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def _refuse_training(path: Path, model: onnx.ModelProto) -> None:
    """Dropout at random and statistics of the batch are for training; nothing that is served may depend on them."""
    true = {name for name, tensor in _constants(model) if tensor.data_type == tensor.BOOL and to_array(tensor).all()}
    for node in model.graph.node:
        by_input = node.op_type == "Dropout" and len(node.input) > 2 and node.input[2] in true
        by_attribute = any(attribute.name == "training_mode" and attribute.i for attribute in node.attribute)
        if by_input or by_attribute:
            raise ExportError(
                f"{path}: was exported in training mode ({node.op_type} {node.name or node.output[0]!r}); export it for "
                "inference, in PyTorch after model.eval()"
            )


def _constants(model: onnx.ModelProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    """The constant tensors of a model by name."""
    for tensor in model.graph.initializer:
        yield tensor.name, tensor
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                yield node.output[0], attribute.t
