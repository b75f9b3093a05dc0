"""A card for each architecture: what its file says, and what was measured on it: what it sees, what a step costs, what it tells apart.

    python -m heliograph.cards > docs/architectures.md

Nothing is written twice: words come from the file's docstring, the rest is found by running the network on small graphs.
"""

from __future__ import annotations

import inspect
import itertools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from heliograph import zoo
from heliograph.batching import batch
from heliograph.chem.featurizer import preset
from heliograph.errors import HeliographError
from heliograph.geometry import with_vectors
from heliograph.graph import Graph, dense
from heliograph.model import MPNN, Inputs
from heliograph.plan import plan
from heliograph.wl import colours, multisets

WIDTH = 3  # of x and of edge_attr in the graphs that are tried
GEOMETRY = {"none": "bonds", "optional": "bonds; positions where given", "required": "positions"}
Points = Sequence[Sequence[float]]
_TOLERANCE = 1e-9  # float64; below it two outputs are one


@dataclass(frozen=True)
class Card:
    """One architecture. `apart` counts, of `of` pairs of small graphs that 1-WL tells apart, those that it does; None: needs positions."""

    name: str
    text: str
    featurizer: str
    geometry: str
    edge_features: bool
    direction: bool
    hexagon: bool | None
    rook: bool | None
    apart: int | None
    of: int
    cost: str
    parameters: int
    arguments: tuple[tuple[str, str], ...]
    notes: str
    parts: bool = True
    clouds: tuple[bool, ...] | None = None

    def __str__(self) -> str:
        lines = [self.text, "", *self.measured(), "", "arguments (--arch-args NAME=VALUE):"]
        lines += [f"  {name:<14} {f'default {value}' if value else ''}".rstrip() for name, value in self.arguments]
        return "\n".join([*lines, *(["", self.notes] if self.notes else [])])

    def measured(self) -> list[str]:
        """What was found by running it."""
        seen = [
            GEOMETRY[self.geometry],
            *(["edge features"] if self.edge_features else []),
            *(["direction of edges"] if self.direction else []),
        ]
        blind = [*([] if self.edge_features else ["edge features"]), *([] if self.direction else ["direction of edges"])]
        lines = [f"sees        {', '.join(seen)}" + (f"; not {', nor '.join(blind)}" if blind else "")]
        lines += [
            f"features    {self.featurizer}",
            f"a step      {self.cost}",
            *([] if self.parts else ["large       needs the whole graph at once: no sampling of neighbours"]),
            f"parameters  {self.parameters:,} with the defaults and these features",
        ]
        if self.apart is not None:
            words = {True: "not equal", False: "equal"}
            lines += [
                f"checked     of {self.of} pairs of small graphs without labels that 1-WL tells apart, it tells apart {self.apart}",
                f"            hexagon and two triangles (equal to 1-WL): {words[bool(self.hexagon)]}",
                f"            4 x 4 rook's graph and Shrikhande's (equal to folklore 2-WL): {words[bool(self.rook)]}",
            ]
        if self.clouds is not None:
            told = zip(CLOUDS, self.clouds, strict=True)
            lines.append("checked     different surroundings of an atom that are equal in")
            lines += [f"            {what}: {'told apart' if apart else 'not told apart'}" for what, apart in told]
        return lines


def card(arch: str) -> Card:
    """The card of an architecture, by name or path (seconds)."""
    module = zoo.load(arch)
    text = inspect.cleandoc(module.__doc__ or "(no docstring)")
    geometry, features = module.GEOMETRY, preset(module.FEATURIZER)
    inputs = Inputs(features.atom_width, features.bond_width, geometry == "required")
    net = _network(arch, geometry)
    pairs = _pairs()
    flat = geometry != "required"
    parameters = sum(p.numel() for p in zoo.build(arch, inputs, 1).parameters())
    return Card(
        name=module.__name__.rsplit(".", 1)[-1],
        text=text,
        featurizer=module.FEATURIZER,
        geometry=geometry,
        edge_features=_differs(net, lambda g: g, lambda g: g.with_edges(edge_attr=dense(g.edges["edge_attr"]).flip(0))),
        direction=_differs(net, lambda g: g, _reversed),
        hexagon=_apart(net, HEXAGON, TRIANGLES) if flat else None,
        rook=_apart(net, ROOK, SHRIKHANDE) if flat else None,
        apart=sum(_apart(net, a, b) for a, b in pairs) if flat else None,
        of=len(pairs),
        cost=_cost(arch, module),
        parameters=parameters,
        arguments=tuple((k, _default(p)) for k, p in inspect.signature(module.build).parameters.items() if k not in ("inputs", "out")),
        notes=inspect.cleandoc(module.build.__doc__ or ""),
        parts=zoo.takes_parts(arch),
        clouds=None if flat else clouds(net),
    )


def title(text: str) -> tuple[str, str]:
    """What a docstring calls the architecture, and its paper: authors, year, identifier ("" where it says none)."""
    first = " ".join(inspect.cleandoc(text).split("\n\n")[0].split())
    paper = re.search(r" \(([^()]*\b\d{4}\b[^()]*)\)", first)
    return (first[: paper.start()], paper[1]) if paper else (first, "")


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return ""
    return str(getattr(parameter.default, "__name__", repr(parameter.default)))


# ---- what it sees and tells apart -----------------------------------------------------------------------------------


def _network(arch: str, geometry: str, **args: Any) -> MPNN:
    """With random weights in float64, away from zeros and ones that hide what it can do."""
    state = torch.get_rng_state()
    torch.manual_seed(0)
    net = zoo.build(arch, Inputs(WIDTH, WIDTH, geometry == "required"), 1, args).double()
    for p in net.parameters():
        p.data += 0.05 * torch.randn_like(p)
    torch.set_rng_state(state)
    return net.eval()


def _graph(n: int, pairs: Sequence[tuple[int, int]], both: bool = True) -> Graph:
    """A graph whose nodes and edges all look the same."""
    a, b = torch.tensor(pairs, dtype=torch.long).view(-1, 2).T
    senders, receivers = (torch.cat([a, b]), torch.cat([b, a])) if both else (a, b)
    nodes = {"x": torch.ones(n, WIDTH, dtype=torch.float64), "z": torch.full((n,), 6), "pos": _positions(n)}
    return Graph.build(
        senders, receivers, [n], [len(senders)], nodes=nodes, edges={"edge_attr": torch.ones(len(senders), WIDTH, dtype=torch.float64)}
    )


def _positions(n: int) -> Tensor:
    return torch.randn(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(n))


def _cycle(n: int, first: int = 0) -> list[tuple[int, int]]:
    return [(first + k, first + (k + 1) % n) for k in range(n)]


_GRID = list(itertools.product(range(4), range(4)))
_STEPS = {(0, 1), (0, 3), (1, 0), (3, 0), (1, 1), (3, 3)}
HEXAGON, TRIANGLES = _graph(6, _cycle(6)), _graph(6, _cycle(3) + _cycle(3, 3))
ROOK = _graph(16, [(a, b) for a, b in itertools.combinations(range(16), 2) if (_GRID[a][0] == _GRID[b][0]) != (_GRID[a][1] == _GRID[b][1])])
SHRIKHANDE = _graph(
    16, [(a, b) for a, b in itertools.combinations(range(16), 2) if tuple((_GRID[a][k] - _GRID[b][k]) % 4 for k in (0, 1)) in _STEPS]
)


def star(points: Points) -> Graph:
    """An atom among neighbours at `points`: it sees them and they see it, and no other: vectors are given, so that no view finds more."""
    n = len(points)
    graph = _graph(n + 1, [(0, k) for k in range(1, n + 1)])
    pos = torch.cat([torch.zeros(1, 3, dtype=torch.float64), torch.tensor(points, dtype=torch.float64)])
    return with_vectors(graph.with_nodes(pos=0.4 * pos))


def _turned(points: Points, angle: float) -> list[list[float]]:
    """Turned around the y axis."""
    c, s = math.cos(angle), math.sin(angle)
    return [[c * x + s * z, y, c * z - s * x] for x, y, z in points]


_ABOVE: Points = [[3, 2, -4], [0, 2, 5], [0, 2, -5]]
_SIX: Points = [*_ABOVE, *_turned([[x, -y, z] for x, y, z in _ABOVE], math.pi / 10)]
_FOUR: Points = [[5, 0, 5], [5, 5, 5], [-5, -5, 5]]
CLOUDS: dict[str, tuple[Points, Points]] = {  # what is equal in both
    "distances": ([[5, 0, 0], [3, 0, 4]], [[5, 0, 0], [-5, 0, 0]]),
    "distances and angles of pairs": ([*_FOUR, [0, 5, 5]], [*_FOUR, [0, -5, 5]]),
    "those, and triples up to mirror images": ([*_SIX, [0, 5, 0]], [*_SIX, [0, -5, 0]]),
}
# Different surroundings of one atom that agree in their pairs or triples of neighbours (Pozdnyakov et al. 2020,
# doi:10.1103/PhysRevLett.125.166001; coordinates as in Joshi et al. 2023, arXiv:2301.09308).


def clouds(net: MPNN) -> tuple[bool, ...]:
    """Whether a network tells each of CLOUDS apart."""
    return tuple(_apart(net, star(a), star(b)) for a, b in CLOUDS.values())


def _pairs() -> list[tuple[Graph, Graph]]:
    """Pairs of random graphs of five nodes and as many edges that 1-WL tells apart."""
    rng = torch.Generator().manual_seed(0)
    every = list(itertools.combinations(range(5), 2))
    graphs = [_graph(5, [every[k] for k in torch.randperm(len(every), generator=rng)[:5]]) for _ in range(12)]
    together = batch(graphs)
    kinds = multisets(colours(together, 3), together.topology.nodes_by_graph).tolist()
    return [(graphs[a], graphs[b]) for a, b in itertools.combinations(range(len(graphs)), 2) if kinds[a] != kinds[b]]


def _apart(net: MPNN, a: Graph, b: Graph) -> bool:
    with torch.no_grad():
        y, z = net(a)["y"], net(b)["y"]
    return bool(((y - z).abs() > _TOLERANCE * y.abs().clamp(min=1)).any())


def _differs(net: MPNN, f: Callable[[Graph], Graph], g: Callable[[Graph], Graph]) -> bool:
    """Whether the network answers otherwise for f than for g of a small directed graph with labels."""
    graph = _graph(6, [(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 5), (1, 4)], both=False)
    x = torch.randn(6, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    attr = torch.randn(graph.E, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    graph = graph.with_nodes(x=x).with_edges(edge_attr=attr)
    return _apart(net, f(graph), g(graph))


def _reversed(graph: Graph) -> Graph:
    t = graph.topology
    return Graph.build(t.receivers, t.senders, [t.N], [t.E], nodes=graph.nodes, edges=graph.edges)


# ---- what it costs --------------------------------------------------------------------------------------------------

_TERMS = ("N", "N d", "N d^2", "E", "E d", "E d^2")


def _cost(arch: str, module: ModuleType) -> str:
    """FLOPs of one step in N, E and d, found by counting them at several sizes; where no such formula holds, says so."""
    has_d = "d" in inspect.signature(module.build).parameters
    terms = _TERMS if has_d else ("N", "E")
    rows, flops = [], []
    for d, (n, p) in itertools.product((16, 32, 64) if has_d else (1,), ((12, 0.3), (20, 0.3), (20, 0.6))):
        try:
            counted = _flops(arch, module.GEOMETRY, n, p, {"d": d} if has_d else {})
        except (HeliographError, RuntimeError, ValueError) as error:
            return f"not counted ({error})"
        if counted is None:
            return "no step of its own"
        N, E, f = counted
        rows.append([{"N": N, "E": E}[term[0]] * d ** ("d" in term) * (d if "^" in term else 1) for term in terms])
        flops.append(f)
    relative = np.array(rows, dtype=float) / np.array(flops)[:, None]
    factors = nnls(relative, np.ones(len(flops)))[0]
    kept = (relative * factors).max(0) > 0.005  # of half a percent and more
    factors = np.where(kept, np.array([float(f"{x:.3g}") for x in factors]), 0.0)
    if not np.allclose(relative @ factors, 1, atol=0.02):
        return "no formula in N, E and d (see heliograph models plan)"
    return " + ".join(f"{_short(f)}{t}" for f, t in sorted(zip(factors, terms, strict=True), key=lambda x: -len(x[1])) if f) + " FLOPs"


def _short(x: float) -> str:
    return "" if x == 1 else f"{x:,.0f} " if float(x).is_integer() else f"{x:.3g} "


def _flops(arch: str, geometry: str, n: int, p: float, args: dict[str, Any]) -> tuple[int, int, float] | None:
    """Nodes and edges that the layers see, and FLOPs of a step as the equations are written (products and sums over edges)."""
    rng = torch.Generator().manual_seed(n)
    pairs = [pair for pair in itertools.combinations(range(n), 2) if torch.rand(1, generator=rng) < p]
    net = zoo.build(arch, Inputs(WIDTH, WIDTH, geometry == "required"), 1, args).double().eval()
    steps = sum(type(layer).__name__ == "Layer" for layer in net.layers)
    if not steps:
        return None
    found = plan(net, _graph(n, pairs))
    layers = [s for s in found.steps if re.match(r"layer \d", s.name)]
    return found.sizes["nodes"], found.sizes["edges"], sum(s.plain.flops * s.times for s in layers) / steps


# ---- the page -------------------------------------------------------------------------------------------------------


INTRODUCTION = """# Architectures

Written by `python -m heliograph.cards`: the words are those of the files in `src/heliograph/zoo/`, the rest is measured by running each
network on small graphs. A test keeps the page true.

- *seen*: x edge features, d direction of edges, p positions (in brackets: where given).
- *1-WL*: how many of {of} pairs of small graphs without labels that 1-WL tells apart it does, too, with the defaults.
- *beyond*: h the hexagon and two triangles, which 1-WL does not tell apart; r the 4 x 4 rook's graph and Shrikhande's, which folklore 2-WL
  does not.
- *a step*: FLOPs of products and sums of one layer as the equations are written, to half a percent; N nodes and E directed edges of the
  graph that the layers see, d the width. Other widths are the defaults, counted into the factors. What the edge algebra makes of it is in
  `heliograph models plan NAME`.
- *parameters*: with the defaults and the features that the architecture is used with, for one target.
"""


def page() -> str:
    """docs/architectures.md: a table to compare by, then every card."""
    cards = [card(name) for name in zoo.names()]
    head = [
        *INTRODUCTION.format(of=cards[0].of).splitlines(),
        "",
        "| name | paper | seen | 1-WL | beyond | a step | parameters |",
        "|" + "---|" * 7,
    ]
    return "\n".join([*head, *(row(c) for c in cards), *(section(c) for c in cards)]) + "\n"


def row(c: Card) -> str:
    """Its line in the table."""
    seen = "".join(["x" * c.edge_features, "d" * c.direction, {"none": "", "optional": "(p)", "required": "p"}[c.geometry]])
    name, paper = title(c.text)
    cells = [f"[`{c.name}`](#{c.name})", f"{name} ({paper})" if paper else name, seen]
    cells += ["" if c.apart is None else str(c.apart), "".join(["h" * bool(c.hexagon), "r" * bool(c.rook)])]
    return "| " + " | ".join([*cells, c.cost.removesuffix(" FLOPs"), f"{c.parameters:,}"]) + " |"


def section(c: Card) -> str:
    """Its card in the page."""
    return f"\n## {c.name}\n\n```text\n{c}\n```"


if __name__ == "__main__":
    print(page(), end="")
