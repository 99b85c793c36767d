"""Every kind of bad input: the exact status, and a message that a stranger can act on."""

import io
import struct
import zlib

import grpc
import numpy as np
import pytest
from PIL import Image

from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from tests.contract.refusals import refusal

Stub = rpc.ImageClassifierStub


def encoded(form: str, mode: str = "RGB", size: tuple[int, int] = (64, 48)) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(noise).convert(mode).save(file, form)
    return file.getvalue()


def huge_png() -> bytes:
    """A PNG whose header claims 60,000 x 60,000 pixels, in under 100 bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def floating_point_tiff() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.float32)).save(file, "TIFF")
    return file.getvalue()


BROKEN_PICTURES = {
    "empty": (b"", "the image is empty (0 bytes)"),
    "text": (
        b"hello, world",
        "not a picture that can be read: 12 bytes that start with b'hello, world'; send one of JPEG, PNG",
    ),
    "truncated JPEG": (encoded("JPEG")[:-400], "the picture is broken or incomplete"),
    "truncated PNG": (encoded("PNG")[:-400], "the picture is broken or incomplete"),
    "header only": (encoded("PNG")[:20], "the picture is broken or incomplete"),
    "60,000 x 60,000": (huge_png(), "60000 x 60000 = 3,600,000,000 pixels, the limit is 1,000,000; send a smaller one"),
    "32-bit floating point": (floating_point_tiff(), "mode F are not supported; convert it to 8-bit RGB or grey"),
    "a format that is not allowed": (encoded("PPM"), "send one of JPEG, PNG"),
}


@pytest.mark.parametrize("case", BROKEN_PICTURES)
def test_a_broken_picture_is_an_invalid_argument_with_its_reason(stub: Stub, case: str) -> None:
    data, reason = BROKEN_PICTURES[case]
    code, message = refusal(stub.Classify, pb.ClassifyRequest(model="shapes", images=[pb.Image(encoded=data)]))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert reason in message


def unusual(kind: str) -> bytes:
    """Pictures that are unusual and yet pictures."""
    file = io.BytesIO()
    red = Image.new("RGB", (64, 48), (200, 30, 30))
    match kind:
        case "animated GIF":
            red.save(file, "GIF", save_all=True, append_images=[Image.new("RGB", (64, 48), (0, 0, 255))])
        case "CMYK JPEG":
            red.convert("CMYK").save(file, "JPEG")
        case "16-bit grey PNG":
            Image.fromarray(np.full((48, 64), 40_000, np.uint16)).save(file, "PNG")
        case "palette with transparency":
            red.quantize(4).save(file, "PNG", transparency=0)
        case "EXIF-rotated JPEG":
            exif = Image.Exif()
            exif[0x0112] = 6
            red.save(file, "JPEG", exif=exif)
        case "grey for a colour model":
            red.convert("L").save(file, "PNG")
        case _:
            red.save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    "kind",
    [
        *("animated GIF", "CMYK JPEG", "16-bit grey PNG", "palette with transparency", "EXIF-rotated JPEG"),
        *("grey for a colour model", "WEBP", "BMP", "TIFF"),
    ],
)
def test_an_unusual_picture_is_answered(stub: Stub, kind: str) -> None:
    response = stub.Classify(pb.ClassifyRequest(model="shapes", images=[pb.Image(encoded=unusual(kind))]))
    assert response.results[0].status.code == 0
    assert response.results[0].predictions


def raw(height: int, width: int, channels: int, size: int) -> pb.Image:
    return pb.Image(pixels=pb.RawPixels(height=height, width=width, channels=channels, data=bytes(size)))


GOOD = raw(12, 16, 3, 576)
INVALID_REQUESTS = {
    "no model": (pb.ClassifyRequest(images=[GOOD]), "model: empty; name a model"),
    "no images": (pb.ClassifyRequest(model="shapes"), "images: the request has none"),
    "image without content": (
        pb.ClassifyRequest(model="shapes", images=[GOOD, pb.Image()]),
        "images[1]: neither `encoded` nor `pixels` is set",
    ),
    "one channel for three": (
        pb.ClassifyRequest(model="shapes", images=[raw(12, 16, 1, 192)]),
        "pixels: shape [12, 16, 1], the model takes [12, 16, 3] (height, width, channels)",
    ),
    "height and width swapped": (
        pb.ClassifyRequest(model="shapes", images=[raw(16, 12, 3, 576)]),
        "pixels: shape [16, 12, 3], the model takes [12, 16, 3]",
    ),
    "too few bytes": (
        pb.ClassifyRequest(model="shapes", images=[raw(12, 16, 3, 575)]),
        "pixels.data: 575 bytes, a uint8 array of [12, 16, 3] has 576",
    ),
    "negative version": (pb.ClassifyRequest(model="shapes", version=-2, images=[GOOD]), "version: -2"),
    "unknown enum": (
        pb.ClassifyRequest(model="shapes", images=[GOOD], explain=pb.Explain(format=99)),  # type: ignore[arg-type]
        "explain.format: 99 is unknown; there are: HEATMAP_FORMAT_UNSPECIFIED = 0, HEATMAP_FORMAT_GRID = 1",
    ),
    "empty target": (
        pb.ClassifyRequest(model="shapes", images=[GOOD], explain=pb.Explain(targets=[pb.Target()])),
        "explain.targets[0]: none of `rank`, `class_index`, `label` is set",
    ),
    "unknown label": (
        pb.ClassifyRequest(model="shapes", images=[GOOD], explain=pb.Explain(targets=[pb.Target(label="cat")])),
        "explain.targets: no label 'cat'; the model has: circle, square, star",
    ),
    "class out of range": (
        pb.ClassifyRequest(model="shapes", images=[GOOD], explain=pb.Explain(targets=[pb.Target(class_index=3)])),
        "explain.targets: class_index 3 of a model with 3 classes, counted from 0",
    ),
    "rank out of range": (
        pb.ClassifyRequest(model="shapes", images=[GOOD], explain=pb.Explain(targets=[pb.Target(rank=4_000_000_000)])),
        "explain.targets: rank 4000000000 of a model with 3 classes",
    ),
    "too many targets": (
        pb.ClassifyRequest(model="shapes", images=[GOOD], explain=pb.Explain(targets=[pb.Target(rank=0)] * 17)),
        "explain.targets: 17 classes; the server explains at most 16 in one request",
    ),
    "method that the model does not carry": (
        pb.ClassifyRequest(model="shapes", images=[GOOD], explain=pb.Explain(method="hirescam")),
        "explain.method: no 'hirescam'; the model explains by: gradcam",
    ),
    "more images than the server admits": (
        pb.ClassifyRequest(model="shapes", images=[GOOD] * 513),
        "513 images of 295,488 bytes together, with the heatmaps that they ask for; the server takes at most 512 images",
    ),
}


@pytest.mark.parametrize("case", INVALID_REQUESTS)
def test_a_bad_field_is_an_invalid_argument_that_names_it(stub: Stub, case: str) -> None:
    request, reason = INVALID_REQUESTS[case]
    code, message = refusal(stub.Classify, request)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert reason in message


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (pb.ClassifyRequest(model="shape", images=[GOOD]), "no model 'shape'; there are: digits"),
        (pb.ClassifyRequest(model="shapes", version=2, images=[GOOD]), "has no version 2; there are: 1, 3, 7"),
    ],
)
def test_an_unknown_model_or_version_is_not_found(stub: Stub, request_: pb.ClassifyRequest, reason: str) -> None:
    code, message = refusal(stub.Classify, request_)
    assert code == grpc.StatusCode.NOT_FOUND
    assert reason in message


def test_a_request_over_the_size_limit_is_refused_unread(stub: Stub) -> None:
    code, message = refusal(
        stub.Classify, pb.ClassifyRequest(model="shapes", images=[pb.Image(encoded=bytes(2 << 20))])
    )
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in message
