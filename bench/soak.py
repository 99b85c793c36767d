"""An hour of a server's life at 70 % of what it can do, with new versions, explanations and broken pictures: does it grow?

Memory, open files and threads are read every few seconds; a leak shows as a slope. The server serves the bundle under ever new version
numbers, as a team does that deploys every minute, and every answer is compared with the engine's own.
"""

import itertools
import shutil
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import grpc
import numpy as np
import psutil
import typer
from numpy.typing import NDArray
from rich.progress import Progress

from bench import loadgen, plots, questions
from bench.beside import beside
from bench.errors import give_up
from bench.loadgen import Calls
from bench.local_engine import Setting, load
from bench.server_process import RunningServer, serving
from bench.tables import Results, publish
from bench.target import QUIET
from bundle import golden, manifest
from bundle.errors import BundleError
from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from server.config import EngineName, PrecisionName

SHARE, CLIENTS = 0.7, 32
_SEGMENT_SECONDS = 20.0  # the generator keeps the answers of so long a time
_RELOAD_SECONDS = 60.0
_SAMPLE_SECONDS = 5.0
# Of the whole, at the beginning, in which caches fill.
_WARM_UP = 0.1

cli = typer.Typer(add_completion=False, rich_markup_mode=None)


@dataclass(frozen=True)
class Sample:
    """The server at one moment."""

    seconds: float
    rss_mib: float
    files: int
    threads: int


@dataclass
class Life:
    """What happened."""

    started: float = field(default_factory=time.monotonic)
    samples: list[Sample] = field(default_factory=list)
    calls: int = 0
    wrong: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)  # ends of explained and broken calls
    versions: int = 1

    @property
    def settled(self) -> list[Sample]:
        """The samples after the warm-up."""
        return self.samples[int(_WARM_UP * len(self.samples)) :]

    def slope(self, name: str) -> float:
        """Growth an hour, by least squares over the settled samples."""
        hours = [sample.seconds / 3600 for sample in self.settled]
        return float(np.polyfit(hours, [getattr(sample, name) for sample in self.settled], 1)[0])


@cli.command()
def main(
    bundle: Annotated[Path, typer.Argument(help="The bundle to serve, MODELS/NAME/VERSION.", metavar="BUNDLE")],
    minutes: Annotated[float, typer.Option(help="How long.", min=0.5)] = 60.0,
    share: Annotated[float, typer.Option(help="Of what the server can do, asked of it.", min=0.01, max=1)] = SHARE,
    out: Annotated[Path | None, typer.Option(help="Write table and plot to this Markdown file too.")] = None,
) -> None:
    """Serve under steady load with reloads, explanations and broken pictures; the exit status is 1 when an answer was wrong."""
    try:
        life, rate = live(bundle, 60 * minutes, share)
    except (BundleError, OSError, RuntimeError, ValueError) as error:
        give_up(str(error))
    plot = draw(life, out.with_suffix(".png")) if out else None
    publish([results(life, rate, share, plot)], out)
    if life.wrong:
        give_up(f"{len(life.wrong)} wrong answers, the first: {life.wrong[0]}")


def live(bundle: Path, seconds: float, share: float) -> tuple[Life, float]:
    """The server's life, and how many calls a second were asked of it."""
    described = manifest.read_classifier(bundle)
    pixels = golden.read(bundle, described).pixels
    engine, chosen = load(bundle, Setting(EngineName.ONNXRUNTIME, PrecisionName.FP32, 0))
    with TemporaryDirectory() as folder:
        name = bundle.resolve().parent.name
        models = Path(folder) / "models" / name
        _deploy(bundle, models, 1)
        with serving(models.parent, "--keep-versions", "2", *chosen.arguments(), *QUIET) as server:
            calls = questions.raw(name, pixels, engine)
            best = loadgen.run(server.grpc, calls, clients=CLIENTS, seconds=10)
            if best.errors:
                raise RuntimeError(f"wrong answers: {best.first_error}")
            life, rate = Life(), share * best.rate
            end = life.started + seconds
            with (
                beside(partial(_watch, server, life)),
                beside(partial(_redeploy, bundle, models, life)),
                beside(partial(_disturb, server, name, pixels[0], life)),
            ):
                _load(server, calls, rate, life, end)
    return life, rate


def _load(server: RunningServer, calls: Calls, rate: float, life: Life, end: float) -> None:
    with Progress() as progress:
        task = progress.add_task("serving", total=end - life.started)
        while (left := end - time.monotonic()) > 1:
            seconds = min(_SEGMENT_SECONDS, left)
            part = loadgen.run(server.grpc, calls, clients=5000, seconds=seconds, rate=rate, warm_up_seconds=0)
            life.calls += len(part.latencies)
            if part.errors:
                life.wrong += [f"{part.errors} at {time.monotonic() - life.started:.0f} s: {part.first_error}"]
            progress.update(task, completed=time.monotonic() - life.started)


def _watch(server: RunningServer, life: Life, over: threading.Event) -> None:
    process = psutil.Process(server.process.pid)
    while not over.wait(_SAMPLE_SECONDS):
        rss = process.memory_info().rss / 2**20
        now = time.monotonic() - life.started
        life.samples.append(Sample(now, rss, process.num_fds(), process.num_threads()))


def _redeploy(bundle: Path, models: Path, life: Life, over: threading.Event) -> None:
    for version in itertools.count(2):
        if over.wait(_RELOAD_SECONDS):
            return
        _deploy(bundle, models, version)
        life.versions = version
        if version > 3:
            shutil.rmtree(models / str(version - 3))


def _deploy(bundle: Path, models: Path, version: int) -> None:
    """Copies the bundle beside its place first: a version comes into being all at once."""
    partial = models / f".{version}"
    shutil.copytree(bundle, partial)
    partial.rename(models / str(version))


def _disturb(server: RunningServer, name: str, pixels: NDArray[np.uint8], life: Life, over: threading.Event) -> None:
    """Explained pictures as PNG files, and files that are none, some a second."""
    height, width, channels = pixels.shape
    image = pb.Image(pixels=pb.RawPixels(height=height, width=width, channels=channels, data=pixels.tobytes()))
    explain = pb.Explain(format=pb.HEATMAP_FORMAT_HEATMAP_PNG)
    good = pb.ClassifyRequest(model=name, images=[image], explain=explain)
    broken = pb.ClassifyRequest(model=name, images=[pb.Image(encoded=b"\x89PNG\r\n\x1a\n, and no more")])
    with grpc.insecure_channel(server.grpc) as channel:
        stub = rpc.ImageClassifierStub(channel)
        while not over.wait(0.2):
            for kind, request in (("explained", good), ("broken", broken)):
                try:
                    stub.Classify(request, timeout=30)
                    life.others[f"{kind}: OK"] += 1
                except grpc.RpcError as error:
                    life.others[f"{kind}: {error.code().name}"] += 1


def results(life: Life, rate: float, share: float, plot: Path | None) -> Results:
    """The table: a row for what may leak."""
    rows = []
    for name, label in (("rss_mib", "RSS, MiB"), ("files", "open files"), ("threads", "threads")):
        values = [getattr(sample, name) for sample in life.settled]
        first, last = values[0], values[-1]
        rows.append(
            (
                label,
                f"{first:.0f}",
                f"{min(values):.0f}",
                f"{max(values):.0f}",
                f"{last:.0f}",
                f"{life.slope(name):+.2f}",
            )
        )
    ends = ", ".join(f"{count:,} {end}" for end, count in sorted(life.others.items()))
    note = (
        f"{life.calls:,} calls in {life.samples[-1].seconds / 60:.0f} minutes at {share:.0%} of the most ({rate:,.0f}/s), "
        f"{len(life.wrong)} of them wrong or failed; {life.versions} versions deployed, two in service; beside them {ends}. "
        f"The figures leave out the first {_WARM_UP:.0%} of the time."
    )
    columns = ("", "first", "least", "most", "last", "growth an hour")
    return Results("Soak", columns, rows, (note,), plot.name if plot else "")


def draw(life: Life, path: Path) -> Path:
    """Memory, files and threads over time."""
    figure, panels = plots.stacked("The server over time", 3)
    minutes = [sample.seconds / 60 for sample in life.samples]
    for axes, name, label in zip(
        panels, ("rss_mib", "files", "threads"), ("RSS, MiB", "open files", "threads"), strict=True
    ):
        axes.plot(minutes, [getattr(sample, name) for sample in life.samples], color=plots.COLOURS[0], linewidth=1.4)
        axes.set_ylabel(label, fontsize=9)
        axes.set_ylim(bottom=0)
    panels[-1].set_xlabel("minutes", fontsize=9)
    return plots.save(figure, path)


if __name__ == "__main__":
    cli(prog_name="python -m bench.soak")
