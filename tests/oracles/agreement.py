"""Two computations from the same parameters agree: predictions, and the gradient that reaches each parameter."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from heliograph.graph import Graph
from heliograph.model import MPNN

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
Parameters = Mapping[str, Tensor]


def assert_agree(net: MPNN, graph: Graph, other: Callable[[Parameters, Graph], Tensor]) -> float:
    """The largest difference, a tensor's as a share of its largest entry where that is above one; within TOLERANCE.

    `other(parameters, graph)` computes the predictions [G, out] from the parameters of `net`, which it uses as they are.
    """
    parameters = dict(net.named_parameters())
    dtype = next(iter(parameters.values())).dtype
    results = []
    for y in (net(graph)["y"], other(parameters, graph)):
        assert y.dtype == dtype
        weight = torch.linspace(-1, 1, y.numel(), dtype=dtype).view_as(y)
        gradients = torch.autograd.grad((weight * y).sum(), list(parameters.values()))
        results.append({"y": y.detach(), **dict(zip(parameters, gradients, strict=True))})
    worst = 0.0
    for name, mine in results[0].items():
        theirs = results[1][name]
        assert mine.shape == theirs.shape and bool(theirs.any()), name
        difference = float((mine - theirs).abs().max() / theirs.abs().max().clamp(min=1))
        assert difference <= TOLERANCE[dtype], f"{name}: {difference}"
        worst = max(worst, difference)
    if (table := os.environ.get("HELIOGRAPH_ORACLES")) is not None:  # scripts/oracles.py reads it
        with open(table, "a", encoding="utf-8") as file:
            line = {
                "test": os.environ["PYTEST_CURRENT_TEST"].split(" ")[0],
                "dtype": str(dtype),
                "parameters": len(parameters),
                "worst": worst,
            }
            file.write(json.dumps(line) + "\n")
    return worst
