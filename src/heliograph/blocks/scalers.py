"""Several aggregations side by side, scaled by degree."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from heliograph import segment
from heliograph.topology import Segments


@final
class Principal(nn.Module):
    """[1, s, 1 / s] (x) [mean, max, min, std]_j m_j, s = log(d + 1) / delta, [M, C] -> [n, 12 C] (Corso et al. 2020, arXiv:2004.05718).

    d is a segment's number of rows; `delta` the mean of log(d + 1) over the training data. An empty segment gives zeros.
    """

    def __init__(self, delta: float):
        super().__init__()
        self.delta = delta

    def forward(self, x: Tensor, segments: Segments) -> Tensor:
        m = torch.cat([f(x, segments) for f in (segment.mean, segment.max, segment.min, segment.std)], -1)  # [n, 4 C]
        s = (segments.count.clamp(min=1) + 1).to(m.dtype).log()[:, None] / self.delta  # [n, 1]
        return torch.cat([m, m * s, m / s], -1)
