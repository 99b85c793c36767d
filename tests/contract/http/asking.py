"""Asking over HTTP with nothing but the standard library."""

import http.client
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SHAPES = "/v1/models/shapes:classify"
INFER = "/v2/models/shapes/infer"


@dataclass(frozen=True)
class Answer:
    """What came back; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The reason for a refusal."""
        (text,) = self.json.values()
        assert isinstance(text, str)
        return text


def ask(address: str, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
    """One request on a connection of its own; in the names of headers _ stands for -."""
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        lower = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, lower, response.read())
    finally:
        connection.close()


def pixels(seed: int = 0, images: int = 1) -> NDArray[np.uint8]:
    """Images of the model `shapes`, uint8 [images, 12, 16, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (images, 12, 16, 3), np.uint8)


def png(array: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def tensor(array: NDArray[Any], **fields: Any) -> dict[str, Any]:
    """The input `pixels` in JSON; `fields` replace its own."""
    return {"name": "pixels", "datatype": "UINT8", "shape": list(array.shape), "data": array.tolist()} | fields


def infer_json(address: str, body: object, path: str = INFER, **headers: str) -> Answer:
    """An inference request all in JSON."""
    return ask(address, "POST", path, json.dumps(body).encode(), **headers)


def infer_binary(address: str, header: object, binary: bytes, path: str = INFER, **headers: str) -> Answer:
    """An inference request with binary data behind the JSON."""
    text = json.dumps(header).encode()
    return ask(address, "POST", path, text + binary, inference_header_content_length=str(len(text)), **headers)
