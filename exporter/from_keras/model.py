"""Reading the trained model of a run, and making sure that it is what run.json says."""

from pathlib import Path

import keras

from bundle.run import KERAS_MODEL, Run
from exporter.errors import ExportError
from exporter.from_keras.oracle import kind_of


def load(folder: Path, run: Run) -> keras.Model:
    """The model of the run in `folder`: pixels u8 [N, H, W, C] -> probabilities f32 [N, K], or [N, 1] for one sigmoid.

    Raises ExportError when it cannot be read or does not fit to `run`.
    """
    path = folder / KERAS_MODEL
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras lets through whatever zip, JSON and HDF5 readers raise
        raise ExportError(f"{path}: cannot be read as a Keras model: {error}") from error
    _check(path, model, run)
    return _with_one_graph(model)


def _check(path: Path, model: keras.Model, run: Run) -> None:
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ExportError(f"{path}: has {len(model.inputs)} inputs and {len(model.outputs)} outputs, not one of each")
    pixels = model.inputs[0]
    if pixels.dtype != "uint8" or tuple(pixels.shape[1:]) != run.preprocess.shape:
        raise ExportError(
            f"{path}: takes {pixels.dtype} {list(pixels.shape)}, but run.json's preprocess gives uint8 "
            f"{[None, *run.preprocess.shape]}; make the first layers cast and scale uint8 pixels of that size"
        )
    kind, labels = kind_of(model), max(2, model.output_shape[-1])
    if (kind, labels) != (run.kind, len(run.labels)):
        raise ExportError(
            f"{path}: is {kind} over {labels} classes, run.json says {run.kind} over {len(run.labels)} labels"
        )


def _with_one_graph(model: keras.Model) -> keras.Model:
    """A Sequential model that was loaded is connected anew with every layer, and `layer.output` is of the first time."""
    if not isinstance(model, keras.Sequential):
        return model
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy
