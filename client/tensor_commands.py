"""The commands `generate` and `transform`, for models whose answers are text and pictures."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
import typer
from rich.console import Console
from rich.progress import track

from bundle.errors import PictureError
from client import connect, generate, pictures, transform
from client.calls import DEFAULT_TARGET
from client.client import Client
from client.errors import ClassifyError
from client.generate import Text
from client.pictures import Picture
from client.security import Tls
from client.tensors import Array, TensorModel
from client.transform import PictureModel

INTERRUPTED = 130  # 128 + SIGINT, as shells have it
_HANDFUL = 5  # up to here a progress bar only flickers

Wanted = TypeVar("Wanted")
Infer = Callable[[Mapping[str, Array]], Mapping[str, Array]]

Model = Annotated[str, typer.Option(help="Name of the model that shall answer.")]
Version = Annotated[
    str,
    typer.Option(
        help="Version of the model, by its number or what the server calls it; without it, the one that answers by default.",
        metavar="NUMBER|LABEL",
    ),
]
Prompt = Annotated[str, typer.Option(help="The text to go on from; - reads it from standard input.")]
Length = Annotated[int, typer.Option(help="Write this many bytes; most characters have one.", min=1)]
Temperature = Annotated[
    float,
    typer.Option(
        help="How bold: 0.2 repeats what is most probable, 0.5 is careful, 1 is as the model has learnt it, 1.2 invents words.",
        min=0.01,
        max=10,
    ),
]
Seed = Annotated[
    int | None, typer.Option(help="The same seed gives the same text again; without it, another text each time.", min=0)
]
Files = Annotated[
    list[str], typer.Argument(help="Pictures, folders of them, patterns ('photos/**/*.jpg'), or - for standard input.")
]
Out = Annotated[
    Path,
    typer.Option(
        help="Write the pictures into this folder, as PNG files with the names of the originals.", metavar="DIR"
    ),
]


def generate_text(
    model: Model,
    prompt: Prompt = "",
    length: Length = 400,
    temperature: Temperature = 0.5,
    seed: Seed = None,
    version: Version = "",
    target: connect.Target = DEFAULT_TARGET,
    timeout: connect.Timeout = 30.0,
    tls: connect.TlsFlag = False,
    ca: connect.Ca = None,
    cert: connect.Cert = None,
    key: connect.Key = None,
    server_name: connect.ServerName = "",
    token_file: connect.TokenFile = None,
) -> None:
    """Write text with a model that tells the next character; the prompt is repeated first."""
    prompt = sys.stdin.read() if prompt == "-" else prompt
    secured = connect.secured(tls, ca, cert, key, server_name)
    with connect.connect(target, timeout, secured, token_file) as client:
        told = _known(client, model, version, secured)
        window = _fitting(generate.window_of, told)

        def following(text: Text) -> Array:
            answer = client.infer({told.inputs[0].name: text[np.newaxis]}, model, version=version)
            row: Array = answer[told.outputs[0].name][0]
            return row

        typer.echo(prompt, nl=False)
        try:
            for character in islice(generate.generate(following, window, prompt, temperature, seed), length):
                typer.echo(character, nl=False)
        except ClassifyError as error:
            typer.echo()
            connect.give_up(client, error, secured)
        except KeyboardInterrupt as error:
            typer.echo()
            raise typer.Exit(INTERRUPTED) from error
    typer.echo()


def transform_pictures(
    files: Files,
    model: Model,
    out: Out,
    version: Version = "",
    target: connect.Target = DEFAULT_TARGET,
    timeout: connect.Timeout = 30.0,
    tls: connect.TlsFlag = False,
    ca: connect.Ca = None,
    cert: connect.Cert = None,
    key: connect.Key = None,
    server_name: connect.ServerName = "",
    token_file: connect.TokenFile = None,
) -> None:
    """Send pictures through a model that answers with pictures; the exit status is 1 if one of them failed."""
    try:
        found = pictures.find(files)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error), param_hint="FILES") from error
    secured = connect.secured(tls, ca, cert, key, server_name)
    with connect.connect(target, timeout, secured, token_file) as client:
        told = _known(client, model, version, secured)
        asked = _fitting(transform.picture_model, told)
        failed = _all(found, asked, _asked(client, told, version), out)
    typer.echo(f"{len(found) - failed} of {len(found)} pictures are in {out}", err=True)
    raise typer.Exit(int(failed > 0))


def _known(client: Client, model: str, version: str, tls: Tls | None) -> TensorModel:
    try:
        return client.tensor_model(model, version)
    except ClassifyError as error:
        connect.give_up(client, error, tls)


def _fitting(reading: Callable[[TensorModel], Wanted], model: TensorModel) -> Wanted:
    """What `reading` makes of the model; a usage error when it is another kind of model."""
    try:
        return reading(model)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--model") from error


def _asked(client: Client, model: TensorModel, version: str) -> Infer:
    return lambda inputs: client.infer(inputs, model.name, version=version)


def _all(found: Sequence[Picture], model: PictureModel, infer: Infer, out: Path) -> int:
    """Writes what becomes of all pictures, and tells which failed; returns how many."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        taken: set[str] = set()
        return sum(not _one(picture, model, infer, out / _name(picture, taken)) for picture in _shown(found))
    except OSError as error:
        typer.echo(f"error: cannot write into {out}: {error.strerror}", err=True)
        raise typer.Exit(1) from error


def _one(picture: Picture, model: PictureModel, infer: Infer, path: Path) -> bool:
    """Whether it could be done."""
    try:
        data = picture.read()
    except OSError as error:
        typer.echo(f"error: {picture.name}: cannot be read: {error.strerror}", err=True)
        return False
    try:
        made = transform.transform(data, model, infer)
    except (PictureError, ClassifyError) as error:
        typer.echo(f"error: {picture.name}: {error}", err=True)
        return False
    path.write_bytes(transform.to_png(made))
    return True


def _name(picture: Picture, taken: set[str]) -> str:
    """A file name that is not among `taken`, to which it is added; some file systems do not tell upper from lower case."""
    stem = picture.path.stem if picture.path else picture.name
    name, number = stem, 1
    while name.lower() in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name.lower())
    return f"{name}.png"


def _shown(found: Sequence[Picture]) -> Iterable[Picture]:
    quiet = len(found) <= _HANDFUL or not sys.stderr.isatty()
    return track(found, "transforming", console=Console(stderr=True), transient=True, disable=quiet)
