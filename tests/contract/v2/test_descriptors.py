"""Our compiled messages against those of Triton's own client, field by field."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.json_format import MessageToDict

from proto import open_inference_pb2
from tests.contract.v2.ecosystem import report_of

Descriptor = Mapping[str, Any]

# Triton's server does more than ours; of these messages we leave fields out, and of its service these methods.
PARTIAL = {"ModelConfig", "ModelInput", "ModelOutput", "ModelDynamicBatching"}
LEFT_OUT = ("SystemSharedMemory", "CudaSharedMemory", "TraceSetting", "LogSettings")


def flat(messages: Sequence[Descriptor], prefix: str = "") -> Iterator[tuple[str, Descriptor]]:
    """Every message by its full name, those within others included."""
    for message in messages:
        yield prefix + message["name"], message
        yield from flat(message.get("nestedType", []), f"{prefix}{message['name']}.")


def fields(message: Descriptor) -> dict[str, Descriptor]:
    """Number, type, label and group of alternatives of each field, by its name."""
    alternatives = [each["name"] for each in message.get("oneofDecl", [])]
    return {
        field["name"]: {
            **{key: field.get(key) for key in ("number", "type", "label", "typeName", "jsonName")},
            "oneof": alternatives[field["oneofIndex"]] if "oneofIndex" in field else None,
        }
        for field in message.get("field", [])
    }


def our_file() -> Descriptor:
    return MessageToDict(FileDescriptorProto.FromString(open_inference_pb2.DESCRIPTOR.serialized_pb))


OURS = dict(flat(our_file()["messageType"]))


@pytest.fixture(scope="module")
def theirs() -> list[Descriptor]:
    """The two files of tritonclient."""
    files: list[Descriptor] = report_of("print_descriptors.py")["files"]
    return files


@pytest.mark.parametrize("name", OURS)
def test_every_field_is_triton_s(theirs: list[Descriptor], name: str) -> None:
    known = {each: message for file in theirs for each, message in flat(file["messageType"])}
    our_fields, their_fields = fields(OURS[name]), fields(known[name])
    if name in PARTIAL:
        their_fields = {each: field for each, field in their_fields.items() if each in our_fields}
    assert our_fields == their_fields


def test_every_enum_is_triton_s(theirs: list[Descriptor]) -> None:
    known = {each["name"]: each["value"] for file in theirs for each in file.get("enumType", [])}
    for each in our_file()["enumType"]:
        assert each["value"] == known[each["name"]]
    formats = next(message for name, message in flat(theirs[1]["messageType"]) if name == "ModelInput")["enumType"]
    assert OURS["ModelInput"]["enumType"] == formats


def methods(file: Descriptor) -> set[tuple[str, ...]]:
    """Name, question, answer, and which of the two are streams, of each method of the file's one service."""
    (service,) = file["service"]
    keys = ("name", "inputType", "outputType", "clientStreaming", "serverStreaming")
    return {(service["name"], *(str(method.get(key)) for key in keys)) for method in service["method"]}


def test_every_method_is_triton_s_and_those_left_out_are_known(theirs: list[Descriptor]) -> None:
    assert methods(our_file()) == {method for method in methods(theirs[0]) if not method[1].startswith(LEFT_OUT)}
