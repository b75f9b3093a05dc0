"""Exact answers for a graph of any size: layer by layer, some receivers at a time, each with all of its edges."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from heliograph.data.graph_store import GraphStore
from heliograph.errors import UsageError
from heliograph.graph import Feature, Graph, Indexed, dense, take
from heliograph.layer import Layer
from heliograph.model import MPNN
from heliograph.sampling.neighbors import Neighbors
from heliograph.topology import Topology

EDGES = 1_000_000  # at most so many at a time, and one receiver at least
NODES = 100_000
WHOLE = "this network needs the whole graph at once, for it keeps states on edges or of several layers: take another for large graphs"
Tell = Callable[[int, int], object]


def exact_states(model: MPNN, store: GraphStore, edges: int = EDGES, tell: Tell | None = None) -> dict[str, Tensor]:
    """Compute the final states of all nodes, name -> [N, ...] on the CPU: the same as on the whole graph, in flat memory.

    `tell` hears of the layers that are done. Raises UsageError for a network whose layers keep states on edges or look at several layers'
    states.
    """
    model.eval()
    for step in model.layers:
        within = any(isinstance(m, Layer) for m in step.modules() if m is not step)
        if within or getattr(step, "looks_at_all", False) or (isinstance(step, Layer) and step.edge is not None and len(model.layers) > 1):
            raise UsageError(WHOLE)
    parameter = next(model.parameters())
    states: dict[str, Feature] = dict(store.node_features(None))
    whole: dict[str, Feature] = {}
    chunks, every = _chunks(np.asarray(store.columns["indptr"]), edges), Neighbors((-1,))
    steps: list[nn.Module] = [model.embed, *model.layers]
    with torch.no_grad():
        for k, module in enumerate(steps):
            found: dict[str, Tensor] = {}
            for a, b in chunks:
                if isinstance(module, Layer) or not k:  # first states may depend on edges, too
                    sample = every.draw(store, np.arange(a, b), 0)
                    drawn = sample.graph(store)
                    block = Graph(drawn.topology, _rows(states, torch.from_numpy(sample.nodes)), drawn.edges, whole)
                    block = block.to(parameter.device, parameter.dtype)
                    block = block if model.view is None else model.view(block)
                else:
                    block = _alone(store, states, whole, a, b).to(parameter.device, parameter.dtype)
                result = module(block)
                if not k and set(result.edges) - set(block.edges):
                    raise UsageError(WHOLE)
                for name, value in result.nodes.items():
                    rows = dense(value)[: b - a].cpu()
                    if name not in found:
                        found[name] = torch.empty(store.N, *rows.shape[1:], dtype=rows.dtype)
                    found[name][a:b] = rows
            states, whole = dict(found), dict(result.globals)
            if tell is not None:
                tell(k + 1, len(steps))
    return {name: dense(value) for name, value in states.items()}


def exact_nodes(model: MPNN, store: GraphStore, nodes: np.ndarray, edges: int = EDGES, tell: Tell | None = None) -> Tensor:
    """Compute the answers "y" [n, out] for `nodes` [n]."""
    states = exact_states(model, store, edges, tell)
    parameter = next(model.parameters())
    found = []
    with torch.no_grad():
        for start in range(0, len(nodes), NODES):
            rows = torch.from_numpy(np.asarray(nodes[start : start + NODES], np.int64))
            graph = _edgeless(_rows(dict(states), rows), len(rows), None)
            found.append(model.readout(graph.to(parameter.device, parameter.dtype))["y"].cpu())
    return torch.cat(found) if found else torch.zeros(0)


def _rows(states: dict[str, Feature], rows: Tensor) -> dict[str, Feature]:
    return {name: take(value, rows) for name, value in states.items()}


def _alone(store: GraphStore, states: dict[str, Feature], whole: dict[str, Feature], a: int, b: int) -> Graph:
    """Nodes a to b without edges, which know their degree in the whole graph."""
    some: dict[str, Feature] = {k: Indexed(v.table, v.index[a:b]) if isinstance(v, Indexed) else v[a:b] for k, v in states.items()}
    return _edgeless(some, b - a, torch.from_numpy(store.degree[a:b]), whole)


def _edgeless(nodes: dict[str, Feature], n: int, degree: Tensor | None, whole: dict[str, Feature] | None = None) -> Graph:
    none = torch.zeros(0, dtype=torch.long)
    return Graph(Topology(none, none, torch.tensor([n]), torch.tensor([0]), N=n, degree=degree), nodes, None, whole)


def _chunks(indptr: np.ndarray, edges: int) -> list[tuple[int, int]]:
    """Runs of receivers of at most `edges` edges and `NODES` nodes, one node at least."""
    n, found, a = len(indptr) - 1, [], 0
    while a < n:
        b = int(np.searchsorted(indptr, indptr[a] + edges, side="right")) - 1
        b = min(max(b, a + 1), a + NODES, n)
        found.append((a, b))
        a = b
    return found
