"""What stands for a tensor without being one: PyTorch's functions, methods and operators take it as if it were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from heliograph.errors import HeliographError


class TensorLike:
    """The rows of `dense()`, held in some other way. Unless a subclass knows better, whatever is done with it is done with those."""

    __slots__ = ()
    shape: Any  # a subclass knows it without making the rows

    def __setitem__(self, key: Any, value: Any) -> None:
        raise HeliographError("rows of a lazy tensor, or of a feature that is held as a table, can't be set: build a new tensor")

    def dense(self) -> Tensor:
        """The plain tensor."""
        raise NotImplementedError

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        return len(self.shape)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __getattr__(self, name: str) -> Any:
        """Methods go the way of functions; other attributes are those of the plain tensor."""
        if name.startswith("__"):  # what Python and PyTorch's compiler look for in any object is not the plain tensor's
            raise AttributeError(f"{type(self).__name__} has no {name}")
        member = getattr(Tensor, name)  # AttributeError where there is no such thing
        if callable(member):
            return lambda *args, **kwargs: type(self).__torch_function__(member, (type(self),), (self, *args), kwargs)
        return getattr(self.dense(), name)

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        refuse_in_place(func, args)
        return func(*plain(args), **plain(kwargs or {}))


def refuse_in_place(func: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """What is not held row by row can't be changed in place. A plain tensor can, by what stands for one."""
    name = called(func)
    if name.endswith("_") and not name.endswith("__") and args and isinstance(args[0], TensorLike):
        raise HeliographError(f"in-place {name} on a lazy tensor, or a feature that is held as a table: write the out-of-place form")


def called(func: Callable[..., Any]) -> str:
    return getattr(func, "__name__", "")


called._dynamo_marked_constant = True  # type: ignore[attr-defined]  # as `heliograph.kernels.chosen`


def plain(x: Any) -> Any:
    """`x` with everything in it that stands for a tensor made one."""
    if isinstance(x, TensorLike):
        return x.dense()
    if isinstance(x, (list, tuple)):
        return type(x)(plain(v) for v in x)
    return {k: plain(v) for k, v in x.items()} if isinstance(x, dict) else x


def operator(name: str) -> Callable[..., Any]:
    """An operator of Python, by the name that Tensor's has, for `TensorLike` or a subclass."""
    function = getattr(Tensor, name)

    def operate(self: TensorLike, *args: Any) -> Any:
        return type(self).__torch_function__(function, (type(self),), (self, *args))

    return operate


_ARITHMETIC = ("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "floordiv", "mod", "pow", "rpow", "matmul", "neg",
               "abs", "rfloordiv", "rmod")  # fmt: skip
_OTHERS = ("getitem", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "xor", "invert")
for _name in (*_ARITHMETIC, *_OTHERS):
    setattr(TensorLike, f"__{_name}__", operator(f"__{_name}__"))
