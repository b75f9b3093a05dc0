"""The same weights in chemprop give the same numbers."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import pytest
import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    chemprop = pytest.importorskip("chemprop.nn", reason="chemprop, the oracle of dmpnn, is not installed")

from heliograph import zoo
from heliograph.graph import dense
from heliograph.model import Inputs
from tests.graphs import ATOMS, BONDS, awkward


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)], ids=["float64", "float32"])
@pytest.mark.parametrize("depth", [2, 3, 5])
def test_dmpnn(dtype: torch.dtype, tolerance: float, depth: int) -> None:
    torch.manual_seed(0)
    net = zoo.build("dmpnn", Inputs(ATOMS, BONDS), 2, {"d": 16, "depth": depth, "scale": 0.01}).to(dtype).eval()
    graph = awkward().to(dtype=dtype)
    t = graph.topology
    theirs = chemprop.BondMessagePassing(ATOMS, BONDS, 16, depth=depth).to(dtype).eval()
    start, atoms = net.embed.edge, net.layers[-1]
    theirs.W_i.load_state_dict(start.W_i.state_dict())
    theirs.W_h.load_state_dict(net.layers[0].edge.W_h.state_dict())
    theirs.W_o.load_state_dict(atoms.W_o.state_dict())
    ffn = chemprop.RegressionFFN(n_tasks=2, input_dim=16, hidden_dim=16).to(dtype).eval()
    ffn.ffn[0][0].load_state_dict(net.readout.head[0].state_dict())
    ffn.ffn[1][-1].load_state_dict(net.readout.head[2].state_dict())
    molecules = SimpleNamespace(
        V=dense(graph.nodes["x"]),
        E=dense(graph.edges["edge_attr"]),
        edge_index=torch.stack([t.senders, t.receivers]),
        rev_edge_index=t.reverse,
        batch=t.members.index,
        __len__=lambda: graph.G,
    )
    hidden = theirs(molecules)
    pooled = torch.zeros(graph.G, 16, dtype=dtype).index_add(0, t.members.index, hidden) / 100  # chemprop's "norm" aggregation
    last = int(t.members.index.max()) + 1  # it infers the number of molecules from the last atom
    assert torch.allclose(chemprop.NormAggregation(norm=100.0)(hidden, t.members.index), pooled[:last], atol=1e-6)
    assert torch.allclose(net(graph)["y"], ffn(pooled), rtol=tolerance, atol=tolerance)
