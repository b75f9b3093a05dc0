"""Dropout at prediction: how far PASSES thinned copies of a network's head differ.

    y_s = head with mask s,  s = 1 .. PASSES;   spread = standard deviation over s of y_s(pooled state of the molecule)

The masks are drawn once, by a seed, and are the same for every molecule: the copies are networks that stay as they are. So the spread
is a function of the molecule, whoever else is in the batch and however its atoms are numbered, and what is kept of environments
stays valid, since nothing below the readout is thinned. The answer itself is that of the whole network.
After Gal & Ghahramani 2016, arXiv:1506.02142, who thin every layer.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from heliograph.blocks import Pool
from heliograph.errors import ModelFileError, UsageError
from heliograph.model import MPNN

PASSES = 30
MOST_PASSES = 1000


@dataclass(frozen=True)
class Thinned:
    """How many copies, and the seed of their masks; plain data of a model file."""

    passes: int = PASSES
    seed: int = 0

    def to_dict(self) -> dict[str, int]:
        """Return plain JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> Thinned:
        """Read what `to_dict` wrote. Raises ModelFileError where it is none."""
        fits = isinstance(data, dict) and set(data) == {"passes", "seed"} and all(type(v) is int for v in data.values())
        if not fits or not 2 <= data["passes"] <= MOST_PASSES or data["seed"] < 0:
            raise ModelFileError(f"dropout at prediction is {str(data)[:60]}; expected 2 to {MOST_PASSES} passes and a seed")
        return cls(**data)

    def spread(self, model: MPNN, pooled: Tensor) -> Tensor:
        """Return the standard deviation over the copies of the head's outputs, [G, out], float64; `pooled` [G, d] is its input."""
        head = copy.deepcopy(_head(model))
        generator = torch.Generator().manual_seed(self.seed)
        for name, module in list(head.named_modules()):
            if isinstance(module, nn.Dropout):
                above, _, own = name.rpartition(".")
                setattr(head.get_submodule(above), own, _Mask(module.p, self.passes, generator))
        with torch.inference_mode():
            y = head(pooled[:, None, :].expand(-1, self.passes, -1)).double()  # [G, passes, out]
        return y.std(1)


class _Mask(nn.Module):
    """A mask for each copy, [passes, d], drawn when the width is known."""

    def __init__(self, p: float, passes: int, generator: torch.Generator):
        super().__init__()
        self.p, self.passes, self.generator = p, passes, generator

    def forward(self, x: Tensor) -> Tensor:
        kept = torch.rand(self.passes, x.shape[-1], generator=self.generator) >= self.p
        return x * (kept.to(x) / (1.0 - self.p))


def check(model: MPNN) -> None:
    """Raise UsageError where the network has no dropout between its pooled states and its answers."""
    rates = [m.p for m in _head(model).modules() if isinstance(m, nn.Dropout)] if isinstance(model.readout, Pool) else []
    if not any(rates) or any(p >= 1.0 for p in rates):
        raise UsageError(
            "--uncertainty-method dropout needs a network that pools its atoms and has dropout after that: try --arch-args dropout=0.1, "
            "with dmpnn for instance"
        )


def _head(model: MPNN) -> nn.Module:
    assert isinstance(model.readout, Pool)
    return model.readout.head


@contextmanager
def watched(model: MPNN, wanted: bool) -> Iterator[list[Tensor]]:
    """Yield a list that gets what the head is given, [G, d], at each call; nothing unless it is `wanted`."""
    found: list[Tensor] = []
    if not wanted:
        yield found
        return
    handle = _head(model).register_forward_hook(lambda _, given, __: found.append(given[0].detach()))
    try:
        yield found
    finally:
        handle.remove()
