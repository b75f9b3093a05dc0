"""A hypergraph from a table of members: vertices and hyperedges in one numbering, an edge each way between a hyperedge and each of
its members, as `views.incidence` has them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heliograph.data.formats.graph_tables import Given, Ids, read_between, read_nodes
from heliograph.data.graph_store import GraphStore
from heliograph.errors import DataError, UsageError
from heliograph.onegraph.config import GraphDataConfig
from heliograph.onegraph.data import Encoders, OneGraph, clean, fit_encoders

PREFIX = "hyperedge:"  # before the name of a hyperedge, so that it is no vertex's


def load_hyper(config: GraphDataConfig, given_nodes: Given, members: Given, encoders: Encoders | None = None) -> OneGraph:
    """Read both tables; a row of `members` says that a vertex is in a hyperedge. `encoders`: a trained model's.

    Raises UsageError for settings that a hypergraph has not, DataError where a table can't be read.
    """
    if config.level != "node":
        raise UsageError(f"--hyperedges is for labels of nodes (--level node), not --level {config.level}")
    if config.bipartite or config.directed or config.relation_column or config.direction:
        raise UsageError("--hyperedges: a table of members has no directions, relations or two sides; leave those options out")
    if given_nodes is None:
        raise DataError("--hyperedges needs the table of nodes: their features and labels")
    nodes = read_nodes(given_nodes, config.id_column)
    usable = nodes.usable
    vertices, hyperedges = Ids(nodes.ids.take(pa.array(usable))), Ids(None)
    table = read_between(members, (hyperedges, vertices), config.edge_columns, keep=(), known_as=("the hyperedges", nodes.name))
    n, H = len(vertices.known), len(hyperedges.known)
    ends = np.stack([table.ends[:, 1].astype(np.int64), table.ends[:, 0].astype(np.int64) + n], 1)  # vertex, hyperedge
    keep, again, _ = clean(ends, True)
    ends = ends[keep]
    fitted, more = (encoders, []) if encoders else fit_encoders(config, nodes, usable, pa.table({}), (), False, ())
    found = replace(fitted, hyperedges=True)
    x = None
    if found.nodes.width:
        own = found.nodes.encode(nodes.cells if len(usable) == len(nodes) else nodes.cells.take(pa.array(usable)))
        x = np.concatenate([own, np.zeros((H, own.shape[1]), own.dtype)])
    names = pc.binary_join_element_wise(PREFIX, hyperedges.known, "")
    store = GraphStore.build(ends, n + H, x=x, ids=pa.concat_arrays([vertices.known.cast(pa.string()), names.cast(pa.string())]))
    store = store.with_columns(**ranks(ends, n, H))
    repeated = {"a member that is named twice in one hyperedge": sum(again.values())} if again else {}
    reasons = {"edges": dict(Counter(table.reasons) + Counter(repeated)), "nodes": dict(Counter(nodes.reasons.values()))}
    return OneGraph(
        store, found, store.ids, ends, table.rows[keep], pa.table({}), None, nodes, np.append(usable, np.full(H, -1)), table.name,
        {"edges": table.read, "nodes": len(nodes)}, reasons, [*_notes(store, n, H), *more], end_columns=table.columns,
    )  # fmt: skip


def ranks(ends: np.ndarray, n: int, H: int) -> dict[str, np.ndarray]:
    """Columns of a store from `ends` [M, 2], vertex and hyperedge: `rank` (0 a vertex, 1 a hyperedge), `size` and `cell_degree` [n + H].

    A vertex has size 1 and as degree the number of its hyperedges; a hyperedge its number of members, and the mean of their degrees.
    """
    vertex, cell = ends[:, 0], ends[:, 1] - n
    degree, size = np.bincount(vertex, minlength=n).astype(np.float32), np.bincount(cell, minlength=H).astype(np.float32)
    mean = np.bincount(cell, degree[vertex], minlength=H) / np.maximum(size, 1)
    return {
        "rank": np.repeat(np.array([0, 1], np.uint8), [n, H]),
        "size": np.append(np.ones(n, np.float32), size),
        "cell_degree": np.append(degree, mean.astype(np.float32)),
    }


def _notes(store: GraphStore, n: int, H: int) -> list[str]:
    sizes, alone = store.columns["size"][n:], int((store.columns["cell_degree"][:n] == 0).sum())
    notes = [
        f"A hypergraph: {n:,} nodes, {H:,} hyperedges of {sizes.min():.0f} to {sizes.max():.0f} members, {sizes.mean():.1f} on average. "
        "Messages go from members to hyperedges and back."
    ]
    if single := int((sizes == 1).sum()):
        notes.append(f"Hyperedges of one member: {single:,}; they are kept.")
    if alone:
        notes.append(f"Nodes in no hyperedge: {alone:,}; nobody sends to them.")
    return notes
