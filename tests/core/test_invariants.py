"""Local invariants: values, derivatives that are finite where shapes degenerate, and how they answer to strain; `empnn` undoes one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from heliograph import zoo
from heliograph.blocks import MLP
from heliograph.blocks import invariants as inv
from heliograph.data.frames import Frame
from heliograph.data.sources.structures import Keys, Structures
from heliograph.graph import Graph
from heliograph.model import MPNN
from heliograph.potential.potential import INPUTS
from heliograph.zoo import empnn

DTYPE = torch.float64
SHAPES = {
    "length": (inv.length, 1), "cosine": (inv.cosine, 2), "angle": (inv.angle, 2), "area": (inv.area, 2),
    "volume": (inv.volume, 3), "torsion": (inv.torsion, 3),
}  # fmt: skip


def vectors(n: int, seed: int = 0) -> list[Tensor]:
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(5, 3, generator=g, dtype=DTYPE).requires_grad_() for _ in range(n)]


@pytest.mark.parametrize("name", SHAPES)
def test_invariant_and_differentiable(name: str) -> None:
    f, n = SHAPES[name]
    r = vectors(n)
    assert torch.autograd.gradcheck(f, r) and torch.autograd.gradgradcheck(f, r)
    Q = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1), dtype=DTYPE))[0]
    Q = Q * torch.linalg.det(Q)
    assert torch.allclose(f(*(x @ Q for x in r)), f(*r)) and f(*r).std() > 0
    mirrored = f(*(-x for x in r))
    assert torch.allclose(mirrored, -f(*r) if name in ("volume", "torsion") else f(*r))


def test_values() -> None:
    a, b, c = (torch.tensor(v, dtype=DTYPE) for v in ([2.0, 0, 0], [0, 3.0, 0], [0, 0, 4.0]))
    assert (inv.length(a), inv.cosine(a, b), inv.area(a, b), inv.volume(a, b, c)) == (2, 0, 3, 24)
    assert float(inv.angle(a, a + b)) == pytest.approx(np.arctan2(3, 2))
    assert abs(float(inv.torsion(a, b, c))) == pytest.approx(np.pi / 2)
    assert abs(float(inv.torsion(a, b, a))) == pytest.approx(np.pi) and float(inv.torsion(a, b, -a)) == pytest.approx(0)


@pytest.mark.parametrize("name", SHAPES)
def test_nothing_is_nan_where_shapes_degenerate(name: str) -> None:
    f, n = SHAPES[name]
    z = torch.tensor([[0.0, 0, 1]], dtype=DTYPE)
    for of in ([z, z, z], [z, -z, z], [0 * z, z, z], [0 * z] * 3, [z, 0 * z, z]):
        r = [x.clone().requires_grad_() for x in of[:n]]
        value = f(*r)
        first = torch.autograd.grad(value.sum(), r, create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() + g.sum() for g in first), r, allow_unused=True)
        assert all(x.isfinite().all() for x in (value, *first, *(s for s in second if s is not None)))


def test_answers_to_strain_are_derivatives() -> None:
    a, b = (x.detach() for x in vectors(2))
    u, v = inv.direction(a), inv.direction(b)
    strain = torch.zeros(3, 3, dtype=DTYPE, requires_grad=True)
    F = torch.eye(3, dtype=DTYPE) + (strain + strain.T) / 2
    sine = 1 - inv.cosine(a, b).square()
    for value, answer in (
        (inv.length(a @ F).log(), inv.stretch(u)),
        (inv.cosine(a @ F, b @ F), inv.bend(u, v)),
        (inv.area(a @ F, b @ F).log() * sine, inv.spread(u, v)),
    ):
        for k in range(5):
            (found,) = torch.autograd.grad(value[k], strain, retain_graph=True)
            assert torch.allclose(found, answer[k], atol=1e-12)


# ---- empnn ---------------------------------------------------------------------------------------------------------

EDGES = {22: 3.90, 40: 4.15, 56: 0.0, 38: -0.06, 20: -0.10}  # B gives the edge of the cube, A a correction


def perovskites(n: int, seed: int) -> tuple[Graph, Tensor]:
    """Cubic ABO3 cells under random symmetric strains of norms 5 to 10 %: the graph, and what each was multiplied by, [G, 3, 3]."""
    rng, frames, applied = np.random.default_rng(seed), [], []
    place = np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    for _ in range(n):
        A, B = rng.choice([56, 38, 20]), rng.choice([22, 40])
        strain = rng.normal(size=(3, 3))
        strain = strain + strain.T
        strain *= rng.uniform(0.05, 0.10) / np.linalg.norm(strain)
        F = np.eye(3) + strain
        cell = np.eye(3) * (EDGES[B] + EDGES[A]) @ F
        frames.append(Frame(np.array([A, B, 8, 8, 8], np.uint8), place @ cell, cell, (True,) * 3))
        applied.append(F)
    data = Structures.collect(frames, Keys()).with_neighbours(3.3)
    return data.batch(np.arange(n)), torch.tensor(np.array(applied))


def left(net: MPNN, graph: Graph, applied: Tensor) -> Tensor:
    """What is left of each strain, [G]: of D F, up to a rotation, the distance from the unit matrix."""
    D = net(graph)["deformation"].to(DTYPE)
    values = torch.linalg.svdvals(D @ applied)
    return (values - 1).square().sum(1).sqrt()


@torch.no_grad()
def test_sums_over_triangles_are_those_of_their_list() -> None:
    graph, _ = perovskites(2, 0)
    t, rng = graph.topology, torch.Generator().manual_seed(0)
    h, b, c, r = (torch.randn(n, d, generator=rng, dtype=torch.float64) for n, d in ((t.N, 5), (t.E, 4), (t.E, 1), (t.E, 3)))
    mlp, u = MLP(3 * 5 + 2 * 4 + 1, 6, 2, act=torch.nn.SiLU).double(), inv.direction(r)
    kj, ji = t.continuations
    assert len(kj) > t.E
    into, out_of, (j, k, i) = u[kj], -u[ji], (t.receivers[kj], t.senders[kj], t.receivers[ji])
    w = mlp(torch.cat([h[j], h[k], h[i], b[kj], b[ji], (into * out_of).sum(-1, keepdim=True)], -1)) * c[kj] * c[ji]
    terms = w[:, :1, None] * inv.bend(into, out_of) + w[:, 1:, None] * inv.spread(into, out_of)
    sums, weights = empnn.Step._triangles(mlp, h, b, c, u, graph)
    of = t.nodes_by_graph.index
    for mine, listed in ((sums, terms), (weights, c[kj] * c[ji])):
        a = mine.new_zeros(graph.G, *mine.shape[1:]).index_add(0, of[t.receivers], mine)
        assert torch.allclose(a, torch.zeros_like(a).index_add(0, of[j], listed), rtol=0, atol=1e-11 * float(a.abs().max()))


def test_empnn_turns_along_and_knows_no_basis() -> None:
    torch.manual_seed(0)
    net = zoo.build("empnn", INPUTS, 1, {"d": 8, "depth": 2, "cutoff": 4.5}).double()
    rng = np.random.default_rng(0)
    cell = np.diag([3.1, 3.6, 3.3]) + 0.3 * rng.normal(size=(3, 3))
    pos = np.array([[0, 0, 0], [0.5, 0.45, 0.1], [0.1, 0.5, 0.55]]) @ cell
    z = np.array([8, 14, 6], np.uint8)
    Q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    basis = np.array([[1, 1, 0], [0, 1, -1], [0, 0, 1]])

    def found(x: np.ndarray, c: np.ndarray) -> tuple[Tensor, Tensor]:
        frame = Frame(z, x, c, (True,) * 3)
        answer = net(Structures.collect([frame], Keys()).with_neighbours(4.5).batch(np.array([0])))
        return answer["deformation"][0], answer["y"]

    (D, y), (turned, y_turned), (other, y_other) = found(pos, cell), found(pos @ Q.T, cell @ Q.T), found(pos + cell[0], basis @ cell)
    assert (D - torch.eye(3)).abs().max() > 1e-4
    q = torch.tensor(Q)
    assert torch.allclose(turned, q @ D @ q.T, atol=1e-10) and torch.allclose(y, y_turned, atol=1e-10)
    assert torch.allclose(other, D, atol=1e-10) and torch.allclose(y, y_other, atol=1e-10)
    assert found(pos, cell)[0].equal(D)


def test_a_small_training_undoes_strains() -> None:
    torch.manual_seed(0)
    steps = 80
    net = zoo.build("empnn", INPUTS, 1, {"d": 32, "depth": 2, "cutoff": 3.3})
    optimizer = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=steps)
    batches, unit = [perovskites(16, k) for k in range(4)], torch.eye(3)
    for k in range(steps):
        graph, applied = batches[k % 4]
        G = net(graph)["deformation"] @ applied.float()
        loss = (G.transpose(1, 2) @ G - unit).square().sum((1, 2)).mean()  # zero up to a rotation
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        new, strained = perovskites(24, 99)
        start = (torch.linalg.svdvals(strained) - 1).square().sum(1).sqrt()
        after = left(net, new, strained)
    assert float((after / start).mean()) < 0.2 and 0.05 < float(start.mean()) < 0.10
