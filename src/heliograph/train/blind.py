"""What a network cannot see: rows of one table that become the same input to it, though their labels differ.

Stereochemistry or isotopes that its features leave out, bonds that it does not read, numbers of neighbours under a mean, charge and
spin beside a geometry: rather than reason about each, the network is asked. With weights drawn at random in float64, two molecules
that get one answer look the same to it.
"""

from __future__ import annotations

import copy
import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from heliograph.data.store import Store
from heliograph.train.targets import Labels

MOST = 20_000  # molecules that are looked at
_BATCH = 256
_SAME = 1e-11  # of the largest answer


def sentences(arch: str, network: nn.Module, store: Store, labels: Labels, rows: np.ndarray) -> list[str]:
    """How many of these `rows` look alike to the network and have unlike labels, and in what they differ; [] for none.

    `network`: built, untrained. Equal structures are counted elsewhere (`heliograph.train.copies`), unless they have coordinates.
    """
    rows = np.asarray(rows)[:MOST]
    if len(rows) < 2:
        return []
    y = _answers(network, store, rows)
    order = np.lexsort(y.T)
    near = (np.abs(np.diff(y[order], axis=0)) <= _SAME * np.abs(y).max(0)).all(1)
    groups = [group for group in np.split(rows[order], np.flatnonzero(~near) + 1) if len(group) > 1]
    notes: list[str] = []
    for t, name in enumerate(labels.task.targets):
        unlike = [group for group in groups if _unlike(labels.known[group, t])]
        found = [group for group in unlike if store.has_geometry or _structures(store, group) > 1]
        if not found or len(notes) == 5:
            continue
        count = sum(map(len, found))
        spread = ""
        if labels.task.kind == "regression":
            within = [np.square(v - v.mean()).sum() for group in found if len(v := _there(labels.known[group, t])) > 1]
            free = sum(len(_there(labels.known[group, t])) - 1 for group in found)
            spread = f" (spread {np.sqrt(sum(within) / free):.3g})"
        notes.append(
            f"{count:,} of {len(rows):,} molecules look like another one to {arch} and have unlike labels of {name!r}{spread}: "
            f"{_causes(store, found)}. It will answer the same for them."
        )
    return notes


def _there(y: np.ndarray) -> np.ndarray:
    return np.asarray(y[np.isfinite(y)])


def _unlike(y: np.ndarray) -> bool:
    return len(_there(y)) > 1 and bool(np.ptp(_there(y)) > 0)


def _structures(store: Store, rows: np.ndarray) -> int:
    return len({store.smiles[k] for k in rows})


@torch.no_grad()
def _answers(network: nn.Module, store: Store, rows: np.ndarray) -> np.ndarray:
    """[n, out] of a copy in float64 whose weights are normal, of variance 1 / fan-in; biases and what norms multiply by stay."""
    copied, generator = copy.deepcopy(network).double().eval(), torch.Generator().manual_seed(0)
    for p in copied.parameters():
        if p.dim() > 1 and p.numel():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=p.dtype) / p[0].numel() ** 0.5)
    found = []
    for start in range(0, len(rows), _BATCH):
        graph = store.batch(rows[start : start + _BATCH]).to(dtype=torch.float64)
        found.append(copied(graph)["y"].reshape(len(rows[start : start + _BATCH]), -1).numpy())
    return np.concatenate(found)


def _causes(store: Store, groups: Sequence[np.ndarray]) -> str:
    """In what the molecules of a group differ, counted over groups, in words."""
    counts: dict[str, int] = defaultdict(int)
    for group in groups[:500]:
        texts = sorted({store.smiles[k] for k in group})
        if len(texts) == 1:
            counts["nothing but what is beside the geometry (charge, spin)"] += 1
        else:
            counts[_difference(texts[0], texts[1])] += 1
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{count} group{'s differ' if count > 1 else ' differs'} in {what}" for what, count in ordered)


def _difference(a: str, b: str) -> str:
    """In what two canonical SMILES differ, as far as their letters show it: training from a prepared store needs no RDKit."""
    for what, mark in (("stereochemistry", r"[@/\\]"), ("isotopes", r"(?<=\[)\d+")):
        a, b = (re.sub(r"\[(B|C|N|O|P|S|F|Cl|Br|I)H?\d?\]", r"\1", re.sub(mark, "", text)) for text in (a, b))
        if a == b:
            return what
    return "something else that its features leave out"
