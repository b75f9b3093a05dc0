"""What a screening is asked to do; the command line's options are these fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator


class ScreenConfig(BaseModel):
    """One screening: a model, a library, and what counts as good."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_path: Path = Field(description="a model file, or a run folder (all models of its ensemble)")
    library: tuple[Path, ...] = Field(min_length=1, description="tables of molecules: csv, tsv, smi, sdf, parquet (text plain or .gz)")
    output_dir: Path = Field(Path("screening"), description="folder for the result")
    top: PositiveInt = Field(1000, description="how many of the best to keep")
    target: str | None = Field(None, description="the target to rank by, where the model has several (default: the first)")
    goal: str = Field("max", description="max, min, or a number that the prediction should be near")
    score: str | None = Field(None, description='what to rank by instead, higher is better: "gap_pred - 2 * gap_std"')
    where: str | None = Field(None, description="rows to consider: \"logp < 3 and source != 'mine'\"")
    filters: tuple[str, ...] = Field((), description="the best must pass: pains brenk nih lipinski veber qed>0.5 mw<500 alerts.smarts")
    diverse: PositiveInt | None = Field(None, description="how many to choose, best first, none too similar to another")
    similarity: float = Field(0.65, gt=0, lt=1, description="two that are chosen are at most so similar (Tanimoto, Morgan 2, 2048 bits)")
    per_scaffold: PositiveInt | None = Field(None, description="choose at most so many of one scaffold")
    known: tuple[Path, ...] = Field((), description="tables of molecules that are known already (training, bought): they are left out")
    validate_by: str | None = Field(
        None, description="compute the best by physics too: xtb, label:PROPERTY (GFN2-xTB), or a command with {in} and {out}"
    )
    validate_top: PositiveInt = Field(100, description="how many of the best (of the diverse choice, where there is one) are computed")
    truth: str | None = Field(None, description='where actives are known, which rows are: "active == 1"; adds enrichment to the result')
    smiles_columns: str | None = Field(None, description="column with the SMILES (default: 'smiles', else found)")
    arch: Path | None = Field(None, description="your architecture file, where the model was trained with one")
    jobs: int | None = Field(None, ge=0, description="processes that read, featurize and predict (default: one per core; 0: in this one)")
    ray: str | None = Field(None, description="HOST:PORT of a Ray cluster that screens instead; its machines share no folder with this one")
    shard_size: PositiveInt = Field(2_000_000, description="bytes of the library that a process takes at a time")

    @model_validator(mode="after")
    def _goal(self) -> ScreenConfig:
        if self.goal not in ("max", "min"):
            try:
                float(self.goal)
            except ValueError:
                raise ValueError(f"goal must be max, min or a number; got {self.goal!r}") from None
        return self

    def about(self) -> dict[str, Any]:
        """What decides the result; a screening is gone on with only if this is the same."""
        free = {"output_dir", "jobs", "ray", "library", "model_path", "arch", "known", "validate_by", "validate_top"}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in self.model_dump().items() if k not in free}
