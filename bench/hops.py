"""What it costs that the engine is in another process (`--engine-process on`), beside an engine in the same one.

Both queues are asked by the same code in this process, in turns, so that a machine whose speed wanders is the same machine for both:
one image at a time for the latency that the way there and back adds, and many at once for what it adds in CPU time, where messages
share system calls. The pieces of the way are measured alone below.

Where it pays: an image's way to the engine process and back costs CPU time on both sides, tens of microseconds together, and saves none.
It pays where one engine must serve what several processes decode: on a GPU, as soon as decoding and protocols take more than one core.
There each process with an engine of its own would take its own CUDA context (hundreds of MiB) and make batches of its own
share of the load, while the GPU wants one large batch at a time. On a CPU it does not pay: the cores are the limit, and a process that
computes where it decodes needs no way; `--processes N` with `--engine-process off` is the better choice there.
"""

import asyncio
import os
import signal
import statistics
import time
import timeit
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import psutil
import typer
import uvloop
from numpy.typing import NDArray

from bench.errors import give_up
from bench.tables import Results, publish
from bundle import golden, manifest
from bundle.errors import BundleError
from bundle.limits import DEFAULT_MAX_PIXELS
from server.batching.items import ImageItem, ImageResult
from server.batching.policy import Priority
from server.config import MIB, Device, EngineName, EngineProcess, Evidence, PrecisionName, Settings
from server.events import Events
from server.processes import keeper, messages
from server.processes.posts import posts
from server.processes.remote import RemoteStore
from server.processes.start import Start
from server.serving.models import Queue, ServedClassifier
from server.serving.repository import Repository

CLIENTS = 64
_TURNS = 5
_TIMES = 200  # of each piece of the way

cli = typer.Typer(add_completion=False, rich_markup_mode=None)
ImageQueue = Queue[ImageItem, ImageResult]


@cli.command()
def main(
    bundle: Annotated[Path, typer.Argument(help="The bundle to measure, models/NAME/VERSION.", metavar="BUNDLE")],
    seconds: Annotated[float, typer.Option(help="Length of the measurement of each of the two.", min=0.5)] = 5.0,
    clients: Annotated[int, typer.Option(help="Images in work at once under load.", min=1, max=512)] = CLIENTS,
    engine: Annotated[EngineName, typer.Option(help="What runs the graphs.")] = EngineName.ONNXRUNTIME,
    out: Annotated[Path | None, typer.Option(help="Write the tables to this Markdown file too.")] = None,
) -> None:
    """Measure what the way to an engine in another process costs for an image classifier."""
    settings = Settings(
        models=bundle,
        model_name="hops",
        host="127.0.0.1",
        grpc_port=0,
        http_port=0,
        device=Device.AUTO,
        engine=engine,
        precision=PrecisionName.FP32,
        threads=0,
        decode_threads=1,
        max_batch=32,
        max_inflight_images=512,
        max_inflight_bytes=256 * MIB,
        max_request_bytes=32 * MIB,
        max_image_pixels=DEFAULT_MAX_PIXELS,
        grace_seconds=0,
        drain_seconds=0,
        engine_process=EngineProcess.ON,
        evidence=Evidence(log_level="warning"),
    )
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            tables = runner.run(_measure(settings, seconds, clients))
    except (BundleError, OSError, RuntimeError) as error:
        give_up(str(error))
    publish(tables, out)


@dataclass
class _Figures:
    """Of one queue: seconds of single images, and of each turn under load images, seconds, CPU seconds here and there."""

    alone: list[float] = field(default_factory=list)
    turns: list[tuple[int, float, float, float]] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)


async def _measure(settings: Settings, seconds: float, clients: int) -> list[Results]:
    here = Repository(settings, Events(), time.monotonic)
    await here.load_all()
    async with _engine_process(settings) as (there, engine):
        item = ImageItem(_pixels(settings.models)[np.newaxis], np.empty((1, 0), np.int64), 0)
        queues: dict[str, ImageQueue] = {"this process": _queue(here), "another process": _queue(there)}
        figures = {name: _Figures() for name in queues}
        for _ in range(_TURNS):
            for name, queue in queues.items():
                await _alone(queue, item, seconds / _TURNS / 2, figures[name])
                await _together(queue, item, clients, seconds / _TURNS / 2, figures[name], engine)
        pieces = await _pieces(there, item)
    await here.close()
    return [_table(figures, clients), pieces]


@asynccontextmanager
async def _engine_process(settings: Settings) -> AsyncIterator[tuple[RemoteStore, psutil.Process]]:
    """The engine process that a supervisor would start, and its models, seen from here."""
    owner, serving = posts(settings, Start(settings, "", -1, os.getpid(), ()))
    process = await keeper.launch(owner, owner.start, {"ready": _ready})
    store = RemoteStore(settings, Events(), serving.start.name, serving.start.engine, serving.start.memory)
    await store.load_all()
    try:
        yield store, psutil.Process(process.pid)
    finally:
        await store.close()
        process.signal(signal.SIGTERM)
        await process.end()


async def _ready(_: list[str]) -> None:
    """The engine process has loaded its models; the store hears of it too."""


def _queue(store: Repository | RemoteStore) -> ImageQueue:
    """Raises RuntimeError unless the bundle is an image classifier in service."""
    for model in store.served():
        if isinstance(model, ServedClassifier):
            return model.batcher
    refused = "; ".join(status.reason for status in store.statuses())
    raise RuntimeError(f"no image classifier in service there{': ' if refused else ''}{refused}")


def _pixels(bundle: Path) -> NDArray[np.uint8]:
    """The first golden sample. Raises BundleError when the bundle is no image classifier's."""
    pixels: NDArray[np.uint8] = golden.read(bundle, manifest.read_classifier(bundle)).pixels[0]
    return pixels


async def _alone(queue: ImageQueue, item: ImageItem, seconds: float, figures: _Figures) -> None:
    started = end = time.perf_counter()
    while end < started + seconds:
        before = end
        await queue.submit(item, None)
        end = time.perf_counter()
        figures.alone.append(end - before)


async def _together(
    queue: ImageQueue, item: ImageItem, clients: int, seconds: float, figures: _Figures, engine: psutil.Process
) -> None:
    """`clients` callers who ask again as soon as they are answered."""
    end = time.perf_counter() + seconds

    async def ask() -> int:
        images = 0
        while time.perf_counter() < end:
            output = await queue.submit(item, None)
            figures.batches.append(output.batch_rows)
            images += 1
        return images

    started, here, there = time.perf_counter(), time.process_time(), _cpu_seconds(engine)
    images = sum(await asyncio.gather(*(ask() for _ in range(clients))))
    took = time.perf_counter() - started
    figures.turns.append((images, took, time.process_time() - here, _cpu_seconds(engine) - there))


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


async def _pieces(there: RemoteStore, item: ImageItem) -> Results:
    """The parts of the way, each alone."""
    slot = np.empty_like(item.pixels)
    submit = messages.Submit(1000, 1, [100], item.targets.tolist(), item.method, 1e5, Priority.NORMAL)
    encoder, decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(messages.ToEngine)

    def copy() -> None:
        slot[...] = item.pixels

    def encode() -> None:
        decoder.decode(encoder.encode(submit))

    trips = []
    for _ in range(_TIMES):
        started = time.perf_counter()
        await there.load("")
        trips.append(time.perf_counter() - started)
    rows = (
        (f"copying {item.pixels.nbytes:,} bytes of pixels into a slot", _microseconds(_shortest(copy))),
        ("writing and reading the message that points at them", _microseconds(_shortest(encode))),
        ("a message there and one back, both processes idle", _microseconds(statistics.median(trips))),
    )
    return Results("The pieces of the way", ("piece", "µs"), rows)


def _shortest(function: Callable[[], None]) -> float:
    return min(timeit.repeat(function, number=_TIMES, repeat=_TURNS)) / _TIMES


def _table(figures: dict[str, _Figures], clients: int) -> Results:
    columns = ("engine in", "alone µs", f"images/s at {clients}", "CPU µs here", "CPU µs there", "batch")
    rows = [(name, *_row(each)) for name, each in figures.items()]
    notes = (
        "alone: median from submitting one image to its answer. The rest under load: medians of the turns; the batch is the mean of those "
        "that an image meets. CPU time is that of one image in each process, the engine's own included; decoding and protocols come on top.",
    )
    return Results("The way to an engine in another process", columns, rows, notes)


def _row(figures: _Figures) -> tuple[str, ...]:
    def middle(of: Callable[[int, float, float, float], float]) -> float:
        return statistics.median(of(*turn) for turn in figures.turns)

    return (
        _microseconds(statistics.median(figures.alone)),
        f"{middle(lambda images, took, *_: images / took):,.0f}",
        _microseconds(middle(lambda images, _, here, __: here / images)),
        _microseconds(middle(lambda images, _, __, there: there / images)),
        f"{statistics.fmean(figures.batches):.1f}",
    )


def _microseconds(seconds: float) -> str:
    return f"{1e6 * seconds:,.1f}" if seconds < 1e-4 else f"{1e6 * seconds:,.0f}"


if __name__ == "__main__":
    cli(prog_name="python -m bench.hops")
