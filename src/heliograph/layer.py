"""One message passing step, the same for every architecture.

    e_ij' = edge(h_j, h_i, e_ij)                              (some architectures)
    m_i   = aggregate_{j in N(i)} message(h_j, h_i, e_ij)
    h_i'  = update(h_i, m_i)

Gilmer et al. 2017, arXiv:1704.01212, eqs. 1 and 2; Battaglia et al. 2016 for the edge update.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from torch import Tensor, nn

from heliograph import segment
from heliograph.algebra.tensor import aggregated
from heliograph.edge import Edge, EdgeTensor, seen
from heliograph.graph import Feature, Graph, Indexed, dense
from heliograph.segment import Aggregate


@final
class Layer(nn.Module):
    """Graph -> Graph. Compose it from its slots; it is not made for subclassing.

    `message(edge) -> {name: [E, ...]}`, `update(nodes, messages) -> {name: [N, ...]}` and `edge(edge) -> {name: [E, ...]}` return
    named features, which replace those of the same name; `aggregate` is a function or module (values [E, ...], segments) -> [N, ...].
    Where only the first R < N nodes receive (`Topology`), N is R for the update: the others are left behind.
    What a message and an edge update get, and aggregates, may be lazy tensors (`heliograph.edge`), to be used like plain ones. An update
    gets lazy tensors, too, if `takes_lazy` says that it can.
    """

    def __init__(self, message: nn.Module, update: nn.Module, aggregate: Aggregate = segment.sum, edge: nn.Module | None = None):
        super().__init__()
        self.message, self.update, self.aggregate, self.edge = message, update, aggregate, edge

    def messages(self, graph: Graph) -> tuple[Graph, dict[str, Tensor]]:
        """The graph after the edges' update, and the messages {name: [R, ...]}: all of the step but the update of its nodes.

        Where fewer nodes receive than there are, only the receivers go on.
        """
        if self.edge is not None:
            graph = graph.with_edges(**plain(self.edge(Edge(graph))))
        incoming = graph.topology.incoming
        messages = {name: aggregated(self.aggregate, m, incoming) for name, m in self.message(Edge(graph)).items()}
        return graph.onward(), messages

    def forward(self, graph: Graph) -> Graph:
        graph, messages = self.messages(graph)
        nodes = graph.nodes
        if any(isinstance(m, EdgeTensor) for m in messages.values()):
            if takes_lazy(self.update):
                nodes = seen(nodes)
            else:
                messages = plain(messages)  # type: ignore[assignment]  # a bare aggregate becomes a tensor
        return graph.with_nodes(**plain(self.update(nodes, messages)))


def takes_lazy(module: nn.Module) -> bool:
    """Whether a module may be handed lazy tensors where it expects plain ones, and tables where it expects rows.

    What is written here and in PyTorch may, unless somebody listens to it by a hook; other modules if they say so: `lazy = True`. They
    must not change tensors in place, nor ask whether something is a `Tensor`.
    """
    return all(
        (type(m).__module__.startswith(("heliograph.", "torch.nn.modules.")) or getattr(m, "lazy", False))
        and not (m._forward_hooks or m._forward_pre_hooks or m._backward_hooks or m._backward_pre_hooks)
        for m in module.modules()
    )


def suited(module: nn.Module, graph: Graph, given: Graph) -> Graph:
    """The graph with plain rows where `given` had no table, for a module that may not expect one."""
    before = {name for name, f in given.nodes.items() if isinstance(f, Indexed)}
    tables = [name for name, f in graph.nodes.items() if isinstance(f, Indexed) and name not in before]
    return graph if not tables or takes_lazy(module) else graph.with_nodes(**{name: dense(graph.nodes[name]) for name in tables})


def plain(features: Mapping[str, Tensor | EdgeTensor]) -> dict[str, Feature]:
    """Features as a graph can hold them; what sits on a small table stays there."""
    return {name: f.feature() if isinstance(f, EdgeTensor) else f for name, f in features.items()}
