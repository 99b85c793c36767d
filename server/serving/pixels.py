"""Pictures that came as one tensor: cut to what fits a batch, put together again.

They are neither decoded nor answered one by one, so that a request costs little more than its engine time.
"""

import asyncio
from collections.abc import Callable, Iterator

import numpy as np

from server.batching.batcher import Output
from server.batching.items import ImageItem, ImageResult
from server.engine.base import Array
from server.events import ImagesAnswered, Timings
from server.serving import explain
from server.serving.jobs import PixelsJob, TensorAnswer
from server.serving.models import ServedClassifier

PROBABILITIES, HEATMAPS = "probabilities", "heatmaps"

Parts = list[Output[ImageResult]]


async def answer(
    job: PixelsJob, model: ServedClassifier, clock: Callable[[], float]
) -> tuple[TensorAnswer, ImagesAnswered]:
    """The engine's outputs for all pictures of a job, and what is to be told of them."""
    outputs = await _outputs(job, model)
    results = [output.result for output in outputs]
    timings = Timings(
        decode_seconds=0.0,
        queue_seconds=max([output.queue_seconds for output in outputs]),
        infer_seconds=max([output.infer_seconds for output in outputs]),
        render_seconds=0.0,
        total_seconds=clock() - job.received,
        batch_images=max([output.batch_rows for output in outputs]),
    )
    arrays: dict[str, Array] = {PROBABILITIES: _joined([result.probabilities for result in results])}
    if job.targets is not None:
        arrays[HEATMAPS] = _joined([result.heatmaps for result in results])
    labels = [model.manifest.labels[top] for result in results for top in result.tops]
    confidences = [confidence for result in results for confidence in result.confidences]
    told = ImagesAnswered(model.name, model.number, timings, labels, confidences)
    return TensorAnswer(model.name, model.version, arrays, timings), told


async def _outputs(job: PixelsJob, model: ServedClassifier) -> Parts:
    first, *others = _items(job, model)
    submit = model.batcher.submit
    if not others:
        return [await submit(first, job.deadline, lone=True)]
    return await asyncio.gather(submit(first, job.deadline), *(submit(item, job.deadline) for item in others))


def _items(job: PixelsJob, model: ServedClassifier) -> Iterator[ImageItem]:
    """Parts of the job that fit into a batch. Raises InvalidRequestError for a method that the model does not have."""
    rows, most = len(job.pixels), model.batcher.max_batch
    targets = np.empty((rows, 0), np.int64) if job.targets is None else job.targets
    method = explain.method_code(job.method, model.manifest.explanations)
    for start in range(0, rows, most):
        part = slice(start, start + most)
        yield ImageItem(job.pixels[part], targets[part], method)


def _joined(parts: list[Array]) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
