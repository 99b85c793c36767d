"""Tensors of the protocol: what becomes of right ones, typed and raw, and why wrong ones are refused."""

from typing import Any

import numpy as np
import pytest

from server.errors import InvalidRequestError
from server.transport.v2 import tensors
from server.transport.v2.values import BYTES, DATATYPES, InputTensor, TensorMetadata

NUMBERS = [name for name in DATATYPES if name != "BOOL"]


def read(datatype: str, shape: tuple[int, ...], *, expected: tuple[int, ...] | None = None, **contents: Any) -> Any:
    """The array of a tensor `t`, which the model takes in just this shape unless `expected` says otherwise."""
    tensor = InputTensor("t", datatype, shape, **contents)
    return tensors.array(tensor, TensorMetadata("t", datatype, shape if expected is None else expected))


def refusal(datatype: str, shape: tuple[int, ...], **contents: Any) -> str:
    with pytest.raises(InvalidRequestError) as refused:
        read(datatype, shape, **contents)
    return str(refused.value)


@pytest.mark.parametrize("datatype", DATATYPES)
def test_raw_numbers_are_what_was_written_and_not_copied(datatype: str) -> None:
    written = np.arange(6).astype(DATATYPES[datatype]).reshape(2, 3)
    contents = written.tobytes()
    found = read(datatype, (2, 3), expected=(-1, 3), raw=contents)
    assert found.dtype == written.dtype
    np.testing.assert_array_equal(found, written)
    assert np.shares_memory(found, np.frombuffer(contents, np.uint8))


@pytest.mark.parametrize("datatype", [name for name in DATATYPES if name != "FP16"])
def test_typed_numbers_are_what_was_written(datatype: str) -> None:
    values: list[Any] = [True, False] if datatype == "BOOL" else [1, 2]
    found = read(datatype, (2,), values=values)
    assert (found.dtype, found.tolist()) == (DATATYPES[datatype], values)


@pytest.mark.parametrize("datatype", [*DATATYPES, BYTES])
def test_what_is_written_raw_is_read_again(datatype: str) -> None:
    if datatype == BYTES:
        written = tensors.objects([b"", b"a\0", b"\0\0\0"]).reshape(3, 1)
    else:
        written = np.arange(3).astype(DATATYPES[datatype]).reshape(3, 1)
    np.testing.assert_array_equal(read(datatype, (3, 1), raw=tensors.raw(written)), written)


def test_typed_bytes_keep_their_zeros() -> None:
    assert read(BYTES, (2,), values=[b"a\0", b""]).tolist() == [b"a\0", b""]


def test_a_view_of_a_larger_message_is_enough() -> None:
    message = memoryview(b"head" + bytes([1, 2, 3]) + b"tail")
    assert read("UINT8", (3,), raw=message[4:7]).tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        ("UINT8", 256),
        ("UINT8", -1),
        ("INT8", -129),
        ("INT64", 1 << 63),
        ("UINT64", 1 << 64),
        ("FP32", 1e39),
        ("FP64", 10**400),
    ],
)
def test_a_number_beyond_its_type_is_refused(datatype: str, value: Any) -> None:
    assert refusal(datatype, (1,), values=[value]) == f"input 't': an element is out of the range of {datatype}"


@pytest.mark.parametrize(
    ("datatype", "value", "reason"),
    [
        ("FP32", "1", "an element is of type str; FP32 takes float or int"),
        ("FP32", True, "an element is of type bool; FP32 takes float or int"),
        ("INT32", 1.5, "an element is of type float; INT32 takes int"),
        ("INT32", None, "an element is of type NoneType; INT32 takes int"),
        ("INT32", [1], "an element is of type list; INT32 takes int"),
        ("BOOL", 1, "an element is of type int; BOOL takes bool"),
        (BYTES, "text", "an element is of type str; BYTES takes bytes"),
        ("FP16", 1.0, "FP16 has no typed form; send it raw"),
    ],
)
def test_an_element_of_another_type_is_refused(datatype: str, value: Any, reason: str) -> None:
    assert refusal(datatype, (1,), values=[value]) == f"input 't': {reason}"


def test_infinite_and_undefined_numbers_are_numbers() -> None:
    np.testing.assert_array_equal(read("FP32", (2,), values=[float("inf"), float("nan")]), [np.inf, np.nan])


def test_a_raw_truth_value_is_0_or_1() -> None:
    assert refusal("BOOL", (2,), raw=b"\1\2") == "input 't': a raw BOOL is a byte of 0 or 1"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"\1\0\0", "3 raw bytes cannot hold 1 elements, each behind a length of 4 bytes"),
        (b"\2\0\0\0x", "element 0 reaches beyond the 5 raw bytes"),
        (b"\1\0\0\0xy", "1 elements take 5 raw bytes, 6 came"),
    ],
)
def test_raw_bytes_that_do_not_add_up_are_refused(raw: bytes, reason: str) -> None:
    assert refusal(BYTES, (1,), raw=raw) == f"input 't': {reason}"


def test_fewer_raw_bytes_than_elements_are_refused() -> None:
    two = tensors.raw(tensors.objects([b"four", b"and more"]))
    assert refusal(BYTES, (3,), raw=two) == "input 't': the 20 raw bytes hold 2 elements, the shape 3"


def test_a_tensor_without_contents_is_refused() -> None:
    assert refusal("FP32", (2,)) == "input 't': no contents came for shape [2]; send them raw or typed"


@pytest.mark.parametrize("shape", [(), (2,), (2, 3, 1), (2, 4), (0, 3), (-1, 3)])
def test_a_shape_that_the_model_does_not_take_is_refused(shape: tuple[int, ...]) -> None:
    reason = refusal("FP32", shape, expected=(-1, 3), raw=bytes(24))
    assert reason.endswith("the model takes [-1, 3], where -1 is any size of at least 1")


def test_the_sizes_that_a_request_declares_are_not_believed() -> None:
    assert "10 raw bytes, FP32 [4611686018427387904] has" in refusal("FP32", (1 << 62,), raw=bytes(10))


def test_a_caller_s_own_text_is_cut_where_it_is_shown() -> None:
    tensor = InputTensor("n" * 1000, "X" * 1000, (1,), b"")
    with pytest.raises(InvalidRequestError) as refused:
        tensors.array(tensor, TensorMetadata("t", "FP32", (1,)))
    assert len(str(refused.value)) < 300
