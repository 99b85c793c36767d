"""PyPI's tritonclient over gRPC, unchanged: what `drive_triton` saw, against what our own service says."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.server_process import RunningServer
from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from tests.contract.v2.ecosystem import drive

Report = dict[str, Any]


@pytest.fixture(scope="module")
def seen(server: RunningServer) -> Report:
    """What each case of the driver saw."""
    return drive("drive_triton.py", server)


def pixels(seed: int = 0, images: int = 1) -> NDArray[np.uint8]:
    """The same as the driver's."""
    return np.random.default_rng(seed).integers(0, 256, (images, 12, 16, 3), np.uint8)


def expected(stub: "rpc.ImageClassifierStub", images: NDArray[np.uint8], model: str = "shapes") -> list[list[float]]:
    """The probabilities that seethrough.v1 answers, in the order of the classes."""
    raw = [pb.Image(pixels=pb.RawPixels(height=12, width=16, channels=3, data=each.tobytes())) for each in images]
    response = stub.Classify(pb.ClassifyRequest(model=model, images=raw, top_k=99))
    by_class = [sorted(result.predictions, key=lambda each: each.class_index) for result in response.results]
    return [[prediction.probability for prediction in predictions] for predictions in by_class]


def test_health_and_readiness_of_each_model(seen: Report) -> None:
    ready = {"shapes": True, "shapes 1": True, "shapes 7": False, "shapes 9": False, "nobody": False, "flipped": False}
    assert seen["health"] == {"live": True, "ready": True, "models": ready}


def test_the_server_names_itself_and_only_extensions_that_it_has(seen: Report) -> None:
    assert seen["server_metadata"]["name"] == "seethrough"
    extensions = "binary_tensor_data classification model_configuration model_repository schedule_policy statistics"
    assert seen["server_metadata"]["extensions"] == extensions.split()


def test_metadata_has_names_types_and_shapes_with_the_batch(seen: Report) -> None:
    shapes = seen["model_metadata"]["shapes"]
    assert (shapes["name"], shapes["versions"], shapes["platform"]) == ("shapes", ["1", "3"], "onnxruntime_onnx")
    assert shapes["inputs"] == [
        {"name": "pixels", "datatype": "UINT8", "shape": ["-1", "12", "16", "3"]},
        {"name": "image", "datatype": "BYTES", "shape": ["-1", "1"]},
        {"name": "targets", "datatype": "INT64", "shape": ["-1", "-1"]},
    ]
    assert shapes["outputs"] == [
        {"name": "probabilities", "datatype": "FP32", "shape": ["-1", "3"]},
        {"name": "heatmaps", "datatype": "FP32", "shape": ["-1", "-1", "10", "14"]},
    ]
    line = seen["model_metadata"]["line"]
    assert [(each["name"], each["datatype"]) for each in line["inputs"]] == [("x", "FP32"), ("offset", "INT64")]


def test_the_configuration_leaves_the_batch_out_and_marks_what_may_be_left_out(seen: Report) -> None:
    shapes = seen["model_config"]["shapes"]
    assert (shapes["name"], shapes["backend"], shapes["max_batch_size"]) == ("shapes", "onnxruntime", 32)
    assert "dynamic_batching" in shapes
    assert shapes["input"] == [
        {"name": "pixels", "data_type": "TYPE_UINT8", "format": "FORMAT_NHWC", "dims": ["12", "16", "3"]},
        {"name": "image", "data_type": "TYPE_STRING", "dims": ["1"], "optional": True},
        {"name": "targets", "data_type": "TYPE_INT64", "dims": ["-1"], "optional": True},
    ]
    assert [each["dims"] for each in shapes["output"]] == [["3"], ["-1", "10", "14"]]
    assert seen["model_config"]["line"]["input"] == [
        {"name": "x", "data_type": "TYPE_FP32", "dims": ["3"]},
        {"name": "offset", "data_type": "TYPE_INT64"},
    ]


def test_an_unknown_model_is_not_found_and_a_refused_one_unavailable(seen: Report) -> None:
    found = seen["unknown_models"]
    assert {key: status for key, (status, _) in found.items()} == {
        **dict.fromkeys(("metadata", "config", "statistics", "infer"), "StatusCode.NOT_FOUND"),
        "refused": "StatusCode.UNAVAILABLE",
    }
    assert "no model 'nobody'; there are: digits" in found["infer"][1]
    assert "golden.npz: changed since export" in found["refused"][1]


def test_raw_pixels_get_the_same_answer_as_in_our_own_service(seen: Report, stub: "rpc.ImageClassifierStub") -> None:
    found = seen["infer_raw"]
    assert (found["id"], found["model"], found["outputs"]) == ("order-66", ["shapes", "3"], ["probabilities"])
    np.testing.assert_allclose(found["probabilities"], expected(stub, pixels(images=3)), atol=1e-6)


def test_who_asks_raw_is_answered_raw_and_who_asks_typed_is_answered_typed(seen: Report) -> None:
    assert (seen["infer_raw"]["raw"], seen["infer_typed"]["raw"]) == (1, 0)
    np.testing.assert_allclose(seen["infer_typed"]["probabilities"], seen["infer_raw"]["probabilities"], atol=1e-6)


def test_encoded_pictures_get_the_same_answer_as_their_pixels(seen: Report) -> None:
    np.testing.assert_allclose(seen["infer_encoded"], seen["infer_raw"]["probabilities"], atol=1e-6)


def test_heatmaps_come_when_asked_for_by_name_or_by_targets(seen: Report) -> None:
    found = seen["explained"]
    status, reason = found.pop("by no method")
    assert found == {
        "without targets": None,
        "with targets": [2, 2, 10, 14],
        "with targets, probabilities alone": None,
        "by name": [1, 1, 10, 14],
        "by a method": [2, 2, 10, 14],
    }
    assert (status, reason) == (
        "StatusCode.INVALID_ARGUMENT",
        "parameters: method 'magic'; the model explains by: gradcam, hirescam, layercam",
    )


def test_classification_answers_score_index_and_label_highest_first(
    seen: Report, stub: "rpc.ImageClassifierStub"
) -> None:
    labels = ("circle", "square", "star")
    for entries, scores in zip(seen["classification"]["probabilities"], expected(stub, pixels(images=2)), strict=True):
        best = sorted(range(3), key=lambda index: -scores[index])[:2]
        assert [entry.split(":")[1:] for entry in entries] == [[str(index), labels[index]] for index in best]
        assert [float(entry.split(":")[0]) for entry in entries] == pytest.approx([scores[i] for i in best], abs=1e-6)
    assert seen["classification"]["without labels"][0] == ["14.000000:2", "12.000000:1", "10.000000:0"]


def test_a_model_without_images_takes_and_gives_named_tensors(seen: Report) -> None:
    assert seen["tensors"] == {"line": [[10, 12, 14], [26, 28, 30]], "largest": [14, 30], "one": ["largest"]}


def test_the_repository_is_listed_unloaded_and_loaded(seen: Report) -> None:
    found = seen["repository"]
    assert found["index"]["shapes 3"] == "READY"
    assert found["index"]["flipped 1"] == "UNAVAILABLE"
    ready, state, (status, reason) = found["unloaded"]
    assert (ready, state, status) == (False, "UNAVAILABLE", "StatusCode.UNAVAILABLE")
    assert "unloaded" in reason
    assert found["loaded"] == [True, "READY", ["OK", ""]]


@pytest.mark.parametrize(
    ("case", "status", "reason"),
    [
        ("load nobody", "NOT_FOUND", "no bundle of a model 'nobody'"),
        ("load another configuration", "INVALID_ARGUMENT", "a model is loaded as its bundle on disk says"),
        ("unload nobody", "NOT_FOUND", "no model 'nobody'"),
    ],
)
def test_what_cannot_be_loaded_or_unloaded_is_told_why(seen: Report, case: str, status: str, reason: str) -> None:
    found, told = seen["repository"][case]
    assert found == f"StatusCode.{status}"
    assert reason in told


def grown(seen: Report, *path: str) -> int:
    """By how much a number of the statistics grew."""
    before, after = seen["statistics"]["before"], seen["statistics"]["after"]
    for key in path:
        before, after = before.get(key, {}), after[key]
    return int(after) - int(before or 0)


def test_statistics_count_images_runs_and_time_in_every_stage(seen: Report) -> None:
    assert grown(seen, "inference_count") == 5
    assert 1 <= grown(seen, "execution_count") <= 5
    assert grown(seen, "inference_stats", "fail", "count") == 1
    for stage in ("success", "queue", "compute_input", "compute_infer", "compute_output"):
        assert grown(seen, "inference_stats", stage, "count") == 1  # they came as one tensor
    for stage in ("success", "queue", "compute_infer"):  # which is not decoded, nor are pictures drawn
        assert grown(seen, "inference_stats", stage, "ns") > 0
    assert {"shapes", "line"} <= set(seen["statistics"]["models"])
    assert "flipped" not in seen["statistics"]["models"]


def test_a_stream_answers_in_order_and_an_error_in_its_place(seen: Report, stub: "rpc.ImageClassifierStub") -> None:
    assert [answer.get("id", "error") for answer in seen["stream"]] == ["0", "1", "2", "error", "4", "5"]
    assert "no model 'nobody'" in seen["stream"][3]["error"]
    for number in (0, 5):
        np.testing.assert_allclose(seen["stream"][number]["probabilities"], expected(stub, pixels(number)), atol=1e-6)


def test_a_cancelled_call_is_given_up_and_the_next_is_answered(seen: Report) -> None:
    assert seen["cancellation"] == {"cancelled": "StatusCode.CANCELLED", "afterwards": ["OK", ""]}


def test_timeouts_of_the_call_and_of_the_request_both_end_it(seen: Report) -> None:
    assert seen["timeouts"]["the client's"] == "StatusCode.DEADLINE_EXCEEDED"
    assert seen["timeouts"]["the request's"][0] == "StatusCode.DEADLINE_EXCEEDED"
    assert seen["timeouts"]["long enough"] == ["OK", ""]


def test_compressed_requests_are_answered(seen: Report) -> None:
    plain = seen["infer_raw"]["probabilities"][0]
    for way in ("gzip", "deflate"):
        assert seen["compressed"][way][0] == pytest.approx(plain, abs=1e-6)


def test_the_asynchronous_client_is_answered_alike(seen: Report, stub: "rpc.ImageClassifierStub") -> None:
    found = seen["asynchronous"]
    assert found["live"] is True
    answers = [expected(stub, pixels(number)) for number in range(3)]
    np.testing.assert_allclose(found["together"], answers, atol=1e-6)
    np.testing.assert_allclose(found["streamed"], answers, atol=1e-6)
