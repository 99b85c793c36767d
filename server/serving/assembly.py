"""A bundle that passed every step becomes a version in service: its engines get a batcher, and somebody listens to how they fare."""

import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bundle.manifest import TensorManifest
from server.batching.batcher import Batcher, Limits
from server.batching.items import Form, Images, R, Tensors
from server.batching.lane import Fault
from server.events import BatchDone, EngineFault, Events
from server.serving.loading import Loaded
from server.serving.models import ServedClassifier, ServedModel, ServedTensors

# A version whose engines fail again and again, and why; with an empty reason, no longer.
OnFailing = Callable[[ServedModel, str], None]


@dataclass(frozen=True)
class Identity:
    """Which version of which model it is."""

    name: str
    version: int
    fingerprint: str  # of the bundle's manifest


@dataclass(frozen=True)
class Surroundings:
    """What all versions have in common. `clock` gives seconds on the scale of deadlines."""

    events: Events
    clock: Callable[[], float]
    run_seconds: float  # a run of an engine that takes longer has failed
    on_failing: OnFailing


def served(identity: Identity, loaded: Loaded, around: Surroundings) -> ServedModel:
    """A version in service. Call it inside a running event loop."""
    listener = _Listener(identity, around)
    engine, manifest = loaded.engines[0], loaded.manifest
    common = (identity.name, identity.version, engine, time.time(), identity.fingerprint)
    model: ServedModel
    if isinstance(manifest, TensorManifest):
        model = ServedTensors(*common, manifest, _batcher(Tensors, loaded, listener))
    else:
        model = ServedClassifier(*common, manifest, _batcher(Images, loaded, listener))
    listener.model = weakref.ref(model)
    return model


def _batcher(make_form: Callable[[], Form[Any, R]], loaded: Loaded, listener: "_Listener") -> Batcher[Any, R]:
    around, identity = listener.around, listener.identity
    limits = Limits(loaded.max_batch, around.run_seconds)
    name = f"{identity.name}/{identity.version}"
    return Batcher(loaded.engines, make_form, limits, loaded.rebuild, loaded.canary, listener, around.clock, name)


@dataclass
class _Listener:
    """Passes on what happens to the engines of a version."""

    identity: Identity
    around: Surroundings
    # Once there is one. Weak, because its batcher holds this: a version that goes is freed at once, and not when Python looks for
    # cycles, several versions later.
    model: Callable[[], ServedModel | None] = lambda: None

    def ran(self, rows: int, seconds: float) -> None:
        """An engine ran once."""
        self.around.events.emit(BatchDone(self.identity.name, str(self.identity.version), rows, seconds))

    def fault(self, fault: Fault) -> None:
        """Something went wrong with an engine."""
        self.around.events.emit(EngineFault(self.identity.name, str(self.identity.version), fault))

    def failing(self, reason: str) -> None:
        """The engines fail again and again, or no longer."""
        if (model := self.model()) is not None:
            self.around.on_failing(model, reason)
