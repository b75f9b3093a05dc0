"""Parts that architectures share: embeddings, updates, readouts. A part that one architecture alone uses stays in its zoo file."""

from heliograph.blocks.additive import AdditiveAttention, Attend, Heads, Transform, per_head
from heliograph.blocks.basic import MLP, Head, ShiftedSoftplus, on_rows
from heliograph.blocks.embed import Elements, Embed
from heliograph.blocks.jumping import JumpingKnowledge, Largest, LSTMAttention, SideBySide
from heliograph.blocks.message import apply_matrix
from heliograph.blocks.neighbour import Combine, Neighbour
from heliograph.blocks.propagation import Propagate, normalised, propagated
from heliograph.blocks.radial import CosineCutoff, Gaussians
from heliograph.blocks.readout import Pool, Set2Set
from heliograph.blocks.scalers import Principal
from heliograph.blocks.update import GRU

__all__ = [
    "GRU",
    "MLP",
    "AdditiveAttention",
    "Attend",
    "Combine",
    "CosineCutoff",
    "Elements",
    "Embed",
    "Gaussians",
    "Head",
    "Heads",
    "JumpingKnowledge",
    "LSTMAttention",
    "Largest",
    "Neighbour",
    "Pool",
    "Principal",
    "Propagate",
    "Set2Set",
    "ShiftedSoftplus",
    "SideBySide",
    "Transform",
    "apply_matrix",
    "normalised",
    "on_rows",
    "per_head",
    "propagated",
]
