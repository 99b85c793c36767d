"""Pictures that came as one tensor: cut to what fits a batch, put together again.

They are neither decoded nor answered one by one, so that a request costs little more than its engine time.
"""

from collections.abc import Callable, Iterator

import numpy as np

from server.batching.items import ImageItem
from server.engine.base import Array
from server.events import ImagesAnswered
from server.serving import explain, parts
from server.serving.jobs import PixelsJob, TensorAnswer
from server.serving.models import ServedClassifier

PROBABILITIES, HEATMAPS = "probabilities", "heatmaps"


async def answer(
    job: PixelsJob, model: ServedClassifier, clock: Callable[[], float]
) -> tuple[TensorAnswer, ImagesAnswered]:
    """The engine's outputs for all pictures of a job, and what is to be told of them."""
    outputs = await parts.submitted(
        model.batcher, cut(_item(job, model), model.batcher.max_batch), job.deadline, job.priority
    )
    results = [output.result for output in outputs]
    timings = parts.timings(outputs, clock() - job.received)
    arrays: dict[str, Array] = {PROBABILITIES: parts.joined([result.probabilities for result in results])}
    if job.targets is not None:
        arrays[HEATMAPS] = parts.joined([result.heatmaps for result in results])
    labels = [model.manifest.labels[top] for result in results for top in result.tops]
    confidences = [confidence for result in results for confidence in result.confidences]
    told = ImagesAnswered(model.name, model.number, timings, labels, confidences)
    return TensorAnswer(model.name, model.version, arrays, timings), told


def cut(item: ImageItem, most: int) -> Iterator[ImageItem]:
    """The images in parts that fit into a batch of `most`, as views."""
    for start in range(0, item.rows, most):
        part = slice(start, start + most)
        yield ImageItem(item.pixels[part], item.targets[part], item.method)


def _item(job: PixelsJob, model: ServedClassifier) -> ImageItem:
    """All of the job. Raises InvalidRequestError for a method that the model does not have."""
    targets = np.empty((len(job.pixels), 0), np.int64) if job.targets is None else job.targets
    return ImageItem(job.pixels, targets, explain.method_code(job.method, model.manifest.explanations))
