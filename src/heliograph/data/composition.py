"""How many atoms of each element the molecules of a store have."""

from __future__ import annotations

import numpy as np

from heliograph.data.store import Store


def composition(store: Store) -> np.ndarray:
    """Atoms of each element in each molecule, [G, 119], with the hydrogens that are not nodes where the store's codes count them."""
    counts = np.array(store.composition, dtype=np.int64)
    for code in ("implicit_hydrogens", "hydrogens"):
        if store.featurizer.hydrogens == "implicit" and code in store.featurizer.atom_codes:
            column = store.columns["x_table"][:, store.featurizer.atom_codes.index(code)].astype(np.int64)
            per_atom = column[store.columns["x"]]  # [N]
            if code == "hydrogens":  # counts hydrogens that stayed nodes too
                per_atom = np.where(store.columns["z"] == 1, 0, per_atom)
            total = np.add.reduceat(np.append(per_atom, 0), store.node_offsets[:-1]) * (store.n_node > 0)
            counts[:, 1] += total if code == "implicit_hydrogens" else np.maximum(total - counts[:, 1], 0)
            break
    return counts
