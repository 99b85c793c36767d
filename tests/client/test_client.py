"""Both clients: plain values in, plain values out, one kind of error."""

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
from PIL import Image

from client import AsyncClient, ClassifyError, Client, Explain, HeatmapFormat, ImageInput, ModelState, Priority, Rank
from client.convert import to_image
from proto import classifier_pb2 as pb
from tests.client.blocking import Connect
from tests.client.fake import LARGE, LARGE_BYTES, SIDE, SLOW, FakeServer, full, picture
from tests.client.meter import Meter

Server = tuple[FakeServer, str]


def test_a_picture_can_be_a_path_bytes_a_pillow_image_or_pixels(
    connect: Connect, server: Server, tmp_path: Path
) -> None:
    path = picture(tmp_path, "a.png", "blue")
    image = Image.open(path)
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[..., 2] = 255
    images: list[ImageInput] = [path, str(path), path.read_bytes(), image, pixels]
    with connect(server[1]) as client:
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
    connect: Connect, server: Server, image: ImageInput, error: type[Exception], message: str
) -> None:
    with connect(server[1]) as client, pytest.raises(error, match=message):
        client.classify([image], "colours")
    assert server[0].requests == []


@pytest.mark.parametrize("request_id", ["naïve", "two\nlines"])
def test_a_request_id_that_no_header_can_carry_is_refused(connect: Connect, server: Server, request_id: str) -> None:
    with connect(server[1]) as client, pytest.raises(ValueError, match="a request id is printable ASCII"):
        client.classify([b""], "colours", request_id=request_id)
    assert server[0].requests == []


@pytest.mark.parametrize("priority", list(Priority))
def test_a_request_says_how_urgent_it_is(connect: Connect, server: Server, tmp_path: Path, priority: Priority) -> None:
    with connect(server[1]) as client:
        client.classify([picture(tmp_path, "a.png", "#ff0000")], "colours", priority=priority)
    assert pb.Priority.Name(server[0].requests[-1].priority) == f"PRIORITY_{priority.upper()}"
    assert (server[0].headers[-1].get("priority") == "high") is (priority is Priority.HIGH)


def test_without_a_request_id_the_server_is_left_to_make_one(connect: Connect, server: Server, tmp_path: Path) -> None:
    with connect(server[1]) as client:
        client.classify([picture(tmp_path, "a.png", "red")], "colours")
    assert "x-request-id" not in server[0].headers[0]


def test_the_answer_has_classes_timings_and_the_identity_of_the_call(
    connect: Connect, server: Server, tmp_path: Path
) -> None:
    with connect(server[1]) as client:
        answer = client.classify([picture(tmp_path, "a.png", "#204080")], "colours", top_k=3, request_id="mine")
    assert (answer.request_id, answer.model, answer.version) == ("mine", "colours", 3)
    assert server[0].headers[0]["x-request-id"] == "mine"
    (result,) = answer.results
    assert result.ok
    assert [(each.label, each.class_index) for each in result.predictions] == [("blue", 2), ("green", 1), ("red", 0)]
    assert [each.probability for each in result.predictions] == pytest.approx([128 / 255, 64 / 255, 32 / 255])
    assert result.timings is not None
    assert result.timings.total_seconds == 0.0031
    assert result.timings.batch_images == 2


def test_a_version_is_asked_for_by_its_label(connect: Connect, server: Server, tmp_path: Path) -> None:
    with connect(server[1]) as client:
        client.classify([picture(tmp_path, "a.png", "red")], "colours", version="best")
        assert client.get_model("colours", "best").version_labels == ("best",)
    (request,) = server[0].requests
    assert (request.version, request.version_label) == (0, "best")


def test_the_request_carries_version_and_number_of_classes(connect: Connect, server: Server, tmp_path: Path) -> None:
    with connect(server[1]) as client:
        client.classify([picture(tmp_path, "a.png", "red")], "colours", version=3, top_k=2)
    request = server[0].requests[0]
    assert (request.version, request.top_k, request.HasField("explain")) == (3, 2, False)


def test_explanations_come_for_labels_indices_and_ranks_in_their_order(
    connect: Connect, server: Server, tmp_path: Path
) -> None:
    with connect(server[1]) as client:
        explain = Explain(("green", 2, Rank(0), Rank(1)))
        (result,) = client.classify([picture(tmp_path, "a.png", "#804020")], "colours", explain=explain).results
    assert [each.label for each in result.explanations] == ["green", "blue", "red", "green"]


def test_the_method_of_an_explanation_can_be_chosen_and_is_told(
    connect: Connect, server: Server, tmp_path: Path
) -> None:
    path = picture(tmp_path, "a.png", "red")
    with connect(server[1]) as client:
        first, chosen = (
            client.classify([path], "colours", explain=Explain(method=method)).results[0].explanations[0].method
            for method in ("", "layercam")
        )
    assert (first, chosen) == ("gradcam", "layercam")


def test_a_grid_is_a_float32_array_and_a_picture_is_bytes(connect: Connect, server: Server, tmp_path: Path) -> None:
    path = picture(tmp_path, "a.png", "red")
    with connect(server[1]) as client:
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


def test_one_bad_image_has_its_error_and_the_others_their_answers(
    connect: Connect, server: Server, tmp_path: Path
) -> None:
    with connect(server[1]) as client:
        images: list[ImageInput] = [picture(tmp_path, "a.png", "red"), b"text", picture(tmp_path, "b.png", "blue")]
        first, second, third = client.classify(images, "colours").results
    assert (first.ok, second.ok, third.ok) == (True, False, True)
    assert second.error is not None
    assert second.error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert second.error.message == "no picture: b'text'"
    assert second.predictions == ()
    assert second.timings is None


def test_a_failed_call_raises_with_the_servers_code_and_message(connect: Connect, server: Server) -> None:
    with connect(server[1]) as client, pytest.raises(ClassifyError) as caught:
        client.classify([b""], "animals")
    assert caught.value.code is grpc.StatusCode.NOT_FOUND
    assert caught.value.message == "no model 'animals'; there is colours"
    assert caught.value.retry_after is None
    assert str(caught.value) == "NOT_FOUND: no model 'animals'; there is colours"


def test_the_timeout_ends_a_call_that_takes_longer(connect: Connect, server: Server) -> None:
    with connect(server[1], timeout=0.05) as client, pytest.raises(ClassifyError) as caught:
        client.classify([SLOW], "colours")
    assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_server_that_is_not_there_is_unavailable(connect: Connect) -> None:
    with connect("127.0.0.1:1") as client, pytest.raises(ClassifyError) as caught:
        client.models()
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE


def test_answers_far_larger_than_grpcs_default_limit_arrive(connect: Connect, server: Server) -> None:
    with connect(server[1]) as client:
        (result,) = client.classify([LARGE], "colours", explain=Explain()).results
    assert len(result.explanations[0].png or b"") == LARGE_BYTES


def test_models_are_listed_with_state_and_reason(connect: Connect, server: Server) -> None:
    with connect(server[1]) as client:
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


@pytest.mark.parametrize(
    ("service", "serving", "asked", "ready"),
    [
        ("", True, "", True),
        ("", False, "", False),
        ("colours", True, "colours", True),
        ("colours", False, "colours", False),
        ("colours", False, "", True),
        ("", True, "animals", False),
    ],
)
def test_ready_is_what_the_health_service_says(
    connect: Connect, server: Server, service: str, serving: bool, asked: str, ready: bool
) -> None:
    server[0].set_serving(service, serving=serving)
    with connect(server[1]) as client:
        assert client.ready(asked) is ready


def test_nobody_is_ready_where_no_server_is(connect: Connect) -> None:
    with connect("127.0.0.1:1") as client:
        assert client.ready() is False


@pytest.mark.parametrize(
    ("compression", "fewest", "most"),
    [(grpc.Compression.NoCompression, 10**6, 10**7), (grpc.Compression.Gzip, 0, 10**5)],
)
def test_requests_are_compressed_when_asked_for(
    connect: Connect, server: Server, compression: grpc.Compression, fewest: int, most: int
) -> None:
    with Meter(server[1]) as meter, connect(meter.address, compression=compression) as client:
        client.classify([np.zeros((1000, 1000, 3), np.uint8)], "colours")
    assert fewest < meter.bytes_sent < most


def test_closing_ends_the_wait_before_a_retry(server: Server) -> None:
    server[0].failures.append(full(3600.0))
    client = Client(server[1], timeout=7200.0)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(client.classify, [b""], "colours")
        server[0].asked.wait()
        client.close()
        with pytest.raises(ClassifyError):
            call.result()


async def test_closing_ends_the_wait_before_a_retry_in_a_coroutine(server: Server) -> None:
    server[0].failures.append(full(3600.0))
    client = AsyncClient(server[1], timeout=7200.0)
    call = asyncio.create_task(client.classify([b""], "colours"))
    await asyncio.to_thread(server[0].asked.wait)
    await client.close()
    with pytest.raises((ClassifyError, asyncio.CancelledError)):
        await call
