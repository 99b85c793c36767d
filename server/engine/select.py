"""Which engine runs a bundle, in which precision."""

from pathlib import Path

from bundle.manifest import Manifest
from server.config import Settings
from server.engine.base import Engine


def build(folder: Path, manifest: Manifest, settings: Settings) -> Engine:
    """Compiles the bundle's most accurate form for the device of the settings."""
    from server.engine.onnxruntime import OnnxRuntimeEngine

    precision = max(manifest.precisions, key=lambda form: form.top1_agreement)
    graphs = folder / precision.file, folder / precision.predict_file
    return OnnxRuntimeEngine(*graphs, precision.name, settings.device, settings.threads, settings.max_batch)
