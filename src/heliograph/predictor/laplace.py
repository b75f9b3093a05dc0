"""Last-layer Laplace: how sure a trained network is, from the posterior of its last linear layer's weights.

    y = W phi + b;   the variance of y_t is phi' A_t^-1 phi, phi ends with 1 for b

The features phi of a molecule are what reaches the answer when the last layer is replaced by the identity: for a network that adds up
its atoms' answers, the sum of its atoms' features. Prior and noise are those that make the training labels most likely
(`uncertainty.evidence`). Answers of numbers stay as they are, and their noise is left to calibration; a probability is averaged over the
posterior, sigmoid(y / sqrt(1 + pi / 8 variance)) (MacKay 1992, doi:10.1162/neco.1992.4.5.720).
After Daxberger et al. 2021, arXiv:2106.14806; Kristiadi et al. 2020, arXiv:2002.10118.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import final

import numpy as np
import torch
from torch import Tensor, nn

from heliograph.data.store import Store
from heliograph.errors import ModelFileError, UsageError
from heliograph.learn.task import Task
from heliograph.model import MPNN
from heliograph.uncertainty import evidence

MOST_NUMBERS = 2**25  # in the posteriors of one network
CLOSE = 1e-4  # of the sizes of what is added up: features times weights are the answers to that
NAME = "posterior"  # under which it is a part of its network


@final
class Posterior(nn.Module):
    """Covariances of the last layer's weights, of T targets: `basis` [B, D, D] (B = 1: one for all), `variance` [T, D]."""

    basis: Tensor
    variance: Tensor

    def __init__(self, targets: int, bases: int, d: int):
        super().__init__()
        self.register_buffer("basis", torch.zeros(bases, d, d))
        self.register_buffer("variance", torch.zeros(targets, d))

    def forward(self, phi: Tensor) -> Tensor:
        """Return the variances of the answers to molecules with features [G, D], [G, T]."""
        turned = (phi[:, None, None, :] @ self.basis)[:, :, 0].square() if len(self.basis) > 1 else (phi @ self.basis[0]).square()[:, None]
        return (turned * self.variance).sum(-1)  # [G, T, D] -> [G, T]


@final
class Wide(nn.Linear):
    """A linear layer that can hand on what it is given: W x + b, and behind it x and 1 while `also` is true."""

    def __init__(self, linear: nn.Linear):
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias, self.also = linear.weight, linear.bias, False

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return torch.cat([y, x, y.new_ones(*y.shape[:-1], 1)], -1) if self.also else y


def fit(model: MPNN, store: Store, rows: np.ndarray, y: np.ndarray, task: Task, batch_size: int = 256) -> None:
    """Give a network the posterior of its last layer, from training molecules `rows` [n] of a store with labels y [n, T] (NaN: none)
    on the network's scale.

    Raises UsageError where the last layer is not linear.
    """
    answers, phi = _features(model, store, rows, batch_size)
    weights, known, d = _weights(model), np.isfinite(y), phi.shape[1]
    shared = task.kind == "regression" and _shared(y)
    found = []
    for t, there in enumerate(known.T):
        if not there.any():
            found.append(evidence.Posterior(np.eye(d), np.zeros(d), 0.0))  # nothing was learned, and nothing is said
        elif task.kind == "regression":
            found.append(evidence.numbers(phi[there], y[there, t]))
        else:
            found.append(evidence.classes(phi[there], 1.0 / (1.0 + np.exp(-answers[there, t])), weights[t]))
    posterior = attach(model, len(found), 1 if shared else len(found), d)
    posterior.variance.copy_(torch.from_numpy(np.array([one.variance for one in found])))
    posterior.basis.copy_(torch.from_numpy(np.array([one.basis for one in (found[:1] if shared else found)])))


def possible(model: MPNN, store: Store, rows: np.ndarray, y: np.ndarray, required: bool) -> bool:
    """Whether a network's last layer can have a posterior, tried on a few molecules `rows` of a store; `y` [n, T] are their labels.

    Raises UsageError with the reason where it is `required` and can't: the layer is not linear, or there are too many targets with gaps.
    """
    try:
        _features(model, store, rows[:8], 8)
        d = last_layer(model).in_features + 1
        if (1 if _shared(y) else y.shape[1]) * d * d > MOST_NUMBERS:
            raise UsageError(f"--uncertainty-method laplace: {y.shape[1]} targets of {d} features each are too many; use another method")
    except UsageError:
        if required:
            raise
        return False
    return True


def _shared(y: np.ndarray) -> bool:
    """Whether every row has a label of all targets or of none."""
    known = np.isfinite(y)
    return bool((known == known[:, :1]).all())


def attach(model: MPNN, targets: int, bases: int, d: int) -> Posterior:
    """Make an empty posterior a part of the network, whose tensors a model file then holds."""
    posterior = Posterior(targets, bases, d).to(last_layer(model).weight.device)
    model.add_module(NAME, posterior)
    return posterior


def expect(model: MPNN, tensors: Mapping[str, Tensor], task: Task) -> None:
    """Make room for the posterior that a model file's `tensors` have. Raises ModelFileError where they are of another form."""
    basis, T, last = tensors.get(f"{NAME}.basis"), len(task.targets), last_layer(model)
    d = last.in_features + 1
    if task.kind == "multiclass" or basis is None or tuple(basis.shape) not in ((1, d, d), (T, d, d)):
        raise ModelFileError("the posterior of its last layer does not fit its network")
    attach(model, T, len(basis), d)


def last_layer(model: MPNN) -> nn.Linear:
    """Return the last linear layer of the readout. Raises UsageError where there is none."""
    found = [module for module in model.readout.modules() if isinstance(module, nn.Linear)]
    if not found:
        raise _refused(model)
    return found[-1]


def split(model: MPNN, y: Tensor) -> tuple[Tensor, Tensor]:
    """Divide the outputs of a `widened` network into answers [G, out] and features [G, D]."""
    out = last_layer(model).out_features
    return y[:, :out], y[:, out:]


def variance(model: MPNN, phi: Tensor) -> Tensor:
    """Return the variances of the answers to molecules with features [G, D], [G, T] (`Posterior`)."""
    posterior = model.get_submodule(NAME)
    assert isinstance(posterior, Posterior)
    found: Tensor = posterior(phi)
    return found


def moderated(logits: Tensor, variance: Tensor) -> Tensor:
    """Return logits [G, T] whose probabilities are those averaged over the posterior."""
    return logits / (1.0 + torch.pi / 8.0 * variance).sqrt()


@contextmanager
def widened(model: MPNN, wanted: bool = True) -> Iterator[None]:
    """While inside, the network's "y" has the features of its last layer behind its answers, [G, out + D]; nothing unless `wanted`."""
    if not wanted:
        yield
        return

    wide = _wide(model)
    wide.also = True
    try:
        yield
    finally:
        wide.also = False


def _wide(model: MPNN) -> Wide:
    """Return the last layer as one that can hand on its features, which takes its place in the network for good."""
    last = last_layer(model)
    if isinstance(last, Wide):
        return last
    wide = Wide(last)
    path = next(name for name, module in model.named_modules() if module is last)
    above, _, own = path.rpartition(".")
    setattr(model.get_submodule(above), own, wide)
    return wide


def _features(model: MPNN, store: Store, rows: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Answers [n, out] and features [n, D] of molecules, in float64."""
    parts = []
    model.eval()
    last = _wide(model)
    with widened(model):
        for start in range(0, len(rows), batch_size):
            graph = store.batch(rows[start : start + batch_size])  # outside: training may use what the store keeps
            with torch.inference_mode():
                y = model(graph)["y"]
            if y.ndim != 2 or y.shape[1] != last.out_features + last.in_features + 1:
                raise _refused(model)
            parts.append(y.double().cpu())
    answers, phi = (part.numpy() for part in split(model, torch.cat(parts)))
    w = _weights(model)
    if not (np.abs(phi @ w.T - answers) <= CLOSE * (np.abs(phi) @ np.abs(w.T)).max()).all():
        raise _refused(model)
    return answers, phi


def _weights(model: MPNN) -> np.ndarray:
    """Weights and bias of the last layer, [out, D]."""
    last = last_layer(model)
    return np.column_stack([_plain(last.weight), np.zeros(len(last.weight)) if last.bias is None else _plain(last.bias)])


def _plain(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()


def _refused(model: MPNN) -> UsageError:
    what = type(model.readout).__name__
    return UsageError(
        f"--uncertainty-method laplace needs a network whose last step is a linear layer, of molecules or added up over atoms; this one "
        f"ends in {what} otherwise. Use ensemble members, or --uncertainty-method mve."
    )
