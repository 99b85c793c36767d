"""Tensors between the wire and NumPy. Everything is checked against what really came before anything is allocated for it.

The sizes that a request declares cost nothing until they are compared with the bytes that arrived, so 1 GiB declared in ten
bytes is refused by arithmetic alone. Raw contents stay where they are: the arrays are views on them.
"""

import math
import struct
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from server.errors import InvalidRequestError
from server.transport.v2.values import BYTES, DATATYPES, InputTensor, TensorMetadata

# The protocol's name of each NumPy element type.
DATATYPE_OF = {dtype: name for name, dtype in DATATYPES.items()}
# Element types without a typed form: neither JSON nor the typed contents of gRPC have half precision.
RAW_ONLY = frozenset({"FP16"})

_LENGTH = struct.Struct("<I")  # before each element of raw BYTES
_MOST_SHOWN = 60  # characters of a caller's own text in a message, which must fit into a header


def array(tensor: InputTensor, expected: TensorMetadata) -> NDArray[np.generic]:
    """The tensor as an array of its shape, BYTES as an object array of bytes. Raw contents of the other types are not copied.

    Raises InvalidRequestError naming the tensor when its datatype, shape or contents are not what the model takes.
    """
    _check_datatype(tensor, expected)
    shape = _shape(tensor, expected)
    count = math.prod(shape)
    if tensor.raw is not None:
        flat = _bytes_from_raw(tensor, count) if tensor.datatype == BYTES else _from_raw(tensor, count)
    elif tensor.values is not None:
        flat = _from_values(tensor, tensor.values, count)
    else:
        raise _invalid(tensor, f"no contents came for shape {list(tensor.shape)}; send them raw or typed")
    return flat.reshape(shape)


def raw(data: NDArray[np.generic]) -> bytes:
    """An array as raw contents: row-major, little-endian; bytes (an object array) each behind its length."""
    if data.dtype == np.object_:
        elements: list[bytes] = data.ravel().tolist()
        return b"".join(_LENGTH.pack(len(element)) + element for element in elements)
    return data.astype(data.dtype.newbyteorder("<"), copy=False).tobytes()


def shown(text: str) -> str:
    """A caller's own text, quoted and cut to what fits into a message."""
    return repr(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}...")


def batch_size(arrays: Mapping[str, NDArray[np.generic]]) -> int:
    """How many items the named inputs hold: their first axis. Raises InvalidRequestError when they disagree."""
    (first, one), *others = arrays.items()
    for name, other in others:
        if len(other) != len(one):
            raise InvalidRequestError(
                f"inputs: {first!r} has a batch of {len(one)}, {name!r} one of {len(other)}; the first axis must be the same"
            )
    return len(one)


def _check_datatype(tensor: InputTensor, expected: TensorMetadata) -> None:
    if tensor.datatype == expected.datatype:
        return
    if tensor.datatype not in DATATYPES and tensor.datatype != BYTES:
        known = ", ".join((*DATATYPES, BYTES))
        raise _invalid(tensor, f"no datatype {shown(tensor.datatype)}; the protocol has {known}")
    raise _invalid(tensor, f"datatype {tensor.datatype}, the model takes {expected.datatype}")


def _shape(tensor: InputTensor, expected: TensorMetadata) -> tuple[int, ...]:
    """The shape that came, or with a last axis of 1 that was left out."""
    left_out = expected.shape[-1] == 1 and len(tensor.shape) == len(expected.shape) - 1
    shape = (*tensor.shape, 1) if left_out else tensor.shape
    fits = len(shape) == len(expected.shape) and all(
        size >= 1 and size == (want if want >= 0 else size) for size, want in zip(shape, expected.shape, strict=True)
    )
    if not fits:
        more = ", ..." if len(tensor.shape) > 8 else ""
        sizes = ", ".join(map(str, tensor.shape[:8]))
        raise _invalid(
            tensor, f"shape [{sizes}{more}], the model takes {list(expected.shape)}, where -1 is any size of at least 1"
        )
    return shape


def _from_raw(tensor: InputTensor, count: int) -> NDArray[np.generic]:
    dtype = DATATYPES[tensor.datatype].newbyteorder("<")
    data = memoryview(tensor.raw or b"")
    expected = count * dtype.itemsize
    if data.nbytes != expected:
        raise _invalid(
            tensor, f"{data.nbytes:,} raw bytes, {tensor.datatype} {list(tensor.shape)} has {expected:,} of them"
        )
    if tensor.datatype == "BOOL" and np.frombuffer(data, np.uint8).max(initial=0) > 1:
        raise _invalid(tensor, "a raw BOOL is a byte of 0 or 1")
    return np.frombuffer(data, dtype)


def _bytes_from_raw(tensor: InputTensor, count: int) -> NDArray[np.object_]:
    data = memoryview(tensor.raw or b"")
    if count * _LENGTH.size > data.nbytes:
        raise _invalid(
            tensor, f"{data.nbytes:,} raw bytes cannot hold {count:,} elements, each behind a length of 4 bytes"
        )
    elements: list[bytes] = []
    at = 0
    while at < data.nbytes and len(elements) < count:
        start = at + _LENGTH.size
        end = start + (_LENGTH.unpack_from(data, at)[0] if start <= data.nbytes else data.nbytes)
        if end > data.nbytes:
            raise _invalid(tensor, f"element {len(elements)} reaches beyond the {data.nbytes:,} raw bytes")
        elements.append(bytes(data[start:end]))
        at = end
    if len(elements) != count:
        raise _invalid(tensor, f"the {data.nbytes:,} raw bytes hold {len(elements):,} elements, the shape {count:,}")
    if at != data.nbytes:
        raise _invalid(tensor, f"{count:,} elements take {at:,} raw bytes, {data.nbytes:,} came")
    return objects(elements)


def objects(elements: Sequence[bytes]) -> NDArray[np.object_]:
    """Bytes as an object array [n]; NumPy's own conversion would cut zero bytes off."""
    made = np.empty(len(elements), np.object_)
    made[:] = elements
    return made


def _from_values(tensor: InputTensor, values: Sequence[object], count: int) -> NDArray[np.generic]:
    if tensor.datatype in RAW_ONLY:
        raise _invalid(tensor, f"{tensor.datatype} has no typed form; send it raw")
    if len(values) != count:
        raise _invalid(tensor, f"{len(values):,} elements, shape {list(tensor.shape)} has {count:,}")
    allowed = _allowed(tensor.datatype)
    for kind in set(map(type, values)):
        if kind not in allowed:
            wanted = " or ".join(sorted(each.__name__ for each in allowed))
            raise _invalid(tensor, f"an element is of type {kind.__name__}; {tensor.datatype} takes {wanted}")
    if tensor.datatype == BYTES:
        return objects([bytes(value) for value in values if isinstance(value, bytes)])
    try:
        with np.errstate(over="raise"):
            return np.array(values, DATATYPES[tensor.datatype])
    except (OverflowError, FloatingPointError):
        raise _invalid(tensor, f"an element is out of the range of {tensor.datatype}") from None


def _allowed(datatype: str) -> frozenset[type]:
    """The Python types that an element may have, exactly: True is no number, and 2.5 no integer."""
    if datatype == BYTES:
        return frozenset({bytes})
    match DATATYPES[datatype].kind:
        case "b":
            return frozenset({bool})
        case "f":
            return frozenset({int, float})
        case _:
            return frozenset({int})


def _invalid(tensor: InputTensor, what: str) -> InvalidRequestError:
    return InvalidRequestError(f"input {shown(tensor.name)}: {what}")
