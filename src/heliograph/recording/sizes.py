"""What several tapes of one network have in common: the same calls, in which numbers follow from the sizes of tensors.

A number that was the same on all tapes is taken to stay so; one that differed must be a size of some tensor on all of them, or
follow from sizes in one simple way. Sizes that never differed, sizes that always agreed, sizes that followed from one another
(v = u + c, v = k u, w = u + v), and several ways to one number are conditions for what comes later: a few tapes can't tell what is
so by nature from what was so by chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import final

from heliograph.recording.places import Place
from heliograph.recording.tape import Refused, Slot, Tape

MAX_FACTOR = 4096  # of a size: heads times channels, say


@final
@dataclass(frozen=True, slots=True)
class Size:
    """scale * (length of tensor `number` along `dim`, and of `other` if there is one) + more."""

    number: int
    dim: int
    scale: int = 1
    more: int = 0
    other: tuple[int, int] | None = None

    def of(self, length: int, other: int = 0) -> int:
        """Return the number that it stands for."""
        return self.scale * (length + other) + self.more

    @property
    def numbers(self) -> tuple[int, ...]:
        """The tensors whose lengths it needs."""
        return (self.number,) if self.other is None else (self.number, self.other[0])


Relation = tuple[Size, Size]  # two sizes that were equal on all tapes


def foreseen(tape: Tape) -> bool:
    """Whether each length on the way is that of an input."""
    known = {length for n in tape.inputs for length in tape.shapes[n]} | {0, 1}
    return all(length in known for n, shape in tape.shapes.items() if n not in tape.inputs for length in shape)


@dataclass(frozen=True, slots=True)
class Common:
    """The newest of several tapes, its numbers as sizes where they vary, and the conditions: `fixed` shapes {number: (length or None, ...)}
    groups of (number, dim) that are `equal`, `related` sizes, and the topology's own `counts`."""

    tape: Tape
    leaves: tuple[tuple[object, ...], ...]  # of each call
    fixed: dict[int, tuple[int | None, ...]]
    equal: tuple[tuple[tuple[int, int], ...], ...]
    related: tuple[Relation, ...]
    counts: tuple[tuple[Place, int | Size], ...]

    def foreseen(self) -> bool:
        """Whether every length on the way was always that of some input, or never varied."""
        agree = {at for group in self.equal if group[0][0] in self.tape.inputs for at in group}
        return all(
            n in self.tape.inputs or length is not None or (n, d) in agree
            for n, shape in self.fixed.items()
            for d, length in enumerate(shape)
        )


def common(tapes: Sequence[Tape]) -> Common:
    """Return what the tapes have in common. Raises Refused where their calls differ, or a number can't be explained."""
    first, newest = tapes[0], tapes[-1]
    for tape in tapes[1:]:
        if not _alike(first, tape):
            raise Refused("two steps of equal kind made different calls")
    lengths = {(n, d): tuple(t.shapes[n][d] for t in tapes) for n, shape in newest.shapes.items() for d in range(len(shape))}
    varied: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for at, values in lengths.items():
        if len(set(values)) > 1:
            varied.setdefault(values, []).append(at)
    for group in varied.values():
        group.sort(key=lambda at: at[0] not in newest.inputs)  # those of inputs first: they are there before anything runs
    explain, leaves = _Explain(varied, newest), []
    for k, call in enumerate(newest.calls):
        leaves.append(tuple(explain(values) for values in zip(*(t.calls[k].leaves for t in tapes), strict=True)))
        explain.made = max([explain.made, *(n for n in call.results if n is not None)])
    fixed = {n: tuple(shape[d] if len(set(lengths[n, d])) == 1 else None for d in range(len(shape))) for n, shape in newest.shapes.items()}
    equal = tuple(tuple(group) for group in varied.values() if len(group) > 1)
    places = {values: group[0] for values, group in varied.items()}
    related = dict.fromkeys([*_related(places), *explain.ambiguous])
    counts = _counted(tapes, {values: at for values, at in places.items() if at[0] in newest.inputs})
    return Common(newest, tuple(leaves), fixed, equal, tuple(related), tuple(counts))


def _related(varied: Mapping[tuple[int, ...], tuple[int, int]]) -> Iterator[Relation]:
    """Yield sizes that follow from others on all tapes: one of each family v = u + c or v = k u, and w = u + v between families."""
    families: dict[tuple[int, ...], tuple[int, int]] = {}
    for values, at in varied.items():
        for known, place in families.items():
            if (way := _line(known, values)) is not None:
                yield Size(*place, *way), Size(*at)
                break
            if (way := _line(values, known)) is not None:
                yield Size(*at, *way), Size(*place)
                break
        else:
            families[values] = at
    for (u, one), (v, two) in combinations(families.items(), 2):
        total = tuple(a + b for a, b in zip(u, v, strict=True))
        if total in families:
            yield Size(*one, other=two), Size(*families[total])


def _line(u: tuple[int, ...], v: tuple[int, ...]) -> tuple[int, int] | None:
    """k and c with v = k u + c, where k is 1 or c is 0; None where there are none."""
    if len({b - a for a, b in zip(u, v, strict=True)}) == 1:
        return 1, v[0] - u[0]
    k = v[0] // u[0] if u[0] else 0
    return (k, 0) if 1 < k <= MAX_FACTOR and all(b == k * a for a, b in zip(u, v, strict=True)) else None


def _counted(tapes: Sequence[Tape], varied: Mapping[tuple[int, ...], tuple[int, int]]) -> Iterator[tuple[Place, int | Size]]:
    """Yield each number of a topology that a step can read: what it was on all tapes, or the size of an input that it followed."""
    for place in tapes[-1].counts:
        values = tuple(t.counts.get(place, -1) for t in tapes)
        if len(set(values)) == 1:
            yield place, values[0]
            continue
        for known, at in varied.items():
            if (way := _line(known, values)) is not None:
                yield place, Size(*at, *way)
                break


def _alike(a: Tape, b: Tape) -> bool:
    """Whether two tapes differ in nothing but numbers and lengths."""
    same = (a.forward, a.outputs, a.slopes, a.gradients, a.count, list(a.seeds), a.decisions) == (
        b.forward, b.outputs, b.slopes, b.gradients, b.count, list(b.seeds), b.decisions)  # fmt: skip
    if not same or len(a.calls) != len(b.calls) or list(a.inputs.items()) != list(b.inputs.items()) or list(a.shapes) != list(b.shapes):
        return False
    if any(len(a.shapes[n]) != len(b.shapes[n]) for n in a.shapes):
        return False
    return all(
        x.function is y.function and x.spec == y.spec and x.results == y.results and x.several == y.several and x.idle == y.idle
        for x, y in zip(a.calls, b.calls, strict=True)
    )


class _Explain:
    """A leaf of all tapes as one thing: what it was on all of them, or a size."""

    def __init__(self, varied: dict[tuple[int, ...], list[tuple[int, int]]], tape: Tape):
        self.varied, self.inputs, self.made = varied, tape.inputs, -1  # `made`: the last number that a call has given so far
        self.ambiguous: list[Relation] = []  # ways to one number, of which only one can be meant

    def __call__(self, values: tuple[object, ...]) -> object:
        head = values[0]
        if all(type(v) is type(head) and (v == head or (v != v and head != head)) for v in values):  # NaN is like NaN
            return head
        if any(type(v) is not int for v in values):
            kinds = "the sampled noise" if any(isinstance(v, Slot) for v in values) else f"a {type(head).__name__}"
            raise Refused(f"{kinds} differs from step to step")
        numbers = tuple(v for v in values if isinstance(v, int))
        found = list(self._ways(numbers))
        if not found:
            raise Refused(f"numbers in it ({numbers}) follow from no size")
        self.ambiguous += [(found[0], other) for other in found[1:]]
        return found[0]

    def _sizes(self) -> dict[tuple[int, ...], tuple[int, int]]:
        """A tensor and its axis for each length that varies, of tensors that are there by now."""
        there = {
            values: next((at for at in group if at[0] in self.inputs or at[0] <= self.made), None) for values, group in self.varied.items()
        }
        return {values: at for values, at in there.items() if at is not None}

    def _ways(self, numbers: tuple[int, ...]) -> Iterator[Size]:
        """The simplest way first: a length, one more or less, a multiple, a sum of two."""
        sizes = self._sizes()
        if numbers in sizes:
            yield Size(*sizes[numbers])
        for more in (1, -1):
            if (values := tuple(n - more for n in numbers)) in sizes:
                yield Size(*sizes[values], more=more)
        for values, at in sizes.items():
            scale = numbers[0] // values[0] if values[0] else 0
            if 1 < scale <= MAX_FACTOR and all(n == scale * v for n, v in zip(numbers, values, strict=True)):
                yield Size(*at, scale=scale)
        for (a, at), (b, other) in combinations(sizes.items(), 2):
            if all(n == x + y for n, x, y in zip(numbers, a, b, strict=True)):
                yield Size(*at, other=other)
