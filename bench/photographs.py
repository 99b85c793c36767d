"""Real photographs as JPEG files of given sizes.

Two of scikit-learn's, of 640 x 427: a Chinese temple with much fine detail and a flower before a blurred background. Enlarged they are
smoother than what a camera of that size takes, and their files smaller.
"""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

QUALITY = 90

Size = tuple[int, int]  # width, height


def read(folder: Path | None = None) -> list[Image.Image]:
    """The JPEG files in `folder`, or without one those that come with scikit-learn; RGB.

    Raises OSError for a file that cannot be read, RuntimeError when there is none.
    """
    if folder is None:
        try:
            from sklearn.datasets import load_sample_images
        except ImportError as error:
            raise RuntimeError("scikit-learn, which brings two photographs, is not installed: give a folder") from error
        return [Image.fromarray(pixels) for pixels in load_sample_images().images]
    found = [_read(path) for path in sorted(folder.glob("*.jpg"))]
    if not found:
        raise RuntimeError(f"no *.jpg in {folder}")
    return found


def files(photographs: Sequence[Image.Image], size: Size) -> list[bytes]:
    """Each of the photographs, stretched to `size`, as a JPEG file."""
    return [_jpeg(each.resize(size, Image.Resampling.LANCZOS)) for each in photographs]


def _read(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def _jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
