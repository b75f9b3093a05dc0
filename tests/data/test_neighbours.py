"""Lists of neighbours are those of ASE, as sets of (i, j, shift), whatever the cell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase.neighborlist import primitive_neighbor_list

from heliograph.data.frames import Frame
from heliograph.data.neighbours import pairs
from heliograph.data.sources.structures import Keys, Structures
from heliograph.errors import StructureError
from heliograph.geometry import pair_vectors, with_vectors

ALL_PBC = [tuple(bool(k >> b & 1) for b in range(3)) for k in range(8)]


def triples(i: np.ndarray, j: np.ndarray, S: np.ndarray) -> set[tuple[int, ...]]:
    return {(int(a), int(b), *map(int, s)) for a, b, s in zip(i, j, S, strict=True)}


@pytest.mark.parametrize("count", [20, pytest.param(125, marks=pytest.mark.slow)])
@pytest.mark.parametrize("pbc", ALL_PBC)
def test_lists_are_those_of_ase(pbc: tuple[bool, bool, bool], count: int) -> None:
    """Cells of each kind: 1 to 50 atoms, left-handed ones, atoms outside, cutoffs up to four times the shortest vector."""
    rng = np.random.default_rng(ALL_PBC.index(pbc))
    done = 0
    while done < count:
        cell = rng.normal(size=(3, 3)) * rng.uniform(1, 4)
        lengths = np.linalg.norm(cell, axis=1)
        if abs(np.linalg.det(cell)) < 0.2 * lengths.prod():
            continue
        n = int(rng.integers(1, 51)) if done % 5 == 0 else int(rng.integers(1, 6))
        cutoff = float(rng.uniform(0.3, 4 if n < 6 else 1.5) * lengths.min())
        pos = rng.normal(size=(n, 3)) * 1.5 * lengths.max()
        i, j, S = pairs(pos, cell, pbc, cutoff)
        both = triples(i, j, S) | triples(j, i, -S)
        theirs = primitive_neighbor_list("ijS", pbc, cell, pos, cutoff, self_interaction=False)
        assert both == triples(*theirs) and len(both) == 2 * len(i) == len(theirs[0])
        done += 1


def test_a_batch_has_the_vectors_of_its_list() -> None:
    """Sorted by receiver; reverse, pairs and signs as a topology would find them; vectors as positions and shifts give them."""
    rng = np.random.default_rng(0)
    frames = [
        Frame(
            np.full(n, 6, np.uint8),
            3 * rng.normal(size=(n, 3)),
            3 * np.eye(3) + 0.3 * rng.normal(size=(3, 3)) if p else None,
            (p,) * 3,
        )
        for n, p in ((3, True), (1, True), (1, False), (7, False), (2, True))
    ]
    data = Structures.collect(frames, Keys()).with_neighbours(4.0)
    graph = data.batch(np.array([4, 2, 0, 3, 1]))
    t = graph.topology
    fresh = type(t)(t.senders, t.receivers, t.n_node, t.n_edge, N=t.N, shift=t.shift)
    assert torch.equal(t.receivers, t.receivers.sort()[0])
    ends = lambda k: torch.cat([t.senders[k, None], t.receivers[k, None], t.shift[k]], 1)  # noqa: E731
    there = torch.stack([t.receivers, t.senders, *(-t.shift).T], 1)
    assert torch.equal(ends(t.reverse), there) and torch.equal(ends(fresh.reverse), there)
    assert t.pairs.P == fresh.pairs.P == graph.E // 2
    r = pair_vectors(graph)
    assert torch.allclose(r, pair_vectors(with_vectors(graph.with_edges())), atol=1e-12)
    edge = r[t.pairs.index] * t.pairs.sign[:, None]  # [E, 3]
    assert torch.allclose(edge, -edge[t.reverse])
    assert float(edge.norm(dim=1).max()) < 4.0 and float(edge.norm(dim=1).min()) > 0


def test_what_is_no_cell_and_atoms_at_one_place_are_said() -> None:
    pos = np.array([[0.0, 0, 0], [1, 0, 0]])
    with pytest.raises(StructureError, match="without a cell"):
        pairs(pos, None, (True, True, True), 3.0)
    with pytest.raises(StructureError, match="zero or lie in one plane"):
        pairs(pos, np.array([[1.0, 0, 0], [2, 0, 0], [0, 0, 1]]), (True, True, False), 3.0)
    with pytest.raises(StructureError, match="atoms at one place: 1 and 2"):
        pairs(np.zeros((2, 3)), None, (False,) * 3, 3.0)
    slab = np.array([[3.0, 0, 0], [0, 3, 0], [0, 0, 0]])  # ASE writes zero for an axis without a period
    assert len(pairs(pos, slab, (True, True, False), 3.5).i) == 8
