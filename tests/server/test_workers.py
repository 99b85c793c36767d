"""Large pictures wait for each other, and nobody waits for them."""

import asyncio
import math
import threading
import time
from contextlib import closing

import pytest

from bundle.errors import HeavyPictureError, PictureError
from bundle.limits import Limits
from server.serving.workers import Workers


def heavy(limits: Limits, gate: threading.Event) -> str:
    """Work that the light lane leaves to the other, where it waits at the gate."""
    if limits.work < math.inf:
        raise HeavyPictureError
    gate.wait()
    return "heavy"


async def test_any_number_of_heavy_pictures_leaves_light_ones_their_threads() -> None:
    gate = threading.Event()
    with closing(Workers(2, Limits(), time.monotonic)) as workers:
        hostile = [asyncio.ensure_future(workers.run(lambda limits: heavy(limits, gate))) for _ in range(50)]
        for _ in range(10):
            assert await workers.run(lambda _: "light") == "light"
        assert not any(each.done() for each in hostile)
        gate.set()
        assert set(await asyncio.gather(*hostile)) == {"heavy"}


async def test_a_heavy_picture_gets_all_that_is_allowed_in_its_lane() -> None:
    given: list[Limits] = []

    def work(limits: Limits) -> None:
        given.append(limits)
        if len(given) == 1:
            raise HeavyPictureError

    with closing(Workers(1, Limits(pixels=77, seconds=9.0), time.monotonic)) as workers:
        await workers.run(work)
    light, full = given
    assert full == Limits(pixels=77, seconds=9.0)
    assert light.pixels == full.pixels
    assert light.seconds < full.seconds
    assert light.work < full.work


async def test_whoever_leaves_while_waiting_for_the_heavy_lane_is_not_worked_for() -> None:
    gate, done = threading.Event(), []

    def late(limits: Limits) -> None:
        heavy(limits, gate)
        done.append(limits)

    with closing(Workers(1, Limits(), time.monotonic)) as workers:
        first = asyncio.ensure_future(workers.run(lambda limits: heavy(limits, gate)))
        gone = asyncio.ensure_future(workers.run(late))
        for _ in range(4):  # both have been through the light lane, one after the other
            await workers.run(lambda _: None)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        gate.set()
        await first
    assert done == []


async def test_what_is_wrong_with_a_picture_is_told_from_either_lane() -> None:
    def broken(limits: Limits) -> None:
        raise PictureError("broken")

    with closing(Workers(1, Limits(), time.monotonic)) as workers, pytest.raises(PictureError, match="broken"):
        await workers.run(broken)
