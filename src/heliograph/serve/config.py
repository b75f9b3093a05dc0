"""What a service is asked to do; the command line's options are these fields."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt


class ServeConfig(BaseModel):
    """Models, an address, and how much one may ask for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[str, ...] = Field(min_length=1, description="model files or run folders; NAME=PATH gives a name of its own")
    host: str = Field("127.0.0.1", description="address to listen at; 0.0.0.0 lets others in, then give a token")
    port: int = Field(8000, ge=0, le=65535, description="port to listen at (0: any free one)")
    token_file: Path | None = Field(None, description="file whose one line a caller must send as `Authorization: Bearer ...`")
    max_molecules: PositiveInt = Field(10_000, description="molecules a request may have, and molecules that may wait in all")
    max_body: PositiveInt = Field(8_000_000, description="bytes a request may have")
    max_smiles: PositiveInt = Field(1000, description="characters a SMILES may have")
    max_requests: PositiveInt = Field(256, description="requests that are worked on or wait at a time; more get 429")
    timeout: PositiveFloat = Field(60.0, description="seconds a request may take, and a slow caller may take to send it")
    batch_window: float = Field(2.0, ge=0, le=1000, description="milliseconds that a molecule waits for others, to be one batch with them")
    max_batch: PositiveInt = Field(512, description="molecules computed at a time")
    jobs_folder: Path | None = Field(None, description="folder for jobs: tables that are predicted while nobody waits (default: no jobs)")
    max_jobs: PositiveInt = Field(16, description="jobs that may wait; more get 429")
    keep_jobs: PositiveFloat = Field(24.0, description="hours until a job that is done is removed with its files")
    arch: Path | None = Field(None, description="your architecture file, where the models were trained with one")

    def named(self) -> dict[str, Path]:
        """Name -> path; a run folder's or file's own name where none is given. Raises UsageError where two are the same."""
        from heliograph.errors import UsageError

        found: dict[str, Path] = {}
        for text in self.models:
            name, sign, path = text.partition("=")
            where = Path(path if sign else text)
            name = name if sign else (where.parent.name if where.name == "model.safetensors" else where.stem) or "model"
            if name in found:
                raise UsageError(f"two models are named {name!r}: give them names, as in first={found[name]} second={where}")
            found[name] = where
        return found
