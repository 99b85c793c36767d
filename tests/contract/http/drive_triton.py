"""Drives a server with PyPI's tritonclient over HTTP, unchanged, sync and aio, and prints what it saw as JSON.

Argument: host:port. The models are those of tests/contract/conftest.py.
"""

import asyncio
import json
import sys
from typing import Any

import numpy as np
import tritonclient.http as triton  # type: ignore[import-not-found]
import tritonclient.http.aio as triton_aio  # type: ignore[import-not-found]
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException  # type: ignore[import-not-found]

URL = sys.argv[1]
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 12, 16, 3), np.uint8)
CODINGS = (None, "gzip", "deflate")


def tensor(name: str, array: NDArray[Any], datatype: str, *, binary: bool = True) -> Any:
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def combinations() -> list[dict[str, Any]]:
    """Arguments of `infer` that must all give the same probabilities."""
    outputs = [None, *([triton.InferRequestedOutput("probabilities", binary_data=binary)] for binary in (True, False))]
    return [
        {
            "inputs": [tensor("pixels", PIXELS, "UINT8", binary=binary)],
            "outputs": wanted,
            "request_compression_algorithm": coding,
            "response_compression_algorithm": coding,
        }
        for binary in (True, False)
        for wanted in outputs
        for coding in CODINGS
    ]


def heatmaps() -> dict[str, Any]:
    """Arguments of `infer` whose answer is large enough to be compressed."""
    targets = tensor("targets", np.array([[-1, 2], [0, -2]]), "INT64")
    wanted = [triton.InferRequestedOutput("heatmaps")]
    return {"inputs": [tensor("pixels", PIXELS, "UINT8"), targets], "outputs": wanted}


def refusal(call: Any, *arguments: Any) -> list[str]:
    try:
        call(*arguments)
    except InferenceServerException as error:
        return [str(error.status()), str(error.message())]
    return ["200", ""]


def sync(client: Any) -> dict[str, Any]:
    labelled = client.infer(
        "shapes", combinations()[0]["inputs"], outputs=[triton.InferRequestedOutput("probabilities", class_count=1)]
    )
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "models": {name: client.is_model_ready(name) for name in ("shapes", "flipped", "nobody")},
        "server": client.get_server_metadata(),
        "metadata": client.get_model_metadata("shapes", "1"),
        "config": client.get_model_config("shapes"),
        "probabilities": [client.infer("shapes", **each).as_numpy("probabilities").tolist() for each in combinations()],
        "heatmaps": [
            client.infer("shapes", **heatmaps(), response_compression_algorithm=coding).as_numpy("heatmaps").shape
            for coding in CODINGS
        ],
        "labelled": [row[0].decode() for row in labelled.as_numpy("probabilities")],
        "id": client.infer("shapes", combinations()[0]["inputs"], request_id="7").get_response()["id"],
        "statistics": client.get_inference_statistics("shapes", "3"),
        "all statistics": len(client.get_inference_statistics()["model_stats"]),
        "index": client.get_model_repository_index(),
        "refused": refusal(client.infer, "nobody", combinations()[0]["inputs"]),
        "unload": [refusal(client.unload_model, "pair"), client.is_model_ready("pair")],
        "load": [refusal(client.load_model, "pair"), client.is_model_ready("pair")],
    }


async def asynchronous() -> dict[str, Any]:
    async with triton_aio.InferenceServerClient(URL) as client:
        answers = await asyncio.gather(*(client.infer("shapes", **each) for each in combinations()))
        return {
            "live": await client.is_server_live(),
            "metadata": await client.get_model_metadata("shapes", "1"),
            "index": await client.get_model_repository_index(),
            "statistics": (await client.get_inference_statistics("shapes", "3"))["model_stats"][0]["name"],
            "probabilities": [answer.as_numpy("probabilities").tolist() for answer in answers],
            "heatmaps": (await client.infer("shapes", **heatmaps())).as_numpy("heatmaps").shape,
        }


if __name__ == "__main__":
    with triton.InferenceServerClient(URL) as blocking:
        seen = {"sync": sync(blocking)}
    seen["aio"] = asyncio.run(asynchronous())
    print(json.dumps(seen))  # noqa: T201
