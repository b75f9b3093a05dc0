"""What a training of a potential is asked to do. The options of `heliograph train` for frames are these fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from heliograph.learn.config import FitConfig, Group


class FramesConfig(Group):
    """Which frames, and under which names they keep their labels."""

    data_path: Path = Field(description="frames: extxyz (plain or .gz), .traj, .db, POSCAR, .cif and what else ASE reads")
    val_path: Path | None = Field(default=None, description="separate file of validation frames")
    test_path: Path | None = Field(default=None, description="separate file of test frames")
    split: Literal["random", "group", "time"] = Field(
        default="random",
        description="random; group: frames of one config_type stay together; time: blocks of the file in its order",
    )
    split_sizes: tuple[float, float, float] = Field(default=(0.8, 0.1, 0.1), description="shares of train, validation, test")
    energy_key: str | None = Field(default=None, description="name of the energy [eV] (default: energy, REF_energy, ...)")
    forces_key: str | None = Field(default=None, description="name of the forces [eV/A] (default: forces, REF_forces, ...)")
    stress_key: str | None = Field(default=None, description="name of the stress [eV/A^3] (default: stress, REF_stress)")
    virial_key: str | None = Field(default=None, description="name of the virial [eV], which is -stress x volume")
    properties: tuple[str, ...] = Field(
        default=(),
        description="other labels to learn, each NAME or NAME=KIND: mean, sum (numbers of the structure), atom, charges (of atoms; "
        "charges add up to the frame's charge), dipole, polarizability, extent; without a KIND by the label's shape",
    )
    forces: bool = Field(
        default=True,
        description="learn forces and stress where there are any; --no-forces: energies alone",
    )


class PotentialConfig(Group):
    """Which architecture, and what its energies are measured from."""

    arch: str = Field(default="painn", description="an architecture whose energy is a sum over atoms")
    arch_args: dict[str, Any] = Field(default_factory=dict, description="arguments of its build(), as name=value")
    r_max: PositiveFloat | None = Field(default=None, description="cutoff in angstrom (default: the architecture's)")
    E0s: str = Field(
        default="auto",
        description="energies of isolated atoms: isolated (from frames of one atom), fit, or values like '{1: -13.6, 6: -1029.3}' or a "
        ".json file; auto: isolated where the frames have them, else fit",
    )
    energy_weight: float = Field(default=4.0, ge=0, description="weight of the energy's error per atom in the loss")
    forces_weight: float = Field(default=1.0, ge=0, description="weight of the forces' error in the loss")
    stress_weight: float = Field(
        default=1.0,
        ge=0,
        description="weight of the stress's error in the loss, as energy per atom",
    )
    start_stage_two: float | None = Field(
        default=None, gt=0, lt=1, description="share of all steps from which the second stage's energy weight holds"
    )
    stage_two_energy_weight: float = Field(
        default=100.0, ge=0, description="weight of the energy's error per atom in the second stage, which also chooses the epoch"
    )
    properties_weight: float = Field(default=1.0, ge=0, description="weight in the loss of each property's error, in units of its spread")
    ensemble_size: PositiveInt = Field(default=1, description="models that differ in their seed; their spread is the error bar")


class FrameFit(FitConfig):
    """`FitConfig` with defaults that suit frames: small batches, a moving average of weights."""

    epochs: PositiveInt = Field(default=200, description="passes over the training set")
    batch_size: PositiveInt = Field(default=8, description="frames per step")
    final_lr: PositiveFloat = Field(default=1e-6, description="learning rate at the end of the decay")
    schedule: Literal["exponential", "linear", "cosine", "plateau"] = Field(default="cosine", description="decay after the warm-up")
    grad_clip: float | None = Field(default=10.0, gt=0, description="largest gradient norm")
    ema: float = Field(
        default=0.99,
        ge=0,
        lt=1,
        description="decay per step of the moving average of weights that is kept (0: off)",
    )


class TrainPotential(Group):
    """All of it. Saved as `config.toml`, resolved, in the run folder."""

    frames: FramesConfig
    potential: PotentialConfig = PotentialConfig()
    fit: FrameFit = FrameFit()
    output_dir: Path = Field(
        default=Path("run"),
        description="folder for the run; an existing run needs resume or overwrite",
    )
