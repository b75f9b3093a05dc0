"""A PyTorch operator made of a Python function, its shapes without data, derivatives and autocast.

`torch.library.custom_op` does the same, but its first call imports the whole compiler, for a prediction that never compiles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor, library, nn
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

Function = Callable[..., Any]
PLAIN = (Tensor, nn.Parameter)
DEVICES = ("cpu", "cuda")
FUNCTIONS: dict[Any, Function] = {}  # PyTorch's operator -> the function that it runs


@final
class Operator:
    """`torch.ops.heliograph.NAME`, which runs `function` on CPU and GPU; it must not change its arguments, nor return one of them.

    Called as this object, it goes the dispatcher's way only where somebody listens there (a compiler, a profiler, tensors without
    data): that way takes arguments apart in Python at each call, which a small batch feels.
    """

    def __init__(self, function: Function):
        self.name, self.function = f"heliograph::{function.__name__}", function
        library.define(self.name, library.infer_schema(function, mutates_args=()), tags=[torch.Tag.pt2_compliant_tag])
        library.impl(self.name, DEVICES, function)
        self.dispatched = getattr(torch.ops.heliograph, function.__name__)
        FUNCTIONS[self.dispatched.default] = function
        self.differentiable: Function | None = None
        self.autocast: torch.dtype | None = None

    def __call__(self, *args: Any) -> Any:
        tensors = [a for a in args if isinstance(a, Tensor)]
        if _listened() or any(type(t) not in PLAIN for t in tensors):
            return self.dispatched(*args)
        device = next((t.device.type for t in tensors), None)
        if self.autocast is not None and device in DEVICES and torch.is_autocast_enabled(device):
            with torch.autocast(device, enabled=False):
                return self(*(_cast(a, self.autocast) for a in args))
        if self.differentiable is not None and torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
            return self.differentiable(*args)
        return self.function(*args)

    def register_fake(self, function: Function) -> None:
        """The result's shape, for tensors without data."""
        library.register_fake(self.name, function)

    def register_autograd(self, backward: Function, setup_context: Function) -> None:
        """As in `torch.library.register_autograd`; `backward` returns a tuple.

        Tensors that need a gradient are arguments of their own, not members of a list.
        """
        library.register_autograd(self.name, backward, setup_context=setup_context)

        def forward(ctx: Any, *args: Any) -> Any:  # in one function: with a `setup_context`, PyTorch inspects the signature at each call
            result = self.function(*args)
            setup_context(ctx, args, result)
            return result

        def alone(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
            return tuple(x if isinstance(x, Tensor) else None for x in backward(ctx, g))

        made: Any = type(self.name, (torch.autograd.Function,), {"forward": staticmethod(forward), "backward": staticmethod(alone)})
        self.differentiable = made.apply

    def register_autocast(self, dtype: torch.dtype) -> None:
        """Inside autocast, run in `dtype`."""
        self.autocast = dtype
        for device in DEVICES:
            library.register_autocast(self.name, device, dtype)


def _cast(value: Any, dtype: torch.dtype) -> Any:
    """What autocast's rules cast: tensors of floats, and lists of them, but for float64."""
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() and value.dtype != torch.float64 else value
    return [_cast(x, dtype) for x in value] if isinstance(value, list | tuple) else value


def _listened() -> bool:
    return torch.compiler.is_compiling() or is_in_torch_dispatch_mode() or torch.autograd._profiler_enabled()
