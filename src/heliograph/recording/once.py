"""What of a tape need not be computed twice, and what can be computed first: the same results by fewer calls, and none to take back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import final

import torch

from heliograph.recording.shortcuts import changes, normalises
from heliograph.recording.sizes import Size
from heliograph.recording.tape import Call, Slot, Tape


def read(leaves: Iterable[object]) -> set[int]:
    """Return the numbers of the tensors that arguments need, for their values or their sizes."""
    return {n for x in leaves for n in ((x.number,) if isinstance(x, Slot) else x.numbers if isinstance(x, Size) else ())}


@final
class Memory:
    """Which tensors of a tape share memory with one that a call changes (`touched`), or with one from outside (`outside`)."""

    def __init__(self, tape: Tape):
        kin = [read(c.leaves) | _made(c) for c in tape.calls if any(a.alias_info is not None for a in c.function._schema.arguments)]
        self.touched = _closed({n for c in tape.calls if changes(c) for n in read(c.leaves) | _made(c)}, kin)
        self.outside = _closed(set(tape.inputs), kin)

    def free(self, call: Call) -> bool:
        """Whether a call gives the same wherever it stands: it changes nothing, and nothing changes what it reads or makes."""
        own = read(call.leaves)
        return not changes(call) and self.touched.isdisjoint(own | _made(call)) and own.isdisjoint(_made(call))

    def lasting(self, call: Call) -> bool:
        """Whether a call changes what is seen after the step: averages of a network, the state of the random numbers."""
        drawn = torch.Tag.nondeterministic_seeded in call.function.tags
        return changes(call) and (drawn or normalises(call) or not self.outside.isdisjoint(_made(call) or read(call.leaves)))


def _made(call: Call) -> set[int]:
    return {n for n in call.results if n is not None}


def _closed(found: set[int], kin: Sequence[set[int]]) -> set[int]:
    """All that is related to a member of `found` by a chain of views."""
    while True:
        grown = found.union(*(group for group in kin if not found.isdisjoint(group)))
        if len(grown) == len(found):
            return found
        found = grown


def ordered(tape: Tape, leaves: Sequence[Sequence[object]], needed: set[int], stops: set[int], memory: Memory) -> list[int]:
    """Return the calls that are `needed` in an order in which those that `stops` follow from come first, where that changes nothing.

    `stops`: results after which a replay may have to end, which is best known before averages have moved.
    """
    calls = sorted(needed)
    maker = {n: k for k in calls if k < tape.forward for n in _made(tape.calls[k])}
    first: set[int] = set()
    ahead = [maker[n] for n in stops if n in maker]
    while ahead:
        k = ahead.pop()
        if k not in first:
            first.add(k)
            ahead += [maker[n] for n in read(leaves[k]) if n in maker]
    if not all(memory.free(tape.calls[k]) for k in first):
        return calls
    return [*sorted(first), *(k for k in calls if k not in first)]
