"""Functions of one number per row, such as a distance: computed on evenly spaced knots and interpolated, where that is cheaper.

A batch has many thousand distances, but a function of them that changes on the scale of some 0.2 angstrom is known from a few
hundred values. A basis of distances (`heliograph.blocks.radial`) begins such a function; linear maps, smooth activations and
products with functions of the same distances continue it; then it runs on K knots instead of P pairs.

Interpolation is twice continuously differentiable (`heliograph.kernels.knots`). Each table is compared with the same one on every
second knot, by which its error is known: at most VALUE of the largest value, and SLOPE of the largest first derivative. Where a
finer table does not reach that either, or would have more rows than half of the pairs, the function runs on the pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import ceil, inf, prod
from typing import Any, final

import torch
from torch import Tensor
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


@final
class Radial(Expression):
    """A smooth function of `r`, a gather of a table [P, 1] of numbers >= 0.

    Without `parents` it is f(r), or `inside`(r) on knots, which equals f up to `end` and goes on smoothly a little beyond both ends;
    with parents it is f of their values. `scale`: over how much of r it changes; `work`: multiplications a row.
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
    ):
        self.r, self.f, self.inside, self.parents, self.E, self.shape = r, f, inside, tuple(parents), r.E, shape
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

        return Radial(self.r, f, shape, prod(self.shape) * len(weight), [self])

    def map(self, f: TensorFunction, name: str = "") -> Expression:
        """So is a(f(r)); one with kinks, or unknown, runs on the pairs."""
        return Radial(self.r, f, self.shape, 8.0 * prod(self.shape), [self]) if name in SMOOTH else self.gathered.map(f, name)

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
        least = ceil((self.end if self.end < inf else 1.0) * KNOTS_PER_SCALE[0] / self.scale)
        if len(r) < 2 * (least + 1):  # too few, whatever the numbers are
            return None
        reach = _reach(r)
        if not reach <= self.end:  # not a number, negative, or beyond what it is known for
            return None
        top = self.end if self.end < inf else max(1.0, float(ceil(reach)))
        for fineness in KNOTS_PER_SCALE:
            n = ceil(top * fineness / self.scale)
            if len(r) < 2 * (n + 1):
                return None
            step = top / n
            values = self.on(_points(n, step)).to(r.dtype).reshape(-1, width)  # [n + TAPS - 1, width]
            if accurate(values.detach(), step):
                return kernels.interpolate(values, r, step).view(len(r), *self.shape)
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
    return Radial(r, f, shape, 8.0 * prod(shape), inside=inside, scale=scale, end=end)


def joined(factors: Sequence[Expression], f: Callable[..., Tensor], shape: tuple[int, ...]) -> Radial | None:
    """A function of several functions of the same numbers; None where they are not."""
    of = [x for x in factors if isinstance(x, Radial)]
    if len(of) < 2 or len(of) < len(factors) or any(x.r.table is not of[0].r.table or x.r.index is not of[0].r.index for x in of):
        return None
    return Radial(of[0].r, f, shape, float(prod(shape)), of)


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
