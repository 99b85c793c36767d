"""`python -m training run`: from a recipe to a run folder."""

import shlex
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from training import backend, checkpoints, devices, workers
from training import recipe as recipes
from training.commands.common import Changes, RecipeName, errors_for_people
from training.data import found as found_data
from training.search import trials

TensorBoard = Annotated[
    Path | None,
    typer.Option(help="Also write losses and scores into this folder, for `tensorboard --logdir DIR`.", metavar="DIR"),
]
Strategy = Annotated[
    devices.Strategy,
    typer.Option(
        help="mirrored shares each batch out to all GPUs, none uses one; workers shares it out to the machines that TF_CONFIG names, of "
        "which the first writes the run folder; auto takes what there is several of."
    ),
]
Precision = Annotated[
    devices.Precision,
    typer.Option(
        help="Compute in 16 bits while training: faster on GPUs made for it. The saved model computes in float32."
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        help="Train on the pictures in this folder: a folder for each class, or files with a labels.csv; divided already into "
        "train, validation and test, or not. Short for --set data={...}.",
        metavar="DIR",
    ),
]
FromSearch = Annotated[
    Path | None, typer.Option(help="Start from the best values that a search for this recipe found.", metavar="DIR")
]


def run(
    name: RecipeName,
    out: Annotated[Path, typer.Option(help="The run folder to write; must not exist yet.", metavar="DIR")],
    epochs: Annotated[
        int | None, typer.Option(help="Train at most this long; short for --set training.epochs=N.", metavar="N")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Start from other random weights; short for --set training.seed=S.", metavar="S")
    ] = None,
    from_search: FromSearch = None,
    data: Data = None,
    cache: Annotated[
        Path | None,
        typer.Option(help="Keep what a frozen base sees in this folder; short for --set cache=DIR.", metavar="DIR"),
    ] = None,
    tensorboard: TensorBoard = None,
    strategy: Strategy = "auto",
    precision: Precision = "float32",
    changes: Changes = [],  # noqa: B006  typer never changes it
) -> None:
    """Train a recipe and write a run folder. Ctrl-C ends training early and keeps the best epoch so far.

    After a kill, the same command goes on after the last whole epoch.
    """
    short = {"training.epochs": epochs, "training.seed": seed, "cache": cache}
    changes = [*changes, *(f"{key}={value}" for key, value in short.items() if value is not None)]
    with errors_for_people():
        found = trials.best(from_search, name) if from_search else []
        own = [found_data.keys(data)] if data else []
        recipe = recipes.load(name, [*own, *found, *changes])
        strategy, team = workers.chosen(strategy)
        if team.is_first and out.exists():
            raise FileExistsError(f"{out} exists already; choose another version or remove it")
        backend.load()
        from training import tensorboard as events

        settings = {**recipes.settings(recipe), "precision": precision}
        kept = checkpoints.kept(out, settings) if team.is_first else nullcontext(enter_result=False)
        tensorboard = tensorboard if team.is_first else None
        with (
            workers.joined(team), devices.used(strategy, precision), events.written(tensorboard), kept as unfinished,
            workers.kept_by_first(out) as folder,
        ):  # fmt: skip
            if unfinished:
                typer.echo(f"{out}: going on with the run that was ended before it was finished", err=True)
            trained = recipe.train(Path(name).stem, folder, shlex.join(["python", "-m", "training", *sys.argv[1:]]))
    if trained.note:
        typer.echo(trained.note, err=True)
    typer.echo(f"{out}: {trained.figures}")
