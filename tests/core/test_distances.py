"""Coordinates from distances."""

from __future__ import annotations

import math

import torch

from heliograph.distances import drmsd, from_distances, right_handed


def helix(n: int = 20, sign: float = 1.0) -> torch.Tensor:
    """C-alpha atoms of an alpha helix: radius 2.3, rise 1.5, 100 degrees a residue; right-handed for sign 1."""
    t = torch.arange(n, dtype=torch.float64)
    angle = sign * t * math.radians(100)
    return torch.stack([2.3 * angle.cos(), 2.3 * angle.sin(), 1.5 * t], 1)


def test_distances_of_points_in_space_come_back() -> None:
    torch.manual_seed(0)
    x = torch.randn(12, 3, dtype=torch.float64)
    d = torch.cdist(x, x)
    found = from_distances(d)
    assert torch.allclose(torch.cdist(found, found), d, atol=1e-9) and torch.allclose(found.mean(0), torch.zeros(3, dtype=torch.float64))
    assert drmsd(found, x) < 1e-9 and drmsd(2 * x, x) > 0.5
    noisy = d + 0.01 * torch.randn(12, 12, dtype=torch.float64)
    assert drmsd(from_distances(0.5 * (noisy + noisy.T).fill_diagonal_(0)), x) < 0.05


def test_the_mirror_image_with_right_handed_helices_is_taken() -> None:
    right, left = helix(), helix(sign=-1.0)
    assert torch.equal(right_handed(right), right) and torch.equal(right_handed(left), -left)
    found = right_handed(from_distances(torch.cdist(left, left)))  # the same distances as those of `right`
    A, B = found - found.mean(0), right - right.mean(0)
    U, _, Vt = torch.linalg.svd(A.T @ B)  # the best map of one onto the other is a rotation, no reflection
    assert torch.linalg.det(U @ Vt) > 0 and torch.allclose(A @ (U @ Vt), B, atol=1e-8)
