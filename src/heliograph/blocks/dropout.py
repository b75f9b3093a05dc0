"""Dropout whose mask needs one random number, not one an element."""

from __future__ import annotations

from typing import Any, final

from torch import nn

from heliograph import kernels
from heliograph.algebra.tensor import EdgeTensor


@final
class Dropout(nn.Dropout):
    """`nn.Dropout`, with the mask of `kernels.dropout`: one random number a call, not one an element."""

    def forward(self, x: Any) -> Any:
        if not self.training or self.p == 0:
            return x
        return kernels.dropout(x.dense() if isinstance(x, EdgeTensor) else x, self.p)


def with_quick_dropout(network: nn.Module) -> None:
    """Put `Dropout` in the place of every plain `nn.Dropout` of a network; the weights and their names stay as they are."""
    made: dict[nn.Module, Dropout] = {}  # one that is in several places stays one
    for module in list(network.modules()):
        for name, child in module._modules.items():
            if type(child) is nn.Dropout and not child.inplace:
                module._modules[name] = made.setdefault(child, Dropout(child.p).train(child.training))
