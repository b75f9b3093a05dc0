"""Rows that must be equal: nodes, or edges, of equal 1-WL colour have equal states, so each distinct state is computed once.

A colour is a whole number per row; equal colours mean equal rows. Colours begin at discrete features, which are small tables of
distinct rows that an index points into (an `Indexed` feature): there the index is the colour. They pass through every function of
single rows, and through sums over neighbours, whose colour is that of the multiset (`heliograph.wl`). Whatever is not followed (a
module that is handed plain tensors, noise, continuous features) ends them: then every row is computed, as without colours.

Colours are numbered 0, 1, ... within a batch. Where what is computed is kept from batch to batch (`kept_in`)
they are 64-bit hashes instead, which mean the same in every batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod
from typing import Any, NamedTuple, Protocol
from weakref import ref
from zlib import crc32

import torch
from torch import Tensor

from heliograph import kernels, wl
from heliograph.errors import HeliographError
from heliograph.graph import Feature, Indexed
from heliograph.topology import Segments

LEAST_ROWS, LEAST_WIDTH = 256, 128  # below, finding the colours costs more than they save
LEAST_NUMBERS = 300_000  # in nodes' states (rows times channels): below, an update of all is quicker than one of each colour
MOST_DISTINCT = 0.9  # of the rows: where more are distinct, all are computed
MOST_VALUES = 4  # of a row, that are its colour by themselves
MOST_TYPES = 1 / 8  # of the rows: a table with more rows than that is not called discrete

_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
_NONE: Any = object()  # nothing known
_Known = dict[int, tuple[ref[Tensor], int, Any]]  # id of rows or of an index -> it, its version, and its colour:
_numbers: _Known = {}  # numbers, these later, or None: the index itself is its colour
_hashes: _Known = {}  # the same in hashes


class Distinct(NamedTuple):
    """One row of each colour, [C] long; each row's colour, 0 .. C - 1, [E] long; the colours' hashes, [C] long, where those are in use."""

    rows: Tensor
    colour: Tensor
    hashes: Tensor | None = None


class Kept(Protocol):
    """What was computed once for a hash, and is handed out again."""

    def rows(self, weights: Sequence[Tensor], distinct: Distinct, compute: Callable[[Tensor], Tensor], most: int) -> Tensor | None: ...


_kept: ContextVar[Kept | None] = ContextVar("kept", default=None)


@contextmanager
def kept_in(kept: Kept | None) -> Iterator[None]:
    """Hash colours, and keep in `kept` what is computed for them; None: neither."""
    token = _kept.set(kept)
    try:
        yield
    finally:
        _kept.reset(token)


def once(weights: Sequence[Tensor], distinct: Distinct, compute: Callable[[Tensor], Tensor], most: int) -> Tensor | None:
    """What `compute` makes of one row of each colour, [C, ...]; where values are kept, its `weights` say what it is.

    None where that would mean more than `most` rows to compute.
    """
    if (there := kept()) is not None:
        return there.rows(weights, distinct, compute, most)
    return compute(distinct.rows) if len(distinct.rows) <= most else None


def kept() -> Kept | None:
    """Where what is computed for a hash is kept now."""
    return None if torch.compiler.is_compiling() else _kept.get()


def keeping() -> bool:
    """Whether colours are hashes now."""
    return kept() is not None


def _get(x: Tensor) -> Any:
    """Return the colour noted for x, unless x was changed in place since: that ends its colour."""
    entry = (_hashes if keeping() else _numbers).get(id(x))
    return entry[2] if entry is not None and entry[0]() is x and entry[1] == _version(x) else _NONE


def _put(x: Tensor, colour: Any) -> Any:
    table, key = _hashes if keeping() else _numbers, id(x)
    table[key] = (ref(x, lambda _: table.pop(key, None)), _version(x), colour)
    return colour


def _version(x: Tensor) -> int:
    return -1 if x.is_inference() else x._version


def _trusted(x: Tensor) -> bool:
    """Whether a later change of x would be seen: PyTorch doesn't count those of tensors made in inference mode.

    While values are kept there are such tensors only; whoever keeps them has compared the results with plain ones.
    """
    return not torch.compiler.is_compiling() and (keeping() or not x.is_inference())


def pays(rows: int, like: Tensor | Sequence[int]) -> bool:
    """Whether so many rows, like those of a tensor or of a trailing shape, may be held as one of each colour: if many and wide.

    Not while values are kept: who keeps them looks nodes up himself; nor on a GPU, where finding colours takes longer than they save.
    """
    if keeping() or torch.compiler.is_compiling() or (isinstance(like, Tensor) and like.device.type != "cpu"):
        return False
    width = prod(like.shape[1:] if isinstance(like, Tensor) else like)
    return rows >= LEAST_ROWS and width >= LEAST_WIDTH and rows * width >= LEAST_NUMBERS


def begin(feature: Indexed, index: Tensor | None, name: str = "") -> Tensor:
    """Which row of a feature's table each edge uses, looked up through `index`. It is a colour where the feature is discrete."""
    own = feature.index if index is None else feature.index.index_select(0, index)
    if torch.compiler.is_compiling():  # how many colours there are is known from data alone
        return own
    if keeping():
        if _get(own) is _NONE:
            found = of_feature(feature, name)
            _put(own, found if index is None or found is None else found[index])
    elif is_colour(feature.index) or (len(feature.table) <= MOST_TYPES * len(own) and len(own) >= LEAST_ROWS):
        _put(own, None)
    return own


def of_feature(feature: Feature, name: str) -> Tensor | None:
    """The hash of each row of a feature: its colour where that is known, else its values where they are few; else None."""
    if isinstance(feature, Indexed):
        return of(feature.index) if is_colour(feature.index) else _mix(feature.index + crc32(name.encode()))
    if known(feature):
        return of(feature)
    rows = feature.reshape(len(feature), -1 if feature.numel() else 0)
    if not 0 < rows.shape[1] <= MOST_VALUES:
        return None
    bits = rows.contiguous().view(_BITS[rows.element_size()]).long() if rows.is_floating_point() else rows.long()  # [n, width]
    return together(torch.full_like(bits[:, 0], crc32(name.encode())), *bits.unbind(1))


def by_value(x: Tensor, name: str) -> None:
    """Let the values of a narrow feature be its colour, where it has none."""
    if not known(x) and (found := of_feature(x, name)) is not None:
        _put(x, found)


def is_colour(index: Tensor | None) -> bool:
    """Whether an index has been declared a colour."""
    return index is not None and known(index)


class _Later:
    """A colour that is computed when it is first needed: `combine` of others."""

    def __init__(self, sources: Sequence[Tensor | _Later], combine: Callable[..., Tensor]):
        self.sources, self.versions, self.combine = list(sources), [_version(s) if isinstance(s, Tensor) else 0 for s in sources], combine
        self.colour: Tensor | None = None

    def __call__(self) -> Tensor:
        if self.colour is None:
            if any(isinstance(s, Tensor) and _version(s) != v for s, v in zip(self.sources, self.versions, strict=True)):
                raise HeliographError("an index of a graph was changed in place between two steps of a network; give each graph its own")
            self.colour = self.combine(*(s if isinstance(s, Tensor) else s() for s in self.sources))
            self.sources = []
        return self.colour


def put(x: Tensor, sources: Sequence[Tensor], combine: Callable[..., Tensor]) -> None:
    """Note that the colour of the rows of x is `combine` of these; it is computed when it is first needed."""
    if _trusted(x):
        _put(x, _Later(sources, combine))


def made_of(x: Tensor, *tables: Tensor) -> Tensor:
    """x, whose rows are functions of those of tables: it has their colours, where they have some."""
    if _trusted(x) and not any(t is x for t in tables) and all(known(t) for t in tables):
        colours = [(t, _get(t)) for t in tables]
        sources = list({id(c): c for c in (t if c is None else c for t, c in colours)}.values())
        _put(x, sources[0] if len(sources) == 1 else _Later(sources, together))
    return x


def known(x: Tensor) -> bool:
    """Whether the rows of x are coloured."""
    return not torch.compiler.is_compiling() and _get(x) is not _NONE


def of(x: Tensor) -> Tensor:
    """The colour of x's rows."""
    colour = _get(x)
    if colour is _NONE:
        raise HeliographError("a tensor was changed in place while a sum over its rows was still open")
    if isinstance(colour, _Later):
        return colour()
    result: Tensor = x if colour is None else colour
    return result


def together(first: Tensor, *others: Tensor) -> Tensor:
    """The colour of rows that have several."""
    if not keeping():
        if not others:
            return first
        found = kernels.factorize([first, *others])
        return wl.together(first, *others) if found is None else found[0]
    if others:
        first = _mix(first)  # small numbers, as degrees are, would else meet: 5 * 1 + 6 = 5 * 2 + 1
    for other in others:
        first = _mix(first * 5 + other)
    return first


def of_sum(colour: Tensor, segments: Segments) -> Tensor:
    """The colour of a sum over each segment: that of the multiset of its rows' colours."""
    if not keeping():
        return of_sums(colour, segments)[0]
    running = torch.cat([colour.new_zeros(1), _mix(colour + 1).cumsum(0)])  # sums of hashes wrap around, and differences of sums with them
    return _mix(running[segments.pointer[1:]] - running[segments.pointer[:-1]] + 1)


def of_sums(colour: Tensor, segments: Segments) -> tuple[Tensor, Tensor | None]:
    """`of_sum` in numbers; and where they are 0, 1, ... in order of appearance, where each appears first."""
    return kernels.multisets(colour, segments) or (wl.multisets(colour, segments), None)


def held(colour: Tensor, rows: Tensor) -> Distinct | None:
    """Numbers 0, 1, ... and where each appears first, as something to compute once; None where that saves little."""
    if len(rows) > MOST_DISTINCT * len(colour):
        return None
    _put(colour, None)
    return Distinct(rows, colour)


def distinct(colours: list[Tensor]) -> Distinct | None:
    """One row of each combination of colours; None where that saves little and nothing is kept."""
    if not keeping() and (found := kernels.factorize(colours)) is not None:
        return held(*found)
    whole = together(*colours)
    hashes, colour = torch.unique(whole, return_inverse=True)
    E, C = len(colour), len(hashes)
    if C > MOST_DISTINCT * E and not keeping():
        return None
    first = torch.full((C,), E, dtype=torch.long, device=colour.device)
    rows = first.scatter_reduce(0, colour, torch.arange(E, device=colour.device), "amin")  # the first of each: the same in every run
    _put(colour, whole if keeping() else None)
    return Distinct(rows, colour, hashes if keeping() else None)


def _mix(x: Tensor) -> Tensor:
    """Whole numbers scattered over 64 bits (the finaliser of SplitMix64: Steele, Lea, Flood 2014), a permutation of them."""
    x = (x ^ _shifted(x, 30)) * -0x40A7B892E31B1A47
    x = (x ^ _shifted(x, 27)) * -0x6B2FB644ECCEEE15
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, bits: int) -> Tensor:
    return (x >> bits) & (2 ** (64 - bits) - 1)  # PyTorch's shift drags the sign along
