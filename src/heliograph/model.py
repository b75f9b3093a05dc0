"""A whole network: Graph -> Graph, step after step, then a readout that ends in named tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from heliograph import environments
from heliograph.graph import Feature, Graph
from heliograph.layer import suited


@dataclass(frozen=True)
class Inputs:
    """What the data offers to an architecture: widths of `x` and `edge_attr`, and whether nodes have positions `pos` [N, 3]."""

    nodes: int
    edges: int
    geometry: bool = False


def smallest(inputs: Inputs) -> Graph:
    """Two nodes and the edge between them both ways, with everything that `inputs` promises: for trying a network out."""
    ends = torch.tensor([0, 1])
    nodes: dict[str, Feature] = {"x": torch.zeros(2, inputs.nodes), "z": ends + 1}
    if inputs.geometry:
        nodes["pos"] = torch.eye(3)[:2]
    return Graph.build(ends, ends.flip(0), [2], [2], nodes=nodes, edges={"edge_attr": torch.zeros(2, inputs.edges)})


@final
class MPNN(nn.Module):
    """readout(layers(embed(view(graph)))). The same `Layer` object twice in `layers` is weight tying.

    `view` changes what the graph is (complete graph, radius graph), `embed` sets the first states, `readout` returns named tensors:
    "y" is the prediction: [G, out] of graphs; [N, out] of nodes or [E, out] of edges where the readout's `level` is "node" or "edge", or
    [Q, out] of what is `asked`, where the graph asks.
    Such a readout gets the graph as it was given, with the final node states: what the view made of the edges does not matter to it.
    """

    def __init__(self, embed: nn.Module, layers: Iterable[nn.Module], readout: nn.Module, view: Callable[[Graph], Graph] | None = None):
        super().__init__()
        self.view, self.embed, self.layers, self.readout = view, embed, nn.ModuleList(layers), readout

    def states(self, graph: Graph) -> Graph:
        """The graph as the readout sees it: final node states in `nodes["h"]` [N, d]."""
        parameter = next(self.parameters())
        graph = graph.to(parameter.device, parameter.dtype)  # weights in float64 or bf16 take their input along
        graph = graph if self.view is None else self.view(graph)
        given = graph
        for k, layer in enumerate((self.embed, *self.layers)):
            graph = environments.step(k, layer, suited(layer, graph, given))
        return suited(self.readout, graph, given)

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        states = self.states(graph)
        if getattr(self.readout, "level", "graph") != "graph":
            parameter = next(self.parameters())
            given = graph.to(parameter.device, parameter.dtype)
            states = given.with_nodes(**states.nodes) if graph.topology.whole else states.with_asked(given.asked)
        result: dict[str, Tensor] = self.readout(states)
        return result
