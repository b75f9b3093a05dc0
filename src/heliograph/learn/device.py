"""One device, with those methods of Lightning Fabric that the loop calls. Fabric itself, seconds of import, is for several devices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn


class OneDevice:
    """Run a training in this process on `device`, "cpu" or "cuda". `precision` as in FitConfig: "32", "64" or "bf16"."""

    world_size, global_rank, is_global_zero = 1, 0, True

    def __init__(self, device: str, precision: str):
        self.device, self.precision = torch.device(device), precision

    def setup(self, module: nn.Module) -> nn.Module:
        """Return `module` itself, moved to the device; its weights are float64 for precision "64"."""
        return module.to(self.device, torch.float64 if self.precision == "64" else None)

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context in which the module runs: the dtype of new tensors ("64"), or that of products ("bf16")."""
        if self.precision == "bf16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return _default_dtype(torch.float64) if self.precision == "64" else nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of `loss`, a scalar."""
        loss.backward()

    def all_reduce(self, value: Tensor, reduce_op: str) -> Tensor:
        """Return `value`: there is no other process."""
        return value

    def broadcast(self, found: Any) -> Any:
        """Return `found`: there is no other process."""
        return found

    def barrier(self) -> None:
        """Wait for nobody."""


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
