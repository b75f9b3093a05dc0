"""Harmonics against SciPy, `dimenet` and `dimenet_pp` against PyTorch Geometric's triplets, `egnn` against its equations written out."""

from __future__ import annotations

import itertools
import warnings
from math import pi

import numpy as np
import pytest
import torch
from scipy import special
from torch import Tensor
from torch.func import functional_call

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch_geometric.nn.models import dimenet

from heliograph import zoo
from heliograph.blocks.harmonics import SphericalBessel, bessel_zeros, harmonics, spherical_bessel
from heliograph.graph import Graph, dense
from heliograph.model import Inputs
from heliograph.views import Neighbours
from tests.graphs import ATOMS, BONDS, awkward
from tests.oracles.agreement import Parameters, assert_agree


def points(n: int = 50) -> Tensor:
    r = torch.randn(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return torch.cat([r / r.norm(dim=1, keepdim=True), torch.eye(3, dtype=torch.float64), -torch.eye(3, dtype=torch.float64)])


def test_harmonics_are_scipys() -> None:
    r = points()
    found = harmonics(r, 6)
    theta, phi = torch.acos(r[:, 2].clamp(-1, 1)).numpy(), torch.atan2(r[:, 1], r[:, 0]).numpy()
    for n in range(7):
        for m in range(-n, n + 1):
            whole = special.sph_harm_y(n, abs(m), theta, phi) * (-1) ** m  # without the Condon-Shortley phase
            expected = whole.real if m == 0 else np.sqrt(2) * (whole.imag if m < 0 else whole.real)
            np.testing.assert_allclose(found[:, n * n + n + m], expected, atol=1e-12)


def test_harmonics_are_harmonic_and_homogeneous() -> None:
    r = torch.randn(3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for k in range(49):
        hessian = torch.autograd.functional.hessian(lambda v, k=k: harmonics(v, 6)[k], r)
        assert abs(float(hessian.trace())) < 1e-9 * max(1.0, float(hessian.abs().max()))
    degree = torch.tensor([n for n in range(7) for _ in range(2 * n + 1)])
    torch.testing.assert_close(harmonics(2.5 * r, 6), harmonics(r, 6) * 2.5**degree, rtol=1e-12, atol=1e-12)


def test_the_addition_theorem() -> None:
    a, b = points(), points().roll(7, 0)
    for n in range(7):
        part = slice(n * n, (n + 1) ** 2)
        found = (harmonics(a, 6)[:, part] * harmonics(b, 6)[:, part]).sum(1)
        np.testing.assert_allclose(found, (2 * n + 1) / (4 * pi) * special.eval_legendre(n, (a * b).sum(1).numpy()), atol=1e-12)


def test_bessel_functions_are_scipys() -> None:
    zeros = bessel_zeros(7, 6)
    for n in range(7):
        np.testing.assert_allclose(special.spherical_jn(n, zeros[n]), 0, atol=1e-13)
    x = torch.linspace(1, 40, 200, dtype=torch.float64)
    for n in range(7):
        np.testing.assert_allclose(spherical_bessel(x, 6)[:, n], special.spherical_jn(n, x.numpy()), atol=1e-11)
    basis = SphericalBessel(7, 6, 5.0)  # orthonormal over the ball, without its envelope
    r, w = np.polynomial.legendre.leggauss(400)
    x, w = (r + 1) / 2, w / 2
    for n in range(7):
        j = np.stack([special.spherical_jn(n, z * x) for z in zeros[n]])
        norm = np.sqrt(2 / special.spherical_jn(n + 1, zeros[n]) ** 2)
        gram = (norm[:, None] * j * x**2 * w) @ (norm[:, None] * j).T
        np.testing.assert_allclose(gram, np.eye(6), atol=1e-9)
        at = torch.tensor([[2.0]], dtype=torch.float64)
        plain = basis(at)[0, n] / basis.envelope(at / 5.0)[0]
        np.testing.assert_allclose(plain, norm * special.spherical_jn(n, zeros[n] * 0.4), rtol=1e-9)


CUTOFF = 3.0
NAMES = {
    "rbf.freq": "embed.frequency", "emb.lin_rbf": "embed.e", "emb.lin": "embed.W",
}  # fmt: skip


def outputs(theirs: str, ours: str) -> dict[str, str]:
    pairs = {"lin_rbf": "e", "lin_up": "up", "lins.0": "mlp.0", "lins.1": "mlp.2", "lins.2": "mlp.4", "lin": "last"}
    return {f"{theirs}.{a}": f"{ours}.{b}" for a, b in pairs.items()}


def interactions(k: int) -> dict[str, str]:
    pairs = {
        "lin_rbf1": "e.0", "lin_rbf2": "e.1", "lin_sbf1": "a_in", "lin_sbf2": "a_out", "lin_kj": "kj",
        "lin_ji": "ji",
        "lin_down": "down", "lin_up": "up", "layers_before_skip.0.lin1": "before.W.0", "layers_before_skip.0.lin2": "before.W.2",
        "lin": "W",
        "layers_after_skip.0.lin1": "after.0.W.0", "layers_after_skip.0.lin2": "after.0.W.2",
        "layers_after_skip.1.lin1": "after.1.W.0", "layers_after_skip.1.lin2": "after.1.W.2",
    }  # fmt: skip
    return {f"interaction_blocks.{k}.{a}": f"layers.{k}.{b}" for a, b in pairs.items()}


def test_dimenet_without_triplets_is_dimenet_with_them() -> None:
    torch.manual_seed(0)
    sizes = {"d": 16, "depth": 2, "spherical": 4, "radial": 3, "cutoff": CUTOFF}
    net = zoo.build("dimenet_pp", Inputs(ATOMS, BONDS, True), 2, sizes).double().eval()
    other = dimenet.DimeNetPlusPlus(16, 2, 2, 8, 8, 32, 4, 3, CUTOFF, output_initializer="glorot_orthogonal").double()
    from torch_geometric.nn.models.dimenet_utils import Jn_zeros

    rounded = torch.from_numpy(Jn_zeros(4, 3).astype(np.float64))  # PyTorch Geometric has its zeros in float32
    assert float((net.embed.bessel.zeros - rounded).abs().max()) < 1e-5
    net.embed.bessel.zeros = rounded
    names = dict(NAMES) | outputs("output_blocks.0", "embed.answer")
    for k in range(2):
        names |= interactions(k) | outputs(f"output_blocks.{k + 1}", f"layers.{k}.answer")

    def theirs(parameters: Parameters, graph: Graph) -> Tensor:
        weights = {"emb.emb.weight": parameters["embed.element.weight"][:95]}
        for of, mine in names.items():
            weights |= {of + name.removeprefix(mine): p for name, p in parameters.items() if name == mine or name.startswith(f"{mine}.")}
        assert set(weights) == {n for n, _ in other.named_parameters()}
        near = Neighbours(CUTOFF)(graph)
        t, pos = near.topology, dense(near.nodes["pos"])
        kj, ji = t.continuations
        j, i = t.senders, t.receivers

        class Run(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                for name, child in other.named_children():
                    self.add_module(name, child)

            def forward(self) -> Tensor:
                along = pos[i] - pos[j]
                dist = along.pow(2).sum(-1).sqrt()
                a = (along[ji] * along[kj]).sum(-1)
                angle = torch.atan2(torch.linalg.cross(along[ji], along[kj]).norm(dim=-1), a)
                rbf, sbf = self.rbf(dist), self.sbf(dist, angle, kj)
                x = self.emb(dense(near.nodes["z"]), rbf, i, j)
                P = self.output_blocks[0](x, rbf, i, num_nodes=graph.N)
                for step, answer in zip(self.interaction_blocks, list(self.output_blocks)[1:], strict=True):
                    x = step(x, rbf, sbf, kj, ji)
                    P = P + answer(x, rbf, i, num_nodes=graph.N)
                return P.new_zeros(graph.G, 2).index_add(0, t.nodes_by_graph.index, P)

        return functional_call(Run(), weights, ())

    assert_agree(net, awkward(), theirs)


def test_a_step_of_dimenet_is_one_with_triplets() -> None:
    """PyTorch Geometric's interaction block on listed pairs of edges, with the paper's angle."""
    torch.manual_seed(0)
    net = zoo.build("dimenet", Inputs(ATOMS, BONDS, True), 2, {"d": 16, "depth": 1, "cutoff": CUTOFF}).double().eval()
    other = dimenet.InteractionBlock(16, 8, 7, 6, 1, 2, torch.nn.functional.silu).double()
    names = {
        "lin_rbf.weight": "e.weight", "lin_sbf.weight": "a.weight", "W": "bilinear", "lin.weight": "W.weight", "lin.bias": "W.bias",
        **{f"lin_{k}.{p}": f"{k}.{p}" for k in ("kj", "ji") for p in ("weight", "bias")},
        **{f"layers_before_skip.0.lin{n}.{p}": f"before.W.{2 * n - 2}.{p}" for n in (1, 2) for p in ("weight", "bias")},
        **{f"layers_after_skip.{k}.lin{n}.{p}": f"after.{k}.W.{2 * n - 2}.{p}" for k in (0, 1) for n in (1, 2) for p in ("weight", "bias")},
    }  # fmt: skip
    step = net.layers[0]
    for name, parameter in other.named_parameters():
        parameter.data.copy_(step.get_parameter(names[name]).data)
    graph = net.embed(Neighbours(CUTOFF)(awkward()).to(torch.device("cpu"), torch.float64))
    t, u = graph.topology, -dense(graph.edges["direction"])
    kj, ji = t.continuations
    cos = (u[kj] * u[ji]).sum(1).numpy()
    P = np.stack([np.sqrt((2 * n + 1) / (4 * pi)) * special.eval_legendre(n, cos) for n in range(7)], 1)
    sbf = (dense(graph.edges["a"])[kj] * torch.from_numpy(P)[:, :, None]).flatten(1)
    expected = other(dense(graph.edges["m"]), dense(graph.edges["e"]), sbf, kj, ji)
    found = dense(step(graph).edges["m"])
    assert len(kj) > 100 and torch.allclose(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["dimenet", "dimenet_pp"])
def test_collinear_atoms_have_finite_forces(name: str) -> None:
    net = zoo.build(name, Inputs(ATOMS, BONDS, True), 1, {"d": 16, "depth": 2}).double().eval()
    pos = torch.tensor([[0.0, 0, k * 1.2] for k in range(4)], dtype=torch.float64, requires_grad=True)  # along z, where angles fail
    i, j = zip(*itertools.permutations(range(4), 2), strict=True)
    graph = Graph.build(torch.tensor(j), torch.tensor(i), [4], [12], nodes={"z": torch.tensor([6, 6, 6, 7]), "pos": pos})
    (force,) = torch.autograd.grad(net(graph)["y"].sum(), pos)
    assert force.isfinite().all() and force[:, :2].abs().max() < 1e-9 and force.sum(0).abs().max() < 1e-9


def test_egnn_is_its_equations() -> None:
    torch.manual_seed(0)
    net = zoo.build("egnn", Inputs(ATOMS, BONDS, True), 2, {"d": 8, "depth": 3}).double().eval()

    def theirs(p: Parameters, graph: Graph) -> Tensor:
        def mlp(x: Tensor, name: str) -> Tensor:
            x = torch.nn.functional.silu(x @ p[f"{name}.0.weight"].T + p[f"{name}.0.bias"])
            return x @ p[f"{name}.2.weight"].T + p[f"{name}.2.bias"]

        answers = []
        for g in range(graph.G):
            nodes = (graph.topology.nodes_by_graph.index == g).nonzero().squeeze(1)
            n = len(nodes)
            h, x = p["embed.elements.element.weight"][dense(graph.nodes["z"])[nodes]], dense(graph.nodes["pos"])[nodes]
            for k in range(3):
                apart = x[:, None] - x[None]  # [i, j]
                square = apart.square().sum(-1, keepdim=True)
                both = torch.cat([h[:, None].expand(n, n, -1), h[None].expand(n, n, -1), square], -1)
                m = torch.nn.functional.silu(mlp(both, f"layers.{k}.message.phi_e.0"))
                other = (1 - torch.eye(n, dtype=h.dtype))[:, :, None]
                gate = torch.sigmoid(m @ p[f"layers.{k}.message.inf.weight"].T + p[f"layers.{k}.message.inf.bias"])
                if k < 2:
                    dx = apart / ((square + 1e-8).sqrt() + 1) * mlp(m, f"layers.{k}.message.phi_x") * other
                    x = x + dx.sum(1) / max(n - 1, 1)
                h = h + mlp(torch.cat([h, (m * gate * other).sum(1)], -1), f"layers.{k}.update.phi_h")
            answers.append(mlp(h, "readout.mlp").sum(0))
        return torch.stack(answers)

    assert_agree(net, awkward(), theirs)


def test_egnn_has_any_number_of_dimensions() -> None:
    net = zoo.build("egnn", Inputs(ATOMS, BONDS, True), 1, {"d": 8, "depth": 2}).double().eval()
    rng = torch.Generator().manual_seed(0)
    i, j = zip(*itertools.permutations(range(5), 2), strict=True)
    for n in (1, 2, 4):
        pos, turn = torch.randn(5, n, generator=rng, dtype=torch.float64), torch.randn(n, n, generator=rng, dtype=torch.float64)
        turn = torch.linalg.qr(turn)[0]
        one, two = (
            net(Graph.build(torch.tensor(j), torch.tensor(i), [5], [20], nodes={"z": torch.arange(5) + 1, "pos": p}))["y"]
            for p in (pos, pos @ turn + 1)
        )
        torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-10)
