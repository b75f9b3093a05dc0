"""The lazy tensor of edges, and of nodes in an update: ordinary PyTorch code on it builds an expression instead of computing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor

from heliograph.algebra.aggregated import Aggregated, coloured
from heliograph.algebra.expression import Expression, Gather, as_gather
from heliograph.algebra.product import Product
from heliograph.algebra.radial import Radial
from heliograph.graph import Feature, Indexed
from heliograph.tensorlike import TensorLike, plain, refuse_in_place

Rule = Callable[..., Any]
RULES: dict[Callable[..., Any], Rule] = {}  # torch function -> what the expression does with it: `heliograph.algebra.rules`
NAMED: dict[str, Rule] = {}  # the same by name


@final
class EdgeTensor(TensorLike):
    """A tensor [E, ...] that is not computed until something needs its rows. Use it like a `torch.Tensor`.

    Methods and operators stay lazy where the algebra knows them.
    """

    __slots__ = ("expression", "grad_enabled")

    def __init__(self, expression: Expression):
        self.expression, self.grad_enabled = expression, torch.is_grad_enabled()

    def dense(self) -> Tensor:
        """The plain tensor [E, ...], with a gradient if it would have had one where it was written."""
        if self.grad_enabled == torch.is_grad_enabled():
            return self.expression.value
        with torch.set_grad_enabled(self.grad_enabled):
            return self.expression.value

    def feature(self) -> Feature:
        """Return what a graph keeps: a table with an index where that is smaller, else the plain tensor."""
        if self.grad_enabled != torch.is_grad_enabled():
            return self.dense()
        e = self.expression.merged if isinstance(self.expression, Product) else self.expression
        if isinstance(e, Aggregated):  # nothing was made of it
            return coloured(e.value, e.inner, e.segments)
        e = as_gather(e) if isinstance(e, Radial) or e.distinct is not None else e
        return Indexed(e.table, e.index) if isinstance(e, Gather) and e.small and e.index is not None else self.dense()

    @property
    def shape(self) -> torch.Size:
        return torch.Size((self.expression.E, *self.expression.shape))

    def __len__(self) -> int:
        return self.expression.E

    def __repr__(self) -> str:
        return f"EdgeTensor({type(self.expression).__name__}, shape={tuple(self.shape)})"

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        rule = NAMED[_rule_name(func)]
        args = args if rule is no_rule else _by_place(args, kwargs)
        refuse_in_place(func, args)
        inplace = bool(kwargs.pop("inplace", False))
        result = rule(func, *args, **kwargs) if _here(args) else NotImplemented
        if result is NotImplemented:
            result = func(*plain(args), **plain(kwargs))
        if inplace:  # the name that was handed in now means the result, as it would for a plain tensor
            args[0].expression = result.expression if isinstance(result, EdgeTensor) else Gather(result, None)
            return args[0]
        return result


def _by_place(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """The tensors that a call gives by name in their places, as rules read them: relu(input=x), add(x, other=y), split(tensor=x, ...)."""
    if not args:
        args = tuple(kwargs.pop(name) for name in ("input", "tensor", "tensors", "self") if name in kwargs)[:1]
    if len(args) == 1 and "other" in kwargs:
        args = (*args, kwargs.pop("other"))
    return args


def _here(args: tuple[Any, ...]) -> bool:
    """Whether all lazy tensors were written where gradients are recorded as they are now; else each is computed as it was there."""
    grad = torch.is_grad_enabled()
    for x in args:
        for y in x if isinstance(x, (list, tuple)) else (x,):
            if isinstance(y, EdgeTensor) and y.grad_enabled != grad:
                return False
    return True


def no_rule(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Leave a function to plain tensors."""
    return NotImplemented


def _rule_name(func: Callable[..., Any]) -> str:
    """Which rule a torch function has: by name, since a compiler can take a text for granted, but not a function."""
    return RULES.get(func, no_rule).__name__


_rule_name._dynamo_marked_constant = True  # type: ignore[attr-defined]  # as `kernels.chosen`
