"""The bodies of the Open Inference Protocol over HTTP, as the types that they are decoded into and encoded from.

Specification: https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md, and for the
extensions https://github.com/triton-inference-server/server/tree/main/docs/protocol.
"""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from server.transport.v2.values import Parameter


class TensorParameters(msgspec.Struct):
    """Parameters of an input; others are ignored."""

    binary_data_size: (
        Annotated[int, Meta(ge=0, description="Bytes of this tensor behind the JSON, instead of `data`.")] | UnsetType
    ) = UNSET
    shared_memory_region: Annotated[str | UnsetType, Meta(description="Not offered.")] = UNSET


class InputBody(msgspec.Struct):
    """An input tensor, its elements either in `data` or as binary data behind the JSON."""

    name: str
    datatype: Annotated[str, Meta(description="BOOL, UINT8, ..., FP64 or BYTES.", examples=["UINT8"])]
    shape: list[int]
    data: Annotated[
        list[Any] | UnsetType, Meta(description="Row-major, flat or nested like the shape; strings for BYTES.")
    ] = UNSET
    parameters: TensorParameters = msgspec.field(default_factory=TensorParameters)


class OutputParameters(msgspec.Struct):
    """Parameters of a requested output; others are ignored."""

    binary_data: Annotated[bool | UnsetType, Meta(description="Answer it as binary data behind the JSON.")] = UNSET
    classification: Annotated[
        int, Meta(ge=0, description="Answer the k highest elements as `score:index:label`; 0: the tensor itself.")
    ] = 0
    shared_memory_region: Annotated[str | UnsetType, Meta(description="Not offered.")] = UNSET


class OutputRequest(msgspec.Struct):
    """An output that is asked for."""

    name: str
    parameters: OutputParameters = msgspec.field(default_factory=OutputParameters)


class InferBody(msgspec.Struct):
    """An inference request. Without `outputs` the server chooses them."""

    inputs: list[InputBody]
    id: str = ""
    outputs: list[OutputRequest] = []
    parameters: Annotated[
        dict[str, Parameter],
        Meta(description="`binary_data_output`, `timeout` (microseconds), `priority`, `method`; others are ignored."),
    ] = {}


class BinarySize(msgspec.Struct):
    """Where an output is: so many bytes behind the JSON, in the order of the outputs."""

    binary_data_size: int


class OutputBody(msgspec.Struct):
    """An output tensor, its elements either flat in `data` or as binary data behind the JSON."""

    name: str
    datatype: str
    shape: list[int]
    parameters: BinarySize | UnsetType = UNSET
    data: list[bool | int | float | str] | UnsetType = UNSET


class InferReply(msgspec.Struct):
    """An inference answer; `id` is that of the request if it had one."""

    model_name: str
    model_version: str
    outputs: list[OutputBody]
    id: str | UnsetType = UNSET


class ServerBody(msgspec.Struct):
    """Which server this is."""

    name: str
    version: str
    extensions: list[str]


class LiveBody(msgspec.Struct):
    """Whether the server works."""

    live: bool


class ReadyBody(msgspec.Struct):
    """Whether the server wants traffic."""

    ready: bool


class ModelReadyBody(msgspec.Struct):
    """Whether a model answers."""

    name: str
    ready: bool


class TensorBody(msgspec.Struct):
    """A tensor that a model takes or gives; -1 is a size that varies."""

    name: str
    datatype: str
    shape: list[int]


class MetadataBody(msgspec.Struct):
    """A model in service."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorBody]
    outputs: list[TensorBody]
    version_labels: Annotated[
        dict[str, str], Meta(description="What versions are called (ours): a label may stand for its version.")
    ]


class ConfigInput(msgspec.Struct):
    """An input without its batch axis."""

    name: str
    data_type: Annotated[str, Meta(examples=["TYPE_UINT8"])]
    format: Annotated[str, Meta(description="FORMAT_NHWC for images, otherwise FORMAT_NONE.")]
    dims: list[int]
    optional: bool


class ConfigOutput(msgspec.Struct):
    """An output without its batch axis."""

    name: str
    data_type: str
    dims: list[int]


class TransactionPolicy(msgspec.Struct):
    """Whether a request may have any number of answers; here it has one."""

    decoupled: bool


class StringValue(msgspec.Struct):
    """A parameter of a configuration."""

    string_value: str


class ConfigBody(msgspec.Struct):
    """What Triton's tools read of a model's configuration."""

    name: str
    platform: str
    backend: str
    max_batch_size: int
    input: list[ConfigInput]
    output: list[ConfigOutput]
    dynamic_batching: dict[str, Any]
    parameters: Annotated[
        dict[str, StringValue],
        Meta(
            description="`version_label.NAME`: the version that is called NAME. Of a model that is no image classifier, where it has "
            "them: `labels` of its answer, a JSON list, and `preprocess`, how a picture becomes its input, a JSON object."
        ),
    ]
    model_transaction_policy: TransactionPolicy


class DurationBody(msgspec.Struct):
    """How often, and how long together."""

    count: int
    ns: int


class InferenceStatistics(msgspec.Struct):
    """Where the time of the inferences went."""

    success: DurationBody
    fail: DurationBody
    queue: DurationBody
    compute_input: DurationBody
    compute_infer: DurationBody
    compute_output: DurationBody


class BatchStatistics(msgspec.Struct):
    """Runs of the engine with this many items."""

    batch_size: int
    compute_infer: DurationBody


class VersionStatisticsBody(msgspec.Struct):
    """What a version has done since the server started; `last_inference` is Unix time in milliseconds."""

    name: str
    version: str
    last_inference: int
    inference_count: int
    execution_count: int
    inference_stats: InferenceStatistics
    batch_stats: list[BatchStatistics]


class StatisticsBody(msgspec.Struct):
    """The statistics of each version asked for."""

    model_stats: list[VersionStatisticsBody]


class IndexRequest(msgspec.Struct):
    """Which versions to list."""

    ready: Annotated[bool, Meta(description="Only those in service.")] = False


class IndexBody(msgspec.Struct):
    """A version in the repository; `state` is READY, LOADING or UNAVAILABLE, `reason` why not READY."""

    name: str
    version: str
    state: str
    reason: str


class RepositoryRequest(msgspec.Struct):
    """Loading and unloading take no parameters that change anything: `config` and `file:` ones are refused."""

    parameters: dict[str, Any] = {}


class Nothing(msgspec.Struct):
    """Done."""
