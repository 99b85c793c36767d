"""Prints the messages, enums and services of tritonclient as JSON."""

import json

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.json_format import MessageToDict
from tritonclient.grpc import model_config_pb2, service_pb2  # type: ignore[import-not-found]

files = [FileDescriptorProto.FromString(each.DESCRIPTOR.serialized_pb) for each in (service_pb2, model_config_pb2)]
print(json.dumps({"files": [MessageToDict(file) for file in files]}))  # noqa: T201
