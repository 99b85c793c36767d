"""What speed was measured on: figures mean little without it."""

import importlib.metadata
import platform
from pathlib import Path

from exporter.optimise import engines
from exporter.report import Machine

_LIBRARIES = ("onnx", "onnx-ir", "onnxruntime", "openvino")


def describe() -> Machine:
    """This machine, and the versions of the libraries that make and run the forms."""
    return Machine(processor=_processor(), cores=engines.cores(), libraries=_versions())


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return platform.processor() or "unknown processor"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown processor")


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
