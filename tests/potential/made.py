"""Potentials with random weights, and structures, for tests."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from heliograph import zoo
from heliograph.data.frames import Frame
from heliograph.data.sources.structures import Keys, Structures
from heliograph.errors import UsageError
from heliograph.learn.objectives.forces import check_potential
from heliograph.potential.potential import INPUTS, Answer, Potential
from heliograph.potential.references import References
from heliograph.predictor.modelfile import Document

SIZES: dict[str, Any] = {"d": 8, "depth": 2, "radial": 6, "gaussians": 10, "spherical": 4, "cutoff": 4.0, "neighbours": 8.0}


def sizes(arch: str) -> dict[str, Any]:
    """Arguments that make a network small."""
    known = inspect.signature(zoo.load(arch).build).parameters
    return {name: value for name, value in SIZES.items() if name in known}


def sums_over_atoms(arch: str) -> bool:
    """Whether an architecture makes potentials of crystals: it sees neighbours within a cutoff, and its readout is a sum over atoms."""
    module = zoo.load(arch)
    if module.GEOMETRY != "required" or "cutoff" not in sizes(arch):
        return False
    try:
        check_potential(zoo.build(arch, INPUTS, 1, sizes(arch)))
    except UsageError:
        return False
    return True


SMALL = {arch: sizes(arch) for arch in zoo.names() if sums_over_atoms(arch)}  # a new file in `zoo/` is tested by being there
ALL_PAIRS: dict[str, dict[str, Any]] = {
    "dtnn": {"d": 8, "steps": 2, "factors": 10},
    "gilmer": {"d": 8, "hidden": 10, "steps": 2, "gaussians": 12},
}
BESIDE = Path(__file__).parents[2].parent / "shared" / "data"


def real(name: str) -> Any:
    """The arrays of a file of real frames; skips the test, saying so, where it is absent."""
    path = Path(os.environ.get("HELIOGRAPH_DATA", BESIDE)) / "forces" / name
    if not path.is_file():
        pytest.skip(f"needs {path}: set HELIOGRAPH_DATA to the folder of real data")
    return np.load(path)


def potential(arch: str = "painn", elements: tuple[int, ...] = (1, 6, 8, 14), members: int = 1) -> Potential:
    """A potential in float64 with random weights; E0s, shifts and the scale are not trivial."""
    models = []
    for k in range(members):
        torch.manual_seed(k)
        model = zoo.build(arch, INPUTS, 1, (SMALL | ALL_PAIRS)[arch]).double()
        for p in model.parameters():
            p.data += 0.05 * torch.randn_like(p)
        if isinstance(model.readout.mlp, nn.Sequential):
            model.readout.mlp[-1].weight.data *= 10  # forces of the size of real ones
        models.append(model)
    E0, shift = np.full(119, np.nan), np.zeros(119)
    for z in elements:
        E0[z], shift[z] = -10.0 * z, -0.3 * z**0.5
    refs = References(E0, 1.7, "given", shift)
    document = Document(
        "structures", arch, zoo.resolved(zoo.load(arch), (SMALL | ALL_PAIRS)[arch]), {"nodes": 0, "edges": 0, "geometry": True}, {},
        {"references": refs.to_dict()},
    )  # fmt: skip
    return Potential(models, document)


def molecule(n: int = 6, seed: int = 0) -> Frame:
    """Atoms about 1.5 angstrom apart, without periods."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3), -1).reshape(-1, 3)[:n]
    return Frame(rng.choice([1, 6, 8], n).astype(np.uint8), 1.4 * grid + 0.15 * rng.normal(size=(n, 3)))


def crystal(n: int = 3, seed: int = 0, pbc: tuple[bool, bool, bool] = (True, True, True)) -> Frame:
    """A skewed cell that is smaller than the cutoff; left-handed for odd seeds; some atoms lie outside."""
    rng = np.random.default_rng(seed)
    cell = np.diag([3.1, 3.6, 3.3]) + 0.4 * rng.normal(size=(3, 3))
    if seed % 2:
        cell[2] *= -1
    places = np.array([[0.0, 0.0, 0.0], [0.5, 0.45, 0.1], [0.1, 0.5, 0.55], [0.55, 0.05, 0.5]])[:n]
    pos = (places + 0.03 * rng.normal(size=(n, 3)) + rng.integers(-2, 3, (n, 3))) @ cell
    return Frame(rng.choice([6, 8, 14], n).astype(np.uint8), pos, cell, pbc)


def answer(of: Potential, frame: Frame) -> Answer:
    found = of([frame])[0]
    assert not found.reason, found.reason
    return found


def listed(*frames: Frame, cutoff: float = 4.0) -> Structures:
    return Structures.collect(frames, Keys()).with_neighbours(cutoff)
