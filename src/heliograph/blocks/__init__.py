"""Parts that architectures share: embeddings, updates, readouts. A part that one architecture alone uses stays in its zoo file."""

from heliograph.blocks.attention import Attention
from heliograph.blocks.basic import MLP, Head, ShiftedSoftplus, on_rows
from heliograph.blocks.embed import Elements, Embed
from heliograph.blocks.gilmer import Mix, Towers, WithMaster
from heliograph.blocks.message import apply_matrix
from heliograph.blocks.radial import CosineCutoff, Gaussians
from heliograph.blocks.readout import AtomWise, Gated, Pool, Set2Set
from heliograph.blocks.update import GRU, AddNorm, Residual

__all__ = [
    "GRU",
    "MLP",
    "AddNorm",
    "AtomWise",
    "Attention",
    "CosineCutoff",
    "Elements",
    "Embed",
    "Gated",
    "Gaussians",
    "Head",
    "Mix",
    "Pool",
    "Residual",
    "Set2Set",
    "ShiftedSoftplus",
    "Towers",
    "WithMaster",
    "apply_matrix",
    "on_rows",
]
