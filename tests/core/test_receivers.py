"""Graphs in which only the first R nodes receive, and graphs that ask: sampled blocks, incidences, pairs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from heliograph import kernels, segment, zoo
from heliograph.algebra import use as algebra
from heliograph.batching import batch
from heliograph.blocks import Combine, EdgeWise, Head, Neighbour, NodeWise
from heliograph.errors import DataError
from heliograph.graph import Feature, Graph, Indexed, dense, take
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.topology import Topology
from heliograph.views import CompleteGraph, MasterNode, RadiusGraph, RandomWalks, SelfLoops, line_graph, with_distances, without_master
from tests.graphs import ATOMS, BONDS, DTYPE, awkward, make_tables, random_graph, strange

PARTS = [  # run on blocks
    *("rgcn", "interaction", "gat", "gatv2", "gcn", "gcn2", "gin", "graphconv", "sage", "appnp"),
    *("sgc", "chebnet", "duvenaud", "pna", "ggnn"),
]
WHOLE = ["dmpnn", "san", "gps", "graphormer", "kgnn"]  # need whole graphs, and say so


def block(graph: Graph, seeds: Tensor, hops: int) -> Graph:
    """All that reaches the seeds of one graph in so many steps, numbered seeds first, hop by hop."""
    t = graph.topology
    found, sizes = seeds.tolist(), [len(seeds)]
    for _ in range(hops):
        inside = set(found)
        comes = t.senders[torch.isin(t.receivers, torch.tensor(found, dtype=torch.long))].tolist()
        found += sorted(set(comes) - inside)
        sizes.append(len(found))
    old = torch.tensor(found, dtype=torch.long)
    new = torch.full((graph.N,), -1).index_copy(0, old, torch.arange(len(old)))
    edges = ((new[t.receivers] >= 0) & (new[t.receivers] < sizes[-2])).nonzero().squeeze(1)
    receivers, order = new[t.receivers[edges]].sort(stable=True)
    edges = edges[order]
    part = Topology(
        new[t.senders[edges]],
        receivers,
        torch.tensor([len(old)]),
        torch.tensor([len(edges)]),
        N=len(old),
        R=tuple(sizes[-2::-1]),
        degree=t.incoming.count[old],
    )
    return Graph(part, {k: take(f, old) for k, f in graph.nodes.items()}, {k: take(f, edges) for k, f in graph.edges.items()})


def network(name: str) -> MPNN:
    torch.manual_seed(0)
    args = {"depth": 2} if "depth" in zoo.load(name).build.__code__.co_varnames else {}
    return zoo.build(name, Inputs(ATOMS, BONDS), 2, args, level="node").to(DTYPE).eval()


def steps(net: MPNN, graph: Graph) -> int:
    """How many layers run, one after another."""
    seen: list[None] = []
    hooks = [m.register_forward_hook(lambda *_: seen.append(None)) for m in net.modules() if isinstance(m, Layer)]
    net(graph)
    for hook in hooks:
        hook.remove()
    return len(seen)


def sparse(seed: int = 0, n: int = 40) -> Graph:
    return random_graph(n, 0.06, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("on", [True, False])
def test_a_block_of_all_neighbours_gives_what_the_whole_graph_gives(name: str, on: bool) -> None:
    graph, seeds = sparse(), torch.tensor([7, 0, 31])
    net = network(name)
    part = block(graph, seeds, steps(net, graph))
    assert part.topology.steps[-1] == len(seeds)
    with algebra(on), kernels.use("fused" if on else "reference"):
        assert torch.allclose(net(part)["y"], net(graph)["y"][seeds], atol=1e-12)


@pytest.mark.parametrize("name", WHOLE)
def test_what_needs_whole_graphs_says_so(name: str) -> None:
    graph = sparse()
    net = network(name)
    with pytest.raises(DataError, match=r"whole graphs|a block has only edges"):
        net(block(graph, torch.tensor([3]), 2))


def test_one_step_more_than_hops_is_an_error_and_sizes_are_checked() -> None:
    graph = sparse()
    net = network("gin")
    with pytest.raises(DataError, match="one step more than this block has hops"):
        net(block(graph, torch.tensor([3, 4]), 1))
    ends = torch.tensor([2, 1]), torch.tensor([0, 1])
    with pytest.raises(DataError, match=r"node 1 receives; only the first R = 1"):
        Graph.build(*ends, [3], [2], R=1)
    with pytest.raises(DataError, match="number the nodes seeds first"):
        Graph.build(*ends, [3], [2], R=(2, 1))
    with pytest.raises(DataError, match="each step has at most as many"):
        Graph.build(*ends, [3], [2], R=(2, 3))
    with pytest.raises(DataError, match="degrees of nodes that do not receive"):
        network("gcn")(Graph.build(*ends, [3], [2], R=2, nodes={"x": torch.zeros(3, ATOMS, dtype=DTYPE)}))


def incidence(members: list[list[int]], n: int, seed: int = 0) -> Graph:
    """Hyperedges, which come first, collect from n nodes."""
    rng = torch.Generator().manual_seed(seed)
    m = len(members)
    senders = torch.tensor([m + v for one in members for v in one], dtype=torch.long)
    receivers = torch.tensor([k for k, one in enumerate(members) for _ in one], dtype=torch.long)
    atoms, bonds = make_tables(rng)
    nodes: dict[str, Feature] = {
        "h": torch.randn(m + n, 6, generator=rng, dtype=DTYPE),
        "x": Indexed(atoms, torch.randint(3, (m + n,), generator=rng)),
    }
    edges = {"edge_attr": Indexed(bonds, torch.randint(3, (len(senders),), generator=rng))}
    order = torch.randperm(len(senders), generator=rng)
    edges = {k: take(f, order) for k, f in edges.items()}
    return Graph.build(senders[order], receivers[order], [m + n], [len(senders)], nodes=nodes, edges=edges, R=m)


CASES = [
    lambda: incidence([[0, 1, 2], [2, 3], [], [4]], 6),
    lambda: incidence([[0]], 1),
    lambda: incidence([[], []], 3),
    lambda: incidence([], 3),
    lambda: incidence([], 0),
    lambda: batch([incidence([[0, 1], [1, 2, 3]], 4, 1), incidence([], 2, 2), incidence([[0], []], 1, 3)]),
    lambda: block(strange().unbatch()[0], torch.tensor([0, 5]), 1).with_nodes(
        h=torch.randn(len(block(strange().unbatch()[0], torch.tensor([0, 5]), 1).nodes["z"]), 6, dtype=DTYPE)
    ),
]


@pytest.mark.parametrize("make", CASES)
@pytest.mark.parametrize("aggregate", [segment.sum, segment.mean, segment.max, segment.std, segment.prod])
def test_receivers_alone_collect_and_go_on(make: Callable[[], Graph], aggregate: segment.Aggregate) -> None:
    """Values against a dense matrix, and first and second derivatives with the algebra on and off."""
    torch.manual_seed(0)
    graph = make()
    d = 6
    layer = Layer(Neighbour(), Combine(d), aggregate).to(DTYPE)
    h = dense(graph.nodes["h"]).clone().requires_grad_()
    found = []
    for on, which in ((True, "fused"), (False, "reference")):
        with algebra(on), kernels.use(which):
            out = layer(graph.with_nodes(h=h))
            y = dense(out.nodes["h"])
            first = torch.autograd.grad(y.square().sum(), [h, *layer.parameters()], create_graph=True, materialize_grads=True)
            second = torch.autograd.grad(
                torch.stack([g.square().sum() for g in first]).sum(), [h, *layer.parameters()], materialize_grads=True
            )
        assert out.N == graph.R == len(y) and out.E == 0 and len(out.nodes["x"]) == graph.R
        assert out.topology.n_node.sum() == out.N and torch.equal(out.topology.nodes_by_graph.count, out.topology.n_node)
        found.append([y, *first, *second])
    for a, b in zip(*found, strict=True):
        assert torch.allclose(a, b, atol=1e-10)
    if aggregate is segment.sum:
        A = torch.zeros(graph.R, graph.N, dtype=DTYPE)
        for j, i in zip(graph.topology.senders.tolist(), graph.topology.receivers.tolist(), strict=True):
            A[i, j] += 1
        assert torch.allclose(found[0][0], (layer.update.W1(h[: graph.R]) + layer.update.W2(A @ h)).relu(), atol=1e-12)  # type: ignore[operator,union-attr]


def test_a_batch_of_incidences_is_its_parts() -> None:
    torch.manual_seed(0)
    parts = [incidence([[0, 1], [1, 2, 3]], 4, 1), incidence([], 2, 2), incidence([[0], []], 1, 3)]
    layer = Layer(Neighbour(), Combine(6)).to(DTYPE)
    whole = batch(parts)
    assert whole.R == 4 and whole.N == 11 and whole.topology.n_node.tolist() == [2, 0, 2]
    assert torch.allclose(dense(layer(whole).nodes["h"]), torch.cat([dense(layer(p).nodes["h"]) for p in parts]), atol=1e-12)
    again = batch([batch(parts[:2]), parts[2]])
    assert torch.equal(dense(again.nodes["h"]), dense(whole.nodes["h"]))
    assert torch.equal(again.topology.senders, whole.topology.senders)
    with pytest.raises(DataError, match="can't be taken apart"):
        whole.unbatch()
    with pytest.raises(DataError, match="numbered hop by hop"):
        batch([block(sparse(), torch.tensor([1]), 2)] * 2)


def test_self_loops_are_for_receivers() -> None:
    graph = block(sparse(), torch.tensor([4, 9]), 2)
    looped = SelfLoops()(graph)
    assert looped.E == graph.E + graph.R and looped.topology.steps == graph.topology.steps
    assert torch.equal(looped.topology.incoming.count, graph.topology.incoming.count + 1)
    with pytest.raises(DataError, match="whole graphs"):
        MasterNode()(graph)


def test_a_readout_answers_for_what_is_asked() -> None:
    torch.manual_seed(0)
    graph = awkward()
    for net, asked in (
        (NodeWise(Head(ATOMS, 2), of="x").to(DTYPE), torch.tensor([3, 3, 0])),
        (NodeWise(Head(ATOMS, 2), of="x").to(DTYPE), torch.zeros(0, dtype=torch.long)),
    ):
        assert torch.allclose(net(graph.with_asked(asked))["y"], net(graph)["y"][asked])
        with pytest.raises(DataError, match="answers for nodes"):
            net(graph.with_asked(torch.zeros(2, 2, dtype=torch.long)))
    pairs = EdgeWise(Head(2 * ATOMS + BONDS, 2), of="x").to(DTYPE)
    t = graph.topology
    every = torch.stack([t.given(t.senders), t.given(t.receivers)], 1)
    assert torch.allclose(pairs(graph.with_asked(every))["y"], pairs(graph)["y"], atol=1e-12)
    none = torch.tensor([[8, 8], [0, 0]])  # no edges: zeros stand for their features
    x = dense(graph.nodes["x"])
    there = pairs.head(torch.cat([x[none[:, 0]], x[none[:, 1]], x.new_zeros(2, BONDS)], -1))
    assert torch.allclose(pairs(graph.with_asked(none))["y"], there)
    with pytest.raises(DataError, match="answers for pairs"):
        pairs(graph.with_asked(none[:, 0]))
    with pytest.raises(DataError, match=r"asked must be .* it is \[2, 4\]"):
        graph.with_asked(torch.zeros(2, 4, dtype=torch.long))
    edgeless = Graph.build(none[:0, 0], none[:0, 1], [3], [0], nodes={"x": torch.ones(3, ATOMS, dtype=DTYPE)})
    edgeless = edgeless.with_edges(edge_attr=torch.zeros(0, BONDS, dtype=DTYPE))
    assert pairs(edgeless.with_asked(torch.tensor([[0, 2]])))["y"].shape == (1, 2)


def test_parallel_edges_answer_with_the_first_that_was_given() -> None:
    ends = torch.tensor([0, 1, 0, 0]), torch.tensor([1, 0, 1, 1])
    graph = Graph.build(*ends, [2], [4], edges={"edge_attr": torch.arange(4.0)[:, None]})
    found = graph.topology.between(torch.tensor([[0, 1], [1, 0], [1, 1]]))
    assert found[2] == -1 and dense(graph.edges["edge_attr"])[found[:2], 0].tolist() == [0, 1]


def test_asked_survives() -> None:
    graph = awkward().with_asked(torch.tensor([[0, 1], [9, 10]]))
    for view in (CompleteGraph(), RadiusGraph(3.0), SelfLoops(), RandomWalks(2), with_distances):
        assert torch.equal(view(graph).asked, graph.asked)  # type: ignore[arg-type]
    for same in (graph.to("cpu", torch.float32), graph.with_nodes(h=graph.nodes["x"]), graph.with_edges(w=graph.edges["edge_attr"])):
        assert same.asked is graph.asked
    master = MasterNode()(graph)
    assert master.asked is not None and torch.equal(dense(master.nodes["z"])[master.asked], dense(graph.nodes["z"])[graph.asked])
    assert torch.equal(without_master(master).asked, graph.asked)  # type: ignore[arg-type]
    assert line_graph(graph).asked is None
    net = zoo.build("gcn", Inputs(ATOMS, BONDS), 2, level="edge").to(DTYPE).eval()
    assert net(graph)["y"].shape == (2, 2)
    apart = graph.unbatch()
    assert [g.asked.tolist() for g in apart if g.asked is not None][:3] == [[[0, 1]], [], [[0, 1]]]
    assert torch.equal(batch(apart).asked, graph.asked)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="or none asks"):
        batch([graph, awkward()])


def test_rewired_topologies_are_sorted_and_keep_their_graphs() -> None:
    graph, rng = awkward(), torch.Generator().manual_seed(0)
    t = graph.topology
    order = torch.randperm(t.E, generator=rng)
    other, rows = t.rewired(t.senders[order], t.receivers[order])
    assert torch.equal(other.receivers, t.receivers) and torch.equal(other.n_edge, t.n_edge)
    assert torch.equal(t.senders[order][rows], other.senders)


@pytest.mark.parametrize("view", [CompleteGraph(), RadiusGraph(2.0)])
def test_views_that_know_no_periodic_images_say_so(view: Callable[[Graph], Graph]) -> None:
    ends = torch.tensor([0, 1])
    nodes: dict[str, Feature] = {"x": torch.zeros(2, 1), "pos": torch.eye(3)[:2]}
    shift = torch.tensor([[1, 0, 0], [-1, 0, 0]])
    graph = Graph.build(ends, ends.flip(0), [2], [2], nodes=nodes, edges={"edge_attr": torch.zeros(2, 1)}, shift=shift)
    with pytest.raises(DataError, match="no periodic images"):
        view(graph)
    with pytest.raises(DataError, match="no global feature 'cell'"):  # distances to images want the cell
        with_distances(graph)
    assert MasterNode()(graph).topology.shift is not None
