"""Small, complete model bundles for tests, made in milliseconds and without TensorFlow."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bundle import files, golden, manifest
from bundle.golden import Golden
from bundle.manifest import FeatureMap, Kind, Manifest, Method, Precision, Provenance, Tolerance
from bundle.preprocess import PreprocessSpec
from exporter import graphs
from exporter.from_onnx import tensors
from exporter.gradcam import Explained, explain

CHANNELS = 6
GOLDEN_SAMPLES = 4


def make_bundle(
    folder: Path,
    *,
    seed: int = 0,
    kind: Kind = "multiclass",
    labels: Sequence[str] = ("circle", "square", "star"),
    height: int = 12,
    width: int = 16,
    colour: Literal["grey", "rgb"] = "rgb",
    fit: Literal["stretch", "cover", "contain"] = "stretch",
    crop: float = 1.0,
    methods: Sequence[Method] = ("gradcam",),
) -> Path:
    """Writes the bundle of a random convolutional classifier explained by `methods` into `folder`, which must not exist.

    pixels u8 [N, height, width, 1 or 3] -> convolution 3x3, ReLU (the feature map, [height - 2, width - 2]), max
    pooling, dense, softmax over `labels` (`kind` binary: one sigmoid, two labels; multilabel: a sigmoid each). Equal
    arguments make equal models; another `seed` makes another model. There is no saved_model/. Returns `folder`.
    """
    spec = PreprocessSpec(
        height=height, width=width, colour=colour, fit=fit, crop=crop, resampling="bilinear", background=(0, 0, 0)
    )
    random = np.random.default_rng(seed)
    scores = 1 if kind == "binary" else len(labels)
    classifier = make_classifier(random, spec.shape, scores, "Softmax" if kind == "multiclass" else "Sigmoid")
    explained = explain(classifier, None, methods)
    with files.atomic_folder(folder) as partial:
        graphs.write(explained.model, partial)
        golden.write(partial, _answers(explained, random, spec.shape))
        files.seal(partial, _manifest(explained, spec, list(labels)))
    return folder


def make_tensor_bundle(folder: Path, *, slope: float = 2.0) -> Path:
    """Writes the bundle of a model without images into `folder`, which must not exist, and returns it.

    x f32 [N, 3], offset i64 [N] -> line f32 [N, 3] = slope x + offset, largest f32 [N] = max of line
    """
    nodes = [
        helper.make_node("Cast", ["offset"], ["float_offset"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["float_offset", "last"], ["column"]),
        helper.make_node("Mul", ["x", "slope"], ["scaled"]),
        helper.make_node("Add", ["scaled", "column"], ["line"]),
        helper.make_node("ReduceMax", ["line", "last"], ["largest"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "line",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3]),
            helper.make_tensor_value_info("offset", TensorProto.INT64, ["N"]),
        ],
        [
            helper.make_tensor_value_info("line", TensorProto.FLOAT, ["N", 3]),
            helper.make_tensor_value_info("largest", TensorProto.FLOAT, ["N"]),
        ],
        [numpy_helper.from_array(np.array(slope, np.float32), "slope"), numpy_helper.from_array(np.array([1]), "last")],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])
    with TemporaryDirectory() as temporary:
        onnx.save(model, Path(temporary) / "line.onnx")
        tensors.export(Path(temporary) / "line.onnx", None, 4, folder, lambda _: None)
    return folder


def make_classifier(
    random: np.random.Generator, shape: tuple[int, int, int], scores: int, activation: str
) -> onnx.ModelProto:
    """A random classifier: pixels u8 [N, *shape] -> probabilities f32 [N, scores] by `activation` Softmax or Sigmoid."""
    height, width, channels = shape
    features = CHANNELS * ((height - 2) // 2) * ((width - 2) // 2)
    constants = {
        "scale": np.float32(1 / 255),
        "kernel": _normal(random, (CHANNELS, channels, 3, 3), 9 * channels),
        "offset": _normal(random, (CHANNELS,), 25),
        "weights": _normal(random, (features, scores), features / 16),
        "bias": _normal(random, (scores,), 25),
    }
    nodes = [
        helper.make_node("Cast", ["pixels"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["cast", "scale"], ["unit"]),
        helper.make_node("Transpose", ["unit"], ["channels_first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["channels_first", "kernel", "offset"], ["conv"], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["conv"], ["features"]),
        helper.make_node("MaxPool", ["features"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weights", "bias"], ["score"]),
        helper.make_node(activation, ["score"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", *shape])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", scores])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])


def _normal(random: np.random.Generator, shape: tuple[int, ...], fan_in: float) -> NDArray[np.float32]:
    return random.normal(0, 1 / np.sqrt(fan_in), shape).astype(np.float32)


def _answers(explained: Explained, random: np.random.Generator, shape: tuple[int, int, int]) -> Golden:
    pixels = random.integers(0, 256, (GOLDEN_SAMPLES, *shape), np.uint8)
    targets = np.tile(np.array([-1, -2, 0]), (GOLDEN_SAMPLES, 1))
    methods = targets % len(explained.methods)
    feeds = {"pixels": pixels, "targets": targets} | ({"methods": methods} if len(explained.methods) > 1 else {})
    session = ort.InferenceSession(explained.model.SerializeToString(), providers=["CPUExecutionProvider"])
    probabilities, heatmaps = session.run(["probabilities", "heatmaps"], feeds)
    return Golden(pixels, targets, methods, probabilities, heatmaps)


def _manifest(explained: Explained, spec: PreprocessSpec, labels: list[str]) -> Manifest:
    feature_map = FeatureMap(
        layer="features",
        tensor=explained.tensor,
        height=explained.height,
        width=explained.width,
        channels=explained.channels,
        extent=explained.extent,
    )
    inputs, outputs = manifest.signature(spec, explained.labels, feature_map, explained.methods)
    return Manifest(
        schema="seethrough.bundle/1",
        kind=explained.kind,
        labels=labels,
        preprocess=spec,
        inputs=inputs,
        outputs=outputs,
        explanations=list(explained.methods),
        feature_map=feature_map,
        precisions=[
            Precision(
                name="fp32",
                engine="any",
                file=manifest.ONNX_MODEL,
                predict_file=manifest.PREDICT_MODEL,
                samples=GOLDEN_SAMPLES,
                top1_agreement=1.0,
                max_probability_difference=0.0,
                heatmap_correlation=1.0,
                tolerance=Tolerance(probabilities=1e-3, heatmaps=1e-2),
                images_per_second={},
            )
        ],
        minimum_top1_agreement=0.995,
        provenance=Provenance(
            source="tests",
            details={"recipe": "random"},
            created="2026-01-01T00:00:00Z",
            libraries={"onnxruntime": ort.__version__},
        ),
        files=dict.fromkeys((manifest.ONNX_MODEL, manifest.PREDICT_MODEL), ""),
    )
