"""The player: it knows which steps of a network it has seen, records what comes often, and replays it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from heliograph.errors import HeliographError
from heliograph.graph import Graph, Indexed
from heliograph.model import MPNN
from heliograph.recording import tape as tapes
from heliograph.recording.chain import Chain, Missed, run
from heliograph.recording.places import SIZES, Place, find, walk
from heliograph.recording.sizes import common, foreseen
from heliograph.recording.switch import enabled
from heliograph.recording.tape import Refused, Tape
from heliograph.recording.watch import Watch, kind, state
from heliograph.topology import Topology

MAX_KINDS = 32  # of graphs that are remembered for each network, the least recently used forgotten first
MIN_TAPES, MAX_TAPES = 3, 6  # that must agree before anything is replayed; that are kept, so that sizes vary
MAX_RECORDED, MIN_USE = 60, 4  # recordings of a network from which on each must have been replayed so often on average, or they end
MAX_TRIES = 12  # recordings of one kind without a chain in between
Outputs = Mapping[str, Tensor]
Run = Callable[[], Outputs]


@final
@dataclass(frozen=True, eq=False)
class Program:
    """What a step computes where that is more than a network's answer, such as forces: `run(network, graph)` returns named tensors.

    `run` may differentiate by what it makes of the graph. Beside the graph and the network it may read the `constants`, and nothing
    that ever changes. Its answers have gradients if, and only if, somebody may want them.
    """

    run: Callable[[MPNN, Graph], Outputs]
    constants: tuple[Graph | Tensor, ...] = ()


Given = tuple[Graph | tuple[Graph | Tensor, ...], ...]  # the graph, then what the view makes of it, or a program's constants


@final
class Kind:
    """Graphs of one kind: what was recorded of them."""

    def __init__(self) -> None:
        self.places: list[Place] | None = None  # of what a step derives from topologies, once that is known
        self.flags: list[tuple[Place, Any]] = []  # numbers derived from data, which must be as they were
        self.tapes: list[Tape] = []
        self.chain: Chain | None = None
        self.tries, self.refused = 0, ""


@final
class Player:
    """All that is known of one network, or of a program of it."""

    def __init__(self, model: MPNN, program: bool = False):
        self.watch = Watch(model)
        self.kinds: OrderedDict[Any, Kind] = OrderedDict()
        self.recorded, self.replayed = 0, 0
        self.whole = (
            model.view is not None and not program
        )  # whether the view is recorded, too; else it runs by itself, and what it makes is what a chain reads

    def __call__(self, model: MPNN, graph: Graph, program: Program | None = None) -> Outputs:
        switches = state()
        if switches is None:
            return model(graph) if program is None else program.run(model, graph)
        graphs: Given
        if program is not None:
            graphs, what = (graph, program.constants), kind((graph,))
            run = partial(program.run, model, graph)
        else:
            given = model.taken(graph)
            seen = (given,) if self.whole or model.view is None else (given, model.view(given))
            graphs, what, run = seen, kind(seen), partial(_body, model, seen)
        if what is None:
            return run()
        if not self.watch.same():
            if any(self.watch.hooks):
                return run()
            self.watch, self.kinds = Watch(model), OrderedDict()
        own = self._kind((switches, what))
        if own.chain is not None and (inputs := self._inputs(own, own.chain, graphs)) is not None:
            try:
                found = replay(own.chain, inputs, self.watch.trained() if own.chain.tape.slopes else [], run)
                self.replayed += 1
                return found
            except Missed:
                pass
        return self._recorded(run, graphs, own)

    def _kind(self, key: Any) -> Kind:
        known = self.kinds.get(key)
        if known is None:
            known = self.kinds[key] = Kind()
            if len(self.kinds) > MAX_KINDS:
                self.kinds.popitem(last=False)
        else:
            self.kinds.move_to_end(key)
        return known

    def _inputs(self, known: Kind, chain: Chain, graphs: Given) -> list[Tensor] | None:
        """What the chain reads, found anew; None where it is not like what was recorded."""
        if any(find(place, graphs) != value for place, value in known.flags):
            return None
        own = self.watch.tensors
        inputs = [own[origin[1]] if origin[0] == "network" else find(origin, graphs) for origin in chain.origins]  # type: ignore[index]
        return inputs if chain.fits(inputs, graphs) else None

    def _recorded(self, run: Run, graphs: Given, known: Kind) -> Outputs:
        """Run the network as it is, and note how."""
        if known.refused or self.recorded > max(MAX_RECORDED, self.replayed / MIN_USE):
            return run()
        if known.places is None:
            before = {place for place, _ in walk(graphs)}
            found = run()
            known.places = [place for place, _ in walk(graphs) if place not in before]
            return found
        for place in known.places:
            find(place, graphs)
        found, tape, flags, reason = _taped(run, graphs, self.watch)
        self._learn(known, tape, flags, reason)
        return found

    def _learn(self, known: Kind, tape: Tape | None, flags: list[tuple[Place, Any]], reason: str) -> None:
        known.tries += 1
        self.recorded += 1
        if self.whole and (tape is None or not foreseen(tape)):
            self._apart()
            return
        if tape is None:
            known.refused = reason
            return
        if flags != known.flags:
            known.tapes = []
        known.flags, known.tapes = flags, [*known.tapes, tape][-MAX_TAPES:]
        if len(known.tapes) >= MIN_TAPES:
            try:
                shared = common(known.tapes)
                if self.whole and not shared.foreseen():
                    self._apart()
                    return
                known.chain, known.tries = Chain(shared), 0
            except Refused as why:
                known.tapes, reason = [tape], str(why)
        if known.tries >= MAX_TRIES:
            known.refused, known.tapes = reason or "no two steps of equal kind are alike", []

    def _apart(self) -> None:
        """Begin anew with a view that runs by itself."""
        self.whole, self.kinds = False, OrderedDict()


def _taped(run: Run, graphs: Given, watch: Watch) -> tuple[Outputs, Tape | None, list[tuple[Place, Any]], str]:
    """Run the network: what it returns, the tape (or None and, last, why), and the numbers that were derived from data."""
    flags: list[tuple[Place, Any]] = []
    there: dict[int, tuple[Tensor, Place]] = {}
    counts: dict[Place, int] = {}
    for place, value in walk(graphs):
        if isinstance(value, Tensor):
            there.setdefault(id(value), (value, place))
        elif place[-1] in SIZES or "steps" in place:
            counts[place] = int(value)
        else:
            flags.append((place, value))
    found, tape, reason = tapes.record(run, there | watch.known(), watch.trained())
    if tape is not None:
        tape.counts = counts
    return found, tape, flags, reason


def _body(model: MPNN, graphs: tuple[Graph, ...]) -> Outputs:
    """All of a network, but for a view that has been run."""
    if len(graphs) == 1:
        return model(graphs[0])
    states = graphs[1]
    for name, step in model.chain():
        if name != "view":
            states = step(states)
    return model.answers(states, graphs[0])


class _Replay(torch.autograd.Function):
    """A chain with its derivatives. Second derivatives are those of the network, run again."""

    @staticmethod
    def forward(ctx: Any, chain: Chain, inputs: list[Tensor], again: Any, *parameters: Tensor) -> tuple[Tensor, ...]:
        registers = chain.start(inputs)
        run(chain.forward, registers)
        outputs = tuple(registers[n].detach() for n in chain.outputs)  # what is returned knows this context: no circle
        ctx.chain, ctx.again, ctx.registers = chain, again, registers
        ctx.versions = [registers[n]._version for n in chain.watched]
        ctx.mark_non_differentiable(*(y for y, (_, _, grad) in zip(outputs, chain.tape.outputs, strict=True) if not grad))
        return outputs

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        chain: Chain = ctx.chain
        wanted = [g for g, (_, _, grad) in zip(slopes, chain.tape.outputs, strict=True) if grad]
        if torch.is_grad_enabled():
            return None, None, None, *_again(chain, ctx.again, wanted)
        registers = ctx.registers.copy()
        if [registers[n]._version for n in chain.watched] != ctx.versions:
            raise RuntimeError("a tensor that gradients are computed with was changed in place after the network ran")
        for n, g in zip(chain.tape.slopes, wanted, strict=True):
            registers[n] = g.contiguous()
        run(chain.backward, registers)
        return None, None, None, *(None if n is None else registers[n] for n in chain.gradients)


def _again(chain: Chain, of: tuple[Run, list[Tensor]], slopes: list[Tensor]) -> tuple[Tensor | None, ...]:
    """Gradients that have gradients."""
    again, parameters = of
    if not chain.pure:
        raise HeliographError(
            "second derivatives of a step that draws noise, or changes averages: run it under heliograph.recording.use(False)"
        )
    found = again()
    heads = [found[name] for name, _, grad in chain.tape.outputs if grad]
    return torch.autograd.grad(heads, parameters, slopes, create_graph=True, allow_unused=True)


def replay(chain: Chain, inputs: list[Tensor], parameters: list[Tensor], again: Run) -> Outputs:
    """What `again()` would return. Raises Missed where a size on the way is not as it was, with everything as before."""
    before = _before(chain, inputs)
    try:
        if chain.tape.slopes:
            made = _Replay.apply(chain, inputs, (again, parameters), *parameters)
        else:
            registers = chain.start(inputs)
            run(chain.forward, registers)
            made = tuple(registers[n] for n in chain.outputs)
    except Missed:
        _restore(before)
        raise
    chain.replays += 1
    return {name: y for (name, _, _), y in zip(chain.tape.outputs, made, strict=True)}


def _before(chain: Chain, inputs: list[Tensor]) -> Any:
    if not chain.late:
        return None
    return torch.get_rng_state(), [(x, x.clone()) for x, origin in zip(inputs, chain.tape.inputs.values(), strict=True)
                                   if origin[0] == "network" and not x.requires_grad]  # fmt: skip


def _restore(before: Any) -> None:
    if before is not None:
        torch.set_rng_state(before[0])
        with torch.no_grad():
            for x, value in before[1]:
                x.copy_(value)


def _fresh(graph: Graph) -> Graph:
    """An equal graph of other tensors, of which nothing is known yet."""
    t, one = graph.topology, lambda x: None if x is None else x.clone()
    own = [x.clone() for x in (t.senders, t.receivers, t.n_node, t.n_edge)]
    topology = Topology(*own, N=t.N, R=t.steps, shift=one(t.shift), order=one(t.order))
    nodes, edges, globals = (
        {name: Indexed(f.table.clone(), f.index.clone()) if isinstance(f, Indexed) else f.clone() for name, f in side.items()}
        for side in (graph.nodes, graph.edges, graph.globals)
    )
    return Graph(topology, nodes, edges, globals, one(graph.asked))


def _derived(model: MPNN, first: tuple[Graph, ...], graphs: tuple[Graph, ...]) -> None:
    """Derive from the topologies of `graphs` what a step on equal ones, `first`, derives."""
    before = {place for place, _ in walk(first)}
    _body(model, first)
    for place in [place for place, _ in walk(first) if place not in before]:
        find(place, graphs)


def noted(model: MPNN, graph: Graph) -> str:
    """Return how many calls a step of the network on this graph is recorded as, or why it is not recorded. The network runs twice."""
    switches, given = state(), _fresh(model.taken(graph))
    if switches is None or kind((given,)) is None:
        return "not recorded: switches, or a graph without edges"
    for whole in (True, False) if model.view is not None else (True,):
        graphs = (given,) if whole or model.view is None else (given, model.view(given))
        with torch.enable_grad():
            _derived(model, tuple(map(_fresh, graphs)), graphs)
            _, tape, _, reason = _taped(partial(_body, model, graphs), graphs, Watch(model))
        if tape is not None and (foreseen(tape) or not whole or model.view is None):
            try:
                chain = Chain(common([tape]))
            except Refused as why:
                return f"not recorded: {why}"
            return f"{len(chain.forward)} calls forward and {len(chain.backward)} backward are recorded"
    return f"not recorded: {reason}"


_players: WeakKeyDictionary[MPNN, WeakKeyDictionary[Program, Player]] = WeakKeyDictionary()
_NETWORK = Program(MPNN.__call__)  # stands for the network alone


def play(model: MPNN, graph: Graph, program: Program | None = None) -> Outputs:
    """Return `model(graph)` or `program.run(model, graph)`, replayed where that has been recorded for graphs of this kind.

    Gradients of parameters and second derivatives are as those of `model(graph)`. A graph in which something has a gradient, or one
    without edges, is not replayed.
    """
    if not enabled() or not isinstance(model, MPNN):  # a module of one's own may stand for a network
        return model(graph) if program is None else program.run(model, graph)
    return known(model, program)(model, graph, program)


def known(model: MPNN, program: Program | None = None) -> Player:
    """Return the player of a network, or of a program of it."""
    players = _players.get(model)
    if players is None:
        players = _players[model] = WeakKeyDictionary()
    key = _NETWORK if program is None else program
    found = players.get(key)
    if found is None:
        found = players[key] = Player(model, program is not None)
    return found
