"""The process that a pool starts: structures in by stdin, arrays out by stdout, until stdin ends. Imports no PyTorch."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from heliograph.data.record import Structure
from heliograph.errors import StructureError

if TYPE_CHECKING:
    from heliograph.chem.featurizer import Featurizer
    from heliograph.chem.molecule import Molecule


def attempt(structure: Structure | None, featurizer: Featurizer, scaffold: bool) -> Molecule | str | None:
    """The molecule, or the reason why there is none; None for a row that has no structure to begin with."""
    from heliograph.chem.molecule import featurize

    if structure is None:
        return None
    try:
        return featurize(structure, featurizer, scaffold=scaffold)
    except StructureError as error:
        return str(error)
    except Exception as error:  # nothing that a structure holds may end the run
        first = (str(error).strip().splitlines() or [""])[0]
        return f"could not be featurized: {type(error).__name__} {first[:100]}".rstrip()


def attempts(structures: Sequence[Structure | None], featurizer: Featurizer, scaffold: bool) -> list[Molecule | str | None]:
    """`attempt` of each; many SMILES at once where that can be done."""
    from heliograph.chem.bulk import bulk

    many = None if scaffold else bulk(featurizer)
    texts = [k for k, structure in enumerate(structures) if isinstance(structure, str)] if many is not None else []
    quick = dict(zip(texts, many([str(structures[k]) for k in texts]), strict=True)) if many is not None else {}
    return [quick.get(k) or attempt(structure, featurizer, scaffold) for k, structure in enumerate(structures)]


def main() -> None:
    """Frames: settings, then requests again and again.

    Answers "ready", then for each request one list of results, or, one by one, a list of one result after each structure.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not mix with the answers
    from heliograph.chem import wire  # RDKit is loaded before the first structure's time runs
    from heliograph.chem.featurizer import Featurizer

    try:
        settings, scaffold = json.loads(wire.receive(requests))
        featurizer = Featurizer.from_dict(settings)
        wire.send(answers, b"ready")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # up to here it explains a failed start; a library's chatter nobody reads
        while True:
            structures, one_by_one = wire.requested(wire.receive(requests))
            if one_by_one:
                for structure in structures:
                    wire.send(answers, wire.answer([attempt(structure, featurizer, scaffold)]))
            else:
                wire.send(answers, wire.answer(attempts(structures, featurizer, scaffold)))
    except (EOFError, BrokenPipeError):
        os._exit(0)  # the parent is done, or gone


if __name__ == "__main__":
    main()
