"""A classifier that nobody here wrote: EfficientNet-Lite0, trained on ImageNet, exported by PyTorch, explained by grad-cam.

PyTorch and grad-cam (Gildenblat et al., github.com/jacobgil/pytorch-grad-cam) live in an environment of their own,
build/venvs/torch, which `make test-slow` builds; what they say comes back in files.
"""

import subprocess
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from bundle import files, preprocess
from exporter import labels
from tests.exporter.from_onnx.models import run

PYTHON = Path("build/venvs/torch/bin/python")
METHODS = ("gradcam", "hirescam", "layercam")

pytestmark = pytest.mark.slow


def in_torch(command: str, folder: Path) -> None:
    """Runs bench/torch_reference.py."""
    assert PYTHON.exists(), f"{PYTHON} is missing; `make test-slow` builds it"
    answer = subprocess.run(
        [PYTHON, "bench/torch_reference.py", command, folder], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network in two ONNX files, and two photographs."""
    made = tmp_path_factory.mktemp("torch")
    in_torch("export", made)
    return made


@pytest.mark.parametrize("exporter", ["legacy", "dynamo"])
def test_it_sees_and_explains_like_pytorch_and_grad_cam(exporter: str, folder: Path) -> None:
    bundle = folder / "models" / exporter / "1"
    methods = [part for method in METHODS for part in ("--method", method)]

    answer = run(
        "onnx", str(folder / f"{exporter}.onnx"), "--labels", "imagenet", "--preprocess", "imagenet-torch", "--activation", "softmax",
        "--pictures", str(folder / "pictures"), "--out", str(bundle), *methods,
    )  # fmt: skip

    assert answer.exit_code == 0, answer.output
    pixels = seen(bundle, folder / "pictures")
    np.save(folder / "pixels.npy", pixels)
    in_torch("explain", folder)
    with np.load(folder / "torch.npz") as stored:
        expected = dict(stored)
    for number, method in enumerate(METHODS):
        probabilities, heatmaps = answers(bundle, pixels, number)
        assert np.abs(probabilities - expected["probabilities"]).max() < 1e-5
        assert np.abs(heatmaps - expected[method]).max() < 1e-4
        for ours, theirs in zip(heatmaps, expected[method], strict=True):
            assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99
    names = [labels.imagenet()[number] for number in probabilities.argmax(axis=1)]
    assert names[0] in ("Egyptian cat", "tabby")
    assert names[1] == "espresso"


def seen(bundle: Path, pictures: Path) -> NDArray[np.uint8]:
    """The cat and the coffee as the server would show them to the model."""
    spec = files.verify_classifier(bundle).preprocess
    return np.stack([preprocess.from_bytes(path.read_bytes(), spec).pixels for path in sorted(pictures.iterdir())])


def answers(bundle: Path, pixels: NDArray[np.uint8], method: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Probabilities [N, K] and the heatmap of the top class [N, h, w] by the method of that index."""
    session = ort.InferenceSession(bundle / "model.onnx", providers=["CPUExecutionProvider"])
    first = np.full((len(pixels), 1), -1)
    feeds = {"pixels": pixels, "targets": first, "methods": np.full_like(first, method)}
    probabilities, heatmaps = session.run(["probabilities", "heatmaps"], feeds)
    return probabilities, heatmaps[:, 0]
