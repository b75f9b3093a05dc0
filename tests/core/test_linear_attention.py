"""Attention to all nodes without a matrix of all pairs: against that matrix."""

from __future__ import annotations

import pytest
import torch

from heliograph import Graph, batch, zoo
from heliograph.blocks import Performer
from heliograph.data.graph_store import GraphStore
from heliograph.errors import UsageError
from heliograph.graph import dense
from heliograph.model import Inputs
from heliograph.sampling import exact_states
from heliograph.zoo import sgformer


def graphs() -> list[Graph]:
    torch.manual_seed(0)
    none = torch.zeros(0, dtype=torch.long)
    return [Graph.build(none, none, [n], [0], nodes={"h": torch.randn(n, 8, dtype=torch.double)}) for n in (7, 1, 0, 12)]


@pytest.mark.parametrize("together", [True, False])
def test_performer_is_softmax_attention_on_average_over_its_features(together: bool) -> None:
    each = graphs()
    module = Performer(8, 2, m=20_000).double()
    for f in (module.Q, module.K):  # the longer, the wider its spread
        f.weight.data *= 0.6
    found = dense(module(batch(each)).nodes["attended"]) if together else torch.cat([dense(module(g).nodes["attended"]) for g in each])
    found, wanted = found.unflatten(1, (2, 4)), []
    for g in each:
        q, k, v = (f(dense(g.nodes["h"])).view(-1, 2, 4).transpose(0, 1) for f in (module.Q, module.K, module.V))
        wanted.append((torch.softmax(q @ k.mT / 2.0, -1) @ v).transpose(0, 1))
    assert torch.allclose(found, torch.cat(wanted), atol=0.05)


def test_sgformer_attends_as_its_equations_say() -> None:
    each, module = graphs(), sgformer.Attend(8, 0.3).double()
    found = dense(module(batch(each)).nodes["attended"])
    wanted = []
    for g in each:
        h = dense(g.nodes["h"])
        Q, K, V = module.Q(h), module.K(h), module.V(h)
        A = (Q / Q.norm()) @ (K / K.norm()).T / max(len(h), 1)  # [n, n]
        D = 1 + A.sum(1, keepdim=True)
        wanted.append(0.3 * (V + A @ V) / D + 0.7 * h)
    assert torch.allclose(found, torch.cat(wanted), atol=1e-12)


@pytest.mark.parametrize(("arch", "args"), [("sgformer", {}), ("gps", {"attention": "performer", "walks": 0})])
def test_large_graphs_are_taken_whole_and_never_in_parts(arch: str, args: dict[str, object]) -> None:
    import numpy as np

    n = 10_000
    store = GraphStore.build(np.stack([np.arange(n), np.roll(np.arange(n), 1)], 1), n, x=np.zeros((n, 2), np.float32))
    network = zoo.build(arch, Inputs(2, 1), 3, {"d": 16, "depth": 1, **args}, level="node").eval()
    assert network(store.graph())["y"].shape == (n, 3)
    with pytest.raises(UsageError, match="the whole graph at once"):
        exact_states(network, store)
