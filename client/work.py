"""Sends many pictures, several calls at a time, and hands the answers back in order."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import grpc

from client.client import Client
from client.errors import ClassifyError
from client.pictures import Picture, batches
from client.results import Explain, ImageResult, Priority

# Half of what a server reads by default, so that a batch of photographs passes.
MAX_REQUEST_BYTES = 16 << 20


Answered = tuple[Picture, ImageResult]


@dataclass(frozen=True)
class Job:
    """What to ask about every picture, and how many to send at a time."""

    model: str
    version: int
    top_k: int
    explain: Explain | None
    batch: int
    concurrency: int
    priority: Priority = Priority.NORMAL


def classify_all(client: Client, pictures: Sequence[Picture], job: Job) -> Iterator[Answered]:
    """Each picture with its result, in their order; what fails has its error in its result.

    Closing the iterator early leaves the calls in work to `Client.close`, which cancels them.
    """
    pool = ThreadPoolExecutor(job.concurrency, thread_name_prefix="classify")
    pending: deque[Future[list[Answered]]] = deque()
    try:
        for batch in batches(pictures, job.batch, MAX_REQUEST_BYTES):
            pending.append(pool.submit(_classify, client, batch, job))
            if len(pending) == 2 * job.concurrency:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _classify(client: Client, batch: list[Picture], job: Job) -> list[Answered]:
    results: dict[int, ImageResult] = {}
    readable: dict[int, bytes] = {}
    for place, picture in enumerate(batch):
        try:
            readable[place] = picture.read()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            failure = ClassifyError(grpc.StatusCode.NOT_FOUND, f"cannot read the file: {reason}")
            results[place] = ImageResult(error=failure)
    answers = _call(client, list(readable.values()), job) if readable else []
    results.update(zip(readable, answers, strict=True))
    return [(picture, results[place]) for place, picture in enumerate(batch)]


def _call(client: Client, images: list[bytes], job: Job) -> Sequence[ImageResult]:
    try:
        answer = client.classify(
            images, job.model, version=job.version, top_k=job.top_k, explain=job.explain, priority=job.priority
        )
    except ClassifyError as error:
        if len(images) > 1 and error.code is grpc.StatusCode.INVALID_ARGUMENT:
            # Not one image got an answer, and the call carries the reason of the first only: ask for the others'.
            return [ImageResult(error=error), *(_call(client, [image], job)[0] for image in images[1:])]
        return [ImageResult(error=error)] * len(images)
    return answer.results
