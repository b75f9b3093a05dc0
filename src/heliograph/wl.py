"""What colour refinement tells apart: 1-WL with labels on nodes and edges, and folklore 2-WL.

    c_i'  = (c_i, {{ (c_j, l_ij) : j in N(i) }})                        1-WL: what a message passing network can see
    c_uv' = (c_uv, {{ (c_uw, c_wv) : w }})                              folklore 2-WL, on pairs of nodes

Weisfeiler & Leman 1968; Cai, Fuerer & Immerman 1992, doi:10.1007/BF01305232; Xu et al. 2019, arXiv:1810.00826 for the networks.

Colours are whole numbers 0, 1, ..., one set for all graphs of a batch: two nodes have one colour if and only if they have equal
colours and equal multisets behind it. That is exact: multisets are sorted and numbered in order, nothing is hashed. The
numbers depend on the graphs up to isomorphism, not on how nodes or edges are numbered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import torch
from jaxtyping import Int
from torch import Tensor

from heliograph.graph import Feature, Graph, Indexed
from heliograph.topology import Segments


def colours(
    graph: Graph, rounds: int | None = None, nodes: Sequence[str] = ("x",), edges: Sequence[str] = ("edge_attr",), outgoing: bool = False
) -> Int[Tensor, " N"]:
    """Return the 1-WL colour of each node, [N] long, after `rounds` (None: until no colour splits any more).

    `nodes` and `edges` name the features that are labels; none of them: all alike. A node sees the edges that come in, as it does
    in message passing; `outgoing` shows it those that leave, too (which changes nothing where each edge has its reverse with the
    same label). A round takes a few sorts of N + E numbers; a path of N nodes needs N / 2 rounds to settle.
    """
    steps = refinements(graph, nodes, edges, outgoing)
    colour = next(steps)
    for finer in islice(steps, rounds):
        colour = finer
    return colour


def refinements(
    graph: Graph, nodes: Sequence[str] = ("x",), edges: Sequence[str] = ("edge_attr",), outgoing: bool = False
) -> Iterator[Int[Tensor, " N"]]:
    """`colours` after 0, 1, 2, ... rounds; the last is the one that no further round splits."""
    t = graph.topology
    colour, label = _start(graph, nodes, edges)
    sides = [(t.senders, label, t.incoming)]
    if outgoing:
        sides.append((t.receivers[t.transposed], label[t.transposed], Segments(t.senders[t.transposed], t.N)))
    yield colour
    while True:
        finer = colour
        for end, of_edge, segments in sides:
            finer = together(finer, multisets(together(colour[end], of_edge), segments))
        if _number(finer) == _number(colour):
            return
        colour = finer
        yield colour


def pair_colours(
    graph: Graph, rounds: int | None = None, nodes: Sequence[str] = ("x",), edges: Sequence[str] = ("edge_attr",)
) -> tuple[Int[Tensor, " pairs"], Segments]:
    """Return the folklore 2-WL colour of each ordered pair (u, v) of one graph's nodes, and the pairs by graph.

    Pairs stand graph by graph, (u, v) at u n + v. A pair starts with its nodes' labels, whether u = v, and the multisets of labels of
    the edges both ways. For small graphs: time and memory are those of the sum of n^3.
    """
    t = graph.topology
    n, device = t.n_node, t.n_node.device
    first, cell = n.cumsum(0) - n, (n * n).cumsum(0) - n * n  # [G] where each graph's nodes and pairs start
    pairs = Segments(torch.repeat_interleave(torch.arange(t.G, device=device), n * n), t.G)
    g = pairs.index
    k = torch.arange(len(g), device=device) - cell[g]
    u, v = k // n[g], k % n[g]  # [sum n^2], counted within the graph
    of_node, of_edge = _start(graph, nodes, edges)
    own = t.edges_by_graph.index
    place = cell[own] + (t.senders - first[own]) * n[own] + t.receivers - first[own]  # [E] an edge's pair (j, i)
    order = place.argsort(stable=True)
    forth = multisets(of_edge[order], Segments(place[order], len(g)))
    back = forth[cell[g] + v * n[g] + u]
    colour = together(of_node[first[g] + u], of_node[first[g] + v], (u == v).long(), forth, back)
    triples = Segments(torch.repeat_interleave(torch.arange(len(g), device=device), n[g]), len(g))
    p = triples.index
    w = triples.rank
    uw, wv = cell[g[p]] + u[p] * n[g[p]] + w, cell[g[p]] + w * n[g[p]] + v[p]  # [sum n^3]
    while rounds is None or rounds > 0:
        finer = together(colour, multisets(together(colour[uw], colour[wv]), triples))
        if _number(finer) == _number(colour):
            break
        colour, rounds = finer, None if rounds is None else rounds - 1
    return colour, pairs


def labels(size: int, *features: Feature) -> Int[Tensor, " size"]:
    """Number the rows: two get one number if and only if they are equal in all `features`. No features: all zero."""
    result = torch.zeros(size, dtype=torch.long)
    for feature in features:
        table = feature.table if isinstance(feature, Indexed) else feature
        rows = table.detach().reshape(len(table), -1 if table.numel() else 0)  # [R, width]
        number = torch.unique(rows, dim=0, return_inverse=True)[1] if rows.numel() else result.new_zeros(len(rows))
        result = together(result.to(number.device), number[feature.index] if isinstance(feature, Indexed) else number)
    return result


def multisets(values: Int[Tensor, " M"], segments: Segments) -> Int[Tensor, " n"]:
    """Number the segments: two get one number if and only if their rows hold the same multiset of `values` (each >= 0).

    Rows are sorted within their segment; then neighbours are joined in pairs, and pairs of pairs, each time numbered anew.
    """
    index, rank, longest = segments.index, segments.rank, segments.longest
    values = values[(index * _number(values) + values).argsort()] + 1  # [M]; zero stands for "no more rows"
    while longest > 1:
        left = (rank % 2 == 0).nonzero().squeeze(1)
        right = (left + 1).clamp(max=len(index) - 1)
        joined = (right > left) & (index[right] == index[left])
        values = together(values[left], torch.where(joined, values[right], 0)) + 1
        index, rank, longest = index[left], rank[left] // 2, (longest + 1) // 2
    return together(values.new_zeros(segments.n), values.new_zeros(segments.n).index_copy(0, index, values))


def together(first: Int[Tensor, " n"], *others: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """Rows of several numbers (each >= 0 and below 2^31) as one number: 0, 1, ... in the order of the rows."""
    for other in others:
        first = torch.unique(first * _number(other) + other, return_inverse=True)[1]
    return first


def _start(graph: Graph, nodes: Sequence[str], edges: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Labels of nodes [N] and edges [E]."""
    device = graph.topology.senders.device
    of_node, of_edge = labels(graph.N, *(graph.nodes[k] for k in nodes)), labels(graph.E, *(graph.edges[k] for k in edges))
    return of_node.to(device), of_edge.to(device)


def _number(colour: Tensor) -> int:
    """How many colours there are, if they are 0, 1, ..."""
    return int(colour.max()) + 1 if len(colour) else 0
