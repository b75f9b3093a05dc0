"""One large graph as arrays: the senders of each node, features, ids. They are in memory, or in a folder that is memory-mapped.

N nodes, E directed edges, M edges as the table had them; edges by receiver (CSR).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from heliograph.errors import DataError
from heliograph.graph import Feature, Graph, Indexed
from heliograph.topology import Topology

VERSION = 1
_FILE = "graph.json"


@dataclass(frozen=True, eq=False)
class GraphStore:
    """`columns`: `indptr` [N + 1] int64 and `indices` [E] int32, the senders of each receiver, ascending as they were given.

    Where there are such: `edge` [E] int32, the row of the table that an edge comes from, with `back` [E] bool where it runs against it;
    `relation` [E] uint16; `x` [N, d]; `edge_attr` [M, k], features of the table's rows; `weight` [E]; `ids_text`, `ids_ends`, the
    names of the nodes as one UTF-8 text; `known` [N], the number of each node in the graph that a model learned from (-1: in none);
    `kind` [N] uint8, the type of each node. Of a hypergraph `rank` [N] uint8 (0 a vertex, 1 a hyperedge), `size` and `cell_degree` [N].
    """

    columns: Mapping[str, np.ndarray]
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "N", len(self.columns["indptr"]) - 1)
        object.__setattr__(self, "E", len(self.columns["indices"]))

    N: int = field(init=False, default=0)
    E: int = field(init=False, default=0)

    @classmethod
    def build(
        cls,
        ends: np.ndarray,
        n: int,
        *,
        directed: bool = False,
        x: np.ndarray | None = None,
        edge_attr: np.ndarray | None = None,
        relation: np.ndarray | None = None,
        relations: int = 0,
        origin: bool = False,
        ids: pa.Array | None = None,
    ) -> GraphStore:
        """Build a store from `ends` [M, 2], sender and receiver of each edge, by a counting sort.

        Undirected edges run both ways. `relation` [M] with `relations` kinds in all: the way back is relation r + `relations`, also
        where edges are directed (an inverse relation). `origin` keeps which row an edge comes from; `edge_attr` [M, k] needs it, too.
        """
        M = len(ends)
        both = not directed or relation is not None
        index = np.int32 if n < 2**31 else np.int64
        senders, receivers = ends[:, 0].astype(index, copy=False), ends[:, 1].astype(index, copy=False)
        if both:
            senders, receivers = np.concatenate([senders, receivers]), np.concatenate([receivers, senders])
        order, indptr = by_receiver(receivers, n)
        columns: dict[str, np.ndarray] = {"indptr": indptr, "indices": senders[order]}
        if relation is not None:
            code = relation.astype(np.int64)
            code = np.concatenate([code, code + relations])[order] if both else code[order]
            columns["relation"] = code.astype(np.uint16 if 2 * relations < 2**16 else np.int32)
        if origin or edge_attr is not None:
            columns["edge"] = (order % max(M, 1)).astype(np.int32)
            columns["back"] = order >= M
        if edge_attr is not None:
            columns["edge_attr"] = edge_attr
        if x is not None:
            columns["x"] = x
        if ids is not None:
            columns |= packed(ids)
        return cls(columns, {"directed": directed, "relations": relations})

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write each column as an array file into an empty folder."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        for name, column in self.columns.items():
            np.save(path / f"{name}.npy", column, allow_pickle=False)
        (path / _FILE).write_text(json.dumps({"version": VERSION, **self.about}), encoding="utf-8")

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> GraphStore:
        """Map a saved store; nothing is read until it is used. Raises DataError where it is none, or of another version."""
        path = Path(folder)
        try:
            about = json.loads((path / _FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{path} is no store of a graph: {error}") from None
        if about.pop("version", None) != VERSION:
            raise DataError(f"{path} is a store of another version; build it again")
        return cls({f.stem: np.load(f, mmap_mode="c", allow_pickle=False) for f in sorted(path.glob("*.npy"))}, about)

    def with_columns(self, **columns: np.ndarray) -> GraphStore:
        """The same graph with columns added or replaced."""
        return GraphStore({**self.columns, **columns}, self.about)

    @property
    def directed(self) -> bool:
        """Whether edges run one way only, as the table has them."""
        return bool(self.about.get("directed", False))

    @property
    def relations(self) -> int:
        """Kinds of edges in the table (0: all alike); inverse ones not counted."""
        return int(self.about.get("relations", 0))

    @property
    def edge_width(self) -> int:
        """Features of an edge: its relation as one of 2 R, or the table's columns, or a constant."""
        attr = self.columns.get("edge_attr")
        return 2 * self.relations if self.relations else 1 if attr is None else attr.shape[1]

    @cached_property
    def degree(self) -> np.ndarray:
        """Edges that each node receives, [N] int64."""
        return np.diff(self.columns["indptr"])

    @cached_property
    def ids(self) -> pa.Array:
        """The nodes' names [N]."""
        return unpacked(self.columns["ids_text"], self.columns["ids_ends"])

    def places(self, names: pa.Array) -> np.ndarray:
        """The node of each name, -1 where there is none of that name, [n] int64."""
        import pyarrow.compute as pc

        return np.asarray(pc.fill_null(pc.index_in(names, value_set=self.ids), -1)).astype(np.int64)

    @cached_property
    def receivers(self) -> np.ndarray:
        """The receiver of each edge, [E]."""
        return np.repeat(np.arange(self.N, dtype=self.columns["indices"].dtype), self.degree)

    def graph(self, keep: np.ndarray | None = None) -> Graph:
        """The whole graph, or the edges `keep` [E] (bool) of it. Node features `x` and `id`."""
        c = self.columns
        senders, receivers = np.asarray(c["indices"]), self.receivers
        chosen = None if keep is None else np.flatnonzero(keep)
        if chosen is not None:
            senders, receivers = senders[chosen], receivers[chosen]
        topology = Topology(
            torch.from_numpy(senders.astype(np.int64)),
            torch.from_numpy(receivers.astype(np.int64)),
            torch.tensor([self.N]),
            torch.tensor([len(senders)]),
            N=self.N,
        )
        return Graph(topology, self.node_features(None), self.edge_features(chosen))

    def node_features(self, nodes: np.ndarray | None) -> dict[str, Feature]:
        """Features of some nodes [n] (None: of all)."""
        c = self.columns
        rows: Any = slice(None) if nodes is None else nodes
        number = np.asarray(c["known"][rows]) if "known" in c else np.arange(self.N) if nodes is None else nodes
        found: dict[str, Feature] = {"id": torch.from_numpy(number.astype(np.int64, copy=False))}
        if "rank" in c:
            found["rank"] = torch.from_numpy(np.asarray(c["rank"][rows]).astype(np.int64))
            found["size"] = torch.from_numpy(np.asarray(c["size"][rows], np.float32))[:, None]
            found["degree"] = torch.from_numpy(np.asarray(c["cell_degree"][rows], np.float32))[:, None]
        if "kind" in c:
            found["kind"] = torch.from_numpy(np.asarray(c["kind"][rows]).astype(np.int64))
        if "x" in c:
            found["x"] = torch.from_numpy(np.asarray(c["x"][rows], np.float32))
        else:
            found["x"] = torch.zeros(self.N if nodes is None else len(nodes), 0)
        return found

    def edge_features(self, edges: np.ndarray | None) -> dict[str, Feature]:
        """Features of some edges, places in the order by receiver [e] (None: of all)."""
        c = self.columns
        found: dict[str, Feature] = {}
        rows: Any = slice(None) if edges is None else edges
        n = self.E if edges is None else len(edges)
        if self.relations:
            relation = torch.from_numpy(np.asarray(c["relation"][rows]).astype(np.int64))
            found["edge_attr"] = Indexed(torch.eye(2 * self.relations), relation)
            found["inverse"] = (relation >= self.relations).float()[:, None]
        elif "edge_attr" in c:
            found["edge_attr"] = torch.from_numpy(np.asarray(c["edge_attr"][c["edge"][rows]], np.float32))
        else:
            found["edge_attr"] = Indexed(torch.ones(1, 1), torch.zeros(n, dtype=torch.long))  # all edges alike
        if "rank" in c:  # +1 from a hyperedge to a member
            found["sign"] = torch.from_numpy(1 - 2 * c["rank"][self.receivers[rows]].astype(np.float32))[:, None]
        return found


def by_receiver(receivers: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The stable order [E] that sorts edges by receiver, and where each receiver's begin [n + 1] int64: O(N + E)."""
    from scipy.sparse import csr_array

    E = len(receivers)
    if not E:
        return np.zeros(0, np.int64), np.zeros(n + 1, np.int64)
    one_a_row = csr_array(
        (np.zeros(E, np.int8), receivers, np.arange(E + 1, dtype=receivers.dtype if E < 2**31 - 1 else np.int64)),
        (E, n),
    )
    sorted_ = one_a_row.tocsc()
    return sorted_.indices, sorted_.indptr.astype(np.int64)


def packed(ids: pa.Array) -> dict[str, np.ndarray]:
    """Names as one UTF-8 text and where each ends."""
    large = ids.cast(pa.large_string())
    if large.offset:
        large = pa.concat_arrays([large])
    buffers = large.buffers()
    ends = np.frombuffer(buffers[1], np.int64)[: len(large) + 1]
    text = np.frombuffer(buffers[2], np.uint8)[: int(ends[-1])] if buffers[2] is not None else np.zeros(0, np.uint8)
    return {"ids_text": text, "ids_ends": ends}


def unpacked(text: np.ndarray, ends: np.ndarray) -> pa.Array:
    """The names again."""
    buffers = [None, pa.py_buffer(np.ascontiguousarray(ends)), pa.py_buffer(np.ascontiguousarray(text))]
    return pa.Array.from_buffers(pa.large_string(), len(ends) - 1, buffers).cast(pa.string())
