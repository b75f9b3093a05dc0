"""Dropout whose mask needs one random number, not one an element."""

from __future__ import annotations

from typing import Any, final

from torch import nn

from heliograph import kernels
from heliograph.tensorlike import TensorLike


@final
class Dropout(nn.Dropout):
    """`nn.Dropout`, with the mask of `kernels.dropout`: one random number a call, not one an element."""

    def forward(self, x: Any) -> Any:
        if not self.training or self.p == 0:
            return x
        return kernels.dropout(x.dense() if isinstance(x, TensorLike) else x, self.p)
