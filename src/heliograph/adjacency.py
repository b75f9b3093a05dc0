"""Searches among edges, and checks of them, on plain tensors: senders and receivers [E] long, sorted by receiver, of N nodes.

`heliograph.topology.Topology` offers them as properties and keeps what was found.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from heliograph.errors import DataError


def check(senders: Tensor, receivers: Tensor, n_node: Sequence[int], n_edge: Sequence[int]) -> None:
    """Raise DataError where sizes do not fit, or an edge has an end outside its graph. Edges come graph after graph."""
    E = sum(n_edge)
    if len(n_node) != len(n_edge):
        raise DataError(f"n_node and n_edge must have one entry a graph; they have {len(n_node)} and {len(n_edge)}")
    if not len(senders) == len(receivers) == E:
        raise DataError(f"n_edge adds up to {E} edges; there are {len(senders)} senders and {len(receivers)} receivers")
    graph_of_edge = torch.repeat_interleave(torch.arange(len(n_edge)), torch.tensor(n_edge, dtype=torch.long))
    end = torch.tensor(n_node, dtype=torch.long).cumsum(0)
    start = end - torch.tensor(n_node, dtype=torch.long)
    for name, index in (("senders", senders), ("receivers", receivers)):
        outside = ((index < start[graph_of_edge]) | (index >= end[graph_of_edge])).nonzero()
        if len(outside):
            k = int(outside[0])
            g = int(graph_of_edge[k])
            raise DataError(f"{name}[{k}] = {int(index[k])} lies outside graph {g}, whose nodes are {int(start[g])} to {int(end[g]) - 1}")


def check_receivers(N: int, G: int, steps: tuple[int, ...]) -> None:
    """Raise DataError where more nodes receive than there are, or several graphs are numbered hop by hop."""
    if any(later > now for now, later in zip((N, *steps), steps, strict=False)):
        raise DataError(f"of {N} nodes {steps} can't receive: each step has at most as many receivers as the one before has nodes")
    if len(steps) > 1 and G != 1:
        raise DataError(f"nodes numbered hop by hop are of one graph; these are {G}. Draw the block of all seeds at once")


def check_steps(senders: Tensor, receivers: Tensor, N: int, steps: Sequence[int]) -> None:
    """Raise DataError where an edge's ends are not there at the step that needs it. `steps`: how many nodes receive at each."""
    sends = N
    for receives in steps:
        used = receivers < receives
        if bool((senders[used] >= sends).any()):
            raise DataError(
                f"a node that receives in the step with {receives} receivers hears one that is not among the {sends} of the step "
                "before: number the nodes seeds first, then hop by hop"
            )
        sends = receives
    R = steps[0] if steps else 0
    if len(receivers) and int(receivers[-1]) >= R:
        raise DataError(f"node {int(receivers[-1])} receives; only the first R = {R} nodes may")


def reverse(senders: Tensor, receivers: Tensor, N: int, shift: Tensor | None) -> Tensor:
    """Return the edge (j, i, -shift) of each edge (i, j, shift), [E]; -1 where there is none. The k-th parallel edge meets the k-th."""
    E = len(senders)
    if E == 0:
        return senders.new_zeros(0)
    forth, back = receivers * N + senders, senders * N + receivers
    if shift is not None:
        both = torch.cat([torch.cat([forth[:, None], shift], 1), torch.cat([back[:, None], -shift], 1)])
        forth, back = torch.unique(both, dim=0, return_inverse=True)[1].view(2, -1)
    order_forth, order_back = forth.argsort(stable=True), back.argsort(stable=True)
    sorted_forth, sorted_back = forth[order_forth], back[order_back]
    first = torch.searchsorted(sorted_forth, sorted_back)
    place = first + torch.arange(E, device=first.device) - torch.searchsorted(sorted_back, sorted_back)
    inside = place.clamp(max=E - 1)
    found = (place < E) & (sorted_forth[inside] == sorted_back)
    result = torch.full_like(senders, -1)
    result[order_back] = torch.where(found, order_forth[inside], -1)
    return result


def continuations(receivers: Tensor, by_sender: Tensor, start: Tensor, count: Tensor, reverse: Tensor) -> tuple[Tensor, Tensor]:
    """Return edges a = (k -> j), b = (j -> i) that follow one another without turning back, two [M].

    `by_sender` [E] sorts the edges by sender; node j's begin at `start[j]` there and are `count[j]` many.
    """
    repeats = count[receivers]
    a = torch.repeat_interleave(torch.arange(len(receivers), device=repeats.device), repeats)
    within = torch.arange(len(a), device=repeats.device) - torch.repeat_interleave(repeats.cumsum(0) - repeats, repeats)
    b = by_sender[start[receivers[a]] + within]
    keep = b != reverse[a]
    return a[keep], b[keep]


def between(senders: Tensor, receivers: Tensor, N: int, pairs: Tensor) -> Tensor:
    """Return the edge from each pair's first node to its second, [Q]; -1 where there is none, of parallel edges the first given."""
    if not len(senders):
        return torch.full_like(pairs[:, 0], -1)
    key, order = (receivers * N + senders).sort(stable=True)
    wanted = pairs[:, 1] * N + pairs[:, 0]
    at = torch.searchsorted(key, wanted).clamp(max=len(senders) - 1)
    return torch.where(key[at] == wanted, order[at], -1)
