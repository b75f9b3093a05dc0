"""The shortest way from a chain to the kernel of a call: PyTorch's own bindings where they do the same, else the operator."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from heliograph.kernels.operator import FUNCTIONS
from heliograph.recording.tape import Call, aten

_nn: Any = torch._C._nn
_functions: Any = torch._C._VariableFunctions


def _slice(x: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Tensor:
    """Part of an axis."""
    if dim == 0:
        return x[start:end:step]
    return x[:, start:end:step] if dim == 1 else aten.slice.Tensor(x, dim, start, end, step)


_SHORT: dict[Any, Callable[..., Any]] = {
    aten._local_scalar_dense.default: Tensor.item,
    aten._softmax.default: _functions._softmax,
    aten.add.Tensor: torch.add,
    aten.add_.Tensor: Tensor.add_,
    aten.addmm.default: torch.addmm,
    aten.bmm.default: torch.bmm,
    aten.cat.default: torch.cat,
    aten.clamp.default: torch.clamp,
    aten.cos.default: torch.cos,
    aten.cumsum.default: torch.cumsum,
    aten.div.Tensor: torch.div,
    aten.elu.default: _nn.elu,
    aten.embedding.default: torch.embedding,
    aten.exp.default: torch.exp,
    aten.expand.default: Tensor.expand,
    aten.gelu.default: _nn.gelu,
    aten.index_add_.default: Tensor.index_add_,
    aten.index_select.default: torch.index_select,
    aten.leaky_relu.default: _nn.leaky_relu,
    aten.log.default: torch.log,
    aten.mm.default: torch.mm,
    aten.mul.Scalar: torch.mul,
    aten.mul.Tensor: torch.mul,
    aten.mul_.Tensor: Tensor.mul_,
    aten.native_batch_norm.default: torch.native_batch_norm,
    aten.neg.default: torch.neg,
    aten.nonzero.default: Tensor.nonzero,
    aten.permute.default: torch.permute,
    aten.pow.Tensor_Scalar: torch.pow,
    aten.relu.default: torch.relu,
    aten.rsqrt.default: torch.rsqrt,
    aten.select.int: torch.select,
    aten.sigmoid.default: torch.sigmoid,
    aten.sigmoid_.default: Tensor.sigmoid_,
    aten.silu.default: _nn.silu,
    aten.slice.Tensor: _slice,
    aten.split.Tensor: _functions.split,
    aten.split_with_sizes.default: _functions.split_with_sizes,
    aten.sqrt.default: torch.sqrt,
    aten.squeeze.dim: torch.squeeze,
    aten.sub.Tensor: torch.sub,
    aten.sum.default: torch.sum,
    aten.sum.dim_IntList: torch.sum,
    aten.t.default: torch.t,
    aten.tanh.default: torch.tanh,
    aten.tanh_.default: Tensor.tanh_,
    aten.transpose.int: torch.transpose,
    aten.unsafe_split.Tensor: _functions.unsafe_split,
    aten.unsqueeze.default: torch.unsqueeze,
    aten.view.default: Tensor.view,
    aten.where.self: torch.where,
}
_MADE: dict[Any, Callable[..., Any]] = {  # those that make tensors, on the CPU
    aten.arange.default: torch.arange,
    aten.arange.start: torch.arange,
    aten.arange.start_step: torch.arange,
    aten.clone.default: torch.clone,
    aten.empty_like.default: torch.empty_like,
    aten.full.default: torch.full,
    aten.new_empty.default: Tensor.new_empty,
    aten.new_zeros.default: Tensor.new_zeros,
    aten.ones.default: torch.ones,
    aten.ones_like.default: torch.ones_like,
    aten.sort.stable: torch.sort,
    aten.zeros.default: torch.zeros,
    aten.zeros_like.default: torch.zeros_like,
}
_copied = partial(Tensor.to, copy=True)


def direct(call: Call) -> Callable[..., Any]:
    """Return what runs the kernel of a call with the fewest steps before it."""
    function = call.function
    return _SHORT.get(function) or FUNCTIONS.get(function) or function


def called_with(function: Any, named: dict[str, Any]) -> Callable[..., Any]:
    """Return a function with constants as arguments by name; those that say what is so anyway are left out."""
    if function is aten._to_copy.default and list(named) == ["dtype"]:
        return partial(_copied, **named)
    if function not in _MADE:
        return partial(function, **named)
    usual = {"layout": torch.strided, "device": torch.device("cpu"), "pin_memory": False}
    return partial(_MADE[function], **{k: v for k, v in named.items() if v is not None and usual.get(k) != v})


def changes(call: Call) -> bool:
    """Return whether a call changes one of its arguments, or draws a number."""
    return call.function._schema.is_mutable or torch.Tag.nondeterministic_seeded in call.function.tags or normalises(call)


def normalises(call: Call) -> bool:
    """Return whether a call is batch norm in training, which moves its averages, which its schema does not say."""
    return call.function is aten.native_batch_norm.default
