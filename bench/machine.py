"""What a measurement was taken on, for the head of its results: figures mean little without it."""

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from server.config import available_cores

_LIBRARIES = (
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "grpcio",
    "numpy",
    "pillow",
    "uvloop",
    "tensorflow",
    "keras",
)


def describe() -> str:
    """Processor, cores, system, library versions and the time, as a Markdown list."""
    versions = [f"{name} {found}" for name in _LIBRARIES if (found := _version(name))]
    return "\n".join(
        (
            f"- {_processor()}, {available_cores()} cores for this process, {platform.system()} {platform.machine()}",
            f"- Python {platform.python_version()}, {', '.join(versions)}",
            f"- {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        )
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return platform.processor() or "unknown processor"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown processor")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
