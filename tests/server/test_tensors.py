"""Models that take no images, through the real service and a real engine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bundle.limits import Limits
from server.errors import DeadlineError, InvalidRequestError, OverloadedError, ServerError
from server.events import Events, ImagesFailed
from server.serving.admission import Admission
from server.serving.jobs import ClassifyJob, RunningTensors, TensorJob
from server.serving.service import Serving
from server.serving.workers import Workers
from tests.bundles import make_bundle, make_tensor_bundle
from tests.server.fakes import ManualClock
from tests.server.test_repository import repository

Inputs = dict[str, NDArray[np.generic]]


@asynccontextmanager
async def serving(folder: Path, events: Events | None = None, max_rows: int = 64) -> AsyncIterator[Serving]:
    """A service of `line` (no images; batches of 8 at most) and `shapes` (images)."""
    make_tensor_bundle(folder / "line/1")
    make_bundle(folder / "shapes/1")
    async with repository(folder) as models:
        clock = ManualClock()
        with closing(Workers(1, Limits(), clock)) as workers:
            yield Serving(models, Admission(max_rows, 1 << 20), workers, events or Events(), clock)


def inputs(rows: int, seed: int = 0) -> Inputs:
    random = np.random.default_rng(seed)
    return {"x": random.normal(size=(rows, 3)).astype(np.float32), "offset": random.integers(-5, 5, rows)}


def job(given: Inputs, *outputs: str, model: str = "line", deadline: float | None = None) -> TensorJob:
    return TensorJob(model, None, given, outputs, "id", 100.0, deadline)


def check_line(given: Inputs, found: NDArray[np.generic]) -> None:
    expected = 2.0 * given["x"].astype(np.float64) + given["offset"].astype(np.float64)[:, None]
    np.testing.assert_allclose(found.astype(np.float64), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 8, 9, 21])
async def test_every_row_gets_its_own_answer_however_many_batches_it_takes(tmp_path: Path, rows: int) -> None:
    given = inputs(rows)
    async with serving(tmp_path) as service:
        answer = await service.infer(job(given))
    check_line(given, answer.outputs["line"])
    assert answer.outputs["largest"].tolist() == answer.outputs["line"].max(axis=1).tolist()


async def test_callers_who_share_a_batch_get_the_outputs_that_each_asked_for(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        jobs = [
            job(inputs(2, seed), *wanted)
            for seed, wanted in enumerate([("line",), ("largest",), ("largest", "line")] * 3)
        ]
        answers = await asyncio.gather(*map(service.infer, jobs))
    for given, answer in zip(jobs, answers, strict=True):
        assert tuple(answer.outputs) == given.outputs
        if "line" in given.outputs:
            check_line(given.inputs, answer.outputs["line"])


WRONG: dict[str, tuple[TensorJob, str]] = {
    "no such input": (job(inputs(1) | {"z": np.zeros(1)}), "the model takes: offset, x"),
    "a missing input": (job({"x": np.zeros((1, 3), np.float32)}), "got x; the model takes: offset, x"),
    "another type": (job(inputs(1) | {"x": np.zeros((1, 3))}), "is float64, the model takes float32"),
    "another size": (job(inputs(1) | {"x": np.zeros((1, 4), np.float32)}), "shape [1, 4], the model takes [-1, 3]"),
    "different rows": (job(inputs(2) | {"offset": np.zeros(3, np.int64)}), "[2, 3] rows"),
    "no rows": (job(inputs(0)), "at least one"),
    "no such output": (job(inputs(1), "lines"), "no lines; the model has: line, largest"),
    "a model of images": (job(inputs(1), model="shapes"), "takes images"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_the_model_does_not_take_is_refused_with_the_reason(tmp_path: Path, case: str) -> None:
    wrong, reason = WRONG[case]
    async with serving(tmp_path) as service:
        with pytest.raises(InvalidRequestError) as raised:
            await service.infer(wrong)
    assert reason in str(raised.value)


async def test_a_picture_for_a_model_that_takes_none_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        with pytest.raises(InvalidRequestError, match="takes no images"):
            await service.classify(ClassifyJob("line", None, (), 1, "id", 100.0, None))


@pytest.mark.parametrize(
    ("asked", "outcome", "error"),
    [
        (job(inputs(9), deadline=99.0), "expired", DeadlineError),
        (job(inputs(65)), "invalid", InvalidRequestError),
        (job(inputs(33)), "shed", OverloadedError),
    ],
)
async def test_rows_without_an_answer_are_counted(
    tmp_path: Path, asked: TensorJob, outcome: str, error: type[ServerError]
) -> None:
    events, seen = Events(), list[ImagesFailed]()
    events.subscribe(ImagesFailed, seen.append)
    async with serving(tmp_path, events) as service:
        others = asyncio.ensure_future(service.infer(job(inputs(32))))
        await asyncio.sleep(0)
        with pytest.raises(error):
            await service.infer(asked)
        await others
    rows = len(asked.inputs["x"])
    assert [(event.outcome, event.images) for event in seen] == [(outcome, rows)]


async def test_what_a_model_takes_and_gives_can_be_asked(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        running = service.model("line", None).running
    assert isinstance(running, RunningTensors)
    assert [(each.name, each.dtype, each.shape) for each in running.inputs] == [
        ("x", "float32", (-1, 3)),
        ("offset", "int64", (-1,)),
    ]
    assert [each.name for each in running.outputs] == ["line", "largest"]
