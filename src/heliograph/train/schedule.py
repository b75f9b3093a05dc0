"""The learning rate of every step.

Linear warm-up, then exponential decay: chemprop's schedule (Heid et al. 2024, doi:10.1021/acs.jcim.3c01250; after Vaswani et al. 2017,
arXiv:1706.03762, sec. 5.3), a pure function of the step, so that nothing about it need be saved.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """`init` -> `top` over `warmup` steps, then `top` -> `final` over the other `total - warmup`."""

    init: float
    top: float
    final: float
    warmup: int
    total: int

    @classmethod
    def of_epochs(cls, rates: tuple[float, float, float], warmup_epochs: float, epochs: int, steps_per_epoch: int) -> Schedule:
        """`warmup_epochs` is held to half of the epochs, so that a run of one epoch reaches the top and comes down again."""
        total = epochs * steps_per_epoch
        warmup = round(min(warmup_epochs, epochs / 2) * steps_per_epoch)
        return cls(*rates, warmup=warmup, total=total)

    def __call__(self, step: int) -> float:
        """Learning rate of step 0, 1, ..."""
        if step < self.warmup:
            return self.init + (self.top - self.init) * step / self.warmup
        if step >= self.total or self.total == self.warmup:
            return self.final
        return self.top * (self.final / self.top) ** ((step - self.warmup) / (self.total - self.warmup))
