"""Between the protocol's protobuf messages and its plain values: pure functions, no input or output."""

from collections.abc import Iterable, Mapping, MutableSequence, Sequence
from typing import Any

from proto import open_inference_pb2 as pb
from server.errors import InvalidRequestError
from server.transport.v2 import tensors
from server.transport.v2.describe import PIXELS, config_parameters
from server.transport.v2.statistics import Duration, VersionStatistics
from server.transport.v2.tensors import shown
from server.transport.v2.values import (
    BYTES,
    IndexEntry,
    InferRequest,
    InferResponse,
    InputTensor,
    ModelMetadata,
    OutputTensor,
    Parameter,
    RequestedOutput,
    TensorMetadata,
)

# The field of InferTensorContents that carries each datatype. FP16 has none.
_FIELDS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}
_SHARED_MEMORY = "shared_memory_region"


def to_request(message: pb.ModelInferRequest) -> InferRequest:
    """The request as values. Raises InvalidRequestError for what this encoding alone can get wrong."""
    raw: Sequence[bytes] = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise InvalidRequestError(
            f"raw_input_contents: {len(raw)} for {len(message.inputs)} inputs; send one for each input, in their order"
        )
    inputs = [_input(each, raw[number] if raw else None) for number, each in enumerate(message.inputs)]
    return InferRequest(
        model=message.model_name,
        version=message.model_version,
        id=message.id,
        inputs=inputs,
        outputs=[_requested(each) for each in message.outputs],
        parameters=_parameters(message.parameters),
    )


def _input(message: pb.ModelInferRequest.InferInputTensor, raw: bytes | None) -> InputTensor:
    if _SHARED_MEMORY in message.parameters:
        raise InvalidRequestError(f"input {shown(message.name)}: shared memory is not offered; send the contents")
    values = _values(message)
    if raw is not None and values is not None:
        raise InvalidRequestError(
            f"input {shown(message.name)}: both `contents` and `raw_input_contents` came; send one of the two"
        )
    return InputTensor(message.name, message.datatype, tuple(message.shape), raw, values)


def _values(message: pb.ModelInferRequest.InferInputTensor) -> Sequence[object] | None:
    """The typed contents, None when there are none. Raises InvalidRequestError when they are in another type's field."""
    if not message.HasField("contents"):
        return None
    filled = {field.name: values for field, values in message.contents.ListFields()}
    if not filled:
        return None
    expected = _FIELDS.get(message.datatype)
    for name in filled:
        # An unknown datatype, or one without a field, is refused where every transport's are.
        if expected is not None and name != expected:
            raise InvalidRequestError(
                f"input {shown(message.name)}: contents in `{name}`; {message.datatype} goes into `{expected}`"
            )
    # A list, because NumPy takes protobuf's own containers for arrays and wraps what is out of range around.
    return list(next(iter(filled.values())))


def _requested(message: pb.ModelInferRequest.InferRequestedOutputTensor) -> RequestedOutput:
    given = _parameters(message.parameters)
    if _SHARED_MEMORY in given:
        raise InvalidRequestError(
            f"output {shown(message.name)}: shared memory is not offered; leave the parameter out"
        )
    classes = given.get("classification", 0)
    if isinstance(classes, bool) or not isinstance(classes, int):
        raise InvalidRequestError(f"output {shown(message.name)}: classification is a whole number of classes")
    return RequestedOutput(message.name, classes)


def _parameters(message: Mapping[str, pb.InferParameter]) -> dict[str, Parameter]:
    if not message:
        return {}
    chosen = ((name, value, value.WhichOneof("parameter_choice")) for name, value in message.items())
    return {name: getattr(value, choice) for name, value, choice in chosen if choice is not None}


def from_response(response: InferResponse, *, raw: bool) -> pb.ModelInferResponse:
    """The answer as a message, with raw contents or with typed ones; raw all the same when an output has no typed form."""
    message = pb.ModelInferResponse(model_name=response.model, model_version=response.version, id=response.id)
    raw = raw or any(output.datatype in tensors.RAW_ONLY for output in response.outputs)
    for output in response.outputs:
        tensor = message.outputs.add(name=output.name, datatype=output.datatype, shape=output.data.shape)
        if raw:
            message.raw_output_contents.append(tensors.raw(output.data))
        else:
            _fill(tensor.contents, output)
    return message


def _fill(contents: pb.InferTensorContents, output: OutputTensor) -> None:
    field: MutableSequence[Any] = getattr(contents, _FIELDS[output.datatype])
    field.extend(output.data.ravel().tolist())


def from_metadata(model: ModelMetadata) -> pb.ModelMetadataResponse:
    """The metadata of a model as a message."""
    return pb.ModelMetadataResponse(
        name=model.name,
        versions=model.versions,
        platform=model.platform,
        inputs=map(_tensor_metadata, model.inputs),
        outputs=map(_tensor_metadata, model.outputs),
    )


def _tensor_metadata(tensor: TensorMetadata) -> pb.ModelMetadataResponse.TensorMetadata:
    return pb.ModelMetadataResponse.TensorMetadata(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)


def to_config(model: ModelMetadata) -> pb.ModelConfig:
    """The configuration of a model as a message, its shapes without the batch."""
    return pb.ModelConfig(
        name=model.name,
        platform=model.platform,
        backend=model.platform.removesuffix("_onnx"),
        max_batch_size=model.max_batch_size,
        input=[_config_input(each, is_image=bool(model.labels) and each.name == PIXELS) for each in model.inputs],
        output=[
            pb.ModelOutput(name=each.name, data_type=_data_type(each.datatype), dims=each.shape[1:])
            for each in model.outputs
        ],
        dynamic_batching=pb.ModelDynamicBatching(),
        parameters={name: pb.ModelParameter(string_value=value) for name, value in config_parameters(model).items()},
        model_transaction_policy=pb.ModelTransactionPolicy(decoupled=False),
    )


def _config_input(tensor: TensorMetadata, *, is_image: bool) -> pb.ModelInput:
    return pb.ModelInput(
        name=tensor.name,
        data_type=_data_type(tensor.datatype),
        format=pb.ModelInput.FORMAT_NHWC if is_image else pb.ModelInput.FORMAT_NONE,
        dims=tensor.shape[1:],
        optional=tensor.optional,
    )


def _data_type(datatype: str) -> pb.DataType.ValueType:
    return pb.DataType.Value("TYPE_STRING" if datatype == BYTES else f"TYPE_{datatype}")


def from_statistics(versions: Iterable[VersionStatistics]) -> pb.ModelStatisticsResponse:
    """The statistics of versions as a message."""
    return pb.ModelStatisticsResponse(model_stats=map(_statistics, versions))


def _statistics(of: VersionStatistics) -> pb.ModelStatistics:
    return pb.ModelStatistics(
        name=of.name,
        version=of.version,
        last_inference=of.last_inference_ms,
        inference_count=of.inferences,
        execution_count=of.executions,
        inference_stats=pb.InferStatistics(
            success=_duration(of.success),
            fail=pb.StatisticDuration(count=of.failed),
            queue=_duration(of.queue),
            compute_input=_duration(of.compute_input),
            compute_infer=_duration(of.compute_infer),
            compute_output=_duration(of.compute_output),
        ),
        batch_stats=[
            pb.InferBatchStatistics(batch_size=size, compute_infer=_duration(duration))
            for size, duration in sorted(of.batches.items())
        ],
    )


def _duration(duration: Duration) -> pb.StatisticDuration:
    return pb.StatisticDuration(count=duration.count, ns=duration.nanoseconds)


def from_index(entries: Iterable[IndexEntry]) -> pb.RepositoryIndexResponse:
    """The repository's index as a message."""
    return pb.RepositoryIndexResponse(
        models=[
            pb.RepositoryIndexResponse.ModelIndex(
                name=each.name, version=each.version, state=each.state, reason=each.reason
            )
            for each in entries
        ]
    )


def check_load(parameters: Mapping[str, pb.ModelRepositoryParameter]) -> None:
    """Raises InvalidRequestError when a load brings a configuration or files: a bundle carries its own."""
    if parameters:
        names = ", ".join(shown(name) for name in sorted(parameters)[:8])
        raise InvalidRequestError(
            f"parameters: {names}; a model is loaded as its bundle on disk says, without parameters"
        )
