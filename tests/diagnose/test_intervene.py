"""do(i) on networks: who can't hear the node does not change by a bit."""

from __future__ import annotations

import networkx
import pytest
import torch

from heliograph import zoo
from heliograph.diagnose.intervene import cut, intervention
from heliograph.errors import DataError
from heliograph.graph import Graph, dense
from heliograph.model import Inputs
from tests.graphs import ATOMS, BONDS, DTYPE, random_graph


@pytest.mark.parametrize("arch", ["sage", "gin", "gat"])
def test_only_who_hears_the_node_changes(arch: str) -> None:
    nx = networkx.path_graph(9)
    rng = torch.Generator().manual_seed(0)
    graph = Graph.from_networkx(nx)
    graph = graph.with_nodes(x=torch.randn(9, ATOMS, generator=rng, dtype=DTYPE))
    graph = graph.with_edges(edge_attr=torch.randn(graph.E, BONDS, generator=rng, dtype=DTYPE))
    torch.manual_seed(1)
    net = zoo.build(arch, Inputs(ATOMS, BONDS), 1, {"d": 8, "depth": 2}).to(DTYPE)
    change = intervention(net, graph, 3)
    assert (change[[0, 6, 7, 8]] == 0).all()  # to the bit: three and more steps away; the cut node itself is heard one step later
    assert change[3] > 0 and change[2] > 0 and change[4] > 0
    forced = intervention(net, graph, 3, x=dense(graph.nodes["x"])[3] + 1)
    assert forced[1] > 0 and forced[5] > 0  # two steps away hear the new features
    assert (forced[[0, 6, 7, 8]] == 0).all()


def test_a_cut_node_hears_nobody_and_the_rest_stays() -> None:
    graph = random_graph(7, 0.6, torch.Generator().manual_seed(2))
    other = cut(graph, 4)
    assert other.topology.incoming.count[4] == 0
    assert graph.E - int(graph.topology.incoming.count[4]) == other.E
    kept = graph.topology.receivers != 4
    assert torch.equal(dense(other.edges["edge_attr"]), dense(graph.edges["edge_attr"])[kept])
    with pytest.raises(DataError, match="nodes 0 to 6"):
        cut(graph, 7)
