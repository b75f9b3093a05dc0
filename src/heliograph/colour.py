"""Rows that must be equal: nodes, or edges, of equal 1-WL colour have equal states, so each distinct state is computed once.

A colour is a whole number per row; equal colours mean equal rows. Colours begin at discrete features, which are small tables of
distinct rows that an index points into (an `Indexed` feature): there the index is the colour. They pass through every function of
single rows, and through sums over neighbours, whose colour is that of the multiset (`heliograph.wl`). Whatever is not followed (a
module that is handed plain tensors, noise, continuous features) ends them: then every row is computed, as without colours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from heliograph import wl
from heliograph.graph import Indexed, Segments

LEAST_ROWS, LEAST_WIDTH = 256, 128  # below, finding the colours costs more than they save
MOST_TYPES = 1 / 8  # of the rows: a table with more rows than that is not called discrete

_colours: Any = WeakTensorKeyDictionary()  # tensor whose rows are coloured, or an index that is a colour -> function that gives the colour


class Distinct(NamedTuple):
    """One row of each colour, [C] long, and the colour of each row, 0 .. C - 1, [E] long."""

    rows: Tensor
    colour: Tensor


def begin(feature: Indexed, index: Tensor | None) -> Tensor:
    """Which row of a feature's table each edge uses, looked up through `index`. It is a colour where the feature is discrete."""
    own = feature.index if index is None else feature.index[index]
    if is_colour(feature.index) or (len(feature.table) <= MOST_TYPES * len(own) and len(own) >= LEAST_ROWS):
        _colours[own] = None
    return own


def is_colour(index: Tensor | None) -> bool:
    """Whether an index has been declared a colour."""
    return index is not None and index in _colours


def put(x: Tensor, colour: Callable[[], Tensor]) -> None:
    """The rows of x have this colour; it is found out only if somebody asks."""
    _colours[x] = colour


def known(x: Tensor) -> bool:
    """Whether the rows of x are coloured."""
    return x in _colours


def of(x: Tensor) -> Tensor:
    """The colour of x's rows."""
    colour = _colours[x]
    if callable(colour):
        colour = _colours[x] = colour()
    result: Tensor = colour
    return result


def of_sum(colour: Tensor, segments: Segments) -> Tensor:
    """The colour of a sum over each segment: that of the multiset of its rows' colours."""
    return wl.multisets(colour, segments)


def distinct(colours: list[Tensor]) -> Distinct | None:
    """One row of each combination of colours; None where that saves less than a quarter of the rows."""
    colour = torch.unique(wl.together(*colours) if len(colours) > 1 else colours[0], return_inverse=True)[1]
    E, C = len(colour), int(colour.max()) + 1
    if 4 * C > 3 * E:
        return None
    first = torch.full((C,), E, dtype=torch.long, device=colour.device)
    rows = first.scatter_reduce(0, colour, torch.arange(E, device=colour.device), "amin")  # the first of each: the same in every run
    _colours[colour] = None
    return Distinct(rows, colour)
