"""Colour refinement against a naive one, against NetworkX, on pairs known from the books; and the models against it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Hashable, Sequence

import networkx
import pytest
import torch
from torch import Tensor, nn

from heliograph import segment, zoo
from heliograph.batching import batch
from heliograph.blocks import Pool
from heliograph.graph import Graph, Indexed, dense
from heliograph.layer import Layer
from heliograph.model import MPNN, Inputs
from heliograph.views import Concatenate, Degree, LaplacianEigenvectors, RandomWalks, Rings, node_sets
from heliograph.wl import colours, labels, multisets, pair_colours
from heliograph.zoo import gin
from tests.graphs import ATOMS, BONDS, DTYPE, awkward, make_tables, permuted, random_graph

Pairs = Sequence[tuple[int, int]]


def alike(n: int, pairs: Pairs, x: Tensor | None = None, bond: Tensor | None = None) -> Graph:
    """An undirected graph; `x` [n, ATOMS] and `bond` [pairs, BONDS] are the same everywhere unless given."""
    a, b = torch.tensor(pairs, dtype=torch.long).view(-1, 2).T
    bond = torch.ones(len(pairs), BONDS, dtype=DTYPE) if bond is None else bond
    nodes = {"x": torch.ones(n, ATOMS, dtype=DTYPE) if x is None else x}
    return Graph.build(
        torch.cat([a, b]), torch.cat([b, a]), [n], [2 * len(pairs)], nodes=nodes, edges={"edge_attr": torch.cat([bond, bond])}
    )


def cycle(n: int, first: int = 0) -> list[tuple[int, int]]:
    return [(first + k, first + (k + 1) % n) for k in range(n)]


def lift(base: Graph, copies: int, rng: torch.Generator) -> Graph:
    """Each node `copies` times, each edge a random matching of its ends' copies: 1-WL can't tell lifts of one graph apart."""
    t = base.topology
    x, attr = dense(base.nodes["x"]), dense(base.edges["edge_attr"])
    pairs, rows = [], []
    for k in range(base.E):
        j, i = int(t.senders[k]), int(t.receivers[k])
        if j < i:
            pairs += [(j * copies + s, i * copies + int(p)) for s, p in enumerate(torch.randperm(copies, generator=rng))]
            rows += [attr[k]] * copies
    return alike(base.N * copies, pairs, x.repeat_interleave(copies, 0), torch.stack(rows))


HEXAGON, TRIANGLES = alike(6, cycle(6)), alike(6, cycle(3) + cycle(3, 3))
GRID = list(itertools.product(range(4), range(4)))
ROOK = alike(16, [(a, b) for a, b in itertools.combinations(range(16), 2) if (GRID[a][0] == GRID[b][0]) != (GRID[a][1] == GRID[b][1])])
STEPS = {(0, 1), (0, 3), (1, 0), (3, 0), (1, 1), (3, 3)}
SHRIKHANDE = alike(
    16, [(a, b) for a, b in itertools.combinations(range(16), 2) if tuple((GRID[a][k] - GRID[b][k]) % 4 for k in (0, 1)) in STEPS]
)


def labelled(seed: int) -> Graph:
    """Directed, with labels, parallel edges and loops, in a batch with an empty and an edgeless graph."""
    rng = torch.Generator().manual_seed(seed)
    n, m = [5, 0, 7, 2, 6], [9, 0, 12, 0, 14]
    senders = torch.cat([sum(n[:g]) + torch.randint(max(n[g], 1), (m[g],), generator=rng) for g in range(5)])
    receivers = torch.cat([sum(n[:g]) + torch.randint(max(n[g], 1), (m[g],), generator=rng) for g in range(5)])
    x, e = torch.randint(2, (sum(n), 1), generator=rng), torch.randint(2, (sum(m), 1), generator=rng)
    return Graph.build(senders, receivers, n, m, nodes={"x": x}, edges={"edge_attr": e})


def naive(graph: Graph, rounds: int, outgoing: bool) -> list[Hashable]:
    t, x, e = graph.topology, dense(graph.nodes["x"]).tolist(), dense(graph.edges["edge_attr"]).tolist()
    colour: list[Hashable] = [tuple(v) for v in x]
    ends = list(zip(t.senders.tolist(), t.receivers.tolist(), strict=True))
    for _ in range(rounds):
        into = [frozenset(Counter((colour[j], *e[k]) for k, (j, i) in enumerate(ends) if i == v).items()) for v in range(graph.N)]
        out = [frozenset(Counter((colour[i], *e[k]) for k, (j, i) in enumerate(ends) if j == v).items()) for v in range(graph.N)]
        colour = [(colour[v], into[v], out[v] if outgoing else None) for v in range(graph.N)]
    return colour


def naive_pairs(graph: Graph, rounds: int) -> list[Hashable]:
    result: list[Hashable] = []
    for g in graph.unbatch():
        t, x, e = g.topology, dense(g.nodes["x"]).tolist(), dense(g.edges["edge_attr"]).tolist()
        ends = list(zip(t.senders.tolist(), t.receivers.tolist(), strict=True))
        edges = {(u, v): tuple(sorted(tuple(e[k]) for k, p in enumerate(ends) if p == (u, v))) for u in range(g.N) for v in range(g.N)}
        colour: dict[tuple[int, int], Hashable] = {
            (u, v): (tuple(x[u]), tuple(x[v]), u == v, edges[u, v], edges[v, u]) for u, v in itertools.product(range(g.N), repeat=2)
        }
        for _ in range(rounds):
            colour = {
                (u, v): (colour[u, v], frozenset(Counter((colour[u, w], colour[w, v]) for w in range(g.N)).items())) for u, v in colour
            }
        result += list(colour.values())
    return result


def same_partition(number: Tensor, of: Sequence[Hashable]) -> bool:
    """Whether the two colourings are one up to a renaming."""
    assert len(number) == len(of)
    return len(set(zip(number.tolist(), of, strict=True))) == len(set(of)) == len(set(number.tolist()))


def graphs_apart(a: Graph, b: Graph, rounds: int | None = None) -> bool:
    both = batch([a, b])
    first, second = multisets(colours(both, rounds), both.topology.nodes_by_graph).tolist()
    return bool(first != second)


def graphs_apart_by_pairs(a: Graph, b: Graph) -> bool:
    first, second = multisets(*pair_colours(batch([a, b]))).tolist()
    return bool(first != second)


@pytest.mark.parametrize("outgoing", [False, True])
@pytest.mark.parametrize("rounds", [0, 1, 2, 4])
def test_against_a_naive_refinement(rounds: int, outgoing: bool) -> None:
    for seed in range(8):
        graph = labelled(seed)
        number = colours(graph, rounds, outgoing=outgoing)
        assert same_partition(number, naive(graph, rounds, outgoing))
        assert sorted(set(number.tolist())) == list(range(int(number.max()) + 1))


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_pairs_against_a_naive_refinement(rounds: int) -> None:
    for seed in range(4):
        graph = labelled(seed)
        number, pairs = pair_colours(graph, rounds)
        assert same_partition(number, naive_pairs(graph, rounds))
        assert torch.equal(pairs.count, graph.topology.n_node.square())


def test_against_networkx() -> None:
    rng = torch.Generator().manual_seed(0)
    tables = make_tables(rng, rows=2)
    graphs = [random_graph(n, 0.5, rng, tables) for n in (3, 4) * 15]
    hashes = []
    for g in graphs:
        t, x, attr = g.topology, dense(g.nodes["x"]), dense(g.edges["edge_attr"])
        nx = networkx.Graph()
        nx.add_nodes_from((v, {"x": str(x[v].tolist())}) for v in range(g.N))
        nx.add_edges_from((int(t.senders[k]), int(t.receivers[k]), {"e": str(attr[k].tolist())}) for k in range(g.E))
        hashes.append(networkx.weisfeiler_lehman_graph_hash(nx, edge_attr="e", node_attr="x", iterations=3, digest_size=32))
    all_ = batch(graphs)
    assert same_partition(multisets(colours(all_, 3), all_.topology.nodes_by_graph), hashes)
    assert 2 < len(set(hashes)) < len(hashes)  # some are equal, some are not


def test_settles_and_does_not_depend_on_numbering() -> None:
    graph = random_graph(12, 0.2, torch.Generator().manual_seed(3))
    other = permuted(graph, torch.Generator().manual_seed(4))
    for rounds in (1, 2, None):
        assert sorted(colours(graph, rounds).tolist()) == sorted(colours(other, rounds).tolist())
    settled = colours(awkward())
    assert torch.equal(settled, colours(awkward(), 100))
    path = alike(9, [(k, k + 1) for k in range(8)])
    assert int(colours(path, 2).max()) + 1 == 3 and int(colours(path).max()) + 1 == 5  # ends, next to ends, others; then by place
    assert int(colours(path, nodes=(), edges=()).max()) + 1 == 5


def test_a_star_of_many_leaves_is_one_multiset() -> None:
    n = 100_000
    star = Graph.build(torch.arange(1, n), torch.zeros(n - 1, dtype=torch.long), [n], [n - 1], nodes={"x": torch.arange(n) % 3})
    number = colours(star, edges=())
    assert int(number.max()) + 1 == 4 and len(set(number[1:].tolist())) == 3


def test_labels_see_values_not_storage() -> None:
    table = torch.tensor([[1.0, 0.0], [2.0, 0.0], [1.0, -0.0]])
    assert labels(4, Indexed(table, torch.tensor([0, 1, 2, 0]))).tolist() == [0, 1, 0, 0]
    assert labels(4, table[torch.tensor([0, 1, 2, 0])]).tolist() == [0, 1, 0, 0]
    assert labels(3).tolist() == [0, 0, 0] and labels(2, torch.zeros(2, 0)).tolist() == [0, 0]


def test_pairs_from_the_books() -> None:
    assert not graphs_apart(HEXAGON, TRIANGLES) and graphs_apart_by_pairs(HEXAGON, TRIANGLES)
    assert ROOK.E == SHRIKHANDE.E == 96 and set(ROOK.topology.incoming.count.tolist()) == {6}
    assert not graphs_apart(ROOK, SHRIKHANDE) and not graphs_apart_by_pairs(ROOK, SHRIKHANDE)
    # they are two graphs nevertheless: among a node's neighbours the rook's has two triangles, Shrikhande's a hexagon
    rings = []
    for graph in (ROOK, SHRIKHANDE):
        t = graph.topology
        nx = networkx.Graph(list(zip(t.senders.tolist(), t.receivers.tolist(), strict=True)))
        rings.append(networkx.number_connected_components(nx.subgraph(nx[0])))
    assert rings == [2, 1]
    assert graphs_apart(alike(4, cycle(4)), alike(4, cycle(4)[:3]))


# ---- the models ---------------------------------------------------------------------------------------------------


def standing(name: str) -> str:
    """What a file says of itself, from "Expressivity:" on."""
    return " ".join((zoo.load(name).__doc__ or "").split()).split("Expressivity:")[-1]


FLAT = [name for name in zoo.names() if zoo.load(name).GEOMETRY != "required"]
BOUNDED = [name for name in FLAT if zoo.load(name).BOUND == "1-WL"]
ABOVE = [name for name in FLAT if zoo.load(name).BOUND == "above 1-WL"]


def test_every_file_says_where_it_stands() -> None:
    assert all("1-WL" in standing(name) for name in zoo.names()) and sorted(BOUNDED + ABOVE) == sorted(FLAT)
    for name in zoo.names():  # in words as in the constant
        bounded = "at most 1-WL" in standing(name) or "equal to 1-WL" in standing(name)
        assert bounded if zoo.load(name).BOUND == "1-WL" else "above 1-WL" in standing(name), name
    assert {"gcn", "gilmer", "gin", "dmpnn"} <= set(BOUNDED) and {"gps", "graphormer", "kgnn", "san"} <= set(ABOVE)


def network(name: str, nodes: int = ATOMS, **args: object) -> MPNN:
    torch.manual_seed(1)
    net = zoo.build(name, Inputs(nodes, BONDS), 2, args).to(DTYPE)
    for p in net.parameters():
        p.data += 0.05 * torch.randn_like(p)
    return net.eval()


def lifts() -> list[tuple[Graph, Graph]]:
    rng = torch.Generator().manual_seed(7)
    bases = [random_graph(5, 0.6, rng) for _ in range(4)]
    return [(lift(base, 3, rng), lift(base, 3, rng)) for base in bases if base.E]


def test_lifts_are_equal_to_1_wl_and_some_are_not_to_2_wl() -> None:
    assert len(lifts()) >= 3 and not any(graphs_apart(a, b) for a, b in lifts())
    assert any(graphs_apart_by_pairs(a, b) for a, b in lifts())


@pytest.mark.parametrize("name", BOUNDED)
def test_what_1_wl_cannot_tell_apart_a_bounded_model_cannot(name: str) -> None:
    net = network(name)
    for a, b in [(HEXAGON, TRIANGLES), (ROOK, SHRIKHANDE), *lifts()]:
        assert torch.allclose(net(a)["y"], net(b)["y"], atol=1e-9, rtol=1e-9)
    assert not torch.allclose(net(HEXAGON)["y"], net(lifts()[0][0])["y"], atol=1e-6)  # it does look at the graph


@pytest.mark.parametrize("name", ABOVE)
def test_a_model_above_1_wl_tells_the_hexagon_from_two_triangles(name: str) -> None:
    net = network(name)
    assert not torch.allclose(net(HEXAGON)["y"], net(TRIANGLES)["y"], atol=1e-6, rtol=1e-4)
    if "though not the rook's graph from Shrikhande's" in standing(name):
        assert torch.allclose(net(ROOK)["y"], net(SHRIKHANDE)["y"], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize(
    ("view", "width"),
    [
        (nn.Sequential(RandomWalks(5), Concatenate("walks")), 5),
        (nn.Sequential(Rings(6), Concatenate("ring")), 5),
        (nn.Sequential(LaplacianEigenvectors(3), Concatenate("eigenvectors", "eigenvalues")), 6),
    ],
    ids=["walks", "rings", "eigenvectors"],
)
def test_encodings_take_gin_above_1_wl(view: nn.Sequential, width: int) -> None:
    net = network("gin", ATOMS + width)
    net.view = view
    assert not torch.allclose(net(HEXAGON)["y"], net(TRIANGLES)["y"], atol=1e-6, rtol=1e-4)
    net.view = nn.Sequential(Degree(width - 1), Concatenate("degree"))  # 1-WL knows the degrees
    for a, b in [(HEXAGON, TRIANGLES), *lifts()]:
        assert torch.allclose(net(a)["y"], net(b)["y"], atol=1e-9, rtol=1e-9)


def test_attention_to_all_adds_nothing_by_itself() -> None:
    net = network("gps", walks=0)
    for a, b in [(HEXAGON, TRIANGLES), (ROOK, SHRIKHANDE), *lifts()]:
        assert torch.allclose(net(a)["y"], net(b)["y"], atol=1e-9, rtol=1e-9)


def test_graphormer_needs_its_virtual_node_for_that() -> None:
    net = network("graphormer")
    encodings = nn.Sequential(*net.view[:2])

    def without(graph: Graph) -> Graph:
        graph = encodings(graph)
        return graph.with_nodes(master=torch.zeros(graph.N, 1, dtype=DTYPE)).with_edges(master=torch.zeros(graph.E, 1, dtype=DTYPE))

    mean = MPNN(net.embed, list(net.layers)[:-1], Pool(net.readout.head, segment.mean), view=without)
    assert torch.allclose(mean(HEXAGON)["y"], mean(TRIANGLES)["y"], atol=1e-9, rtol=1e-9)
    star, path = alike(4, [(0, 1), (0, 2), (0, 3)]), alike(4, [(0, 1), (1, 2), (2, 3)])
    assert not torch.allclose(mean(star)["y"], mean(path)["y"], atol=1e-6, rtol=1e-6)


def test_two_sets_see_no_more_than_folklore_2_wl_and_three_do() -> None:
    net, rng, equal = network("kgnn"), torch.Generator().manual_seed(7), 0
    bases = [random_graph(4, 0.7, rng) for _ in range(12)]
    for a, b in [(lift(base, 2, rng), lift(base, 2, rng)) for base in bases if base.E]:
        apart = graphs_apart_by_pairs(a, b)
        assert torch.allclose(net(a)["y"], net(b)["y"], atol=1e-9, rtol=1e-9) is not apart  # of these it misses none
        equal += not apart
    assert 0 < equal < len(bases) - 1
    both = batch([ROOK, SHRIKHANDE])
    for k, apart in ((2, False), (3, True)):
        sets = node_sets(both, k)
        first, second = multisets(colours(sets, nodes=("edges",), edges=()), sets.topology.nodes_by_graph).tolist()
        assert (first != second) is apart
    three = network("kgnn", k=3, set_depth=3)
    assert not torch.allclose(three(ROOK)["y"], three(SHRIKHANDE)["y"], atol=0, rtol=1e-8)


def test_gin_tells_nodes_apart_exactly_as_1_wl_does() -> None:
    net = network("gin")
    rng = torch.Generator().manual_seed(2)
    tables = make_tables(rng, rows=2)
    graph = batch([random_graph(n, p, rng, tables) for n, p in [(7, 0.3)] * 6 + [(1, 0.0), (0, 0.0)] + [(4, 0.5)] * 12])
    h, number = net.states(graph).nodes["h"], colours(graph, 4)
    assert isinstance(h, Tensor)
    near = (h[:, None] - h[None]).abs().amax(-1) < 1e-9
    assert torch.equal(near, number[:, None] == number[None])
    assert int(number.max()) + 1 < graph.N  # some nodes are equal
    y, apart = net(graph)["y"], multisets(number, graph.topology.nodes_by_graph)
    assert torch.equal((y[:, None] - y[None]).abs().amax(-1) < 1e-9, apart[:, None] == apart[None])


class Same(nn.Module):
    """h' = what was collected."""

    def forward(self, nodes: object, messages: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"h": messages["m"]}


def star(*leaves: int) -> Graph:
    """A centre whose neighbours have these kinds."""
    kinds = torch.randn(3, ATOMS, dtype=DTYPE, generator=torch.Generator().manual_seed(0))
    return alike(1 + len(leaves), [(k + 1, 0) for k in range(len(leaves))], kinds[torch.tensor([0, *leaves])])


@pytest.mark.parametrize(
    ("aggregate", "a", "b", "apart"),
    [  # Xu et al. 2019, sec. 5.2 and 5.3: mean sees proportions, max sees which kinds there are, the sum sees the multiset
        (segment.mean, (1, 2), (1, 1, 2, 2), False),
        (segment.mean, (1, 2), (1, 1, 2), True),
        (segment.max, (1, 2), (1, 1, 2), False),
        (segment.max, (1, 1), (1, 2), True),
        (segment.sum, (1, 2), (1, 1, 2, 2), True),
        (segment.sum, (1, 2), (1, 1, 2), True),
    ],
)
def test_multisets_that_aggregations_tell_apart(aggregate: segment.Aggregate, a: tuple[int, ...], b: tuple[int, ...], apart: bool) -> None:
    torch.manual_seed(0)
    layer = Layer(gin.Message(BONDS, ATOMS).to(DTYPE), Same(), aggregate)
    first, second = (layer(g.with_nodes(h=g.nodes["x"])).nodes["h"][0] for g in (star(*a), star(*b)))
    assert torch.allclose(first, second, atol=1e-12) is not apart
    both = batch([star(*a), star(*b)])
    assert bool(colours(both, 1)[0] != colours(both, 1)[1 + len(a)])  # 1-WL tells all of these apart


def test_gcn_cannot_count_neighbours_that_are_all_alike() -> None:
    square, clique = alike(4, cycle(4)), alike(4, list(itertools.combinations(range(4), 2)))  # degrees 2 and 3
    assert graphs_apart(square, clique, 1)
    gcn, gin_ = network("gcn"), network("gin")
    assert torch.allclose(gcn(square)["y"], gcn(clique)["y"], atol=1e-12)  # each row of its propagation matrix adds up to one
    assert not torch.allclose(gin_(square)["y"], gin_(clique)["y"], atol=1e-3)
