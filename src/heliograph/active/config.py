"""What active learning is asked to do; the command line's options are these fields."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator

from heliograph.active.acquisition import parse


class Learning(BaseModel):
    """How a model is made of what is labelled, and what is bought next."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learner: str = Field("forest", description="forest (on fingerprints), or an architecture of the zoo")
    members: PositiveInt = Field(50, description="trees of a forest; of an architecture, networks: 5 if there are more")
    epochs: PositiveInt = Field(30, description="passes over what is labelled, for an architecture")
    batch: PositiveInt = Field(50, description="molecules bought a round")
    rounds: PositiveInt = Field(10, description="rounds at most")
    start: PositiveInt = Field(50, description="molecules bought at random before the first round")
    goal: str = Field("max", pattern="^(max|min)$", description="max or min: which values are good")
    beta: float = Field(2.0, ge=0, description="standard deviations that ucb adds")
    similarity: float = Field(0.65, gt=0, lt=1, description="of two in a batch that is +diverse (Tanimoto, Morgan 2)")
    seed: int = Field(0, ge=0, description="of the start, and of what is drawn")
    smiles_columns: str | None = Field(None, description="column with the SMILES (default: 'smiles', else the first)")


class SimulateConfig(Learning):
    """Buy labels that are known already, to see which way of choosing finds the best with the fewest."""

    data_path: Path = Field(description="table of molecules with their labels, or the name of a shipped set")
    target: str | None = Field(None, description="column with the label (default: the first numeric one)")
    output_dir: Path = Field(Path("simulation"), description="folder for the result")
    acquisitions: tuple[str, ...] = Field(
        ("random", "greedy", "ucb"), description="random greedy ucb ei pi thompson std bald, each also as NAME+diverse", min_length=1
    )
    repeats: PositiveInt = Field(5, description="runs of each, from other starts; the same start for all acquisitions")
    top: float = Field(0.01, gt=0, lt=1, description="share of the molecules that are to be found; with 0/1 labels, all of 1")
    holdout: float = Field(0.1, ge=0, lt=1, description="share that is never bought and measures the model's error")
    sample: PositiveInt | None = Field(None, description="take so many molecules of the table, at random")
    shuffle_labels: bool = Field(False, description="the null: labels in another order, so that nothing can be learned")

    @field_validator("acquisitions")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            parse(name)
        return names


class CampaignConfig(Learning):
    """Buy labels from an oracle, round after round."""

    data_path: Path = Field(description="pool: table of molecules")
    output_dir: Path = Field(Path("campaign"), description="folder for the result")
    oracle: str = Field(description="label:gap (GFN2-xTB), column:NAME of the pool, or a command with {in} and {out}: two CSV files")
    acquisition: str = Field("ucb", description="random greedy ucb ei pi thompson std, also as NAME+diverse")
    no_gain: PositiveInt | None = Field(None, description="stop after so many rounds without a better molecule")
    timeout: float = Field(3600.0, gt=0, description="seconds that a command may take for a batch")

    @field_validator("acquisition")
    @classmethod
    def _known(cls, name: str) -> str:
        parse(name)
        return name


class SuggestConfig(BaseModel):
    """Which molecules of a pool to measure next, by a model that is there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_path: Path = Field(description="a model file, or a run folder")
    data_path: Path = Field(description="pool: table of molecules")
    output_path: Path = Field(Path("batch.csv"), description="where to write the choice")
    count: PositiveInt = Field(96, description="how many")
    acquisition: str = Field("ucb", description="random greedy ucb ei pi thompson std bald, also as NAME+diverse")
    target: str | None = Field(None, description="the target to go by (default: the first)")
    goal: str = Field("max", pattern="^(max|min)$", description="max or min: which values are good")
    best: float | None = Field(None, description="the best value so far, for ei and pi (default: the best prediction)")
    beta: float = Field(2.0, ge=0, description="standard deviations that ucb adds")
    similarity: float = Field(0.65, gt=0, lt=1, description="of two in a choice that is +diverse (Tanimoto, Morgan 2)")
    known: Path | None = Field(None, description="table of molecules that were measured already: they are left out")
    seed: int = Field(0, ge=0, description="of what is drawn")
    smiles_columns: str | None = Field(None, description="column with the SMILES (default: 'smiles', else the first)")
    num_workers: int = Field(2, ge=0, description="processes that featurize (0: in this one)")

    @field_validator("acquisition")
    @classmethod
    def _known(cls, name: str) -> str:
        parse(name)
        return name
