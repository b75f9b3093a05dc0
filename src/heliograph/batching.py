"""Several graphs as one, their disjoint union, and back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from heliograph.errors import DataError
from heliograph.graph import Feature, Features, Graph, Indexed, dense, take
from heliograph.topology import Topology


def batch(graphs: Sequence[Graph]) -> Graph:
    """Return the disjoint union of graphs that have the same features: indices are shifted, features concatenated, tables merged.

    Of bipartite graphs the receivers come first, graph after graph, then the other nodes. Raises DataError where features differ, or
    where nodes are numbered hop by hop.
    """
    if not graphs:
        raise DataError("a batch needs at least one graph")
    topologies = [g.topology for g in graphs]
    if any(len(t.steps) != 1 for t in topologies):
        raise DataError("graphs whose nodes are numbered hop by hop can't be batched: draw the block of all seeds at once")
    edge_offset = torch.tensor([0] + [t.E for t in topologies]).cumsum(0).tolist()
    order = [torch.arange(t.E) if t.order is None else t.order for t in topologies]
    shifts = [t.shift for t in topologies]
    number, node_rows = _places(topologies)
    topology = Topology(
        torch.cat([place[t.senders] for t, place in zip(topologies, number, strict=True)]),
        torch.cat([place[t.receivers] for t, place in zip(topologies, number, strict=True)]),
        torch.cat([t.n_node if t.whole or t.G > 1 else t.n_node.clamp(max=t.R) for t in topologies]),
        torch.cat([t.n_edge for t in topologies]),
        N=sum(t.N for t in topologies),
        R=sum(t.R for t in topologies),
        shift=None if any(s is None for s in shifts) else torch.cat([s for s in shifts if s is not None]),
        order=torch.cat([o.to(topologies[0].senders.device) + k for o, k in zip(order, edge_offset, strict=False)]),
    )
    nodes, edges, globals = (_merge([getattr(g, side) for g in graphs], side) for side in ("nodes", "edges", "globals"))
    return Graph(topology, {name: take(f, node_rows) for name, f in nodes.items()}, edges, globals, _asked(graphs, number))


def _places(topologies: list[Topology]) -> tuple[Sequence[Tensor], Tensor | None]:
    """The numbers of each graph's nodes in the union, and the union's rows among the graphs' nodes.

    The rows are None where they are all of them in their order.
    """
    sizes, device = [t.N for t in topologies], topologies[0].senders.device
    if all(t.whole for t in topologies):
        return torch.arange(sum(sizes), device=device).split(sizes), None
    receives = torch.cat([torch.arange(t.N, device=device) < t.R for t in topologies])
    rows = torch.cat([receives.nonzero(), (~receives).nonzero()]).squeeze(1)
    return rows.argsort().split(sizes), rows


def _asked(graphs: Sequence[Graph], number: Sequence[Tensor]) -> Tensor | None:
    """What all of them ask, in their order."""
    asked = [n[g.asked] for g, n in zip(graphs, number, strict=True) if g.asked is not None]
    if len(asked) not in (0, len(graphs)) or len({a.shape[1:] for a in asked}) > 1:
        raise DataError("of the graphs of one batch all ask for nodes, or all for pairs, or all for triples, or none asks")
    return torch.cat(asked) if asked else None


def _merge(parts: list[Features], side: str) -> dict[str, Feature]:
    names = list(parts[0])
    for k, part in enumerate(parts):
        if set(part) != set(names):
            raise DataError(f"graphs of one batch must have the same {side}: graph 0 has {sorted(names)}, graph {k} has {sorted(part)}")
    merged: dict[str, Feature] = {}
    for name in names:
        values = [part[name] for part in parts]
        tables = [v for v in values if isinstance(v, Indexed)]
        if len(tables) < len(values):
            merged[name] = torch.cat([dense(v) for v in values])
        elif all(v.table is tables[0].table for v in tables):
            merged[name] = Indexed(tables[0].table, torch.cat([v.index for v in tables]))
        else:
            offset = torch.tensor([0] + [len(v.table) for v in tables]).cumsum(0).tolist()
            merged[name] = Indexed(
                torch.cat([v.table for v in tables]), torch.cat([v.index + o for v, o in zip(tables, offset, strict=False)])
            )
    return merged


def unbatch(graph: Graph) -> list[Graph]:
    """Return the G graphs of a batch one by one, in order; each keeps what is asked of its nodes. Raises DataError for bipartite ones."""
    topology, graphs = graph.topology, []
    if graph.G == 1:
        return [graph]
    if not topology.whole:
        raise DataError("a batch of bipartite graphs can't be taken apart: a node that does not receive may be anybody's")
    asked = graph.asked
    of_asked = None if asked is None else topology.nodes_by_graph.index[asked.reshape(len(asked), -1)[:, 0]]
    node_end, edge_end = topology.n_node.cumsum(0).tolist(), topology.n_edge.cumsum(0).tolist()
    node = edge = 0
    for g in range(graph.G):
        nodes, edges = torch.arange(node, node_end[g]), torch.arange(edge, edge_end[g])
        one = Topology(
            topology.senders[edges] - node,
            topology.receivers[edges] - node,
            topology.n_node[g : g + 1],
            topology.n_edge[g : g + 1],
            N=len(nodes),
            shift=None if topology.shift is None else topology.shift[edges],
            order=None if topology.order is None else topology.order[edges] - edge,
        )
        mine = None if asked is None else asked[of_asked == g] - node
        graphs.append(Graph(one, _rows(graph.nodes, nodes), _rows(graph.edges, edges), _rows(graph.globals, torch.tensor([g])), mine))
        node, edge = node_end[g], edge_end[g]
    return graphs


def _rows(features: Features, rows: Tensor) -> dict[str, Feature]:
    return {k: take(v, rows) for k, v in features.items()}
