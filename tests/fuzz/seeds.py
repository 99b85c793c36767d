"""What the fuzzers start from: one small, good input of every kind, each made here."""

import gzip
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from proto import classifier_pb2, open_inference_pb2

_BOUNDARY = "x"


def write(folder: Path, seeds: Mapping[str, bytes]) -> None:
    """Writes each seed into a file of `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in seeds.items():
        (folder / name).write_bytes(data)


def pictures() -> dict[str, bytes]:
    """Picture files of every format and mode that is read, and some of the ways to write them."""
    scene = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 13, 3), np.uint8))
    turned = Image.Exif()
    turned[0x0112], turned[0x011A] = 6, 72.0
    written: dict[str, tuple[str, str, dict[str, Any]]] = {
        "jpeg": ("JPEG", "RGB", {"exif": turned, "icc_profile": bytes(300)}),
        "progressive": ("JPEG", "RGB", {"progressive": True}),
        "restarts": ("JPEG", "L", {"restart_marker_blocks": 1}),
        "cmyk": ("JPEG", "CMYK", {}),
        "png": ("PNG", "RGBA", {"exif": turned}),
        "palette": ("PNG", "P", {"transparency": 0}),
        "grey16": ("PNG", "I;16", {}),
        "bits": ("PNG", "1", {}),
        "apng": ("PNG", "RGB", {"save_all": True, "append_images": [scene.rotate(90, expand=False)]}),
        "webp": ("WEBP", "RGB", {"exif": turned}),
        "lossless": ("WEBP", "RGBA", {"lossless": True}),
        "animated": ("WEBP", "RGB", {"save_all": True, "append_images": [scene.rotate(180)]}),
        "gif": ("GIF", "P", {"save_all": True, "append_images": [scene.rotate(180)], "disposal": 2, "comment": b"c"}),
        "interlaced": ("GIF", "L", {"interlace": 1}),
        "bmp": ("BMP", "RGB", {}),
        "bmp1": ("BMP", "1", {}),
        **{
            f"tiff-{name}": ("TIFF", mode, {"compression": name, "exif": turned})
            for name, mode in [
                ("raw", "RGBA"),
                ("tiff_lzw", "RGB"),
                ("jpeg", "RGB"),
                ("packbits", "L"),
                ("group4", "1"),
            ]
        },
        "tiled": ("TIFF", "RGB", {"compression": "tiff_adobe_deflate", "tiffinfo": {322: 16, 323: 16}}),
    }
    return {name: _written(scene.convert(mode), format_, options) for name, (format_, mode, options) in written.items()}


def _written(image: Image.Image, format_: str, options: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


def requests() -> dict[str, bytes]:
    """Requests of every protocol; the first byte says which of `requests.TARGETS` it is for."""
    return {f"{number}-{name}": bytes([number]) + data for number, (name, data) in enumerate(_requests().items())}


def _requests() -> dict[str, bytes]:
    """By name, in the order of `requests.TARGETS`."""
    picture = pictures()["bits"]
    tensor = {"name": "pixels", "datatype": "UINT8", "shape": [1, 2, 2, 1], "data": [[[[1], [2]], [[3], [4]]]]}
    outputs = [{"name": "heatmaps", "parameters": {"binary_data": True}}, {"name": "probabilities"}]
    asked = {"id": "7", "inputs": [tensor], "outputs": outputs, "parameters": {"timeout": 5, "method": "gradcam"}}
    head = json.dumps({"inputs": [tensor | {"data": None, "parameters": {"binary_data_size": 4}}]}).replace(
        '"data": null, ', ""
    )
    return {
        "classify": _classify(picture),
        "infer": _infer(picture),
        "json": json.dumps(asked).encode(),
        "binary": len(head).to_bytes(2, "big") + head.encode() + bytes(4),
        "form": (
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n'
            "Content-Type: image/png\r\n\r\n"
        ).encode()
        + picture
        + f"\r\n--{_BOUNDARY}--\r\n".encode(),
        "packed": gzip.compress(picture),
        "query": b"top=3&explain=overlay&class=a&class=b&method=gradcam&version=1",
        "headers": b"abc\n500m\ngzip;q=0, deflate\nimage/png, */*;q=0.1",
    }


def _classify(picture: bytes) -> bytes:
    pb = classifier_pb2
    explain = pb.Explain(targets=[pb.Target(rank=0), pb.Target(label="a"), pb.Target(class_index=1)], format=1)  # type: ignore[arg-type]
    raw = pb.RawPixels(height=2, width=2, channels=1, data=bytes(4))
    images = [pb.Image(encoded=picture), pb.Image(pixels=raw)]
    request = pb.ClassifyRequest(model="m", version=1, images=images, top_k=2, explain=explain, request_id="r")
    return request.SerializeToString()


def _infer(picture: bytes) -> bytes:
    pb = open_inference_pb2
    request = pb.ModelInferRequest(model_name="m", model_version="1", id="7")
    request.parameters["timeout"].int64_param = 5
    request.inputs.add(name="image", datatype="BYTES", shape=[1]).contents.bytes_contents.append(picture)
    request.inputs.add(name="targets", datatype="INT64", shape=[1, 1]).contents.int64_contents.append(-1)
    request.outputs.add(name="probabilities").parameters["classification"].int64_param = 1
    return request.SerializeToString()
