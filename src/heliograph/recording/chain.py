"""A chain: what is on a tape, ready to be run again on other tensors, forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import attrgetter, getitem, itemgetter
from typing import Any, final

from torch import Tensor
from torch.utils._pytree import tree_unflatten

from heliograph.kernels.operator import FUNCTIONS
from heliograph.recording.once import Memory, ordered
from heliograph.recording.places import find
from heliograph.recording.shortcuts import called_with, changes, direct
from heliograph.recording.sizes import Common, Relation, Size
from heliograph.recording.tape import Call, Refused, Slot, Tape, aten

Link = tuple[Callable[..., Any], Callable[[list[Any]], Any], int, tuple[int, ...]]  # what, of which registers, where to, what ends here


@final
class Chain:
    """Registers hold inputs, constants and what is made of them; each link fills one, and empties those that nothing needs any more.

    `watched`: inputs that the backward pass needs.
    """

    def __init__(self, common: Common):
        tape = common.tape
        self.tape, self.fixed, self.equal = tape, common.fixed, common.equal
        self.counts = common.counts
        self.origins = tuple(tape.inputs.values())
        self._given = [n for n, origin in tape.inputs.items() if origin[0] != "network"]  # the network's are watched already
        self._agreed = [found for group in common.equal if len(found := [(n, d) for n, d in group if n in tape.inputs]) > 1]
        self.ahead = [pair for pair in common.related if all(n in tape.inputs for size in pair for n in size.numbers)]
        self._there: set[int] = set()  # results whose size is known from data alone, so far
        self.later: dict[int, list[Relation]] = {}  # by the last tensor that they need
        for pair in common.related:
            after = [n for size in pair for n in size.numbers if n not in tape.inputs]
            if after:
                self.later.setdefault(max(after), []).append(pair)
        self.registers: list[Any] = [None] * tape.count
        self._constants: dict[tuple[type, str], int] = {}
        self._constant: set[int] = set()
        self._alias: dict[int, int] = {}  # register -> the one that holds the same
        self._transposed: dict[int, int] = {}
        self._packs: dict[tuple[Callable[..., Any], tuple[int, ...]], int] = {}
        self._lengths: dict[Size, int] = {}
        self.late = False  # whether a size or a truth value is looked at after something has changed for good
        self._changed = False
        self._memory = Memory(tape)
        self._twins: dict[int, int] = {}  # result of a call that another was like -> the other's
        self._known: dict[Any, Call] = {}
        self._apart = {n for _, n, _ in tape.outputs} | {n for n in tape.gradients if n is not None}
        self._links: list[tuple[Callable[..., Any], tuple[int, ...], int]] = []
        needed = _needed(tape)
        middle = 0
        stops = {n for n in self.fixed if n not in tape.inputs} | {*tape.decisions}
        for k in ordered(tape, common.leaves, needed, stops, self._memory):
            self._add(tape.calls[k], common.leaves[k])
            if k < tape.forward:
                middle = len(self._links)
        self._known = {}
        self.outputs = tuple(self._of(n) for _, n, _ in tape.outputs)
        self.gradients = tuple(None if n is None else self._of(n) for n in tape.gradients)
        ends = {n for n in self.gradients if n is not None}
        later = ends | {n for _, own, _ in self._links[middle:] for n in own}
        made = {to for *_, to in self._links[:middle]} | set(tape.inputs)
        saved = later & made
        if any(n in tape.inputs for n in self.outputs) or len(set(self.outputs)) < len(self.outputs):
            raise Refused("it returns what it was given, or one tensor twice")
        self.watched = tuple(n for n in saved if n in tape.inputs)
        self.forward = _ordered(self._links[:middle], {*self.outputs, *saved, *self._constant})
        self.backward = _ordered(self._links[middle:], ends | self._constant)
        self.pure = not any(changes(call) for call in tape.calls)
        self.replays = 0

    def fits(self, inputs: Sequence[Tensor], graphs: tuple[Any, ...]) -> bool:
        """Whether the sizes of the inputs are like those of the tapes, and the numbers of the topologies follow from them as they did."""
        shapes: dict[int, Sequence[int]] = dict(zip(self.tape.inputs, map(_shape, inputs), strict=True))
        for n in self._given:
            shape, wanted = shapes[n], self.fixed[n]
            if len(shape) != len(wanted) or any(b is not None and a != b for a, b in zip(shape, wanted, strict=True)):
                return False
        if any(len({shapes[n][d] for n, d in group}) > 1 for group in self._agreed):
            return False
        if any(_of_shapes(a, shapes) != _of_shapes(b, shapes) for a, b in self.ahead):
            return False
        return all(find(place, graphs) == (size if isinstance(size, int) else _of_shapes(size, shapes)) for place, size in self.counts)

    def start(self, inputs: Sequence[Any]) -> list[Any]:
        """Registers in which the inputs stand."""
        registers = self.registers.copy()
        for n, x in zip(self.tape.inputs, inputs, strict=True):
            registers[n] = x
        return registers

    def _add(self, call: Call, leaves: Sequence[object]) -> None:
        if call.idle or call.function is aten.t.default:
            same = self._seen(call)
            if same is not None:
                self._alias[call.results[0]] = same  # type: ignore[index]
                return
        args = [self._register(x) for x in leaves]
        if self._made_before(call, args):
            return
        self._changed |= self._memory.lasting(call)
        function = direct(call)
        plain, named = tree_unflatten(args, call.spec)
        if (
            named
            and all(n in self._constant for n in named.values() if isinstance(n, int))
            and not any(isinstance(n, list) for n in named.values())
        ):
            function = called_with(function, {name: self.registers[n] for name, n in named.items()})
        elif named:
            function, plain = partial(_by_name, function, tuple(named)), [*plain, *named.values()]
        to = next((n for n in call.results if n is not None), None)
        pack = _arrays if call.function in FUNCTIONS else _tuple
        own = tuple(self._packed(x, pack) for x in plain)
        if call.several or to is None:
            to = self._new()
        self._links.append((function, own, to))
        if call.several:
            for k, n in enumerate(call.results):
                if n is not None:
                    self._links.append((getitem, (to, self._register(k)), n))
        for n in call.results:
            if n in self.fixed:  # its size is known from data alone
                self._check(n)
            if n in self.tape.decisions:
                self._links.append((partial(_decided, self.tape.decisions[n]), (n,), self._new()))
                self.late |= self._changed

    def _made_before(self, call: Call, args: list[int]) -> bool:
        """Whether the results of a call stand in registers already, as those of an equal one; then they are found there."""
        if not self._memory.free(call) or not self._apart.isdisjoint(call.results):
            return False
        first = self._known.setdefault((call.function, tuple(args), call.spec), call)
        if first is call:
            return False
        for n, other in zip(call.results, first.results, strict=True):
            if n is not None and other is not None:
                self._alias[n] = self._twins[n] = self._of(other)
                if n in self.fixed:
                    self._relate(n)
        return True

    def _check(self, number: int) -> None:
        """Let a result be compared with what its size was, or always agreed with, on the tapes."""
        mine = [(d, *group[0]) for group in self.equal for n, d in group if n == number and group[0] != (n, d)]
        own = tuple(self._twins.get(n, n) for n in (number, *(n for _, n, _ in mine)))
        agreeing = partial(_agreeing, self.fixed[number], tuple(d for d, _, _ in mine), tuple(d for _, _, d in mine))
        self._links.append((agreeing, own, self._new()))
        self._relate(number)

    def _relate(self, number: int) -> None:
        """Let sizes that followed from one another on the tapes be compared once the last of them, this one, is there."""
        self.late |= self._changed
        self._there.add(number)
        for pair in self.later.get(number, ()):
            needed = tuple(dict.fromkeys(n for size in pair for n in size.numbers))
            if not {*needed} <= {*self.tape.inputs, *self._there}:
                continue  # of a call that is left out
            own = tuple(self._twins.get(n, n) for n in needed)
            self._links.append((partial(_related, pair, needed), own, self._new()))

    def _seen(self, call: Call) -> int | None:
        """The register in which a view stands already: what it is of, if that is all of it, or a transpose that was made before."""
        own, to = self._of(call.leaves[0].number), call.results[0]
        if call.idle:
            return own
        if own in self._transposed:
            return self._transposed[own]
        assert to is not None
        self._transposed |= {own: to, to: own}
        return None

    def _of(self, number: int) -> int:
        return self._alias.get(number, number)

    def _register(self, x: object) -> int:
        """The register in which an argument stands."""
        if isinstance(x, Slot):
            return self._of(x.number)
        if isinstance(x, Size):
            return self._length(x)
        return self._register_of(x)

    def _register_of(self, x: Any) -> int:
        """The register of a constant."""
        key = (type(x), repr(x))
        if key not in self._constants:
            self._constants[key] = self._new(x)
            self._constant.add(self._constants[key])
        return self._constants[key]

    def _length(self, x: Size) -> int:
        if x not in self._lengths:
            self._lengths[x] = self._new()
            own = tuple(self._twins.get(n, n) for n in x.numbers)  # never another view: its shape is asked for
            self._links.append((partial(_length, x), own, self._lengths[x]))
        return self._lengths[x]

    def _packed(self, x: Any, pack: Callable[..., Any]) -> int:
        """The register of an argument that may be a list: of registers, put together once, when all are there."""
        if not isinstance(x, list | tuple):
            return int(x)
        own = tuple(self._packed(y, pack) for y in x)
        if all(n in self._constant for n in own):
            return self._register_of(tuple(self.registers[n] for n in own))
        if (pack, own) not in self._packs:
            self._packs[pack, own] = self._new()
            self._links.append((pack, own, self._packs[pack, own]))
        return self._packs[pack, own]

    def _new(self, value: Any = None) -> int:
        self.registers.append(value)
        return len(self.registers) - 1


def _needed(tape: Tape) -> set[int]:
    """The calls whose results are used, or that change something."""
    wanted = {n for _, n, _ in tape.outputs} | {n for n in tape.gradients if n is not None} | {*tape.decisions}
    found = set()
    for k in reversed(range(len(tape.calls))):
        call = tape.calls[k]
        if changes(call) or not wanted.isdisjoint(call.results):
            found.add(k)
            wanted.update(x.number for x in call.leaves if isinstance(x, Slot))
    return found


def _length(size: Size, x: Tensor, y: Tensor | None = None) -> int:
    return size.of(x.shape[size.dim], 0 if size.other is None or y is None else y.shape[size.other[1]])


class Missed(Exception):
    """A size or a truth value that data alone tell is not like those of the tapes."""


def _decided(before: bool, now: bool) -> None:
    if now is not before:
        raise Missed


def _agreeing(fixed: tuple[int | None, ...], mine: tuple[int, ...], theirs: tuple[int, ...], x: Tensor, *others: Tensor) -> None:
    same = all(length > 1 if wanted is None else wanted == length for wanted, length in zip(fixed, x.shape, strict=True))
    if not same or any(x.shape[d] != y.shape[c] for d, c, y in zip(mine, theirs, others, strict=True)):
        raise Missed


_shape = attrgetter("shape")


def _of_shapes(size: Size, shapes: Mapping[int, Sequence[int]]) -> int:
    other = 0 if size.other is None else shapes[size.other[0]][size.other[1]]
    return size.of(shapes[size.number][size.dim], other)


def _related(pair: Relation, needed: tuple[int, ...], *tensors: Tensor) -> None:
    shapes = {n: x.shape for n, x in zip(needed, tensors, strict=True)}
    if _of_shapes(pair[0], shapes) != _of_shapes(pair[1], shapes):
        raise Missed


def _by_name(function: Callable[..., Any], names: tuple[str, ...], *args: Any) -> Any:
    """Call a function whose last arguments have names."""
    first = len(args) - len(names)
    return function(*args[:first], **dict(zip(names, args[first:], strict=True)))


def _arrays(*members: Tensor | None) -> tuple[Any, ...]:
    """Indices as the loops of the kernels read them: made once, however many of them do."""
    return tuple(None if x is None else x.numpy() for x in members)


def _tuple(*members: Any) -> tuple[Any, ...]:
    return members


def _ordered(links: Sequence[tuple[Callable[..., Any], tuple[int, ...], int]], kept: set[int]) -> list[Link]:
    """Links whose registers are emptied after their last use, but for those that are `kept`."""
    done: set[int] = set(kept)
    found: list[Link] = []
    for function, own, to in reversed(links):
        last = tuple({n for n in (*own, to) if n not in done})
        done.update(last)
        found.append((function, _picked(own), to, last))
    return found[::-1]


def _picked(own: tuple[int, ...]) -> Callable[[list[Any]], Any]:
    """A function that picks some registers, as a tuple or list."""
    if len(own) == 1:
        return itemgetter(slice(own[0], own[0] + 1))
    return itemgetter(*own) if own else lambda registers: ()


def run(links: Iterable[Link], registers: list[Any]) -> None:
    """Fill registers, link after link."""
    for function, own, to, last in links:
        registers[to] = function(*own(registers))
        for n in last:
            registers[n] = None
