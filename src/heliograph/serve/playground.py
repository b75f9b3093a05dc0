"""Message passing step by step on a small graph: states of heliograph's own layers beside the colours of 1-WL."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from heliograph import segment, wl, zoo
from heliograph.edge import Edge
from heliograph.errors import StructureError, UsageError, suggest
from heliograph.graph import Features, Graph, dense
from heliograph.layer import Layer
from heliograph.learn.loop import node_similarity
from heliograph.model import Inputs
from heliograph.topology import Topology
from heliograph.views import triangles

PLAIN = {"mean": segment.mean, "sum": segment.sum, "max": segment.max}  # h_i' = aggregate of h_j, no weights
LEARNED = ("gcn", "sage", "gin", "gat")  # with weights drawn at random, seeded
MAX_NODES, MAX_STEPS, WIDTH = 60, 12, 16
DIGITS = 5  # of a state that count when two are called equal


@dataclass(frozen=True)
class Drawn:
    """A graph to look at: `labels` [n], `places` [n, 2] within -1 .. 1, `edges` once each."""

    labels: tuple[str, ...]
    places: tuple[tuple[float, float], ...]
    edges: tuple[tuple[int, int], ...]
    kinds: tuple[int, ...]  # what a node starts as: its element, or 0


def ring(n: int, x: float = 0.0, radius: float = 0.9, turn: float = 0.0) -> list[tuple[float, float]]:
    """n places on a circle."""
    return [(x + radius * math.sin(2 * math.pi * k / n + turn), -radius * math.cos(2 * math.pi * k / n + turn)) for k in range(n)]


def cycle(n: int, first: int = 0) -> list[tuple[int, int]]:
    """The edges of a ring."""
    return [(first + k, first + (k + 1) % n) for k in range(n)]


def toys() -> dict[str, Drawn]:
    """The graphs that are there to be looked at, by name."""
    path = ([(-0.95 + 1.9 * k / 9, 0.0) for k in range(10)], [(k, k + 1) for k in range(9)])
    grid = ([(-0.75 + 0.5 * (k % 4), -0.75 + 0.5 * (k // 4)) for k in range(16)], [(k, k + 1) for k in range(16) if k % 4 < 3])
    grid[1].extend((k, k + 4) for k in range(12))
    two = [*ring(5, -0.6, 0.36, math.pi / 2), (-0.08, 0.0), (0.08, 0.0), *ring(5, 0.6, 0.36, -math.pi / 2)]
    clique = [(i, j) for i in range(5) for j in range(i)]
    bell = [*clique, (0, 5), (5, 6), (6, 7), *((i + 7, j + 7) for i, j in clique)]
    rook = [(i, j) for i in range(16) for j in range(i) if i // 4 == j // 4 or i % 4 == j % 4]
    steps = {(0, 1), (0, 3), (1, 0), (3, 0), (1, 1), (3, 3)}
    shrikhande = [(i, j) for i in range(16) for j in range(i) if ((i // 4 - j // 4) % 4, (i % 4 - j % 4) % 4) in steps]
    found = {
        "hexagon and two triangles": (
            [*ring(6, -0.6, 0.42), *ring(3, 0.17, 0.24), *ring(3, 0.78, 0.24)],
            [*cycle(6), *cycle(3, 6), *cycle(3, 9)],
        ),
        "path of ten": path,
        "grid": grid,
        "barbell": (two, bell),
        "star": ([(0.0, 0.0), *ring(8)], [(0, k) for k in range(1, 9)]),
        "rook's graph": (ring(16), rook),
        "Shrikhande graph": (ring(16), shrikhande),
    }
    return {name: Drawn(("",) * len(p), tuple(p), tuple(e), (0,) * len(p)) for name, (p, e) in found.items()}


def molecule(smiles: str) -> Drawn:
    """A molecule's heavy atoms. Raises StructureError."""
    from heliograph.chem.draw import layout

    found = layout(smiles)
    if len(found.symbols) > MAX_NODES:
        raise StructureError(f"too many atoms: {len(found.symbols)}, limit {MAX_NODES}")
    xs, ys = [x for x, _ in found.places], [-y for _, y in found.places]
    size = max(max(xs) - min(xs), max(ys) - min(ys), 1.0) / 1.8
    places = [((x - (max(xs) + min(xs)) / 2) / size, (y - (max(ys) + min(ys)) / 2) / size) for x, y in zip(xs, ys, strict=True)]
    kinds = {symbol: k for k, symbol in enumerate(sorted(set(found.symbols)))}
    return Drawn(found.symbols, tuple(places), tuple((i, j) for i, j, _ in found.bonds), tuple(kinds[s] for s in found.symbols))


def own(edges: Sequence[tuple[int, int]]) -> Drawn:
    """A graph by its edges, nodes 0, 1, ... on a circle. Raises UsageError."""
    once = {(min(pair), max(pair)) for pair in edges}
    n = 1 + max((j for _, j in once), default=0)
    if n > MAX_NODES:
        raise UsageError(f"too many nodes: {n}, limit {MAX_NODES}")
    if any(i == j for i, j in once):
        raise UsageError("an edge has two different ends")
    return Drawn(tuple(str(k + 1) for k in range(n)), tuple(ring(n)), tuple(sorted(once)), (0,) * n)


def graph_of(drawn: Drawn, counting: bool = False) -> Graph:
    """The graph with both directions of each edge; `x` [n, K] one-hot of the kinds, `edge_attr` [E, 1] of ones.

    `counting`: a further column of `x` is the number of triangles that a node is a corner of.
    """
    n, pairs = len(drawn.places), [(i, j) for i, j in drawn.edges] + [(j, i) for i, j in drawn.edges]
    senders, receivers = (torch.tensor([pair[side] for pair in pairs], dtype=torch.long) for side in (0, 1))
    topology = Topology.build(senders, receivers, [n], [len(pairs)])
    x = nn.functional.one_hot(torch.tensor(drawn.kinds), max(drawn.kinds) + 1).float()
    if counting:
        each = torch.zeros(n).index_add(0, topology.receivers, triangles(topology).float()) / 2  # both of a node's edges know of one
        x = torch.cat([x, each[:, None]], 1)
    return Graph(topology, {"x": x}, {"edge_attr": torch.ones(len(pairs), 1)})


class Neighbours(nn.Module):
    """m_ij = h_j."""

    def forward(self, e: Edge) -> dict[str, Any]:
        """The message along each edge."""
        return {"m": e.j["h"]}


class Taken(nn.Module):
    """h_i' = m_i."""

    def forward(self, nodes: Features, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        """The new states."""
        return {"h": messages["m"]}


def states(graph: Graph, layer: str, steps: int) -> list[Tensor]:
    """States [n, d] before the first step and after each. Raises UsageError for an unknown layer."""
    with torch.inference_mode():
        if layer in PLAIN:
            one, seen = Layer(Neighbours(), Taken(), PLAIN[layer]), [graph.with_nodes(h=dense(graph.nodes["x"]))]
            for _ in range(steps):
                seen.append(one(seen[-1]))
            return [dense(g.nodes["h"]) for g in seen]
        if layer not in LEARNED:
            raise UsageError(f"there is no layer {layer!r}; {suggest(layer, [*PLAIN, *LEARNED])}")
        net = network(layer, dense(graph.nodes["x"]).shape[1], steps)
        seen = [made for name, _, made in net.steps(graph) if name != "view"]
        each = len(net.layers) // steps  # some architectures write a step as several layers
        return [dense(made.nodes["h"]).flatten(1) for made in seen[::each]]


def network(layer: str, width: int, steps: int) -> Any:
    """The zoo's architecture with `steps` layers of WIDTH channels, weights drawn with seed 0."""
    generator = torch.random.get_rng_state()
    torch.manual_seed(0)
    try:
        return zoo.build(layer, Inputs(width, 1, False), 1, {"d": WIDTH, "depth": steps}).eval()
    finally:
        torch.random.set_rng_state(generator)


def influence(graph: Graph, layer: str, steps: int, node: int) -> list[float]:
    """Share of each node's start in the state of `node` after the last step: norms of the Jacobian's blocks, summing to 1."""
    x = dense(graph.nodes["x"]).clone().requires_grad_()
    with torch.enable_grad():
        if layer in PLAIN:
            seen = graph.with_nodes(x=x, h=x)
            one = Layer(Neighbours(), Taken(), PLAIN[layer])
            for _ in range(steps):
                seen = one(seen)
        else:
            seen = network(layer, x.shape[1], steps).states(graph.with_nodes(x=x))
        h = dense(seen.nodes["h"]).flatten(1)[node]  # [d]
        size = torch.zeros(len(x))
        for value in h:
            if not value.requires_grad:
                continue
            (gradient,) = torch.autograd.grad(value, x, retain_graph=True, allow_unused=True)
            if gradient is not None:
                size += gradient.square().sum(1)
    size = size.sqrt()
    return (size / size.sum()).tolist() if float(size.sum()) > 0 else [0.0] * len(x)


def hops(drawn: Drawn, node: int) -> list[int]:
    """Edges between each node and `node`; -1 where there is no way."""
    far, near = [-1] * len(drawn.places), [node]
    far[node] = 0
    while near:
        following = []
        for a in near:
            for i, j in drawn.edges:
                for b in (j,) if i == a else (i,) if j == a else ():
                    if far[b] < 0:
                        far[b] = far[a] + 1
                        following.append(b)
        near = following
    return far


def numbered(rows: Sequence[Any]) -> list[int]:
    """Equal rows get equal numbers 0, 1, ... in order of appearance."""
    seen: dict[Any, int] = {}
    return [seen.setdefault(row, len(seen)) for row in rows]


def play(drawn: Drawn, layer: str, steps: int, node: int | None = None, counting: bool = False) -> dict[str, Any]:
    """All that the page shows, as JSON: per step a shade in 0 .. 1 for each state, which are equal, 1-WL colours, the similarity.

    Of a `node` also its state after each step. `counting`: nodes start with their triangles. Raises UsageError.
    """
    graph = graph_of(drawn, counting)
    seen = states(graph, layer, steps)
    shade = shades(seen)
    rounds = list(wl.refinements(graph))
    colours = [numbered(rounds[min(k, len(rounds) - 1)].tolist()) for k in range(steps + 1)]
    members = graph.topology.nodes_by_graph
    return {
        "labels": drawn.labels,
        "places": drawn.places,
        "edges": drawn.edges,
        "shade": [[round(x, 4) for x in row.tolist()] for row in shade],
        "equal": [numbered([tuple(row) for row in _rounded(h)]) for h in seen],
        "colours": colours,
        "similarity": [None if math.isnan(s := node_similarity(h.double(), members)) else s for h in seen],
        "hops": None if node is None else hops(drawn, node),
        "state": None if node is None else [h[node].tolist() for h in seen],
        "influence": None if node is None else influence(graph, layer, steps, node),
        "settled": len(rounds) - 1,
    }


def shades(seen: Sequence[Tensor]) -> list[Tensor]:
    """For each step [n] in 0 .. 1: the states along the direction in which they differ most, turned as in the step before."""
    found: list[Tensor] = []
    for h in seen:
        centred = (h / max(float(h.abs().max()), 1e-12)).double()
        centred = centred - centred.mean(0)
        _, _, v = torch.linalg.svd(centred, full_matrices=False)
        axis = centred @ v[0]
        low, high = float(axis.min()), float(axis.max())
        shade = (axis - low) / (high - low) if high - low > 10**-DIGITS else torch.full_like(axis, 0.5)
        if found and float(((shade - 0.5) * (found[-1] - 0.5)).sum()) < 0:
            shade = 1 - shade
        found.append(shade)
    return found


def _rounded(h: Tensor) -> list[list[float]]:
    """States to DIGITS digits of their largest."""
    size = max(float(h.abs().max()), 1e-12)
    return [[round(x, DIGITS) + 0.0 for x in row] for row in (h.double() / size).tolist()]
