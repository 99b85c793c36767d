"""What travels together and may be larger than a batch: its parts are submitted, and their answers put together again."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from server.batching.entries import Output
from server.batching.items import Item
from server.batching.policy import Priority
from server.engine.base import Array
from server.events import Timings
from server.serving.models import Queue, R


async def submitted(
    queue: Queue[Any, R], items: Iterable[Item], deadline: float | None, priority: Priority
) -> list[Output[R]]:
    """The engine's outputs for all parts; a lone one, as most requests have, without the price of a task."""
    first, *others = items
    if not others:
        return [await queue.submit(first, deadline, lone=True, priority=priority)]
    return await asyncio.gather(*(queue.submit(item, deadline, priority=priority) for item in (first, *others)))


def timings(outputs: Sequence[Output[Any]], total_seconds: float) -> Timings:
    """Where the time went: the longest that any part took in each stage. Nothing is decoded or drawn."""
    return Timings(
        decode_seconds=0.0,
        queue_seconds=max([output.queue_seconds for output in outputs]),
        infer_seconds=max([output.infer_seconds for output in outputs]),
        render_seconds=0.0,
        total_seconds=total_seconds,
        batch_images=max([output.batch_rows for output in outputs]),
    )


def joined(parts: list[Array]) -> Array:
    """The parts of an output, [n, ...] each, behind each other."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
