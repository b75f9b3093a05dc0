"""What came of a training of a potential: errors of each part, predictions for plots, settings. Saved as `results.json`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from heliograph.errors import DataError, ModelFileError
from heliograph.files import atomic
from heliograph.learn.figures import Epoch
from heliograph.predictor import modelfile

RESULTS, ARRAYS = "results.json", "predictions.npz"
FORMAT = 1
KIND = "potential"
STRUCTURES = "structures"  # the kind of its model file

LABELS: dict[str, tuple[str, str]] = {  # metric -> (words, unit)
    "energy_mae": ("energy, MAE", "meV"),
    "energy_rmse": ("energy, RMSE", "meV"),
    "energy_mae_per_atom": ("energy per atom, MAE", "meV/atom"),
    "energy_rmse_per_atom": ("energy per atom, RMSE", "meV/atom"),
    "forces_mae": ("force component, MAE", "meV/Å"),
    "forces_rmse": ("force component, RMSE", "meV/Å"),
    "stress_mae": ("stress component, MAE", "meV/Å³"),
    "stress_rmse": ("stress component, RMSE", "meV/Å³"),
}


def errors(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray], atoms: np.ndarray) -> dict[str, float]:
    """Return the errors in meV, meV/A and meV/A^3 over the labels there are.

    `found` and `wanted`: "energy" [G], "forces" [N, 3], "stress" [G, 3, 3] in eV and angstrom, properties in the unit of their labels;
    `atoms` [G].
    """
    figures: dict[str, float] = {}

    def add(name: str, difference: np.ndarray, suffix: str = "", factor: float = 1e3) -> None:
        there = difference[np.isfinite(difference)]
        if len(there):
            figures[f"{name}_mae{suffix}"] = factor * float(np.abs(there).mean())
            figures[f"{name}_rmse{suffix}"] = factor * float(np.sqrt(np.square(there).mean()))

    if "energy" in found:
        energy = found["energy"] - wanted["energy"]
        add("energy", energy)
        add("energy", energy / atoms, "_per_atom")
    for name in ("forces", "stress"):
        if name in found:
            add(name, found[name] - wanted[name])
    for name in [name for name in found if name in wanted and name not in ("energy", "forces", "stress")]:
        add(name, found[name] - wanted[name], factor=1.0)
    return figures


def described(metric: str) -> tuple[str, str]:
    """Return the words and the unit of a metric: those of LABELS, or of a property whose unit is that of its labels."""
    if metric in LABELS:
        return LABELS[metric]
    name, _, kind = metric.rpartition("_")
    return f"{name}, {kind.upper()}", ""


@dataclass(frozen=True, eq=False)
class PotentialResult:
    """`metrics[part]` as `LABELS` names them; `arrays`: "test_energy_true", "test_energy", "test_forces", ... of plots and checks."""

    config: dict[str, Any]
    metrics: dict[str, dict[str, float]]
    zero: dict[str, dict[str, float]]  # the same errors of E0s alone with no forces
    sizes: dict[str, int]
    labels: dict[str, int]  # label -> frames that have it
    bad: tuple[tuple[int, str], ...]
    frames: int
    history: tuple[Epoch, ...]
    best_epochs: tuple[int, ...]
    seconds: float
    parameters: int
    notes: tuple[str, ...]
    versions: dict[str, str]
    command: str
    model_file: str = "model.safetensors"
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write `predictions.npz`, then `results.json`: where that is, the run is whole."""
        with atomic(folder / ARRAYS) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **self.arrays)  # type: ignore[arg-type]
        document = {"format": FORMAT, "kind": KIND} | {k: v for k, v in self.__dict__.items() if k not in ("arrays", "history", "bad")}
        document |= {
            "history": [row._asdict() for row in self.history],
            "bad": list(self.bad[:1000]),
        }
        with atomic(folder / RESULTS) as temporary:
            temporary.write_text(json.dumps(_plain(document), indent=1, allow_nan=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> PotentialResult:
        """Read what `save` wrote. Raises DataError where it is missing or damaged."""
        path = folder / RESULTS
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if document.pop("kind") != KIND or document.pop("format") != FORMAT:
                raise ValueError("it is of another kind or version")
            with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
                kept = {name: arrays[name] for name in arrays.files}
            document["history"] = tuple(_epoch(row) for row in document["history"])
            document["best_epochs"] = tuple(document["best_epochs"])
            document["notes"] = tuple(document["notes"])
            document["bad"] = tuple((int(n), str(reason)) for n, reason in document["bad"])
            return cls(arrays=kept, **document)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} can't be read ({error}). Give the folder of a finished run, or train again.") from None


def _epoch(row: dict[str, Any]) -> Epoch:
    """An epoch as it was, a missing number NaN again."""
    values: dict[str, Any] = {k: math.nan if v is None else v for k, v in row.items()}
    return Epoch(**values)


def is_potential(path: Path) -> bool:
    """Tell whether a model file, or the folder of a run, is of a potential; a damaged file is left to its reader."""
    if not path.is_dir():
        try:
            return modelfile.read(path)[0].kind == STRUCTURES
        except ModelFileError:
            return False
    try:
        return bool(json.loads((path / RESULTS).read_text(encoding="utf-8")).get("kind") == KIND)
    except (OSError, ValueError, AttributeError):
        return False


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value if value is None or isinstance(value, bool | int | str) else str(value)
