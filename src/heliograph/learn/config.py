"""How the weights are found: the settings of a training, one description a field."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

Decay = Literal["exponential", "linear", "cosine", "plateau", "halving"]


class Group(BaseModel):
    """A few settings that belong together; an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FitConfig(Group):
    """How the weights are found."""

    epochs: PositiveInt = Field(default=50, description="passes over the training set")
    budget: str | None = Field(
        default=None,
        description="wall time for the whole training instead of epochs, e.g. 90s, 10m, 2h; a short probe turns it into epochs",
    )
    batch_size: PositiveInt = Field(default=64, description="rows (molecules, frames, nodes ...) per step")
    loss: Literal["auto", "mse", "mae", "huber", "bce", "ce"] = Field(
        default="auto", description="auto: mse for regression, bce for binary, ce for multiclass"
    )
    metrics: tuple[str, ...] = Field(
        default=(), description="what to report; the first one selects the best epoch (default: by task, and the validation loss selects)"
    )
    init_lr: PositiveFloat = Field(default=1e-4, description="learning rate at the start of the warm-up")
    max_lr: PositiveFloat = Field(default=1e-3, description="learning rate after the warm-up")
    final_lr: PositiveFloat = Field(default=1e-4, description="learning rate at the end of the decay")
    warmup_epochs: float = Field(default=2.0, ge=0, description="epochs of linear warm-up")
    schedule: Decay = Field(
        default="exponential",
        description="decay of the learning rate after the warm-up; plateau: halved after 10 epochs without a better validation loss; "
        "halving: exponential in steps of one half",
    )
    decay_from: float = Field(
        default=0.0, ge=0, lt=1, description="share of all steps after which a linear decay begins (Gilmer et al. 2017: 0.1 to 0.9)"
    )
    weight_decay: float = Field(default=0.0, ge=0, description="decoupled weight decay (AdamW)")
    grad_clip: float | None = Field(default=None, gt=0, description="largest gradient norm")
    patience: int | None = Field(default=None, ge=1, description="stop after this many epochs without a better validation score")
    ema: float = Field(
        default=0.0, ge=0, lt=1, description="decay per step of the moving average of weights that is validated and kept (0: off)"
    )
    seed: int = Field(default=0, ge=0, description="everything random follows from it")
    accelerator: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="where to train")
    devices: PositiveInt = Field(default=1, description="devices for distributed data parallel training")
    baselines: bool = Field(default=True, description="also fit simple models on the same parts, to compare with")
    precision: Literal["32", "64", "bf16"] = Field(default="32", description="bf16 is mixed precision: weights stay in float32")
