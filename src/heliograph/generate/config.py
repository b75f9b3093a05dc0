"""What a generator's training and its sampling are asked to do."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from heliograph.learn.config import Decay, FitConfig, Group

Name = Literal["flow", "ancestral", "sde", "ode"]


class GeneratorFit(FitConfig):
    """The settings of a training, with defaults that suit generators."""

    epochs: PositiveInt = Field(default=100, description="passes over the training set")
    batch_size: PositiveInt = Field(default=32, description="molecules per step")
    final_lr: PositiveFloat = Field(default=1e-5, description="learning rate at the end of the decay")
    warmup_epochs: float = Field(default=1.0, ge=0, description="epochs of linear warm-up")
    schedule: Decay = Field(default="linear", description="decay of the learning rate after the warm-up")
    decay_from: float = Field(default=0.5, ge=0, lt=1, description="share of all steps after which a linear decay begins")
    grad_clip: float | None = Field(default=1.0, gt=0, description="largest gradient norm")
    ema: float = Field(default=0.999, ge=0, lt=1, description="decay per step of the moving average of weights that samples (0: off)")


class GeneratorConfig(Group):
    """What is learned from which molecules, and by which network."""

    data_path: Path = Field(description="molecules with hydrogens and positions: sdf, xyz, extxyz (plain or .gz), or a shipped set's name")
    task: Literal["molecules", "conformers", "crystals"] = Field(
        default="molecules",
        description="molecules: new ones; conformers: positions of given ones (DATA: one conformer a row); crystals: extxyz, cif, a folder",
    )
    properties: tuple[str, ...] = Field(default=(), description="numeric columns that samples can be asked for")
    process: Name = Field(default="flow", description="flow: flow matching; ancestral, sde, ode: the variance-preserving diffusion")
    d: PositiveInt = Field(default=128, multiple_of=8, description="width of node states, a multiple of 8 (heads of attention)")
    depth: PositiveInt = Field(default=5, description="blocks of the network")
    sets: PositiveInt = Field(default=8, description="coordinate sets of a node")
    pair: PositiveInt = Field(default=32, description="width of pair messages")
    validation: float = Field(default=0.05, gt=0, lt=1, description="share of the molecules held out to validate")


class GenerateTrainConfig(Group):
    """All of a generator's training."""

    generator: GeneratorConfig
    fit: GeneratorFit = GeneratorFit()
    output_dir: Path = Field(default=Path("generator"), description="folder for the run; an existing run needs resume or overwrite")
