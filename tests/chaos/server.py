"""`python -m tests.chaos.server`: the real server, whose engines are slow, raise, hang or run out of memory now and then.

How often is set by FAULTS, a JSON object of probabilities; the requests that hit them are chosen by SEED and the order of the runs.
"""

import json
import os
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bundle.manifest import Manifest, TensorManifest
from server.__main__ import cli
from server.config import Settings
from server.engine.base import Array, Engine, OutOfMemoryError
from server.serving import loading, repository
from server.serving.loading import Loaded

_SLOW_SECONDS = 0.05

_chance = random.Random(int(os.environ["SEED"]))
_faults: dict[str, float] = json.loads(os.environ["FAULTS"])


@dataclass(frozen=True)
class FaultyEngine:
    """Behaves like `engine`, mostly."""

    engine: Engine

    @property
    def name(self) -> str:
        """Of the engine."""
        return self.engine.name

    @property
    def precision(self) -> str:
        """Of the engine."""
        return self.engine.precision

    @property
    def device(self) -> str:
        """Not "cpu", so that nothing is computed in the event loop: there nobody could give up a run that hangs."""
        return "faulty"

    @property
    def buckets(self) -> tuple[int, ...]:
        """Of the engine."""
        return self.engine.buckets

    def run(self, feeds: Mapping[str, Array], wanted: Sequence[str]) -> list[Array]:
        """As the engine, after what chance has in store."""
        rows = len(next(iter(feeds.values())))
        if _chance.random() < _faults["slow"]:
            time.sleep(_SLOW_SECONDS)
        if _chance.random() < _faults["raise"]:
            raise RuntimeError("injected: an illegal memory access was encountered")
        if _chance.random() < _faults["hang"]:
            threading.Event().wait()
        if rows > 2 and _chance.random() < _faults["memory"]:
            raise OutOfMemoryError("injected: failed to allocate memory")
        return self.engine.run(feeds, wanted)


def build(folder: Path, manifest: Manifest | TensorManifest, settings: Settings) -> Loaded:
    """Engines that passed all checks, and fail afterwards."""
    loaded = loading.build(folder, manifest, settings)
    return replace(
        loaded,
        engines=[FaultyEngine(engine) for engine in loaded.engines],
        rebuild=lambda: FaultyEngine(loaded.rebuild()),
    )


if __name__ == "__main__":
    vars(repository)["build"] = build
    cli(prog_name="python -m tests.chaos.server")
