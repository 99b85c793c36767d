"""One server process for all contract tests of a worker, with good, damaged and wrong bundles beside each other."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest

from bench.server_process import RunningServer, serving
from bundle import files, golden, manifest
from bundle.manifest import Method
from proto import classifier_pb2_grpc as rpc
from tests.bundles import make_bundle, make_tensor_bundle


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of these models: `shapes` (12x16 RGB; versions 1 and 3 good, 7 refused), `digits` (28x28 grey), `pair`
    (one sigmoid), `traits` (a sigmoid for each label; explained by all three methods), `line` (no images: tests.bundles), and
    three that must be refused: `flipped`, `keyless`, `wrong`."""
    models = tmp_path_factory.mktemp("models")
    make_bundle(models / "shapes/1", seed=1)
    make_bundle(models / "shapes/3", seed=3)
    flip_a_byte(make_bundle(models / "shapes/7") / manifest.ONNX_MODEL)
    make_bundle(models / "digits/1", height=28, width=28, colour="grey", labels=[str(digit) for digit in range(10)])
    make_bundle(models / "pair/1", kind="binary", labels=("no", "yes"))
    methods: list[Method] = ["gradcam", "hirescam", "layercam"]
    make_tensor_bundle(models / "line/1")
    make_bundle(models / "traits/1", kind="multilabel", labels=("red", "round", "striped", "tall"), methods=methods)
    flip_a_byte(make_bundle(models / "flipped/1") / manifest.GOLDEN)
    drop_a_key(make_bundle(models / "keyless/1"), "provenance")
    falsify_golden(make_bundle(models / "wrong/1"))
    (models / "notes").mkdir()  # what is no bundle is left alone
    (models / "shapes/.5.partial").mkdir()
    with serving(models, "--max-request-mib", "1", "--max-image-pixels", "1000000") as running:
        yield running


@pytest.fixture(scope="session")
def stub(server: RunningServer) -> Iterator["rpc.ImageClassifierStub"]:
    """A stub of that server."""
    with grpc.insecure_channel(server.grpc) as channel:
        yield rpc.ImageClassifierStub(channel)


def flip_a_byte(file: Path) -> None:
    """Changes one bit in the middle of a file."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def drop_a_key(folder: Path, key: str) -> None:
    """Removes a key from a manifest and makes its checksum right again, as a careless edit would."""
    path = folder / manifest.MANIFEST
    document = json.loads(path.read_text())
    del document[key]
    path.write_text(json.dumps(document))
    (folder / files.MANIFEST_SUM).write_text(f"{files.sha256(path)}  {manifest.MANIFEST}\n")


def falsify_golden(folder: Path) -> None:
    """Seals a bundle whose golden probabilities are not what the model gives."""
    document = manifest.read_classifier(folder)
    samples = golden.read(folder, document)
    golden.write(folder, replace(samples, probabilities=np.roll(samples.probabilities, 1, axis=1)))
    files.seal(folder, document)
