"""python -m tests.fuzz.pictures CORPUS [libFuzzer's options]: whatever the bytes, a picture becomes pixels or a PictureError."""

import logging
import sys
import warnings
from pathlib import Path

import atheris  # type: ignore[import-untyped]

with atheris.instrument_imports(include=["bundle", "PIL"]):
    from bundle import preprocess
    from bundle.errors import HeavyPictureError, PictureError
    from bundle.limits import Limits
    from bundle.preprocess import PreprocessSpec
from tests.fuzz import seeds

# As the bundles of MobileNetV2, of Fashion-MNIST and of an upright photograph have them; small, because resizing is not what is tested.
SPECS = [
    PreprocessSpec(
        height=56, width=56, colour="rgb", fit="cover", crop=0.875, resampling="bilinear", background=(0, 0, 0)
    ),
    PreprocessSpec(
        height=28, width=28, colour="grey", fit="contain", crop=1.0, resampling="bicubic", background=(9, 9, 9)
    ),
    PreprocessSpec(
        height=40, width=30, colour="rgb", fit="stretch", crop=1.0, resampling="nearest", background=(255, 0, 0)
    ),
]
LIMITS = Limits(pixels=1_000_000, seconds=2.0)


def one_input(data: bytes) -> None:
    """A picture file; its length chooses the spec."""
    spec = SPECS[len(data) % len(SPECS)]
    try:
        sample = preprocess.from_bytes(data, spec, LIMITS)
        assert sample.pixels.shape == spec.shape
        assert max(preprocess.upright(data, 32, LIMITS).size) <= 32
        preprocess.from_bytes(data, spec, Limits(pixels=1_000_000, work=10_000, seconds=1.0))
    except (PictureError, HeavyPictureError):
        return


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable()
    seeds.write(Path(sys.argv[1]), seeds.pictures())
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
