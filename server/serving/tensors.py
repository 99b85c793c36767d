"""Requests to models that take no images: checked against the manifest, cut to what fits a batch, put together again."""

from collections.abc import Callable, Iterator, Mapping

from server.batching.items import TensorItem
from server.engine.base import Array
from server.errors import InvalidRequestError
from server.serving import parts
from server.serving.jobs import TensorAnswer, TensorJob
from server.serving.models import ServedTensors


def check(job: TensorJob, model: ServedTensors) -> int:
    """The number of rows of a job. Raises InvalidRequestError when the job is not what the model takes."""
    expected = {tensor.name: tensor for tensor in model.manifest.inputs}
    _same_names("inputs", set(job.inputs), set(expected))
    for name, array in job.inputs.items():
        tensor = expected[name]
        if array.dtype != tensor.dtype:
            raise InvalidRequestError(f"inputs[{name!r}]: is {array.dtype}, the model takes {tensor.dtype}")
        if not tensor.fits(array.shape):
            raise InvalidRequestError(
                f"inputs[{name!r}]: shape {list(array.shape)}, the model takes {tensor.shape} (-1: any size)"
            )
    if unknown := set(job.outputs) - {tensor.name for tensor in model.manifest.outputs}:
        known = ", ".join(tensor.name for tensor in model.manifest.outputs)
        raise InvalidRequestError(f"outputs: no {', '.join(sorted(unknown))}; the model has: {known}")
    rows = {len(array) for array in job.inputs.values()}
    if len(rows) != 1 or rows == {0}:
        raise InvalidRequestError(f"inputs: {sorted(rows)} rows; at least one, and the same number in each")
    return rows.pop()


def _same_names(what: str, given: set[str], expected: set[str]) -> None:
    if given != expected:
        raise InvalidRequestError(
            f"{what}: got {', '.join(sorted(given)) or 'none'}; the model takes: {', '.join(sorted(expected))}"
        )


async def answer(job: TensorJob, model: ServedTensors, clock: Callable[[], float]) -> TensorAnswer:
    """The engine's outputs for all rows of a job that `check` has passed."""
    wanted = job.outputs or tuple(tensor.name for tensor in model.manifest.outputs)
    items = (TensorItem(part, wanted) for part in _parts(job.inputs, model.batcher.max_batch))
    outputs = await parts.submitted(model.batcher, items, job.deadline, job.priority)
    timings = parts.timings(outputs, clock() - job.received)
    joined = {name: parts.joined([output.result[name] for output in outputs]) for name in wanted}
    return TensorAnswer(model.name, model.version, joined, timings)


def _parts(inputs: Mapping[str, Array], most: int) -> Iterator[dict[str, Array]]:
    rows = len(next(iter(inputs.values())))
    for start in range(0, rows, most):
        yield {name: array[start : start + most] for name, array in inputs.items()}
