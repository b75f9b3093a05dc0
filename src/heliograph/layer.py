"""One message passing step, the same for every architecture.

    e_ij' = edge(h_j, h_i, e_ij)                              (some architectures)
    m_i   = aggregate_{j in N(i)} message(h_j, h_i, e_ij)
    h_i'  = update(h_i, m_i)

Gilmer et al. 2017, arXiv:1704.01212, eqs. 1 and 2; Battaglia et al. 2016 for the edge update.
"""

from __future__ import annotations

from typing import Any, final

from torch import nn

from heliograph import segment
from heliograph.algebra import aggregated, held, updated
from heliograph.edge import Edge
from heliograph.graph import Graph, dense
from heliograph.segment import Aggregate


@final
class Layer(nn.Module):
    """Graph -> Graph. Compose it from its slots; it is not made for subclassing.

    `message(edge) -> {name: [E, ...]}`, `update(nodes, messages) -> {name: [N, ...]}` and `edge(edge) -> {name: [E, ...]}` return
    named features, which replace those of the same name; `aggregate` is a function or module (values [E, ...], segments) -> [N, ...].
    Where only the first R < N nodes receive (`Topology`), N is R for the update: the others are left behind.
    What a message and an edge update get, and aggregates, may be lazy tensors (`heliograph.edge`), to be used like plain ones. An update
    gets them, too, if it declares `lazy = True`.
    Sums of messages over sampled edges are weighted by `edges["sampling_weight"]`, unless the message declares `self_normalised = True`:
    its weights add up to one over whatever neighbours there are.
    """

    def __init__(self, message: nn.Module, update: nn.Module, aggregate: Aggregate = segment.sum, edge: nn.Module | None = None):
        super().__init__()
        self.message, self.update, self.aggregate, self.edge = message, update, aggregate, edge

    def messages(self, graph: Graph) -> tuple[Graph, dict[str, Any]]:
        """Return the graph after the edges' update, and the messages {name: [R, ...]}: the step without the update of its nodes.

        Where fewer nodes receive than there are, only the receivers go on.
        """
        if self.edge is not None:
            graph = graph.with_edges(**held(self.edge(Edge(graph))))
        incoming = graph.topology.incoming
        messages = {name: aggregated(self.aggregate, self._weighted(m, graph), incoming) for name, m in self.message(Edge(graph)).items()}
        return graph.onward(), messages

    def _weighted(self, m: Any, graph: Graph) -> Any:
        """A sampled edge's message over its probability, where a sum asks for it: right on average."""
        if self.aggregate is not segment.sum or "sampling_weight" not in graph.edges or getattr(self.message, "self_normalised", False):
            return m
        weight = Edge(graph).e["sampling_weight"]  # [E, 1]
        return m * (weight if len(m.shape) == 2 else dense(graph.edges["sampling_weight"]).view(-1, *(1,) * (len(m.shape) - 1)))

    def forward(self, graph: Graph) -> Graph:
        graph, messages = self.messages(graph)
        return graph.with_nodes(**updated(self.update, graph.nodes, messages))
