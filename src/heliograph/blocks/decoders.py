"""Decoders of knowledge graphs: how likely is (head, relation, tail), for all tails at once.

A decoder turns head and relation into a query q; its score with a tail t is q . t, or gamma - |q - t| where `distance` is set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, final

import torch
from torch import Tensor, nn

from heliograph.errors import DataError
from heliograph.graph import Graph, dense

GAMMA = 9.0  # margin of distances (Sun et al. 2019 use 6 to 24)


class Decoder(Protocol):
    """(h [Q, d], r [Q, width]) -> q [Q, d]."""

    distance: bool

    def width(self, d: int) -> int:
        """Width of a relation's vector for states of width `d`. Raises DataError where d does not fit."""

    def __call__(self, h: Tensor, r: Tensor) -> Tensor:
        """The query of each pair of head and relation."""


@final
class DistMult(nn.Module):
    """q = h * r (Yang et al. 2015, arXiv:1412.6575, eq. 2 with a diagonal matrix): the same for (h, r, t) and (t, r, h)."""

    distance = False

    def width(self, d: int) -> int:
        return d

    def forward(self, h: Tensor, r: Tensor) -> Tensor:
        return h * r


@final
class ComplEx(nn.Module):
    """Re(<h, r, conj t>) (Trouillon et al. 2016, arXiv:1606.06357, eqs. 9 to 11).

    The first half of a vector is the real part, the second the imaginary one.
    """

    distance = False

    def width(self, d: int) -> int:
        return _even(d, "complex")

    def forward(self, h: Tensor, r: Tensor) -> Tensor:
        (a, b), (x, y) = h.chunk(2, -1), r.chunk(2, -1)
        return torch.cat([a * x - b * y, a * y + b * x], -1)  # h r as complex numbers; its product with conj t is real part q . t


@final
class TransE(nn.Module):
    """gamma - |h + r - t| (Bordes et al. 2013, eq. 1), the Euclidean norm."""

    distance = True

    def width(self, d: int) -> int:
        return d

    def forward(self, h: Tensor, r: Tensor) -> Tensor:
        return h + r


@final
class RotatE(nn.Module):
    """gamma - |h r - t| for complex h, t and r = exp(i phase) (Sun et al. 2019, arXiv:1902.10197, eq. 3), the Euclidean norm."""

    distance = True

    def width(self, d: int) -> int:
        return _even(d, "rotate") // 2

    def forward(self, h: Tensor, r: Tensor) -> Tensor:
        (a, b), x, y = h.chunk(2, -1), torch.cos(r), torch.sin(r)
        return torch.cat([a * x - b * y, a * y + b * x], -1)


@final
class ConvE(nn.Module):
    """q = relu(vec(relu(w * [h; r])) W) (Dettmers et al. 2018, arXiv:1707.01476, eq. 1): a convolution over h and r as pictures, one above
    the other; with batch norms and dropout where the authors have them. Departure: no bias of each entity.
    """

    distance = False

    def __init__(self, d: int, filters: int = 32):
        super().__init__()
        self.rows = max(k for k in range(1, int(d**0.5) + 1) if d % k == 0)
        self.columns = d // self.rows
        if self.rows < 2 or self.columns < 3:
            raise DataError(f"the decoder conve takes states as pictures of at least 2 x 3: their width can't be {d}; 64 or 200 can")
        size = filters * (2 * self.rows - 2) * (self.columns - 2)
        self.before, self.between, self.after = nn.BatchNorm2d(1), nn.BatchNorm2d(filters), nn.BatchNorm1d(d)
        self.w, self.W = nn.Conv2d(1, filters, 3), nn.Linear(size, d)
        self.drop_map, self.drop = nn.Dropout2d(0.2), nn.Dropout(0.3)

    def width(self, d: int) -> int:
        return d

    def forward(self, h: Tensor, r: Tensor) -> Tensor:
        picture = torch.cat([x.view(-1, 1, self.rows, self.columns) for x in (h, r)], 2)  # [Q, 1, 2 rows, columns]
        maps = self.drop_map(self.between(self.w(self.before(picture))).relu())
        return torch.relu(self.after(self.drop(self.W(maps.flatten(1)))))  # [Q, d]


def _even(d: int, name: str) -> int:
    if d % 2:
        raise DataError(f"the decoder {name} takes states as complex numbers: their width must be even, it is {d}")
    return d


DECODERS: dict[str, type[nn.Module]] = {"distmult": DistMult, "complex": ComplEx, "transe": TransE, "rotate": RotatE, "conve": ConvE}


def decoder(name: str, d: int) -> nn.Module:
    """Make the decoder of this name for states of width `d`. Raises DataError where d does not fit."""
    return ConvE(d) if name == "conve" else DECODERS[name]()


@final
class Tails(nn.Module):
    """y [Q, N]: the score of each node as the tail of the triples [Q, 3] that are asked (head, relation, any tail).

    `relations` counts inverse ones too. A network that makes vectors of relations leaves them in `globals["relations"]`
    [1, relations, d], of which a linear map is taken (the last W_rel of CompGCN, eq. 4); else they are learned here.
    `kinds` [relations]: the type of the tails of each relation, where nodes have one (`kind`); nodes of others score -inf.
    "cubes" [Q] are sum |h|^3 + |r|^3 + |t|^3 of each triple, for the nuclear 3-norm (Lacroix et al. 2018, arXiv:1806.07297,
    eq. 6).
    """

    level = "pair"

    def __init__(
        self, decoder: nn.Module, relations: int, d: int, dropout: float = 0.0, made: bool = False, of: str = "h",
        kinds: Sequence[int] = (),
    ):  # fmt: skip
        super().__init__()
        self.kinds: Tensor | None
        self.register_buffer("kinds", torch.tensor(kinds, dtype=torch.long) if kinds else None, persistent=False)
        width = int(decoder.width(d))  # type: ignore[operator]  # of the protocol
        self.decoder, self.dropout, self.of = decoder, nn.Dropout(dropout), of
        self.W_rel = nn.Linear(d, d, bias=False) if made and width == d else None
        self.table = None if self.W_rel is not None else nn.Parameter(torch.randn(relations, width) * width**-0.5)
        if isinstance(decoder, RotatE):
            nn.init.uniform_(self.table, -torch.pi, torch.pi)  # type: ignore[arg-type]

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        asked = graph.asked
        if asked is None or asked.shape[1:] != (3,):
            raise DataError(f"this readout answers for triples [Q, 3]; asked is {None if asked is None else list(asked.shape)}")
        states = dense(graph.nodes[self.of])  # [N, d]
        table: Any = self.table if self.W_rel is None else self.W_rel(dense(graph.globals["relations"])[0])
        h, r = states.index_select(0, asked[:, 0]), table.index_select(0, asked[:, 1])
        q = self.decoder(self.dropout(h), self.dropout(r))
        y = GAMMA - torch.cdist(q, states) if self.decoder.distance else q @ states.T  # [Q, N]
        if self.kinds is not None:
            y = y.masked_fill(dense(graph.nodes["kind"]) != self.kinds[asked[:, 1]][:, None], -torch.inf)
        t = states.index_select(0, asked[:, 2])
        return {"y": y, "cubes": cubes(self.decoder, h) + cubes(self.decoder, r) + cubes(self.decoder, t)}


def cubes(decoder: nn.Module, x: Tensor) -> Tensor:
    """sum |x|^3 of each row, of complex numbers where the decoder takes them as such."""
    if isinstance(decoder, ComplEx):
        a, b = x.chunk(2, -1)
        return (a * a + b * b + 1e-12).pow(1.5).sum(-1)
    return x.abs().pow(3).sum(-1)


@final
class Items(nn.Module):
    """The product of states: y [Q] of pairs that are asked, or y [Q, n] of nodes with all nodes from `first_side` on.

    "squares": half the squared length of the first states `x` of a pair's ends, which the loss may keep short.
    """

    level = "pair"

    def __init__(self, first_side: int, of: str = "h"):
        super().__init__()
        self.first_side, self.of = first_side, of

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        h, asked = dense(graph.nodes[self.of]), graph.asked
        if asked is None or asked.dim() == 1:
            users = h if asked is None else h.index_select(0, asked)
            return {"y": users @ h[self.first_side :].T}
        x = dense(graph.nodes["x"])
        u, v = (h.index_select(0, asked[:, k]) for k in (0, 1))
        squares = 0.5 * sum(x.index_select(0, asked[:, k]).square().sum(-1) for k in (0, 1))
        return {"y": (u * v).sum(-1), "squares": squares}  # type: ignore[dict-item]
