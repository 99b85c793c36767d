"""Pixels: from the bytes of a picture file to the uint8 array that a model takes.

This is the only implementation. Training, validation and the server all call it, so the served pixels are the trained
pixels. The arithmetic that follows (cast, scale, mean) is the first layer of the model itself and not done here.

JPEG files far larger than the model's input are decoded at a fraction of their size by scaling the DCT blocks (libjpeg's
own feature, Pillow's `draft`): several times cheaper, at a mean difference of about 0.2 of 255.
"""

import math
import warnings
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from bundle import headers, strict
from bundle.errors import HeavyPictureError, PictureError
from bundle.limits import MAX_PASSES, Limits
from bundle.timed import TimedFile, TooLongError

# Imported here, because otherwise Pillow loads them when it meets the first picture, and that caller waits for it.
_PLUGINS = (JpegImagePlugin, PngImagePlugin, WebPImagePlugin, GifImagePlugin, BmpImagePlugin, TiffImagePlugin)
DEFAULT_LIMITS = Limits()
# Decoding at a reduced size keeps at least this many times the pixels that resizing needs in each direction.
DRAFT_GAP = 2

# Our own limits, checked on the header before anything is decoded, replace Pillow's warning at 89 million pixels.
Image.MAX_IMAGE_PIXELS = None
# Pillow warns of damage in words of its own for every file, and Python keeps each wording for ever.
warnings.filterwarnings("ignore", module=r"PIL\.")
# Of processor time, for the header; an honest one takes a thousandth.
_HEADER_SECONDS = 0.1

_EXIF_ORIENTATION = 0x0112
_EXIF_PLACES = ("exif", "Raw profile type exif")  # the second in PNGs of ImageMagick, as hexadecimal digits
# Orientations that swap width and height, and that mirror the stored picture's left-right or top-bottom edges when applied.
_TURNED, _MIRRORED_X, _MIRRORED_Y = {5, 6, 7, 8}, {2, 3, 6, 7}, {3, 4, 7, 8}
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_CONVERTIBLE = {"1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV"}
_WITH_ALPHA = {"LA", "PA", "RGBA", "RGBa"}

Box = tuple[float, float, float, float]  # left, top, right, bottom
Size = Annotated[int, msgspec.Meta(ge=1, le=65_536)]
Sample8 = Annotated[int, msgspec.Meta(ge=0, le=255)]


class PreprocessSpec(strict.Document, frozen=True):
    """How a picture becomes the model's input."""

    height: Size
    width: Size
    colour: Literal["grey", "rgb"]
    # stretch: the whole picture, its aspect ratio given up.
    # cover: the centre, as large as `crop` allows; what sticks out is cut off.
    # contain: the whole picture, with bars of the background colour.
    fit: Literal["stretch", "cover", "contain"]
    # For cover: the side of the input as a part of the picture's shorter side, 0.875 for "resize 256, crop 224".
    crop: Annotated[float, msgspec.Meta(gt=0, le=1)]
    resampling: Literal["nearest", "box", "bilinear", "bicubic", "lanczos"]
    # Shows through transparent pixels and fills the bars of contain.
    background: tuple[Sample8, Sample8, Sample8]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the uint8 array."""
        return self.height, self.width, 1 if self.colour == "grey" else 3


@dataclass(frozen=True)
class View:
    """The part of the upright picture that the model saw, in pixels of that picture; bars of `contain` lie outside it."""

    picture: tuple[int, int]  # width, height
    box: Box

    def to_picture(self, part: Box, shape: tuple[int, int, int]) -> Box:
        """A box of the model's input of `shape` (height, width, channels), in pixels of the upright picture."""
        left, top, right, bottom = self.box
        across, down = (right - left) / shape[1], (bottom - top) / shape[0]
        return left + part[0] * across, top + part[1] * down, left + part[2] * across, top + part[3] * down


@dataclass(frozen=True)
class Sample:
    """A picture as the model takes it."""

    pixels: NDArray[np.uint8]  # [H, W, C]
    view: View


@dataclass(frozen=True)
class _Decoded:
    """An upright picture, possibly decoded below its true size."""

    image: Image.Image
    size: tuple[int, int]  # true width, height
    # Where the picture lies in `image`: a reduced JPEG of 1365 rows has 682.5 rows of picture in an image of 683.
    extent: Box


def from_bytes(data: bytes, spec: PreprocessSpec, limits: Limits = DEFAULT_LIMITS) -> Sample:
    """Decodes a picture file and brings it to the model's input: pixels uint8 [H, W, C].

    Raises PictureError for anything that is not a whole picture of an allowed format within the other `limits`, HeavyPictureError
    for one that is more work than they allow.
    """
    gap = DRAFT_GAP / spec.crop if spec.fit == "cover" else DRAFT_GAP
    decoded = _decode(data, (math.ceil(spec.width * gap), math.ceil(spec.height * gap)), limits)
    return _fit(decoded, spec)


def from_image(image: Image.Image, spec: PreprocessSpec) -> Sample:
    """Brings a picture that is decoded and upright already to the model's input: pixels uint8 [H, W, C]."""
    return _fit(_Decoded(image, image.size, (0.0, 0.0, image.width, image.height)), spec)


def upright(data: bytes, longest_side: int, limits: Limits = DEFAULT_LIMITS) -> Image.Image:
    """Decodes a picture file for a person to look at: RGB, EXIF orientation applied, no side over `longest_side`.

    Raises PictureError and HeavyPictureError like `from_bytes`.
    """
    decoded = _decode(data, (longest_side, longest_side), limits)
    image = _flatten(decoded.image, "RGB", (255, 255, 255))
    image.thumbnail((longest_side, longest_side))
    return image


def _decode(data: bytes, least: tuple[int, int], limits: Limits) -> _Decoded:
    """The upright picture, decoded at least at `least` (width, height) if it is that large."""
    if not data:
        raise PictureError("the image is empty (0 bytes)")
    file = TimedFile(data, min(_HEADER_SECONDS, limits.seconds))
    try:
        passes = headers.check(data, limits)
        with Image.open(file, formats=limits.formats) as image:
            _check_cost(image, passes, limits)
            file.allow(limits.seconds)
            orientation = _orientation(image)
            size = image.size
            drafted = image.draft(None, least[::-1] if orientation in _TURNED else least)
            image.load()
            return _turn(image, size, drafted[1][2:] if drafted else size, orientation)
    except (PictureError, HeavyPictureError):
        raise
    except UnidentifiedImageError as error:
        raise PictureError(
            f"not a picture that can be read: {len(data)} bytes that start with {data[:12]!r}; send one of {', '.join(limits.formats)}"
        ) from error
    except TooLongError as error:
        if limits.work < math.inf:
            raise HeavyPictureError from error
        raise PictureError(f"the picture takes too long to decode: {error}; send a smaller or simpler one") from error
    except (
        Exception
    ) as error:  # Pillow's plugins raise whatever their parsers trip over: OSError, SyntaxError, struct.error
        raise PictureError(f"the picture is broken or incomplete: {error or type(error).__name__}") from error


def _check_cost(image: Image.Image, passes: int, limits: Limits) -> None:
    """Raises PictureError for a picture that is too large, HeavyPictureError for one that is only more work than allowed here."""
    headers.check_size(image.size, limits.pixels)
    pixels = image.width * image.height
    if passes * pixels > MAX_PASSES * limits.pixels:
        raise PictureError(
            f"the picture is {image.width} x {image.height} in {passes} scans, {MAX_PASSES * limits.pixels // pixels} are allowed at this size"
        )
    # Measured: ten passes over the coefficients of a JPEG take as long again as one and the pixels; the others take twice a JPEG's time.
    if pixels * ((9 + passes) / 10 if image.format == "JPEG" else 2) > limits.work:
        raise HeavyPictureError


def _turn(image: Image.Image, size: tuple[int, int], extent: tuple[float, float], orientation: int) -> _Decoded:
    """Applies the EXIF orientation to a picture that fills `extent` (width, height) of `image` from the top left."""
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    if orientation in _TURNED:
        size, extent = size[::-1], extent[::-1]
    left = image.width - extent[0] if orientation in _MIRRORED_X else 0.0
    top = image.height - extent[1] if orientation in _MIRRORED_Y else 0.0
    return _Decoded(image, size, (left, top, left + extent[0], top + extent[1]))


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation that is still to be applied, 1 for none."""
    if image.format == "TIFF":  # Pillow turns these itself, header and pixels
        return 1
    if image.format == "PNG":  # which may have it behind the pixels
        image.load()
    headers.check_exif(max(len(image.info.get(name, b"")) for name in _EXIF_PLACES))
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # noqa: BLE001  a damaged EXIF block does not make the picture unreadable
        return 1


def _flatten(image: Image.Image, mode: str, background: tuple[int, int, int]) -> Image.Image:
    """The picture in `mode` (L or RGB), 8 bits a sample, transparency laid over `background`."""
    if image.mode.startswith("I;16"):
        wide = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((wide * 255 + 32_767) // 65_535).astype(np.uint8))
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.new("RGBA", layer.size, (*background, 255))
        image.alpha_composite(layer)
    elif image.mode not in _CONVERTIBLE:
        raise PictureError(f"pictures of Pillow mode {image.mode} are not supported; convert it to 8-bit RGB or grey")
    return image.convert(mode)


def _fit(decoded: _Decoded, spec: PreprocessSpec) -> Sample:
    image = _flatten(decoded.image, "L" if spec.colour == "grey" else "RGB", spec.background)
    width, height = decoded.size
    left, top, right, bottom = decoded.extent
    if spec.fit == "contain":
        scale = min(spec.width / width, spec.height / height)
        inner = max(1, round(width * scale)), max(1, round(height * scale))
        at = (spec.width - inner[0]) // 2, (spec.height - inner[1]) // 2
        canvas = _flatten(Image.new("RGB", (spec.width, spec.height), spec.background), image.mode, spec.background)
        canvas.paste(image.resize(inner, _RESAMPLING[spec.resampling], decoded.extent), at)
        across, down = width / inner[0], height / inner[1]
        box = (-at[0] * across, -at[1] * down, (spec.width - at[0]) * across, (spec.height - at[1]) * down)
    else:
        box = _cover_box(decoded.size, spec) if spec.fit == "cover" else (0.0, 0.0, float(width), float(height))
        across, down = (right - left) / width, (bottom - top) / height
        part = (left + box[0] * across, top + box[1] * down, left + box[2] * across, top + box[3] * down)
        canvas = image.resize((spec.width, spec.height), _RESAMPLING[spec.resampling], part)
    return Sample(np.asarray(canvas, np.uint8).reshape(spec.shape), View(decoded.size, box))


def _cover_box(size: tuple[int, int], spec: PreprocessSpec) -> tuple[float, float, float, float]:
    width, height = size
    scale = max(spec.width / width, spec.height / height) / spec.crop
    across, down = spec.width / scale, spec.height / scale
    left, top = (width - across) / 2, (height - down) / 2
    return left, top, left + across, top + down
