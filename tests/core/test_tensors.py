"""Couplings from exact integrals, symmetric polynomials, and the maps of tensors that are built of them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from heliograph.blocks.coupling import coupling, paths, polynomials, symmetric
from heliograph.blocks.harmonics import harmonics
from heliograph.blocks.tensors import Contraction, Convolution, ElementLinear, Sphere, TensorLinear
from heliograph.graph import Graph, dense
from tests.conformance.test_vectors import molecules, turn

DTYPE = torch.float64


def rotation(mirrored: bool) -> Tensor:
    Q = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1), dtype=DTYPE))[0]
    return Q * torch.linalg.det(Q) * (-1 if mirrored else 1)


def test_polynomials_are_the_harmonics() -> None:
    r = torch.randn(7, 3, dtype=DTYPE, generator=torch.Generator().manual_seed(0))
    Y = harmonics(r, 6)
    for n in range(7):
        for k, (p, norm) in enumerate(zip(*polynomials(n), strict=True)):
            value = norm * sum(float(v) * r[:, 0] ** a * r[:, 1] ** b * r[:, 2] ** c for (a, b, c), v in p.items())
            np.testing.assert_allclose(value, Y[:, n * n + k], atol=1e-11)


def test_couplings_of_even_sum_are_integrals_of_three_harmonics() -> None:
    x, w = np.polynomial.legendre.leggauss(12)
    phi = 2 * np.pi * np.arange(24) / 24
    s = np.sqrt(1 - x**2)
    r = np.stack([s[:, None] * np.cos(phi), s[:, None] * np.sin(phi), np.broadcast_to(x[:, None], (12, 24))], -1)
    Y, weight = harmonics(torch.from_numpy(r), 4).numpy(), w[:, None] * np.full(24, 2 * np.pi / 24)
    part = [Y[..., n * n : (n + 1) ** 2] for n in range(5)]
    for a, b, c in itertools.product(range(4), range(4), range(5)):
        if (a + b + c) % 2 == 0 and abs(a - b) <= c <= a + b:
            found = np.einsum("pq,pqi,pqj,pqk->ijk", weight, part[a], part[b], part[c])
            np.testing.assert_allclose(coupling(a, b, c), found / np.linalg.norm(found), atol=1e-13)


def test_couplings_are_invariant_and_orthogonal() -> None:
    D = turn(rotation(False), 6).numpy()
    of = lambda n: D[n * n : (n + 1) ** 2, n * n : (n + 1) ** 2]  # noqa: E731
    for a, b, c in itertools.product(range(4), range(4), range(7)):
        C = coupling(a, b, c)
        if not abs(a - b) <= c <= a + b:
            assert not C.any()
            continue
        np.testing.assert_allclose(np.einsum("ijk,ia,jb,kc->abc", C, of(a), of(b), of(c)), C, atol=1e-9)
        np.testing.assert_allclose(np.einsum("ijk,ijl->kl", C, C), np.eye(2 * c + 1) / (2 * c + 1), atol=1e-13)
    cross = coupling(1, 1, 1) * math.sqrt(6)
    np.testing.assert_allclose(np.abs(cross[0, 1, 2]), 1, atol=1e-13)  # of two vectors, up to a sign


@pytest.mark.parametrize(("out", "degree"), list(itertools.product(range(3), (1, 2, 3))))
def test_symmetric_polynomials_turn_and_are_all_that_do(out: int, degree: int) -> None:
    monomials, coefficients = symmetric(3, out, degree)
    rng = np.random.default_rng(0)
    x = rng.normal(size=16)
    value = lambda x: coefficients @ np.prod(x[monomials], 1)  # noqa: E731
    for mirrored in (False, True):
        D = turn(rotation(mirrored), 3).numpy()
        np.testing.assert_allclose(value(D @ x), value(x) @ D[out**2 : (out + 1) ** 2, out**2 : (out + 1) ** 2].T, atol=1e-9)
    # how many there are: the mean over rotations and mirror images of the characters' product
    assert len(coefficients) == dimension(out, degree)
    assert np.linalg.matrix_rank(coefficients.reshape(len(coefficients), -1)) == len(coefficients)


def dimension(out: int, degree: int) -> int:
    """Multiplicity of degree l = `out` among symmetric products of l = 0 .. 3, by characters and Newton's identities."""
    angle, weight = np.polynomial.legendre.leggauss(60)
    angle, weight = (angle + 1) * np.pi / 2, weight * np.pi / 2
    character = lambda n, t: np.sin((n + 0.5) * t) / np.sin(t / 2)  # noqa: E731
    total = 0.0
    for sign in (1, -1):  # proper rotations, and those with an inversion
        p = [sum(sign ** (n * k) * character(n, k * angle) for n in range(4)) for k in range(1, degree + 1)]
        h = [np.ones_like(angle)]
        for k in range(1, degree + 1):
            h.append(sum(p[j - 1] * h[k - j] for j in range(1, k + 1)) / k)
        total += (weight * (1 - np.cos(angle)) / np.pi * h[degree] * sign**out * character(out, angle)).sum() / 2
    return round(total)


def test_there_are_77_monomials_of_three_features_and_a_scalar() -> None:
    assert len(symmetric(3, 0, 3)[0]) == 77 and len(symmetric(3, 0, 3)[1]) == 8


def test_maps_of_tensors_are_their_definitions() -> None:
    torch.manual_seed(0)
    d, graph = 4, Sphere(5, 4.0, 3).to(DTYPE)(molecules())
    t, z = graph.topology, dense(graph.nodes["z"])
    h = torch.randn(graph.N, 4, d, dtype=DTYPE)
    conv = Convolution(d, (5, 6), 1, 3, [d, d + 1, d], 7.0).to(DTYPE)
    A = conv(h, graph)
    R = dense(graph.edges["basis"]) @ conv.radial[0].T
    R = (torch.nn.functional.silu(R) @ conv.radial[1].T).view(len(t.senders), -1, d)
    Y = dense(graph.edges["Y"])
    assert abs(float(Y[:, 1:4].square().sum(1).mean()) - 3) < 1e-12
    for n in range(3):
        each = []
        for k, (a, b, c) in enumerate(paths(1, 3, 2)):
            if c == n:
                C = torch.from_numpy(coupling(a, b, c)) * math.sqrt(2 * c + 1)
                m = torch.einsum("abc,ead,eb->ecd", C, h[t.senders][:, a * a : (a + 1) ** 2], Y[:, b * b : (b + 1) ** 2]) * R[:, k, None]
                each.append(torch.zeros(graph.N, 2 * n + 1, d, dtype=DTYPE).index_add(0, t.receivers, m))
        expected = torch.cat(each, -1) @ conv.mix[n].T / 7
        assert torch.allclose(A[n], expected, atol=1e-12)
    product = Contraction(d, 3, 1, 3).to(DTYPE)
    x = torch.randn(graph.N, 16, d, dtype=DTYPE)
    row, B = 0, torch.zeros(graph.N, 4, d, dtype=DTYPE)
    for n, degree in itertools.product(range(2), (1, 2, 3)):
        monomials, coefficients = symmetric(3, n, degree)
        w = product.weight[z][:, row : row + len(coefficients)]
        values = torch.stack([x[:, m].prod(1) for m in monomials], 1)
        B[:, n * n : (n + 1) ** 2] += torch.einsum("nkd,kmt,ntd->nmd", w, torch.from_numpy(coefficients), values)
        row += len(coefficients)
    assert torch.allclose(product(x, z), B, atol=1e-12)
    per = ElementLinear(d, [3, 2]).to(DTYPE)
    for k, part in enumerate(per(x, z)):
        expected = torch.einsum("nmd,nod->nmo", x[:, k * k : (k + 1) ** 2], per.weight[k][z])
        assert torch.allclose(part, expected, atol=1e-12)
    linear = TensorLinear(d, 3, 1).to(DTYPE)
    assert torch.allclose(linear(x[:, :4])[:, 1:], x[:, 1:4] @ linear.weight[1].T)


def test_no_nodes() -> None:
    none = torch.zeros(0, dtype=torch.long)
    assert [part.shape for part in ElementLinear(4, [3, 2])(torch.zeros(0, 9, 4), none)] == [(0, 1, 3), (0, 3, 2)]
    assert Contraction(4, 3, 1, 2)(torch.zeros(0, 16, 4), none).shape == (0, 4, 4)
    assert isinstance(Sphere(5, 4.0, 3)(Graph.build(none, none, [0], [0], nodes={"z": none, "pos": torch.zeros(0, 3)})), Graph)
