"""`python -m exporter optimise` on small bundles: what the new version answers, says of itself, and looks like."""

from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from bundle import files, strict
from bundle.manifest import REPORT, REPORT_PAGE, Manifest, Method
from exporter import parity
from exporter.optimise import engines
from exporter.report import Ladder
from server.config import EngineName, PrecisionName
from server.serving.loading import load
from tests.exporter.optimise.bundles import bundle_with_pictures, form, held_out, optimise, optimised
from tests.server.test_repository import settings

Answers = tuple[NDArray[np.float32], NDArray[np.float32]]


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with int8 and fp16 beside fp32, made once for the tests that only look at it."""
    models = tmp_path_factory.mktemp("models") / "m"
    optimised(bundle_with_pictures(models / "1"), models / "2", "--precision", "int8", "--precision", "fp16")
    return models / "2"


def run(path: Path, pixels: NDArray[np.uint8], classes: Sequence[int] | NDArray[np.intp]) -> Answers:
    """A graph's answers on ONNX Runtime, explained for one class of each picture."""
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    targets = np.asarray(classes, np.int64)[:, None]
    probabilities, heatmaps = session.run(["probabilities", "heatmaps"], {"pixels": pixels, "targets": targets})
    return probabilities, heatmaps


def exact_answers(version: Path) -> Answers:
    pixels = held_out()
    return run(version / "model.onnx", pixels, [-1] * len(pixels))


@pytest.mark.parametrize("engine", [EngineName.ONNXRUNTIME, EngineName.OPENVINO])
def test_the_server_loads_the_8_bit_form_and_its_heatmaps_are_those_of_fp32(version: Path, engine: EngineName) -> None:
    loaded = load(version, replace(settings(version), precision=PrecisionName.INT8, engine=engine)).engines[0]
    assert (loaded.name, loaded.precision) == (engine, "int8")
    probabilities, heatmaps = exact_answers(version)
    feeds = {"pixels": held_out(), "targets": probabilities.argmax(axis=1)[:, None]}
    found, maps = (np.asarray(each, np.float32) for each in loaded.run(feeds, ["probabilities", "heatmaps"]))
    assert parity.correlation(maps, heatmaps) > 0.95
    np.testing.assert_allclose(found, probabilities, atol=0.1)


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_a_picture_gets_the_same_answer_with_and_without_an_explanation(version: Path, precision: str) -> None:
    plain = ort.InferenceSession(version / precision / "predict.onnx", providers=["CPUExecutionProvider"])
    explained, _ = run(version / precision / "model.onnx", held_out(), [-1] * len(held_out()))
    np.testing.assert_allclose(plain.run(None, {"pixels": held_out()})[0], explained, atol=1e-3)


def test_the_figures_are_those_of_the_files(version: Path) -> None:
    probabilities, heatmaps = exact_answers(version)
    found, maps = run(version / "int8/model.onnx", held_out(), probabilities.argmax(axis=1))
    report = strict.read(version / REPORT, Ladder)
    told = next(each.distance for each in report.forms if (each.precision, each.engine) == ("int8", "onnxruntime"))
    assert told.top1_agreement == pytest.approx((found.argmax(axis=1) == probabilities.argmax(axis=1)).mean())
    assert told.max_probability_difference == pytest.approx(np.abs(found - probabilities).max(), abs=1e-6)
    assert told.heatmap_correlation == pytest.approx(parity.correlation(maps, heatmaps), abs=1e-5)


def test_the_manifest_has_the_worse_of_two_engines_and_the_speed_of_the_faster(version: Path) -> None:
    report = [each for each in strict.read(version / REPORT, Ladder).forms if each.precision == "int8"]
    written = form(files.verify_classifier(version), "int8")
    assert [each.engine for each in report] == ["onnxruntime", "openvino"]
    assert (written.engine, written.samples) == ("any", len(held_out()))
    assert written.top1_agreement == min(each.distance.top1_agreement for each in report)
    assert written.max_probability_difference == max(each.distance.max_probability_difference for each in report)
    assert written.heatmap_correlation == min(each.distance.heatmap_correlation for each in report)
    assert written.images_per_second == {
        size: max(each.images_per_second[size] for each in report) for size in ("1", "8", "32")
    }


def test_a_form_may_differ_at_load_by_twice_what_it_differed_by_and_by_what_fp32_may(version: Path) -> None:
    report = [each for each in strict.read(version / REPORT, Ladder).forms if each.precision == "int8"]
    tolerance = form(files.verify_classifier(version), "int8").tolerance
    assert tolerance.probabilities == pytest.approx(1e-3 + 2 * max(each.golden_probabilities for each in report))
    assert tolerance.heatmaps == pytest.approx(1e-2 + 2 * max(each.golden_heatmaps for each in report))


def test_half_precision_is_for_gpus_and_its_speed_on_a_cpu_is_not_told(version: Path) -> None:
    written = form(files.verify_classifier(version), "fp16")
    assert (written.engine, written.images_per_second) == ("onnxruntime", {})
    assert written.top1_agreement == 1
    assert written.max_probability_difference < 0.01


def test_what_the_export_wrote_is_carried_over_byte_for_byte(version: Path) -> None:
    before, after = (files.verify_classifier(version.parent / name) for name in ("1", "2"))
    assert {name: after.files[name] for name in before.files} == before.files
    assert after.provenance.source == before.provenance.source
    assert after.provenance.details["optimised_from"] == "m/1"


class _Page(HTMLParser):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_everything_and_needs_nothing_from_elsewhere(version: Path) -> None:
    page = _Page(version / REPORT_PAGE)
    assert {"svg", "table", "img"} <= page.tags
    assert not {"script", "link", "iframe"} & page.tags
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in page.addresses)
    for told in ("m/1 in fewer bits", "int8", "fp16", "OpenVINO", "48 pictures", "16 pictures", "99.5%"):
        assert told in page.text


def test_bfloat16_is_left_out_where_the_processor_lacks_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "has_bfloat16", lambda: False)
    answer = optimise(bundle_with_pictures(tmp_path / "m/1"), tmp_path / "m/2", "--precision", "bf16")
    assert answer.exit_code == 0, answer.output
    assert "left out bf16: this processor does not compute with bfloat16" in answer.stderr
    assert [each.name for each in files.verify_classifier(tmp_path / "m/2").precisions] == ["fp32"]


def test_bfloat16_is_the_same_files_on_openvino(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "has_bfloat16", lambda: True)
    manifest = optimised(bundle_with_pictures(tmp_path / "m/1"), tmp_path / "m/2", "--precision", "bf16")
    written, exact = form(manifest, "bf16"), form(manifest, "fp32")
    assert written.engine == "openvino"
    assert (written.file, written.predict_file) == (exact.file, exact.predict_file)


def test_without_openvino_a_form_is_only_for_the_engine_that_it_was_measured_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "installed", lambda: ["onnxruntime"])
    answer = optimise(bundle_with_pictures(tmp_path / "m/1"), tmp_path / "m/2", "--precision", "int8")
    assert "left out int8 on openvino: OpenVINO is not installed" in answer.stderr
    assert form(files.verify_classifier(tmp_path / "m/2"), "int8").engine == "onnxruntime"


def test_a_form_that_agrees_too_rarely_is_written_and_marked_and_not_chosen(tmp_path: Path) -> None:
    many = [f"class {number}" for number in range(100)]  # of a random network: the first two are often close
    answer = optimise(bundle_with_pictures(tmp_path / "m/1", labels=many), tmp_path / "m/2", "--precision", "int8")
    manifest = files.verify_classifier(tmp_path / "m/2")
    assert form(manifest, "int8").top1_agreement < manifest.minimum_top1_agreement
    assert "%*" in answer.stdout
    assert "†" in _Page(tmp_path / "m/2" / REPORT_PAGE).text
    chosen = load(tmp_path / "m/2", replace(settings(tmp_path), engine=EngineName.OPENVINO)).engines[0]
    assert chosen.precision == "fp32"


def test_optimising_again_makes_the_forms_anew(version: Path, tmp_path: Path) -> None:
    manifest = optimised(version, tmp_path / "m/3", "--precision", "fp16")
    assert [each.name for each in manifest.precisions] == ["fp32", "fp16"]
    assert not [name for name in manifest.files if name.startswith("int8/")]
    checks = [check.name for check in strict.read(tmp_path / "m/3" / REPORT, Ladder).form_checks]
    assert {name.split()[0] for name in checks} == {"fp32", "fp16"}


def test_several_methods_of_explanation_stay_in_every_form(tmp_path: Path) -> None:
    methods: tuple[Method, ...] = ("gradcam", "hirescam")
    source = bundle_with_pictures(tmp_path / "m/1", methods=methods)
    manifest: Manifest = optimised(source, tmp_path / "m/2", "--precision", "int8", "--precision", "fp16")
    assert manifest.explanations == list(methods)
    loaded = load(tmp_path / "m/2", replace(settings(tmp_path), precision=PrecisionName.INT8)).engines[0]
    feeds = {"pixels": held_out()[:2], "targets": np.array([[0, 0]] * 2), "methods": np.array([[0, 1]] * 2)}
    (heatmaps,) = loaded.run(feeds, ["heatmaps"])
    assert not np.array_equal(heatmaps[:, 0], heatmaps[:, 1])
