"""`python -m training look`: pictures of what is inside a network."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bundle import files
from training import backend
from training.commands.common import errors_for_people
from training.errors import RecipeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from training.look.network import Network

FILTER_SIZE = (96, 96)

app = typer.Typer(
    no_args_is_help=True, help="Look into a convolutional network: a run, a .keras file, or VGG16 and its like."
)

Source = Annotated[
    str,
    typer.Argument(
        help="A run folder, a .keras file, or the name of an architecture of keras.applications.", metavar="RUN"
    ),
]
Out = Annotated[Path, typer.Option(help="The folder to write the pictures into; must not exist yet.", metavar="DIR")]
Weights = Annotated[
    str,
    typer.Option(
        help="Of an architecture: none takes random ones, imagenet lets Keras download them, a path reads them.",
        metavar="none|imagenet|PATH",
    ),
]
Layers = Annotated[
    list[str],
    typer.Option(
        "--layer", help="Look at this layer; one of a network inside is base/layer. May be repeated.", metavar="NAME"
    ),
]
Pictures = Annotated[
    list[Path],
    typer.Option(
        "--picture", help="Look at this picture; without, at one that the run was tested with.", metavar="FILE"
    ),
]
Picture = Annotated[Path, typer.Argument(help="The picture to begin with.", metavar="PICTURE", exists=True)]
Sample = Annotated[int, typer.Option(min=0, help="Which of the run's own test pictures to look at.", metavar="N")]
Colours = Annotated[
    str,
    typer.Option(help="The colour map, by matplotlib's name: viridis, magma, inferno, jet, gray, ...", metavar="NAME"),
]
SizeOption = Annotated[
    str | None, typer.Option("--size", help="Make pictures this large; larger ones cost more time.", metavar="HxW")
]
Seed = Annotated[int, typer.Option(min=0, help="Another one begins from other noise.", metavar="S")]


@app.command()
def activations(
    source: Source,
    out: Out,
    pictures: Pictures = [],  # noqa: B006  typer never changes it
    sample: Sample = 0,
    layers: Layers = [],  # noqa: B006  typer never changes it
    weights: Weights = "none",
    colours: Colours = "viridis",
    seed: Seed = 1,
) -> None:
    """Paint what each channel of each layer answers to a picture: a sheet for each layer."""
    with _looking(source, weights, out, seed) as (network, folder):
        from training.look import activations as activation

        activation.write(
            folder, network, _pixels(network, pictures, [sample], None)[:1], _asked(network, layers), _known(colours)
        )


@app.command()
def filters(
    source: Source,
    out: Out,
    layers: Layers = [],  # noqa: B006  typer never changes it
    weights: Weights = "none",
    count: Annotated[int, typer.Option(min=1, help="Show at most so many filters of a layer.", metavar="N")] = 32,
    size: SizeOption = None,
    steps: Annotated[int, typer.Option(min=1, help="More steps make patterns stronger and finer.", metavar="N")] = 60,
    step: Annotated[float, typer.Option(min=0, help="How far each step goes, in grey levels.", metavar="LEVELS")] = 3.0,
    fade: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="Draw the picture to grey by this share at each step; more leaves only what matters."
        ),
    ] = 0.02,
    blur: Annotated[
        float,
        typer.Option(
            min=0, help="Blur every fourth step by so many pixels; more makes coarser patterns.", metavar="PIXELS"
        ),
    ] = 0.5,
    seed: Seed = 1,
) -> None:
    """Find, by gradient ascent, pictures that the filters of each layer answer to most."""
    with _looking(source, weights, out, seed) as (network, folder):
        from training.look import filters as ascent

        asked = _asked(network, layers, network.convolutions()[-3:])
        how = ascent.Ascent(
            _size(size) or (FILTER_SIZE if network.any_size else network.size), steps, step, fade, blur, seed
        )
        ascent.write(folder, network, asked, count, how)


@app.command()
def gradcam(
    source: Source,
    out: Out,
    pictures: Pictures = [],  # noqa: B006  typer never changes it
    samples: Annotated[
        list[int],
        typer.Option("--sample", min=0, help="Look at this test picture of the run. May be repeated.", metavar="N"),
    ] = [],  # noqa: B006  typer never changes it
    classes: Annotated[
        list[str],
        typer.Option(
            "--class",
            help="Evidence for this class, a label or its number; otherwise for the answer. May be repeated.",
            metavar="NAME",
        ),
    ] = [],  # noqa: B006  typer never changes it
    layers: Layers = [],  # noqa: B006  typer never changes it
    weights: Weights = "none",
    colours: Colours = "viridis",
    seed: Seed = 1,
) -> None:
    """Lay Grad-CAM heatmaps over pictures: where the evidence for a class is, by TensorFlow's GradientTape."""
    with _looking(source, weights, out, seed, top=True) as (network, folder):
        from training.look import gradcam as explanation

        question = explanation.Question(
            _asked(network, layers, network.convolutions()[-1:]),
            [_class(network, each) for each in classes],
            _known(colours),
        )
        explanation.write(folder, network, _pixels(network, pictures, samples or [0], None), question)


@app.command()
def dream(
    source: Source,
    picture: Picture,
    out: Out,
    layers: Layers = [],  # noqa: B006  typer never changes it
    weights: Weights = "none",
    size: SizeOption = None,
    octaves: Annotated[int, typer.Option(min=1, help="More also dream patterns that are larger.", metavar="N")] = 3,
    ratio: Annotated[float, typer.Option(min=1.05, help="Between the sides of two octaves.", metavar="R")] = 1.4,
    steps: Annotated[int, typer.Option(min=1, help="In each octave; more change the picture more.", metavar="N")] = 20,
    step: Annotated[float, typer.Option(min=0, help="How far each step goes, in grey levels.", metavar="LEVELS")] = 2.0,
    seed: Seed = 1,
) -> None:
    """Dream a picture on (DeepDream): more of what some layers see in it, from small octaves to the whole."""
    with _looking(source, weights, out, seed) as (network, folder):
        from training.look import dream as dreams

        asked = _asked(network, layers, network.convolutions()[-1:])
        how = dreams.Dream(asked, octaves, ratio, steps, step, seed)
        dreams.write(folder, network, _pixels(network, [picture], [], _size(size) or _fitting(network, picture)), how)


@app.command()
def style(
    source: Source,
    picture: Picture,
    manner: Annotated[
        Path, typer.Argument(help="The picture whose manner it is painted in.", metavar="STYLE", exists=True)
    ],
    out: Out,
    content_layer: Annotated[
        str | None, typer.Option(help="A deeper one keeps less detail of the picture.", metavar="NAME")
    ] = None,
    style_layers: Annotated[
        list[str],
        typer.Option("--style-layer", help="Deeper ones bring larger strokes. May be repeated.", metavar="NAME"),
    ] = [],  # noqa: B006  typer never changes it
    weights: Weights = "none",
    content_weight: Annotated[float, typer.Option(min=0, help="More keeps more of the picture.")] = 1.0,
    style_weight: Annotated[float, typer.Option(min=0, help="More takes more of the manner.")] = 3.0,
    variation_weight: Annotated[float, typer.Option(min=0, help="More makes it smoother.")] = 3.0,
    size: SizeOption = None,
    steps: Annotated[
        int, typer.Option(min=1, help="Iterations of L-BFGS; more come nearer to both.", metavar="N")
    ] = 60,
    start: Annotated[
        Literal["content", "noise"], typer.Option(help="Where to begin: noise keeps less of the picture.")
    ] = "content",
    seed: Seed = 1,
) -> None:
    """Paint a picture in the manner of another one (neural style transfer)."""
    with _looking(source, weights, out, seed) as (network, folder):
        from training.look import style as painting

        there = network.convolutions()
        spread = [there[round(place * (len(there) - 1) / 4)] for place in range(5)]
        how = painting.Painting(
            _asked(network, [content_layer] if content_layer else [], [there[len(there) * 3 // 4]])[0],
            _asked(network, style_layers, list(dict.fromkeys(spread))),
            content_weight, style_weight, variation_weight, steps, start, seed,
        )  # fmt: skip
        large = _size(size) or _fitting(network, picture)
        content, theirs = (_pixels(network, [each], [], large) for each in (picture, manner))
        losses = painting.write(folder, network, content, theirs, how)
        typer.echo(f"loss {losses[0]:.4f} after one iteration, {losses[-1]:.4f} after {len(losses)}")


@contextmanager
def _looking(source: str, weights: str, out: Path, seed: int, top: bool = False) -> "Iterator[tuple[Network, Path]]":
    """The network, and a folder that becomes `out` when everything is written; says what is there then."""
    with errors_for_people():
        if out.exists():
            raise FileExistsError(f"{out} exists already; name another --out")
        backend.load()
        from training import fit
        from training.look import network

        fit.make_reproducible(seed)
        with files.atomic_folder(out) as folder:
            yield network.load(source, weights, top), folder
            written = sorted(file.name for file in folder.iterdir())
        typer.echo(f"{out}: {', '.join(written)}")


def _asked(network: "Network", layers: list[str], otherwise: list[str] | None = None) -> list[str]:
    return network.checked(layers) if layers else otherwise or list(network.places())


def _pixels(
    network: "Network", pictures: list[Path], samples: list[int], size: tuple[int, int] | None
) -> "NDArray[np.float32]":
    """The pictures [N, H, W, C], 0..255: files, or the run's own where there are none."""
    import numpy as np

    from training.look.network import picture

    if pictures:
        return np.concatenate([picture(network, path, size) for path in pictures])
    if network.samples is None:
        raise RecipeError("--picture: give one; only a run folder brings pictures of its own")
    count = len(network.samples)
    if max(samples) >= count:
        raise RecipeError(f"--sample {max(samples)}: the run has {count} test pictures, 0 to {count - 1}")
    return network.samples[samples].astype(np.float32)


def _class(network: "Network", asked: str) -> int:
    count = max(2, network.model.outputs[0].shape[-1])
    if asked in network.labels:
        return network.labels.index(asked)
    if asked.isdecimal() and int(asked) < count:
        return int(asked)
    raise RecipeError(
        f"--class {asked}: give a number from 0 to {count - 1}"
        + (f" or one of {', '.join(network.labels)}" if network.labels else "")
    )


def _known(colours: str) -> str:
    import matplotlib as mpl

    if colours not in mpl.colormaps:
        raise RecipeError(
            f"--colours {colours}: matplotlib has no such colour map; try viridis, magma, inferno, jet or gray"
        )
    return colours


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    height, cross, width = text.partition("x")
    if not (cross and height.isdecimal() and width.isdecimal() and min(int(height), int(width)) >= 16):
        raise RecipeError(f"--size {text}: write height x width in pixels, 16 or more, for example 300x400")
    return int(height), int(width)


def _fitting(network: "Network", path: Path) -> tuple[int, int]:
    """The size to look at a picture file in: its own, unless the network takes one only."""
    return _own_size(path) if network.any_size else network.size


def _own_size(path: Path) -> tuple[int, int]:
    """The size of a picture file, shrunk so that its longer side is 400 at most."""
    from PIL import Image, UnidentifiedImageError

    from training.errors import DataError

    try:
        with Image.open(path) as image:
            width, height = image.size
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: cannot be read as a picture: {error}") from error
    share = min(1.0, 400 / max(width, height))
    return max(16, round(height * share)), max(16, round(width * share))
