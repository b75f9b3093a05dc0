"""Batch norm of rows that share a table."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from heliograph.algebra.expression import Expression, Gather


def batch_norm(
    x: Gather,
    mean: Tensor | None,
    var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Expression:
    """norm(T[idx]) = norm(T)[idx], in training with statistics of T that count each row as often as idx uses it.

    Arguments as those of `torch.nn.functional.batch_norm`; running statistics are brought up to date as it does.
    """
    if not training:
        return x.rowwise(lambda t: F.batch_norm(t, mean, var, weight, bias, False, momentum, eps))
    assert x.index is not None
    table = x.table.to(torch.promote_types(x.table.dtype, torch.float32))
    used = torch.zeros(len(table), dtype=torch.long, device=table.device).index_add_(0, x.index, torch.ones_like(x.index, dtype=torch.long))
    share = used.to(table.dtype) / x.E  # of all rows
    table = torch.where(used[:, None] > 0, table, 0)  # whatever is in rows that nobody uses
    m = share @ table
    centred = table - m
    v = share @ centred.square()
    if mean is not None and var is not None:
        with torch.no_grad():
            mean.lerp_(m.to(mean.dtype), momentum)
            var.lerp_((v * (x.E / (x.E - 1))).to(var.dtype), momentum)
    scale = (v + eps).rsqrt() if weight is None else (v + eps).rsqrt() * weight
    y = centred * scale if bias is None else torch.addcmul(bias.to(table.dtype), centred, scale)
    return Gather(y.to(x.table.dtype), x.index)
