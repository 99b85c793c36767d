"""Which classes a request wants explained, and what becomes of their heatmaps."""

from collections.abc import Sequence

from PIL import Image

from bundle import preprocess
from bundle.limits import Limits
from bundle.manifest import Manifest
from bundle.preprocess import Sample
from server.batching.items import ImageResult
from server.errors import InvalidRequestError
from server.serving import render
from server.serving.jobs import ClassIndex, ClassLabel, EncodedImage, Explain, Grid, HeatmapFormat, RawImage, Target

# Each target costs a backward pass of the head, also for the batch mates of the image that asks for it.
MAX_TARGETS = 16


def target_codes(explain: Explain, labels: list[str]) -> tuple[int, ...]:
    """The targets as the graph takes them: a class index, or -1-r for the class ranked r-th.

    Raises InvalidRequestError for a class that the model does not have, or for too many.
    """
    if len(explain.targets) > MAX_TARGETS:
        raise InvalidRequestError(
            f"explain.targets: {len(explain.targets)} classes; the server explains at most {MAX_TARGETS} in one request"
        )
    return tuple(_target_code(target, labels) for target in explain.targets)


def method_code(method: str, methods: Sequence[str]) -> int:
    """The index among the model's `methods` of the one that makes the heatmaps, by default the first.

    Raises InvalidRequestError for one that the model does not carry.
    """
    if not method:
        return 0
    if method not in methods:
        raise InvalidRequestError(f"explain.method: no {method!r}; the model explains by: {', '.join(methods)}")
    return methods.index(method)


def _target_code(target: Target, labels: list[str]) -> int:
    if isinstance(target, ClassLabel):
        try:
            return labels.index(target.label)
        except ValueError:
            known = ", ".join(labels[:20]) + (", ..." if len(labels) > 20 else "")
            raise InvalidRequestError(f"explain.targets: no label {target.label!r}; the model has: {known}") from None
    number = target.index if isinstance(target, ClassIndex) else target.rank
    if number >= len(labels):
        kind = "class_index" if isinstance(target, ClassIndex) else "rank"
        raise InvalidRequestError(
            f"explain.targets: {kind} {number} of a model with {len(labels)} classes, counted from 0"
        )
    return number if isinstance(target, ClassIndex) else -1 - number


def grids(result: ImageResult, sample: Sample, manifest: Manifest) -> list[Grid]:
    """The heatmaps of the only image with their place in the upright picture, of which the sample shows a view."""
    box = sample.view.to_picture(manifest.feature_map.extent, manifest.input_shape)
    return [Grid(heatmap, box) for heatmap in result.heatmaps[0]]


def draw(
    image: EncodedImage | RawImage, sample: Sample, heatmaps: list[Grid], form: HeatmapFormat, limits: Limits
) -> list[bytes]:
    """The heatmaps as PNG files, at the size of the original picture within the renderer's bounds.

    Raises HeavyPictureError when opening the picture is more work than `limits` allow.
    """
    if isinstance(image, RawImage):
        picture = Image.fromarray(sample.pixels[..., 0] if sample.pixels.shape[2] == 1 else sample.pixels)
    else:
        picture = preprocess.upright(image.data, render.MAX_SIDE, limits)
    canvas = render.canvas(picture)
    return [render.png(heatmap, sample.view, canvas, form) for heatmap in heatmaps]
