"""One image of a request: what is asked of it, settled before it is decoded, and what is read off the engine's answer."""

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from bundle.preprocess import Sample, View
from server.batching.items import ImageResult
from server.errors import InvalidImageError
from server.serving import explain
from server.serving.jobs import ClassifyJob, HeatmapFormat, Prediction, Question, RawImage
from server.serving.models import ServedClassifier

_NO_TARGETS = np.empty((1, 0), np.int64)
# What a drawn heatmap counts for: about what a photograph at the renderer's largest size has as a PNG.
_DRAWN_BYTES = 1 << 20


class Task(Struct, frozen=True):
    """One image of a job, with what was settled for the whole job."""

    job: ClassifyJob
    model: ServedClassifier
    question: Question
    targets: NDArray[np.int64]  # [1, M], as the graph takes them: -1-r is the class ranked r-th
    method: int  # as the graph takes it: an index into the manifest's explanations

    @property
    def size_bytes(self) -> int:
        """What it counts for in admission: the image, and the heatmaps that are asked for."""
        explain, size = self.question.explain, self.question.image.size_bytes
        if explain is None:
            return size
        drawn = 0 if explain.format is HeatmapFormat.GRID else _DRAWN_BYTES
        return size + self.targets.size * (self.model.heatmap_bytes + drawn)


def task(job: ClassifyJob, model: ServedClassifier, question: Question) -> Task:
    """What is asked of one image. Raises InvalidRequestError for a class or a method that the model does not have."""
    if question.explain is None:
        return Task(job, model, question, _NO_TARGETS, 0)
    targets = np.array([explain.target_codes(question.explain, model.manifest.labels)], np.int64)
    return Task(
        job, model, question, targets, explain.method_code(question.explain.method, model.manifest.explanations)
    )


def ranking(result: ImageResult, task: Task) -> list[int]:
    """The most probable classes of the only image, in their order: as many as the job wants, and all when ranks are explained."""
    if task.job.top_k == 1 and not task.targets.size:
        return result.tops
    order: list[int] = np.argsort(-result.probabilities[0], kind="stable").tolist()
    return order


def raw_sample(image: RawImage, shape: tuple[int, int, int]) -> Sample:
    """Raw pixels as they are. Raises InvalidImageError when they are not what the model takes."""
    if image.shape != shape:
        raise InvalidImageError(
            f"pixels: shape {list(image.shape)}, the model takes {list(shape)} (height, width, channels)"
        )
    expected = shape[0] * shape[1] * shape[2]
    if len(image.data) != expected:
        raise InvalidImageError(f"pixels.data: {len(image.data)} bytes, a uint8 array of {list(shape)} has {expected}")
    height, width, _ = shape
    pixels = np.frombuffer(image.data, np.uint8).reshape(shape)
    return Sample(pixels, View((width, height), (0.0, 0.0, float(width), float(height))))


def prediction(index: int, labels: list[str], probabilities: NDArray[np.float32]) -> Prediction:
    """The class with this index, and its probability of all of them, [K]."""
    return Prediction(index, labels[index], float(probabilities[index]))
