"""Noise that is turned, reflected, moved or renumbered gives the sample that is: molecules, over 50 steps of every process, in float64."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from heliograph.generate import network
from heliograph.generate.data import complete
from heliograph.generate.process import VP, Flow, Process, times
from heliograph.graph import Graph, dense

N, SPECIES = 9, 5


def noise(k: int) -> Tensor:
    x = torch.randn(N, 3, generator=torch.Generator().manual_seed(k), dtype=torch.float64)
    return x - x.mean(0)


def run(model: torch.nn.Module, p: Process, species: Tensor, change: Callable[[Tensor], Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    pos, said, grid = change(noise(0)), Graph(complete(np.array([N]))), times(50).tolist()
    found: dict[str, Tensor] = {}
    with torch.no_grad():
        for k, (t, after) in enumerate(pairwise(grid), 1):
            clock = torch.full((1, 1), t, dtype=torch.float64)
            graph = said.with_nodes(pos=pos, species=species).with_globals(t=clock, condition=torch.zeros(1, 0, dtype=torch.float64))
            found = model(graph)
            said = network.told(graph, found)
            pos = p.step(pos, pos + (1 - t) * found["move"], t, after - t, change(noise(k)))
    return pos, found


SLOW = [pytest.param(p, marks=pytest.mark.slow) for p in (Flow(churn=1.0), VP(method="sde"), VP(method="ode"))]


@pytest.mark.parametrize("p", [Flow(), VP(), *SLOW], ids=str)
def test_samples_move_with_their_noise(p: Process) -> None:
    torch.manual_seed(0)
    model = network.build(SPECIES, 0, d=16, depth=2, sets=4, pair=8).double().eval()
    species = torch.tensor([0, 1, 1, 2, 5, 0, 3, 5, 4])  # 5: masked
    usual, answers = run(model, p, species, lambda x: x)
    turn = torch.linalg.qr(noise(99)[:3])[0]
    for matrix in (turn, -turn):  # one of them reflects
        found, other = run(model, p, species, lambda x, m=matrix: x @ m)  # type: ignore[misc]
        torch.testing.assert_close(found, usual @ matrix, rtol=1e-9, atol=1e-9)
        for name in ("species", "charge", "order"):
            torch.testing.assert_close(other[name], answers[name], rtol=1e-9, atol=1e-9)
    order = torch.tensor([4, 2, 7, 0, 8, 1, 3, 6, 5])
    renumbered, other = run(model, p, species[order], lambda x: x[order])
    torch.testing.assert_close(renumbered, usual[order], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(other["species"], answers["species"][order], rtol=1e-9, atol=1e-9)


def test_a_molecule_that_is_moved_answers_the_same_and_stays_moved() -> None:
    torch.manual_seed(0)
    model = network.build(SPECIES, 0, d=16, depth=2, sets=4, pair=8).double().eval()
    shift = torch.tensor([3.0, -1.0, 0.5], dtype=torch.float64)
    graph = Graph(complete(np.array([N])), {"species": torch.arange(N) % SPECIES})
    graph = graph.with_globals(t=torch.full((1, 1), 0.4, dtype=torch.float64), condition=torch.zeros(1, 0, dtype=torch.float64))
    with torch.no_grad():
        one, two = model(graph.with_nodes(pos=noise(1))), model(graph.with_nodes(pos=noise(1) + shift))
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(one["move"].mean(0), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-12)  # nothing drifts
    assert dense(graph.nodes["species"]).shape == (N,)
