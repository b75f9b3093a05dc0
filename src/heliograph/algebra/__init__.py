"""The edge algebra: tensors of edges, and of nodes, that are not computed until something needs them.

`tensor` has the lazy tensor, `rules` says which of PyTorch's functions it knows, `expression`, `product`, `matvec`,
`radial`, `aggregated` and `batchnorm` have the identities, `colour` says which rows must be equal. This is their door.
"""

from heliograph.algebra import rules as _rules  # noqa: F401  # what lazy tensors know
from heliograph.algebra.features import aggregated, held, of_distance, seen, summable, updated
from heliograph.algebra.radial import Tables, keep
from heliograph.algebra.switch import enabled, use
from heliograph.algebra.tensor import EdgeTensor

__all__ = ["EdgeTensor", "Tables", "aggregated", "enabled", "held", "keep", "of_distance", "seen", "summable", "updated", "use"]
