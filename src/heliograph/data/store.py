"""Many molecules as a few long arrays: the columnar store, in memory or memory-mapped from a folder.

One array per feature plus offsets, in compact types; atoms and bonds are codes into tables of distinct feature rows (some
hundred for a million molecules), so a drug-like molecule takes about 0.5 kB. A batch is a vectorised gather.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np
import torch

from heliograph.errors import DataError, UsageError
from heliograph.files import umask
from heliograph.graph import Feature, Graph, Indexed, dense
from heliograph.topology import Topology

if TYPE_CHECKING:
    from heliograph.chem.featurizer import Featurizer
    from heliograph.chem.molecule import Molecule

_CHUNK = 4096
_KEEP = 512  # molecules at a time
_VERSION = 1
Known = tuple[dict[bytes, int], dict[bytes, int]]


def _refuse(folder: Path) -> None:
    """Raise UsageError where a store would replace files that no store wrote, by its own list of columns."""
    if not os.path.lexists(folder):
        return
    there = {file.name for file in folder.iterdir()} if folder.is_dir() and not folder.is_symlink() else {folder.name}
    try:
        columns = json.loads((folder / "store.json").read_text())["columns"]
        ours = {"store.json", *(f"{name}.npy" for name in columns)}
    except (OSError, ValueError, KeyError, TypeError):
        ours = set()
    if strange := sorted(there - ours):
        raise UsageError(f"{folder} holds {', '.join(strange[:4])}, which is no store's. Nothing was changed. Choose another folder.")


@final
class Store:
    """G molecules; `store.batch(rows)` is a Graph: nodes `x` (Indexed), `z` and, given geometry, `pos`; edges `edge_attr` (Indexed).

    Columns: `z` [N] uint8, `x` [N] code, `pos` [N, 3] float32; `senders`, `receivers`, `reverse` [E] local numbers, sorted by
    receiver, `bond` [E] code; `node_offsets`, `edge_offsets` [G + 1]; `x_table` [R, Ka], `bond_table` [R, Kb] uint8;
    `smiles` and `scaffold` as UTF-8 bytes with offsets.
    """

    def __init__(self, columns: dict[str, np.ndarray], featurizer: Featurizer):
        self.columns, self.featurizer = columns, featurizer
        self.node_offsets, self.edge_offsets = columns["node_offsets"], columns["edge_offsets"]
        self.kept: dict[str, dict[str, torch.Tensor]] = {"nodes": {}, "globals": {}}

    def __len__(self) -> int:
        return len(self.node_offsets) - 1

    @classmethod
    def build(cls, molecules: Iterable[Molecule], featurizer: Featurizer, known: Known | None = None) -> Store:
        """Collect featurized molecules; the iterable is consumed once and need not fit in memory as objects.

        `known`: distinct rows of atoms and of bonds with their numbers, which are kept; new ones are added.
        """
        builder = _Builder(known or ({}, {}))
        for molecule in molecules:
            builder.add(molecule)
        return cls(builder.columns(featurizer), featurizer)

    def take(self, rows: Sequence[int] | np.ndarray) -> Store:
        """Return a store of the molecules `rows` alone, in that order; tables of distinct atoms and bonds are shared."""
        rows, c = np.asarray(rows, np.int64), self.columns
        nodes, n_node = _ranges(self.node_offsets, rows)
        edges, n_edge = _ranges(self.edge_offsets, rows)
        columns: dict[str, np.ndarray] = {name: np.asarray(c[name])[nodes] for name in ("z", "x", "pos") if name in c}
        columns |= {name: np.asarray(c[name])[edges] for name in ("senders", "receivers", "reverse", "bond")}
        columns |= {name: c[name] for name in ("x_table", "bond_table")}
        columns |= {"node_offsets": _offsets(n_node), "edge_offsets": _offsets(n_edge)}
        for name in ("smiles", "scaffold"):
            letters, length = _ranges(c[f"{name}_offsets"], rows)
            columns |= {name: np.asarray(c[name])[letters], f"{name}_offsets": _offsets(length)}
        return Store(columns, self.featurizer)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write one .npy file per column and `store.json`, whole or not at all, in place of a store that is there.

        Raises UsageError where the folder holds anything but a store.
        """
        target = Path(folder)
        _refuse(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name[:40]}.", suffix=".part", dir=target.parent))
        try:
            for name, column in self.columns.items():
                np.save(temporary / f"{name}.npy", column, allow_pickle=False)
            about = {"version": _VERSION, "featurizer": self.featurizer.to_dict(), "columns": sorted(self.columns)}
            (temporary / "store.json").write_text(json.dumps(about))
            if target.is_dir():
                _refuse(target)
                for file in [*target.glob("*.npy"), *target.glob("store.json")]:
                    file.unlink()
                target.rmdir()  # refused where something came into it
            temporary.chmod(0o777 & ~umask())
            temporary.rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Store:
        """Memory-map a saved store. Raises DataError where the folder isn't one."""
        from heliograph.chem.featurizer import Featurizer

        path = Path(folder)
        try:
            about = json.loads((path / "store.json").read_text())
        except (OSError, ValueError) as error:
            raise DataError(f"{path} is not a store: {error}") from None
        if about.get("version") != _VERSION:
            raise DataError(
                f"{path} is a store of version {about.get('version')}; this Heliograph reads version {_VERSION}. Build it again."
            )
        columns = {f.stem: np.load(f, mmap_mode="r", allow_pickle=False) for f in sorted(path.glob("*.npy"))}
        return cls(columns, Featurizer.from_dict(about["featurizer"]))

    @property
    def has_geometry(self) -> bool:
        """Whether molecules carry positions."""
        return "pos" in self.columns

    @property
    def has_bonds(self) -> bool:
        """Whether equal texts of `smiles` are equal structures: formulas of bare geometries are not."""
        return bool(self.featurizer.bonds)

    @cached_property
    def n_node(self) -> np.ndarray:
        """Atoms of each molecule, [G] int64."""
        return np.diff(self.node_offsets)

    @cached_property
    def smiles(self) -> list[str]:
        """Canonical SMILES (the formula, where there are no bonds)."""
        return self._texts("smiles")

    @cached_property
    def scaffolds(self) -> list[str]:
        """Bemis-Murcko scaffold of each molecule."""
        return self._texts("scaffold")

    def _texts(self, name: str) -> list[str]:
        text, ends = self.columns[name].tobytes(), self.columns[f"{name}_offsets"]
        return [text[a:b].decode() for a, b in itertools.pairwise(ends)]

    @cached_property
    def composition(self) -> np.ndarray:
        """How many nodes of each element a molecule has, [G, 119] int32."""
        counts = np.zeros((len(self), 119), np.int32)
        np.add.at(counts, (np.repeat(np.arange(len(self)), self.n_node), self.columns["z"].astype(np.int64)), 1)
        return counts

    @cached_property
    def _tables(self) -> tuple[torch.Tensor, torch.Tensor]:
        encode = self.featurizer
        return (
            torch.from_numpy(encode.encode_atoms(np.asarray(self.columns["x_table"]))),
            torch.from_numpy(encode.encode_bonds(np.asarray(self.columns["bond_table"]))),
        )

    def batch(self, rows: Sequence[int] | np.ndarray) -> Graph:
        """The molecules `rows` as one Graph, in that order."""
        rows, c = np.asarray(rows, np.int64), self.columns
        nodes, n_node = _ranges(self.node_offsets, rows)
        edges, n_edge = _ranges(self.edge_offsets, rows)
        first_node, first_edge = np.repeat(np.cumsum(n_node) - n_node, n_edge), np.repeat(np.cumsum(n_edge) - n_edge, n_edge)
        topology = Topology(
            torch.from_numpy(c["senders"][edges] + first_node),
            torch.from_numpy(c["receivers"][edges] + first_node),
            torch.from_numpy(n_node),
            torch.from_numpy(n_edge),
            N=len(nodes),
            known={"reverse": torch.from_numpy(c["reverse"][edges] + first_edge)},  # since the store was built
        )
        atom_table, bond_table = self._tables
        features: dict[str, Feature] = {"x": Indexed(atom_table, _long(c["x"][nodes])), "z": _long(c["z"][nodes])}
        if self.has_geometry:
            features["pos"] = torch.from_numpy(c["pos"][nodes])
        features |= {name: kept[torch.from_numpy(nodes)] for name, kept in self.kept["nodes"].items()}
        whole = {name: kept[torch.from_numpy(rows)] for name, kept in self.kept["globals"].items()}
        return Graph(topology, features, {"edge_attr": Indexed(bond_table, _long(c["bond"][edges]))}, whole)

    def keep(self, view: Callable[[Graph], Graph], nodes: Sequence[str] = (), globals: Sequence[str] = ()) -> None:
        """Have `view` add these features once, for all molecules; batches come with them from now on. In memory, float32."""
        parts: dict[str, dict[str, list[torch.Tensor]]] = {"nodes": {n: [] for n in nodes}, "globals": {n: [] for n in globals}}
        for rows in np.array_split(np.arange(len(self)), -(-len(self) // _KEEP) or 1):
            graph = view(self.batch(rows))
            for side, found in parts.items():
                for name, pieces in found.items():
                    pieces.append(dense(getattr(graph, side)[name]).float())
        for side, found in parts.items():
            self.kept[side] |= {name: torch.cat(pieces) for name, pieces in found.items()}


def _long(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x.astype(np.int64))


def _ranges(offsets: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions offsets[r] .. offsets[r + 1] of every row, one after the other, and how many of each."""
    start = np.asarray(offsets[rows])
    count = np.asarray(offsets[rows + 1]) - start
    before = np.cumsum(count) - count
    return np.repeat(start - before, count) + np.arange(count.sum()), count


def _offsets(counts: Sequence[int] | np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(np.asarray(counts, np.int64))]).astype(np.int64)


class _Builder:
    """Molecules in, columns out; every few thousand molecules the small arrays are joined."""

    def __init__(self, known: Known) -> None:
        self.pending: list[Molecule] = []
        self.parts: dict[str, list[np.ndarray]] = {}
        self.atom_rows, self.bond_rows = known
        self.widths = (0, 0)

    def add(self, molecule: Molecule) -> None:
        self.pending.append(molecule)
        if len(self.pending) == _CHUNK:
            self.flush()

    def flush(self) -> None:
        """Join the pending molecules; edges of all of them are directed and sorted at once."""
        pending, self.pending = self.pending, []
        if not pending:
            return
        self.widths = (pending[0].x.shape[1], pending[0].e.shape[1])
        n, m = np.array([len(p.z) for p in pending]), np.array([len(p.bonds) for p in pending])
        first, graph = np.cumsum(n) - n, np.repeat(np.arange(len(pending)), m)
        ends = np.concatenate([p.bonds for p in pending]).astype(np.int64).reshape(-1, 2) + first[graph, None]
        M = len(ends)
        senders, receivers = np.concatenate([ends[:, 0], ends[:, 1]]), np.concatenate([ends[:, 1], ends[:, 0]])
        order = np.lexsort((senders, receivers))
        place = np.empty_like(order)
        place[order] = np.arange(2 * M)
        owner = np.concatenate([graph, graph])[order]
        first_edge = np.cumsum(2 * m) - 2 * m
        bond = _codes(np.concatenate([p.e for p in pending]), self.bond_rows)
        new = {
            "n_node": n,
            "n_edge": 2 * m,
            "z": np.concatenate([p.z for p in pending]),
            "x": _codes(np.concatenate([p.x for p in pending]), self.atom_rows),
            "senders": _compact(senders[order] - first[owner]),
            "receivers": _compact(receivers[order] - first[owner]),
            "reverse": _compact(place[(order + M) % max(2 * M, 1)] - first_edge[owner]),
            "bond": np.concatenate([bond, bond])[order],
        }
        if pending[0].pos is not None:
            new["pos"] = np.concatenate([p.pos for p in pending if p.pos is not None]).astype(np.float32)
        for name, texts in (("smiles", [p.smiles.encode() for p in pending]), ("scaffold", [p.scaffold.encode() for p in pending])):
            new[name] = np.frombuffer(b"".join(texts), np.uint8)
            new[f"{name}_length"] = np.array([len(t) for t in texts])
        for name, part in new.items():
            self.parts.setdefault(name, []).append(part)

    def columns(self, featurizer: Featurizer) -> dict[str, np.ndarray]:
        self.flush()
        if not self.parts:
            raise DataError("a store needs at least one usable molecule; there is none")
        columns = {name: np.concatenate(parts) for name, parts in self.parts.items()}
        columns["node_offsets"], columns["edge_offsets"] = _offsets(columns.pop("n_node")), _offsets(columns.pop("n_edge"))
        for name in ("smiles", "scaffold"):
            columns[f"{name}_offsets"] = _offsets(columns.pop(f"{name}_length"))
        for name in ("x", "bond"):
            columns[name] = _compact(columns[name])
        columns["x_table"] = np.frombuffer(b"".join(self.atom_rows), np.uint8).reshape(len(self.atom_rows), self.widths[0])
        columns["bond_table"] = np.frombuffer(b"".join(self.bond_rows), np.uint8).reshape(len(self.bond_rows), self.widths[1])
        return columns


def _codes(rows: np.ndarray, known: dict[bytes, int]) -> np.ndarray:
    """The number of each row of `rows` [n, K] uint8 among the distinct rows; new ones are added to `known`, in order."""
    n, width = rows.shape
    if not width:  # no features: all alike
        return np.full(n, known.setdefault(b"", 0))
    if width > 8:
        data = np.ascontiguousarray(rows, np.uint8).tobytes()
        return np.fromiter((known.setdefault(data[k : k + width], len(known)) for k in range(0, len(data), width)), np.int64, n)
    packed = np.zeros((n, 8), np.uint8)  # a row is one number
    packed[:, :width] = rows
    _, first, which = np.unique(packed.view(np.uint64).ravel(), return_index=True, return_inverse=True)
    number = np.empty(len(first), np.int64)
    for k in np.argsort(first):
        number[k] = known.setdefault(rows[first[k]].tobytes(), len(known))
    return number[which]


def _compact(x: np.ndarray) -> np.ndarray:
    """The same whole numbers in the smallest unsigned type that holds them."""
    top = int(x.max(initial=0))
    return x.astype(np.uint8 if top < 2**8 else np.uint16 if top < 2**16 else np.uint32)
