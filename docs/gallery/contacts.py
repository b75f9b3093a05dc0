"""A protein's contacts: a threshold jumps, radial functions do not, and neither minds rotation.

Idea: residues nearer than a threshold are neighbours, and where the threshold lies decides what is heard. If all residues within a
generous radius are neighbours, and messages carry the distance through radial functions that end smoothly at it, nothing jumps when
a coordinate moves. Only distances enter, so the orientation does not matter.
"""

from __future__ import annotations

from typing import Any

import torch
from page import Claim, gap, main, step
from torch import Tensor

from heliograph import Graph
from heliograph.blocks import CosineCutoff, Gaussians
from heliograph.graph import dense
from heliograph.views import RadiusGraph

THRESHOLD, RADIUS = 8.0, 12.0  # angstrom


def chain(n: int, seed: int = 0) -> Tensor:
    """A random coil of n residues, 3.8 angstrom apart, pulled together to a protein's density."""
    rng = torch.Generator().manual_seed(seed)
    turn = torch.randn(n, 3, generator=rng, dtype=torch.float64)
    pos = torch.cumsum(3.8 * turn / turn.norm(dim=1, keepdim=True), 0)
    return (pos - pos.mean(0)) * 0.55


def heard(pos: Tensor, smooth: bool, d: int = 12) -> Tensor:
    """The state of each residue after one layer on fixed random features: by radial functions, or by the threshold alone."""
    x = torch.randn(len(pos), d, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    bare = Graph.build(torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long), [len(pos)], [0], nodes={"pos": pos, "h": x})
    graph = RadiusGraph(RADIUS if smooth else THRESHOLD)(bare)
    distance = dense(graph.edges["distance"])
    weight = Gaussians(d, cutoff=RADIUS).double()(distance) * CosineCutoff(RADIUS)(distance) if smooth else torch.ones_like(distance)
    layer = step(lambda e: {"m": e.e["w"] * e.j["h"]}, lambda n, m: {"h": m["m"]})
    return dense(layer(graph.with_edges(w=weight)).nodes["h"])


def jump(smooth: bool, at: float, epsilon: float = 1e-6) -> float:
    """How much the states change when two residues pass the distance `at` by a millionth of an angstrom."""
    pos = chain(40)
    a, b = 3, 30
    way = (pos[b] - pos[a]) / (pos[b] - pos[a]).norm()
    there = [pos.index_copy(0, torch.tensor([b]), (pos[a] + (at + side) * way)[None]) for side in (-epsilon, epsilon)]
    return gap(heard(there[0], smooth), heard(there[1], smooth))


def rotation(seed: int) -> Tensor:
    return torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))[0]


def claims(small: bool) -> list[Claim]:
    pos = chain(60 if small else 400)
    turned = pos @ rotation(0).T + 5
    return [
        Claim("jump at 8 angstrom with a threshold", jump(False, THRESHOLD), 0.1, at_least=True),
        Claim("jump at 8 angstrom with radial functions", jump(True, THRESHOLD), 1e-4),
        Claim("jump at their end, 12 angstrom", jump(True, RADIUS), 1e-4),
        Claim("change under rotation, threshold", gap(heard(pos, False), heard(turned, False)), 1e-9),
        Claim("change under rotation, radial functions", gap(heard(pos, True), heard(turned, True)), 1e-9),
    ]


def draw(figure: Any) -> None:
    axes = figure.subplots()
    pos, distances = chain(40), torch.linspace(6, 14, 161, dtype=torch.float64)
    way = (pos[30] - pos[3]) / (pos[30] - pos[3]).norm()
    for smooth, name in ((False, "threshold at 8"), (True, "radial functions to 12")):
        states = torch.stack([heard(pos.index_copy(0, torch.tensor([30]), (pos[3] + r * way)[None]), smooth)[3] for r in distances])
        axes.plot(distances, (states - states[-1]).norm(dim=1), label=name)
    axes.set(xlabel="distance of two residues, angstrom", ylabel="change of one's state", title="what a moving residue does to another")
    axes.legend()


if __name__ == "__main__":
    main(__file__, claims, draw)
