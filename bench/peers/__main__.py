"""`python -m bench.peers`: our server beside others, on the same graph, with the same requests from the same generator.

All run the bundle's plain ONNX graph on the same version of ONNX Runtime's CPU provider, except `ours-auto`, which may choose; one
raw uint8 picture a request, with as many callers as --clients, each of which sends the next picture when it is answered. Server and
generator share the machine. Every answer is compared with what the engine answers to that picture in this process; one that differs
by more than a tenth of the smallest difference between two pictures' answers voids the row of its server.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.errors import give_up
from bench.peers import limits, plot, report, rounds, workload
from bench.peers.peers import PEERS, Peer
from bench.peers.rounds import Measured, Plan
from bench.tables import Results, show, write
from bundle.errors import BundleError

cli = typer.Typer(add_completion=False, rich_markup_mode=None)


@cli.command()
def main(
    models: Annotated[list[Path], typer.Argument(help="Bundles to measure, MODELS/NAME/VERSION.", metavar="MODELS...")],
    peers: Annotated[
        str, typer.Option(help="Servers to measure, separated by commas. Ratios are to the server `ours`.")
    ] = ",".join(peer.name for peer in PEERS),
    clients: Annotated[str, typer.Option(help="Numbers of callers, separated by commas.")] = "1,8,32,64",
    seconds: Annotated[
        float, typer.Option(help="Length of each load; those of the trial are a second at most.", min=0.1)
    ] = 2.0,
    rounds: Annotated[int, typer.Option(help="Rounds over all servers; the median counts.", min=1)] = 3,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the tables to this Markdown file, and beside it a plot for each model, NAME of the file-MODEL.png."
        ),
    ] = None,
) -> None:
    """Compare model servers; starts and stops them itself."""
    plan, chosen = Plan(_numbers(clients), seconds, rounds), _chosen(peers)
    tables: list[Results] = []
    try:
        for measured in _measured([workload.read(each) for each in models], chosen, plan):
            tables += _tables(measured, chosen, plan, out)
            write(tables, out)  # a quarter of an hour each: whatever ends the next one, this one is kept
    except (BundleError, OSError, RuntimeError, ValueError) as error:
        give_up(str(error))
    show(tables)


def _measured(found: list[workload.Workload], chosen: list[Peer], plan: Plan) -> Iterator[Measured]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(found) * rounds.steps(chosen, plan))

        def step(description: str) -> None:
            progress.update(task, advance=1, description=description)

        for each in found:
            yield rounds.measure(each, chosen, plan, step)
            limits.compiled.cache_clear()  # nobody asks this network's engines again, and all of them together take gigabytes


def _tables(measured: Measured, chosen: list[Peer], plan: Plan, out: Path | None) -> list[Results]:
    picture = None
    if out is not None:
        path = out.with_name(f"{out.stem}-{measured.workload.name}.png")
        picture = plot.draw(measured, chosen, plan, path)
    return report.tables(measured, chosen, plan, picture)


def _numbers(text: str) -> list[int]:
    try:
        numbers = sorted({int(each) for each in text.split(",")})
    except ValueError:
        numbers = []
    if not numbers or numbers[0] < 1:
        raise typer.BadParameter(f"{text!r}: give positive numbers, such as 1,8,64", param_hint="--clients")
    return numbers


def _chosen(text: str) -> list[Peer]:
    known = {peer.name: peer for peer in PEERS}
    names = text.split(",")
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(known)}", param_hint="--peers")
    return [peer for name, peer in known.items() if name in names]


if __name__ == "__main__":
    cli(prog_name="python -m bench.peers")
