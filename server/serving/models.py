"""A version of a model in service, and what of it is told to others."""

from dataclasses import dataclass
from functools import cached_property

from bundle.manifest import Manifest, Provenance, Tensor, TensorManifest
from server.batching.batcher import Batcher
from server.batching.items import ImageItem, ImageResult, TensorItem
from server.engine.base import Array, Engine
from server.serving.jobs import Running, RunningTensors, TensorInfo


@dataclass(frozen=True)
class _Served:
    name: str
    version: int
    engine: Engine
    loaded_at: float  # Unix time, seconds
    fingerprint: str  # of the bundle's manifest: another one is another model


@dataclass(frozen=True)
class ServedClassifier(_Served):
    """An image classifier in service."""

    manifest: Manifest
    batcher: Batcher[ImageItem, ImageResult]

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
    batcher: Batcher[TensorItem, dict[str, Array]]

    @cached_property
    def running(self) -> RunningTensors:
        """What is told of it."""
        return RunningTensors(
            inputs=tuple(map(_info, self.manifest.inputs)),
            outputs=tuple(map(_info, self.manifest.outputs)),
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


def _flat(provenance: Provenance) -> dict[str, str]:
    libraries = {f"library.{name}": version for name, version in provenance.libraries.items()}
    return {"source": provenance.source, "created": provenance.created} | provenance.details | libraries
