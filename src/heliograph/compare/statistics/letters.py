"""Compact letters: learners that share one can't be told apart, learners that share none differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count, product
from string import ascii_lowercase


def letters(learners: Sequence[str], different: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The letters of each learner; two share a letter if and only if they are not in `different`. The first learner has an a.

    Insert and absorb: H.-P. Piepho, J. Comput. Graph. Stat. 13, 456 (2004). A letter is a set of learners; a pair that differs
    splits each set that holds both, and a set within another is dropped, as is one whose pairs all share other letters.
    """
    place = {name: k for k, name in enumerate(learners)}
    sets = [frozenset(learners)]
    for a, b in different:
        split = [part for whole in sets for part in ((whole - {a}, whole - {b}) if {a, b} <= whole else (whole,))]
        sets = [s for k, s in enumerate(split) if not any(s < other or (s == other and j < k) for j, other in enumerate(split))]
    for whole in sorted(sets, key=len):
        others = [s for s in sets if s != whole]
        if all(any(a in s and b in s for s in others) for a, b in product(whole, whole)):
            sets = others
    ordered = sorted(sets, key=lambda s: sorted(place[name] for name in s))
    return {name: "".join(letter for letter, s in zip(_names(), ordered, strict=False) if name in s) for name in learners}


def _names() -> Iterable[str]:
    """a, b, ..., z, a1, b1, ..."""
    return (letter + (str(k) if k else "") for k in count() for letter in ascii_lowercase)
