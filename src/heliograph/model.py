"""A whole network: Graph -> Graph, step after step, then a readout that ends in named tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import final

from torch import Tensor, nn

from heliograph.graph import Graph

Step = Callable[[Graph], Graph]


@dataclass(frozen=True)
class Inputs:
    """What the data offers to an architecture: widths of `x` and `edge_attr`, and whether nodes have positions `pos` [N, 3]."""

    nodes: int
    edges: int
    geometry: bool = False


@final
class MPNN(nn.Module):
    """A network, readout(layers(embed(view(graph)))): a chain of functions Graph -> Graph that ends in named tensors.

    `view` changes the graph (to a complete or a radius graph); `embed` sets the first states; the same `Layer` twice in `layers` ties
    weights; `readout` returns named tensors. "y" is the prediction: [G, out] of graphs, [N, out] of nodes or [E, out] of edges by the
    readout's `level`, or [Q, out] of what the graph asks for. A readout of nodes or edges sees the edges as they were given, before
    the view. A `bare` network is for edges without features: where the graph has none, `edge_attr` is [E, 0].
    """

    bare = False

    def __init__(self, embed: nn.Module, layers: Iterable[nn.Module], readout: nn.Module, view: Callable[[Graph], Graph] | None = None):
        super().__init__()
        self.view, self.embed, self.layers, self.readout = view, embed, nn.ModuleList(layers), readout

    def chain(self) -> list[tuple[str, Step]]:
        """Return all steps before the readout by name: "view" where there is one, "embed", "layer 1", "layer 2", ..."""
        view: list[tuple[str, Step]] = [] if self.view is None else [("view", self.view)]
        return [*view, ("embed", self.embed), *((f"layer {k}", layer) for k, layer in enumerate(self.layers, 1))]

    def steps(self, graph: Graph, run: Callable[[str, Step, Graph], Graph] | None = None) -> Iterator[tuple[str, Step, Graph]]:
        """Yield each step of the `chain` with the graph that it makes. `run(name, step, graph)`, if given, stands for `step(graph)`."""
        graph = self.taken(graph)
        for name, step in self.chain():
            graph = step(graph) if run is None else run(name, step, graph)
            yield name, step, graph

    def taken(self, graph: Graph) -> Graph:
        """Return the graph on the device and in the precision of the weights."""
        parameter = next(self.parameters())
        if self.bare and "edge_attr" not in graph.edges:
            graph = graph.with_edges(edge_attr=parameter.new_zeros(graph.E, 0))
        return graph.to(parameter.device, parameter.dtype)

    def states(self, graph: Graph, run: Callable[[str, Step, Graph], Graph] | None = None) -> Graph:
        """Run all steps but the readout: the final node states are `nodes["h"]` [N, d] of the graph returned. `run`: as in `steps`."""
        for _, _, made in self.steps(graph, run):
            graph = made
        return graph

    def answers(self, states: Graph, graph: Graph) -> dict[str, Tensor]:
        """Apply the readout to final states; a readout of nodes or edges sees the edges of `graph`, as it was given."""
        if getattr(self.readout, "level", "graph") != "graph":
            given = self.taken(graph)
            if graph.topology.whole:
                states = given.with_nodes(**states.nodes).with_globals(**states.globals)
            else:
                states = states.with_asked(given.asked)
        result: dict[str, Tensor] = self.readout(states)
        return result

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        return self.answers(self.states(graph), graph)
