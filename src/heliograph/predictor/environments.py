"""Environments already met: what a network computes for an atom or a bond is kept from batch to batch, while a library streams through.

Rows of equal 1-WL colour have equal states (`algebra.colour`), in one batch or in two. Here colours are hashes that mean the same in
every batch, and two kinds of work are done once a colour and looked up ever after: linear maps of edges inside a message, and the
updates of nodes, which run on one node of each colour. That an update is a function of single nodes is not believed but seen, on some
molecules for which every step is computed in the plain way too.

Two different environments have the same hash with a probability of n^2 / 2^65: 3e-8 for a million environments.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn

from heliograph import algebra
from heliograph.algebra import colour
from heliograph.algebra.colour import Distinct
from heliograph.errors import HeliographError
from heliograph.graph import Feature, Features, Graph, Indexed, dense, take
from heliograph.layer import Layer
from heliograph.model import MPNN, Step
from heliograph.topology import Topology

CHECKED = 64  # molecules for which every step is computed in the plain way too
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}  # of the largest value; sums in another order differ by rounding
REFUSALS = (HeliographError, RuntimeError, IndexError, KeyError, TypeError, ValueError, AttributeError)
Update = Callable[[Features, Mapping[str, Tensor]], Mapping[str, Tensor]]


@final
class Environments:
    """What one network computed, in at most `most_bytes`; what is met when that is full is computed each time.

    `codes` numbers the rows of features for `Store.build(..., known=codes)`: colours begin at these numbers, which must be those of the
    batches before. Use it for inference alone, and for one network whose weights stay as they are.
    """

    def __init__(self, most_bytes: int = 2**28):
        self.codes: tuple[dict[bytes, int], dict[bytes, int]] = ({}, {})
        self.left, self.at = most_bytes, ""
        self.tables: dict[Hashable, _Table] = {}
        self.checked, self.checking, self.off = False, False, False
        self.parameters: set[int] = set()  # where they lie
        self.single: dict[str, set[str]] = {}  # step -> the node features that it makes of single nodes
        self.inputs: dict[str, set[str]] = {}  # step -> what has colours before it; in a batch where less has, nothing is looked up
        self.keep: set[str] = set()  # steps whose results are kept

    def check(self, model: MPNN, graph: Graph) -> None:
        """Find out, on a small batch, which steps of the network are functions of single nodes. Before the first `run`."""
        self.checking, self.off = True, not algebra.enabled()
        self.parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
        try:
            if not self.off:
                with torch.inference_mode(), colour.kept_in(self):
                    model.answers(model.states(graph, self.step), graph)
        except REFUSALS:
            self.off = True  # some step wants its features as plain tensors
        self.checking, self.checked = False, True

    def predict(self, model: MPNN, graph: Graph) -> dict[str, Tensor]:
        """`model(graph)`."""
        if self.off:
            with torch.inference_mode():
                result: dict[str, Tensor] = model(graph)
            return result
        with torch.inference_mode(), colour.kept_in(self):
            return model.answers(model.states(graph, self.step), graph)

    def rows(self, weights: Sequence[Tensor], distinct: Distinct, compute: Callable[[Tensor], Tensor], most: int) -> Tensor | None:
        """A linear map of edges, by parameters of the network; a matrix that is made on the way may be another the next time."""
        if distinct.hashes is None or not all(w.untyped_storage().data_ptr() in self.parameters for w in weights):
            return compute(distinct.rows) if len(distinct.rows) <= most else None
        what = tuple((w.data_ptr(), w.stride(), w.shape) for w in weights)
        found = self.recall(what, distinct, lambda rows: {"": compute(rows)}, most)
        return None if found is None else found[""]

    def recall(
        self, what: Hashable, distinct: Distinct, compute: Callable[[Tensor], dict[str, Tensor]], most: int
    ) -> dict[str, Tensor] | None:
        """Return one row per colour, [C, ...]; `compute(row numbers)` makes missing ones. None: more than `most` are missing."""
        assert distinct.hashes is not None
        table = self.tables.setdefault((self.at, what), _Table())
        place = table.find(distinct.hashes)
        new = (place < 0).nonzero().squeeze(1)
        if len(new) > most:
            return None
        if not len(new):
            return {name: rows[place] for name, rows in table.rows.items()}
        fresh = compute(distinct.rows[new])
        if len(new) == len(place):
            found = fresh
        else:
            found = {name: rows[place.clamp(min=0)].index_copy_(0, new, fresh[name]) for name, rows in table.rows.items()}
        self.left -= table.add(distinct.hashes[new], fresh, self.left)
        return found

    def step(self, name: str, module: Step, graph: Graph) -> Graph:
        """`module(graph)`, the step of the network that has this name."""
        self.at = name
        if not isinstance(module, nn.Module) or name == "view":
            return module(graph)
        if self.checking:
            self._learn(name, module, graph)
        graph, messages, update, rest = _parts(module, graph)
        inputs = _inputs(graph, messages) if self.single[name] else None
        if inputs is None or set(inputs) != self.inputs[name]:
            return rest()
        found = self._once(graph, messages, update, inputs) if name in self.keep else None
        if found is not None:
            return graph.with_nodes(**found)
        result = rest()
        for of in self.single[name]:
            feature = result.nodes[of]
            if isinstance(feature, Tensor) and not colour.known(feature):
                colour.put(feature, list(inputs.values()), colour.together)
        return result

    def _learn(self, k: str, module: nn.Module, graph: Graph) -> None:
        """Which node features the step makes of single nodes: those that come out the same when it sees one node of each colour."""
        with algebra.use(False), colour.kept_in(None):
            whole: Graph = module(graph)
        graph, messages, update, rest = _parts(module, graph)
        result = rest()
        for theirs, ours in ((whole.nodes, result.nodes), (whole.edges, result.edges)):
            if not all(_close(f, ours[name]) for name, f in theirs.items()):
                raise HeliographError("one map of two things of one colour in one step")  # nothing can be kept of this network
        self.single[k] = set()
        inputs = _inputs(graph, messages)
        if inputs is None or whole.topology is not graph.topology:
            return
        self.inputs[k] = set(inputs)
        try:
            found = self._once(graph, messages, _in_halves(update), inputs, least=0.0) or {}
        except REFUSALS:  # it wants more than single nodes
            return
        self.single[k] = {name for name, f in found.items() if name in whole.nodes and _close(whole.nodes[name], f)}
        weights = (module.update if isinstance(module, Layer) else module).parameters()
        wide = any(p.dim() > 1 and p.numel() >= colour.LEAST_WIDTH**2 for p in weights)
        if wide and self.single[k] == set(found) == _changes(whole, graph):
            self.keep.add(k)

    def _once(
        self, graph: Graph, messages: Mapping[str, Tensor], update: Update, inputs: Mapping[str, Tensor], least: float = 0.25
    ) -> dict[str, Feature] | None:
        """What `update` makes of nodes and messages, run on one node of each new colour. None where it would save less than `least`."""
        distinct = colour.distinct(list(inputs.values()))
        assert distinct is not None

        def compute(rows: Tensor) -> dict[str, Tensor]:
            nodes = Features({name: take(graph.nodes[name], rows) for name in inputs if name in graph.nodes}, "node")
            return dict(update(nodes, {name: m[rows] for name, m in messages.items()}))

        found = self.recall("nodes", distinct, compute, int((1 - least) * graph.N))
        return None if found is None else {name: Indexed(rows, distinct.colour) for name, rows in found.items()}


def _parts(module: nn.Module, graph: Graph) -> tuple[Graph, dict[str, Tensor], Update, Callable[[], Graph]]:
    """The graph after the edges' update, the messages, what is left to do as a function of nodes and messages, and as one of nothing."""
    if not isinstance(module, Layer):
        return graph, {}, lambda nodes, _: _alone(module, nodes), lambda: module(graph)
    graph, messages = module.messages(graph)
    return graph, messages, module.update, lambda: graph.with_nodes(**module.update(graph.nodes, messages))


def _in_halves(update: Update) -> Update:
    """The same function of single nodes; one that looks across nodes is another."""

    def both(nodes: Features, messages: Mapping[str, Tensor]) -> dict[str, Tensor]:
        n = len(next(iter(nodes.values())))
        halves = []
        for rows in (torch.arange(0, n, 2), torch.arange(1, n, 2)):
            half = Features({name: take(f, rows) for name, f in nodes.items()}, "node")
            halves.append(update(half, {name: m[rows] for name, m in messages.items()}))
        order = torch.cat([torch.arange(0, n, 2), torch.arange(1, n, 2)]).argsort()
        return {name: torch.cat([half[name] for half in halves])[order] for name in halves[0]}

    return both


def _inputs(graph: Graph, messages: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The colours of node features, where they have some, and of messages, which must."""
    if not all(colour.known(m) for m in messages.values()):
        return None
    nodes = {name: c for name, f in graph.nodes.items() if (c := colour.of_feature(f, f"node {name}")) is not None}
    return nodes | {f"message {name}": colour.of(m) for name, m in messages.items()} if nodes else None


def _alone(module: nn.Module, nodes: Features) -> dict[str, Tensor]:
    """The node features that a module of graphs gives to nodes without edges."""
    n = len(next(iter(nodes.values())))
    none = torch.zeros(0, dtype=torch.long)
    before = Graph(Topology(none, none, torch.tensor([n]), torch.tensor([0]), N=n), nodes)
    after = module(before)
    return {name: dense(after.nodes[name]) for name in _changes(after, before)}


def _changes(after: Graph, before: Graph) -> set[str]:
    """Names of node features that are new."""
    return {name for name, f in after.nodes.items() if name not in before.nodes or f is not before.nodes[name]}


def _close(a: Feature, b: Feature) -> bool:
    x, y = dense(a), dense(b)
    if x.shape != y.shape or x.dtype != y.dtype or not x.is_floating_point():
        return torch.equal(x, y)
    scale = float(x.abs().max()) if x.numel() else 0.0
    return bool(((x - y).abs() <= TOLERANCE.get(x.dtype, 1e-2) * scale).all())


@final
class _Table:
    """Hash -> row, for several arrays of rows. Hashes lie in sorted runs, each twice as long as the next or more: adding is cheap."""

    def __init__(self) -> None:
        self.runs: list[tuple[Tensor, Tensor]] = []  # hashes, places
        self.rows: dict[str, Tensor] = {}  # name -> [room, ...]
        self.used = self.room = 0

    def find(self, hashes: Tensor) -> Tensor:
        """The place of each hash, -1 where it is not here."""
        place = torch.full_like(hashes, -1)
        for known, places in self.runs:
            at = torch.searchsorted(known, hashes).clamp(max=len(known) - 1)
            place = torch.where(known[at] == hashes, places[at], place)
        return place

    def add(self, hashes: Tensor, fresh: Mapping[str, Tensor], left: int) -> int:
        """Add rows for sorted hashes that are not here, in at most `left` more bytes of room, or none; return the bytes taken."""
        end, width = self.used + len(hashes), sum(rows[:1].numel() * rows.element_size() for rows in fresh.values())
        room = self.room if end <= self.room else min(max(end, 2 * self.used), self.room + left // max(width, 1))
        if room < end:
            return 0
        taken, self.room = (room - self.room) * width, room
        for name, rows in fresh.items():
            if name not in self.rows or len(self.rows[name]) < room:
                larger = rows.new_empty(room, *rows.shape[1:])
                if self.used:
                    larger[: self.used] = self.rows[name][: self.used]
                self.rows[name] = larger
            self.rows[name][self.used : end] = rows
        self.runs.append((hashes, torch.arange(self.used, end, device=hashes.device)))
        self.used = end
        while len(self.runs) > 1 and 2 * len(self.runs[-1][0]) > len(self.runs[-2][0]):
            (a, p), (b, q) = self.runs.pop(), self.runs.pop()
            known, order = torch.cat([a, b]).sort()
            self.runs.append((known, torch.cat([p, q])[order]))
        return taken
