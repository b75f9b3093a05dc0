"""What physics asks of every potential: symmetries, forces and stress as derivatives, extensivity, smoothness."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from heliograph import algebra, zoo
from heliograph.algebra import radial
from heliograph.data.frames import Frame
from heliograph.potential import potential as potential_module
from heliograph.potential.potential import INPUTS, Potential
from tests.potential.made import ALL_PAIRS, SMALL, answer, crystal, molecule, potential


@pytest.fixture(autouse=True)
def with_the_algebra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small structures as large ones."""
    monkeypatch.setattr(potential_module, "FEW_EDGES", 0)


archs = pytest.mark.parametrize("arch", list(SMALL))
STRUCTURES = [
    molecule(),
    crystal(),
    crystal(seed=1),
    crystal(pbc=(True, False, True)),
    crystal(1, seed=2),
]
structures = pytest.mark.parametrize("frame", STRUCTURES, ids=["molecule", "crystal", "left-handed", "slab", "one atom a cell"])


def rotation(seed: int, reflect: bool) -> np.ndarray:
    q = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    return q * (np.sign(np.linalg.det(q)) * (-1 if reflect else 1))


@archs
@structures
@pytest.mark.parametrize("reflect", [False, True])
def test_rotation_reflection_and_translation(arch: str, frame: Frame, reflect: bool) -> None:
    net = potential(arch)
    R = rotation(3, reflect)
    moved = replace(
        frame,
        pos=frame.pos @ R + np.array([1.0, -20.0, 3.0]),
        cell=None if frame.cell is None else frame.cell @ R,
    )
    a, b = answer(net, frame), answer(net, moved)
    assert b.energy == pytest.approx(a.energy, rel=1e-10)
    assert np.allclose(b.forces, a.forces @ R, atol=1e-9)
    if all(frame.pbc):
        assert np.allclose(b.stress, R.T @ a.stress @ R, atol=1e-9) and np.abs(a.stress).max() > 1e-4
    else:
        assert np.isnan(a.stress).all()  # no volume, no stress


@archs
@structures
def test_numbering_of_atoms_does_not_matter(arch: str, frame: Frame) -> None:
    net, order = potential(arch), np.random.default_rng(0).permutation(len(frame.z))
    a, b = answer(net, frame), answer(net, replace(frame, z=frame.z[order], pos=frame.pos[order]))
    assert b.energy == pytest.approx(a.energy, rel=1e-12)
    assert np.allclose(b.forces, a.forces[order], atol=1e-10) and np.allclose(b.energies, a.energies[order], atol=1e-10)


@archs
@pytest.mark.parametrize(
    "frame",
    [f for f in STRUCTURES if any(f.pbc)],
    ids=["crystal", "left-handed", "slab", "one atom a cell"],
)
def test_the_cell_is_a_matter_of_description(arch: str, frame: Frame) -> None:
    """A supercell has a multiple of the energy; another basis, and atoms moved by lattice vectors, change nothing."""
    net, a = potential(arch), answer(potential(arch), frame)
    periodic = np.array(frame.pbc)
    times = np.where(periodic, [2, 1, 2], 1)
    shifts = np.stack(np.meshgrid(*[np.arange(k) for k in times], indexing="ij"), -1).reshape(-1, 3)
    copies = np.concatenate([frame.pos + s @ frame.cell for s in shifts])
    big = Frame(np.tile(frame.z, len(shifts)), copies, frame.cell * times[:, None], frame.pbc)
    b = answer(net, big)
    assert b.energy == pytest.approx(len(shifts) * a.energy, rel=1e-12)
    assert np.allclose(b.forces, np.tile(a.forces, (len(shifts), 1)), atol=1e-9)
    rng = np.random.default_rng(1)
    wandered = replace(frame, pos=frame.pos + (rng.integers(-3, 4, (len(frame.z), 3)) * periodic) @ frame.cell)
    c = answer(net, wandered)
    assert c.energy == pytest.approx(a.energy, rel=1e-12) and np.allclose(c.forces, a.forces, atol=1e-9)
    if periodic.all():
        basis = np.array([[1, 1, 0], [0, 1, -1], [0, 0, 1]])
        d = answer(net, replace(frame, cell=basis @ frame.cell))
        assert d.energy == pytest.approx(a.energy, rel=1e-12)
        assert np.allclose(d.forces, a.forces, atol=1e-9) and np.allclose(d.stress, a.stress, atol=1e-9)
        assert np.allclose(b.stress, a.stress, atol=1e-9)


@archs
@structures
def test_forces_are_central_differences(arch: str, frame: Frame) -> None:
    net, h, rng = potential(arch), 1e-4, np.random.default_rng(0)
    forces = answer(net, frame).forces
    assert np.allclose(forces.sum(0), 0, atol=1e-10)
    if not any(frame.pbc):
        assert np.allclose(np.cross(frame.pos, forces).sum(0), 0, atol=1e-10)
    for _ in range(4):
        step = rng.normal(size=frame.pos.shape)
        energy = {k: answer(net, replace(frame, pos=frame.pos + k * h * step)).energy for k in (-2, -1, 1, 2)}
        slope = (8 * (energy[1] - energy[-1]) - (energy[2] - energy[-2])) / (12 * h)  # to fourth order
        assert -slope == pytest.approx(float((forces * step).sum()), abs=1e-6)


@archs
@pytest.mark.parametrize(
    "frame",
    [crystal(), crystal(seed=1), crystal(1, seed=2)],
    ids=["crystal", "left-handed", "one atom a cell"],
)
def test_stress_is_the_derivative_by_strain(arch: str, frame: Frame) -> None:
    if arch == "schnet_edge" and frame is not STRUCTURES[4]:
        frame = crystal(2, seed=4)  # no atom crosses the cutoff there, where its filters jump
    net, h = potential(arch), 1e-4
    stress, volume = answer(net, frame).stress, abs(np.linalg.det(frame.cell))
    assert np.allclose(stress, stress.T)
    for a, b in ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (0, 2)):
        strain = np.zeros((3, 3))
        strain[a, b] += 0.5 * h
        strain[b, a] += 0.5 * h
        up, down = (
            answer(
                net,
                replace(
                    frame,
                    pos=frame.pos @ (np.eye(3) + s * strain),
                    cell=frame.cell @ (np.eye(3) + s * strain),
                ),
            ).energy
            for s in (1, -1)
        )
        assert (up - down) / (2 * h) / volume == pytest.approx(stress[a, b], abs=1e-6)


@archs
def test_an_isolated_atom_has_E0_and_atoms_far_apart_add_up(arch: str) -> None:
    net = potential(arch)
    for z in (1, 8):
        one = answer(net, Frame(np.array([z], np.uint8), np.zeros((1, 3))))
        assert one.energy == pytest.approx(-10.0 * z, abs=1e-10) and np.abs(one.forces).max() == 0
    apart = Frame(np.array([1, 8, 8], np.uint8), np.array([[0.0, 0, 0], [50, 0, 0], [0, 50, 0]]))
    assert answer(net, apart).energy == pytest.approx(-170.0, abs=1e-10)
    both = molecule()
    two = Frame(np.tile(both.z, 2), np.concatenate([both.pos, both.pos + 100.0]))
    assert answer(net, two).energy == pytest.approx(2 * answer(net, both).energy, rel=1e-12)


@archs
def test_energy_and_forces_are_continuous_at_the_cutoff_and_at_the_cells_face(arch: str) -> None:
    net, cutoff = potential(arch), 4.0
    if arch != "schnet_edge":  # its filters have no envelope, as its paper's
        near, far = (
            answer(
                net,
                Frame(np.array([6, 8], np.uint8), np.array([[0.0, 0, 0], [cutoff + s * 1e-6, 0, 0]])),
            )
            for s in (-1, 1)
        )
        assert near.energy == pytest.approx(far.energy, abs=1e-8) and np.allclose(near.forces, far.forces, atol=1e-5)
    frame = crystal()
    inverse = np.linalg.inv(frame.cell)
    place = frame.pos @ inverse
    place[0] = [1.0, 0.3, 0.4]
    moved = [place + np.eye(3)[[0, 0, 0]] * np.array([[s], [0], [0]]) for s in (-1e-9, 1e-9)]
    sides = [answer(net, replace(frame, pos=p @ frame.cell)) for p in moved]
    assert sides[0].energy == pytest.approx(sides[1].energy, abs=1e-7) and np.allclose(sides[0].forces, sides[1].forces, atol=1e-6)


@archs
def test_nothing_is_nan_where_geometry_is_degenerate(arch: str) -> None:
    net = potential(arch)
    line = Frame(np.array([8, 6, 8], np.uint8), np.array([[0, 0, -1.2], [0, 0, 0], [0, 0, 1.2]], float))
    t = np.linspace(0, 2 * np.pi, 7)[:-1]
    ring = Frame(np.full(6, 6, np.uint8), 1.4 * np.stack([np.cos(t), np.sin(t), 0 * t], 1))
    for frame in (line, ring):
        found = answer(net, frame)
        assert np.isfinite(found.energy) and np.isfinite(found.forces).all()
    assert np.abs(answer(net, line).forces[1]).max() < 1e-10  # the middle atom feels no force
    assert np.abs(answer(net, ring).forces[:, 2]).max() < 1e-10  # a planar ring stays planar
    same, none = replace(line, pos=np.zeros((3, 3))), Frame(reason="no atoms")
    answers = net([same, line, none, replace(line, z=np.array([8, 79, 8], np.uint8))])
    assert [a.reason.split(":")[0] for a in answers] == [
        "atoms at one place",
        "",
        "no atoms",
        "element not in the training frames",
    ]
    assert answers[1].energy == pytest.approx(answer(net, line).energy, rel=1e-13)


def test_forces_come_where_gradients_are_off() -> None:
    net, frame = potential(), molecule()
    plain = answer(net, frame)
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            assert np.array_equal(answer(net, frame).forces, plain.forces)


def test_the_hessian_is_symmetric() -> None:
    net, frame, h = potential(), molecule(4), 1e-4
    n = frame.pos.size
    rows = []
    for k in range(n):
        step = np.zeros(n)
        step[k] = h
        up, down = (answer(net, replace(frame, pos=frame.pos + s * step.reshape(-1, 3))).forces.ravel() for s in (1, -1))
        rows.append(-(up - down) / (2 * h))
    H = np.array(rows)
    assert np.allclose(H, H.T, atol=1e-6) and np.abs(H).max() > 1e-2


@pytest.mark.parametrize("arch", list(ALL_PAIRS))
def test_networks_of_all_pairs_give_forces_of_molecules_and_no_crystal(arch: str) -> None:
    net, frame, h = potential(arch), molecule(), 2e-5  # dtnn's Gaussians are narrow
    a = answer(net, frame)
    assert np.allclose(a.forces.sum(0), 0, atol=1e-10) and np.abs(a.forces).max() > 1e-3
    assert np.allclose(np.cross(frame.pos, a.forces).sum(0), 0, atol=1e-10)
    step = np.random.default_rng(0).normal(size=frame.pos.shape)
    up, down = (answer(net, replace(frame, pos=frame.pos + s * h * step)).energy for s in (1, -1))
    assert -(up - down) / (2 * h) == pytest.approx(float((a.forces * step).sum()), abs=1e-6)
    turn, order = rotation(2, reflect=True), np.random.default_rng(1).permutation(len(frame.z))
    b = answer(net, replace(frame, z=frame.z[order], pos=(frame.pos @ turn + 5.0)[order]))
    assert b.energy == pytest.approx(a.energy, rel=1e-10) and np.allclose(b.forces, (a.forces @ turn)[order], atol=1e-9)
    one = answer(net, Frame(np.array([8], np.uint8), np.zeros((1, 3))))
    assert one.energy == pytest.approx(-80.0, abs=1e-10) and np.abs(one.forces).max() == 0
    assert "all pairs" in net([crystal()])[0].reason


def test_few_edges_run_plainly_to_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    net, frame, ways = potential(), molecule(), []
    states = net.models[0].states
    monkeypatch.setattr(net.models[0], "states", lambda graph: ways.append(algebra.enabled()) or states(graph))
    found = []
    for few in (100, 0):
        monkeypatch.setattr(potential_module, "FEW_EDGES", few)
        found.append(answer(net, frame))
    a, b = found
    assert ways[-2:] == [False, True] and a.energy == pytest.approx(b.energy, rel=1e-12) and np.allclose(a.forces, b.forces, atol=1e-10)


def test_tables_of_distances_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32 a second call reads them; what it answers depends neither on that nor, beyond rounding, on knots at all."""
    made: list[float] = []
    check = radial.accurate
    monkeypatch.setattr(radial, "accurate", lambda values, step: made.append(step) or check(values, step))
    sizes = {"d": 16, "depth": 2, "gaussians": 30, "cutoff": 4.0}
    like = potential("schnet")
    torch.manual_seed(0)
    net = Potential([zoo.build("schnet", INPUTS, 1, sizes)], like.document)
    first, other = crystal(seed=2), crystal(seed=3)
    a, count = answer(net, first), len(made)
    assert count
    answer(net, other)
    again = answer(net, first)
    assert len(made) == count and np.array_equal(a.forces, again.forces) and a.energy == again.energy
    with algebra.use(False):
        plain = answer(net, first)
    assert np.abs(a.forces - plain.forces).max() < 2e-5 * np.abs(plain.forces).max()
    for p in net.models[0].parameters():
        p.mul_(1.5)
    changed = answer(net, first)
    assert len(made) > count
    with algebra.use(False):
        wanted = answer(net, first)
    assert np.abs(changed.forces - wanted.forces).max() < 2e-5 * np.abs(wanted.forces).max()
