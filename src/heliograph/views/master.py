"""A node that is joined to all others of its graph."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from heliograph.graph import Feature, Graph, Indexed, dense
from heliograph.views.matrices import precision


@final
class MasterNode(nn.Module):
    """One more node in each graph, its last, with edges to and from all nodes, itself too: also in a graph without nodes.

    Its features and those of its edges are zero; `master` [N, 1] and [E, 1] is one for them. `without_master` takes it away again.
    """

    def forward(self, graph: Graph) -> Graph:
        t, dtype = graph.topology, precision(graph)
        N, own = t.N + t.G, t.nodes_by_graph.index
        old = torch.arange(t.N, device=own.device) + own  # where the nodes are now
        master = (t.n_node + 1).cumsum(0) - 1  # [G]
        place = torch.full((N,), t.N, device=own.device).index_copy(0, old, torch.arange(t.N, device=own.device))
        senders = torch.cat([old[t.senders], old, master[own], master])
        receivers = torch.cat([old[t.receivers], master[own], old, master])
        shift = None if t.shift is None else torch.cat([t.shift, t.shift.new_zeros(len(senders) - t.E, 3)])
        topology, order = t.rewired(senders, receivers, n_node=t.n_node + 1, N=N, shift=shift)
        nodes = {k: _or_zero(v, place, t.N) for k, v in graph.nodes.items()}
        edges = {k: _or_zero(v, order, t.E) for k, v in graph.edges.items()}
        flags = torch.eye(2, 1, dtype=dtype, device=own.device).flip(0)  # [0], [1]
        nodes["master"], edges["master"] = Indexed(flags, (place == t.N).long()), Indexed(flags, (order >= t.E).long())
        return Graph(topology, nodes, edges, graph.globals, None if graph.asked is None else old[graph.asked])


def without_master(graph: Graph) -> Graph:
    """Return the graph without its master nodes, whose features become graph features of the same name."""
    t = graph.topology
    stays, edge_stays = (dense(side["master"])[:, 0] == 0 for side in (graph.nodes, graph.edges))
    place = stays.long().cumsum(0) - 1
    shift = None if t.shift is None else t.shift[edge_stays]
    ends = place[t.senders[edge_stays]], place[t.receivers[edge_stays]]
    topology, _ = t.rewired(*ends, n_node=t.n_node - 1, N=t.N - t.G, shift=shift)
    nodes = {k: dense(v)[stays] for k, v in graph.nodes.items() if k != "master"}
    masters = {k: dense(v)[~stays] for k, v in graph.nodes.items() if k != "master"}
    edges = {k: dense(v)[edge_stays] for k, v in graph.edges.items() if k != "master"}
    return Graph(topology, nodes, edges, {**graph.globals, **masters}, None if graph.asked is None else place[graph.asked])


def _or_zero(feature: Feature, rows: Tensor, size: int) -> Indexed:
    """Rows of a feature; from `size` on they are zero."""
    table, index = (feature.table, feature.index) if isinstance(feature, Indexed) else (feature, torch.arange(size, device=feature.device))
    index = torch.cat([index, index.new_tensor([len(table)])])
    return Indexed(torch.cat([table, table.new_zeros(1, *table.shape[1:])]), index[rows.clamp(max=size)])
