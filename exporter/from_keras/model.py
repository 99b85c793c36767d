"""Reading a trained Keras model, and making sure that it is one that can be exported and what run.json says."""

from pathlib import Path
from typing import Any

import keras

from bundle.run import Run
from exporter.errors import ExportError
from exporter.from_keras.ending import Ending

_HALF = ("float16", "bfloat16")


def load(path: Path) -> keras.Model:
    """The model in the .keras file at `path`: pixels u8 [N, H, W, C] -> probabilities f32 [N, K], or [N, 1].

    Raises ExportError when it cannot be read or takes or gives anything else.
    """
    model = load_any(path)
    pixels = model.inputs[0]
    if pixels.dtype != "uint8" or len(pixels.shape) != 4 or None in pixels.shape[1:]:
        raise ExportError(
            f"{path}: takes {pixels.dtype} {list(pixels.shape)}, not uint8 [None, height, width, channels]; put the model "
            "into one whose first layers cast and scale uint8 pixels of a fixed size"
        )
    return model


def load_any(path: Path) -> keras.Model:
    """The model in the .keras file at `path`, which may be no classifier: one array in, one out.

    Raises ExportError when it cannot be read or takes or gives anything else.
    """
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras lets through whatever zip, JSON and HDF5 readers raise
        raise ExportError(f"{path}: cannot be read as a Keras model: {error}") from error
    inputs, outputs = (len(getattr(model, name, None) or ()) for name in ("inputs", "outputs"))
    if (inputs, outputs) != (1, 1):
        raise ExportError(f"{path}: has {inputs} inputs and {outputs} outputs that are fixed, not one of each")
    half = [layer.name for layer in model.layers if layer.compute_dtype in _HALF]
    if half:
        raise ExportError(
            f"{path}: computes in half precision (layer {half[0]}), and a bundle is made from float32; build the model anew "
            "under the policy float32, give it these weights and save it"
        )
    return model


def answer(model: keras.Model, given: Any) -> Any:
    """What `model` infers, a tensor, however it packs its one input and its one output (in a list, by a name)."""
    (found,) = keras.tree.flatten(model(packed(model, given), training=False))
    return found


def packed(model: keras.Model, given: Any) -> Any:
    """`given` in the form that `model` takes its one input in."""
    structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    return keras.tree.map_structure(lambda _: given, structure)


def check(path: Path, model: keras.Model, ending: Ending, run: Run) -> None:
    """Raises ExportError, naming `path`, unless `model` is the classifier that `run` describes."""
    shape = tuple(model.inputs[0].shape[1:])
    if shape != run.preprocess.shape:
        raise ExportError(
            f"{path}: takes pictures {list(shape)}, but run.json's preprocess gives {list(run.preprocess.shape)}"
        )
    if (ending.kind, ending.labels) != (run.kind, len(run.labels)):
        raise ExportError(
            f"{path}: is {ending.kind} over {ending.labels} classes, run.json says {run.kind} over {len(run.labels)} labels"
        )
