"""A version of a model in service, who uses it, and what of it is told to others."""

import asyncio
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, TypeVar

import msgspec

from bundle.manifest import Manifest, Provenance, Tensor, TensorManifest
from server.batching.entries import Output
from server.batching.items import ImageItem, ImageResult, Item, TensorItem
from server.batching.policy import Priority
from server.engine.base import Array
from server.serving.jobs import Running, RunningTensors, TensorInfo

I_contra = TypeVar("I_contra", bound=Item, contravariant=True)
R = TypeVar("R")


class Runtime(Protocol):
    """What is told of an engine."""

    @property
    def name(self) -> str:
        """For example "onnxruntime"."""

    @property
    def precision(self) -> str:
        """For example "fp32"."""

    @property
    def device(self) -> str:
        """Where it runs: "cpu" or "cuda"."""


class Queue(Protocol[I_contra, R]):
    """Where items wait for an engine: a `batching.batcher.Batcher`, in this process or in another."""

    @property
    def max_batch(self) -> int:
        """The most rows in one item, and in one run."""

    @property
    def queued(self) -> int:
        """Items that wait in this process now."""

    @property
    def wait_seconds(self) -> float:
        """About how long the engine has to do until all is answered that waits now; 0 when that is not known."""

    async def submit(
        self, item: I_contra, deadline: float | None, *, lone: bool = False, priority: Priority = Priority.NORMAL
    ) -> Output[R]:
        """The engine's answer to one item, a `lone` one if no other comes with it; raises ServerError, and cancelling it takes the item out of the queue."""
        ...

    async def close(self) -> None:
        """Finishes what is in work."""


class Users:
    """Who has found a version and is not done with it. It is freed only when nobody is left, so that no request loses it
    between finding it and being answered. Each holds it as a context manager, in the event loop's thread."""

    __slots__ = ("_count", "_nobody")

    def __init__(self) -> None:
        self._count = 0
        self._nobody: asyncio.Event | None = None  # made when somebody waits for it, which happens once

    def __enter__(self) -> None:
        self._count += 1

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        if self._nobody is not None and not self._count:
            self._nobody.set()

    async def gone(self) -> None:
        """Returns when nobody is left. It is called when nobody new can find the version."""
        if self._count:
            self._nobody = asyncio.Event()
            await self._nobody.wait()


@dataclass(frozen=True)
class _Served:
    name: str
    version: int
    engine: Runtime
    loaded_at: float  # Unix time, seconds
    fingerprint: str  # of the bundle's manifest: another one is another model
    users: Users = field(default_factory=Users, compare=False, kw_only=True)

    @cached_property
    def number(self) -> str:
        """The version as events tell it."""
        return str(self.version)


@dataclass(frozen=True)
class ServedClassifier(_Served):
    """An image classifier in service."""

    manifest: Manifest
    batcher: Queue[ImageItem, ImageResult]

    @cached_property
    def heatmap_bytes(self) -> int:
        """Size of one heatmap, float32, as the graph computes it."""
        return 4 * self.manifest.feature_map.height * self.manifest.feature_map.width

    @cached_property
    def running(self) -> Running:
        """What is told of it."""
        manifest = self.manifest
        return Running(
            kind=manifest.kind,
            labels=tuple(manifest.labels),
            explanations=tuple(manifest.explanations),
            input_shape=manifest.input_shape,
            heatmap_shape=(manifest.feature_map.height, manifest.feature_map.width),
            max_batch=self.batcher.max_batch,
            engine=self.engine.name,
            precision=self.engine.precision,
            device=self.engine.device,
            loaded_at=self.loaded_at,
            provenance=_flat(manifest.provenance),
        )


@dataclass(frozen=True)
class ServedTensors(_Served):
    """A model that takes no images in service."""

    manifest: TensorManifest
    batcher: Queue[TensorItem, dict[str, Array]]

    @cached_property
    def running(self) -> RunningTensors:
        """What is told of it."""
        return RunningTensors(
            inputs=tuple(map(_info, self.manifest.inputs)),
            outputs=tuple(map(_info, self.manifest.outputs)),
            parameters=_parameters(self.manifest),
            max_batch=self.batcher.max_batch,
            engine=self.engine.name,
            precision=self.engine.precision,
            device=self.engine.device,
            loaded_at=self.loaded_at,
            provenance=_flat(self.manifest.provenance),
        )


ServedModel = ServedClassifier | ServedTensors


def _info(tensor: Tensor) -> TensorInfo:
    return TensorInfo(tensor.name, tensor.dtype, tuple(tensor.shape))


def _parameters(manifest: TensorManifest) -> dict[str, str]:
    """`labels`, a list, and `preprocess`, a bundle.preprocess.PreprocessSpec; each only where the model has it."""
    known = {"labels": manifest.labels, "preprocess": manifest.preprocess}
    return {name: msgspec.json.encode(value).decode() for name, value in known.items() if value}


def _flat(provenance: Provenance) -> dict[str, str]:
    libraries = {f"library.{name}": version for name, version in provenance.libraries.items()}
    return {"source": provenance.source, "created": provenance.created} | provenance.details | libraries
