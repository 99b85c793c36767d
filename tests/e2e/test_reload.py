"""Versions come, change, go bad and go, under clients that notice nothing but other answers."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np
import onnxruntime as ort
import psutil
import pytest

from bench.server_process import RunningServer, serving
from bundle import manifest
from proto import classifier_pb2 as pb
from proto import classifier_pb2_grpc as rpc
from tests.bundles import make_bundle
from tests.contract.conftest import falsify_golden, flip_a_byte
from tests.contract.http.asking import ask

SHAPE = (12, 16, 3)
PIXELS = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)
IMAGE = pb.Image(pixels=pb.RawPixels(height=SHAPE[0], width=SHAPE[1], channels=SHAPE[2], data=PIXELS.tobytes()))
OPTIONS = ("--device", "cpu", "--engine", "onnxruntime", "--watch-seconds", "0.1", "--keep-versions", "2")


@dataclass
class Repository:
    """The model `m` on disk, and what each of its bundles answers to PIXELS."""

    models: Path
    answers: dict[int, list[float]] = field(default_factory=dict)  # by seed
    seed: int = 0
    _seeds: dict[tuple[float, ...], int | None] = field(default_factory=dict)

    def put(self, version: int, spoil: Callable[[Path], None] = lambda _: None) -> None:
        """Puts another bundle in the place of a version, all at once."""
        self.seed += 1
        made = make_bundle(self.models / f".made/{self.seed}", seed=self.seed)
        session = ort.InferenceSession(made / manifest.PREDICT_MODEL, providers=["CPUExecutionProvider"])
        (probabilities,) = session.run(["probabilities"], {"pixels": PIXELS[np.newaxis]})
        self.answers[self.seed] = sorted(probabilities[0].tolist(), reverse=True)
        spoil(made)
        place = self.models / f"m/{version}"
        place.parent.mkdir(exist_ok=True)
        if place.exists():
            place.rename(self.models / f".made/old{self.seed}")
        made.rename(place)

    def seed_of(self, probabilities: tuple[float, ...]) -> int | None:
        """Which bundle gives this answer; the same few come again and again."""
        if probabilities not in self._seeds:
            known = tuple(self.answers.items())  # it grows meanwhile
            fitting = (seed for seed, answer in known if np.allclose(answer, probabilities, atol=1e-5))
            self._seeds[probabilities] = next(fitting, None)
        return self._seeds[probabilities]


@dataclass
class Caller(threading.Thread):
    """Asks for three pictures at once, again and again."""

    server: RunningServer
    repository: Repository
    stop: threading.Event
    seeds: set[int] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    asked: int = 0

    __hash__ = threading.Thread.__hash__

    def __post_init__(self) -> None:
        super().__init__()

    def run(self) -> None:
        request = pb.ClassifyRequest(model="m", images=[IMAGE] * 3, top_k=3)
        with grpc.insecure_channel(self.server.grpc, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            classify = rpc.ImageClassifierStub(channel).Classify
            while not self.stop.is_set():
                self.asked += 1
                try:
                    self._judge(classify(request, timeout=60))
                except grpc.RpcError as error:
                    self.wrong.append(str(error))

    def _judge(self, answer: pb.ClassifyResponse) -> None:
        found = {
            self.repository.seed_of(tuple(each.probability for each in result.predictions)) for result in answer.results
        }
        if len(found) != 1 or None in found:
            self.wrong.append(f"{answer.version} answered by {found}")
        self.seeds |= {seed for seed in found if seed is not None}


@contextmanager
def calling(server: RunningServer, repository: Repository, clients: int) -> Iterator[list[Caller]]:
    """So many clients for the block."""
    stop = threading.Event()
    callers = [Caller(server, repository, stop) for _ in range(clients)]
    for caller in callers:
        caller.start()
    try:
        yield callers
    finally:
        stop.set()
        for caller in callers:
            caller.join()


def until(condition: Callable[[], bool]) -> None:
    """Returns when `condition` holds; what the server does cannot be awaited from here."""
    patience = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < patience
        time.sleep(0.01)


def swaps(repository: Repository, stub: "rpc.ImageClassifierStub", count: int) -> Iterator[int]:
    """So many changes on disk, each when the one before has been seen: a new version, another bundle in its place, a bad one."""
    version = 1
    for swap in range(count):
        kind = swap % 4
        version += kind == 0
        change(repository, stub, kind, version)
        yield swap + 1


def change(repository: Repository, stub: "rpc.ImageClassifierStub", kind: int, version: int) -> None:
    """One change, seen by the server: `version` is the highest good one."""

    def told(number: int) -> pb.Model:
        models = stub.ListModels(pb.ListModelsRequest()).models
        return next((model for model in models if model.version == number), pb.Model())

    match kind:
        case 0:
            repository.put(version)
            until(lambda: told(version).is_default)
        case 1:
            before = told(version).loaded_at
            repository.put(version)
            until(lambda: told(version).loaded_at != before)
        case 2:
            repository.put(version, falsify_golden)
            until(lambda: told(version).reason.startswith("golden check"))
            assert told(version).state == pb.MODEL_STATE_SERVING
        case _:
            repository.put(version + 1, lambda folder: flip_a_byte(folder / manifest.WEIGHTS))
            until(lambda: told(version + 1).state == pb.MODEL_STATE_REFUSED)
            shutil.rmtree(repository.models / f"m/{version + 1}")


def check(callers: list[Caller]) -> None:
    assert [wrong for caller in callers for wrong in caller.wrong] == []
    assert all(caller.asked for caller in callers)


@pytest.mark.parametrize(
    "processes",
    [(), ("--processes", "2", "--engine-process", "off"), ("--processes", "2", "--engine-process", "on")],
    ids=["one process", "two processes", "engine process"],
)
def test_swaps_under_clients_fail_no_request_and_mix_no_answer(tmp_path: Path, processes: tuple[str, ...]) -> None:
    repository = Repository(tmp_path)
    repository.put(1)
    with serving(tmp_path, *OPTIONS, *processes) as server, grpc.insecure_channel(server.grpc) as channel:
        with calling(server, repository, 4) as callers:
            for _ in swaps(repository, rpc.ImageClassifierStub(channel), 6):
                pass
            newest = repository.seed
            until(lambda: all(newest in caller.seeds for caller in callers))
        page = ask(server.http, "GET", "/metrics").body.decode()
    check(callers)
    assert 'seethrough_model_state{model="m",state="serving",version="3"} 1.0' in page
    assert 'seethrough_loads_total{outcome="refused"}' in page


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_fifty_swaps_under_32_clients_take_no_more_memory_than_five(tmp_path: Path) -> None:
    repository, resident = Repository(tmp_path), dict[int, int]()
    repository.put(1)
    with serving(tmp_path, *OPTIONS) as server, grpc.insecure_channel(server.grpc) as channel:
        process = psutil.Process(server.process.pid)
        with calling(server, repository, 32) as callers:
            for swap in swaps(repository, rpc.ImageClassifierStub(channel), 50):
                resident[swap] = process.memory_info().rss
            threads = process.num_threads()
    check(callers)
    told = ", ".join(f"{swap}: {size / 2**20:.1f}" for swap, size in resident.items() if swap % 5 == 0)
    print(f"{sum(caller.asked for caller in callers)} requests, {threads} threads; RSS in MiB after swaps: {told}")  # noqa: T201
    assert resident[50] < 1.1 * resident[5]
