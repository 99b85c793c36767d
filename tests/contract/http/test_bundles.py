"""What bundles keep for people, over HTTP: samples, checks, report, golden check."""

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.server_process import RunningServer, serving
from bundle import files, manifest, samples
from bundle.samples import UNKNOWN, Samples
from tests.bundles import GOLDEN_SAMPLES, make_bundle
from tests.contract.http.asking import ask

SHAPES = "/v1/models/shapes/versions/3"


def get(server: RunningServer, path: str) -> Any:
    answer = ask(server.http, "GET", path)
    assert answer.status == 200, answer.body
    return answer.json


def test_a_bundle_tells_its_forms_their_agreement_and_how_pictures_are_prepared(server: RunningServer) -> None:
    told = get(server, f"{SHAPES}/bundle")
    assert (told["name"], told["version"], told["precision"]) == ("shapes", 3, "fp32")
    (form,) = told["precisions"]
    assert (form["top1_agreement"], form["samples"]) == (1.0, GOLDEN_SAMPLES)
    assert (told["preprocess"]["height"], told["preprocess"]["width"]) == (12, 16)
    assert told["feature_map"] == {
        "layer": "features", "height": 10, "width": 14, "left": 1.0, "top": 1.0, "right": 15.0, "bottom": 11.0
    }  # fmt: skip
    assert (told["checks"], told["has_report_page"]) == ([], False)


def test_without_held_out_pictures_the_samples_are_the_golden_ones(server: RunningServer) -> None:
    told = get(server, f"{SHAPES}/samples")
    assert told["source"] == "golden"
    assert told["samples"] == [{"index": index, "label": None} for index in range(GOLDEN_SAMPLES)]


def test_a_sample_is_a_picture_of_the_models_own_size_that_can_be_classified(server: RunningServer) -> None:
    answer = ask(server.http, "GET", f"{SHAPES}/samples/0")
    assert answer.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(answer.body)) as picture:
        assert (picture.mode, picture.size) == ("RGB", (16, 12))
    assert ask(server.http, "POST", "/v1/models/shapes:classify?version=3", answer.body).status == 200


def test_a_grey_models_samples_are_grey(server: RunningServer) -> None:
    with Image.open(io.BytesIO(ask(server.http, "GET", "/v1/models/digits/versions/1/samples/1").body)) as picture:
        assert (picture.mode, picture.size) == ("L", (28, 28))


@pytest.mark.parametrize("index", ["4", "99999999999999999999", "x", "-1", "1.0"])
def test_a_sample_that_there_is_not_is_not_found(server: RunningServer, index: str) -> None:
    answer = ask(server.http, "GET", f"{SHAPES}/samples/{index}")
    assert (answer.status, answer.error) == (404, f"no sample {index!r}; there are: 0 to 3")


@pytest.mark.parametrize("model", ["shapes", "traits", "pair"])
def test_the_golden_pictures_get_the_trained_models_answers_again(server: RunningServer, model: str) -> None:
    version = "3" if model == "shapes" else "1"
    told = get(server, f"/v1/models/{model}/versions/{version}/golden")
    assert (told["passed"], told["pictures"]) == (True, GOLDEN_SAMPLES)
    assert 0 <= told["probability_difference"] <= told["probability_tolerance"] == 1e-3
    assert 0 <= told["heatmap_difference"] <= told["heatmap_tolerance"] == 1e-2


def test_a_golden_check_counts_as_nobodys_pictures(server: RunningServer) -> None:
    def answered() -> list[str]:
        page = ask(server.http, "GET", "/metrics").body.decode()
        return [line for line in page.splitlines() if line.startswith("seethrough_images_total") and '"pair"' in line]

    before = answered()
    get(server, "/v1/models/pair/versions/1/golden")
    assert answered() == before


WHERE = ["bundle", "samples", "samples/0", "golden", "report"]


@pytest.mark.parametrize("part", WHERE)
def test_of_a_version_that_is_not_in_service_or_takes_no_images_nothing_is_told(
    server: RunningServer, part: str
) -> None:
    refused = ask(server.http, "GET", f"/v1/models/flipped/versions/1/{part}")
    assert refused.status == 503
    assert "refused" in refused.error
    assert ask(server.http, "GET", f"/v1/models/nothing/versions/1/{part}").status == 404
    tensors = ask(server.http, "GET", f"/v1/models/line/versions/1/{part}")
    assert (tensors.status, tensors.error) == (
        400, "model 'line' takes no images: its bundle has no pictures and no evidence"
    )  # fmt: skip


def test_without_a_report_it_is_said_how_to_make_one(server: RunningServer) -> None:
    answer = ask(server.http, "GET", f"{SHAPES}/report")
    assert answer.status == 404
    assert "python -m exporter optimise" in answer.error


REPORT = b"<!DOCTYPE html><title>Report</title>"
CHECKS = b"""{"schema": "x", "checks": [{"name": "n", "compared": "c", "measured": 0.25, "rule": "at most", "limit": 1, "passed": true}]}"""


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A repository whose model `shapes` version 1 has everything that a bundle can have."""
    folder = make_bundle(tmp_path / "models/shapes/1")
    known = manifest.read_classifier(folder)
    pixels = np.random.default_rng(0).integers(0, 256, (3, *known.input_shape), np.uint8)
    samples.write(folder, Samples(pixels, np.array([2, UNKNOWN, 0])))
    (folder / manifest.REPORT_PAGE).write_bytes(REPORT)
    (folder / manifest.REPORT).write_bytes(CHECKS)
    files.seal(folder, known)
    return tmp_path / "models"


def test_held_out_pictures_have_their_labels_and_the_report_its_own_policy(full: Path) -> None:
    stored = samples.read(full / "shapes/1/samples.npz", manifest.read_classifier(full / "shapes/1"))
    with serving(full, "--no-watch") as running:
        path = "/v1/models/shapes/versions/1"
        told = get(running, f"{path}/samples")
        assert (told["source"], [each["label"] for each in told["samples"]]) == ("held-out", ["star", None, "circle"])
        with Image.open(io.BytesIO(ask(running.http, "GET", f"{path}/samples/1").body)) as picture:
            np.testing.assert_array_equal(np.asarray(picture), stored.pixels[1])
        report = ask(running.http, "GET", f"{path}/report")
        assert (report.body, report.headers["content-type"]) == (REPORT, "text/html; charset=utf-8")
        assert "sandbox; default-src 'none'" in report.headers["content-security-policy"]
        (check,) = get(running, f"{path}/bundle")["checks"]
        assert (check["measured"], check["rule"], check["passed"]) == (0.25, "at most", True)
        shutil.rmtree(full / "shapes/1")
        make_bundle(full / "shapes/1", seed=5)
        other = ask(running.http, "GET", f"{path}/samples")
        assert other.status == 503
        assert "not the one in service any more" in other.error


def test_the_server_tells_where_its_other_port_is_and_what_it_takes(server: RunningServer) -> None:
    told = get(server, "/v1/server")
    assert told["grpc_port"] == int(server.grpc.rpartition(":")[2])
    assert told["max_request_bytes"] == 1 << 20
    assert {"jpeg", "png"} <= set(told["image_formats"])


def test_the_last_minutes_are_told_by_column(server: RunningServer) -> None:
    told = get(server, "/v1/history?minutes=15")
    points = len(told["times"])
    assert len(told["seconds"]) == len(told["inflight"]) == points
    assert list(told["stages"]) == ["decode", "queue", "infer", "render", "total"]
    assert all(len(stage["p50"]) == len(stage["p99"]) == points for stage in told["stages"].values())
    assert told["batches"]["most_images"] == [1, 2, 4, 8, 16, 32, 64, 128, None]


@pytest.mark.parametrize("query", ["minutes=0", "minutes=16", "minutes=many", "hours=1"])
def test_minutes_that_are_not_kept_are_refused(server: RunningServer, query: str) -> None:
    assert ask(server.http, "GET", f"/v1/history?{query}").status == 400
