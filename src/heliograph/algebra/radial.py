"""Functions of one number per row, such as a distance: computed on evenly spaced knots and interpolated, where that is cheaper.

A batch has many thousand distances, but a function of them that changes on the scale of some 0.2 angstrom is known from a few
hundred values. A basis of distances (`heliograph.blocks.radial`) begins such a function; linear maps, smooth activations and
products with functions of the same distances continue it; then it runs on K knots instead of P pairs.

Interpolation is twice continuously differentiable (`heliograph.kernels.knots`). Each table is compared with the same one on every
second knot, by which its error is known: at most VALUE of the largest value, and SLOPE of the largest first derivative. Where a
finer table does not reach that either, or would have more rows than half of the pairs, the function runs on the pairs.

Inside `keep(tables)` the weights do not change: a table is made and checked once, and then few pairs read it as well.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from math import ceil, inf, prod
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.weak import WeakTensorKeyDictionary

from heliograph import kernels
from heliograph.algebra.expression import Expression, Gather, TensorFunction
from heliograph.derived import derived
from heliograph.kernels import knots
from heliograph.topology import Segments

VALUE, SLOPE = 1e-6, 1e-5  # errors allowed, of the largest value and the largest slope
FALL_OF_VALUE, FALL_OF_SLOPE = 50.0, 25.0  # how many times smaller they are at least with half the step, where they are that small
KNOTS_PER_SCALE = (8, 16)  # tried in turn
WORTH = 4.0  # multiplications of the function per one of the interpolation, from where a table pays
SMOOTH = frozenset(
    ("silu", "gelu", "softplus", "shifted_softplus", "sigmoid", "logsigmoid", "tanh", "exp", "sin", "cos", "square", "neg", "erf")
)
Table = tuple[Tensor, float]  # values on knots [n + TAPS - 1, F], their step
Tables = dict[Hashable, Table | None]  # of which function, up to where -> its table, None where no table is accurate
MOST_KEPT = 256  # tables, above which they are made anew: for structures without a cutoff each largest distance has its own
_tables: ContextVar[Tables | None] = ContextVar("tables", default=None)


@contextmanager
def keep(tables: Tables) -> Iterator[None]:
    """Keep the tables of knots of functions whose weights need no gradient in `tables`, from one use of this `with` block to the next.

    `tables` belongs to one network, whose weights stay where they are. What is computed does not depend on what is kept already.
    """
    token = _tables.set(tables)
    try:
        yield
    finally:
        _tables.reset(token)


@final
class _Is:
    """A tensor as a part of a key: it equals itself alone, and lives as long as the key."""

    __slots__ = ("of",)

    def __init__(self, of: Tensor):
        self.of = of

    def __hash__(self) -> int:
        return id(self.of)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Is) and self.of is other.of


def _weights(*tensors: Tensor | None) -> Hashable:
    """A key of weights as they are now; None for those that learn, or are no parameter's."""
    found: list[Hashable] = []
    for w in tensors:
        if w is not None:
            whole = w if w._base is None else w._base
            if w.requires_grad or not isinstance(whole, nn.Parameter) or whole.is_inference():
                return None
            found.append((_Is(whole), whole._version, w.data_ptr(), w.shape, w.stride()))
    return tuple(found)


@final
class Radial(Expression):
    """A smooth function of `r`, a gather of a table [P, 1] of numbers >= 0.

    Without `parents` it is f(r), or `inside`(r) on knots, which equals f up to `end` and goes on smoothly a little beyond both ends;
    with parents it is f of their values. `scale`: over how much of r it changes; `work`: multiplications a row; `key`: equal for the
    same function, None where that is not known.
    """

    def __init__(
        self,
        r: Gather,
        f: Callable[..., Tensor],
        shape: tuple[int, ...],
        work: float,
        parents: Sequence[Radial] = (),
        *,
        inside: TensorFunction | None = None,
        scale: float = inf,
        end: float = inf,
        key: Hashable = None,
    ):
        self.r, self.f, self.inside, self.parents, self.E, self.shape = r, f, inside, tuple(parents), r.E, shape
        self.key = key
        self.scale: float = min([scale, *(p.scale for p in parents)])
        self.end: float = min([end, *(p.end for p in parents)])
        self.work: float = work + sum(p.work for p in parents)
        self._on: list[tuple[Tensor, Tensor]] = []

    @property
    def rows(self) -> int:
        return self.r.rows

    def linear(self, weight: Tensor, bias: Tensor | None) -> Expression:
        """W f(r) + bias is a function of r."""
        shape = (*self.shape[:-1], len(weight))

        def f(t: Tensor) -> Tensor:
            return F.linear(t, weight.to(t.dtype), None if bias is None else bias.to(t.dtype))

        by = None if self.key is None or _tables.get() is None else _weights(weight, bias)
        return Radial(self.r, f, shape, prod(self.shape) * len(weight), [self], key=by and ("linear", self.key, by))

    def map(self, f: TensorFunction, name: str = "") -> Expression:
        """So is a(f(r)); one with kinks, or unknown, runs on the pairs."""
        if name not in SMOOTH:
            return self.gathered.map(f, name)
        return Radial(self.r, f, self.shape, 8.0 * prod(self.shape), [self], key=self.key and (name, self.key))

    def axes(self, f: TensorFunction) -> Expression:
        return self._picked(f)

    def along(self, dim: int, f: TensorFunction) -> Expression:
        return self._picked(f)

    def _picked(self, f: TensorFunction) -> Radial:
        return Radial(self.r, f, tuple(f(torch.empty(1, *self.shape, device="meta")).shape[1:]), 0.0, [self])

    def compute(self) -> Tensor:
        return self.gathered.value

    def _take(self, rows: Tensor) -> Expression:
        return self.gathered.take(rows)

    def total(self, segments: Segments) -> Tensor:
        return self.gathered.total(segments)

    def largest(self, segments: Segments) -> Tensor:
        return self.gathered.largest(segments)

    def on(self, points: Tensor) -> Tensor:
        """The function's values at points [n, 1], computed once: the table of r, or knots."""
        for seen, value in self._on:
            if seen is points:
                return value
        if self.parents:
            value = self.f(*[p.on(points) for p in self.parents])
        else:
            value = self.f(points) if self.inside is None or points is self.r.table else self.inside(points)
        self._on.append((points, value))
        return value

    @derived
    def gathered(self) -> Gather:
        """Rows of the table of r."""
        table = self.tabulated()
        return Gather(self.on(self.r.table) if table is None else table, self.r.index)

    def tabulated(self) -> Tensor | None:
        """Values [P, ...] at each row of r's table by interpolation; None where that does not pay, or is not accurate."""
        r, width = self.r.table, prod(self.shape)
        if self.work < WORTH * knots.TAPS * width or torch.is_autocast_enabled("cpu"):
            return None
        tables = None if self.key is None else _tables.get()
        least = ceil((self.end if self.end < inf else 1.0) * KNOTS_PER_SCALE[0] / self.scale)
        if tables is None and len(r) < 2 * (least + 1):  # too few, whatever the numbers are
            return None
        reach = _reach(r)
        if not reach <= self.end:  # not a number, negative, or beyond what it is known for
            return None
        top = self.end if self.end < inf else max(1.0, float(ceil(reach)))
        found = self._table(top, len(r) // 2) if tables is None else self._kept(tables, top)
        return None if found is None else kernels.interpolate(found[0], r, found[1]).view(len(r), *self.shape)

    def _kept(self, tables: Tables, top: float) -> Table | None:
        """The table that is kept, or made now whatever it costs."""
        key = (self.key, top)
        if key not in tables:
            found = self._table(top, inf)
            if found is not None and found[0].requires_grad:  # the basis learns
                return found
            if len(tables) >= MOST_KEPT:
                tables.clear()
            tables[key] = found
        return tables[key]

    def _table(self, top: float, most: float) -> Table | None:
        """The coarsest table on 0 .. top that is accurate, of at most so many knots."""
        for fineness in KNOTS_PER_SCALE:
            n = ceil(top * fineness / self.scale)
            if n + 1 > most:
                return None
            step = top / n
            values = self.on(_points(n, step)).to(self.r.table.dtype).reshape(-1, prod(self.shape))  # [n + TAPS - 1, width]
            if accurate(values.detach(), step):
                return values, step
        return None


def radial(
    f: TensorFunction,
    r: object,
    shape: tuple[int, ...],
    *,
    scale: float,
    end: float = inf,
    inside: TensorFunction | None = None,
) -> Expression | None:
    """Begin a function of `r` as `Radial` says; None where r is not many float32 numbers on the CPU."""
    if not isinstance(r, Gather) or not r.small or r.shape != (1,) or r.index is None or torch.compiler.is_compiling():
        return None
    if r.table.dtype != torch.float32 or r.table.device.type != "cpu" or kernels.chosen() == "reference":
        return None
    key = (f, inside, shape) if hasattr(f, "__self__") else None  # a method of a module: the same at each call
    return Radial(r, f, shape, 8.0 * prod(shape), inside=inside, scale=scale, end=end, key=key)


def joined(factors: Sequence[Expression], f: Callable[..., Tensor], shape: tuple[int, ...], name: str) -> Radial | None:
    """A function of several functions of the same numbers, called `name`; None where they are not."""
    of = [x for x in factors if isinstance(x, Radial)]
    if len(of) < 2 or len(of) < len(factors) or any(x.r.table is not of[0].r.table or x.r.index is not of[0].r.index for x in of):
        return None
    key = None if any(x.key is None for x in of) else (name, *(x.key for x in of))
    return Radial(of[0].r, f, shape, float(prod(shape)), of, key=key)


def accurate(values: Tensor, step: float) -> bool:
    """Whether a table [K, F] on knots at this step interpolates to VALUE and SLOPE.

    With every second knot alone, the error in the middle between two of those is seen, in value and slope; it falls by the factors
    above when the step is halved.
    """
    coarse = values[::2]
    middle = torch.from_numpy(knots.coefficients(0, 2 * step) @ _HALF).to(values.dtype)
    slope = torch.from_numpy(knots.coefficients(1, 2 * step) @ _HALF).to(values.dtype)
    fine = torch.from_numpy(knots.coefficients(1, step)[:, 0]).to(values.dtype)  # the slope at a knot
    windows = coarse.unfold(0, knots.TAPS, 1)  # [n, F, TAPS]
    n, first = len(windows), knots.TAPS - 1  # a window's middle is this row of `values`, and every second one after it
    true = values[first : first + 2 * n : 2]
    slopes = values[first - knots.MARGIN :].unfold(0, knots.TAPS, 2)[: len(true)] @ fine
    off_value, off_slope = (windows[: len(true)] @ middle - true).abs().max(), (windows[: len(slopes)] @ slope - slopes).abs().max()
    largest, steepest = values.abs().max(), slopes.abs().max()
    return bool((off_value <= VALUE * FALL_OF_VALUE * largest) & (off_slope <= SLOPE * FALL_OF_SLOPE * steepest))


_HALF = 0.5 ** torch.arange(knots.DEGREE + 1, dtype=torch.float64).numpy()


@lru_cache(maxsize=64)
def _points(n: int, step: float) -> Tensor:
    """The knots of n intervals, with those before and beyond, [n + TAPS - 1, 1]; float64, since slopes divide errors by the step."""
    with torch.inference_mode(False):
        return ((torch.arange(n + knots.TAPS - 1, dtype=torch.float64) - knots.MARGIN) * step)[:, None]


_reaches: Any = WeakTensorKeyDictionary()  # r -> its version and largest number


def _reach(r: Tensor) -> float:
    """The largest of the numbers, found once; infinite if one is negative or not a number."""
    version = -1 if r.is_inference() else r._version
    known = _reaches.get(r)
    if known is None or known[0] != version:
        low, high = r.detach().aminmax() if r.numel() else (r.new_zeros(()), r.new_zeros(()))
        known = _reaches[r] = (version, float(high) if float(low) >= 0 else inf)
    return float(known[1])
