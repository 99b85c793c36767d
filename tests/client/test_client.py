"""The library: plain values in, plain values out, one kind of error."""

import io
from pathlib import Path

import grpc
import numpy as np
import pytest
from PIL import Image

from client import ClassifyError, Client, Explain, HeatmapFormat, ImageInput, ModelState, Rank
from client.convert import to_image
from tests.client.fake import LARGE, LARGE_BYTES, SIDE, SLOW, FakeServer, picture

Server = tuple[FakeServer, str]


def test_a_picture_can_be_a_path_bytes_a_pillow_image_or_pixels(server: Server, tmp_path: Path) -> None:
    path = picture(tmp_path, "a.png", "blue")
    image = Image.open(path)
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[..., 2] = 255
    images: list[ImageInput] = [path, str(path), path.read_bytes(), image, pixels]
    with Client(server[1]) as client:
        answer = client.classify(images, "colours")
    assert [result.predictions[0].label for result in answer.results] == ["blue"] * 5
    sent = server[0].requests[0].images
    assert sent[4].pixels.data == pixels.tobytes()
    assert (sent[4].pixels.height, sent[4].pixels.width, sent[4].pixels.channels) == pixels.shape


def test_a_pillow_image_is_sent_without_loss_and_with_its_orientation() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    noise = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG", exif=exif)
    sent = Image.open(io.BytesIO(to_image(Image.open(file)).encoded))
    np.testing.assert_array_equal(np.asarray(sent), noise)
    assert sent.getexif()[0x0112] == 6


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((8, 8, 3), np.float32), ValueError, r"uint8 \[height, width, channels\], not float32 \[8, 8, 3\]"),
        (np.zeros((8, 8), np.uint8), ValueError, r"not uint8 \[8, 8\]"),
        (Image.new("F", (4, 4)), ValueError, "mode F cannot be sent"),
        (17, TypeError, "not int"),
        (Path("no/such/file.png"), OSError, "No such file"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_is_sent(
    server: Server, image: ImageInput, error: type[Exception], message: str
) -> None:
    with Client(server[1]) as client, pytest.raises(error, match=message):
        client.classify([image], "colours")
    assert server[0].requests == []


def test_the_answer_has_classes_timings_and_the_identity_of_the_call(server: Server, tmp_path: Path) -> None:
    with Client(server[1]) as client:
        answer = client.classify([picture(tmp_path, "a.png", "#204080")], "colours", top_k=3, request_id="mine")
    assert (answer.request_id, answer.model, answer.version) == ("mine", "colours", 3)
    (result,) = answer.results
    assert result.ok
    assert [(each.label, each.class_index) for each in result.predictions] == [("blue", 2), ("green", 1), ("red", 0)]
    assert [each.probability for each in result.predictions] == pytest.approx([128 / 255, 64 / 255, 32 / 255])
    assert result.timings is not None
    assert result.timings.total_seconds == 0.0031
    assert result.timings.batch_images == 2


def test_the_request_carries_version_and_number_of_classes(server: Server, tmp_path: Path) -> None:
    with Client(server[1]) as client:
        client.classify([picture(tmp_path, "a.png", "red")], "colours", version=3, top_k=2)
    request = server[0].requests[0]
    assert (request.version, request.top_k, request.HasField("explain")) == (3, 2, False)


def test_explanations_come_for_labels_indices_and_ranks_in_their_order(server: Server, tmp_path: Path) -> None:
    with Client(server[1]) as client:
        explain = Explain(("green", 2, Rank(0), Rank(1)))
        (result,) = client.classify([picture(tmp_path, "a.png", "#804020")], "colours", explain=explain).results
    assert [each.label for each in result.explanations] == ["green", "blue", "red", "green"]


def test_the_method_of_an_explanation_can_be_chosen_and_is_told(server: Server, tmp_path: Path) -> None:
    path = picture(tmp_path, "a.png", "red")
    with Client(server[1]) as client:
        first, chosen = (
            client.classify([path], "colours", explain=Explain(method=method)).results[0].explanations[0].method
            for method in ("", "layercam")
        )
    assert (first, chosen) == ("gradcam", "layercam")


def test_a_grid_is_a_float32_array_and_a_picture_is_bytes(server: Server, tmp_path: Path) -> None:
    path = picture(tmp_path, "a.png", "red")
    with Client(server[1]) as client:
        grid = client.classify([path], "colours", explain=Explain()).results[0].explanations[0]
        overlay_form = Explain(format=HeatmapFormat.OVERLAY_PNG)
        overlay = client.classify([path], "colours", explain=overlay_form).results[0].explanations[0]
    assert grid.grid is not None
    assert grid.png is None
    assert grid.grid.dtype == np.float32
    np.testing.assert_array_equal(grid.grid, [[0, 0, 0, 0], [1, 0.5, 0, 0]])
    assert grid.box == pytest.approx((0, 0, 16, 12))
    assert overlay.grid is None
    assert overlay.png is not None
    assert Image.open(io.BytesIO(overlay.png)).size == (32, 24)


def test_one_bad_image_has_its_error_and_the_others_their_answers(server: Server, tmp_path: Path) -> None:
    with Client(server[1]) as client:
        images: list[ImageInput] = [picture(tmp_path, "a.png", "red"), b"text", picture(tmp_path, "b.png", "blue")]
        first, second, third = client.classify(images, "colours").results
    assert (first.ok, second.ok, third.ok) == (True, False, True)
    assert second.error is not None
    assert second.error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert second.error.message == "no picture: b'text'"
    assert second.predictions == ()
    assert second.timings is None


def test_a_failed_call_raises_with_the_servers_code_and_message(server: Server) -> None:
    with Client(server[1]) as client, pytest.raises(ClassifyError) as caught:
        client.classify([b""], "animals")
    assert caught.value.code is grpc.StatusCode.NOT_FOUND
    assert caught.value.message == "no model 'animals'; there is colours"
    assert caught.value.retry_after is None
    assert str(caught.value) == "NOT_FOUND: no model 'animals'; there is colours"


def test_a_full_server_says_when_to_come_back(server: Server) -> None:
    with Client(server[1]) as client, pytest.raises(ClassifyError) as caught:
        client.classify([b""], "full")
    assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert caught.value.retry_after == 1.5


def test_the_timeout_ends_a_call_that_takes_longer(server: Server) -> None:
    with Client(server[1], timeout=0.05) as client, pytest.raises(ClassifyError) as caught:
        client.classify([SLOW], "colours")
    assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with Client("127.0.0.1:1") as client, pytest.raises(ClassifyError) as caught:
        client.models()
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE


def test_answers_far_larger_than_grpcs_default_limit_arrive(server: Server) -> None:
    with Client(server[1]) as client:
        (result,) = client.classify([LARGE], "colours", explain=Explain()).results
    assert len(result.explanations[0].png or b"") == LARGE_BYTES


def test_models_are_listed_with_state_and_reason(server: Server) -> None:
    with Client(server[1]) as client:
        colours, broken = client.models()
        assert client.get_model("colours") == colours
    assert (colours.name, colours.version, colours.state) == ("colours", 3, ModelState.SERVING)
    assert colours.is_default
    assert colours.labels == ("red", "green", "blue")
    assert colours.input_shape == (8, 8, 3)
    assert colours.heatmap_shape == (2, 4)
    assert (colours.engine, colours.precision, colours.device) == ("fake", "fp32", "cpu")
    assert colours.provenance == {"run": "runs/colours"}
    assert broken.state is ModelState.REFUSED
    assert broken.reason == "broken/1/model.onnx: changed since export"
    assert broken.labels == ()
