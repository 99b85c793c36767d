"""Serving.classify: the one path that every protocol takes, from a job to its answer.

    admit -> for each image: decode -> batch -> pick classes -> draw

Images of one request travel on their own: each may meet others' in a batch, and each may fail alone.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from bundle import preprocess
from bundle.errors import PictureError
from bundle.preprocess import Sample
from server.batching.items import ImageItem, ImageResult
from server.errors import (
    DeadlineError,
    InternalError,
    InvalidImageError,
    InvalidRequestError,
    ModelNotFoundError,
    OverloadedError,
    ServerError,
)
from server.events import Events, ImagesAnswered, ImagesFailed, Outcome, TensorsAnswered, Timings
from server.serving import explain, images, pixels, tensors
from server.serving.admission import Admission, Demand
from server.serving.jobs import (
    Answer,
    Classification,
    ClassifyJob,
    Explanation,
    Grid,
    HeatmapFormat,
    ModelStatus,
    PixelsJob,
    RawImage,
    Running,
    RunningTensors,
    TensorAnswer,
    TensorJob,
    Version,
)
from server.serving.models import ServedClassifier, ServedModel, ServedTensors
from server.serving.observers import Observed, Observers
from server.serving.workers import Workers

log = logging.getLogger(__name__)

_NO_IMAGES = "model {!r} takes no images; ask it by the Open Inference Protocol"

T = TypeVar("T")


class Models(Protocol):
    """Where Serving finds its models; `repository.Repository` is the real one."""

    def resolve(self, name: str, version: Version) -> ServedModel:
        """The version in service that a request means; raises ModelNotFoundError or UnavailableError."""
        ...

    def status(self, name: str, version: Version) -> ModelStatus:
        """One version, whatever its state; raises ModelNotFoundError."""
        ...

    def number(self, name: str, version: Version) -> int:
        """The number of the version that a request means, whatever its state; raises ModelNotFoundError."""
        ...

    def statuses(self) -> list[ModelStatus]:
        """Every version of every model, by name and number."""
        ...

    def served(self) -> Sequence[ServedModel]:
        """The versions in service."""
        ...

    async def load(self, name: str) -> None:
        """Brings what is on disk into service; raises ModelNotFoundError or UnavailableError."""

    async def unload(self, name: str) -> None:
        """Takes a model out of service; raises ModelNotFoundError."""


class Serving:
    """Classifies images with the models in service."""

    def __init__(
        self,
        models: Models,
        admission: Admission,
        workers: Workers,
        events: Events,
        clock: Callable[[], float],
        observers: Observers = (),
    ) -> None:
        """`workers` decode and draw; `clock` gives seconds on the scale of the jobs' deadlines."""
        self._models = models
        self._admission = admission
        self._workers = workers
        self._events = events
        self._clock = clock
        self._observers = observers

    @property
    def inflight(self) -> int:
        """Images admitted and not answered yet."""
        return self._admission.images

    @property
    def max_images(self) -> int:
        """The most images, or rows of tensors, that one request may have."""
        return self._admission.max_images

    def turn_away(self, left_seconds: float | None) -> None:
        """Refuses a request that is not read yet, when none could be answered now; `left_seconds` are those until its deadline.

        A request is not known to be urgent before it is read: ask only for others. It is counted as one image of an unknown model.
        Raises OverloadedError, DeadlineError.
        """
        wait = min([model.batcher.wait_seconds for model in self._models.served()], default=0.0)
        try:
            self._admission.turn_away(wait, left_seconds)
        except ServerError as error:
            self._events.emit(ImagesFailed("", "", _outcome(error), 1))
            raise

    def models(self) -> list[ModelStatus]:
        """Every version of every model, by name and number."""
        return self._models.statuses()

    def model(self, name: str, version: Version) -> ModelStatus:
        """One version of one model, by default the one that answers. Raises ModelNotFoundError."""
        return self._models.status(name, version)

    def known(self, name: str, version: int | str) -> tuple[str, str]:
        """Name and version to count a request under: empty when there is no such model, so that callers cannot invent
        names to fill the metrics with."""
        try:
            return name, str(self._models.number(name, version or None))
        except ModelNotFoundError:
            return "", ""

    async def classify(self, job: ClassifyJob) -> Classification:
        """Answers a job. Each image has its own result; the call raises the first image's error when none got an answer.

        Raises a ServerError otherwise only for what concerns the whole request: model, targets, admission.
        """
        model = self._models.resolve(job.model, job.version)
        if isinstance(model, ServedTensors):
            raise InvalidRequestError(_NO_IMAGES.format(job.model))
        if not job.questions:
            raise InvalidRequestError("images: the request has none; send at least one")
        tasks = [images.task(job, model, question) for question in job.questions]
        size_bytes = sum([task.size_bytes for task in tasks])
        try:
            explained = any(task.targets.size for task in tasks)
            with model.users, self._admission.admit(self._demand(job, model, len(tasks), size_bytes, explained)):
                results = await _all(self._settle(task) for task in tasks)
        except (OverloadedError, DeadlineError) as error:
            self._failed(model, _outcome(error), len(tasks))
            raise
        errors = [result for result in results if isinstance(result, ServerError)]
        if len(errors) == len(results):
            raise errors[0]
        return Classification(job.request_id, model.name, model.version, tuple(results))

    async def classify_pixels(self, job: PixelsJob) -> TensorAnswer:
        """Answers a job whose pictures came as one tensor, as a whole. Raises ServerError."""
        model = self._models.resolve(job.model, job.version)
        if isinstance(model, ServedTensors):
            raise InvalidRequestError(_NO_IMAGES.format(job.model))
        targets = 0 if job.targets is None else job.targets.size
        with self._together(job, model, len(job.pixels), job.pixels.nbytes + targets * model.heatmap_bytes):
            answer, told = await pixels.answer(job, model, self._clock)
        self._events.emit(told)
        if self._observers:
            probabilities = np.asarray(answer.outputs[pixels.PROBABILITIES], np.float32)
            self._show(job.request_id, model, job.pixels, None, probabilities)
        return answer

    async def infer(self, job: TensorJob) -> TensorAnswer:
        """Answers a job for a model that takes no images, as a whole. Raises ServerError."""
        model = self._models.resolve(job.model, job.version)
        if isinstance(model, ServedClassifier):
            raise InvalidRequestError(f"model {job.model!r} takes images, as `pixels` or as `image`")
        rows = tensors.check(job, model)
        with self._together(job, model, rows, sum([array.nbytes for array in job.inputs.values()])):
            answer = await tensors.answer(job, model, self._clock)
        self._events.emit(TensorsAnswered(model.name, model.number, answer.timings, rows))
        return answer

    async def load(self, name: str) -> None:
        """Brings a model's versions on disk into service. Raises ModelNotFoundError or UnavailableError with the reason."""
        await self._models.load(name)

    async def unload(self, name: str) -> None:
        """Takes a model out of service; what it has in work is finished. Raises ModelNotFoundError."""
        await self._models.unload(name)

    def running(self, name: str, version: Version) -> Running | RunningTensors:
        """What is known of the version in service that a request means. Raises ModelNotFoundError or UnavailableError."""
        return self._models.resolve(name, version).running

    @contextmanager
    def _together(self, job: PixelsJob | TensorJob, model: ServedModel, rows: int, size_bytes: int) -> Iterator[None]:
        """Admits a job whose rows are answered together, for the block, and counts them when it fails."""
        try:
            explained = isinstance(job, PixelsJob) and job.targets is not None
            with model.users, self._admission.admit(self._demand(job, model, rows, size_bytes, explained)):
                yield
        except ServerError as error:
            self._failed(model, _outcome(error), rows)
            raise
        except asyncio.CancelledError:
            self._failed(model, "expired" if self._is_late(job) else "cancelled", rows)
            raise

    def _demand(
        self,
        job: ClassifyJob | PixelsJob | TensorJob,
        model: ServedModel,
        images: int,
        size_bytes: int,
        explained: bool,
    ) -> Demand:
        wait = model.batcher.wait_seconds
        if isinstance(job, ClassifyJob):
            wait += self._workers.wait_seconds
        left = None if job.deadline is None else job.deadline - self._clock()
        return Demand(images, size_bytes, job.priority, explained, wait, left)

    async def _settle(self, task: images.Task) -> Answer | ServerError:
        """The answer for one image or its error, counted either way."""
        try:
            answer = await self._answer(task)
        except ServerError as error:
            if isinstance(error, InternalError):
                log.error("request %r failed on an image: %s", task.job.request_id, error)
            self._failed(task.model, _outcome(error), 1)
            return error
        except asyncio.CancelledError:
            self._failed(task.model, "expired" if self._is_late(task.job) else "cancelled", 1)
            raise
        except Exception:
            # Unforeseen, so the others of the request are not taken down with it.
            log.exception("request %r failed on an image", task.job.request_id)
            self._failed(task.model, "failed", 1)
            return InternalError("unforeseen error")
        top = answer.predictions[0]
        told = ImagesAnswered(task.model.name, task.model.number, answer.timings, (top.label,), (top.probability,))
        self._events.emit(told)
        return answer

    async def _answer(self, task: images.Task) -> Answer:
        start = self._clock()
        sample = await self._sample(task)
        decoded = self._clock()
        if self._is_late(task.job):
            raise DeadlineError("the deadline passed while the image was decoded")
        item = ImageItem(sample.pixels[np.newaxis], task.targets, task.method)
        lone = len(task.job.questions) == 1
        output = await task.model.batcher.submit(item, task.job.deadline, lone=lone, priority=task.job.priority)
        inferred = self._clock()
        if self._observers:
            encoded = None if isinstance(task.question.image, RawImage) else task.question.image.data
            self._show(task.job.request_id, task.model, item.pixels, encoded, output.result.probabilities)
        ranking = images.ranking(output.result, task)
        explanations = await self._explanations(task, sample, output.result, ranking)
        done = self._clock()
        timings = Timings(
            decode_seconds=decoded - start,
            queue_seconds=output.queue_seconds,
            infer_seconds=output.infer_seconds,
            render_seconds=done - inferred,
            total_seconds=done - task.job.received,
            batch_images=output.batch_rows,
        )
        probabilities, labels = output.result.probabilities[0], task.model.manifest.labels
        predictions = tuple([images.prediction(index, labels, probabilities) for index in ranking[: task.job.top_k]])
        return Answer(probabilities, predictions, explanations, timings)

    async def _sample(self, task: images.Task) -> Sample:
        spec, image = task.model.manifest.preprocess, task.question.image
        if isinstance(image, RawImage):
            return images.raw_sample(image, spec.shape)
        try:
            return await self._workers.run(lambda limits: preprocess.from_bytes(image.data, spec, limits))
        except PictureError as error:
            raise InvalidImageError(str(error)) from error

    async def _explanations(
        self, task: images.Task, sample: Sample, result: ImageResult, ranking: list[int]
    ) -> tuple[Explanation, ...]:
        if task.question.explain is None:
            return ()
        form, labels = task.question.explain.format, task.model.manifest.labels
        grids = explain.grids(result, sample, task.model.manifest)
        heatmaps: Sequence[Grid | bytes] = grids
        if form is not HeatmapFormat.GRID:
            heatmaps = await self._workers.run(
                lambda limits: explain.draw(task.question.image, sample, grids, form, limits)
            )
        classes = [ranking[-1 - code] if code < 0 else code for code in task.targets[0].tolist()]
        method = task.model.manifest.explanations[task.method]
        return tuple(
            Explanation(images.prediction(index, labels, result.probabilities[0]), method, heatmap)
            for index, heatmap in zip(classes, heatmaps, strict=True)
        )

    def _is_late(self, job: ClassifyJob | PixelsJob | TensorJob) -> bool:
        return job.deadline is not None and job.deadline <= self._clock()

    def _show(
        self,
        request_id: str,
        model: ServedClassifier,
        pixels: NDArray[np.uint8],
        encoded: bytes | None,
        probabilities: NDArray[np.float32],
    ) -> None:
        seen = Observed(request_id, model, pixels, encoded, probabilities)
        for observer in self._observers:
            observer(seen)

    def _failed(self, model: ServedModel, outcome: Outcome, images: int) -> None:
        self._events.emit(ImagesFailed(model.name, model.number, outcome, images))


async def _all(answers: Iterable[Coroutine[None, None, T]]) -> list[T]:
    """What each answers, all at once; a lone one, as most requests have, without the price of a task."""
    first, *others = answers
    return list(await asyncio.gather(first, *others)) if others else [await first]


def _outcome(error: ServerError) -> Outcome:
    match error:
        case InvalidRequestError():
            return "invalid"
        case DeadlineError():
            return "expired"
        case InternalError():
            return "failed"
        case _:
            return "shed"
