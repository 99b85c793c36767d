"""Inference requests and answers between their form on the wire and plain values: pure functions.

Two forms: all in JSON, or JSON with the binary data of the tensors behind it (Triton's binary tensor data extension), where
the header Inference-Header-Content-Length tells where the JSON ends. Binary inputs are views on the body, not copies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

import msgspec
import numpy as np
from msgspec import UNSET

from server.errors import InvalidRequestError
from server.transport.http.v2_bodies import (
    BinarySize,
    InferBody,
    InferReply,
    InputBody,
    OutputBody,
    OutputRequest,
)
from server.transport.v2 import tensors
from server.transport.v2.tensors import RAW_ONLY, shown
from server.transport.v2.values import BYTES, InferRequest, InferResponse, InputTensor, OutputTensor, RequestedOutput

T = TypeVar("T")

_decoder = msgspec.json.Decoder(InferBody)
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Delivery:
    """Which outputs are answered as binary data: those `named` so, the others by `default`."""

    default: bool
    named: Mapping[str, bool]


def decode(body: bytes, json_bytes: int | None, model: str, version: str) -> tuple[InferRequest, Delivery]:
    """A request, whose JSON is the first `json_bytes` of the body, or all of it.

    Raises InvalidRequestError when it is not JSON, has the wrong types, or its sizes are not those of the body. The tensors
    themselves are not checked: that is the same for every transport.
    """
    whole = memoryview(body)
    if json_bytes is not None and json_bytes > len(body):
        raise InvalidRequestError(
            f"inference-header-content-length: {json_bytes:,}, but the body has {len(body):,} bytes"
        )
    header, binary = whole[:json_bytes], whole[len(body) if json_bytes is None else json_bytes :]
    parsed = from_json(_decoder, header)
    parameters = dict(parsed.parameters)
    default = parameters.pop("binary_data_output", False)
    if not isinstance(default, bool):
        raise InvalidRequestError(f"parameters: binary_data_output {shown(str(default))}; it is true or false")
    request = InferRequest(
        model=model,
        version=version,
        id=parsed.id,
        inputs=_inputs(parsed.inputs, binary),
        outputs=[_requested(each) for each in parsed.outputs],
        parameters=parameters,
    )
    return request, Delivery(default, {each.name: _is_binary(each, default) for each in parsed.outputs})


def from_json(decoder: msgspec.json.Decoder[T], data: bytes | memoryview) -> T:
    """A JSON body. Raises InvalidRequestError with the place of what is wrong."""
    try:
        return decoder.decode(data)
    except RecursionError:
        raise InvalidRequestError("body: the JSON is nested too deeply") from None
    except ValueError as error:  # msgspec's own errors and UnicodeDecodeError are ValueErrors
        raise InvalidRequestError(f"body: {error}") from error


def _inputs(given: Sequence[InputBody], binary: memoryview) -> list[InputTensor]:
    """The tensors, each binary one with its part of `binary`, which they must use up."""
    inputs, at = [], 0
    for each in given:
        size = each.parameters.binary_data_size
        if isinstance(each.parameters.shared_memory_region, str):
            raise _invalid(each, "shared memory is not offered; send the contents")
        if isinstance(size, int):
            if each.data is not UNSET:
                raise _invalid(each, "both `data` and `binary_data_size`; send one of them")
            if size > len(binary) - at:
                raise _invalid(each, f"binary_data_size {size:,}, but {len(binary) - at:,} bytes are left in the body")
            raw, values = binary[at : at + size], None
            at += size
        else:
            raw, values = None, None if each.data is UNSET else _flat(each, each.data)
        inputs.append(InputTensor(each.name, each.datatype, tuple(each.shape), raw, values))
    if at != len(binary):
        raise InvalidRequestError(f"body: {len(binary) - at:,} bytes behind the JSON belong to no input")
    return inputs


def _flat(tensor: InputBody, data: list[Any]) -> list[object]:
    """The elements of flat or nested `data`, text of BYTES as UTF-8. Raises InvalidRequestError for ragged nesting."""
    level = 0
    while list in (kinds := set(map(type, data))):
        level += 1
        if kinds != {list} or set(map(len, data)) != set(tensor.shape[level : level + 1]):
            raise _invalid(tensor, f"`data` is not nested like shape {tensor.shape[:8]}; it may be flat, too")
        data = list(chain.from_iterable(data))
    if tensor.datatype == BYTES and kinds <= {str}:
        return list(map(str.encode, data))
    return data


def _requested(output: OutputRequest) -> RequestedOutput:
    if isinstance(output.parameters.shared_memory_region, str):
        raise InvalidRequestError(f"output {shown(output.name)}: shared memory is not offered; leave the parameter out")
    return RequestedOutput(output.name, output.parameters.classification)


def _is_binary(output: OutputRequest, default: bool) -> bool:
    wanted = output.parameters.binary_data
    return wanted if isinstance(wanted, bool) else default


def encode(response: InferResponse, delivery: Delivery) -> tuple[bytes, int | None]:
    """The body of an answer, and how much of it is JSON if the rest is binary data.

    Raises InvalidRequestError when an output has elements that JSON cannot carry.
    """
    binary: list[bytes] = []
    outputs = [_output(each, delivery.named.get(each.name, delivery.default), binary) for each in response.outputs]
    reply = _encode(InferReply(response.model, response.version, outputs, response.id or UNSET))
    return (b"".join((reply, *binary)), len(reply)) if binary else (reply, None)


def _output(tensor: OutputTensor, is_binary: bool, binary: list[bytes]) -> OutputBody:
    """The tensor's place in the JSON; its elements go there, too, or are appended to `binary`."""
    shape = list(tensor.data.shape)
    if is_binary:
        binary.append(tensors.raw(tensor.data))
        return OutputBody(tensor.name, tensor.datatype, shape, BinarySize(len(binary[-1])))
    return OutputBody(tensor.name, tensor.datatype, shape, data=_json_values(tensor))


def _json_values(tensor: OutputTensor) -> list[bool | int | float | str]:
    flat = tensor.data.ravel()
    if tensor.datatype == BYTES:
        try:
            return [element.decode() for element in flat.tolist()]
        except UnicodeDecodeError:
            raise _not_in_json(tensor, "bytes that are no UTF-8 text") from None
    if tensor.datatype in RAW_ONLY:
        raise _not_in_json(tensor, f"datatype {tensor.datatype}")
    if flat.dtype.kind == "f" and not np.isfinite(flat).all():
        raise _not_in_json(tensor, "NaN or infinity")
    values: list[bool | int | float | str] = flat.tolist()
    return values


def _not_in_json(tensor: OutputTensor, what: str) -> InvalidRequestError:
    return InvalidRequestError(f"output {tensor.name!r} has {what}, which JSON cannot carry; ask for binary_data")


def _invalid(tensor: InputBody, what: str) -> InvalidRequestError:
    return InvalidRequestError(f"input {shown(tensor.name)}: {what}")
