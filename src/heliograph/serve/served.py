"""One model that answers: its predictor, what it keeps of atoms met before, and a process that reads structures safely."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliograph.data.record import Record
from heliograph.errors import HeliographError, StructureError, UsageError
from heliograph.predictor.predictor import Predictor, files
from heliograph.predictor.predictor import open as open_model
from heliograph.predictor.stream import answer, answer_columns, answer_values, check

if TYPE_CHECKING:
    from heliograph.explain import Explained

KEPT_BYTES = 2**24  # for states of atoms and bonds met before, all networks of a model together
WARM = 64  # shipped molecules that a model answers for before it says that it is ready
PATIENCE = 10.0  # s for one structure
MOST_ATOMS = 150  # of a molecule that is explained: as many variants of it are predicted


@dataclass(frozen=True)
class Row:
    """The answer for one molecule: columns as `heliograph predict` names them; a reason why there is none, or what speaks against it."""

    smiles: str
    reason: str = ""
    answers: dict[str, float | str | bool | None] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {"smiles": self.smiles, "reason": self.reason, "answers": self.answers}


class Served:
    """Load a model and get it warm. Raises ModelFileError as `Predictor.load`. For one thread at a time."""

    def __init__(self, name: str, path: Path, arch: Path | None = None, max_smiles: int = 1000):
        from heliograph.chem.pool import Worker
        from heliograph.predictor.environments import Environments

        self.name, self.path, self.max_smiles = name, path, max_smiles
        self.predictor: Predictor = open_model(path, arch)
        self.sha256 = hashlib.sha256(b"".join(file.read_bytes() for file in files(path))).hexdigest()
        self.loaded = time.time()
        self.columns = tuple(answer_columns(self.predictor, ())[0][:-1])
        featurizer = self.predictor.featurizer
        if featurizer.geometry == "given":
            featurizer = replace(featurizer, geometry="embed")
        self._reader = Worker(featurizer, False, PATIENCE)
        self._environments = [Environments(KEPT_BYTES // len(self.predictor.models)) for _ in self.predictor.models]
        self._warm()

    def close(self) -> None:
        """End the process that reads structures."""
        self._reader.close()

    def predict(self, smiles: Sequence[str]) -> list[Row]:
        """A row for each SMILES, in order."""
        reasons = [self._refusal(text) for text in smiles]
        good = [k for k, reason in enumerate(reasons) if not reason]
        read = self._reader.featurize([smiles[k] for k in good])
        chunk = []
        for k, found in zip(good, read, strict=True):
            if found is None or isinstance(found, str):
                reasons[k] = found or "empty structure"
            else:
                chunk.append((Record(str(k), smiles[k]), found, ""))
        rows = [Row(text, reason) for text, reason in zip(smiles, reasons, strict=True)]
        if chunk:
            answers = answer(chunk, self.predictor, None, self._environments)
            for k, (record, _, _) in enumerate(chunk):
                values = answer_values(answers, k, self.predictor)
                place = int(record.id)
                rows[place] = Row(smiles[place], answers.reasons[k], dict(zip(self.columns, map(_plain, values), strict=True)))
        return rows

    def new_atoms(self, smiles: str) -> list[int]:
        """Numbers of the atoms with neighbours that no training molecule has; empty where the model knows no domain."""
        from heliograph.data.store import Store

        (molecule,) = self._reader.featurize([smiles])
        if molecule is None or isinstance(molecule, str):
            return []
        return self.predictor.trust.new_atoms(Store.build([molecule], self.predictor.featurizer))

    def explain(self, smiles: str, target: str | None) -> Explained:
        """Contributions of the atoms to the prediction, by hiding them. Raises StructureError, UsageError."""
        from heliograph.explain import explain_molecule

        targets = self.predictor.targets
        if target is not None and target not in targets:
            raise UsageError(f"the model does not predict that; it predicts {', '.join(targets)}")
        reason = self._refusal(smiles)
        (found,) = self._reader.featurize([smiles]) if not reason else (reason,)
        if found is None or isinstance(found, str):
            raise StructureError(found or "empty structure")
        if len(found.z) > MOST_ATOMS:
            raise StructureError(f"{len(found.z)} atoms; molecules of at most {MOST_ATOMS} are explained here")
        return explain_molecule(self.predictor, found, smiles, t=0 if target is None else targets.index(target))

    def about(self) -> dict[str, Any]:
        """What a caller may know of it."""
        document, task = self.predictor.document, self.predictor.task
        units = [{"name": t, "unit": u} for t, u in zip(task.targets, task.units, strict=True)]
        training = {k: v for k, v in document.training.items() if isinstance(v, int | float | str)}
        return {
            "name": self.name,
            "architecture": document.arch,
            "task": task.kind,
            "targets": units,
            "columns": list(self.columns),
            "members": len(self.predictor.models),
            "sha256": self.sha256,
            "loaded": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.loaded)),
            "training": training,
        }

    def _refusal(self, text: str) -> str:
        """Why a text is not even read, "" where it is."""
        if not text.strip():
            return "empty structure"
        if len(text) > self.max_smiles:
            return f"too long: {len(text)} characters, limit {self.max_smiles}"
        return "" if text.isprintable() else "not valid SMILES: control characters"

    def _warm(self) -> None:
        from heliograph.data.sets import smallmol
        from heliograph.data.store import Store

        step = max(1, len(smallmol.load().smiles) // WARM)
        some = [str(text) for text in smallmol.load().smiles[::step][:WARM]]
        if self.predictor.featurizer.geometry == "none":
            molecules = [found for found in self._reader.featurize(list(some)) if found is not None and not isinstance(found, str)]
            store = Store.build(molecules, self.predictor.featurizer, self._environments[0].codes)
            for model, kept in zip(self.predictor.models, self._environments, strict=True):
                check(kept, model, store)
        for few in (some[:1], some[: 8 if self.predictor.featurizer.geometry != "none" else WARM]):
            if any(row.reason for row in self.predict(few)):
                raise HeliographError(f"{self.path}: the model has no answer for {few[0]}")


def _plain(value: Any) -> float | str | bool | None:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | bool) else float(value)


def load_all(named: dict[str, Path], arch: Path | None, max_smiles: int) -> dict[str, Served]:
    """All models by name; none is left open where one can't be loaded."""
    found: dict[str, Served] = {}
    try:
        for name, path in named.items():
            found[name] = Served(name, path, arch, max_smiles)
    except BaseException:
        for one in found.values():
            one.close()
        raise
    return found
