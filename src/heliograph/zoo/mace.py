"""MACE: higher order equivariant message passing (Batatia et al. 2022, arXiv:2206.07697).

    h_i^0 = a vector per element                                     features h [N, (l + 1)^2, d] of degrees l <= L
    A_i   = W / n sum_j R(r_ij) (Y(r_ij) x U h_j)                        eqs. 8 and 9: coupled to degrees l <= 3
    B_i   = sum_nu sum_k w_(z_i, nu, k) P_(nu, k)(A_i)                    eqs. 10 and 11: products of up to `correlation` A
    h_i'  = V B_i + S_(z_i) h_i                                       eq. 11, with the residual of eq. 12
    y     = sum_i sum_t readout_t(scalars of h_i^t)                    eq. 13: linear, a perceptron for the last

R are perceptrons of Bessel functions under a polynomial cutoff, once per pair; the sum is one multilinear form on a list of couplings.
P are a basis of the symmetric polynomials that turn as they must, so no weight is counted twice (the authors' code has 23 for
three A and a scalar where 8 differ; both span the same functions); of their monomials only those that occur are computed. The last step
makes scalars alone. n is `neighbours`, in a training of a potential the mean of its frames. No pseudotensors, as in the authors' models.
Expressivity: above 1-WL on distances; a step sees up to `correlation` neighbours of an atom at once, with their angles and torsions.
Energies are invariant under rotation, reflection and translation; h turns along.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from heliograph.blocks import AtomWise
from heliograph.blocks.tensors import Contraction, Convolution, ElementLinear, ElementTable, Sphere, TensorLinear
from heliograph.graph import Graph, dense
from heliograph.model import MPNN, Inputs

FEATURIZER, GEOMETRY, BOUND, TENSORS = "elements", "required", "above 1-WL", ("tensor",)
SPHERE, RADIAL, WIDTHS = 3, 8, (64, 64, 64)  # degrees of Y and A, Bessel functions, the radial perceptrons


class Start(nn.Module):
    """h_i^0 from the element; no answer yet. The tensors are the node feature `tensor`, their scalars `h`."""

    def __init__(self, d: int, out: int):
        super().__init__()
        self.element, self.out = nn.Embedding(119, d), out

    def forward(self, graph: Graph) -> Graph:
        h = self.element(dense(graph.nodes["z"]).long())  # [N, d]
        return graph.with_nodes(h=h, tensor=h[:, None], answer=h.new_zeros(graph.N, self.out))


class Step(nn.Module):
    """A_i, B_i, the new h_i, and what they add to the answer. Degrees `most` of h become `L`."""

    def __init__(self, d: int, most: int, L: int, correlation: int, neighbours: float, first: bool, readout: nn.Module):
        super().__init__()
        self.up, self.down = TensorLinear(d, d, most), TensorLinear(d, d, L)
        self.conv = Convolution(d, (RADIAL, *WIDTHS), most, SPHERE, [d] * (SPHERE + 1), neighbours)
        self.product, self.readout = Contraction(d, SPHERE, L, correlation), readout
        self.skip = ElementTable(d) if first else ElementLinear(d, [d] * (L + 1))

    def _old(self, t: Tensor, z: Tensor) -> Tensor:
        """S_z h_i; h_i^0 is a vector per element, so S_z h_i^0 is one, too."""
        return self.skip(z)[:, None] if isinstance(self.skip, ElementTable) else torch.cat(self.skip(t, z), 1)

    def forward(self, graph: Graph) -> Graph:
        t, z = dense(graph.nodes["tensor"]), dense(graph.nodes["z"])
        A = torch.cat(self.conv(self.up(t), graph), 1)  # [N, 16, d]
        new, old = self.down(self.product(A, z)), self._old(t, z)  # [N, (L + 1)^2, d]
        new = new + nn.functional.pad(old, (0, 0, 0, new.shape[1] - old.shape[1]))
        h = new.unbind(1)[0]
        return graph.with_nodes(tensor=new, h=h, answer=dense(graph.nodes["answer"]) + self.readout(h))


class Last(nn.Module):
    """W silu(W h), without biases."""

    def __init__(self, d: int, out: int):
        super().__init__()
        self.W, self.V = nn.Linear(d, 16, bias=False), nn.Linear(16, out, bias=False)

    def forward(self, h: Tensor) -> Tensor:
        return self.V(nn.functional.silu(self.W(h)))


def build(
    inputs: Inputs, out: int, d: int = 64, depth: int = 2, L: int = 1, correlation: int = 3, cutoff: float = 5.0, neighbours: float = 15.0
) -> MPNN:
    """`depth` steps of `d` channels; h of degrees up to `L` <= 2, products of up to `correlation` <= 3 A, neighbours within `cutoff`
    angstrom, about `neighbours` of them."""
    steps = []
    for k in range(depth):
        last = k == depth - 1
        readout = Last(d, out) if last else nn.Linear(d, out, bias=False)
        steps.append(Step(d, L if k else 0, 0 if last else L, correlation, neighbours, not k, readout))
    return MPNN(Start(d, out), steps, AtomWise(nn.Identity(), of="answer"), view=Sphere(RADIAL, cutoff, SPHERE))
