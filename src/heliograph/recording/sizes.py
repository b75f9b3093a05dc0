"""What several tapes of one network have in common: the same calls, in which numbers follow from the sizes of tensors.

A number that was the same on all tapes is taken to stay so; one that differed must be a size of some tensor on all of them, or
follow from sizes in one simple way. Sizes that never differed, and sizes that always agreed, are conditions for what comes later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import final

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


def foreseen(tape: Tape) -> bool:
    """Whether each length on the way is that of an input."""
    known = {length for n in tape.inputs for length in tape.shapes[n]} | {0, 1}
    return all(length in known for n, shape in tape.shapes.items() if n not in tape.inputs for length in shape)


@dataclass(frozen=True, slots=True)
class Common:
    """The newest of several tapes, its numbers as sizes where they vary, and the conditions: `fixed` shapes {number: (length or None, ...)}
    and groups of (number, dim) that are `equal`."""

    tape: Tape
    leaves: tuple[tuple[object, ...], ...]  # of each call
    fixed: dict[int, tuple[int | None, ...]]
    equal: tuple[tuple[tuple[int, int], ...], ...]

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
    return Common(newest, tuple(leaves), fixed, tuple(tuple(group) for group in varied.values() if len(group) > 1))


def _alike(a: Tape, b: Tape) -> bool:
    """Whether two tapes differ in nothing but numbers and lengths."""
    same = (a.forward, a.outputs, a.slopes, a.gradients, a.count, list(a.seeds)) == (
        b.forward, b.outputs, b.slopes, b.gradients, b.count, list(b.seeds))  # fmt: skip
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

    def __call__(self, values: tuple[object, ...]) -> object:
        head = values[0]
        if all(type(v) is type(head) and v == head for v in values):
            return head
        if any(type(v) is not int for v in values):
            kinds = "the sampled noise" if any(isinstance(v, Slot) for v in values) else f"a {type(head).__name__}"
            raise Refused(f"{kinds} differs from step to step")
        numbers = tuple(v for v in values if isinstance(v, int))
        found = next(self._ways(numbers), None)
        if found is None:
            raise Refused(f"numbers in it ({numbers}) follow from no size")
        return found

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
