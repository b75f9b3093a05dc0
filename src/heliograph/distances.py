"""Points from distances: coordinates, which of two mirror images of a protein's chain, and how far two sets of distances are apart."""

from __future__ import annotations

import torch
from torch import Tensor


def from_distances(d: Tensor) -> Tensor:
    """Return coordinates [N, 3] for distances d [N, N] by classical scaling (Torgerson 1952, doi:10.1007/BF02288916).

    They are the eigenvectors of -1/2 J d^2 J, J = 1 - 1/N, with its three largest eigenvalues. Distances of points in space come back
    exactly; others are projected. Centred at the origin, in any rotation, and it is chance which of two mirror images comes.
    """
    square = d.square()
    gram = -0.5 * (square - square.mean(0) - square.mean(1)[:, None] + square.mean())
    values, vectors = torch.linalg.eigh(0.5 * (gram + gram.T))
    return vectors[:, -3:].flip(1) * values[-3:].flip(0).clamp(min=0).sqrt()


def right_handed(x: Tensor, turn: float = 6.5) -> Tensor:
    """Return a chain of residues x [N, 3] (angstrom) or its mirror image: the one with right-handed helices, as L-amino acids make them.

    Distances do not tell mirror images apart. A turn is where residues i and i + 3 are nearer than `turn`; the triple products of its
    three steps must add up to more than zero. A chain without turns comes back as it is.
    """
    step = x[1:] - x[:-1]
    volume = (torch.linalg.cross(step[:-2], step[1:-1]) * step[2:]).sum(-1)  # [N - 3]
    helical = torch.linalg.norm(x[3:] - x[:-3], dim=-1) < turn
    return -x if volume[helical].sum() < 0 else x


def drmsd(x: Tensor, y: Tensor) -> Tensor:
    """Return the root mean square difference of all distances within x and within y, both [N, 3]; blind to mirror images."""
    return (torch.pdist(x) - torch.pdist(y)).square().mean().sqrt()
