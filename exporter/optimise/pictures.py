"""The pictures that a form is calibrated on, and the others that it is measured on.

They are never the same ones: ranges fitted to a picture flatter it. A picture that is there twice is taken for one.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle import preprocess, samples
from bundle.errors import BundleError, PictureError
from bundle.manifest import SAMPLES, Manifest
from bundle.samples import UNKNOWN, Samples
from exporter.errors import ExportError

# Of the pictures given, one in four is for calibration; more than this many do not change the ranges by much.
_ONE_IN = 4
_MOST_CALIBRATION = 128
_FEWEST = 32


@dataclass(frozen=True)
class Wanted:
    """Where the person who optimises wants pictures from."""

    data: Path | None  # a folder or an .npz file; None: those that the bundle keeps
    test: Path | None  # the same, to measure on; None: what calibration leaves of the others
    most: int  # of the first


@dataclass(frozen=True)
class Chosen:
    """Pictures for both purposes."""

    calibration: NDArray[np.uint8]  # [S, H, W, C]
    evaluation: Samples
    calibrated_on: str  # in words
    measured_on: str
    skipped: list[str]  # files that hold no picture, with the reason


def choose(folder: Path, manifest: Manifest, wanted: Wanted) -> Chosen:
    """Pictures for the bundle in `folder`. Raises ExportError when there are none or too few, and BundleError."""
    source, told = _source(folder, manifest, wanted.data)
    given, skipped = _read(source, manifest, wanted.most)
    if len(given) < _FEWEST:
        raise ExportError(
            f"{source}: {len(given)} pictures are too few, {_FEWEST} are needed to calibrate and to measure; give --data with more"
        )
    if wanted.test is None:
        members = np.arange(len(given)) % _ONE_IN == 0
        calibration, others, where = given[members], given[~members], told
    else:
        calibration, (others, more_skipped) = given, _read(wanted.test, manifest, None)
        skipped, where = [*skipped, *more_skipped], wanted.test.name
    calibration = samples.spread(calibration, _MOST_CALIBRATION)
    evaluation = _without(others, calibration)
    if not len(evaluation):
        raise ExportError(
            f"{where}: holds no picture to measure on that calibration has not seen; give others by --test"
        )
    words = (
        f"{len(calibration)} pictures of {told}",
        f"{len(evaluation)} pictures of {where}, none of which calibration has seen",
    )
    return Chosen(calibration.pixels, evaluation, *words, skipped)


def _source(folder: Path, manifest: Manifest, data: Path | None) -> tuple[Path, str]:
    if data is not None:
        return data, data.name
    if SAMPLES not in manifest.files:
        raise ExportError(
            f"{folder}: keeps no pictures ({SAMPLES}) to calibrate and to measure on; give --data with a folder of pictures, or "
            "export the run again"
        )
    return folder / SAMPLES, "those that the bundle keeps"


def _read(source: Path, manifest: Manifest, most: int | None) -> tuple[Samples, list[str]]:
    """Up to `most` pictures of a folder or an .npz file, and why others were left out."""
    if source.is_dir():
        return _decoded(source, manifest, most)
    if source.suffix != ".npz":
        raise ExportError(f"{source}: is neither a folder of pictures nor an .npz file with pixels and labels")
    found = samples.read(source, manifest)
    return (found if most is None else samples.spread(found, most)), []


def _decoded(folder: Path, manifest: Manifest, most: int | None) -> tuple[Samples, list[str]]:
    """The pictures in `folder`, and with their label those in folders inside it that are called as labels."""
    paths = _paths(folder, manifest.labels)
    chosen = paths if most is None else [paths[i] for i in samples.evenly(len(paths), most)]
    pixels, labels, skipped = [], [], []
    for path, label in chosen:
        try:
            pixels.append(preprocess.from_bytes(path.read_bytes(), manifest.preprocess).pixels)
            labels.append(label)
        except (PictureError, OSError) as error:
            skipped.append(f"{path.relative_to(folder)}: {error}")
    if not pixels:
        raise ExportError(f"{folder}: holds no picture that can be read" + "".join(f"; {why}" for why in skipped[:3]))
    return Samples(np.stack(pixels), np.array(labels, np.int64)), skipped


def _paths(folder: Path, labels: list[str]) -> list[tuple[Path, int]]:
    found: list[tuple[Path, int]] = []
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.name not in labels:
                raise BundleError(
                    f"{path}: the model has no label {path.name!r}; its labels are {', '.join(labels[:20])}"
                )
            number = labels.index(path.name)
            found += [(inside, number) for inside in sorted(path.iterdir()) if inside.is_file()]
        else:
            found.append((path, UNKNOWN))
    return found


def _without(others: Samples, seen: Samples) -> Samples:
    known = {picture.tobytes() for picture in seen.pixels}
    return others[np.array([picture.tobytes() not in known for picture in others.pixels], np.bool_)]
