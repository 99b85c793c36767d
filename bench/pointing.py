"""Does the evidence lie on the thing? The pointing game of Zhang et al., "Top-down Neural Attention by Excitation
Backprop" (ECCV 2016, IJCV 2018): a hit is a heatmap whose peak lies inside the true box of the class it explains.

Played over the pictures that have a box and got the right class, without the paper's margin of 15 pixels around the box.
The grid of the answer is taken where the answer says that it lies in the picture. Two yardsticks: a peak at a random place hits as often as boxes are large, and one may always guess the centre.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from rich.console import Console
from rich.progress import track

from bench import pictures
from bench.errors import give_up
from bench.pictures import Labelled
from bench.stats import wilson
from bench.tables import Results, publish
from bench.target import target_or_own
from client.client import Client
from client.errors import ClassifyError
from client.overlays import hottest
from client.results import Explain, Explanation
from client.work import Job, classify_all

MINIMUM = 0.8
_CONCURRENCY = 8

cli = typer.Typer(add_completion=False, rich_markup_mode=None)
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Game:
    """Hits among the `played` pictures, of `boxes` that have a box at all."""

    boxes: int
    played: int
    hits: int
    centre_hits: int
    chance: float  # mean share of the picture that the box covers


@cli.command()
def main(
    pictures_in: Annotated[
        Path,
        typer.Option("--pictures", help="Folder of pictures whose truth.csv has the columns left,top,right,bottom."),
    ],
    model: Annotated[str, typer.Option(help="Name of the model that shall point.")],
    target: Annotated[str | None, typer.Option(help="Running server; without it one is started on --models.")] = None,
    models: Annotated[Path, typer.Option(help="Bundles for the server that is started.")] = Path("models"),
    minimum: Annotated[float, typer.Option(help="Least share of hits for exit status 0.", min=0, max=1)] = MINIMUM,
    out: Annotated[Path | None, typer.Option(help="Write the table to this Markdown file too.")] = None,
) -> None:
    """Play the pointing game against a served model; the exit status is 1 below the minimum."""
    try:
        labelled = pictures.read(pictures_in)
        with target_or_own(target, models) as address:
            game = play(labelled, model, address)
    except (ClassifyError, OSError, RuntimeError, ValueError) as error:
        give_up(str(error))
    publish([results(game, model)], out)
    raise typer.Exit(game.hits < minimum * game.played)


def play(labelled: Sequence[Labelled], model: str, target: str) -> Game:
    """Asks for the grid of each answer. Raises ClassifyError for a picture without one, ValueError if none can be played."""
    with_box = [(each, each.box) for each in labelled if each.box is not None]
    job = Job(model, version=0, top_k=1, explain=Explain(), batch=4, concurrency=_CONCURRENCY)
    hits, centre_hits, shares = 0, 0, []
    with Client(target) as client:
        answers = classify_all(client, [each.picture for each, _ in with_box], job)
        shown = track(zip(with_box, answers, strict=True), "pointing", len(with_box), console=Console(stderr=True))
        for (each, box), (_, result) in shown:
            if result.error is not None:
                raise result.error
            (explained,) = result.explanations
            if explained.label != each.label:
                continue
            width, height = Image.open(io.BytesIO(each.picture.read())).size
            hits += points_into(explained, box)
            centre_hits += _inside(width / 2, height / 2, box)
            shares.append((box[2] - box[0]) * (box[3] - box[1]) / (width * height))
    if not shares:
        raise ValueError(
            f"{model} found none of the {len(with_box)} pictures that have a box; there is nothing to play"
        )
    return Game(len(with_box), len(shares), hits, centre_hits, float(np.mean(shares)))


def points_into(explanation: Explanation, box: Box) -> bool:
    """Whether the heatmap has its peak inside `box`.

    Bilinear interpolation never exceeds its nodes, so the peak is the centre of the strongest cell. A map without evidence
    points nowhere and misses.
    """
    peak = hottest(explanation)
    return peak is not None and _inside(*peak, box)


def _inside(x: float, y: float, box: Box) -> bool:
    left, top, right, bottom = box
    return left <= x < right and top <= y < bottom


def results(game: Game, model: str) -> Results:
    """The game as a table."""

    def row(name: str, hits: int) -> tuple[str, ...]:
        low, high = wilson(hits, game.played)
        return name, f"{hits} / {game.played}", f"{hits / game.played:.1%}", f"{low:.1%} to {high:.1%}"

    rows = [
        row("heatmap's peak in the box", game.hits),
        row("always the centre", game.centre_hits),
        ("chance (mean box area)", "", f"{game.chance:.1%}", ""),
    ]
    note = f"{game.played} of {game.boxes} pictures with a box were classified correctly, and those are played."
    return Results(f"{model}: pointing game", ("", "hits", "share", "95 % interval"), rows, (note,))


if __name__ == "__main__":
    cli(prog_name="python -m bench.pointing")
