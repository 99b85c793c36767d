"""The Python client of Seethrough: `Client` and `AsyncClient` talk to servers, everything else here is plain data.

from client import Client, Explain

with Client("127.0.0.1:8001") as client:
    for result in client.classify(["cat.jpg"], model="animals", explain=Explain()).results:
        print(result.predictions[0].label if result.ok else result.error)
"""

from client.aio import AsyncClient
from client.client import Client
from client.convert import ImageInput, Request
from client.errors import ClassifyError
from client.results import (
    Classification,
    Explain,
    Explanation,
    HeatmapFormat,
    ImageResult,
    ModelInfo,
    ModelState,
    Prediction,
    Priority,
    Rank,
    StreamAnswer,
    Timings,
)
from client.security import Tls
from client.tensors import TensorInfo, TensorModel

__all__ = [
    "AsyncClient",
    "Classification",
    "ClassifyError",
    "Client",
    "Explain",
    "Explanation",
    "HeatmapFormat",
    "ImageInput",
    "ImageResult",
    "ModelInfo",
    "ModelState",
    "Prediction",
    "Priority",
    "Rank",
    "Request",
    "StreamAnswer",
    "TensorInfo",
    "TensorModel",
    "Timings",
    "Tls",
]
