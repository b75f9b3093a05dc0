"""From files of frames to a source: labels on the network's scale, parts, and what was found, in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch

from heliograph.data import frames, properties
from heliograph.data.sources.structures import Builder, Keys, Structures, find_keys
from heliograph.data.splits import PARTS, random_split, scaffold_split
from heliograph.data.targets import Target, Targets
from heliograph.errors import DataError
from heliograph.graph import Graph
from heliograph.learn.progress import Progress
from heliograph.potential.config import FramesConfig
from heliograph.potential.properties import Scaled
from heliograph.potential.references import References


@dataclass(frozen=True, eq=False)
class Read:
    """All usable frames of all files, and the rows of each part. `notes`: sentences on what was found."""

    data: Structures
    parts: dict[str, np.ndarray]
    labels: dict[str, int]
    frames: int
    notes: tuple[str, ...]
    properties: tuple[properties.Property, ...] = ()


@final
class Frames:
    """A source: structures with energies, forces and stresses over `references.scale`, references taken off."""

    def __init__(self, data: Structures, references: References, properties: tuple[Scaled, ...] = ()):
        self.data, self.scale, self.properties = data, references.scale, properties
        self.energy = (data.columns["energy"] - references.of(data)) / references.scale

    def __len__(self) -> int:
        return len(self.data)

    def batch(self, rows: np.ndarray, step: int | None) -> Graph:
        """Return the structures of `rows`, in their order."""
        return self.data.batch(rows)

    def targets(self, rows: np.ndarray) -> Targets:
        """Labels of `rows`, NaN where there is none."""
        labels = self.data.labels(rows)
        n = self.data.n_atoms[rows]
        others = {
            p.name: Target(torch.from_numpy(p.learned(labels[p.name].numpy(), n)), "node" if p.of_atoms else "graph")
            for p in self.properties
        }
        return others | {
            "energy": Target(torch.from_numpy(self.energy[rows])),
            "forces": Target(labels["forces"] / self.scale, "node"),
            "stress": Target(labels["stress"] / self.scale),
            "atoms": Target(torch.from_numpy(n.astype(np.float64))),
        }


def load(config: FramesConfig, cutoff: float, seed: int, progress: Progress) -> Read:
    """Read all files, find their labels, list neighbours, divide into parts.

    Raises DataError: a key that no frame has, no energy and no forces anywhere, no usable frame.
    """
    files = {"data": config.data_path, "val": config.val_path, "test": config.test_path}
    given = {name: path for name, path in files.items() if path is not None}
    path, name = config.data_path, config.data_path.name
    others = properties.find(config.properties, frames.read(path), name)
    asked = Keys(config.energy_key, config.forces_key, config.stress_key, config.virial_key, others)
    keys = find_keys(frames.read(path), asked, name)
    if not config.forces:
        keys = Keys(keys.energy, properties=others)
    builder = Builder(keys, cutoff)
    for k, path in enumerate(given.values()):
        builder.file = k
        for number, frame in enumerate(frames.read(path)):
            builder.add(number, frame)
            if number % 1000 == 999:
                progress("reading frames and listing neighbours", number + 1)
    data = builder.structures()
    total = len(data) + len(data.bad)
    labels = {name: int(data.has(name).sum()) for name in ("energy", "forces", "stress")}
    labels |= {p.name: int(data.has(p.column).sum()) for p in others}
    for p in others:
        if not labels[p.name]:
            why = " (periodic structures have none)" if p.kind in properties.MOLECULAR else ""
            raise DataError(f"no usable frame of {name} has a {p.name} as a {p.kind}{why}")
    if not labels["energy"] and not labels["forces"] and not others:
        raise DataError(
            f"no frame of {name} has an energy or forces. Name them with --energy-key and --forces-key, or other labels with --properties."
        )
    return Read(
        data,
        _parts(config, data, given, seed),
        labels,
        total,
        _notes(config, keys, data, labels, total),
        others,
    )


def _parts(config: FramesConfig, data: Structures, given: dict[str, Path], seed: int) -> dict[str, np.ndarray]:
    """Rows of each part. Isolated atoms are in none: their energies are E0s, which the network has by construction."""
    file = data.columns["file"]
    alone = (data.n_atoms == 1) & ~data.columns["pbc"].any(1)
    rows = np.flatnonzero((file == 0) & ~alone)
    separate = {name: np.flatnonzero((file == k) & ~alone) for k, name in enumerate(given) if name != "data"}
    sizes = list(config.split_sizes)
    for name in separate:  # a part of its own file takes nothing from the data
        sizes[PARTS.index(name)] = 0.0
    if sum(config.split_sizes) <= 1.0 + 1e-6:
        sizes = [size / sum(sizes) for size in sizes]
    if not len(rows):
        raise DataError(f"no frame of {config.data_path.name} has more than one atom: there is nothing to train on")
    if config.split == "random":
        found = random_split(len(rows), sizes, seed)
    elif config.split == "group":
        kinds = data.columns["config_type"][rows]
        names = [kind or f"frame {k}" for k, kind in zip(rows, kinds, strict=True)]
        found = scaffold_split(names, sizes, seed)
    else:
        counts = [len(part) for part in random_split(len(rows), sizes, seed).values()]
        ends = np.cumsum(counts)
        found = {part: np.arange(end - n, end) for part, end, n in zip(PARTS, ends, counts, strict=True)}
    return {part: rows[found[part]] for part in PARTS} | separate


def _notes(config: FramesConfig, keys: Keys, data: Structures, labels: dict[str, int], total: int) -> tuple[str, ...]:
    names = {"energy": keys.energy, "forces": keys.forces, "stress": keys.stress or keys.virial}
    names |= {p.name: p.kind for p in keys.properties}
    shown = ", ".join(f"{label} ({names[label]}) in {n:,}" for label, n in labels.items() if n)
    notes = [f"{len(data):,} of {total:,} frames can be used; {shown}."]
    lacks = [label for label in ("energy", "forces") if not labels[label] and (label != "forces" or config.forces)]
    if lacks:
        notes.append(f"No frame has {' or '.join(lacks)}: {'they are' if lacks == ['forces'] else 'it is'} not trained on.")
    pairs = len(data.lists["first"])
    notes.append(f"{2 * pairs / max(len(data.columns['z']), 1):.1f} neighbours an atom within {data.cutoff:g} angstrom.")
    return tuple(notes)
