"""Which torch function becomes which expression.

A function without a rule, or with arguments that its rule does not cover, gets plain tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from heliograph import segment
from heliograph.algebra.activation import shifted_softplus
from heliograph.algebra.aggregated import coloured, reduction
from heliograph.algebra.batchnorm import batch_norm
from heliograph.algebra.expression import Cat, Expression, Gather, Plus, add, as_gather, concatenate, pieces, reshape, terms
from heliograph.algebra.matvec import MatVec
from heliograph.algebra.product import Product, multiply
from heliograph.algebra.radial import joined
from heliograph.algebra.tensor import NAMED, RULES, EdgeTensor, no_rule
from heliograph.tensorlike import called
from heliograph.topology import Segments


def _lift(x: Any, like: EdgeTensor) -> Expression | None:
    """`x` as E rows, None where it isn't (a number, a parameter that broadcasts)."""
    if isinstance(x, EdgeTensor):
        return x.expression
    if isinstance(x, Tensor) and x.dim() == like.dim() and len(x) == len(like) and len(like) != 1:
        return Gather(x, None)
    return None


def _constant(x: Any, like: EdgeTensor) -> bool:
    """Something that each row meets alike: a number, or a tensor without the edges' axis."""
    return isinstance(x, (int, float)) or (isinstance(x, Tensor) and x.dim() < like.dim())


def _elementwise(func: Callable[..., Any], x: Any, *args: Any, **kwargs: Any) -> Any:
    if not isinstance(x, EdgeTensor) or any(isinstance(a, (EdgeTensor, Tensor)) for a in [*args, *kwargs.values()]):
        return NotImplemented
    return EdgeTensor(x.expression.map(lambda t: func(t, *args, **kwargs), "" if args or kwargs else called(func)))


def _binary(func: Callable[..., Any], a: Any, b: Any, **kwargs: Any) -> Any:
    """Constants act on each row; sums and products of several tables stay apart until something mixes them."""
    like = a if isinstance(a, EdgeTensor) else b
    if kwargs:
        return NotImplemented
    for x, constant, f in ((a, b, lambda t: func(t, b)), (b, a, lambda t: func(a, t))):
        if isinstance(x, EdgeTensor) and _constant(constant, like):
            row = isinstance(constant, Tensor) and constant.dim() > 0  # not the same for each column
            whole = row and (isinstance(x.expression, Cat) or torch.broadcast_shapes(constant.shape, like.shape[1:]) != like.shape[1:])
            return EdgeTensor(x.expression.rowwise(f) if whole else x.expression.map(f))
    left, right = _lift(a, like), _lift(b, like)
    name = called(func).strip("_")
    if left is None or right is None or left.E != right.E:
        return NotImplemented
    if name in ("add", "radd", "sub", "rsub", "subtract") and left.shape == right.shape:
        if name == "rsub":
            left, right = right, left
        if "sub" in name:
            right = right.map(torch.neg)
        if any(isinstance(x, Plus) or (isinstance(x, Product) and len(x.shape) > 1) for x in (left, right)):
            return EdgeTensor(Plus([*pieces(left), *pieces(right)]))
        return EdgeTensor(add([*terms(left), *terms(right)]))
    if len(left.shape) == len(right.shape):
        if name in ("mul", "rmul", "multiply"):
            return EdgeTensor(multiply(left, right))
        if name in ("div", "truediv", "true_divide"):
            return EdgeTensor(multiply(left, right.map(torch.reciprocal)))
        if name == "rtruediv":
            return EdgeTensor(multiply(right, left.map(torch.reciprocal)))
    return NotImplemented


def _linear(func: Callable[..., Any], x: Any, weight: Tensor, bias: Tensor | None = None) -> Any:
    return EdgeTensor(x.expression.linear(weight, bias)) if isinstance(x, EdgeTensor) and x.dim() > 1 else NotImplemented


def _matmul(func: Callable[..., Any], x: Any, y: Any) -> Any:
    """x @ W is a linear map; a matrix per edge times a column per edge is the edge network's message."""
    if isinstance(x, EdgeTensor) and isinstance(y, Tensor) and x.dim() > 1 and y.dim() == 2:
        return EdgeTensor(x.expression.linear(y.T, None))
    if isinstance(x, EdgeTensor) and isinstance(y, EdgeTensor) and x.dim() == y.dim() == 3 and y.shape[-1] == 1:
        return EdgeTensor(MatVec(x.expression, y.expression.rowwise(lambda t: t.squeeze(-1)), column=True))
    return NotImplemented


def _cat(func: Callable[..., Any], tensors: Any, dim: int = 0, **kwargs: Any) -> Any:
    like = next(t for t in tensors if isinstance(t, EdgeTensor))
    parts = [_lift(t, like) for t in tensors]
    if kwargs or like.dim() < 2 or dim not in (-1, like.dim() - 1) or any(p is None or len(like) != p.E for p in parts):
        return NotImplemented
    pieces = [p for p in parts if p is not None]
    shape = (*like.shape[1:-1], sum(p.shape[-1] for p in pieces))
    return EdgeTensor(joined(pieces, lambda *values: torch.cat(values, -1), shape, "cat") or concatenate(pieces))


def _rowwise(func: Callable[..., Any], x: Any, *args: Any, **kwargs: Any) -> Any:
    """Functions that never look across rows, if told to work on trailing axes."""
    if not isinstance(x, EdgeTensor) or any(isinstance(a, EdgeTensor) for a in [*args, *kwargs.values()]):
        return NotImplemented
    dims = kwargs.get("dim", args[0] if args else None)
    dims = dims if isinstance(dims, (tuple, list)) else (dims,)
    if not all(isinstance(d, int) and ((d < 0 and d > -x.dim()) or d > 0) for d in dims):
        return NotImplemented
    return EdgeTensor(x.expression.rowwise(lambda t: func(t, *args, **kwargs)))


def _unsqueeze(func: Callable[..., Any], x: Any, dim: int) -> Any:
    if not isinstance(x, EdgeTensor) or dim == 0 or dim == -x.dim() - 1:
        return NotImplemented
    return EdgeTensor(x.expression.axes(lambda t: func(t, dim)))


def _sum(func: Callable[..., Any], x: Any, *args: Any, **kwargs: Any) -> Any:
    """A sum over the last axis of a product is a dot product, as in attention; other sums are functions of rows."""
    if (
        isinstance(x, EdgeTensor)
        and isinstance(x.expression, Product)
        and x.dim() > 1
        and (args, kwargs) in (((-1,), {}), ((), {"dim": -1}))
    ):
        return EdgeTensor(x.expression.dot())
    return _rowwise(func, x, *args, **kwargs)


def _norm(func: Callable[..., Any], x: Any, p: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None, out: Any = None) -> Any:
    if out is not None or not isinstance(x, EdgeTensor) or not isinstance(dim, int) or dim in (0, -x.dim()):
        return NotImplemented
    return EdgeTensor(x.expression.rowwise(lambda t: func(t, p, dim, keepdim, dtype=dtype)))


def _layer_norm(func: Callable[..., Any], x: Any, normalized_shape: Any, *args: Any, **kwargs: Any) -> Any:
    if not isinstance(x, EdgeTensor) or len(normalized_shape) >= x.dim():
        return NotImplemented
    return EdgeTensor(x.expression.rowwise(lambda t: func(t, normalized_shape, *args, **kwargs)))


def _batch_norm(func: Callable[..., Any], x: Any, *args: Any, **kwargs: Any) -> Any:
    e = as_gather(x.expression) if isinstance(x, EdgeTensor) and x.dim() == 2 and len(x) > 1 else None
    return EdgeTensor(batch_norm(e, *args, **kwargs)) if e is not None and e.small else NotImplemented


def _dropout(func: Callable[..., Any], x: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Without dropping it is nothing; with it, edges that share a row must not share its noise."""
    return x if p == 0 or not training else NotImplemented


def _unflatten(func: Callable[..., Any], x: EdgeTensor, dim: int, sizes: tuple[int, ...]) -> Any:
    trailing = x.shape[1:]
    if dim in (0, -x.dim()) or len(trailing) != 1:
        return NotImplemented
    sizes = tuple(trailing[0] // -prod(sizes) if s == -1 else s for s in sizes)
    return EdgeTensor(reshape(x.expression, lambda t: t.unflatten(-1, sizes), sizes))


def _getitem(func: Callable[..., Any], x: Any, key: Any) -> Any:
    """x[..., a:b], x[..., None], x[:, a]: indices that leave the edges' axis alone."""
    keys = key if isinstance(key, tuple) else (key,)
    first_kept = keys[0] is Ellipsis or (isinstance(keys[0], slice) and keys[0] == slice(None))
    if not isinstance(x, EdgeTensor) or not first_kept or x.dim() < 2 or any(isinstance(k, (Tensor, list)) for k in keys):
        return NotImplemented
    if keys[0] is Ellipsis and sum(1 for k in keys[1:] if k is not None) >= x.dim():
        return NotImplemented
    if all(k is None or k is Ellipsis or k == slice(None) for k in keys):
        return EdgeTensor(x.expression.axes(lambda t: t[key]))
    whole = all(k is Ellipsis or k == slice(None) for k in keys[:-1]) and (len(keys) == x.dim() or Ellipsis in keys)
    if isinstance(keys[-1], slice) and whole:
        return EdgeTensor(x.expression.along(-1, lambda t: t[key]))
    return EdgeTensor(x.expression.rowwise(lambda t: t[key]))


def _squeeze(func: Callable[..., Any], x: EdgeTensor, dim: int | None = None) -> Any:
    e = x.expression
    if isinstance(e, MatVec) and e.column and dim in (-1, 2):
        return EdgeTensor(MatVec(e.matrix, e.vector, column=False))
    return NotImplemented if dim is None else _rowwise(func, x, dim)


def _flatten(func: Callable[..., Any], x: EdgeTensor, start_dim: int = 0, end_dim: int = -1) -> Any:
    return NotImplemented if start_dim in (0, -x.dim()) else EdgeTensor(x.expression.rowwise(lambda t: t.flatten(start_dim, end_dim)))


def _chunk(func: Callable[..., Any], x: EdgeTensor, *args: Any, **kwargs: Any) -> Any:
    """Pieces of a trailing axis; how many, or how long, and which axis are said by place or by name."""
    dim = kwargs.pop("dim", args[1] if len(args) > 1 else 0)
    if dim in (0, -x.dim()):
        return NotImplemented
    dim = dim if dim < 0 else dim - x.dim()
    size = args[0] if args else next(iter(kwargs.values()))
    count = len(func(torch.empty(1, *x.shape[1:], device="meta"), size, dim))
    return tuple(EdgeTensor(x.expression.along(dim, lambda t, k=k: func(t, size, dim)[k])) for k in range(count))  # type: ignore[misc]


def _aggregate(func: Callable[..., Any], x: EdgeTensor, segments: Segments) -> Tensor:
    reduce = reduction(func)
    if reduce is None or len(x) != len(segments.index):
        return NotImplemented
    return coloured(reduce(x.expression, segments), x.expression, segments)


def _both(*names: str) -> list[Callable[..., Any]]:
    """Functions of these names, wherever torch keeps them."""
    return [f for name in names for f in (getattr(place, name, None) for place in (torch, Tensor, F)) if callable(f)]


_ELEMENTWISE = [
    "relu", "silu", "gelu", "elu", "selu", "celu", "leaky_relu", "softplus", "mish",
    "hardswish", "hardtanh", "relu6", "sigmoid", "logsigmoid", "tanh", "exp", "expm1", "log",
    "log1p", "sin", "cos", "sqrt", "rsqrt", "square", "abs", "neg", "__neg__", "reciprocal",
    "pow", "__pow__", "__rpow__", "clamp", "sign", "erf", "float", "double", "half", "to",
    "type_as",
]  # fmt: skip
_BINARY = [
    "add", "sub", "mul", "div", "__add__", "__radd__", "__sub__", "__rsub__", "__mul__",
    "__rmul__", "__truediv__", "__rtruediv__", "multiply", "subtract", "true_divide",
]  # fmt: skip
_RULES: dict[Callable[..., Any], Callable[..., Any]] = {
    **dict.fromkeys(_both(*_ELEMENTWISE), _elementwise),
    **dict.fromkeys(_both(*_BINARY), _binary),
    **dict.fromkeys(_both("sum"), _sum),
    **dict.fromkeys(_both("mean", "softmax", "cumsum", "prod", "amax"), _rowwise),
    **dict.fromkeys(_both("unsqueeze"), _unsqueeze),
    **dict.fromkeys(_both("norm"), _norm),
    **dict.fromkeys(_both("layer_norm"), _layer_norm),
    **dict.fromkeys(_both("dropout"), _dropout),
    F.batch_norm: _batch_norm,
    **dict.fromkeys(_both("matmul", "__matmul__"), _matmul),
    **dict.fromkeys(_both("cat", "concat", "concatenate"), _cat),
    **dict.fromkeys(_both("unflatten"), _unflatten),
    **dict.fromkeys(_both("__getitem__"), _getitem),
    **dict.fromkeys(_both("squeeze"), _squeeze),
    **dict.fromkeys(_both("flatten"), _flatten),
    **dict.fromkeys(_both("chunk", "split"), _chunk),
    shifted_softplus: _elementwise,
    F.linear: _linear,
    **dict.fromkeys((segment.sum, segment.mean, segment.max), _aggregate),
}
RULES.update(_RULES)
NAMED.update({rule.__name__: rule for rule in (*RULES.values(), no_rule)})
