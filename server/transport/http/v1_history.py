"""The last minutes of the metrics as JSON, for a person without Prometheus."""

import math
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from server.events import STAGES
from server.history import Array, History, quantile
from server.tally import IMAGES
from server.transport.http import query, replies
from server.transport.http.operation import JSON, Operation, Reply, Request


class HistoryQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Of what, and how far back."""

    minutes: Annotated[float, Meta(gt=0, le=15, description="How far back to look.")] = 5
    model: Annotated[str, Meta(description="Only this one; empty for all together.")] = ""
    version: Annotated[str, Meta(description="Only this number; empty for all together.")] = ""


class QuantilesBody(msgspec.Struct):
    """Seconds, of each point and of all together; null where nothing happened. Estimated from the buckets of the metrics."""

    p50: list[float | None]
    p99: list[float | None]
    p50_of_all: float | None
    p99_of_all: float | None


class BatchesBody(msgspec.Struct):
    """Runs of the engine by how many images they had; the last bucket, which has no upper bound, is of larger ones."""

    most_images: list[int | None]
    runs: list[int]


class HistoryBody(msgspec.Struct):
    """The last minutes by column: each list has a figure for each point in time."""

    times: Annotated[list[float], Meta(description="Unix time in seconds at which the points end.")]
    seconds: Annotated[list[float], Meta(description="How long each point took.")]
    calls: Annotated[dict[str, list[int]], Meta(description="Calls for answers by their gRPC code.")]
    images: Annotated[dict[str, list[int]], Meta(description="Images by what became of them.")]
    inflight: Annotated[list[int], Meta(description="Images in work, of all models.")]
    stages: dict[str, QuantilesBody]
    batches: BatchesBody


class V1History:
    """One operation; like those of the probes it is not counted, because somebody asks it every few seconds."""

    def __init__(self, history: History) -> None:
        self._history = history

    def operations(self) -> list[Operation]:
        """All of them."""
        return [
            Operation(
                *("history", "GET", "/v1/history", "The last minutes of the metrics", self._read, {JSON: HistoryBody}),
                query=HistoryQuery,
            )
        ]

    async def _read(self, request: Request) -> Reply:
        asked = query.read(request.query, HistoryQuery)
        window = self._history.window(60 * asked.minutes, asked.model, asked.version)
        body = HistoryBody(
            times=window.times.round(3).tolist(),
            seconds=window.seconds.round(3).tolist(),
            calls={code: _whole(counts) for code, counts in window.calls.items()},
            images={outcome: _whole(counts) for outcome, counts in window.images.items()},
            inflight=_whole(window.inflight),
            stages={stage: _quantiles(window.stages[:, place]) for place, stage in enumerate(STAGES)},
            batches=_batches(window.batches),
        )
        return replies.json(body, compressible=True)


def _quantiles(buckets: Array) -> QuantilesBody:
    """Of histograms [T, bucket]."""
    of_all = buckets.sum(axis=0)
    p50, p99 = (quantile(buckets, share) for share in (0.5, 0.99))
    p50_of_all, p99_of_all = (_number(float(quantile(of_all, share))) for share in (0.5, 0.99))
    return QuantilesBody([*map(_number, p50.tolist())], [*map(_number, p99.tolist())], p50_of_all, p99_of_all)


def _batches(buckets: Array) -> BatchesBody:
    """Of histograms [T, bucket]."""
    runs = np.diff(buckets.sum(axis=0), prepend=0)
    return BatchesBody([*map(int, IMAGES), None], _whole(runs))


def _whole(values: Array) -> list[int]:
    return [int(value) for value in values]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 7)
