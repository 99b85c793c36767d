"""The engines answer alike, and the fastest is taken."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundle import files, golden
from bundle.errors import BundleError
from server.config import Device, EngineName, Settings
from server.engine import onnxruntime, openvino
from server.engine.base import Array, Engine
from server.engine.compiled import CompiledEngine, Graph
from server.engine.select import Choice, Probe, choose, shortest
from server.serving.loading import load
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


ORT, OV = EngineName.ONNXRUNTIME, EngineName.OPENVINO


@pytest.mark.parametrize(
    ("milliseconds", "taken"),
    [
        ({(ORT, 1): 0.2}, Choice(ORT, 1)),  # tiny: nothing else is even tried
        ({(ORT, 1): 40, (ORT, 2): 21, (OV, 2): 25}, Choice(ORT, 2)),
        ({(ORT, 1): 40, (ORT, 2): 21, (OV, 2): 7}, Choice(OV, 2)),
        ({(ORT, 1): 40, (ORT, 2): 38, (OV, 2): 39}, Choice(ORT, 1)),  # hardly faster is not worth it
    ],
)
def test_the_fastest_engine_is_taken(
    tmp_path: Path, milliseconds: dict[tuple[EngineName, int], float], taken: Choice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.engine.select.available_cores", lambda: 2)
    wanted = replace(settings(tmp_path), engine=EngineName.AUTO, threads=0)
    assert choose(wanted, lambda choice: milliseconds[choice.engine, choice.threads] / 1e3) == taken


@pytest.mark.parametrize("engine", [ORT, OV])
def test_what_is_asked_for_is_taken_without_measuring(tmp_path: Path, engine: EngineName) -> None:
    wanted: Settings = replace(settings(tmp_path), engine=engine, threads=3)

    def measured(choice: Choice) -> float:
        raise AssertionError(f"{choice} was measured")

    assert choose(wanted, measured) == Choice(engine, 3)


def test_the_first_run_is_not_measured_and_the_shortest_counts() -> None:
    ticks = iter([0.0, 5.0, 10.0, 12.0, 20.0, 23.0])

    idle = CompiledEngine("idle", "fp32", "cpu", (), [Graph((), frozenset(), lambda _feeds, _wanted: [])])
    assert shortest(idle, Probe({}, []), lambda: next(ticks)) == 2.0
