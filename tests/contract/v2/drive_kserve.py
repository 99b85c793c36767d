"""Drives a server with the clients of PyPI's kserve, unchanged, and prints what they saw in each case as JSON.

Arguments: host:port of gRPC, host:port of HTTP. The models are those of tests/contract/conftest.py.
"""

import asyncio
import json
import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
from kserve import (  # type: ignore[import-not-found]
    InferenceGRPCClient,
    InferenceRESTClient,
    InferInput,
    InferRequest,
    RESTConfig,
)

GRPC, HTTP = sys.argv[1:3]
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 12, 16, 3), np.uint8)

Infer = Callable[[InferRequest], Awaitable[Any]]


def of_pixels(data: Any) -> InferRequest:
    return InferRequest("shapes", [InferInput("pixels", list(PIXELS.shape), "UINT8", data=data)], request_id="order-66")


def of_numbers() -> InferRequest:
    x = InferInput("x", [1, 3], "FP32", data=[0.5, 1.0, 1.5])
    return InferRequest("line", [x, InferInput("offset", [1], "INT64", data=[10])])


async def inferences(infer: Infer) -> dict[str, Any]:
    """The same questions through either client: as an array, which travels raw, and as a list, which travels typed."""
    raw, typed = await infer(of_pixels(PIXELS)), await infer(of_pixels(PIXELS.ravel().tolist()))
    line = await infer(of_numbers())
    return {
        "answered": [raw.id, raw.model_name, raw.model_version],
        "raw": raw.outputs[0].as_numpy().tolist(),
        "typed": typed.outputs[0].as_numpy().tolist(),
        "line": line.outputs[0].as_numpy().tolist(),
    }


async def over_grpc() -> dict[str, Any]:
    async with InferenceGRPCClient(GRPC) as client:
        return {
            "live": await client.is_server_live(),
            "ready": await client.is_server_ready(),
            "models": [await client.is_model_ready(name) for name in ("shapes", "flipped")],
            **await inferences(client.infer),
        }


async def over_http() -> dict[str, Any]:
    base = f"http://{HTTP}"
    client = InferenceRESTClient(RESTConfig(protocol="v2"))

    async def infer(request: InferRequest) -> Any:
        return await client.infer(base, request, model_name=request.model_name)

    report = {
        "live": await client.is_server_live(base),
        "ready": await client.is_server_ready(base),
        "models": [await client.is_model_ready(base, name) for name in ("shapes", "flipped")],
        **await inferences(infer),
    }
    await client.close()
    return report


def main() -> None:
    report: dict[str, Any] = {}
    for case in (over_grpc, over_http):
        try:
            report[case.__name__] = asyncio.run(case())
        except Exception:  # noqa: BLE001  the report says what it was, and the other case is still worth knowing
            report[case.__name__] = traceback.format_exc()
    print(json.dumps(report))  # noqa: T201


main()
