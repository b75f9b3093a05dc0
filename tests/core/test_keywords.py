"""Functions of PyTorch called by the names of their arguments, on lazy tensors as on plain ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from heliograph.algebra.expression import Gather
from heliograph.algebra.tensor import EdgeTensor

torch.manual_seed(0)
W, B = torch.randn(4, 6), torch.randn(4)
INDEX = torch.tensor([0, 1, 1, 2, 4, 3, 0])

# name -> the call, and whether its result stays lazy
CALLS: dict[str, tuple[Callable[[Any], Any], bool]] = {
    "relu": (lambda x: torch.relu(input=x), True),
    "F.relu": (lambda x: F.relu(input=x), True),
    "leaky_relu": (lambda x: F.leaky_relu(input=x, negative_slope=0.3), True),
    "elu": (lambda x: F.elu(input=x, alpha=2.0), True),
    "gelu": (lambda x: F.gelu(input=x, approximate="tanh"), True),
    "softplus": (lambda x: F.softplus(input=x, beta=2), True),
    "clamp": (lambda x: torch.clamp(input=x, min=0.0), True),
    "pow": (lambda x: torch.pow(input=x, exponent=2), True),
    "linear": (lambda x: F.linear(input=x, weight=W, bias=B), True),
    "linear, its weight by name": (lambda x: F.linear(x, weight=W, bias=B), True),
    "matmul": (lambda x: torch.matmul(input=x, other=W.T), True),
    "x.split": (lambda x: x.split(split_size=4, dim=-1)[1], True),
    "x.split into given sizes": (lambda x: x.split(split_size=[2, 4], dim=1)[1], True),
    "torch.split": (lambda x: torch.split(tensor=x, split_size_or_sections=4, dim=1)[1], True),
    "x.split of rows": (lambda x: x.split(split_size=3)[1], False),
    "x.chunk": (lambda x: x.chunk(chunks=2, dim=-1)[1], True),
    "torch.chunk": (lambda x: torch.chunk(input=x, chunks=3, dim=-1)[2], True),
    "cat": (lambda x: torch.cat(tensors=[x, x], dim=-1), True),
    "softmax": (lambda x: torch.softmax(input=x, dim=-1), True),
    "F.softmax": (lambda x: F.softmax(input=x, dim=-1), False),
    "sum": (lambda x: torch.sum(input=x, dim=-1, keepdim=True), True),
    "unsqueeze": (lambda x: torch.unsqueeze(input=x, dim=1), True),
    "flatten": (lambda x: torch.flatten(input=x.unsqueeze(1), start_dim=1), True),
    "unflatten": (lambda x: x.unflatten(dim=1, sizes=(2, 3)), True),
    "squeeze": (lambda x: torch.squeeze(input=x.unsqueeze(1), dim=1), False),
    "norm": (lambda x: torch.norm(input=x, dim=-1), True),
    "add": (lambda x: torch.add(input=x, other=x), True),
    "add with a factor": (lambda x: torch.add(input=x, other=x, alpha=3), False),
    "mul by a number": (lambda x: torch.mul(input=x, other=2.0), True),
    "sub from a plain tensor": (lambda x: torch.sub(input=torch.ones(7, 6), other=x), True),
    "div, rounded": (lambda x: torch.div(input=x, other=3.0, rounding_mode="floor"), False),
    "layer_norm": (lambda x: F.layer_norm(input=x, normalized_shape=(6,)), True),
    "dropout": (lambda x: F.dropout(input=x, p=0.5, training=False), True),
    "where": (lambda x: torch.where(condition=torch.ones(7, 6) > 0, input=x, other=torch.zeros(())), False),
    "index_select": (lambda x: torch.index_select(input=x, dim=0, index=torch.tensor([0, 1])), False),
    "stack": (lambda x: torch.stack(tensors=[x, x], dim=1), False),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_by_name_is_the_call_by_place(name: str) -> None:
    call, lazy = CALLS[name]
    tables = [torch.randn(5, 6, generator=torch.Generator().manual_seed(1)).requires_grad_() for _ in range(2)]
    wanted, found = call(tables[0][INDEX]), call(EdgeTensor(Gather(tables[1], INDEX)))
    if lazy:
        assert isinstance(found, EdgeTensor)
    found = found * 1.0 + torch.zeros(wanted.shape)  # whatever it is
    found = found.expression.value if isinstance(found, EdgeTensor) else found
    torch.testing.assert_close(found, wanted)
    weights = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(2))
    grads = [torch.autograd.grad((y * weights).sum(), table)[0] for y, table in zip((wanted, found), tables, strict=True)]
    torch.testing.assert_close(*grads)


def test_in_place_by_name() -> None:
    table = torch.randn(5, 6)
    x = EdgeTensor(Gather(table, INDEX))
    assert F.relu(input=x, inplace=True) is x
    torch.testing.assert_close(x.expression.value, F.relu(table[INDEX]))
