"""What colours can tell apart: three sayings about the Weisfeiler-Leman test, tried by name.

Idea: messages between neighbours see no more than 1-WL does; pairs of nodes (folklore 2-WL, which others call 3-WL) see more.
Corrections: the 3 x 3 rook's graph and Petersen's are not a pair that 1-WL confuses: 9 nodes of degree 4 and 10 of degree 3, so
already the first count differs. And 3-WL does not part all strongly regular graphs: not the 4 x 4 rook's graph and Shrikhande's, nor
two of those with 25 nodes (SR25), which come from two Latin squares of order 5.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import networkx
import torch
from page import Claim, gap, graph_of, main
from torch import Tensor

from heliograph import Graph, batch, wl, zoo
from heliograph.model import Inputs

CYCLIC = [[(a + b) % 5 for b in range(5)] for a in range(5)]
OTHER = [[0, 1, 2, 3, 4], [1, 0, 3, 4, 2], [2, 4, 0, 1, 3], [3, 2, 4, 0, 1], [4, 3, 1, 2, 0]]


def rook(n: int) -> networkx.Graph:
    """Squares of a board, joined along rows and columns."""
    return networkx.convert_node_labels_to_integers(networkx.line_graph(networkx.complete_bipartite_graph(n, n)))


def shrikhande() -> networkx.Graph:
    steps = [(0, 1), (1, 0), (1, 1)]
    return networkx.Graph([(4 * a + b, 4 * ((a + x) % 4) + (b + y) % 4) for a in range(4) for b in range(4) for x, y in steps])


def of_square(square: list[list[int]]) -> networkx.Graph:
    """Cells of a Latin square, joined in a row, in a column or by equal letters: strongly regular (25, 12, 5, 6)."""
    cells = [(a, b, square[a][b]) for a in range(5) for b in range(5)]
    return networkx.Graph([(i, j) for i, j in combinations(range(25), 2) if any(x == y for x, y in zip(cells[i], cells[j], strict=True))])


def both(a: networkx.Graph, b: networkx.Graph) -> Graph:
    """Two graphs whose nodes all have the feature 1."""
    return batch([graph_of(g.edges, len(g), x=torch.ones(len(g), 1)) for g in (a, b)])


def apart(graph: Graph, pairs: bool = False, rounds: int | None = None) -> bool:
    """Whether two graphs differ in the colours of their nodes, or of pairs of them."""
    if pairs:
        colour, of = wl.pair_colours(graph, rounds, edges=())
    else:
        colour, of = wl.colours(graph, rounds, edges=()), graph.topology.nodes_by_graph
    first, second = (colour[of.index == g].sort().values for g in range(2))
    return not torch.equal(first, second)


def answers(arch: str, graph: Graph) -> Tensor:
    """What a network with drawn weights says of each graph."""
    torch.manual_seed(0)
    net = zoo.build(arch, Inputs(nodes=1, edges=0), out=4).double().eval()
    with torch.no_grad():
        y: Tensor = net(graph.to(dtype=torch.float64))["y"]
    return y


PAIRS = {
    "hexagon, two triangles": (networkx.cycle_graph(6), networkx.disjoint_union(networkx.cycle_graph(3), networkx.cycle_graph(3))),
    "3 x 3 rook, Petersen": (rook(3), networkx.petersen_graph()),
    "4 x 4 rook, Shrikhande": (rook(4), shrikhande()),
    "two of SR25": (of_square(CYCLIC), of_square(OTHER)),
}


def claims(small: bool) -> list[Claim]:
    hexagon, petersen, board, latin = (both(*pair) for pair in PAIRS.values())
    return [
        Claim("hexagon and two triangles apart by 1-WL", apart(hexagon), 0),
        Claim("what gin says of the two", gap(*answers("gin", hexagon)), 1e-12),
        Claim("they are apart by pairs", apart(hexagon, pairs=True), 1, at_least=True),
        Claim("3 x 3 rook and Petersen apart before the first round", apart(petersen, rounds=0), 1, at_least=True),
        Claim("4 x 4 rook and Shrikhande apart by pairs", apart(board, pairs=True), 0),
        Claim("two graphs of SR25 apart by pairs", apart(latin, pairs=True), 0),
        Claim("pairs of these that are one graph", sum(networkx.is_isomorphic(*pair) for pair in PAIRS.values()), 0),
    ]


def draw(figure: Any) -> None:
    for axes, (title, (a, b)) in zip(figure.subplots(1, 4), PAIRS.items(), strict=True):
        for k, g in enumerate((a, b)):
            at = networkx.circular_layout(g) if len(g) != 10 else networkx.shell_layout(g, [range(5, 10), range(5)], rotate=0)
            at = {v: (x, y - 2.5 * k) for v, (x, y) in at.items()}
            networkx.draw_networkx_edges(g, at, ax=axes, edge_color="0.6", width=0.6)
            networkx.draw_networkx_nodes(g, at, ax=axes, node_size=14, node_color=f"C{k}")
        axes.set_title(title, fontsize=8)
        axes.set_axis_off()


if __name__ == "__main__":
    main(__file__, claims, draw)
