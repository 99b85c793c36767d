"""What every engine's library comes down to: compiled graphs, of which a run takes the cheapest that will do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from server.engine.base import Array


@dataclass(frozen=True)
class Graph:
    """One compiled graph. `run` takes an array for each of `inputs` and gives the outputs that it is asked for."""

    inputs: tuple[str, ...]
    outputs: frozenset[str]
    run: Callable[[dict[str, Array], Sequence[str]], list[Array]]


@dataclass(frozen=True)
class CompiledEngine:
    """An `Engine` of graphs that answer alike, those with fewer outputs first.

    An image classifier has two with the same weights: one without the backward pass, for the batches in which nobody asked for an
    explanation, and one that explains (exporter.graphs says why and has the figures).
    """

    name: str
    precision: str
    device: str
    buckets: tuple[int, ...]
    graphs: Sequence[Graph]

    def joined(self, other: "CompiledEngine") -> "CompiledEngine":
        """An engine with the graphs of both."""
        return replace(self, graphs=(*self.graphs, *other.graphs))

    def run(self, feeds: Mapping[str, Array], wanted: Sequence[str]) -> list[Array]:
        """Computes the outputs `wanted`, in their order. They may be overwritten by the next run."""
        graph = next(graph for graph in self.graphs if graph.outputs.issuperset(wanted))
        return graph.run({name: feeds[name] for name in graph.inputs}, wanted)
