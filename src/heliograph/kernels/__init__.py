"""Reductions and gathers. `reference` is plain PyTorch and runs everywhere; faster sets have the same functions and names."""

from heliograph.kernels.reference import gather, outer_sum, segment_max, segment_sum

__all__ = ["gather", "outer_sum", "segment_max", "segment_sum"]
