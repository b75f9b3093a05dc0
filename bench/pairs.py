"""Does `expand` propose what chemists made? Known matched pairs of lipophilicity, the partner left out of the table that is mined.

    python bench/pairs.py [--pairs 50] [-o FILE.jsonl]

Pairs are drawn with a seed out of all that differ in one substituent. Every molecule is cut once; for each pair, what the partner alone has
shown is taken off the counts, and `expand`'s own functions are asked for 1,000 analogues of the other molecule: by changes that other pairs
have shown (`pairs`), by BRICS pieces (`brics`), and where both fail by any substituent of another molecule (`substituents`). `first`: the
partner is among the first 100. A change that no other pair shows can't be proposed by `pairs`; `bound` is the share where one does.
"""

from __future__ import annotations

import csv
import gzip
import time
from collections import Counter, defaultdict
from typing import Any

import numpy as np
from common import DATA, Lines, parser

from heliograph.chem import matched
from heliograph.chem.parse import canonical
from heliograph.errors import StructureError

MOST = 1000  # analogues of each way that are looked at


def main() -> None:
    """Draw pairs, leave a partner out, look for it."""
    made = parser(__doc__)
    made.add_argument("--pairs", type=int, default=50)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--target", default="exp")
    options = made.parse_args()
    say, started = Lines(options), time.process_time()
    with gzip.open(DATA / "moleculenet" / "lipophilicity.csv.gz", "rt") as file:
        rows = {canonical(row["smiles"]): float(row[options.target]) for row in csv.DictReader(file)}
    smiles = list(rows)
    table = matched.Table(smiles, np.array(list(rows.values())))
    shown: dict[str, list[tuple[int, int]]] = defaultdict(list)
    changes: dict[tuple[int, int], set[str]] = defaultdict(set)
    for a, b, change in table.pairs():
        shown[change].append((a, b))
        changes[a, b].add(change)
    known = sorted(pair for pair in changes if pair[0] < pair[1])
    drawn = [known[k] for k in np.random.default_rng(options.seed).choice(len(known), options.pairs, replace=False)]
    say({"what": "matched pairs", "pairs_in_table": len(known), "changes": len(shown), "cpu_seconds": round(time.process_time() - started)})
    everything, pieces, substituents = table.changes(), matched.brics_pieces(smiles), table.substituents
    found, first, total, invalid, bound = Counter[str](), Counter[str](), 0, 0, 0
    for a, b in drawn:
        bound += any(any(b not in pair for pair in shown[change]) for change in changes[a, b])
        ways: dict[str, Any] = {
            "pairs": matched.changed(smiles[a], without(table, everything, shown, smiles[a], b), MOST),
            "brics": matched.recombined(smiles[a], less(pieces, matched.brics_pieces([smiles[b]])), MOST),
        }
        if not any(smiles[b] in {one.smiles for one in some} for some in ways.values()):
            rest = {text: n for text, n in substituents.items() if n > 1 or text not in {part for _, part in matched.cuts(smiles[b])}}
            ways["substituents"] = matched.substituted(smiles[a], rest, MOST)
        for way, some in ways.items():
            texts = [one.smiles for one in some]
            found[way] += smiles[b] in texts
            first[way] += smiles[b] in texts[:100]
            total += len(texts)
            invalid += sum(not valid(text) for text in texts[:: max(1, len(texts) // 100)])
        anywhere = any(smiles[b] == one.smiles for some in ways.values() for one in some)
        found["any"] += anywhere
        first["any"] += any(smiles[b] == one.smiles for some in ways.values() for one in some[:100])
    n = options.pairs
    say({"what": "partner proposed", "pairs": n, "seed": options.seed, "bound": bound / n, "share": {k: v / n for k, v in found.items()},
         "share_in_first_100": {k: v / n for k, v in first.items()}, "analogues": total, "invalid_of_100_each": invalid,
         "cpu_seconds": round(time.process_time() - started)})  # fmt: skip


def without(table: matched.Table, every: Any, shown: Any, smiles: str, row: int) -> dict[str, list[matched.Change]]:
    """The changes that begin from a substituent of this molecule, as if the row were not in the table."""
    assert table.y is not None
    starts = {part for _, part in matched.cuts(smiles)} | {matched.HYDROGEN}
    found: dict[str, list[matched.Change]] = {}
    for start in starts:
        some = []
        for change in every.get(start, ()):
            pairs = [pair for pair in shown[change.text] if row not in pair]
            if len(pairs) == change.count:
                some.append(change)
            elif pairs:
                by = np.array([table.y[b] - table.y[a] for a, b in pairs])
                some.append(matched.Change(start, change.after, len(pairs), float(by.mean()), float(by.std())))
        found[start] = sorted(some, key=lambda c: (-c.count, c.after))
    return found


def less(pieces: Any, own: Any) -> dict[Any, Counter[str]]:
    """The pieces without those of one molecule; only kinds that it has change."""
    return {kind: +(some - own[kind]) if kind in own else some for kind, some in pieces.items()}


def valid(text: str) -> bool:
    """Whether it is canonical SMILES that can be read."""
    try:
        return bool(canonical(text) == text)
    except StructureError:
        return False


if __name__ == "__main__":
    main()
