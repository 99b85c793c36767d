"""The same picture by every protocol: what one costs the server beside another.

Many requests at a time, in alternating rounds. What the generator takes of the cores differs between gRPC and HTTP, so the server's own
CPU time per request tells more than the throughput.
"""

from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import typer
from numpy.typing import NDArray

from bench import loadgen, meters, questions
from bench.errors import give_up
from bench.loadgen import Calls
from bench.server_process import RunningServer, serving
from bench.tables import Results, publish
from bench.target import QUIET
from bundle import golden, manifest
from bundle.errors import BundleError
from client.convert import to_request

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
    with serving(bundle, "--model-name", name, *QUIET) as server:
        for _ in range(rounds):
            for kind, calls in _kinds(name, pixels).items():
                found.setdefault(kind, []).append(_load(server, calls, seconds))
    return _table(f"{name} {bundle.name}", found, rounds)


def _kinds(name: str, pixels: NDArray[np.uint8]) -> dict[str, Calls]:
    """The request by each protocol; `pixels` [1, H, W, C] are the picture."""
    raw = pixels.tobytes()
    tensor = {"name": "pixels", "datatype": "UINT8", "shape": list(pixels.shape)}
    binary = tensor | {"parameters": {"binary_data_size": len(raw)}}
    asks = {"outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}]}
    head = msgspec.json.encode({"inputs": [binary]} | asks)
    told = msgspec.json.encode({"inputs": [tensor | {"data": pixels.ravel().tolist()}]})
    classify = to_request([pixels[0]], name, 0, 1, None, "").SerializeToString()
    path, length = f"/v2/models/{name}/infer", {"Inference-Header-Content-Length": str(len(head))}
    return {
        "gRPC, ImageClassifier": Calls([classify], path="/seethrough.v1.ImageClassifier/Classify"),
        _BASE: Calls(questions.raw_bodies(name, pixels, heatmaps=False)),
        "HTTP, Open Inference Protocol, binary": Calls([head + raw], path=path, protocol="http", headers=length),
        "HTTP, Open Inference Protocol, JSON": Calls([told], path=path, protocol="http"),
    }


def _load(server: RunningServer, calls: Calls, seconds: float) -> Figures:
    target = server.grpc if calls.protocol == "grpc" else server.http
    pid = server.process.pid
    load = loadgen.run(target, calls, clients=CLIENTS, seconds=seconds, meter=lambda: meters.cpu_seconds(pid))
    if load.errors:
        raise RuntimeError(f"{load.errors} calls to {calls.path} failed, the first: {load.first_error}")
    return load.rate, load.metered / len(load.latencies)


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
