"""An outbreak's rates are learned from who fell ill when, and forecasts by the product rule beside mean field.

Idea: the product rule has parameters, the infection probability of each kind of contact, and a gradient. Learned from simulated outbreaks
they come out right; a forecast that puts rates into a sum (mean field, sum_u beta I_u) overshoots where the product rule does not.
"""

from __future__ import annotations

from typing import Any

import networkx
import torch
from page import Claim, graph_of, main, step
from torch import Tensor

from heliograph import Graph, segment
from heliograph.graph import dense

RATES = torch.tensor([0.05, 0.2, 0.5], dtype=torch.float64)  # of three kinds of contact


def town(n: int, seed: int = 0) -> Graph:
    nx = networkx.connected_watts_strogatz_graph(n, 6, 0.2, seed=seed)
    kind = torch.randint(3, (nx.number_of_edges(),), generator=torch.Generator().manual_seed(seed))
    return graph_of(nx.edges, n, edges={"kind": torch.nn.functional.one_hot(kind, 3).double()})


def next_day(beta: Tensor) -> Any:
    """I' = 1 - (1 - I) prod_u (1 - beta_uv I_u), states [N, outbreaks]."""
    return step(lambda e: {"well": 1 - (e.e["kind"] @ beta)[:, None] * e.j["I"]},
                lambda n, m: {"I": 1 - (1 - dense(n["I"])) * m["well"]}, segment.prod)  # fmt: skip


def mean_field(beta: Tensor) -> Any:
    return step(lambda e: {"force": (e.e["kind"] @ beta)[:, None] * e.j["I"]},
                lambda n, m: {"I": (dense(n["I"]) + (1 - dense(n["I"])) * m["force"]).clamp(max=1)})  # fmt: skip


def simulated(graph: Graph, outbreaks: int, days: int, seed: int) -> Tensor:
    """States [days + 1, N, outbreaks], each from one case of its own."""
    rng, t, beta = torch.Generator().manual_seed(seed), graph.topology, (dense(graph.edges["kind"]) @ RATES)[:, None]
    state = torch.zeros(graph.N, outbreaks, dtype=torch.float64)
    state[torch.randint(graph.N, (outbreaks,), generator=rng), torch.arange(outbreaks)] = 1
    days_ = [state]
    for _ in range(days):
        passed = (torch.rand(t.E, outbreaks, generator=rng, dtype=torch.float64) < beta).double() * state[t.senders]
        state = torch.maximum(state, segment.max(passed, t.incoming))
        days_.append(state)
    return torch.stack(days_)


def learned(graph: Graph, days: Tensor, steps: int = 80) -> Tensor:
    """The rates of largest likelihood: each day's states from those of the day before."""
    logit = torch.full((3,), -1.5, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([logit], lr=0.15)
    before, after = days[:-1].movedim(0, 1).flatten(1), days[1:].movedim(0, 1).flatten(1)  # [N, days x outbreaks]
    for _ in range(steps):
        optimizer.zero_grad()
        p = dense(next_day(logit.sigmoid())(graph.with_nodes(I=before)).nodes["I"]).clamp(1e-9, 1 - 1e-9)
        loss = -(after * p.log() + (1 - after) * (1 - p).log())[before == 0].mean()
        loss.backward()
        optimizer.step()
    return logit.sigmoid().detach()


def forecast(layer: Any, graph: Graph, start: Tensor, days: int) -> Tensor:
    """Expected cases [days + 1]."""
    graph, found = graph.with_nodes(I=start), [start.sum(0).mean()]
    for _ in range(days):
        graph = layer(graph)
        found.append(dense(graph.nodes["I"]).sum(0).mean())
    return torch.stack(found)


def claims(small: bool) -> list[Claim]:
    graph = town(60 if small else 200)
    beta = learned(graph, simulated(graph, 200, 5, seed=1))
    truth = simulated(graph, 400, 5, seed=2)
    cases = truth.sum(1).mean(1)
    ours, field = (float((forecast(f(beta), graph, truth[0], 5) - cases)[1:].abs().mean()) for f in (next_day, mean_field))
    return [
        Claim("largest relative error of the three learned rates", float((beta / RATES - 1).abs().max()), 0.25),
        Claim("forecast error, product rule over mean field", ours / field, 0.9),
    ]


def draw(figure: Any) -> None:
    axes, graph = figure.subplots(), town(150)
    beta, truth = learned(graph, simulated(graph, 60, 5, seed=1)), simulated(graph, 400, 8, seed=2)
    axes.plot(truth.sum(1).mean(1), "k-", label="400 simulated outbreaks")
    for name, f in (("product rule, learned rates", next_day), ("mean field, learned rates", mean_field)):
        axes.plot(forecast(f(beta), graph, truth[0], 8), "o--", label=name)
    axes.set(xlabel="day", ylabel="cases, of 150", title=f"learned rates {', '.join(f'{b:.3f}' for b in beta)} (true .05, .2, .5)")
    axes.legend()


if __name__ == "__main__":
    main(__file__, claims, draw)
