"""The engines answer alike, and the fastest is taken."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bundle import files, golden
from bundle.errors import BundleError
from bundle.manifest import Precision
from server.config import Device, EngineName, PrecisionName
from server.engine import onnxruntime, openvino
from server.engine.base import Array, Engine
from server.engine.compiled import CompiledEngine, Graph
from server.engine.select import Choice, Probe, choices, fastest, forms, shortest
from server.serving.loading import load
from tests.bundle.folders import UNSEALED
from tests.bundles import make_bundle, make_tensor_bundle
from tests.server.test_repository import settings


def on_onnx_runtime(graphs: Sequence[Path]) -> Engine:
    return onnxruntime.build(graphs, "fp32", Device.CPU, 1, 8)


def on_openvino(graphs: Sequence[Path]) -> Engine:
    return openvino.build(graphs, "fp32", 1)


ENGINES = [on_onnx_runtime, on_openvino]


@pytest.mark.parametrize("build", ENGINES)
def test_every_engine_gives_the_golden_answers(tmp_path: Path, build: Callable[[Sequence[Path]], Engine]) -> None:
    folder = make_bundle(tmp_path / "m/1", methods=["gradcam", "layercam"])
    manifest = files.verify_classifier(folder)
    samples = golden.read(folder, manifest)
    precision = manifest.precisions[0]
    engine = build([folder / precision.predict_file, folder / precision.file])
    feeds: Mapping[str, Array] = {
        "pixels": samples.pixels,
        "targets": samples.targets,
        "methods": samples.methods,
    }
    heatmaps, probabilities = (output.astype(np.float32) for output in engine.run(feeds, ["heatmaps", "probabilities"]))
    assert max(golden.difference(samples, probabilities, heatmaps)) < 1e-5
    (alone,) = engine.run({"pixels": samples.pixels}, ["probabilities"])
    assert golden.relative_difference(samples.probabilities, alone) < 1e-5


@pytest.mark.parametrize("name", [EngineName.ONNXRUNTIME, EngineName.OPENVINO, EngineName.AUTO])
def test_every_kind_of_bundle_loads_on_every_engine(tmp_path: Path, name: EngineName) -> None:
    wanted = replace(settings(tmp_path), engine=name)
    for folder in (make_bundle(tmp_path / "m/1"), make_tensor_bundle(tmp_path / "n/1")):
        assert name in (EngineName.AUTO, load(folder, wanted).engine.name)


def test_openvino_on_a_gpu_is_refused_with_the_reason(tmp_path: Path) -> None:
    wanted = replace(settings(tmp_path), engine=EngineName.OPENVINO, device=Device.CUDA)
    with pytest.raises(BundleError, match="runs on CPUs only"):
        load(make_bundle(tmp_path / "m/1"), wanted)


def test_a_precision_that_the_bundle_does_not_have_is_refused_with_what_makes_it(tmp_path: Path) -> None:
    wanted = replace(settings(tmp_path), precision=PrecisionName.INT8)
    with pytest.raises(BundleError, match="has no int8, it has: fp32; `python -m exporter optimise`"):
        load(make_bundle(tmp_path / "m/1"), wanted)


def precisions(**agreement: float) -> list[Precision]:
    """fp32, and other forms that agree so often with the trained model."""
    (exact,) = UNSEALED.precisions
    return [
        exact,
        *(msgspec.structs.replace(exact, name=name, top1_agreement=found) for name, found in agreement.items()),
    ]


def test_only_forms_that_agree_often_enough_are_taken_by_themselves_the_most_exact_first() -> None:
    manifest = msgspec.structs.replace(UNSEALED, precisions=precisions(int8=0.99, bf16=0.998)[::-1])
    assert [form.name for form in forms(manifest, PrecisionName.AUTO)] == ["fp32", "bf16"]
    assert [form.name for form in forms(manifest, PrecisionName.INT8)] == ["int8"]


ORT, OV = EngineName.ONNXRUNTIME, EngineName.OPENVINO


def test_one_thread_is_tried_before_all_and_onnx_runtime_before_openvino(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.config.available_cores", lambda: 2)
    wanted = replace(settings(tmp_path), engine=EngineName.AUTO, threads=0)
    expected = [Choice(ORT, "fp32", 1), Choice(ORT, "fp32", 2), Choice(OV, "fp32", 2)]
    assert choices(precisions(), wanted) == expected


@pytest.mark.parametrize("engine", [ORT, OV])
def test_an_engine_and_threads_that_are_asked_for_are_the_only_choice(tmp_path: Path, engine: EngineName) -> None:
    wanted = replace(settings(tmp_path), engine=engine, threads=3)
    assert choices(precisions(), wanted) == [Choice(engine, "fp32", 3)]


CHOICES = [Choice(ORT, "fp32", 1), Choice(ORT, "fp32", 2), Choice(OV, "fp32", 2)]


@pytest.mark.parametrize(
    ("milliseconds", "taken"),
    [
        ([0.2], 0),  # tiny: nothing else is even tried
        ([40, 21, 25], 1),
        ([40, 21, 7], 2),
        ([40, 38, 39], 0),  # hardly faster is not worth it
    ],
)
def test_the_fastest_choice_is_taken(milliseconds: list[float], taken: int) -> None:
    assert fastest(CHOICES, lambda choice: milliseconds[CHOICES.index(choice)] / 1e3) == CHOICES[taken]


def test_an_only_choice_is_not_measured() -> None:
    def measured(choice: Choice) -> float:
        raise AssertionError(f"{choice} was measured")

    assert fastest(CHOICES[1:2], measured) == CHOICES[1]


def test_the_first_run_is_not_measured_and_the_shortest_counts() -> None:
    ticks = iter([0.0, 5.0, 10.0, 12.0, 20.0, 23.0])

    idle = CompiledEngine("idle", "fp32", "cpu", (), [Graph((), frozenset(), lambda _feeds, _wanted: [])])
    assert shortest(idle, Probe({}, []), lambda: next(ticks)) == 2.0
