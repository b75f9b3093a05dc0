"""What a network does with depth, where the answer is known."""

from __future__ import annotations

import math

import networkx
import pytest
import torch
from torch import nn

from heliograph import zoo
from heliograph.batching import batch
from heliograph.blocks import NodeWise, Propagate, normalised
from heliograph.diagnose.propagation import Propagation, propagation
from heliograph.graph import Graph, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.zoo import sgc


def path(n: int, x: torch.Tensor) -> Graph:
    a = torch.arange(n - 1)
    return Graph.build(torch.cat([a, a + 1]), torch.cat([a + 1, a]), [n], [2 * n - 2], nodes={"x": x},
                       edges={"edge_attr": torch.ones(2 * n - 2, 1)})  # fmt: skip


class Start(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, graph: Graph) -> Graph:
        return normalised(graph, dense(graph.nodes["x"]))


def smoothing(steps: int) -> MPNN:
    return MPNN(Start(), [Layer(Propagate(), sgc.Smooth())] * steps, NodeWise(nn.Identity()))


def test_energy_of_states_that_are_known() -> None:
    x = torch.tensor([[0.0], [1.0], [0.0], [1.0]])  # neighbours are as different as can be: 1 over 2 * 1/4
    found = propagation("s", smoothing(30), path(4, x))
    assert len(found.energy) == 31 and math.isclose(found.energy[0], 2.0)
    assert math.isclose(found.energy[30], 4 / 3, rel_tol=1e-5)  # the states become the roots of degrees, here of 2, 3, 3, 2
    assert math.isnan(propagation("s", smoothing(1), path(4, torch.ones(4, 1) * 0)).energy[0])


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_influence_ends_where_the_messages_do(steps: int) -> None:
    graphs = [path(9, torch.randn(9, 2)) for _ in range(20)]
    found = propagation("s", smoothing(steps), batch(graphs))
    assert math.isclose(sum(found.influence), 1, rel_tol=1e-6) and math.isclose(sum(found.atoms), 1)
    assert all(v > 0 for v in found.influence[: steps + 1]) and all(v == 0 for v in found.influence[steps + 1 :])
    # a linear map: the gradient is a row of S^T, the same for every direction
    S = torch.eye(9) + torch.from_numpy(networkx.to_numpy_array(networkx.path_graph(9))).float()
    S = S / S.sum(1).sqrt()[:, None] / S.sum(1).sqrt()[None]
    power = torch.linalg.matrix_power(S, steps)
    centre_share = (power.diagonal() / power.sum(1)).tolist()
    assert min(centre_share) <= found.influence[0] <= max(centre_share)


def test_of_the_zoo() -> None:
    graph = batch([path(8, torch.randn(8, 3)).with_nodes(z=torch.full((8,), 6), pos=torch.randn(8, 3)) for _ in range(4)])
    for name in ("gin", "dmpnn", "gps", "schnet", "kgnn"):
        found = propagation(name, zoo.build(name, Inputs(3, 1, zoo.load(name).GEOMETRY == "required"), 1), graph)
        assert found.learner == name and len(found.energy) >= 1
        assert bool(found.influence) == (name != "schnet")  # which reads elements, not features
    assert propagation("dmpnn", zoo.build("dmpnn", Inputs(3, 1), 1, {"depth": 2}), graph).influence[4:] == (0.0, 0.0, 0.0, 0.0)[: 8 - 4]


def test_sentences() -> None:
    assert Propagation("gcn", (1.0, 0.3), (), ()).sentences()[0].endswith("(before the first 100 %): they blur.")
    far = Propagation("gcn", (1.0, 0.9), (0.5, 0.3, 0.1, 0.05, 0.03, 0.01, 0.01), (0.1,) * 7)
    assert far.sentences() == [
        "gcn: after the last step bonded atoms are 90 % as different as any two atoms of a molecule (before the first 100 %): "
        "no sign that depth makes them alike.",
        "gcn: what an atom knows comes to 2.0 % from atoms more than four bonds away, which are 20 % of all atoms.",
    ]
