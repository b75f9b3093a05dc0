"""Adam without torch.optim's base class, whose first use imports PyTorch's compiler: two seconds of every training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim.adam import adam
from torch.optim.adamw import adamw

BETAS, EPS = (0.9, 0.999), 1e-8


class Adam:
    """Adam (Kingma & Ba, arXiv:1412.6980); with a weight decay AdamW (Loshchilov & Hutter, arXiv:1711.05101).

    The numbers are those of `torch.optim.Adam` and `AdamW` with `fused=True`, bit for bit.

    Args:
        groups: dicts with "params", a list of parameters, and "weight_decay" where it is not `weight_decay`.
        lr: learning rate at the start; `param_groups` hold it as "lr" and may be changed between steps.
        weight_decay: share of the weights that a step at rate 1 takes away.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float, weight_decay: float = 0.0):
        self.param_groups = [{"lr": lr, "weight_decay": weight_decay, **group} for group in groups]
        self.state: dict[Parameter, dict[str, Tensor]] = {}
        self.update = adamw if weight_decay else adam

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change every parameter that has a gradient."""
        for group in self.param_groups:
            with_gradient = [p for p in group["params"] if p.grad is not None]
            kept = [self._kept(p) for p in with_gradient]
            self.update(
                with_gradient, [p.grad for p in with_gradient], [k["exp_avg"] for k in kept], [k["exp_avg_sq"] for k in kept], [],
                [k["step"] for k in kept], fused=True, amsgrad=False, beta1=BETAS[0], beta2=BETAS[1], lr=group["lr"],
                weight_decay=group["weight_decay"], eps=EPS, maximize=False,
            )  # fmt: skip

    def _kept(self, parameter: Parameter) -> dict[str, Tensor]:
        """The parameter's count of steps and moments; zeros before its first step."""
        if parameter not in self.state:
            step = torch.zeros((), dtype=torch.float32, device=parameter.device)
            self.state[parameter] = {"step": step, "exp_avg": torch.zeros_like(parameter), "exp_avg_sq": torch.zeros_like(parameter)}
        return self.state[parameter]
