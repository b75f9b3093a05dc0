"""Properties that a potential gives beside its energy: heads on the network's states, and the scale they are learned on.

mean, atom:                 p = offset + scale * head
sum, extent:                p = offset * n + scale * head           n atoms
polarizability:             p = offset * n * identity + scale * head
dipole:                     p = scale * head
charges:                    p = head, shifted to add up to the structure's charge: so they are in its unit, e
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import nn

from heliograph import zoo
from heliograph.blocks import WithProperties
from heliograph.blocks.properties import KINDS
from heliograph.data.properties import OF_ATOMS, Property
from heliograph.data.sources.structures import Structures
from heliograph.errors import UsageError
from heliograph.learn.objectives.forces import energy_readout
from heliograph.model import MPNN


@dataclass(frozen=True)
class Scaled:
    """A property by `name` and `kind`, with its `offset` and `scale`."""

    name: str
    kind: str
    offset: float = 0.0
    scale: float = 1.0

    @property
    def of_atoms(self) -> bool:
        return self.kind in OF_ATOMS

    def known(self, n_atoms: np.ndarray) -> np.ndarray | float:
        """Return what need not be learned, for structures of `n_atoms` [G], in a shape that adds to the labels."""
        if self.kind in ("sum", "extent"):
            return np.asarray(self.offset * n_atoms[:, None])
        if self.kind == "polarizability":
            return np.asarray(self.offset * n_atoms[:, None, None] * np.eye(3))
        return self.offset

    def learned(self, values: np.ndarray, n_atoms: np.ndarray) -> np.ndarray:
        """Return labels [G, ...], or [N, 1] of atoms, on the head's scale."""
        return np.asarray((values - self.known(n_atoms)) / self.scale)

    def given(self, found: np.ndarray, n_atoms: np.ndarray) -> np.ndarray:
        """Return a head's answers in the unit of the labels."""
        return np.asarray(found * self.scale + self.known(n_atoms))


def fitted(properties: Sequence[Property], data: Structures, train: np.ndarray) -> tuple[Scaled, ...]:
    """Return offset and scale of each property from the training rows."""
    labels, n = data.labels(train), data.n_atoms[train]
    found = []
    for p in properties:
        values = labels[p.name].numpy()
        if p.kind in ("sum", "extent"):
            each = values[:, 0] / n
        elif p.kind == "polarizability":
            each = values.trace(axis1=1, axis2=2) / (3 * n)
        else:
            each = values.ravel()
        each = each[np.isfinite(each)]
        offset = float(each.mean()) if len(each) and p.kind not in ("charges", "dipole") else 0.0
        rest = Scaled(p.name, p.kind, offset).learned(values, n)
        rest = rest[np.isfinite(rest)]
        scale = float(np.sqrt(np.square(rest).mean())) if len(rest) and p.kind != "charges" else 1.0
        found.append(Scaled(p.name, p.kind, offset, scale if scale > 1e-12 else 1.0))
    return tuple(found)


def to_dict(properties: Sequence[Scaled]) -> list[dict[str, Any]]:
    """Plain JSON data."""
    return [asdict(p) for p in properties]


def from_dict(data: Sequence[Mapping[str, Any]]) -> tuple[Scaled, ...]:
    """What `to_dict` wrote. Raises ValueError for what no version wrote."""
    found = tuple(Scaled(str(p["name"]), str(p["kind"]), float(p["offset"]), float(p["scale"])) for p in data)
    for p in found:
        if p.kind not in KINDS:
            raise ValueError(f"there is no kind of property {p.kind!r}")
    return found


def with_heads(model: MPNN, arch: str | Mapping[str, Any], properties: Sequence[Scaled | Property]) -> MPNN:
    """Return the network with a head for each property. Raises UsageError where its states do not allow one."""
    if not properties:
        return model
    readout, vectors = energy_readout(model), "v" in getattr(zoo.load(arch), "VECTORS", ())
    first = None if readout is None else next((m for m in readout.modules() if isinstance(m, nn.Linear)), None)
    if readout is None or first is None:
        raise UsageError("--properties: the readout of this architecture does not read states of atoms")
    for p in properties:
        if p.kind == "polarizability" and not vectors:
            raise UsageError(f"--properties {p.name}: a polarizability needs vectors of atoms, which this architecture has not. Use painn.")
    model.readout = WithProperties(readout, {p.name: KINDS[p.kind](first.in_features, vectors) for p in properties})
    return model
