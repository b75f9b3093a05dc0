"""An epidemic's product rule: exact for states that are known, a closure for probabilities.

Idea: a susceptible person stays well if no infectious neighbour passes it on, prod_u (1 - beta_uv I_u): an aggregation by product.
Corrections: the rule speaks of a susceptible person, so one's own state is a factor; and 1 - exp(-sum_u a_uv I_u) is no mere
approximation: with a = -log(1 - beta) it is the same number wherever I_u is 0 or 1. For probabilities in between it is not, and neither
is the product rule itself exact there, since neighbours' states depend on each other.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import networkx
import torch
from page import Claim, gap, graph_of, main, step
from torch import Tensor

from heliograph import Graph, segment
from heliograph.graph import dense


def contacts(n: int, seed: int = 0) -> Graph:
    nx = networkx.connected_watts_strogatz_graph(n, 4, 0.3, seed=seed)
    beta = 0.1 + 0.6 * torch.rand(nx.number_of_edges(), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return graph_of(nx.edges, n, edges={"beta": beta, "a": -torch.log1p(-beta)})


# I' = I + (1 - I) (1 - prod_u (1 - beta I_u)); whoever is infected stays so
PRODUCT = step(lambda e: {"well": 1 - e.e["beta"] * e.j["I"]},
               lambda n, m: {"I": 1 - (1 - dense(n["I"])) * m["well"]}, segment.prod)  # fmt: skip
EXPONENTIAL = step(lambda e: {"force": e.e["a"] * e.j["I"]}, lambda n, m: {"I": 1 - (1 - dense(n["I"])) * torch.exp(-m["force"])})
NAIVE = step(lambda e: {"force": e.e["beta"] * e.j["I"]}, lambda n, m: {"I": 1 - (1 - dense(n["I"])) * torch.exp(-m["force"])})


def after(layer: Any, graph: Graph, I: Tensor, rounds: int = 1) -> Tensor:  # noqa: E741
    graph = graph.with_nodes(I=I)
    for _ in range(rounds):
        graph = layer(graph)
    return dense(graph.nodes["I"])


def enumerated(graph: Graph, I: Tensor) -> Tensor:  # noqa: E741
    """P(infected next) by going through all ways in which the contacts of the infectious may turn out: 2^E of them."""
    t, beta = graph.topology, dense(graph.edges["beta"])
    live = [k for k in range(t.E) if I[t.senders[k]] == 1 and I[t.receivers[k]] == 0]
    result = torch.zeros_like(I)
    for passed in product((False, True), repeat=len(live)):
        p, state = 1.0, I.clone()
        for k, yes in zip(live, passed, strict=True):
            p *= float(beta[k] if yes else 1 - beta[k])
            if yes:
                state[t.receivers[k]] = 1
        result += p * state
    return result


def simulated(graph: Graph, I: Tensor, rounds: int, times: int) -> Tensor:  # noqa: E741
    """P(infected) after `rounds` over `times` outbreaks: states [N, times], every contact drawn anew."""
    rng, t, beta = torch.Generator().manual_seed(1), graph.topology, dense(graph.edges["beta"])[:, None]
    state = I[:, None].repeat(1, times)
    for _ in range(rounds):
        passed = (torch.rand(t.E, times, generator=rng, dtype=torch.float64) < beta).double() * state[t.senders]
        state = torch.maximum(state, segment.max(passed, t.incoming))
    return state.mean(1)


def claims(small: bool) -> list[Claim]:
    graph, rng = contacts(10), torch.Generator().manual_seed(2)
    binary = (torch.rand(10, generator=rng) < 0.3).double()
    binary[0], binary[1] = 1, 0
    between = torch.rand(10, generator=rng, dtype=torch.float64)
    start, times = torch.eye(10, dtype=torch.float64)[0], 4_000 if small else 40_000
    by_product, by_exponential = after(PRODUCT, graph, binary), after(EXPONENTIAL, graph, binary)
    apart = gap(after(EXPONENTIAL, graph, between), after(PRODUCT, graph, between))
    return [
        Claim("product rule = enumeration, for known states", gap(by_product, enumerated(graph, binary)), 1e-12),
        Claim("1 - exp(-sum a I), a = -log(1 - beta): the same", gap(by_exponential, by_product), 1e-12),
        Claim("with a = beta it is not", gap(after(NAIVE, graph, binary), by_product), 0.01, True),
        Claim("for probabilities 1 - exp(-sum a I) is not", apart, 0.01, True),
        Claim("after three rounds the product rule is a closure, not exact",
              gap(after(PRODUCT, graph, start, 3), simulated(graph, start, 3, times)), 0.01, True),
    ]  # fmt: skip


def draw(figure: Any) -> None:
    axes, graph = figure.subplots(), contacts(60, 1)
    start = torch.eye(60, dtype=torch.float64)[0]
    rounds = range(9)
    axes.plot(rounds, [float(simulated(graph, start, r, 4000).sum()) for r in rounds], "k-", label="4,000 simulated outbreaks")
    for name, layer in (("product rule", PRODUCT), ("1 - exp(-sum a I), a = -log(1 - beta)", EXPONENTIAL), ("a = beta", NAIVE)):
        axes.plot(rounds, [float(after(layer, graph, start, r).sum()) for r in rounds], "o--", label=name)
    axes.set(xlabel="round", ylabel="infected, of 60", title="from one case")
    axes.legend()


if __name__ == "__main__":
    main(__file__, claims, draw)
