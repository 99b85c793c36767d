"""A run of the kind `tensor` becomes a candidate for a bundle: one array in, one array out.

Recurrent layers are loops in TensorFlow. tf2onnx makes ONNX's own LSTM of an LSTM without a mask; all others stay loops over lists of
tensors, which ONNX Runtime runs step by step and OpenVINO refuses. Where the length is fixed, such a loop is written out
instead: 40 steps are some hundred operators, which both engines run.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import keras
import onnx
from onnx import NodeProto

from bundle import run
from bundle.manifest import Provenance
from bundle.run import KERAS_MODEL, TensorRun
from exporter.errors import ExportError
from exporter.from_keras import convert, model
from exporter.from_onnx import running
from exporter.tensors import Array, TensorCandidate
from exporter.tidy import tidy

_LOOPS = {"Loop", "Scan"}


def candidate(folder: Path, samples: int, step: Callable[[str], None]) -> TensorCandidate:
    """The trained model of the run in `folder`, with up to `samples` of its held-out rows.

    `step` is called with the name of each step as it begins. Raises BundleError for a run folder that is not whole and
    ExportError for a model that cannot be exported.
    """
    step("read the run")
    trained = run.read_tensors(folder)
    network = model.load_any(folder / KERAS_MODEL)
    rows = _checked(run.read_rows(folder)[0], network)[:samples]
    step("convert to ONNX")
    graph = converted(network)
    expected = keras.ops.convert_to_numpy(network.predict(rows, batch_size=32, verbose=0))
    return TensorCandidate(
        graph=graph,
        session=running.session(graph),
        rows={_input(network): rows},
        expected={_output(network): expected},
        reference="Keras",
        labels=trained.labels,
        preprocess=trained.preprocess,
        engine="onnxruntime" if _has_loops(graph) else "any",
        provenance=_provenance(trained),
    )


def converted(network: keras.Model) -> onnx.ModelProto:
    """`network` as ONNX, input and output called as its layers are, without loops where that is possible."""
    graph = _to_onnx(network)
    if _has_loops(graph) and None not in network.inputs[0].shape[1:]:
        for layer in _recurrent(network):
            layer.unroll = True
        graph = _to_onnx(network)
    return graph


def _to_onnx(network: keras.Model) -> onnx.ModelProto:
    """All weights inside: tf2onnx knows an LSTM only by weights that are constants."""
    return tidy(convert.to_onnx(convert.trace_as(network, _input(network), _output(network), [])))


def _recurrent(layer: keras.Layer) -> Iterator[keras.layers.RNN]:
    """The recurrent layers in `layer`, at any depth, also those of a Bidirectional."""
    if isinstance(layer, keras.layers.RNN):
        yield layer
    inside = getattr(layer, "layers", [getattr(layer, name, None) for name in ("forward_layer", "backward_layer")])
    for each in inside:
        if each is not None:
            yield from _recurrent(each)


def _has_loops(graph: onnx.ModelProto) -> bool:
    nodes: list[NodeProto] = list(graph.graph.node)
    return any(node.op_type in _LOOPS for node in nodes)


def _input(network: keras.Model) -> str:
    return str(network.inputs[0].name)


def _output(network: keras.Model) -> str:
    return str(network.output_names[0])


def _checked(rows: Array, network: keras.Model) -> Array:
    takes = network.inputs[0]
    shape = list(takes.shape[1:])
    fits = rows.ndim == len(takes.shape) and all(
        want in (None, size) for want, size in zip(shape, rows.shape[1:], strict=True)
    )
    if rows.dtype != takes.dtype or not fits or not len(rows):
        raise ExportError(
            f"{run.SAMPLES}: inputs are {rows.dtype} {list(rows.shape)}, the model takes {takes.dtype} {[None, *shape]} and at "
            "least one is needed; run the training again"
        )
    return rows


def _provenance(trained: TensorRun) -> Provenance:
    return Provenance(
        source=f"Keras run {trained.name}",
        details={
            "run": trained.name,
            "recipe": trained.recipe,
            "dataset": trained.dataset.name,
            "dataset_fingerprint": trained.dataset.fingerprint,
        },
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        libraries={**trained.libraries, **{name: version(name) for name in convert.LIBRARIES}},
    )
