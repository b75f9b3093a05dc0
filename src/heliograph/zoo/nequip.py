"""NequIP: E(3)-equivariant graph neural network for potentials (Batzner et al. 2022, arXiv:2101.03164).

    h_i^0 = a vector per element                                  features h [N, (l + 1)^2, d] of degrees l <= L
    m_i   = 1 / sqrt(n) sum_j R(r_ij) (Y(r_ij) x U h_j)               eqs. 6 and 7: products coupled to degrees l <= L
    g_i   = W m_i + S_(z_i) h_i                                   self-interaction, a matrix per element
    h_i'  = silu(scalars of g_i),  silu(a gate of its own) * g_il for each channel of l > 0
    y     = sum_i w scalars of h_i

R are perceptrons of Bessel functions under a polynomial cutoff, eq. 8, once per pair; the sum is one multilinear form on a list of
couplings. The last step makes scalars alone. n is `neighbours`, in a training of a potential the mean of its frames. Departures: no
pseudotensors, so features have the parity of their degree; the output's two linear maps are one, without a bias of their own between.
Expressivity: above 1-WL on distances, since directions enter. Energies are invariant under rotation, reflection and translation; h turns
along.
"""

from __future__ import annotations

import torch
from torch import nn

from heliograph.blocks import AtomWise
from heliograph.blocks.tensors import Convolution, ElementLinear, ElementTable, Sphere, TensorLinear
from heliograph.graph import Graph, dense
from heliograph.model import MPNN, Inputs

FEATURIZER, GEOMETRY, BOUND, TENSORS = "elements", "required", "above 1-WL", ("tensor",)
WIDTHS = (64, 64)  # of the radial perceptrons


class Start(nn.Module):
    """h_i^0 from the element. The tensors are the node feature `tensor`, their scalars `h`."""

    def __init__(self, d: int):
        super().__init__()
        self.element = nn.Embedding(119, d)

    def forward(self, graph: Graph) -> Graph:
        h = self.element(dense(graph.nodes["z"]).long())  # [N, d]
        return graph.with_nodes(h=h, tensor=h[:, None])


class Step(nn.Module):
    """Convolution, self-interaction, gates: degrees `most` of h become `L`. Scalars come with a gate for each channel of l > 0."""

    def __init__(self, d: int, radial: int, most: int, L: int, sphere: int, neighbours: float):
        super().__init__()
        widths = [(1 + L) * d, *[d] * L]
        self.up, self.d = TensorLinear(d, d, most), d
        self.conv = Convolution(d, (radial, *WIDTHS), most, sphere, widths, neighbours**0.5)
        self.first = ElementTable(widths[0]) if most == 0 else None  # h_i^0 is a vector per element, so S_z h_i^0 is one, too
        self.skip = ElementLinear(d, widths[: most + 1]) if most else None

    def forward(self, graph: Graph) -> Graph:
        t, z, act = dense(graph.nodes["tensor"]), dense(graph.nodes["z"]), nn.functional.silu
        m = self.conv(self.up(t), graph)  # by degree: [N, 1, (1 + L) d], [N, 3, d], ...
        old = [self.first(z)[:, None]] if self.first is not None else self.skip(t, z) if self.skip is not None else []
        g = [a + old[k] if k < len(old) else a for k, a in enumerate(m)]
        scalars, *gates = act(g[0]).split(self.d, -1)
        new = torch.cat([scalars, *(gate * x for gate, x in zip(gates, g[1:], strict=True))], 1)
        return graph.with_nodes(tensor=new, h=scalars.squeeze(1))


def build(
    inputs: Inputs, out: int, d: int = 32, depth: int = 4, L: int = 2, radial: int = 8, cutoff: float = 5.0, neighbours: float = 15.0
) -> MPNN:
    """`depth` steps of `d` channels; h and Y of degrees up to `L`, `radial` Bessel functions, neighbours within `cutoff` angstrom, about
    `neighbours` of them."""
    steps = [Step(d, radial, L if k else 0, L if k < depth - 1 else 0, L, neighbours) for k in range(depth)]
    return MPNN(Start(d), steps, AtomWise(nn.Sequential(nn.Linear(d, out))), view=Sphere(radial, cutoff, L, p=6))
