"""What a bundle keeps beside its graphs, for people: sample pictures, the checks of its export, its report, its golden outputs.

None of it is needed to answer, so it is not held in memory: it is read from the folder when somebody asks, and only as long as the
bundle that lies there is the one in service.
"""

import asyncio
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from bundle import golden, manifest, samples, strict
from bundle.errors import BundleError
from bundle.files import MANIFEST_SUM
from bundle.golden import Golden
from bundle.manifest import Precision
from bundle.samples import UNKNOWN, Samples
from server.batching.items import ImageItem
from server.batching.policy import Priority
from server.engine.base import Array
from server.errors import InvalidRequestError, UnavailableError
from server.serving import parts, pixels
from server.serving.jobs import Version
from server.serving.layout import find_bundles
from server.serving.models import ServedClassifier, ServedTensors
from server.serving.service import Models

_CACHED_SAMPLES = 2  # of so many bundles, 16 MiB each at most

T = TypeVar("T")


class Check(Struct, frozen=True):
    """One check of an export: what was compared, what was measured, and what is allowed."""

    name: str
    compared: str
    measured: float
    rule: str  # "at most" or "at least"
    limit: float
    passed: bool


class _Checks(Struct):
    checks: list[Check] = []


class Pictures(NamedTuple):
    """Pictures that a bundle keeps, as the model sees them: held-out ones, or where there are none the golden ones."""

    source: Literal["held-out", "golden"]
    samples: Samples


class GoldenCheck(Struct, frozen=True):
    """How far this server's answers to the golden pictures are from the trained model's, and how far they may be."""

    pictures: int
    probability_difference: float
    probability_tolerance: float
    heatmap_difference: float
    heatmap_tolerance: float

    @property
    def passed(self) -> bool:
        """Whether both are within what the manifest allows."""
        return (
            self.probability_difference <= self.probability_tolerance
            and self.heatmap_difference <= self.heatmap_tolerance
        )


class Bundles:
    """The bundles of the classifiers in service. Every method raises ModelNotFoundError, UnavailableError where the version is not in
    service or its bundle is another by now, InvalidRequestError for a model without images."""

    def __init__(self, models: Models, folder: Path, model_name: str) -> None:
        """`folder` and `model_name` are those of the settings."""
        self._models = models
        self._folder = folder
        self._model_name = model_name
        self._pictures = lru_cache(_CACHED_SAMPLES)(_read_pictures)
        self._checking = asyncio.Lock()

    def classifier(self, name: str, version: Version) -> ServedClassifier:
        """The version in service that a request means."""
        model = self._models.resolve(name, version)
        if isinstance(model, ServedTensors):
            raise InvalidRequestError(f"model {name!r} takes no images: its bundle has no pictures and no evidence")
        return model

    async def pictures(self, name: str, version: Version) -> tuple[ServedClassifier, Pictures]:
        """The version, and the pictures that its bundle keeps."""
        model = self.classifier(name, version)
        return model, await asyncio.to_thread(self._read, model, self._pictures)

    async def checks(self, name: str, version: Version) -> list[Check]:
        """The checks of its export, as report.json has them; empty without one."""
        return await asyncio.to_thread(self._read, self.classifier(name, version), _read_checks)

    async def report_page(self, name: str, version: Version) -> bytes | None:
        """report.html, if it has one."""
        return await asyncio.to_thread(self._read, self.classifier(name, version), _read_page)

    async def check_golden(self, name: str, version: Version) -> GoldenCheck:
        """Asks the engine in service for the golden pictures and compares, as was done before it came into service.

        One check at a time, behind the callers who wait already; it counts as nobody's request.
        """
        model = self.classifier(name, version)
        stored = await asyncio.to_thread(self._read, model, _read_golden)
        async with self._checking:
            with model.users:
                return await _compared(model, stored)

    def _read(self, model: ServedClassifier, read: Callable[["_Place"], T]) -> T:
        """What `read` finds in the folder of the version; blocking."""
        found = find_bundles(self._folder, self._model_name)
        folder = next((each.folder for each in found if each[:2] == (model.name, model.version)), None)
        if folder is None or not _is_still(folder, model.fingerprint):
            raise UnavailableError(
                f"the bundle of {model.name!r} version {model.version} on disk is not the one in service any more; load it again"
            )
        try:
            return read(_Place(folder, model.fingerprint))
        except BundleError as error:
            raise UnavailableError(str(error)) from error


class _Place(NamedTuple):
    """Where a bundle lies, and which one it is."""

    folder: Path
    fingerprint: str


def form_in_service(model: ServedClassifier) -> Precision:
    """What the manifest says of the precision that answers."""
    forms = [form for form in model.manifest.precisions if form.name == model.engine.precision]
    return next((form for form in forms if form.engine == model.engine.name), forms[0])


async def _compared(model: ServedClassifier, stored: Golden) -> GoldenCheck:
    tolerance = form_in_service(model).tolerance
    probability, heatmap = 0.0, 0.0
    for method in np.unique(stored.methods).tolist():
        item = ImageItem(stored.pixels, stored.targets, method)
        answered = await parts.submitted(model.batcher, pixels.cut(item, model.batcher.max_batch), None, Priority.LOW)
        probabilities = parts.joined([each.result.probabilities for each in answered])
        heatmaps = parts.joined([each.result.heatmaps for each in answered])
        of_this = (stored.methods == method)[..., None, None]
        deltas = golden.difference(stored, _float(probabilities), np.where(of_this, _float(heatmaps), stored.heatmaps))
        probability, heatmap = max(probability, deltas[0]), max(heatmap, deltas[1])
    return GoldenCheck(len(stored.pixels), probability, tolerance.probabilities, heatmap, tolerance.heatmaps)


def _float(array: Array) -> NDArray[np.float32]:
    return array.astype(np.float32)


def _is_still(folder: Path, fingerprint: str) -> bool:
    try:
        return (folder / MANIFEST_SUM).read_text() == fingerprint
    except (OSError, UnicodeDecodeError):
        return False


def _read_golden(place: _Place) -> Golden:
    return golden.read(place.folder, manifest.read_classifier(place.folder))


def _read_pictures(place: _Place) -> Pictures:
    known = manifest.read_classifier(place.folder)
    if manifest.SAMPLES in known.files:
        return Pictures("held-out", samples.read(place.folder / manifest.SAMPLES, known))
    stored = golden.read(place.folder, known).pixels
    return Pictures("golden", Samples(stored, np.full(len(stored), UNKNOWN)))


def _read_checks(place: _Place) -> list[Check]:
    if manifest.REPORT not in manifest.read_classifier(place.folder).files:
        return []
    return strict.read(place.folder / manifest.REPORT, _Checks).checks


def _read_page(place: _Place) -> bytes | None:
    if manifest.REPORT_PAGE not in manifest.read_classifier(place.folder).files:
        return None
    try:
        return (place.folder / manifest.REPORT_PAGE).read_bytes()
    except OSError as error:
        raise BundleError(f"{error.filename}: cannot be read: {error.strerror}") from error
