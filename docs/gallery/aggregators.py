"""What an aggregation can and cannot hear: multisets, a signalling chain, and which bond leads to which atom.

Ideas: the mean is a poll and suits neighbours that are alike; the maximum carries a signal down a chain undiluted; only the sum counts. And
summing states and bonds apart, (sum_j h_j, sum_j e_ij), forgets which bond led to which atom, so two molecules look the same.
"""

from __future__ import annotations

from typing import Any

import torch
from page import Claim, gap, graph_of, main, step
from torch import Tensor

from heliograph import segment
from heliograph.blocks import apply_matrix
from heliograph.graph import dense
from heliograph.segment import Aggregate
from heliograph.topology import Segments

MULTISETS = {"{a, b}": [1, 2], "{a, a, b, b}": [1, 1, 2, 2], "{a, b, b}": [1, 2, 2]}
AGGREGATES: dict[str, Aggregate] = {"sum": segment.sum, "mean": segment.mean, "max": segment.max}


def heard(aggregate: Aggregate) -> list[float]:
    """What a node hears from each multiset; the states are chosen so that sums of up to nine differ (a = 1, b = 10)."""
    code = {1: 1.0, 2: 10.0}
    x = torch.tensor([code[k] for some in MULTISETS.values() for k in some])
    index = torch.repeat_interleave(torch.arange(len(MULTISETS)), torch.tensor([len(some) for some in MULTISETS.values()]))
    return [round(v, 4) for v in aggregate(x[:, None], Segments(index, len(MULTISETS)))[:, 0].tolist()]


def chain(aggregate: Aggregate, hops: int = 10) -> Tensor:
    """A flag set at node 0 of a chain after `hops` rounds: h_i' = max(h_i, aggregate_j h_j), [hops + 1]."""
    graph = graph_of([(k, k + 1) for k in range(hops)], hops + 1, h=torch.eye(hops + 1, 1))
    layer = step(lambda e: {"m": e.j["h"]}, lambda n, m: {"h": torch.maximum(dense(n["h"]), m["m"])}, aggregate)
    for _ in range(hops):
        graph = layer(graph)
    return dense(graph.nodes["h"])[:, 0]


def poll(aggregate: Aggregate, n: int) -> float:
    """The error of one round on a complete graph where each node knows a common value with noise of one: homophily."""
    torch.manual_seed(0)
    x = torch.randn(n, 1)
    graph = graph_of([(a, b) for a in range(n) for b in range(a)], n, h=x)
    return float(dense(step(lambda e: {"m": e.j["h"]}, lambda nodes, m: {"h": m["m"]}, aggregate)(graph).nodes["h"]).abs().mean())


def two_molecules() -> dict[str, float]:
    """How far the centre's state differs between O=C-N and O-C=N, by what is summed: (h, e), or A(e) h (the edge network)."""
    torch.manual_seed(0)
    atom, bond = {"O": [1.0, 0.0], "N": [0.0, 1.0], "C": [1.0, 1.0]}, {"-": [1.0, 0.0], "=": [0.0, 1.0]}
    A = torch.randn(2, 4)  # a 2 x 2 matrix per bond type
    message = {
        "sum of (h, e)": lambda e: {"m": torch.cat([e.j["h"], e.e["e"]], -1)},
        "edge network": lambda e: {"m": apply_matrix(e.e["e"] @ A, e.j["h"])},
    }
    x = torch.tensor([atom[a] for a in "OCN"])
    pair = [graph_of([(0, 1), (1, 2)], 3, edges={"e": torch.tensor([bond[b] for b in bonds])}, h=x) for bonds in ("=-", "-=")]
    found = {}
    for name, f in message.items():
        layer = step(f, lambda n, m: {"h": m["m"]})
        found[name] = gap(*(dense(layer(g).nodes["h"])[1] for g in pair))
    return found


def claims(small: bool) -> list[Claim]:
    different = {name: len(set(heard(f))) for name, f in AGGREGATES.items()}
    flag, told = {name: float(chain(f)[-1]) for name, f in AGGREGATES.items()}, two_molecules()
    n = 20 if small else 200
    return [
        Claim("sum tells all three multisets apart", different["sum"], 3, at_least=True),
        Claim("mean takes {a, b} and {a, a, b, b} for one", different["mean"], 2),
        Claim("max takes all three for one", different["max"], 1),
        Claim("the flag at the end of ten hops, by max", flag["max"], 1, at_least=True),
        Claim("the flag at the end of ten hops, by mean", flag["mean"], 2.0**-9),
        Claim("the poll's error by mean, in units of 1 / sqrt(voices)", poll(segment.mean, n) * (n - 1) ** 0.5, 3),
        Claim("the poll's error by max", poll(segment.max, n), 1, at_least=True),
        Claim("O=C-N and O-C=N under sums of (h, e)", told["sum of (h, e)"], 0),
        Claim("O=C-N and O-C=N under the edge network", told["edge network"], 0.1, at_least=True),
    ]


def draw(figure: Any) -> None:
    left, right = figure.subplots(1, 2)
    for name in ("max", "mean"):
        left.semilogy(chain(AGGREGATES[name]), "o-", label=name)
    left.set(xlabel="hops from the flag", ylabel="state after ten rounds", title="a signalling chain")
    left.legend()
    for k, (name, f) in enumerate(AGGREGATES.items()):
        right.bar([p + 0.27 * k for p in range(3)], heard(f), 0.25, label=name)
    right.set(xticks=[0.27, 1.27, 2.27], xticklabels=list(MULTISETS), title="what is heard from a multiset")
    right.legend()


if __name__ == "__main__":
    main(__file__, claims, draw)
