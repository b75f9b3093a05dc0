"""chemprop computes the same from the same parameters: predictions, and the gradient of each parameter."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    chemprop = pytest.importorskip("chemprop.nn", reason="chemprop, the oracle of dmpnn, is not installed")

from heliograph import zoo
from heliograph.graph import Graph, dense
from heliograph.model import Inputs
from tests.graphs import ATOMS, BONDS, awkward
from tests.oracles.agreement import TOLERANCE, Parameters, assert_agree


@pytest.mark.parametrize("dtype", TOLERANCE, ids=["float64", "float32"])
@pytest.mark.parametrize("depth", [2, 3, 5])
def test_dmpnn(dtype: torch.dtype, depth: int) -> None:
    torch.manual_seed(0)
    net = zoo.build("dmpnn", Inputs(ATOMS, BONDS), 2, {"d": 16, "depth": depth, "scale": 0.01}).to(dtype).eval()

    def theirs(parameters: Parameters, graph: Graph) -> Tensor:
        t = graph.topology
        messages = chemprop.BondMessagePassing(ATOMS, BONDS, 16, depth=depth).to(dtype).eval()
        last = f"layers.{len(net.layers) - 1}"
        weights = {
            "W_i.weight": parameters["embed.edge.W_i.weight"],
            "W_h.weight": parameters["layers.0.edge.W_h.weight"],
            "W_o.weight": parameters[f"{last}.W_o.weight"],
            "W_o.bias": parameters[f"{last}.W_o.bias"],
        }
        molecules = SimpleNamespace(
            V=dense(graph.nodes["x"]),
            E=dense(graph.edges["edge_attr"]),
            edge_index=torch.stack([t.senders, t.receivers]),
            rev_edge_index=t.reverse,
            batch=t.nodes_by_graph.index,
            __len__=lambda: graph.G,
        )
        hidden = functional_call(messages, weights, (molecules,))
        pooled = torch.zeros(graph.G, 16, dtype=dtype).index_add(0, t.nodes_by_graph.index, hidden) / 100  # chemprop's "norm" aggregation
        most = int(t.nodes_by_graph.index.max()) + 1  # it infers the number of molecules from the last atom
        assert torch.allclose(chemprop.NormAggregation(norm=100.0)(hidden, t.nodes_by_graph.index), pooled[:most], atol=1e-6)
        ffn = chemprop.RegressionFFN(n_tasks=2, input_dim=16, hidden_dim=16).to(dtype).eval()
        names = {"ffn.0.0": "readout.head.0", f"ffn.1.{len(ffn.ffn[1]) - 1}": "readout.head.2"}
        of_head = {f"{to}.{what}": parameters[f"{of}.{what}"] for to, of in names.items() for what in ("weight", "bias")}
        return functional_call(ffn, of_head, (pooled,))

    assert_agree(net, awkward().to(dtype=dtype), theirs)
