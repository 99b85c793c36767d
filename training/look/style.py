"""Neural style transfer (L. Gatys, A. Ecker and M. Bethge, CVPR 2016): the content of one picture in the manner of another.

Content is the map of one deep layer; style is how strongly the channels of several layers go together, their Gram matrices; the
total variation keeps the picture smooth. Each loss is relative to the size of its target, so that the same weights suit layers and
networks of any scale, random ones too (K. He, Y. Wang and J. Hopcroft, NeurIPS 2016). Minimised by L-BFGS within 0..255.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.optimize import minimize

from training.look import sheets
from training.look.network import Network, maps
from training.progress import bar

FIRST_STEP = 4.0  # grey levels, root mean square


@dataclass(frozen=True)
class Painting:
    """How it is painted."""

    content_layer: str
    style_layers: Sequence[str]
    content_weight: float
    style_weight: float
    variation_weight: float
    steps: int  # iterations of L-BFGS
    start: Literal["content", "noise"]
    seed: int


def gram(found: Any) -> Any:
    """Means over all places of the products of each two channels: [N, h, w, C] -> [N, C, C]."""
    places = tf.cast(tf.shape(found)[1] * tf.shape(found)[2], found.dtype)
    return tf.einsum("nhwc,nhwd->ncd", found, found) / places


def total_variation(pixels: Any) -> Any:
    """Mean square of the differences between neighbours in a picture [1, H, W, C], in units of 0..1."""
    down, across = pixels[:, 1:] - pixels[:, :-1], pixels[:, :, 1:] - pixels[:, :, :-1]
    return (tf.reduce_mean(down**2) + tf.reduce_mean(across**2)) / 255**2


def write(
    folder: Path, network: Network, content: NDArray[np.float32], style: NDArray[np.float32], painting: Painting
) -> list[float]:
    """Writes painted.png and beside.png; returns the loss after each iteration. Both pictures are [1, H, W, C]."""
    noise = np.random.default_rng(painting.seed).uniform(0, 255, content.shape)
    begin = content if painting.start == "content" else noise
    painted, losses = _minimised(_loss(network, content, style, painting), begin, painting.steps)
    sheets.save(folder / "painted.png", painted[0])
    tiles = [("content", content), ("style", style), ("painted", painted)]
    title = f"content at {painting.content_layer}, style at {', '.join(painting.style_layers)}"
    sheets.sheet(folder / "beside.png", title, [(name, sheets.shown(each[0])) for name, each in tiles], 3)
    return losses


def _minimised(loss: Any, begin: NDArray[Any], steps: int) -> tuple[NDArray[np.float32], list[float]]:
    """The picture after so many iterations from `begin` [1, H, W, C], and the loss after each.

    The first step of L-BFGS has length 1 over all pixels together; in units of `unit` it is seen in float32 at all.
    """
    unit = FIRST_STEP * math.sqrt(begin.size)
    losses: list[float] = []

    @tf.function  # type: ignore[untyped-decorator]
    def slope(pixels: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            value = loss(pixels)
        return value, tape.gradient(value, pixels)

    def evaluated(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, gradient = slope(tf.constant(flat.reshape(begin.shape) * unit, tf.float32))
        return float(value), unit * gradient.numpy().astype(np.float64).ravel()

    with bar() as progress:
        task = progress.add_task("iterations", total=steps)

        def after(intermediate_result: Any) -> None:
            losses.append(float(intermediate_result.fun))
            progress.update(task, completed=len(losses))

        found = minimize(
            evaluated, begin.astype(np.float64).ravel() / unit, jac=True, method="L-BFGS-B",
            bounds=[(0, 255 / unit)] * begin.size, callback=after,
            options={"maxiter": steps, "maxfun": 2 * steps, "ftol": 0, "gtol": 0},
        )  # fmt: skip
    return (found.x * unit).reshape(begin.shape).astype(np.float32), losses


def _loss(network: Network, content: NDArray[np.float32], style: NDArray[np.float32], painting: Painting) -> Any:
    """The function pixels [1, H, W, C] -> loss."""
    paths = [*painting.style_layers, painting.content_layer]
    model = network.until(paths, (content.shape[1], content.shape[2]))
    wanted = maps(model, tf.constant(content), paths)[1][-1]
    manner = [gram(each) for each in maps(model, tf.constant(style), paths)[1][:-1]]

    def loss(pixels: Any) -> Any:
        *styles, inside = maps(model, pixels, paths)[1]
        off_content = _apart(inside, wanted)
        off_style = sum(_apart(gram(mine), theirs) for mine, theirs in zip(styles, manner, strict=True)) / len(manner)
        smooth = total_variation(pixels)
        return (
            painting.content_weight * off_content
            + painting.style_weight * off_style
            + painting.variation_weight * smooth
        )

    return loss


def _apart(found: Any, wanted: Any) -> Any:
    """Mean square of the difference, as a share of the mean square of what is wanted."""
    return tf.reduce_mean((found - wanted) ** 2) / (tf.reduce_mean(wanted**2) + 1e-12)
