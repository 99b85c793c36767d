"""What an explanation costs beside the prediction it belongs to: the engine's CPU time per image.

Everything runs in this process, alternating in blocks, so that a machine whose speed wanders is as fast for one kind as for the
other; a ratio is the median over the rounds of the ratio within each. CPU time, not the clock: it counts every thread and
does not count the neighbours.

Three ways to keep plain predictions from paying are measured beside each other: a graph of its own (what bundles have), the one
graph asked for no targets, and the one graph with ONNX Runtime's option to run only what leads to the outputs that are fetched.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import onnxruntime as ort
import typer
from numpy.typing import NDArray

from bench.errors import give_up
from bench.tables import Results, publish
from bundle import files, golden, manifest
from bundle.errors import BundleError
from exporter.from_keras import quiet
from server.config import Device, available_cores
from server.engine import onnxruntime
from server.engine.onnxruntime import session

BATCHES = (1, 8, 32)
# What a kind may cost, in terms of the same model without explanations.
LIMITS = {"plain prediction": 1.02, "top class explained": 1.10, "top 3 explained": 1.25}

_BASE = "the same model without explanations"
_BLOCK_SECONDS = 0.1

cli = typer.Typer(add_completion=False, rich_markup_mode=None)

Call = Callable[[], object]
Feeds = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Cost:
    """CPU seconds per image, and how many times the base's in the same rounds."""

    seconds: float
    ratio: float


@cli.command()
def main(
    bundles: Annotated[
        list[Path], typer.Argument(help="Bundles to measure, models/NAME/VERSION.", metavar="BUNDLE...")
    ],
    rounds: Annotated[int, typer.Option(help="Rounds of alternating blocks; the median counts.", min=3)] = 5,
    tensorflow: Annotated[
        bool, typer.Option(help="Measure GradientTape in the bundle's SavedModel beside them.")
    ] = True,
    torch: Annotated[
        Path | None,
        typer.Option(help="What `torch_reference.py time` measured of the last bundle's network in PyTorch."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the tables to this Markdown file too.")] = None,
) -> None:
    """Measure what explanations cost; the exit status is 1 if one costs more than it may."""
    try:
        measured = {bundle: measure(bundle, rounds, tensorflow) for bundle in bundles}
        if torch is not None:
            _add_torch(measured[bundles[-1]], torch)
    except (BundleError, OSError, RuntimeError) as error:
        give_up(str(error))
    publish([table(bundle, costs) for bundle, costs in measured.items()], out)
    broken = [f"{bundle}, {found}" for bundle, costs in measured.items() for found in exceeded(costs)]
    if broken:
        give_up("; ".join(["more than it may cost", *broken]))


def _add_torch(costs: dict[int, dict[str, Cost]], file: Path) -> None:
    """Adds what PyTorch took, in its own process: {batch: {kind: CPU seconds per image}}, the first kind being the base."""
    for batch, kinds in json.loads(file.read_text()).items():
        base = next(iter(kinds.values()))
        costs[int(batch)] |= {f"PyTorch: {kind}": Cost(seconds, seconds / base) for kind, seconds in kinds.items()}


def measure(bundle: Path, rounds: int, tensorflow: bool) -> dict[int, dict[str, Cost]]:
    """For each batch size, what each kind of request costs."""
    bundle = bundle.resolve()
    samples = golden.read(bundle, files.verify_classifier(bundle))
    makers = _on_onnx_runtime(bundle)
    if tensorflow and (bundle / manifest.SAVED_MODEL).exists():
        makers |= _in_tensorflow(bundle)
    costs: dict[int, dict[str, Cost]] = {}
    for batch in BATCHES:
        pixels = np.resize(samples.pixels, (batch, *samples.pixels.shape[1:]))
        costs[batch] = alternate({name: make(pixels) for name, make in makers.items()}, batch, rounds)
    return costs


Maker = Callable[[NDArray[np.uint8]], Call]


def _on_onnx_runtime(bundle: Path) -> dict[str, Maker]:
    graphs = bundle / manifest.ONNX_MODEL, bundle / manifest.PREDICT_MODEL
    engine = onnxruntime.build(graphs[::-1], "fp32", Device.CPU, available_cores(), max_batch=max(BATCHES))
    plain, both = (session(graph, Device.CPU, available_cores()) for graph in reversed(graphs))
    reached_only = ort.RunOptions()
    reached_only.only_execute_path_to_fetches = True

    def ranks(pixels: NDArray[np.uint8], count: int) -> NDArray[np.int64]:
        return np.tile(-1 - np.arange(count), (len(pixels), 1))

    def served(count: int) -> Maker:
        def make(pixels: NDArray[np.uint8]) -> Call:
            targets = ranks(pixels, count)
            feeds: dict[str, NDArray[np.generic]] = {
                "pixels": pixels,
                "targets": targets,
                "methods": np.zeros_like(targets),
            }
            return lambda: engine.run(feeds, ["probabilities", "heatmaps"] if count else ["probabilities"])

        return make

    def from_one_graph(count: int, options: ort.RunOptions | None) -> Maker:
        takes = [value.name for value in both.get_inputs()]

        def make(pixels: NDArray[np.uint8]) -> Call:
            targets = ranks(pixels, count)
            given: Feeds = {"pixels": pixels, "targets": targets, "methods": np.zeros_like(targets)}
            feeds = {name: given[name] for name in takes}
            return lambda: both.run(["probabilities"], feeds, options)

        return make

    return {
        _BASE: lambda pixels: lambda: plain.run(["probabilities"], {"pixels": pixels}),
        "plain prediction": served(0),
        "top class explained": served(1),
        "top 3 explained": served(3),
        "plain, from the explaining graph with no targets": from_one_graph(0, None),
        "plain, from the explaining graph by only_execute_path_to_fetches": from_one_graph(1, reached_only),
    }


def _in_tensorflow(bundle: Path) -> dict[str, Maker]:
    """The SavedModel: the Keras model with TensorFlow's GradientTape in the same function."""
    quiet.start_tensorflow()
    import tensorflow as tf

    loaded = tf.saved_model.load(str(bundle / manifest.SAVED_MODEL))
    signature = loaded.signatures["serving_default"]
    several = {"methods"} & set(signature.structured_input_signature[1])

    def make(pixels: NDArray[np.uint8]) -> Call:
        targets = tf.constant(np.full((len(pixels), 1), -1))
        feeds = {"pixels": tf.constant(pixels), "targets": targets} | dict.fromkeys(several, tf.zeros_like(targets))
        return lambda: (loaded, signature(**feeds))  # the variables live as long as what was loaded

    return {"TensorFlow: top class explained by GradientTape": make}


def alternate(calls: dict[str, Call], batch: int, rounds: int) -> dict[str, Cost]:
    """CPU seconds per image of each call on `batch` images, in alternating blocks; the first call is the base."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    repeats = {name: _repeats(call) for name, call in calls.items()}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(_seconds(call, repeats[name]) / batch)
    base = np.array(next(iter(times.values())))
    return {name: Cost(float(np.median(took)), float(np.median(took / base))) for name, took in times.items()}


def _repeats(call: Call) -> int:
    """How many calls fill a block; also warms up."""
    call()
    return max(1, round(_BLOCK_SECONDS / max(_seconds(call, 1), 1e-6)))


def _seconds(call: Call, repeats: int) -> float:
    started = time.process_time()
    for _ in range(repeats):
        call()
    return (time.process_time() - started) / repeats


def table(bundle: Path, costs: dict[int, dict[str, Cost]]) -> Results:
    """One network's figures, a row for each kind; times what the model takes without explanations, PyTorch's times its own."""
    columns = ["CPU ms per image (times the base)", *(f"batch {batch}" for batch in costs)]
    kinds = next(iter(costs.values()))
    rows = [
        (kind, *(f"{1e3 * costs[batch][kind].seconds:.3f} ({costs[batch][kind].ratio:.3f})" for batch in costs))
        for kind in kinds
    ]
    return Results(f"{bundle.parent.name} {bundle.name}", columns, rows)


def exceeded(costs: dict[int, dict[str, Cost]]) -> list[str]:
    """What costs more than it may, in words."""
    return [
        f"{kind} at batch {batch}: {each[kind].ratio:.3f} of {limit:.2f}"
        for batch, each in costs.items()
        for kind, limit in LIMITS.items()
        if each[kind].ratio > limit
    ]


if __name__ == "__main__":
    cli(prog_name="python -m bench.explain")
