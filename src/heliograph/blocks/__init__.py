"""Parts that architectures share: embeddings, updates, readouts. A part that one architecture alone uses stays in its zoo file."""

from heliograph.blocks.additive import AdditiveAttention, Attend, Heads, Transform, per_head
from heliograph.blocks.aggregate import LSTMAggregation, PowerMean, SoftAttention, SoftmaxMean, Sorted
from heliograph.blocks.attention import Attention
from heliograph.blocks.basic import MLP, Head, ShiftedSoftplus, on_rows
from heliograph.blocks.coordinates import ByLength, Lengths, centred, lengths
from heliograph.blocks.dropout import Dropout
from heliograph.blocks.embed import Elements, Embed, Vectors
from heliograph.blocks.gilmer import Mix, Towers, WithMaster
from heliograph.blocks.hypergraph import At, Received, Scales, Weighted, collect, spread
from heliograph.blocks.jumping import JumpingKnowledge, Largest, LSTMAttention, SideBySide
from heliograph.blocks.linear_attention import Performer, applied, summed
from heliograph.blocks.links import Dot, Hadamard, Ordered, Turned, Unordered
from heliograph.blocks.message import BothWays, apply_matrix
from heliograph.blocks.neighbour import Combine, Neighbour
from heliograph.blocks.norm import GraphNorm, OnStates, PairNorm
from heliograph.blocks.propagation import Propagate, normalised, propagated
from heliograph.blocks.properties import WithProperties
from heliograph.blocks.radial import Bessel, CosineCutoff, Gaussians, PolynomialCutoff
from heliograph.blocks.readout import AtomWise, Dipole, EdgeWise, Gated, NodeWise, PerType, Pool, Set2Set, SumMaxLSTM
from heliograph.blocks.scalers import Principal
from heliograph.blocks.update import GRU, AddNorm, Residual
from heliograph.blocks.vectors import DipoleVector, GatedVectors, Polarizability

__all__ = [
    "GRU",
    "MLP",
    "AddNorm",
    "AdditiveAttention",
    "At",
    "AtomWise",
    "Attend",
    "Attention",
    "Bessel",
    "BothWays",
    "ByLength",
    "Combine",
    "CosineCutoff",
    "Dipole",
    "DipoleVector",
    "Dot",
    "Dropout",
    "EdgeWise",
    "Elements",
    "Embed",
    "Gated",
    "GatedVectors",
    "Gaussians",
    "GraphNorm",
    "Hadamard",
    "Head",
    "Heads",
    "JumpingKnowledge",
    "LSTMAggregation",
    "LSTMAttention",
    "Largest",
    "Lengths",
    "Mix",
    "Neighbour",
    "NodeWise",
    "OnStates",
    "Ordered",
    "PairNorm",
    "PerType",
    "Performer",
    "Polarizability",
    "PolynomialCutoff",
    "Pool",
    "PowerMean",
    "Principal",
    "Propagate",
    "Received",
    "Residual",
    "Scales",
    "Set2Set",
    "ShiftedSoftplus",
    "SideBySide",
    "SoftAttention",
    "SoftmaxMean",
    "Sorted",
    "SumMaxLSTM",
    "Towers",
    "Transform",
    "Turned",
    "Unordered",
    "Vectors",
    "Weighted",
    "WithMaster",
    "WithProperties",
    "applied",
    "apply_matrix",
    "centred",
    "collect",
    "lengths",
    "normalised",
    "on_rows",
    "per_head",
    "propagated",
    "spread",
    "summed",
]
