"""The same picture by every protocol: what one costs the server beside another.

Many requests at a time, from a load generator in another process, in alternating rounds. What the generator takes of the two cores
differs between gRPC and HTTP, so the server's own CPU time per request tells more than the throughput.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import psutil
import typer
from numpy.typing import NDArray

from bench.errors import give_up
from bench.load import WARM_UP_SECONDS
from bench.server_process import RunningServer, serving
from bench.tables import Results, publish
from bench.target import QUIET
from bundle import golden, manifest
from bundle.errors import BundleError
from client.convert import to_request
from proto import open_inference_pb2 as v2

CLIENTS = 64
ROUNDS, SECONDS = 5, 2.0
_BASE = "gRPC, Open Inference Protocol, raw"

cli = typer.Typer(add_completion=False, rich_markup_mode=None)

Figures = tuple[float, float]  # requests a second, the server's CPU seconds a request


@cli.command()
def main(
    bundle: Annotated[Path, typer.Argument(help="The bundle to measure, models/NAME/VERSION.", metavar="BUNDLE")],
    rounds: Annotated[int, typer.Option(help="Rounds over all protocols; the median counts.", min=3)] = ROUNDS,
    seconds: Annotated[float, typer.Option(help="Length of each load.", min=0.1)] = SECONDS,
    out: Annotated[Path | None, typer.Option(help="Write the table to this Markdown file too.")] = None,
) -> None:
    """Measure every protocol on a served bundle; starts and stops the server itself."""
    try:
        publish([measure(bundle, rounds, seconds)], out)
    except (BundleError, OSError, RuntimeError) as error:
        give_up(str(error))


def measure(bundle: Path, rounds: int, seconds: float) -> Results:
    """One raw picture of `bundle`, MODELS/NAME/VERSION, sent by every protocol."""
    bundle = bundle.resolve()
    pixels = golden.read(bundle, manifest.read_classifier(bundle)).pixels[:1]
    name = bundle.parent.name
    found: dict[str, list[Figures]] = {}
    with tempfile.TemporaryDirectory() as folder, serving(bundle.parent.parent, *QUIET) as server:
        commands = _commands(Path(folder), name, pixels, server)
        for _ in range(rounds):
            for kind, command in commands.items():
                found.setdefault(kind, []).append(_load(command, server, seconds))
    return _table(f"{name} {bundle.name}", found, rounds)


def _commands(folder: Path, name: str, pixels: NDArray[np.uint8], server: RunningServer) -> dict[str, list[str]]:
    """How each kind of request is sent; the requests are written into `folder`."""
    shape, raw = list(pixels.shape), pixels.tobytes()
    tensor = {"name": "pixels", "datatype": "UINT8", "shape": shape}
    binary = tensor | {"parameters": {"binary_data_size": len(raw)}}
    asks = {"outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}]}
    head = msgspec.json.encode({"inputs": [binary]} | asks)
    infer = v2.ModelInferRequest(model_name=name, raw_input_contents=[raw])
    infer.inputs.add(**tensor)
    bodies = {
        "classify": to_request([pixels[0]], name, 0, 1, None, "").SerializeToString(),
        "infer": infer.SerializeToString(),
        "binary": head + raw,
        "json": msgspec.json.encode({"inputs": [tensor | {"data": pixels.ravel().tolist()}]}),
    }
    for file, body in bodies.items():
        (folder / file).write_bytes(body)
    to_grpc = ["bench.load", "--target", server.grpc]
    to_http = ["bench.http_load", "--target", server.http, "--path", f"/v2/models/{name}/infer"]
    return {
        "gRPC, ImageClassifier": [*to_grpc, str(folder / "classify")],
        _BASE: [*to_grpc, "--rpc", "ModelInfer", str(folder / "infer")],
        "HTTP, Open Inference Protocol, binary": [*to_http, "--json-bytes", str(len(head)), str(folder / "binary")],
        "HTTP, Open Inference Protocol, JSON": [*to_http, str(folder / "json")],
    }


def _load(command: list[str], server: RunningServer, seconds: float) -> Figures:
    process = psutil.Process(server.process.pid)
    before = process.cpu_times()
    options = ["--clients", str(CLIENTS), "--seconds", str(seconds)]
    told = subprocess.run([sys.executable, "-m", *command, *options], check=True, capture_output=True, text=True).stdout
    after = process.cpu_times()
    load = json.loads(told)
    rate = len(load["latencies"]) / load["seconds"]
    # The warm-up's calls take CPU time too and are not listed: they came at the same rate.
    calls = len(load["latencies"]) * (1 + WARM_UP_SECONDS / seconds)
    return rate, (after.user + after.system - before.user - before.system) / calls


def _table(name: str, found: dict[str, list[Figures]], rounds: int) -> Results:
    rates = {kind: np.array([rate for rate, _ in figures]) for kind, figures in found.items()}
    rows = [
        (
            kind,
            f"{np.median(rates[kind]):,.0f}",
            f"{np.median(rates[kind] / rates[_BASE]):.2f}",
            f"{1e3 * np.median([cpu for _, cpu in figures]):.3f}",
        )
        for kind, figures in found.items()
    ]
    columns = ("one raw picture a request", "requests/s", "times gRPC V2", "server CPU ms a request")
    return Results(f"{name}: {CLIENTS} requests at a time, medians of {rounds} rounds", columns, rows)


if __name__ == "__main__":
    cli(prog_name="python -m bench.protocols")
