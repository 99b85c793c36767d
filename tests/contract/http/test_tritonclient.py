"""PyPI's tritonclient over HTTP, unchanged: what `drive_triton` saw."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.server_process import RunningServer
from tests.contract.http.asking import infer_json, pixels, tensor
from tests.contract.v2.ecosystem import report_of

DRIVER = Path(__file__).with_name("drive_triton.py")
WAYS = ("sync", "aio")

Report = dict[str, Any]


@pytest.fixture(scope="module")
def seen(server: RunningServer) -> Report:
    """What both clients saw."""
    return report_of(str(DRIVER), server.http)


def test_health_and_readiness(seen: Report) -> None:
    sync = seen["sync"]
    assert (sync["live"], sync["ready"], seen["aio"]["live"]) == (True, True, True)
    assert sync["models"] == {"shapes": True, "flipped": False, "nobody": False}


def test_the_server_and_its_models_describe_themselves(seen: Report) -> None:
    assert seen["sync"]["server"]["name"] == "seethrough"
    assert "binary_tensor_data" in seen["sync"]["server"]["extensions"]
    assert seen["sync"]["metadata"] == seen["aio"]["metadata"]
    assert seen["sync"]["metadata"]["inputs"][0] == {"name": "pixels", "datatype": "UINT8", "shape": [-1, 12, 16, 3]}
    assert seen["sync"]["config"]["input"][0] == {
        "name": "pixels",
        "data_type": "TYPE_UINT8",
        "format": "FORMAT_NHWC",
        "dims": [12, 16, 3],
        "optional": False,
    }


@pytest.mark.parametrize("way", WAYS)
def test_every_form_and_compression_gives_the_same_answer(seen: Report, server: RunningServer, way: str) -> None:
    (output,) = infer_json(server.http, {"inputs": [tensor(pixels(images=2))]}).json["outputs"]
    expected = np.reshape(output["data"], (2, 3))
    answers = seen[way]["probabilities"]
    assert len(answers) == 18
    np.testing.assert_allclose(answers, np.broadcast_to(expected, (18, 2, 3)), rtol=1e-5, atol=1e-6)


def test_explanations_come_compressed_or_not(seen: Report) -> None:
    assert seen["sync"]["heatmaps"] == [[2, 2, 10, 14]] * 3
    assert seen["aio"]["heatmaps"] == [2, 2, 10, 14]


def test_classification_gives_score_index_and_label(seen: Report) -> None:
    for row, entry in zip(seen["sync"]["probabilities"][0], seen["sync"]["labelled"], strict=True):
        score, index, label = entry.split(":")
        assert int(index) == int(np.argmax(row))
        assert float(score) == pytest.approx(max(row), abs=1e-6)
        assert label == ("circle", "square", "star")[int(index)]


def test_the_id_comes_back(seen: Report) -> None:
    assert seen["sync"]["id"] == "7"


def test_statistics_count_what_was_done(seen: Report) -> None:
    (version,) = seen["sync"]["statistics"]["model_stats"]
    assert (version["name"], version["version"], seen["aio"]["statistics"]) == ("shapes", "3", "shapes")
    assert version["inference_count"] >= 36
    assert version["inference_stats"]["success"]["ns"] > 0
    assert sum(each["compute_infer"]["count"] for each in version["batch_stats"]) == version["execution_count"]
    assert seen["sync"]["all statistics"] > 1


def test_the_repository_is_listed_and_controlled(seen: Report) -> None:
    states = {(each["name"], each["version"]): each["state"] for each in seen["aio"]["index"]}
    assert (states["shapes", "3"], states["shapes", "7"]) == ("READY", "UNAVAILABLE")
    assert seen["sync"]["unload"] == [["200", ""], False]
    assert seen["sync"]["load"] == [["200", ""], True]


def test_a_refusal_arrives_with_its_status_and_reason(seen: Report) -> None:
    status, reason = seen["sync"]["refused"]
    assert status == "404"
    assert reason.startswith("no model 'nobody'; there are: digits")
