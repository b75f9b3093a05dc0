"""Activations that PyTorch lacks, or has slowly: on plain tensors through the kernels, on lazy edge tensors as any other."""

from __future__ import annotations

from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from heliograph import kernels


def shifted_softplus(x: Tensor) -> Tensor:
    """ln(exp(x) / 2 + 1 / 2), zero at zero (Schuett et al. 2018, doi:10.1063/1.5019779, sec. II B)."""
    if has_torch_function_unary(x):
        result: Tensor = handle_torch_function(shifted_softplus, (x,), x)
        return result
    return kernels.shifted_softplus(x)
