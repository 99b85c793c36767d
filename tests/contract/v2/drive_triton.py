"""Drives a server with PyPI's tritonclient over gRPC, unchanged, and prints what it saw in each case as JSON.

Arguments: host:port of gRPC, host:port of HTTP. The models are those of tests/contract/conftest.py.
"""

import asyncio
import io
import json
import queue
import sys
import traceback
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import tritonclient.grpc as triton  # type: ignore[import-not-found]
import tritonclient.grpc.aio as triton_aio  # type: ignore[import-not-found]
from numpy.typing import NDArray
from PIL import Image
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException  # type: ignore[import-not-found]

URL = sys.argv[1]
CASES: dict[str, Callable[[Any], Any]] = {}


def case(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Makes a function of a client a case of the report, under its own name."""
    CASES[function.__name__] = function
    return function


def pixels(seed: int = 0, images: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (images, 12, 16, 3), np.uint8)


def png(array: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def tensor(name: str, array: NDArray[Any], datatype: str) -> Any:
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array)
    return made


def an_image(seed: int = 0, images: int = 1) -> list[Any]:
    return [tensor("pixels", pixels(seed, images), "UINT8")]


def wanted(*names: str, **options: Any) -> list[Any]:
    return [triton.InferRequestedOutput(name, **options) for name in names]


def refusal(call: Callable[[], Any]) -> list[str]:
    """Status and message of the exception that `call` raises."""
    try:
        call()
    except InferenceServerException as error:
        return [str(error.status()), str(error.message())]
    return ["OK", ""]


def probabilities(result: Any) -> Any:
    return result.as_numpy("probabilities").tolist()


@case
def health(client: Any) -> Any:
    asked = {"shapes": "", "shapes 1": "1", "shapes 7": "7", "shapes 9": "9", "nobody": "", "flipped": ""}
    ready = {key: client.is_model_ready(key.split()[0], version) for key, version in asked.items()}
    return {"live": client.is_server_live(), "ready": client.is_server_ready(), "models": ready}


@case
def server_metadata(client: Any) -> Any:
    return client.get_server_metadata(as_json=True)


@case
def model_metadata(client: Any) -> Any:
    return {name: client.get_model_metadata(name, as_json=True) for name in ("shapes", "line")}


@case
def model_config(client: Any) -> Any:
    return {name: client.get_model_config(name, as_json=True)["config"] for name in ("shapes", "line")}


@case
def unknown_models(client: Any) -> Any:
    return {
        "metadata": refusal(lambda: client.get_model_metadata("nobody")),
        "config": refusal(lambda: client.get_model_config("shapes", "9")),
        "statistics": refusal(lambda: client.get_inference_statistics("nobody")),
        "infer": refusal(lambda: client.infer("nobody", an_image())),
        "refused": refusal(lambda: client.infer("flipped", an_image())),
    }


@case
def infer_raw(client: Any) -> Any:
    result = client.infer("shapes", an_image(images=3), request_id="order-66")
    response = result.get_response()
    return {
        "id": response.id,
        "model": [response.model_name, response.model_version],
        "outputs": [output.name for output in response.outputs],
        "raw": len(response.raw_output_contents),
        "probabilities": probabilities(result),
    }


@case
def infer_typed(_: Any) -> Any:
    """The client itself writes and reads raw contents only; so these are its messages, filled and read by hand."""
    array = pixels(images=3)
    contents = service_pb2.InferTensorContents(uint_contents=array.ravel().tolist())
    typed = service_pb2.ModelInferRequest.InferInputTensor(
        name="pixels", datatype="UINT8", shape=array.shape, contents=contents
    )
    with grpc.insecure_channel(URL) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        response = stub.ModelInfer(service_pb2.ModelInferRequest(model_name="shapes", inputs=[typed]))
    (output,) = response.outputs
    return {
        "raw": len(response.raw_output_contents),
        "probabilities": np.reshape(output.contents.fp32_contents, output.shape).tolist(),
    }


@case
def infer_encoded(client: Any) -> Any:
    elements = np.array([png(each) for each in pixels(images=3)], np.object_)
    return probabilities(client.infer("shapes", [tensor("image", elements, "BYTES")]))


@case
def explained(client: Any) -> Any:
    targets = tensor("targets", np.array([[-1, 2], [0, -2]]), "INT64")
    both = [*an_image(images=2), targets]

    def shape(inputs: list[Any], outputs: list[Any] | None, **options: Any) -> Any:
        found = client.infer("traits", inputs, outputs=outputs, **options).as_numpy("heatmaps")
        return None if found is None else found.shape

    return {
        "without targets": shape(an_image(), None),
        "with targets": shape(both, None),
        "with targets, probabilities alone": shape(both, wanted("probabilities")),
        "by name": shape(an_image(), wanted("heatmaps")),
        "by a method": shape(both, wanted("heatmaps"), parameters={"method": "layercam"}),
        "by no method": refusal(lambda: shape(both, None, parameters={"method": "magic"})),
    }


@case
def classification(client: Any) -> Any:
    result = client.infer("shapes", an_image(images=2), outputs=wanted("probabilities", class_count=2))
    of_tensors = client.infer("line", line_inputs(), outputs=wanted("line", class_count=99))
    return {
        "probabilities": [[entry.decode() for entry in row] for row in result.as_numpy("probabilities")],
        "without labels": [[entry.decode() for entry in row] for row in of_tensors.as_numpy("line")],
    }


def line_inputs() -> list[Any]:
    x = np.array([[0, 1, 2], [3, 4, 5]], np.float32)
    return [tensor("x", x, "FP32"), tensor("offset", np.array([10, 20]), "INT64")]


@case
def tensors(client: Any) -> Any:
    every, one = client.infer("line", line_inputs()), client.infer("line", line_inputs(), outputs=wanted("largest"))
    return {
        "line": every.as_numpy("line").tolist(),
        "largest": every.as_numpy("largest").tolist(),
        "one": [output.name for output in one.get_response().outputs],
    }


@case
def repository(client: Any) -> Any:
    def index() -> dict[str, str]:
        listed = client.get_model_repository_index(as_json=True)["models"]
        return {f"{each['name']} {each['version']}": each["state"] for each in listed}

    def pair_ready() -> bool:
        return bool(client.is_model_ready("pair"))

    report: dict[str, Any] = {"index": index()}
    client.unload_model("pair")
    report["unloaded"] = [pair_ready(), index()["pair 1"], refusal(lambda: client.infer("pair", an_image()))]
    client.load_model("pair")
    report["loaded"] = [pair_ready(), index()["pair 1"], refusal(lambda: client.infer("pair", an_image()))]
    report["load nobody"] = refusal(lambda: client.load_model("nobody"))
    report["load another configuration"] = refusal(lambda: client.load_model("pair", config="{}"))
    report["unload nobody"] = refusal(lambda: client.unload_model("nobody"))
    return report


@case
def statistics(client: Any) -> Any:
    def of_digits() -> Any:
        (found,) = client.get_inference_statistics("digits", as_json=True)["model_stats"]
        return found

    before = of_digits()
    client.infer("digits", [tensor("pixels", np.zeros((5, 28, 28, 1), np.uint8), "UINT8")])
    refusal(lambda: client.infer("digits", [tensor("image", np.array([b"no picture"], np.object_), "BYTES")]))
    names = {each["name"] for each in client.get_inference_statistics(as_json=True)["model_stats"]}
    return {"before": before, "after": of_digits(), "models": sorted(names)}


@case
def stream(client: Any) -> Any:
    answers: queue.Queue[Any] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for number in range(6):
        model = "nobody" if number == 3 else "shapes"
        client.async_stream_infer(model, an_image(number), request_id=str(number))
    found = [answers.get(timeout=30) for _ in range(6)]
    client.stop_stream()
    return [
        {"error": error.message()}
        if error
        else {"id": result.get_response().id, "probabilities": probabilities(result)}
        for result, error in found
    ]


def slow_pictures() -> list[Any]:
    """Pictures that take some milliseconds to decode, longer than the grain of gRPC's deadlines."""
    return [tensor("image", np.array([png(np.zeros((990, 1000, 3), np.uint8))] * 8, np.object_), "BYTES")]


@case
def cancellation(client: Any) -> Any:
    """A picture that takes some time to decode, given up at once; then a question to see that all is well."""
    answers: queue.Queue[Any] = queue.Queue()
    call = client.async_infer("shapes", slow_pictures(), callback=lambda result, error: answers.put((result, error)))
    call.cancel()
    _, error = answers.get(timeout=30)
    return {"cancelled": str(error.status()), "afterwards": refusal(lambda: client.infer("shapes", an_image()))}


@case
def timeouts(client: Any) -> Any:
    return {
        "the client's": refusal(lambda: client.infer("shapes", slow_pictures(), client_timeout=1e-6))[0],
        "the request's": refusal(lambda: client.infer("shapes", an_image(), timeout=1)),
        "long enough": refusal(lambda: client.infer("shapes", an_image(), timeout=60_000_000, priority=1)),
    }


@case
def compressed(client: Any) -> Any:
    return {
        way: probabilities(client.infer("shapes", an_image(), compression_algorithm=way)) for way in ("gzip", "deflate")
    }


@case
def asynchronous(_: Any) -> Any:
    async def drive() -> Any:
        async with triton_aio.InferenceServerClient(URL) as client:

            async def requests() -> Any:
                for number in range(3):
                    yield {"model_name": "shapes", "inputs": an_image(number), "request_id": str(number)}

            live = await client.is_server_live()
            together = await asyncio.gather(*(client.infer("shapes", an_image(number)) for number in range(3)))
            streamed = [probabilities(result) async for result, _ in client.stream_infer(requests())]
            return {"live": live, "together": [probabilities(each) for each in together], "streamed": streamed}

    return asyncio.run(drive())


def main() -> None:
    report: dict[str, Any] = {}
    with triton.InferenceServerClient(URL) as client:
        for name, function in CASES.items():
            try:
                report[name] = function(client)
            except Exception:  # noqa: BLE001  the report says what it was, and the other cases are still worth knowing
                report[name] = traceback.format_exc()
    print(json.dumps(report))  # noqa: T201


main()
