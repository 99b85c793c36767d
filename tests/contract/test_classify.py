"""Classify against the same model run by hand: predictions, explanations, timings."""

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc

Stub = rpc.ImageClassifierStub


def pixels(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)


def raw(array: NDArray[np.uint8]) -> pb.Image:
    height, width, channels = array.shape
    return pb.Image(pixels=pb.RawPixels(height=height, width=width, channels=channels, data=array.tobytes()))


def png(array: NDArray[np.uint8]) -> pb.Image:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return pb.Image(encoded=file.getvalue())


def classify(stub: Stub, *images: pb.Image, model: str = "shapes", **fields: Any) -> pb.ClassifyResponse:
    return stub.Classify(pb.ClassifyRequest(model=model, images=images, **fields))


def test_a_png_and_its_raw_pixels_get_the_same_answer(stub: Stub) -> None:
    response = classify(stub, raw(pixels()), png(pixels()), top_k=3)
    first, second = response.results
    assert list(first.predictions) == list(second.predictions)


def test_one_class_is_answered_unless_more_are_asked_for(stub: Stub) -> None:
    assert len(classify(stub, raw(pixels())).results[0].predictions) == 1


def test_more_classes_than_there_are_gives_all_most_probable_first(stub: Stub) -> None:
    predictions = classify(stub, raw(pixels()), top_k=99).results[0].predictions
    probabilities = [prediction.probability for prediction in predictions]
    assert len(predictions) == 3
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1, abs=1e-6)


def test_no_explanation_is_given_unless_asked_for(stub: Stub) -> None:
    assert not classify(stub, raw(pixels())).results[0].explanations


def test_the_default_explanation_is_a_grid_for_the_most_probable_class(stub: Stub) -> None:
    result = classify(stub, raw(pixels()), explain=pb.Explain()).results[0]
    (explanation,) = result.explanations
    assert explanation.label == result.predictions[0].label
    assert explanation.probability == result.predictions[0].probability
    assert (explanation.grid.height, explanation.grid.width) == (10, 14)
    assert len(explanation.grid.values) == 140
    assert max(explanation.grid.values) == pytest.approx(1)
    assert min(explanation.grid.values) >= 0


def test_a_grid_says_where_it_lies_in_the_picture(stub: Stub) -> None:
    # A 3x3 convolution without padding leaves out half a cell on every side, here of 20 x 10 picture pixels.
    photograph = png(np.zeros((120, 320, 3), np.uint8))
    (explanation,) = classify(stub, photograph, explain=pb.Explain()).results[0].explanations
    grid = explanation.grid
    assert (grid.left, grid.top, grid.right, grid.bottom) == (20, 10, 300, 110)


def test_ranks_labels_and_indices_name_the_same_classes(stub: Stub) -> None:
    top = classify(stub, raw(pixels()), top_k=3).results[0].predictions
    targets = [pb.Target(rank=1), pb.Target(label=top[1].label), pb.Target(class_index=top[1].class_index)]
    explanations = classify(stub, raw(pixels()), explain=pb.Explain(targets=targets)).results[0].explanations
    assert {explanation.class_index for explanation in explanations} == {top[1].class_index}
    assert len({tuple(explanation.grid.values) for explanation in explanations}) == 1


def test_explanations_come_in_the_order_of_the_targets(stub: Stub) -> None:
    targets = [pb.Target(label=label) for label in ("star", "circle", "square")]
    explanations = classify(stub, raw(pixels()), explain=pb.Explain(targets=targets)).results[0].explanations
    assert [explanation.label for explanation in explanations] == ["star", "circle", "square"]


@pytest.mark.parametrize("form", [pb.HEATMAP_FORMAT_HEATMAP_PNG, pb.HEATMAP_FORMAT_OVERLAY_PNG])
def test_a_picture_of_the_evidence_is_a_png_of_the_pictures_proportions(stub: Stub, form: Any) -> None:
    photograph = png(np.zeros((300, 500, 3), np.uint8))
    (explanation,) = classify(stub, photograph, explain=pb.Explain(format=form)).results[0].explanations
    with Image.open(io.BytesIO(explanation.png)) as drawn:
        assert (drawn.format, drawn.size, drawn.mode) == ("PNG", (500, 300), "RGB")


def test_a_small_picture_is_drawn_large_enough_to_see(stub: Stub) -> None:
    explain = pb.Explain(format=pb.HEATMAP_FORMAT_OVERLAY_PNG)
    (explanation,) = classify(stub, raw(pixels()), explain=explain).results[0].explanations
    with Image.open(io.BytesIO(explanation.png)) as drawn:
        assert drawn.size == (224, 168)


def test_a_single_sigmoid_answers_two_classes_and_explains_both(stub: Stub) -> None:
    targets = [pb.Target(label="no"), pb.Target(label="yes")]
    result = classify(stub, raw(pixels()), model="pair", top_k=2, explain=pb.Explain(targets=targets)).results[0]
    assert sum(prediction.probability for prediction in result.predictions) == pytest.approx(1, abs=1e-6)
    assert result.explanations[0].grid.values != result.explanations[1].grid.values


def test_the_classes_of_a_multi_label_model_are_right_or_wrong_each_by_itself(stub: Stub) -> None:
    predictions = classify(stub, raw(pixels()), model="traits", top_k=4).results[0].predictions
    assert sorted(prediction.label for prediction in predictions) == ["red", "round", "striped", "tall"]
    assert sum(prediction.probability for prediction in predictions) != pytest.approx(1, abs=0.01)


def test_a_request_may_choose_among_the_methods_that_the_model_carries(stub: Stub) -> None:
    targets = [pb.Target(class_index=0), pb.Target(class_index=1)]
    grids = {}
    for method in ("", "gradcam", "hirescam", "layercam"):
        explain = pb.Explain(targets=targets, method=method)
        explanations = classify(stub, raw(pixels()), model="traits", explain=explain).results[0].explanations
        assert [explanation.method for explanation in explanations] == [method or "gradcam"] * 2
        grids[method] = [tuple(explanation.grid.values) for explanation in explanations]
    assert grids[""] == grids["gradcam"]
    assert len({tuple(found) for found in grids.values()}) == 3


def test_a_version_can_be_chosen_and_is_named_in_the_answer(stub: Stub) -> None:
    assert classify(stub, raw(pixels())).version == 3
    assert classify(stub, raw(pixels()), version=1).version == 1


def test_the_request_id_is_echoed_or_made(stub: Stub) -> None:
    assert classify(stub, raw(pixels()), request_id="mine").request_id == "mine"
    assert classify(stub, raw(pixels())).request_id


def test_the_time_of_each_stage_is_told(stub: Stub) -> None:
    explain = pb.Explain(format=pb.HEATMAP_FORMAT_OVERLAY_PNG)
    timings = classify(stub, png(pixels()), explain=explain).results[0].timings
    parts = timings.decode_seconds, timings.queue_seconds, timings.infer_seconds, timings.render_seconds
    assert min(parts) >= 0
    assert sum(parts) <= timings.total_seconds
    assert timings.batch_images >= 1


def test_many_images_of_one_request_share_batches_and_keep_their_order(stub: Stub) -> None:
    images = [raw(pixels(seed)) for seed in range(40)]
    together = classify(stub, *images).results
    alone = [classify(stub, image).results[0] for image in images]
    assert [r.predictions[0].class_index for r in together] == [r.predictions[0].class_index for r in alone]
    assert max(result.timings.batch_images for result in together) > 1
