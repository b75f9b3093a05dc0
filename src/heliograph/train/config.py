"""What a training is asked to do: five small groups, one description a field.

The command line's options, the keys of a TOML file and `config.toml` in a run folder are these fields and no others
(`split_sizes` is `--split-sizes`); names are unique across the groups, so a TOML file may hold them flat or in tables.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveInt, field_validator

from heliograph.learn.config import FitConfig, Group

Split = Literal["random", "scaffold", "butina", "cluster", "sphere", "kennard-stone", "lead-opt", "size", "time"]
Calibrate = Literal[
    "auto", "none", "conformal-regression", "zscaling", "variance", "loglinear", "environments", "isotonic", "crude", "platt",
    "temperature", "venn-abers",
]  # fmt: skip


class DataConfig(Group):
    """What is learned from which table."""

    data_path: Path = Field(
        description="table of molecules: csv, tsv, xlsx, parquet, smi, sdf, xyz, extxyz (plain or packed), - for standard input, "
        "or the name of a shipped set"
    )
    smiles_columns: str | None = Field(
        default=None, description="column with the SMILES (default: 'smiles', else the one that holds molecules; it is printed)"
    )
    target_columns: tuple[str, ...] = Field(default=(), description="columns to predict (default: every other column of numbers)")
    weight_column: str | None = Field(default=None, description="column with the weight of each row in the loss")
    task_type: Literal["auto", "regression", "binary", "multiclass"] = Field(
        default="auto", description="auto: binary where all labels are 0/1, else regression"
    )
    missing: tuple[str, ...] = Field(
        default=(), description="cells that stand for missing, beside the usual marks (-999); none: -999 and its like are numbers"
    )
    censored: Literal["drop", "bound", "loss"] | None = Field(
        default=None, description="labels like >10: left out, taken for the bound, or learned as beyond it (a one-sided loss)"
    )
    units: tuple[str, ...] = Field(default=(), description="unit of each target, kept in the model file and shown in the report")
    geometry: Literal["auto", "none", "given", "embed"] = Field(
        default="auto",
        description="none: bonds only; given: coordinates of the input; embed: ETKDG + MMFF conformers; auto: what the architecture needs",
    )
    num_workers: int = Field(default=2, ge=0, description="processes that featurize (0: in this one)")
    strict: bool = Field(default=False, description="stop with exit code 1 at the first row that can't be used")


class SplitConfig(Group):
    """Which molecules train, tune and test."""

    split: Split = Field(
        default="random",
        description="how the rows are divided; kennard-stone: an even cover trains; lead-opt: of some series one molecule is known; "
        "size: small molecules train, large ones test; time: by --time-column",
    )
    time_column: str | None = Field(default=None, description="column with a date (2024-05-31) or a number, for --split time")
    split_sizes: tuple[float, float, float] = Field(default=(0.8, 0.1, 0.1), description="shares of train, validation, test")
    copies: Literal["together", "apart"] = Field(
        default="together", description="rows of equal structure in a random split: in one part, or wherever they fall"
    )
    splits_column: str | None = Field(default=None, description="column that says train, val or test for each row (blank: left out)")
    val_path: Path | None = Field(default=None, description="separate file of validation molecules")
    test_path: Path | None = Field(default=None, description="separate file of test molecules")
    num_replicates: PositiveInt = Field(default=1, description="trainings on as many different splits, mean and spread reported")


class ModelConfig(Group):
    """Which architecture."""

    arch: str = Field(default="dmpnn", description="a file of the zoo (heliograph models lists them), path/to/mine.py or mine.toml")
    arch_args: dict[str, Any] = Field(default_factory=dict, description="arguments of its build(), as name=value")
    arch_sha256: str | None = Field(default=None, description="digest of the .py file of one's own; written by a run, never asked for")
    ensemble_size: PositiveInt = Field(default=1, description="networks whose mean is the answer, all in one model file")
    members: Literal["seeds", "folds"] = Field(
        default="seeds",
        description="folds: each network leaves a fold out, so that every training molecule is new to one and calibrates the error bars",
    )
    uncertainty_method: Literal["auto", "none", "mve", "evidential", "quantiles", "dropout", "laplace"] = Field(
        default="auto",
        description="how the network itself says how sure it is of a number: by a head, by dropout in its last layers, or by the posterior "
        "of its last layer's weights (laplace; of two classes too); auto: laplace for numbers with --members folds, where it can be",
    )
    references: Literal["auto", "none", "fit"] = Field(
        default="auto", description="per-element reference values subtracted from a target; auto: where composition explains most of it"
    )


class TrustConfig(Group):
    """What the model file is to know of its own errors and of its training molecules."""

    calibrate: Calibrate | None = Field(
        default=None,
        description="method that calibrates error bars; auto: the best on folds left out (default: auto with --members folds, else none)",
    )
    calibrate_for: Literal["random", "scaffold", "cluster"] = Field(
        default="random",
        description="how new molecules will differ from those of training: not (random), in scaffold, in cluster; folds are cut so",
    )
    coverage: tuple[float, ...] = Field(default=(0.9,), min_length=1, description="share of the truths that an interval should hold")
    domain: Literal["none", "hashes", "full"] = Field(
        default="hashes",
        description="what is kept to recognise molecules unlike those of training; full: their fingerprints too, which can reveal them",
    )

    @field_validator("coverage")
    @classmethod
    def _shares(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0.0 < v < 1.0 for v in values):
            raise ValueError("a coverage is more than 0 and less than 1, for instance 0.9")
        return values


class TrainConfig(Group):
    """All of it. Saved as `config.toml`, resolved, in the run folder."""

    data: DataConfig
    split: SplitConfig = SplitConfig()
    model: ModelConfig = ModelConfig()
    fit: FitConfig = FitConfig()
    trust: TrustConfig = TrustConfig()
    output_dir: Path = Field(default=Path("run"), description="folder for the run; an existing run needs resume or overwrite")
