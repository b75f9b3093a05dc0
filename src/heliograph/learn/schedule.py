"""The learning rate of every step.

Linear warm-up, then a decay. Exponential: chemprop's (Heid et al. 2024, doi:10.1021/acs.jcim.3c01250; after Vaswani et al. 2017,
arXiv:1706.03762, sec. 5.3); halving is the same in stairs. Linear from a given share of the steps on: Gilmer et al. 2017,
arXiv:1704.01212, sec. 6. Cosine: Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts. These are pure functions of the step, so
that nothing about them need be saved. On a plateau the rate falls by what the validation losses so far have shown, which the training's
history keeps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from heliograph.learn.config import Decay, FitConfig

PLATEAU, FACTOR = 10, 0.5  # epochs without a better validation loss after which the rate falls, and by what factor


@dataclass(frozen=True)
class Schedule:
    """`init` -> `top` over `warmup` steps, then `top` -> `final` over the others, the last `start` ... `total` where it decays linearly."""

    init: float
    top: float
    final: float
    warmup: int
    total: int
    decay: Decay = "exponential"
    start: int = 0

    @classmethod
    def of(cls, fit: FitConfig, steps_per_epoch: int) -> Schedule:
        """Return the schedule that the settings ask for."""
        rates = (fit.init_lr, fit.max_lr, fit.final_lr)
        return cls.of_epochs(rates, fit.warmup_epochs, fit.epochs, steps_per_epoch, fit.schedule, fit.decay_from)

    @classmethod
    def of_epochs(
        cls,
        rates: tuple[float, float, float],
        warmup_epochs: float,
        epochs: int,
        steps_per_epoch: int,
        decay: Decay = "exponential",
        decay_from: float = 0.0,
    ) -> Schedule:
        """`warmup_epochs` is held to half of the epochs, so that a run of one epoch reaches the top and comes down again."""
        total = epochs * steps_per_epoch
        warmup = round(min(warmup_epochs, epochs / 2) * steps_per_epoch)
        return cls(*rates, warmup=warmup, total=total, decay=decay, start=max(warmup, round(decay_from * total)))

    def __call__(self, step: int) -> float:
        """Learning rate of step 0, 1, ..."""
        if step < self.warmup:
            return self.init + (self.top - self.init) * step / self.warmup
        if self.decay == "plateau":
            return self.top
        if step >= self.total or self.total == self.warmup:
            return self.final
        if self.decay == "linear":
            past = max(step - self.start, 0) / max(self.total - self.start, 1)
            return self.top + (self.final - self.top) * past
        past = (step - self.warmup) / (self.total - self.warmup)
        if self.decay == "halving":
            return self.top * 0.5 ** math.floor(math.log2(self.top / self.final) * past + 1e-9)
        if self.decay == "cosine":
            return self.final + (self.top - self.final) * (1 + math.cos(math.pi * past)) / 2
        return self.top * (self.final / self.top) ** past

    def fallen(self, losses: Sequence[float]) -> float:
        """The factor on the rate on a plateau after epochs with these validation losses, at least `final` / `top`."""
        best, stale, factor = math.inf, 0, 1.0
        for loss in losses:
            best, stale = (loss, 0) if loss < best else (best, stale + 1)
            if stale == PLATEAU:
                factor, stale = factor * FACTOR, 0
        return max(factor, self.final / self.top)
