"""A potential judged on frames with labels: its answers beside the truths, and the errors."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from heliograph.chem.reasons import kind
from heliograph.data import frames
from heliograph.data.frames import Frame
from heliograph.data.properties import Property
from heliograph.data.sources.structures import Builder, Keys, find_keys
from heliograph.errors import DataError
from heliograph.learn.progress import Progress
from heliograph.potential.potential import Answer, Potential
from heliograph.potential.result import errors


@dataclass(frozen=True)
class Judged:
    """`metrics` as `heliograph.potential.result.LABELS` names them, and `kinds`: config_type -> the same of its frames.

    `usable` of `frames` were judged; `reasons`: kind of reason -> frames that were not.
    """

    metrics: dict[str, float]
    kinds: dict[str, dict[str, float]]
    frames: int
    usable: int
    reasons: dict[str, int]


def evaluate(potential: Potential, path: Path, asked: Keys, batch_size: int, progress: Progress) -> Judged:
    """Judge a potential on the frames of a file; names of labels that `asked` leaves out are looked for.

    Raises DataError: a key that no frame has, no labels, no frame that can be used.
    """
    keys = find_keys(frames.read(path), asked, path.name)
    keys = replace(keys, properties=tuple(Property(p.name, p.kind) for p in potential.properties))
    builder, answers, reasons = Builder(keys), list[Answer](), Counter[str]()
    number = 0
    for batch in batches(frames.read(path), batch_size):
        for frame, answer in zip(batch, potential(batch, batch_size), strict=True):
            before = len(builder.bad)
            if not answer.reason:
                builder.add(number, frame)
            reason = answer.reason or "".join(why for _, why in builder.bad[before:])
            if reason:
                reasons[kind(reason)] += 1
            else:
                answers.append(answer)
            number += 1
        progress("predicting", number)
    if not answers:
        raise DataError(f"{path}: none of its {number} frames can be used ({', '.join(reasons) or 'it is empty'})")
    data = builder.structures()
    found, atoms = columns(potential, answers), data.n_atoms
    wanted = {name: v.numpy() for name, v in data.labels(np.arange(len(data))).items() if name in found}
    metrics = errors(found, wanted, atoms)
    if not metrics:
        raise DataError(f"no usable frame of {path.name} has an energy, forces or another label of this potential: --energy-key names one")
    names, of_atoms = data.columns["config_type"], np.repeat(data.columns["config_type"], atoms)
    per_atom = {"forces", "forces_std", *(p.name for p in potential.properties if p.of_atoms)}

    def of(name: str) -> dict[str, float]:
        mine = [{k: v[(of_atoms if k in per_atom else names) == name] for k, v in each.items()} for each in (found, wanted)]
        return errors(mine[0], mine[1], atoms[names == name])

    return Judged(metrics, {str(name): of(name) for name in np.unique(names) if name}, number, len(answers), dict(reasons.most_common()))


def columns(potential: Potential, answers: Sequence[Answer]) -> dict[str, np.ndarray]:
    """Return answers of G structures with N atoms in all as columns: "energy" [G], "forces" [N, 3], "stress" [G, 3, 3], the properties,
    and of an ensemble "energy_std" and "forces_std"."""
    found: dict[str, np.ndarray] = {}
    if potential.energies:
        found = {
            "energy": np.array([a.energy for a in answers]),
            "forces": np.concatenate([a.forces for a in answers if a.forces is not None]),
            "stress": np.stack([a.stress for a in answers if a.stress is not None]),
        }
    for p in potential.properties:
        each = [np.asarray(a.properties[p.name]) for a in answers]
        found[p.name] = np.concatenate(each)[:, None] if p.of_atoms else np.stack([v.reshape(-1) if v.ndim == 0 else v for v in each])
    if len(potential.models) > 1 and potential.energies:
        found["energy_std"] = np.array([a.energy_std for a in answers])
        found["forces_std"] = np.concatenate([a.forces_std for a in answers if a.forces_std is not None])
    return found


def batches(source: Iterator[Frame], size: int) -> Iterator[list[Frame]]:
    """Yield lists of at most `size` frames."""
    while batch := list(itertools.islice(source, size)):
        yield batch
