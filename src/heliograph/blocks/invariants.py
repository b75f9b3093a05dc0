"""Local invariants of vectors, whose derivatives are finite where the shape degenerates, and how they answer to strain.

All take vectors [..., 3]. Where a derivative has no limit (a length of zero, an angle of collinear vectors, a torsion around a straight
line) it is zero, as in `geometry.lengths`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def length(r: Tensor) -> Tensor:
    """|r|, [...]."""
    square = r.square().sum(-1)
    return torch.where(square > 0, square, 1).sqrt().where(square > 0, square)


def direction(r: Tensor) -> Tensor:
    """r / |r|, [..., 3]; zero for a vector of length zero."""
    size = length(r)[..., None]
    return r / torch.where(size > 0, size, 1)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of the angle between a and b, [...]."""
    return (direction(a) * direction(b)).sum(-1)


def angle(a: Tensor, b: Tensor) -> Tensor:
    """Angle between a and b in [0, pi], [...]."""
    return _arctan(length(torch.linalg.cross(a, b)), (a * b).sum(-1))


def area(a: Tensor, b: Tensor) -> Tensor:
    """Area of the triangle with sides a and b, [...]."""
    return 0.5 * length(torch.linalg.cross(a, b))


def volume(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Signed volume of the parallelepiped with sides a, b, c, [...]: it changes sign in a mirror."""
    return (a * torch.linalg.cross(b, c)).sum(-1)


def torsion(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Angle in (-pi, pi] by which c is turned against a around b, of a chain with these bonds, [...]: it changes sign in a mirror."""
    return _arctan(length(b) * volume(a, b, c), (torch.linalg.cross(a, b) * torch.linalg.cross(b, c)).sum(-1))


def _arctan(y: Tensor, x: Tensor) -> Tensor:
    """atan2, with a derivative of zero at the origin."""
    there = (y != 0) | (x != 0)
    return torch.atan2(torch.where(there, y, 0), torch.where(there, x, 1))


def stretch(u: Tensor) -> Tensor:
    """d log |r| / d strain = u (x) u of directions u, [..., 3, 3]."""
    return u[..., :, None] * u[..., None, :]


def bend(u: Tensor, v: Tensor) -> Tensor:
    """d cos(u, v) / d strain of directions u and v, [..., 3, 3], symmetric: u (x) v + v (x) u - cos (u (x) u + v (x) v)."""
    outer = u[..., :, None] * v[..., None, :]
    return outer + outer.transpose(-1, -2) - (u * v).sum(-1)[..., None, None] * (stretch(u) + stretch(v))


def spread(u: Tensor, v: Tensor) -> Tensor:
    """sin(u, v)^2 d log area / d strain of the triangle along directions u and v, [..., 3, 3], symmetric; zero where they are collinear."""
    outer = u[..., :, None] * v[..., None, :]
    return stretch(u) + stretch(v) - (u * v).sum(-1)[..., None, None] * (outer + outer.transpose(-1, -2))
