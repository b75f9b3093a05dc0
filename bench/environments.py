"""What it saves to keep the states of environments met before, while a library streams through `predict`'s network.

    python bench/environments.py [--archs dmpnn gcn sage gin] [--rows 40960] [-o FILE.jsonl]

The first rows of the screening set, in chunks of 4,096 as `heliograph predict` takes them, through untrained networks of default size: with
nothing kept, and with `Environments` of 512 MB; chunks alternate, the network's part alone is timed (parsing and the store are
the same). A line a chunk: microseconds a molecule of both ways, their largest difference over the largest output, states kept.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from common import Lines, parser
from inputs import untrained
from predict_chemprop import SCREENING, smiles

from heliograph.allocator import keep_freed_memory
from heliograph.chem.pool import featurize_table
from heliograph.data.record import Record
from heliograph.data.store import Store
from heliograph.predictor.environments import Environments
from heliograph.predictor.predictor import Predictor
from heliograph.predictor.stream import CHUNK, KEPT_BYTES, batches, check


def answers(predictor: Predictor, store: Store, kept: Environments | None) -> tuple[np.ndarray, float]:
    """Predictions, and microseconds a molecule."""
    y, started = np.empty(len(store)), time.perf_counter()
    for rows in batches(np.asarray(store.n_node), 1024):
        y[rows] = predictor.predict_store(store, len(rows), rows, kept).y[:, 0]
    return y, (time.perf_counter() - started) / len(store) * 1e6


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--archs", nargs="+", default=["dmpnn", "gcn", "sage", "gin"])
    made.add_argument("--rows", type=int, default=40_960)
    options = made.parse_args()
    if not SCREENING.is_file():
        print(f"skipped: {SCREENING} is not there (set HELIOGRAPH_DATA)", file=sys.stderr)
        return
    keep_freed_memory()
    lines = Lines(options)
    records = [Record(str(k), text) for k, text in enumerate(smiles(options.rows))]
    for arch in options.archs:
        predictor, kept = untrained(arch), Environments(KEPT_BYTES)
        molecules = [m for _, m, _ in featurize_table(records, predictor.featurizer, 0, scaffold=False) if m is not None]
        answers(predictor, Store.build(molecules[:512], predictor.featurizer), None)  # kernels are compiled
        for start in range(0, len(molecules), CHUNK):
            store = Store.build(molecules[start : start + CHUNK], predictor.featurizer, kept.codes)
            plain, took = answers(predictor, store, None)
            if not kept.checked:
                check(kept, predictor, store)
            again, less = answers(predictor, store, kept)
            apart = float(np.abs(plain - again).max() / np.abs(plain).max())
            lines({"benchmark": f"environments, {arch}", "molecules_before": start, "plain_us": round(took), "kept_us": round(less),
                   "difference": apart, "states": sum(table.used for table in kept.tables.values())})  # fmt: skip


if __name__ == "__main__":
    main()
