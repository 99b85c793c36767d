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
from server.engine.select import Choice, Probe, Trial, by_speed, choices, forms, largest_batch, shortest
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
        assert name in (EngineName.AUTO, load(folder, wanted).engines[0].name)


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


@pytest.mark.parametrize(("flags", "engines"), [("fma avx2", [ORT]), ("avx2 avx512f", [ORT, OV])])
def test_onnx_runtime_is_tried_first_and_openvino_only_where_it_may_win(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, engines: list[EngineName]
) -> None:
    monkeypatch.setattr("server.engine.select.processor_flags", lambda: frozenset(flags.split()))
    wanted = replace(settings(tmp_path), engine=EngineName.AUTO, threads=2)
    assert choices(precisions(), wanted) == [Choice(engine, "fp32", 2) for engine in engines]


@pytest.mark.parametrize("engine", [ORT, OV])
def test_an_engine_and_threads_that_are_asked_for_are_the_only_choice(tmp_path: Path, engine: EngineName) -> None:
    wanted = replace(settings(tmp_path), engine=engine, threads=3)
    assert choices(precisions(), wanted) == [Choice(engine, "fp32", 3)]


IDLE = CompiledEngine("idle", "fp32", "cpu", (), [Graph((), frozenset(), lambda _feeds, _wanted: [])])
ORT_2, OV_2, INT8_2 = Choice(ORT, "fp32", 2), Choice(OV, "fp32", 2), Choice(ORT, "int8", 2)
ORT_1, OV_1 = replace(ORT_2, threads=1), replace(OV_2, threads=1)


@pytest.mark.parametrize(
    ("milliseconds", "order"),
    [
        ({ORT_2: 21, OV_2: 25, INT8_2: 30}, [ORT_2, OV_2, INT8_2]),
        ({ORT_2: 21, OV_2: 7, INT8_2: 30}, [OV_2, ORT_2, INT8_2]),
        ({ORT_2: 21, OV_2: 20, INT8_2: 20}, [ORT_2, OV_2, INT8_2]),  # hardly faster is not worth it
        ({ORT_2: 1.8, ORT_1: 1.9, OV_2: 1.8, OV_1: 3, INT8_2: 9}, [ORT_1, OV_2, INT8_2]),
        ({ORT_2: 0.2, ORT_1: 0.2}, [ORT_1]),  # tiny: nothing else is even tried
    ],
)
def test_the_fastest_comes_first_and_small_ones_on_one_thread(
    milliseconds: dict[Choice, float], order: list[Choice]
) -> None:
    def trial(choice: Choice) -> Trial:
        return Trial(choice, IDLE, milliseconds[choice] / 1e3)

    found = by_speed([ORT_2, OV_2, INT8_2], trial, any_threads=True)
    assert [each.choice for each in found] == order


def test_threads_that_were_asked_for_are_not_changed() -> None:
    def trial(choice: Choice) -> Trial:
        return Trial(choice, IDLE, 1e-4)

    (found,) = by_speed([ORT_2], trial, any_threads=False)
    assert found.choice == ORT_2


@pytest.mark.parametrize(
    ("device", "milliseconds", "asked", "most"),
    [("cpu", 0.2, 0, 32), ("cpu", 5, 0, 16), ("cpu", 200, 0, 8), ("cuda", 200, 0, 32), ("cpu", 200, 64, 64)],
)
def test_batches_on_a_cpu_are_as_large_as_pays_unless_asked_for(
    tmp_path: Path, device: str, milliseconds: float, asked: int, most: int
) -> None:
    trial = Trial(ORT_2, replace(IDLE, device=device), milliseconds / 1e3)
    assert largest_batch(trial, replace(settings(tmp_path), max_batch=asked)) == most


def test_when_the_fastest_gives_other_answers_the_next_one_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, build = make_bundle(tmp_path / "m/1"), openvino.build

    def off_by_much(graphs: Sequence[Path], precision: str, threads: int) -> CompiledEngine:
        right = build(graphs, precision, threads)

        def wrong(graph: Graph) -> Graph:
            return replace(
                graph,
                run=lambda feeds, wanted: [
                    np.asarray(answer, np.float32) + np.float32(0.1) for answer in graph.run(feeds, wanted)
                ],
            )

        return replace(right, graphs=[wrong(graph) for graph in right.graphs])

    seconds = {"onnxruntime": 0.02, "openvino": 0.01}
    monkeypatch.setattr("server.engine.select.processor_flags", lambda: frozenset({"avx512f"}))
    monkeypatch.setattr("server.engine.select.shortest", lambda engine, *_: seconds[engine.name])
    monkeypatch.setattr("server.engine.openvino.build", off_by_much)
    assert load(folder, replace(settings(tmp_path), engine=EngineName.AUTO)).engines[0].name == "onnxruntime"
    with pytest.raises(BundleError, match="golden check"):
        load(folder, replace(settings(tmp_path), engine=EngineName.OPENVINO))


def test_the_first_run_is_not_measured_and_the_shortest_counts() -> None:
    ticks = iter([0.0, 0.005, 0.010, 0.012, 0.020, 0.023])

    assert shortest(IDLE, Probe({}, []), lambda: next(ticks)) == pytest.approx(0.002)


@pytest.mark.parametrize("engine", [EngineName.ONNXRUNTIME, EngineName.OPENVINO])
def test_a_bundle_that_is_cut_short_while_it_is_served_changes_no_answer(tmp_path: Path, engine: EngineName) -> None:
    folder = make_bundle(tmp_path / "m/1")
    loaded = load(folder, replace(settings(tmp_path), engine=engine)).engines[0]
    feeds: dict[str, Array] = {"pixels": np.full((2, 12, 16, 3), 77, np.uint8)}
    (before,) = (answer.copy() for answer in loaded.run(feeds, ["probabilities"]))
    for file in folder.iterdir():
        file.write_bytes(b"")  # a file that is mapped into memory would end the process here
    np.testing.assert_array_equal(loaded.run(feeds, ["probabilities"])[0], before)


def test_engines_beside_each_other_share_nothing(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "m/1")
    loaded = load(folder, replace(settings(tmp_path), instances=3))
    assert len({id(engine) for engine in loaded.engines}) == 3
    feeds: dict[str, Array] = {"pixels": np.full((2, 12, 16, 3), 77, np.uint8)}
    first, *others = (engine.run(feeds, ["probabilities"])[0] for engine in loaded.engines)
    for other in others:
        np.testing.assert_array_equal(first, other)


def test_an_engine_is_not_built_anew_from_another_bundle(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "m/1")
    loaded = load(folder, settings(tmp_path))
    folder.rename(tmp_path / "old")
    make_bundle(folder, seed=9)
    with pytest.raises(BundleError, match="another bundle"):
        loaded.rebuild()
