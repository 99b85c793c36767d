"""Where in a picture the cells of a map lie.

Without padding, convolutions shrink a map towards the middle of the picture; a heatmap stretched over the whole picture would
show its evidence too far out.
"""

import keras

Extent = tuple[float, float]  # start and end along one side, as shares of the picture


def extent(model: keras.Model, path: str) -> tuple[Extent, Extent]:
    """Down and across: the part of the picture that the cells of the map at the layer `path` stand for.

    Of a cell, the middle of what it sees. The whole picture for a network that is no plain chain of layers, whose
    paddings need not agree.
    """
    whole = (0.0, 1.0)
    outer = path.partition("/")[0]
    names = [layer.name for layer in model.layers]
    before = model.layers[: names.index(outer) + 1]
    if "/" in path or any(len(keras.tree.flatten(layer.input)) > 1 for layer in before):
        return whole, whole
    down, across = (_along(before, model.inputs[0].shape[1 + side], side) for side in (0, 1))
    return down, across


def _along(layers: list[keras.Layer], size: int, side: int) -> Extent:
    """The extent along one side of a picture of `size` pixels; `first` is the middle of cell 0, `apart` the distance of cells."""
    first, apart, cells = 0.5, 1.0, size
    for layer in layers:
        window = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
        if isinstance(layer, keras.layers.ZeroPadding2D):
            first -= layer.padding[side][0] * apart
            cells += sum(layer.padding[side])
        elif window:
            stride, spread = layer.strides[side], getattr(layer, "dilation_rate", (1, 1))[side]
            reach = (window[side] - 1) * spread
            after = -(-cells // stride) if layer.padding == "same" else (cells - reach - 1) // stride + 1
            padded = max(0, (after - 1) * stride + reach + 1 - cells) // 2 if layer.padding == "same" else 0
            first += (reach / 2 - padded) * apart
            apart, cells = apart * stride, after
    start = first - apart / 2
    return start / size, (start + cells * apart) / size
