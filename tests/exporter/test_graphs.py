"""The graph files of a bundle."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from bundle.manifest import ONNX_MODEL, PREDICT_MODEL, WEIGHTS
from exporter import graphs
from exporter.gradcam import explain
from tests.bundles import make_classifier


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    graphs.write(explain(make_classifier(np.random.default_rng(0), (12, 16, 3), 3, "Softmax")).model, tmp_path)
    return tmp_path


def answers(path: Path, **inputs: NDArray[np.generic]) -> NDArray[np.float32]:
    probabilities: NDArray[np.float32] = ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(
        ["probabilities"], inputs
    )[0]
    return probabilities


def test_the_graph_that_only_predicts_answers_as_the_one_that_explains(folder: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (5, 12, 16, 3), np.uint8)
    explained = answers(folder / ONNX_MODEL, pixels=pixels, targets=np.full((5, 1), -1))
    np.testing.assert_array_equal(answers(folder / PREDICT_MODEL, pixels=pixels), explained)


def test_the_graph_that_only_predicts_has_nothing_of_the_explanation(folder: Path) -> None:
    graph = onnx.load(folder / PREDICT_MODEL).graph
    assert [value.name for value in (*graph.input, *graph.output)] == ["pixels", "probabilities"]
    names = [node.name for node in graph.node] + [tensor.name for tensor in graph.initializer]
    assert not any(name.startswith("gradcam/") for name in names)


def test_both_graphs_read_their_weights_from_one_file_beside_them(folder: Path) -> None:
    places = []
    for name in (ONNX_MODEL, PREDICT_MODEL):
        graph = onnx.load(folder / name, load_external_data=False).graph
        (dense,) = [tensor for tensor in graph.initializer if tensor.name == "weights"]
        places.append({entry.key: entry.value for entry in dense.external_data})
        assert (folder / name).stat().st_size < 8 << 10
    assert places[0] == places[1]
    assert places[0]["location"] == WEIGHTS
