"""Which engine runs a bundle, in which precision."""

from pathlib import Path

from bundle.manifest import Manifest, TensorManifest
from server.config import Settings
from server.engine.base import Engine


def build(folder: Path, manifest: Manifest | TensorManifest, settings: Settings) -> Engine:
    """Compiles the bundle's most accurate form for the device of the settings."""
    from server.engine.onnxruntime import OnnxRuntimeEngine

    if isinstance(manifest, TensorManifest):
        exact = min(manifest.precisions, key=lambda form: form.max_difference)
        name, files = exact.name, [exact.file]
    else:
        best = max(manifest.precisions, key=lambda form: form.top1_agreement)
        name, files = best.name, [best.predict_file, best.file]
    graphs = [folder / file for file in files]
    return OnnxRuntimeEngine(graphs, name, settings.device, settings.threads, settings.max_batch)
