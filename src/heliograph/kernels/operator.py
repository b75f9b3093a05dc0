"""A PyTorch operator made of a Python function, its shapes without data, derivatives and autocast.

`torch.library.custom_op` does the same, but its first call imports the whole compiler, for a prediction that never compiles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import torch
from torch import library

Function = Callable[..., Any]


@final
class Operator:
    """`torch.ops.heliograph.NAME`, which runs `function` on the CPU; it must not change its arguments, nor return one of them."""

    def __init__(self, function: Function):
        self.name = f"heliograph::{function.__name__}"
        library.define(self.name, library.infer_schema(function, mutates_args=()), tags=[torch.Tag.pt2_compliant_tag])
        library.impl(self.name, "cpu", function)
        self.call = getattr(torch.ops.heliograph, function.__name__)

    def __call__(self, *args: Any) -> Any:
        return self.call(*args)

    def register_fake(self, function: Function) -> None:
        """The result's shape, for tensors without data."""
        library.register_fake(self.name, function)

    def register_autograd(self, backward: Function, setup_context: Function) -> None:
        """As in `torch.library.register_autograd`."""
        library.register_autograd(self.name, backward, setup_context=setup_context)

    def register_autocast(self, device: str, dtype: torch.dtype) -> None:
        """Inside autocast, run in `dtype`."""
        library.register_autocast(self.name, device, dtype)
