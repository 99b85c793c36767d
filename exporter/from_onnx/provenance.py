"""Where a bundle that was made of an ONNX file comes from."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import onnx

from bundle.manifest import Provenance
from exporter.from_onnx import opset


def of_file(path: Path, model: onnx.ModelProto, details: Mapping[str, str], libraries: Sequence[str]) -> Provenance:
    """What the file at `path` knows of itself, the `details` beside it, and the versions of `libraries` that took part."""
    return Provenance(
        source=f"ONNX file {path.name}",
        details={
            "file_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "producer": f"{model.producer_name} {model.producer_version}".strip(),
            "opset": str(opset.version(model)),
            **details,
        },
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        libraries={name: version(name) for name in libraries},
    )
