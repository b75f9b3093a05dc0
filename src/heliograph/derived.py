"""Properties that are computed once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, final

_T = TypeVar("_T")


@final
class derived(Generic[_T]):
    """`functools.cached_property` without the lock that it has before Python 3.12: PyTorch's compiler knows none.

    Two threads may both compute a value.
    """

    def __init__(self, function: Callable[[Any], _T]):
        self.function, self.name, self.__doc__ = function, function.__name__, function.__doc__

    def __get__(self, of: Any, owner: type | None = None) -> _T:
        if of is None:
            return self  # type: ignore[return-value]  # asked of the class: for its docstring
        value = of.__dict__[self.name] = self.function(of)
        return value
