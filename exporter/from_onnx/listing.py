"""The layers that a classifier can be explained by, as a table."""

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass
from rich import box
from rich.console import Console
from rich.table import Table

from exporter.candidate import Names
from exporter.errors import ExportError
from exporter.gradcam import ending, feature_map
from exporter.gradcam.feature_map import Map
from exporter.gradcam.operators import Operators

_WIDE = 500


def table(graph: onnx.ModelProto, names: Names) -> Table:
    """The layers of the classifier `graph`, pixels -> probabilities, whose maps its whole answer passes; the default is marked."""
    program = ShapeInferencePass()(ir.from_proto(graph)).model
    pixels = program.graph.inputs[0]
    score = ending.find(Operators(program.graph, "listing"), program.graph).score
    default = _layer(names, feature_map.find(program.graph, pixels, score))
    layers: dict[str | None, Map] = {}
    for found in feature_map.candidates(program.graph, pixels, score):
        layers.setdefault(_layer(names, found), found)
    made = Table("layer", "tensor", "height x width x channels", "", box=box.SIMPLE)
    for layer, found in layers.items():
        if layer is not None:
            size = f"{found.height} x {found.width} x {found.channels}"
            made.add_row(layer, found.tensor.name, size, "default" if layer == default else "")
    return made


def _layer(names: Names, found: Map) -> str | None:
    """The layer of a map; None for one inside a layer, or of the preprocessing."""
    try:
        return names.layer_of(found.tensor.name or "")
    except ExportError:
        return None


def show(made: Table) -> None:
    """Prints `made`; names are cut to the width of a terminal, but not in a file or a pipe."""
    console = Console()
    (console if console.is_terminal else Console(width=_WIDE)).print(made)
