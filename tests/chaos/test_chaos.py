"""Whatever callers and engines do: every call ends in an answer or in a typed error, and afterwards all is well again."""

import asyncio
import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from bench.server_process import RunningServer, serving
from tests.bundles import make_bundle
from tests.chaos.callers import MODEL, Callers

CALM = {"slow": 0.0, "raise": 0.0, "hang": 0.0, "memory": 0.0}
FAULTY = {"slow": 0.02, "raise": 0.005, "hang": 0.001, "memory": 0.01}

# What an engine that fails, a full server and a model out of service may do to any call, over gRPC and over HTTP.
SHED = {"answered", "INTERNAL", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "500", "429", "503"}
ENDS = {
    "broken_picture": SHED | {"INVALID_ARGUMENT"},
    "wrong_shape": SHED | {"INVALID_ARGUMENT"},
    "unknown_model": {"NOT_FOUND", "RESOURCE_EXHAUSTED"},  # a full server does not read which model it is about
    "broken_http": SHED | {"400"},
    "cancelled": SHED | {"left", "CANCELLED"},
    "impatient": SHED | {"DEADLINE_EXCEEDED", "CANCELLED"},
    "left_in_the_middle": {"left"},
    "stream_abandoned": {"left"},
    "slow_reader": {"left"},
}


def environment(faults: Mapping[str, float]) -> dict[str, str]:
    return os.environ | {"SEED": "5", "FAULTS": json.dumps(faults)}


def rss_mib(server: RunningServer) -> float:
    memory: int = psutil.Process(server.process.pid).memory_info().rss
    return memory / 2**20


def metric(server: RunningServer, name: str) -> float:
    with urlopen(f"http://{server.http}/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


def check(ends: Counter[tuple[str, str]], calls: int) -> None:
    assert ends.total() == calls
    wrong = {(kind, end): count for (kind, end), count in ends.items() if end not in ENDS.get(kind, SHED)}
    assert not wrong, wrong


async def settled(server: RunningServer) -> None:
    """Returns when nothing is in work any more, or fails."""
    async with asyncio.timeout(30):
        while await asyncio.to_thread(metric, server, "seethrough_inflight_images"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def healthy(callers: Callers) -> None:
    """Returns when a good call is answered, or fails."""
    async with asyncio.timeout(30):
        while True:
            end = await callers.attempt(callers.picture)
            if end == "answered":
                return
            assert end in SHED
            await asyncio.sleep(0.1)


async def storm(server: RunningServer, calls: int, seed: int) -> Counter[tuple[str, str]]:
    """Calls of all kinds, a part of them ten times as many at once as the others; then all is well again."""
    callers = Callers(server.grpc, server.http, random.Random(seed))
    try:
        await callers.run(calls // 2, 32)
        await callers.run(calls // 4, 320)
        await callers.run(calls - calls // 2 - calls // 4, 32)
        await settled(server)
        await healthy(callers)
        return callers.ends
    finally:
        await callers.close()


# A short run has few batches, of which more must fail for any to fail.
@pytest.mark.parametrize(
    ("calls", "faults_often"),
    [(600, 8), pytest.param(10_000, 1, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])],
)
async def test_every_call_ends_in_an_answer_or_a_typed_error_while_engines_fail(
    tmp_path: Path, calls: int, faults_often: int, record_property: Callable[[str, object], None]
) -> None:
    make_bundle(tmp_path / MODEL / "1")
    options = ("--max-inflight-images", "64", "--engine-seconds", "1", "--log-level", "error")
    faulty = environment({fault: faults_often * chance for fault, chance in FAULTY.items()})
    with (
        open(os.devnull, "w") as log,  # noqa: PTH123, ASYNC230  thousands of faults are logged
        serving(tmp_path, *options, environment=faulty, module="tests.chaos.server", log=log) as server,
    ):
        await storm(server, calls, seed=1)  # to have seen everything once: libraries, buffers, threads
        before, started = rss_mib(server), time.monotonic()
        ends = await storm(server, calls, seed=2)
        after, seconds = rss_mib(server), time.monotonic() - started
        faults = metric(server, "seethrough_engine_faults_total")
    told = f"{calls} calls in {seconds:.0f} s, {faults:.0f} faults, RSS {before:.0f} -> {after:.0f} MiB"
    check(ends, calls)
    assert faults > 0, told
    assert after < 1.1 * before, told
    record_property("told", told)


async def test_without_faults_nobody_who_behaves_is_turned_away(tmp_path: Path) -> None:
    make_bundle(tmp_path / MODEL / "1")
    with serving(tmp_path, environment=environment(CALM), module="tests.chaos.server") as server:
        callers = Callers(server.grpc, server.http, random.Random(3))
        try:
            await callers.run(300, 32)
        finally:
            await callers.close()
    good = {"pixels", "picture", "explained", "many", "open_inference", "stream", "over_http"}
    assert {end for (kind, end) in callers.ends if kind in good} == {"answered"}
