"""`python -m bench.gpu`: everything about a bundle on an NVIDIA GPU, in one go."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import onnxruntime as ort
import typer

from bench import startup
from bench.errors import give_up
from bench.gpu import end_to_end, sessions, watch
from bench.gpu.end_to_end import Plan
from bench.local_engine import Setting
from bench.tables import Results, publish
from bundle.errors import BundleError
from server.config import Device, EngineName, PrecisionName

_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

cli = typer.Typer(add_completion=False, rich_markup_mode=None)


class Where(StrEnum):
    """The devices that can be measured."""

    CUDA = "cuda"
    CPU = "cpu"


@cli.command()
def main(
    bundles: Annotated[
        list[Path], typer.Argument(help="Bundles to measure, MODELS/NAME/VERSION.", metavar="BUNDLE...")
    ],
    device: Annotated[Where, typer.Option(help="cpu tries everything out where there is no GPU.")] = Where.CUDA,
    largest_batch: Annotated[int, typer.Option(help="Of the bare session, which is measured from 1 on.", min=1)] = 256,
    max_batch: Annotated[int, typer.Option(help="Of the server: most images in one run.", min=1)] = 64,
    server_processes: Annotated[
        list[int] | None, typer.Option(help="Serving processes; several times measures each. Without it: 1.", min=1)
    ] = None,
    processes: Annotated[int, typer.Option(help="Processes of the load generator.", min=1)] = 4,
    clients: Annotated[int, typer.Option(help="Requests in flight under load, over all processes.", min=1)] = 128,
    rounds: Annotated[
        int, typer.Option(help="Rounds over all kinds of requests, and starts; the median counts.", min=1)
    ] = 5,
    seconds: Annotated[
        float, typer.Option(help="Length of each load, and of each session's measurement.", min=0.1)
    ] = 2.0,
    photographs: Annotated[
        Path | None, typer.Option(help="Folder of *.jpg to send; without it, two that scikit-learn brings.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the tables to this Markdown file too.")] = None,
) -> None:
    """Measure bundles on a GPU: bare sessions, the server end to end, its start."""
    batches = [size for size in _BATCHES if size <= largest_batch]
    plan = Plan(processes, clients, rounds, seconds, photographs)
    try:
        where = Device(device.value)
        note = _machine(where)
        tables = [
            table
            for bundle in bundles
            for table in _measure(bundle.resolve(), where, batches, max_batch, server_processes or [1], plan, note)
        ]
    except (BundleError, OSError, RuntimeError, ValueError) as error:
        give_up(str(error))
    publish(tables, out)


def _machine(device: Device) -> str:
    """What the figures are of, as a line below the tables."""
    if device is Device.CPU:
        return "Not run on a GPU: a trial on the CPU."
    return f"{watch.describe()}; ONNX Runtime {ort.__version__}."


def _measure(
    bundle: Path,
    device: Device,
    batches: Sequence[int],
    max_batch: int,
    server_processes: Sequence[int],
    plan: Plan,
    note: str,
) -> list[Results]:
    name = bundle.parent.name
    tables, starts = [], {}
    for form in sessions.forms(bundle, device):
        rates = sessions.measure(bundle, form, device, batches, plan.seconds)
        tables.append(sessions.results(name, form.name, rates, note))
        setting = Setting(EngineName.ONNXRUNTIME, PrecisionName(form.name), 0, device, max_batch)
        tables += [end_to_end.measure(bundle, setting, count, plan, note) for count in server_processes]
        starts[f"{device} {form.name}"] = setting.arguments()
    return tables + startup.results(name, startup.measure(bundle, plan.rounds, starts))


if __name__ == "__main__":
    cli(prog_name="python -m bench.gpu")
