"""Reasons one can check: which atoms a prediction rests on, and how far the attribution agrees with
the network itself.

    explained = explain(predictor, ["CCO", "c1ccccc1O"], method="occlusion")
    explained[0].atoms, explained[0].fidelity
"""

from __future__ import annotations

from heliograph.explain.explain import (
    METHODS,
    ExplainConfig,
    Explained,
    explain,
    explain_file,
    explain_molecule,
)

__all__ = ["METHODS", "ExplainConfig", "Explained", "explain", "explain_file", "explain_molecule"]
