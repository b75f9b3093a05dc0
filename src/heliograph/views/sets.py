"""The graph of all sets of k nodes."""

from __future__ import annotations

from itertools import combinations
from math import comb

import torch

from heliograph.graph import Graph, dense
from heliograph.views.matrices import by_size, edge_counts, on_pairs, one_hot, pair, precision


def node_sets(graph: Graph, k: int) -> Graph:
    """Nodes are the sets of `k` nodes of one graph; t sends to s if they differ in one node each, w in t and v in s, and w to v.

    That is the local neighbourhood of Morris et al. 2019, arXiv:1810.02244. A set has `members` [S, k], ascending, `edges`
    [S, k (k - 1) / 2 + 1], one-hot, how many pairs in it are joined (for k <= 3 this is the type of its subgraph), and `edge_attr`
    [S, width], added up over the edges within. n choose k sets of a graph: meant for small ones.
    What is asked of the graph's nodes is not asked of these.
    """
    t, dtype = graph.topology, precision(graph)
    number = torch.tensor([comb(n, k) for n in t.n_node.tolist()], dtype=torch.long, device=t.n_node.device)  # [G]
    start, S = number.cumsum(0) - number, int(number.sum())
    members = t.senders.new_zeros(S, k)
    for nodes, _ in by_size(t):
        chosen = torch.combinations(torch.arange(nodes.shape[1], device=nodes.device), k)  # [C, k]
        rows = start[t.nodes_by_graph.index[nodes[:, 0]]][:, None] + torch.arange(len(chosen), device=nodes.device)
        members[rows] = nodes[:, chosen]  # [g, C, k]

    ends = [(members[:, a], members[:, b]) for a, b in combinations(range(k), 2)]
    count, attributes = edge_counts(t), on_pairs(t, dense(graph.edges["edge_attr"]))
    both = [(pair(t, i, j), pair(t, j, i)) for i, j in ends]
    joined = torch.stack([(count[there] + count[back] > 0).long() for there, back in both]).sum(0)  # [S]
    within = torch.stack([attributes[there] + attributes[back] for there, back in both]).sum(0)  # [S, width]

    degree = t.incoming.count[members].flatten()  # [S k] a set's edges come in at each of its members
    slot = torch.repeat_interleave(torch.arange(S * k, device=degree.device), degree)
    s, v = slot // k, members.flatten()[slot]
    edge = t.incoming.pointer[v] + torch.arange(len(slot), device=degree.device) - (degree.cumsum(0) - degree)[slot]
    w = t.senders[edge]
    other = members[s].scatter(1, (slot % k)[:, None], w[:, None])  # [M, k] w in the place of v
    new = (members[s] != w[:, None]).all(1)
    s, other = s[new], other[new].sort(1).values
    power = t.N ** torch.arange(k - 1, -1, -1, device=degree.device)
    senders = torch.searchsorted((members * power).sum(1), (other * power).sum(1))  # sets stand in the order of their members
    topology, _ = t.rewired(senders, s, n_node=number, N=S)
    return Graph(topology, {"members": members, "edges": one_hot(joined, k * (k - 1) // 2 + 1, dtype), "edge_attr": within})
