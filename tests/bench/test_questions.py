"""Requests of a load and what their answers must be."""

from pathlib import Path

import numpy as np
import pytest

from bench import local_engine, questions
from bench.local_engine import EXPLAIN, Setting
from bundle import golden, manifest
from proto import open_inference_pb2 as v2
from server.config import EngineName
from tests.bundles import make_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("models") / "shapes/1")


def answer(*outputs: np.ndarray) -> bytes:
    raw = [output.astype("<f4").tobytes() for output in outputs]
    return v2.ModelInferResponse(raw_output_contents=raw).SerializeToString()


def test_an_answer_is_right_only_with_the_probabilities_and_the_heatmap_of_its_own_picture(bundle: Path) -> None:
    pixels = golden.read(bundle, manifest.read_classifier(bundle)).pixels
    engine, _ = local_engine.load(bundle, Setting(EngineName.ONNXRUNTIME))
    calls = questions.raw("shapes", pixels, engine, heatmaps=0.01)
    probabilities, heatmaps = engine.run(local_engine.feeds(pixels), EXPLAIN)

    assert calls.judge is not None
    assert calls.judge(1, answer(probabilities[1], heatmaps[1])) == ""
    assert "probabilities differ" in calls.judge(0, answer(probabilities[1], heatmaps[0]))
    assert "the heatmap differs" in calls.judge(0, answer(probabilities[0], 1 - heatmaps[0]))
    assert "no heatmap of" in calls.judge(0, answer(probabilities[0]))
    assert "nan" in calls.judge(0, answer(probabilities[0], np.full_like(heatmaps[0], np.nan)))


def test_a_request_carries_one_picture_raw_or_as_a_file_with_its_length_in_front() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 2, 3, 2)
    plain, explained = (
        v2.ModelInferRequest.FromString(questions.raw_bodies("shapes", pixels, heatmaps=wanted)[1])
        for wanted in (False, True)
    )
    assert list(plain.inputs[0].shape) == [1, 2, 3, 2]
    assert plain.raw_input_contents[0] == pixels[1].tobytes()
    assert [output.name for output in plain.outputs] == ["probabilities"]
    assert [output.name for output in explained.outputs] == ["probabilities", "heatmaps"]

    (body,) = questions.file_bodies("shapes", [b"picture"])
    assert v2.ModelInferRequest.FromString(body).raw_input_contents[0] == b"\7\0\0\0picture"
