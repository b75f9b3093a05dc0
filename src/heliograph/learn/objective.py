"""What a training minimises: a slot with three functions."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from heliograph.data.targets import Targets
from heliograph.graph import Graph
from heliograph.model import MPNN


class Objective(nn.Module):
    """From a network, a graph and targets to losses, in named terms. Abstract: `heliograph.learn.objectives` has final ones.

    The loss of a batch is sum_k weights[k] losses[k] / counts[k], where `counts` are those of the whole batch, on all devices.
    `gradients` says that `outputs` differentiates by inputs (forces), so that evaluation must record gradients too.
    """

    weights: Mapping[str, float] = {}  # term -> weight, 1 where a term is absent
    gradients: bool = False

    def outputs(self, model: MPNN, graph: Graph, targets: Targets) -> dict[str, Tensor]:
        """Return what the network answers, name -> [n, ...].

        It may run the network more than once, differentiate by inputs, and draw noise: torch's generator is seeded from (seed,
        member, step), in evaluation from (seed, member, number of the batch).
        """
        raise NotImplementedError

    def losses(self, outputs: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
        """Return each term as a sum over its labels, a scalar."""
        raise NotImplementedError

    def counts(self, targets: Targets) -> dict[str, float]:
        """Return the number of labels in each term."""
        raise NotImplementedError

    def weight(self, term: str, done: float = 1.0) -> float:
        """Return the weight of a term in the total when a share `done` of all steps is done; validation takes that of the end."""
        return float(self.weights.get(term, 1.0))
