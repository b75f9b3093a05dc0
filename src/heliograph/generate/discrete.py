"""Discrete flow matching with masks, for types of atoms (Campbell et al. 2024, arXiv:2402.04997, sec. 4 and appendix F).

At time t a type is shown with probability t and masked otherwise. On the way from t to t + dt a masked type is drawn from the prediction
with probability dt (1 + churn t) / (1 - t), and a shown one is masked again with probability dt churn: the marginals stay, and early
mistakes can be mended.
"""

from __future__ import annotations

import torch
from torch import Tensor


def mask(types: Tensor, t: Tensor, masked: int) -> Tensor:
    """Return `types` [n] with each masked with probability 1 - t [n]."""
    return torch.where(torch.rand(t.shape) < t, types, masked)


def step(
    state: Tensor, logits: Tensor, t: float, dt: float, masked: int, churn: float = 0.0, generator: torch.Generator | None = None
) -> Tensor:
    """Return the types at `t + dt` [n]; `logits` [n, K] are the prediction. In the last step everything masked is drawn, nothing masked."""
    drawn = torch.multinomial(logits.softmax(-1), 1, generator=generator).squeeze(-1)
    last = t + dt >= 1 - 1e-9
    show = 1.0 if last else min(dt * (1 + churn * t) / (1 - t), 1.0)
    hide = 0.0 if last else min(dt * churn, 1.0)
    u = torch.rand(state.shape, generator=generator)
    is_masked = state == masked
    return torch.where(is_masked, torch.where(u < show, drawn, state), torch.where(u < hide, masked, state))
