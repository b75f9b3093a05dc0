"""Structures with energies, forces and stresses: columns, lists of neighbours, batches.

Energies are of the whole structure in eV, forces eV/angstrom, stresses eV/angstrom^3 (3 x 3, positive under tension). A label that a
structure does not have is NaN. Positions, cells and labels are float64.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from heliograph.data.frames import Frame, numbers
from heliograph.data.growing import Growing
from heliograph.data.neighbours import pairs
from heliograph.data.properties import Property
from heliograph.errors import DataError, StructureError, suggest
from heliograph.graph import Graph, Indexed
from heliograph.topology import Pairs, Topology

CANDIDATES: dict[str, tuple[str, ...]] = {
    "energy": ("energy", "REF_energy", "Energy", "free_energy"),
    "forces": ("forces", "REF_forces", "force", "Forces"),
    "stress": ("stress", "REF_stress", "Stress"),
    "virial": ("virial", "virials", "REF_virial", "REF_virials"),
}
CHUNK = 10_000  # structures that are looked at together
PROBE = 1000  # frames looked at to find the keys, more while one is missing
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))  # xx yy zz yz xz xy, as ASE


@dataclass(frozen=True)
class Keys:
    """Names under which a file keeps its labels; None: there are none, or they are not wanted."""

    energy: str | None = None
    forces: str | None = None
    stress: str | None = None
    virial: str | None = None
    properties: tuple[Property, ...] = ()


def find_keys(frames: Iterable[Frame], asked: Keys, name: str) -> Keys:
    """Return `asked`, with what is None looked for in these frames under the usual names: in the first PROBE, in the rest while a key that
    was asked for, energies, forces or (of periodic frames) stresses have not come.

    Raises DataError where a key that was asked for is in no frame: nothing would be learned from it.
    """
    info: Counter[str] = Counter()
    arrays: Counter[str] = Counter()
    periodic = False
    for number, frame in enumerate(frames, 1):
        info.update(frame.info.keys())
        arrays.update(frame.arrays.keys())
        periodic = periodic or any(frame.pbc)
        if number % PROBE == 0 and not _missing(asked, info | arrays, periodic):
            break
    found: dict[str, Any] = {"properties": asked.properties}
    for label, usual in CANDIDATES.items():
        there = arrays if label == "forces" else info
        key = getattr(asked, label)
        if key is not None and not there[key]:
            raise DataError(f"no frame of {name} has {key!r} for its {label}; {suggest(key, there)}")
        found[label] = key if key is not None else next((k for k in usual if there[k]), None)
    if found["stress"] is not None and asked.virial is None:
        found["virial"] = None
    return Keys(**found)


def _missing(asked: Keys, there: Counter[str], periodic: bool) -> bool:
    """Whether a label that is wanted is in none of the frames so far."""
    named = {label: (getattr(asked, label),) if getattr(asked, label) else usual for label, usual in CANDIDATES.items()}
    has = {label: any(there[key] for key in keys) for label, keys in named.items()}
    stress = has["stress"] or has["virial"] or not periodic
    return not (has["energy"] and has["forces"] and stress) or any(getattr(asked, label) and not has[label] for label in has)


@final
@dataclass(frozen=True, eq=False)
class Structures:
    """G structures as columns: `z` [N], `pos` [N, 3], `forces` [N, 3], `offsets` [G + 1], `cell` [G, 3, 3], `pbc` [G, 3], `energy` [G],
    `stress` [G, 3, 3], `charge`, `spin` [G], `config_type` [G] text, `rows` [G] the number of each in its file.

    Properties (`heliograph.data.properties`) are columns "frame:NAME" [G, ...] or "atoms:NAME" [N, 1].
    `cutoff` and `lists`: neighbours as made by `with_neighbours`. `bad`: (number in the file, reason) of frames that can't be used.
    """

    columns: dict[str, np.ndarray]
    bad: tuple[tuple[int, str], ...] = ()
    cutoff: float = math.nan
    lists: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.columns["offsets"]) - 1

    @property
    def n_atoms(self) -> np.ndarray:
        """Atoms of each structure, [G]."""
        return np.diff(self.columns["offsets"])

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers that occur, ascending."""
        return tuple(int(z) for z in np.unique(self.columns["z"]))

    def counts(self, elements: Sequence[int]) -> np.ndarray:
        """Return how many atoms of each of these elements a structure has, [G, k] int64."""
        return np.stack([self.total((np.arange(119) == z).astype(np.int64)) for z in elements], 1) if elements else np.zeros((len(self), 0))

    def total(self, values: np.ndarray) -> np.ndarray:
        """Return the sum of `values` [119], by atomic number, over each structure's atoms, [G]."""
        z, ends = self.columns["z"], self.columns["offsets"]
        found = np.zeros(len(self), values.dtype)
        for start in range(0, len(self), CHUNK):
            stop = min(start + CHUNK, len(self))
            each = values[z[ends[start] : ends[stop]]]
            found[start:stop] = np.add.reduceat(each, ends[start:stop] - ends[start])
        return found

    def has(self, label: str) -> np.ndarray:
        """Return which structures have a label, [G] bool; of forces, and of other labels of atoms, at least one."""
        values = np.isfinite(self.columns[label])
        if of_atoms(label):
            return (
                np.asarray(np.add.reduceat(values.any(1), self.columns["offsets"][:-1]) > 0) if len(values) else np.zeros(len(self), bool)
            )
        return np.asarray(values.reshape(len(self), -1).any(1))

    @classmethod
    def collect(cls, frames: Iterable[Frame], keys: Keys) -> Structures:
        """Gather frames; those that can't be used are counted in `bad`. Raises DataError where none can."""
        builder = Builder(keys)
        for number, frame in enumerate(frames):
            builder.add(number, frame)
        return builder.structures()

    def with_neighbours(self, cutoff: float) -> Structures:
        """Return these structures with all pairs nearer than `cutoff`; those without a list (atoms at one place) go to `bad`."""
        c, made, good, bad = self.columns, [], [], list(self.bad)
        for g in range(len(self)):
            a, b = c["offsets"][g], c["offsets"][g + 1]
            try:
                made.append(_edges(c["pos"][a:b], c["cell"][g], c["pbc"][g], cutoff))
                good.append(g)
            except StructureError as error:
                bad.append((int(c["rows"][g]), str(error)))
        if not good:
            raise DataError(f"no structure can be used: {bad[0][1] if bad else 'there are none'}")
        whole = self if len(good) == len(self) else self.take(np.array(good))
        lists = {name: np.concatenate([m[name] for m in made]) for name in made[0]}
        return Structures(whole.columns, tuple(sorted(bad)), cutoff, _with_offsets(lists, [len(m["first"]) for m in made]))

    def take(self, rows: np.ndarray) -> Structures:
        """Return some of the structures, without lists."""
        nodes, n = _ranges(self.columns["offsets"], rows)
        columns = {k: v[nodes if of_atoms(k) else rows] for k, v in self.columns.items() if k != "offsets"}
        return Structures(columns | {"offsets": np.concatenate([[0], np.cumsum(n)])}, self.bad)

    def batch(self, rows: np.ndarray, step: int | None = None) -> Graph:
        """Return structures as a Graph: nodes `z`, `pos`; edges `pair_vector` in float64; globals `cell`, `pbc`, `charge`, `spin`."""
        rows = np.asarray(rows, np.int64)
        c, lists = self.columns, self.lists
        nodes, n_node = _ranges(c["offsets"], rows)
        edges, n_edge = _ranges(lists["edge_offsets"], rows)
        of_pair, n_pair = _ranges(lists["pair_offsets"], rows)
        first_node, first_pair = np.cumsum(n_node) - n_node, np.cumsum(n_pair) - n_pair
        first_edge = np.cumsum(n_edge) - n_edge
        index = torch.from_numpy(lists["pair"][edges] + np.repeat(first_pair, n_edge))
        senders = lists["senders"][edges] + np.repeat(first_node, n_edge)
        receivers = lists["receivers"][edges] + np.repeat(first_node, n_edge)
        sign = lists["sign"][edges].astype(np.int64)
        S = lists["shift"][of_pair].astype(np.int64)  # [P, 3] along each pair's first edge
        representative = lists["first"][of_pair] + np.repeat(first_edge, n_pair)
        pos = c["pos"][nodes]
        r = pos[senders[representative]] - pos[receivers[representative]]  # [P, 3]
        if S.any():
            r = r + np.einsum("pk,pkl->pl", S.astype(np.float64), np.repeat(c["cell"][rows], n_pair, axis=0))
        shift = torch.from_numpy(S[index.numpy()] * sign[:, None])
        reverse = torch.from_numpy(lists["reverse"][edges] + np.repeat(first_edge, n_edge))
        pairs = Pairs(torch.from_numpy(representative), index, torch.from_numpy(sign))
        topology = Topology(
            torch.from_numpy(senders),
            torch.from_numpy(receivers),
            torch.from_numpy(n_node),
            torch.from_numpy(n_edge),
            N=len(nodes),
            shift=shift,
            known={"reverse": reverse, "pairs": pairs, "symmetric": True},  # since the lists were made
        )
        features = {
            "z": torch.from_numpy(c["z"][nodes].astype(np.int64)),
            "pos": torch.from_numpy(pos),
        }
        whole = {name: torch.from_numpy(c[name][rows]) for name in ("cell", "pbc", "charge", "spin")}
        return Graph(topology, features, {"pair_vector": Indexed(torch.from_numpy(r), index)}, whole)

    def labels(self, rows: np.ndarray) -> dict[str, Tensor]:
        """Return `energy` [G], `forces` [N, 3], `stress` [G, 3, 3] and properties of rows in float64, NaN where there are none."""
        nodes, _ = _ranges(self.columns["offsets"], np.asarray(rows, np.int64))
        c = self.columns
        names = ["energy", "forces", "stress", *(name for name in c if ":" in name)]
        return {name.partition(":")[2] or name: torch.from_numpy(c[name][nodes if of_atoms(name) else rows]) for name in names}


def of_atoms(column: str) -> bool:
    """Whether a column has a row for each atom."""
    return column in ("z", "pos", "forces") or column.startswith("atoms:")


def _edges(pos: np.ndarray, cell: np.ndarray, pbc: np.ndarray, cutoff: float) -> dict[str, np.ndarray]:
    """Return both directions of every pair, sorted by receiver, as local numbers."""
    i, j, S = pairs(pos, cell if cell.any() else None, pbc, cutoff)
    P = len(i)
    receivers, senders = np.concatenate([i, j]), np.concatenate([j, i])
    order = np.lexsort((senders, receivers))
    place = np.empty_like(order)
    place[order] = np.arange(2 * P)
    if P and np.abs(S).max() > 127:
        raise StructureError("a neighbour is more than 127 cells away: is the cell in angstrom?")
    small = np.uint16 if len(pos) < 2**16 else np.uint32
    return {
        "senders": senders[order].astype(small),
        "receivers": receivers[order].astype(small),
        "pair": (order % max(P, 1)).astype(np.uint32),
        "sign": np.where(order < P, 1, -1).astype(np.int8),
        "reverse": place[(order + P) % max(2 * P, 1)].astype(np.uint32),
        "shift": S.astype(np.int8),
        "first": place[:P].astype(np.uint32),
    }


def _with_offsets(lists: dict[str, np.ndarray], pairs: Sequence[int]) -> dict[str, np.ndarray]:
    """Return lists with where each structure's pairs begin, of which there are `pairs` [G], and its edges."""
    ends = np.concatenate([[0], np.cumsum(np.asarray(pairs, np.int64))]).astype(np.int64)
    return lists | {"pair_offsets": ends, "edge_offsets": 2 * ends}


def _ranges(offsets: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return positions offsets[r] .. offsets[r + 1] of every row, one after the other, and how many of each."""
    start = np.asarray(offsets[rows])
    count = np.asarray(offsets[rows + 1]) - start
    before = np.cumsum(count) - count
    return np.repeat(start - before, count) + np.arange(count.sum()), count


class Builder:
    """Frames in, structures out, in memory that does not grow with them (`heliograph.data.growing`).

    With a `cutoff` each frame's neighbours are listed as it comes. `file` says in a column which file a frame came from.
    """

    def __init__(self, keys: Keys, cutoff: float = math.nan, file: int | None = None):
        self.keys, self.cutoff, self.file, self.bad = keys, cutoff, file, list[tuple[int, str]]()
        self.parts: dict[str, Growing] = {}
        self.lists: dict[str, Growing] = {}
        self.atoms, self.pairs, self.kinds = list[int](), list[int](), list[str]()

    def add(self, number: int, frame: Frame) -> None:
        """Take a frame, or note the reason why it can't be used."""
        reason, lists = frame.reason, dict[str, np.ndarray]()
        if not reason:
            try:
                row = self._row(frame)
                if not math.isnan(self.cutoff):
                    lists = _edges(frame.pos, row["cell"], row["pbc"], self.cutoff)
            except StructureError as error:
                reason = str(error)
        if reason:
            self.bad.append((number, f"{reason}, {frame.where}" if frame.where else reason))
            return
        row |= {"rows": number} | ({} if self.file is None else {"file": self.file})
        for name, value in row.items():
            self.parts.setdefault(name, Growing()).add(value if of_atoms(name) else np.asarray(value)[None])
        for name, array in lists.items():
            self.lists.setdefault(name, Growing()).add(array)
        self.atoms.append(len(frame.z))
        self.kinds.append(sys.intern(str(frame.info.get("config_type", ""))))
        self.pairs.append(len(lists["first"]) if lists else 0)

    def structures(self) -> Structures:
        """Return all of them. Raises DataError where there are none."""
        if not self.atoms:
            raise DataError(f"no frame can be used: {self.bad[0][1] if self.bad else 'the file is empty'}")
        columns = {name: part.done() for name, part in self.parts.items()} | {"config_type": np.array(self.kinds)}
        columns["offsets"] = np.concatenate([[0], np.cumsum(self.atoms)]).astype(np.int64)
        if math.isnan(self.cutoff):
            return Structures(columns, tuple(self.bad))
        lists = {name: part.done() for name, part in self.lists.items()}
        return Structures(columns, tuple(self.bad), self.cutoff, _with_offsets(lists, self.pairs))

    def _row(self, frame: Frame) -> dict[str, Any]:
        n, info, keys = len(frame.z), frame.info, self.keys
        forces = np.full((n, 3), np.nan)
        if keys.forces is not None and keys.forces in frame.arrays:
            given = np.asarray(frame.arrays[keys.forces], np.float64)
            if given.shape != (n, 3):
                raise StructureError(f"forces are {given.shape}, not {n} x 3")
            forces = np.where(np.isfinite(given), given, np.nan)
        cell = np.zeros((3, 3)) if frame.cell is None else frame.cell
        return {
            "z": frame.z, "pos": frame.pos, "forces": forces, "cell": cell, "pbc": np.array(frame.pbc, bool),
            "energy": _scalar(info, keys.energy, math.nan), "stress": _stress(info, keys, cell),
            "charge": _scalar(info, "charge", 0.0), "spin": _scalar(info, "spin", 1.0),
        } | {p.column: p.of(frame) for p in keys.properties}  # fmt: skip


def _scalar(info: Any, key: str | None, default: float) -> float:
    """Return a number of the structure; blank and NaN are missing. Raises StructureError where it is no number."""
    if key is None or key not in info:
        return default
    value = info[key]
    if isinstance(value, str) and not value.strip():
        return default
    found = numbers(value)
    if len(found) != 1:
        raise StructureError(f"{key} is {len(found)} numbers, not one")
    return float(found[0]) if math.isfinite(found[0]) else default


def _stress(info: Any, keys: Keys, cell: np.ndarray) -> np.ndarray:
    """Return the stress [3, 3] from 9 numbers, or 6 in the order xx yy zz yz xz xy; a virial becomes -virial / volume."""
    for key, virial in ((keys.stress, False), (keys.virial, True)):
        if key is None or key not in info:
            continue
        found = numbers(info[key])
        if len(found) == 6:
            full = np.zeros((3, 3))
            for value, (a, b) in zip(found, VOIGT, strict=True):
                full[a, b] = full[b, a] = value
        elif len(found) == 9:
            full = found.reshape(3, 3)
            full = 0.5 * (full + full.T)
        else:
            raise StructureError(f"{key} is {len(found)} numbers, not 6 or 9")
        if not np.isfinite(full).all():
            return np.full((3, 3), np.nan)
        if not virial:
            return full
        volume = abs(np.linalg.det(cell))
        return -full / volume if volume > 0 else np.full((3, 3), np.nan)
    return np.full((3, 3), np.nan)
