"""Have the questions moved away from what a model learned? Seen while it serves, without labels.

A molecule's `domain_distance` is the share of training molecules that are less unlike the rest of training than it is: spread evenly, or
low, for molecules like those of training. A test martingale bets against that. It multiplies its capital by 1 - e (p - 1/2) for each new
molecule, p = 1 - domain_distance, a mixture over e = 0 and e = 1 of which a share of JUMP changes sides at each step (the simple jumper
of Vovk et al. 2021, "Retrain or not retrain: conformal test martingales for change-point detection", one-sided). Its capital comes to c
or more with a probability of 1 / c at most, however long the service runs, as long as p is not below an even spread. Training is a finite
sample of its own kind, so p is raised by the Dvoretzky-Kiefer-Wolfowitz bound that holds with a probability of 1 - MISSED.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Any

from heliograph.serve.served import Row

LAST = 1000  # molecules that shares and the two-sample test are about
REMEMBERED = 20_000  # molecules that count once, however often they are asked for
JUMP = 0.01
MISSED = 0.01
ALARM = 100.0  # the capital at which it is said


class Watch:
    """Watch a model whose domain knows `reference` training molecules. Nothing of a molecule is kept but a hash and its distance."""

    def __init__(self, reference: int):
        self.margin = math.sqrt(math.log(1 / MISSED) / (2 * max(reference, 1)))
        self.seen = 0
        self._last: deque[tuple[float, bool]] = deque(maxlen=LAST)
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._capital = [0.5, 0.5]  # of e = 0 and e = 1, divided by their sum
        self._log = 0.0  # of the sum
        self._most = 0.0

    def see(self, rows: Iterable[Row]) -> bool:
        """Take a model's answers; tell whether the capital came to ALARM for the first time."""
        before = self._most
        for row in rows:
            distance, inside = row.answers.get("domain_distance"), row.answers.get("in_domain")
            if isinstance(distance, int | float) and self._new(row.smiles):
                self.seen += 1
                self._last.append((float(distance), bool(inside)))
                self._bet(min(1.0, 1.0 - float(distance) + self.margin))
        return before < math.log(ALARM) <= self._most

    def about(self) -> dict[str, float | int]:
        """What can be said of the last LAST molecules, and of all."""
        from heliograph.predictor.drift import kolmogorov

        found: dict[str, Any] = {"molecules": self.seen, "capital_log10": self._log / math.log(10), "most_log10": self._most / math.log(10)}
        if self._last:
            distances = [distance for distance, _ in self._last]
            found["out_of_domain"] = sum(not inside for _, inside in self._last) / len(self._last)
            found["p_value"] = kolmogorov(distances)
        return found

    def _new(self, smiles: str) -> bool:
        key = hashlib.blake2b(smiles.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if key in self._known:
            self._known.move_to_end(key)
            return False
        self._known[key] = None
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return True

    def _bet(self, p: float) -> None:
        kept = [(1 - JUMP) * share + JUMP / 2 for share in self._capital]
        kept[1] *= 1.5 - p
        total = sum(kept)
        self._capital = [share / total for share in kept]
        self._log += math.log(total)
        self._most = max(self._most, self._log)
