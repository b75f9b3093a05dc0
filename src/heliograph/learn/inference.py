"""The one loop that infers: batch after batch, in evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from heliograph.learn.objective import Objective
from heliograph.learn.source import Source
from heliograph.model import MPNN


def infer(model: MPNN, source: Source, rows: np.ndarray, objective: Objective, batch_size: int, seed: int = 0) -> dict[str, Tensor]:
    """Return the objective's outputs for `rows`, name -> [n, ...] on the CPU, without gradients.

    Where the objective draws noise, it follows from `seed` and the number of the batch.
    """
    found: dict[str, list[Tensor]] = {}
    for outputs in batches_of_outputs(model, source, rows, objective, batch_size, seed):
        for name, value in outputs.items():
            found.setdefault(name, []).append(value)
    return {name: torch.cat(parts) for name, parts in found.items()}


def batches_of_outputs(
    model: MPNN, source: Source, rows: np.ndarray, objective: Objective, batch_size: int, seed: int = 0
) -> Iterator[dict[str, Tensor]]:
    """Yield the outputs of `batch_size` rows after the other, for streams that keep nothing."""
    model.eval()
    device = next(model.parameters()).device
    for k, start in enumerate(range(0, len(rows), batch_size)):
        piece = rows[start : start + batch_size]
        targets = {name: target.to(device) for name, target in source.targets(piece).items()}
        with torch.random.fork_rng(devices=[]), torch.set_grad_enabled(objective.gradients):
            torch.manual_seed(seed + k)
            outputs = objective.outputs(model, source.batch(piece, None), targets)
        yield {name: value.detach().cpu() for name, value in outputs.items()}
